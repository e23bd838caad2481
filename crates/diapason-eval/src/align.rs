//! Distributional alignment: the model's distribution over known options against the target.

use crate::EvalError;
use diapason_flow::{Episode, Goal, OptionScore, Query};

/// Added to every entry of both distributions, which are then renormalised, before the
/// Kullback–Leibler divergences; they would be infinite where one side has a zero. Jensen–Shannon
/// and total variation are always finite and are taken without smoothing.
const SMOOTHING: f64 = 1e-6;

/// Two probabilities this close are a tie.
const TIE: f64 = 1e-9;

/// How a model's distribution compares with the target. P is the target, Q the model.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AlignOutcome {
    /// Target probabilities, one an option.
    pub target: Vec<f64>,
    /// The model's probabilities normalised over the options; uniform if its mass is zero.
    pub model: Vec<f64>,
    /// Jensen–Shannon divergence in nats, 0 to ln 2.
    pub js_nats: f64,
    /// KL(P‖Q) in nats, smoothed.
    pub kl_nats: f64,
    /// KL(Q‖P) in nats, smoothed.
    pub reverse_kl_nats: f64,
    /// Total variation distance, 0 to 1.
    pub tv: f64,
    /// Chance that an option drawn from the likeliest ones of Q is among the likeliest of P:
    /// 0 or 1 without ties, and no credit for listing order with them.
    pub mode_match: f64,
    /// Probability on all options before normalising.
    pub mass: f64,
}

/// Compares the scores of an episode's options with its target.
///
/// Options are to be scored with their terminator: without it an option that is a prefix of
/// others is credited with their mass.
///
/// # Errors
/// An episode without options, lengths that differ, a target that is no distribution, a
/// log-probability that is not a number or above 0 by more than rounding.
pub fn align(episode: &Episode, scores: &[OptionScore]) -> Result<AlignOutcome, EvalError> {
    let target = target(episode, scores)?.to_vec();
    let (model, mass) = normalised(scores);
    let middle: Vec<f64> = target.iter().zip(&model).map(|(p, q)| 0.5 * (p + q)).collect();
    let (smooth_target, smooth_model) = (smoothed(&target), smoothed(&model));
    Ok(AlignOutcome {
        js_nats: (0.5 * (divergence(&target, &middle) + divergence(&model, &middle))).max(0.0),
        kl_nats: divergence(&smooth_target, &smooth_model).max(0.0),
        reverse_kl_nats: divergence(&smooth_model, &smooth_target).max(0.0),
        tv: 0.5 * target.iter().zip(&model).map(|(p, q)| (p - q).abs()).sum::<f64>(),
        mode_match: mode_match(&target, &model),
        mass,
        target,
        model,
    })
}

/// The episode's target probabilities, checked against the scores.
pub(crate) fn target<'a>(
    episode: &'a Episode,
    scores: &[OptionScore],
) -> Result<&'a [f64], EvalError> {
    let task = episode.task.clone();
    let Some(Query { goal: Goal::Choices { options, probs }, .. }) = &episode.query else {
        return Err(EvalError::NoChoices { task, unit: episode.unit.clone() });
    };
    let (options, scored) = (options.len(), scores.len());
    if options == 0 || options != probs.len() || options != scored {
        return Err(EvalError::OptionCount { task, options, probs: probs.len(), scores: scored });
    }
    let sum: f64 = probs.iter().sum();
    if (sum - 1.0).abs() > 1e-6 || probs.iter().any(|p| *p < 0.0) || !sum.is_finite() {
        return Err(EvalError::Target { task, sum });
    }
    for (index, score) in scores.iter().enumerate() {
        let value = score.logprob_nats;
        if value.is_nan() || value > 1e-3 {
            return Err(EvalError::LogProbability { task, index, value });
        }
    }
    Ok(probs)
}

/// Probabilities over the options and their mass before normalising. Relative to the largest
/// score, so that options that are all improbable still normalise.
pub(crate) fn normalised(scores: &[OptionScore]) -> (Vec<f64>, f64) {
    let largest = scores.iter().map(|score| score.logprob_nats).fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return (vec![1.0 / scores.len() as f64; scores.len()], 0.0);
    }
    let weights: Vec<f64> =
        scores.iter().map(|score| (score.logprob_nats - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    (weights.iter().map(|weight| weight / total).collect(), total * largest.exp())
}

fn smoothed(probabilities: &[f64]) -> Vec<f64> {
    let total: f64 = probabilities.iter().map(|p| p + SMOOTHING).sum();
    probabilities.iter().map(|p| (p + SMOOTHING) / total).collect()
}

/// `Σ P ln(P/Q)` with `0 ln 0 = 0`.
fn divergence(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * (p / q).ln()).sum()
}

pub(crate) fn mode_match(target: &[f64], model: &[f64]) -> f64 {
    let (most_target, most_model) = (largest(target), largest(model));
    let tied = model.iter().zip(target).filter(|(q, _)| **q >= most_model - TIE);
    let count = tied.clone().count() as f64;
    tied.filter(|(_, p)| **p >= most_target - TIE).count() as f64 / count
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn choices(probs: &[f64]) -> Episode {
        let mut episode = Episode::new("align/urn", "u");
        let options = (0..probs.len()).map(|index| index.to_string()).collect();
        let goal = Goal::Choices { options, probs: probs.to_vec() };
        episode.query = Some(Query { input: None, goal });
        episode
    }

    pub(crate) fn scores(probs: &[f64]) -> Vec<OptionScore> {
        probs.iter().map(|p| OptionScore { logprob_nats: p.ln(), tokens: 1 }).collect()
    }

    #[test]
    fn disjoint_distributions_reach_the_bounds() {
        let outcome = align(&choices(&[1.0, 0.0]), &scores(&[0.0, 0.5])).unwrap();
        assert!((outcome.js_nats - 2f64.ln()).abs() < 1e-12);
        assert_eq!((outcome.tv, outcome.mode_match, outcome.mass), (1.0, 0.0, 0.5));
        assert!((outcome.kl_nats - 1e6f64.ln()).abs() < 1e-3);
    }

    #[test]
    fn a_hand_computed_case() {
        let outcome = align(&choices(&[0.75, 0.25]), &scores(&[0.25, 0.25])).unwrap();
        assert!((outcome.tv - 0.25).abs() < 1e-12 && (outcome.mass - 0.5).abs() < 1e-12);
        let kl = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((outcome.kl_nats - kl).abs() < 1e-5);
        let js = 0.5 * (0.75 * (0.75f64 / 0.625).ln() + 0.25 * (0.25f64 / 0.375).ln())
            + 0.5 * (0.5 * (0.5f64 / 0.625).ln() + 0.5 * (0.5f64 / 0.375).ln());
        assert!((outcome.js_nats - js).abs() < 1e-12);
        assert_eq!(outcome.mode_match, 0.5, "a tied model guesses");
        let tied_target = align(&choices(&[0.5, 0.5]), &scores(&[0.1, 0.2])).unwrap();
        assert_eq!(tied_target.mode_match, 1.0, "either mode of the target is right");
    }

    #[test]
    fn improbable_options_normalise_and_impossible_ones_are_uniform() {
        let scores = [-2000.0, -2000.0 - 3f64.ln()]
            .map(|logprob_nats| OptionScore { logprob_nats, tokens: 9 });
        let outcome = align(&choices(&[0.75, 0.25]), &scores).unwrap();
        assert!(outcome.js_nats < 1e-12 && outcome.mass == 0.0);
        let none = align(&choices(&[0.5, 0.5]), &self::scores(&[0.0, 0.0])).unwrap();
        assert_eq!(none.model, [0.5, 0.5]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let missing = align(&Episode::new("t", "u"), &scores(&[1.0]));
        assert!(matches!(missing, Err(EvalError::NoChoices { .. })));
        let short = align(&choices(&[0.5, 0.5]), &scores(&[1.0]));
        assert!(matches!(short, Err(EvalError::OptionCount { options: 2, scores: 1, .. })));
        let loose = align(&choices(&[0.5, 0.4]), &scores(&[0.5, 0.5]));
        assert!(matches!(loose, Err(EvalError::Target { .. })));
        let nan = align(&choices(&[1.0]), &scores(&[f64::NAN]));
        assert!(matches!(nan, Err(EvalError::LogProbability { index: 0, .. })));
    }

    proptest! {
        #[test]
        fn divergences_are_finite_bounded_and_zero_on_equality(
            weights in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0), 2..8)
        ) {
            let total: f64 = weights.iter().map(|(p, _)| p).sum();
            prop_assume!(total > 1e-3);
            let target: Vec<f64> = weights.iter().map(|(p, _)| p / total).collect();
            let model: Vec<f64> = weights.iter().map(|(_, q)| q / weights.len() as f64).collect();
            let outcome = align(&choices(&target), &scores(&model)).unwrap();
            prop_assert!((0.0..=2f64.ln() + 1e-9).contains(&outcome.js_nats));
            prop_assert!((0.0..=1.0 + 1e-9).contains(&outcome.tv));
            prop_assert!(outcome.kl_nats.is_finite() && outcome.reverse_kl_nats.is_finite());
            let same = align(&choices(&target), &scores(&target)).unwrap();
            prop_assert!(same.js_nats < 1e-12 && same.kl_nats < 1e-9 && same.tv < 1e-12);
        }
    }
}
