//! Pairwise judging: who wins, whatever stands first, and whatever is longer.
//!
//! Every pair is judged in both orders; a verdict that follows the position and not the answer
//! counts as half a win. Longer answers please judges, so beside the plain win rate stands one at
//! equal length, from a logistic regression on the difference of lengths (Length-Controlled
//! AlpacaEval, arXiv 2404.04475, without its term for the difficulty of a prompt).

use crate::measure::{Tally, Units};
use diapason_flow::{Estimate, Streams};
use rand::RngExt;

/// What a judge says of two answers in the order in which it saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The first is better.
    First,
    /// The second is better.
    Second,
    /// Neither is.
    Tie,
}

/// One prompt's answers by model and opponent, judged in both orders.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Duel {
    /// The prompt.
    pub unit: String,
    /// The verdict with the model's answer first.
    pub model_first: Verdict,
    /// The verdict with the opponent's answer first.
    pub opponent_first: Verdict,
    /// Length of the model's answer less that of the opponent's, in any one unit.
    pub longer: f64,
}

impl Duel {
    /// The model's share of the win over both orders: 0, 1/4, 1/2, 3/4 or 1.
    pub fn won(&self) -> f64 {
        let share = |verdict, own| match verdict {
            Verdict::Tie => 0.5,
            _ if verdict == own => 1.0,
            _ => 0.0,
        };
        0.5 * (share(self.model_first, Verdict::First)
            + share(self.opponent_first, Verdict::Second))
    }

    /// Whether the judge preferred the same answer, or neither, in both orders.
    pub fn consistent(&self) -> bool {
        matches!(
            (self.model_first, self.opponent_first),
            (Verdict::First, Verdict::Second)
                | (Verdict::Second, Verdict::First)
                | (Verdict::Tie, Verdict::Tie)
        )
    }
}

/// What many duels say.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WinRates {
    /// Mean share of wins; units are prompts.
    pub win_rate: Estimate,
    /// The same at equal length.
    pub at_equal_length: Estimate,
    /// Share of duels whose verdict did not follow the position.
    pub consistent_share: f64,
}

/// Resamples of the regression: each is fitted anew, so fewer than for means.
const REFITS: usize = 500;

/// Weight of the ridge on the coefficient of length: what keeps a fit finite when the longer answer
/// always wins, and vanishes among many duels.
const RIDGE: f64 = 0.1;

/// Win rates with intervals that resample prompts. `None` without duels.
pub fn win_rates(duels: &[Duel], streams: &Streams) -> Option<WinRates> {
    let mut units = Units::new();
    for duel in duels {
        let tally = units.entry(duel.unit.clone()).or_default();
        *tally = tally.plus(Tally { sum: duel.won(), count: 1.0 });
    }
    let win_rate = crate::estimate(&units, &streams.within("win rate"))?;
    let consistent = duels.iter().filter(|duel| duel.consistent()).count();
    Some(WinRates {
        win_rate,
        at_equal_length: equal_length(duels, units.len(), streams),
        consistent_share: consistent as f64 / duels.len() as f64,
    })
}

/// The regression's win rate where both answers are equally long.
fn equal_length(duels: &[Duel], n: usize, streams: &Streams) -> Estimate {
    let squares: f64 = duels.iter().map(|duel| duel.longer.powi(2)).sum();
    let scale = (squares / duels.len() as f64).sqrt();
    // Past one standard deviation more length adds little: the paper's tanh.
    let feature = |duel: &Duel| if scale > 0.0 { (duel.longer / scale).tanh() } else { 0.0 };
    let rows: Vec<(f64, f64)> = duels.iter().map(|duel| (feature(duel), duel.won())).collect();
    let value = sigmoid(fit(&rows).0);
    let mut by_unit: std::collections::BTreeMap<&str, Vec<(f64, f64)>> =
        std::collections::BTreeMap::default();
    for (duel, row) in duels.iter().zip(&rows) {
        by_unit.entry(&duel.unit).or_default().push(*row);
    }
    let groups: Vec<&Vec<(f64, f64)>> = by_unit.values().collect();
    let mut stream = streams.stream("equal length", 0);
    let mut refits: Vec<f64> = (0..REFITS)
        .map(|_| {
            let drawn = (0..groups.len()).map(|_| groups[stream.random_range(0..groups.len())]);
            let rows: Vec<(f64, f64)> = drawn.flatten().copied().collect();
            sigmoid(fit(&rows).0)
        })
        .collect();
    refits.sort_by(f64::total_cmp);
    let mean = refits.iter().sum::<f64>() / REFITS as f64;
    let variance = refits.iter().map(|refit| (refit - mean).powi(2)).sum::<f64>() / REFITS as f64;
    let at = |share: f64| refits[(share * (REFITS - 1) as f64).round() as usize];
    let ci95 = if n > 1 { [at(0.025).min(value), at(0.975).max(value)] } else { [value, value] };
    Estimate { value, stderr: variance.sqrt(), ci95, n }
}

/// Intercept and slope of a logistic regression of shares on one feature, by Newton's method.
fn fit(rows: &[(f64, f64)]) -> (f64, f64) {
    let (mut intercept, mut slope) = (0.0, 0.0);
    for _ in 0..50 {
        // The tiny ridge on the intercept keeps it finite when every duel is won.
        let mut gradient = [-1e-3 * intercept, -RIDGE * slope];
        let mut curvature = [1e-3, 0.0, RIDGE];
        for (feature, won) in rows {
            let likely = sigmoid(intercept + slope * feature);
            let weight = likely * (1.0 - likely);
            gradient[0] += won - likely;
            gradient[1] += (won - likely) * feature;
            curvature[0] += weight;
            curvature[1] += weight * feature;
            curvature[2] += weight * feature * feature;
        }
        let [a, b, c] = curvature;
        let determinant = a * c - b * b;
        let step = [
            (c * gradient[0] - b * gradient[1]) / determinant,
            (a * gradient[1] - b * gradient[0]) / determinant,
        ];
        // Half steps at most keep Newton from running off a plateau.
        intercept += step[0].clamp(-2.0, 2.0);
        slope += step[1].clamp(-2.0, 2.0);
        if step.iter().all(|step| step.abs() < 1e-10) {
            break;
        }
    }
    (intercept, slope)
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// How far two judges of the same duels agree.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Agreement {
    /// Share of verdicts that are equal.
    pub share: f64,
    /// Cohen's kappa: the share beyond what the judges' own frequencies would give by chance;
    /// 1 is full agreement, 0 chance. `None` where chance alone agrees always.
    pub kappa: Option<f64>,
    /// Verdicts compared.
    pub n: usize,
}

/// Agreement of two judges, verdict by verdict. `None` without verdicts.
pub fn agreement(one: &[Verdict], other: &[Verdict]) -> Option<Agreement> {
    let n = one.len().min(other.len());
    if n == 0 {
        return None;
    }
    let share = |count: usize| count as f64 / n as f64;
    let equal = share(one.iter().zip(other).filter(|(a, b)| a == b).count());
    let chance: f64 = [Verdict::First, Verdict::Second, Verdict::Tie]
        .iter()
        .map(|verdict| {
            let of = |judge: &[Verdict]| share(judge[..n].iter().filter(|v| *v == verdict).count());
            of(one) * of(other)
        })
        .sum();
    let kappa = (chance < 1.0).then(|| (equal - chance) / (1.0 - chance));
    Some(Agreement { share: equal, kappa, n })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{First, Second, Tie};

    fn duel(unit: usize, model_first: Verdict, opponent_first: Verdict, longer: f64) -> Duel {
        Duel { unit: unit.to_string(), model_first, opponent_first, longer }
    }

    #[test]
    fn a_judge_that_follows_the_position_gives_half_a_win() {
        for (orders, won, consistent) in [
            ((First, Second), 1.0, true),
            ((Second, First), 0.0, true),
            ((First, First), 0.5, false),
            ((Second, Second), 0.5, false),
            ((Tie, Tie), 0.5, true),
            ((First, Tie), 0.75, false),
            ((Tie, First), 0.25, false),
        ] {
            let duel = duel(0, orders.0, orders.1, 0.0);
            assert_eq!((duel.won(), duel.consistent()), (won, consistent), "{orders:?}");
        }
    }

    /// Duels whose true law is `logit p = intercept + slope · tanh(length)`.
    fn law(intercept: f64, slope: f64) -> Vec<Duel> {
        let mut stream = Streams::new(4).stream("duels", 0);
        (0..4000)
            .map(|unit| {
                let longer: f64 = stream.random_range(-1.0..3.0);
                let wins = stream.random::<f64>() < sigmoid(intercept + slope * longer.tanh());
                let orders = if wins { (First, Second) } else { (Second, First) };
                duel(unit, orders.0, orders.1, longer)
            })
            .collect()
    }

    #[test]
    fn a_taste_for_length_is_taken_out() {
        // The model writes longer answers and is no better.
        let rates = win_rates(&law(0.0, 1.5), &Streams::new(1)).unwrap();
        assert!(rates.win_rate.ci95[0] > 0.55, "{:?}", rates.win_rate);
        let [low, high] = rates.at_equal_length.ci95;
        assert!(low < 0.5 && 0.5 < high && high - low < 0.1, "{:?}", rates.at_equal_length);
        assert_eq!(rates.consistent_share, 1.0);
        // Without a taste for length the two rates agree.
        let rates = win_rates(&law(0.5, 0.0), &Streams::new(1)).unwrap();
        let (plain, controlled) = (rates.win_rate.value, rates.at_equal_length.value);
        assert!((plain - controlled).abs() < 0.03, "{plain} {controlled}");
    }

    #[test]
    fn degenerate_duels_have_finite_rates() {
        let always: Vec<Duel> = (0..30).map(|unit| duel(unit, First, Second, 1.0)).collect();
        let rates = win_rates(&always, &Streams::new(1)).unwrap();
        assert_eq!(rates.win_rate.value, 1.0);
        assert!(rates.at_equal_length.value > 0.8 && rates.at_equal_length.value <= 1.0);
        let equal = win_rates(&[duel(0, Tie, Tie, 0.0)], &Streams::new(1)).unwrap();
        assert!((equal.at_equal_length.value - 0.5).abs() < 1e-9 && equal.at_equal_length.n == 1);
        assert_eq!(win_rates(&[], &Streams::new(1)), None);
    }

    #[test]
    fn agreement_is_counted_beyond_chance() {
        let one = [First, First, Second, Second, Tie, First];
        assert_eq!(agreement(&one, &one).unwrap().kappa, Some(1.0));
        let other = [First, Second, Second, First, Tie, First];
        let found = agreement(&one, &other).unwrap();
        assert!((found.share - 4.0 / 6.0).abs() < 1e-12);
        let chance: f64 = (3.0 * 3.0 + 2.0 * 2.0 + 1.0) / 36.0;
        assert!((found.kappa.unwrap() - (4.0 / 6.0 - chance) / (1.0 - chance)).abs() < 1e-12);
        assert_eq!(agreement(&[First], &[First]).unwrap().kappa, None);
        assert_eq!(agreement(&[], &[]), None);
    }
}
