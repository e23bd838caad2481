//! Every closed form against numeric integration or enumeration.

use super::*;

/// `p(next | history)` for a chance of success with density `prior`, by the midpoint rule.
fn integrated(
    prior: impl Fn(f64) -> f64,
    history: &[u64],
    next: u64,
    ln_mass: impl Fn(f64, u64) -> f64,
) -> f64 {
    let steps = 20_000;
    let (mut joint, mut marginal) = (0.0, 0.0);
    for step in 0..steps {
        let p = (f64::from(step) + 0.5) / f64::from(steps);
        let seen: f64 = history.iter().map(|value| ln_mass(p, *value)).sum();
        let weight = prior(p) * seen.exp();
        marginal += weight;
        joint += weight * ln_mass(p, next).exp();
    }
    joint / marginal
}

fn close(left: f64, right: f64, tolerance: f64) {
    assert!((left - right).abs() <= tolerance * right.abs().max(1e-9), "{left} is not {right}");
}

#[test]
fn ln_gamma_is_the_logarithm_of_the_factorial_and_of_the_root_of_pi() {
    let mut ln_factorial = 0.0;
    for n in 1..5000_u32 {
        ln_factorial += f64::from(n).ln();
        assert!(
            (ln_gamma(f64::from(n) + 1.0) - ln_factorial).abs() < 1e-12 * ln_factorial.max(1.0)
        );
    }
    close(ln_gamma(0.5).exp(), std::f64::consts::PI.sqrt(), 1e-13);
    close(ln_gamma(1e-3) + 1e-3_f64.ln(), ln_gamma(1.001), 1e-10);
}

#[test]
fn beta_geometric_is_the_integral_over_the_chance_of_success() {
    let history = [3, 1, 7];
    for next in 1..12 {
        let flat = integrated(|_| 1.0, &history, next, geometric);
        close(beta_geometric(1.0 + 3.0, 1.0 + 8.0, next).exp(), flat, 1e-6);
        let prior = |p: f64| p * (1.0 - p).powi(4);
        let informed = integrated(prior, &history, next, geometric);
        close(beta_geometric(2.0 + 3.0, 5.0 + 8.0, next).exp(), informed, 1e-6);
    }
}

#[test]
fn beta_binomial_is_the_integral_over_the_chance_of_success() {
    for next in 0..=9 {
        let expected = integrated(|_| 1.0, &[2, 4], next, |p, value| binomial(9, p, value));
        close(beta_binomial(9, 1.0 + 6.0, 1.0 + 12.0, next).exp(), expected, 1e-6);
    }
    assert_eq!(beta_binomial(9, 1.0, 1.0, 10), f64::NEG_INFINITY);
}

#[test]
fn beta_negative_binomial_is_the_integral_over_the_chance_of_success() {
    for next in 0..15 {
        let mass = |p, value| negative_binomial(3, p, value);
        let expected = integrated(|_| 1.0, &[0, 5], next, mass);
        close(beta_negative_binomial(3, 1.0 + 6.0, 1.0 + 5.0, next).exp(), expected, 1e-6);
    }
}

#[test]
fn gamma_poisson_is_the_integral_over_the_rate() {
    let history = [4, 9, 5];
    for next in [0, 1, 5, 12, 30] {
        let (mut joint, mut marginal) = (0.0, 0.0);
        // The rate is a square, which takes the pole out of the Gamma(1/2) density.
        for step in 0..20_000 {
            let rate = ((f64::from(step) + 0.5) * 5e-4).powi(2);
            let seen: f64 = history.iter().map(|value| poisson(rate, *value)).sum();
            let weight = (-rate / 2000.0 + seen).exp();
            marginal += weight;
            joint += weight * poisson(rate, next).exp();
        }
        close(gamma_poisson(0.5 + 18.0, 1.0 / 2000.0 + 3.0, next).exp(), joint / marginal, 1e-6);
    }
}

#[test]
fn dirichlet_multinomial_is_a_polya_urn_and_sums_to_one() {
    let alphas = [3.0, 1.0, 2.0];
    let mut total = 0.0;
    for a in 0..=5 {
        for b in 0..=5 - a {
            let counts = [a, b, 5 - a - b];
            let probability = dirichlet_multinomial(&alphas, &counts).exp();
            total += probability;
            let mut sequence = multinomial(&[1.0; 3], &counts).exp();
            let mut drawn = 0.0;
            for (alpha, count) in alphas.iter().zip(counts) {
                for repeat in 0..count {
                    sequence *= (alpha + repeat as f64) / (6.0 + drawn);
                    drawn += 1.0;
                }
            }
            close(probability, sequence, 1e-10);
        }
    }
    close(total, 1.0, 1e-10);
}

#[test]
fn the_rule_of_succession_is_the_integral_over_the_simplex() {
    let (counts, steps) = ([2, 1, 0], 600);
    let (mut joint, mut marginal) = ([0.0; 3], 0.0);
    for i in 0..steps {
        for j in 0..steps - i {
            // Centres of the two triangles of each cell.
            for offset in [1.0 / 3.0, 2.0 / 3.0] {
                let p = (f64::from(i) + offset) / f64::from(steps);
                let q = (f64::from(j) + offset) / f64::from(steps);
                let simplex = [p, q, 1.0 - p - q];
                if simplex[2] <= 0.0 {
                    continue;
                }
                let weight: f64 =
                    simplex.iter().zip(counts).map(|(share, count)| share.powi(count)).product();
                marginal += weight;
                for (sum, share) in joint.iter_mut().zip(simplex) {
                    *sum += weight * share;
                }
            }
        }
    }
    let rule = [3.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0];
    for (sum, expected) in joint.iter().zip(rule) {
        close(sum / marginal, expected, 1e-3);
        let one = dirichlet_multinomial(&[3.0, 2.0, 1.0], &[1, 0, 0]).exp();
        close(one, 0.5, 1e-12);
    }
}

#[test]
fn hypergeometric_counts_subsets() {
    let (population, marked, drawn) = (9_u32, 4, 5);
    let subsets: Vec<u32> =
        (0..1_u32 << population).filter(|set| set.count_ones() == drawn).collect();
    for value in 0..=drawn {
        let hits = subsets.iter().filter(|set| (*set & 0b1111).count_ones() == value).count();
        let expected = hits as f64 / subsets.len() as f64;
        let mass =
            hypergeometric(u64::from(population), marked, u64::from(drawn), u64::from(value));
        assert!((mass.exp() - expected).abs() < 1e-12);
    }
}

#[test]
fn the_mass_of_a_rounding_cell_is_the_integral_of_the_density() {
    for (mean, deviation, value) in [(0.0, 5.0, 0), (12.0, 5.0, -13), (-700.0, 90.0, -650)] {
        let panels = 4000;
        let density = |x: f64| {
            let z = (x - mean) / deviation;
            (-z * z / 2.0).exp() / (deviation * std::f64::consts::TAU.sqrt())
        };
        let middle = |panel: i32| value as f64 - 0.5 + (f64::from(panel) + 0.5) / f64::from(panels);
        let expected: f64 = (0..panels).map(|panel| density(middle(panel))).sum();
        close(rounded_normal(mean, deviation, value).exp(), expected / f64::from(panels), 1e-7);
    }
    let total: f64 = (-200..=220).map(|value| rounded_normal(7.0, 11.0, value).exp()).sum();
    close(total, 1.0, 1e-9);
    assert!(rounded_normal(0.0, 5.0, 400).is_finite(), "far tails do not underflow");
}

#[test]
fn masses_sum_to_one() {
    let sum = |from: u64, ln_mass: &dyn Fn(u64) -> f64| -> f64 {
        (from..20_000).map(|value| ln_mass(value).exp()).sum()
    };
    close(sum(1, &|value| geometric(0.013, value)), 1.0, 1e-9);
    close(sum(1, &|value| beta_geometric(9.0, 30.0, value)), 1.0, 1e-9);
    close(sum(0, &|value| negative_binomial(5, 0.04, value)), 1.0, 1e-9);
    close(sum(0, &|value| beta_negative_binomial(5, 12.0, 30.0, value)), 1.0, 1e-9);
    close(sum(0, &|value| poisson(812.5, value)), 1.0, 1e-9);
    close(sum(0, &|value| gamma_poisson(900.5, 3.0005, value)), 1.0, 1e-9);
    close(sum(0, &|value| binomial(700, 0.3, value)), 1.0, 1e-9);
    close(sum(0, &|value| beta_binomial(700, 3.0, 5.0, value)), 1.0, 1e-9);
    close(sum(0, &|value| hypergeometric(90, 30, 40, value)), 1.0, 1e-9);
}

#[test]
fn a_mixture_is_bayes_rule() {
    let coins = [0.1, 0.5, 0.9];
    let likelihood = |heads: bool| {
        move |index: usize| {
            if heads { coins[index] } else { 1.0 - coins[index] }
        }
    };
    let beliefs = Mixture::new(vec![2.0, 1.0, 1.0]).after(likelihood(true)).after(likelihood(true));
    let joint = [0.5 * 0.01, 0.25 * 0.25, 0.25 * 0.81];
    let expected = (joint[0] * 0.1 + joint[1] * 0.5 + joint[2] * 0.9) / joint.iter().sum::<f64>();
    close(beliefs.ln_predictive(likelihood(true)).exp(), expected, 1e-12);
}
