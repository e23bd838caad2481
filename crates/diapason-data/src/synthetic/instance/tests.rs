//! Draws against predictives: if both are right, then `P(X < x) + V P(X = x)` with V uniform is
//! itself uniform at every turn, whatever came before. One test so checks the sampler, the closed
//! form and the way it learns.

use super::super::zipfian;
use super::super::{binomial, cards, categorical, coinflip, flight, geometric, geometric_beta};
use super::super::{hypergeometric, multinomial, negative_binomial, normal, poisson, states, urn};
use super::{Instance, Told};
use crate::synthetic::Parameters;
use diapason_flow::Streams;
use rand::RngExt;

const BINS: usize = 20;
/// Chi-square with 19 degrees of freedom exceeds this once in ten thousand times.
const CRITICAL: f64 = 51.0;
const ALL: [Told; 3] = [Told::Nothing, Told::Family, Told::Parameters];

/// How outcomes are ordered: `number(outcome)`, its inverse given the drawn outcome, and the
/// lowest number that matters given the drawn one.
struct Order<O> {
    number: fn(&O) -> i64,
    outcome: fn(i64, &O) -> O,
    lowest: fn(i64) -> i64,
}

fn indices() -> Order<usize> {
    Order { number: |o| *o as i64, outcome: |n, _| n as usize, lowest: |_| 0 }
}

fn counts() -> Order<u64> {
    Order { number: |o| *o as i64, outcome: |n, _| n as u64, lowest: |_| 0 }
}

/// Chi-square of the uniformity of the transformed draws.
fn misfit<I: Instance>(told: Told, order: &Order<I::Outcome>, parameters: &Parameters) -> f64 {
    let streams = Streams::new(11).within(I::NAME);
    let (mut bins, mut draws) = ([0_u32; BINS], 0_u32);
    for episode in 0..160 {
        let mut stream = streams.stream("calibration", episode);
        let mut instance = I::new(parameters, told, &mut stream);
        for turn in 0..12 {
            instance.scene(&mut stream);
            let drawn = instance.draw(&mut stream);
            let predictive = |number| {
                let outcome = (order.outcome)(number, &drawn);
                instance.ln_predictive(&outcome).map(f64::exp)
            };
            let number = (order.number)(&drawn);
            // Without a description the first draw also reveals which labels are in use, and some
            // predictives are known only from then on.
            if told != Told::Nothing || turn > 0 {
                let below: f64 = ((order.lowest)(number)..number)
                    .map(|lower| predictive(lower).expect("known below if known at all"))
                    .sum();
                let at = predictive(number).expect("only cases with a known predictive are tested");
                let uniform = below + stream.random::<f64>() * at;
                assert!((0.0..1.0 + 1e-6).contains(&uniform), "{}: {uniform}", I::NAME);
                bins[((uniform * BINS as f64) as usize).min(BINS - 1)] += 1;
                draws += 1;
            }
            instance.observe(&drawn);
        }
    }
    let expected = f64::from(draws) / BINS as f64;
    bins.iter().map(|bin| (f64::from(*bin) - expected).powi(2) / expected).sum()
}

fn calibrated<I: Instance>(told: &[Told], order: &Order<I::Outcome>) {
    for told in told {
        let statistic = misfit::<I>(*told, order, &Parameters::default());
        assert!(statistic < CRITICAL, "{} {told:?}: chi-square {statistic:.1}", I::NAME);
    }
}

#[test]
fn processes_over_labels_draw_what_the_observer_predicts() {
    let described = &[Told::Family, Told::Parameters];
    calibrated::<coinflip::Coin>(&ALL, &indices());
    calibrated::<cards::Cards>(&ALL, &indices());
    calibrated::<states::States>(&ALL, &indices());
    calibrated::<flight::Traveller>(&ALL, &indices());
    calibrated::<categorical::Categorical>(described, &indices());
    calibrated::<urn::Urn>(described, &indices());
}

#[test]
fn processes_over_numbers_draw_what_the_observer_predicts() {
    let described = &[Told::Family, Told::Parameters];
    calibrated::<geometric::Geometric>(&ALL, &counts());
    calibrated::<geometric_beta::GeometricBeta>(&ALL, &counts());
    calibrated::<poisson::Poisson>(&ALL, &counts());
    calibrated::<negative_binomial::NegativeBinomial>(&ALL, &counts());
    calibrated::<zipfian::Zipfian>(&ALL, &counts());
    calibrated::<binomial::Binomial>(described, &counts());
    calibrated::<hypergeometric::Hypergeometric>(described, &counts());
}

#[test]
fn normal_draws_fall_into_rounding_cells_as_predicted() {
    // Six deviations of the widest law lie below any draw that is likely at all.
    let order = Order { number: |o| *o, outcome: |n, _| n, lowest: |n| n - 9000 };
    calibrated::<normal::Normal>(&[Told::Parameters], &order);
}

#[test]
fn multinomial_counts_of_two_categories_are_as_predicted() {
    let order = Order {
        number: |counts: &Vec<u64>| counts[0] as i64,
        outcome: |n, counts: &Vec<u64>| vec![n as u64, counts.iter().sum::<u64>() - n as u64],
        lowest: |_| 0,
    };
    let labels = vec![vec!["in".to_owned(), "out".to_owned()]];
    let parameters = Parameters { labels, ..Parameters::default() };
    for told in ALL {
        let statistic = misfit::<multinomial::Multinomial>(told, &order, &parameters);
        assert!(statistic < CRITICAL, "{told:?}: chi-square {statistic:.1}");
    }
}

#[test]
fn the_test_notices_a_wrong_predictive() {
    /// Laplace's rule that forgets what it saw.
    struct Forgetful(coinflip::Coin);
    impl Instance for Forgetful {
        const NAME: &'static str = "forgetful";
        const ABOUT: &'static str = "";
        const OPTIMAL: &'static str = "";
        type Outcome = usize;
        fn new(parameters: &Parameters, told: Told, stream: &mut diapason_flow::Stream) -> Self {
            Forgetful(coinflip::Coin::new(parameters, told, stream))
        }
        fn wordings(&self) -> Vec<String> {
            self.0.wordings()
        }
        fn questions(&self) -> Vec<String> {
            self.0.questions()
        }
        fn draw(&self, stream: &mut diapason_flow::Stream) -> usize {
            self.0.draw(stream).min(usize::from(stream.random::<f64>() < 0.7))
        }
        fn ln_predictive(&self, side: &usize) -> Option<f64> {
            self.0.ln_predictive(side)
        }
        fn observe(&mut self, _: &usize) {}
        fn text(&self, side: &usize) -> String {
            self.0.text(side)
        }
    }
    assert!(misfit::<Forgetful>(Told::Family, &indices(), &Parameters::default()) > CRITICAL);
}
