//! The table of metrics: names, meaning, which way is better, and what the page shows first.

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Smaller is better.
    Lower,
    /// Larger is better.
    Higher,
    /// Neither: it describes.
    Neither,
}

/// One metric of one family of tasks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Family of tasks: the part of the task's name before the slash.
    pub family: &'static str,
    /// Name in `results.json`.
    pub name: &'static str,
    /// Name on the page.
    pub label: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Least and largest possible value; intervals are cut there.
    pub range: [f64; 2],
    /// What it is, in one sentence.
    pub definition: &'static str,
}

type Row = (&'static str, &'static str, &'static str, Better, &'static str);

/// A metric that cannot be negative.
const fn amount((family, name, label, better, definition): Row) -> Metric {
    Metric { family, name, label, better, range: [0.0, f64::INFINITY], definition }
}

/// A metric between 0 and 1.
const fn share(row: Row) -> Metric {
    Metric { range: [0.0, 1.0], ..amount(row) }
}

/// A metric that may have either sign.
const fn signed(row: Row) -> Metric {
    Metric { range: [f64::NEG_INFINITY, f64::INFINITY], ..amount(row) }
}

use Better::{Higher, Lower, Neither};

/// All metrics. The first of a family is its headline.
pub const METRICS: &[Metric] = &[
    amount((
        "steer",
        "loss_nats",
        "Loss, nats",
        Lower,
        "−ln p of a whole output and its terminator given the description and the examples before it, averaged over all outputs that bear loss.",
    )),
    signed((
        "steer",
        "regret_nats",
        "Regret, nats",
        Lower,
        "Loss minus the loss of the Bayes-optimal learner on the same draws, where the process is known; 0 is optimal.",
    )),
    share((
        "steer",
        "accuracy",
        "Accuracy",
        Higher,
        "Share of outputs of which every token was the likeliest one (teacher forcing, terminator included).",
    )),
    share((
        "steer",
        "first_token_accuracy",
        "First token",
        Higher,
        "Share of outputs of which the first token was the likeliest one.",
    )),
    share((
        "steer",
        "ece",
        "Calibration error",
        Lower,
        "Tokens held more than 1 % likely, sorted by probability into ten bins of equal mass, each in exactly one: mean over bins, weighted by size, of |mean probability − share that came true|.",
    )),
    amount((
        "steer",
        "permutation_gap",
        "Order gap, nats",
        Lower,
        "How much the loss of the last output changes, in absolute value, when the same examples before it are shown in another order.",
    )),
    amount((
        "align",
        "js_nats",
        "Jensen–Shannon, nats",
        Lower,
        "Jensen–Shannon divergence between the target and the model's distribution over the options; 0 is equal, ln 2 = 0.693 is disjoint.",
    )),
    share((
        "align",
        "tv",
        "Total variation",
        Lower,
        "Half the sum of absolute differences of probabilities: the mass that would have to move.",
    )),
    amount((
        "align",
        "kl_nats",
        "KL, nats",
        Lower,
        "Σ P ln(P/Q), P the target, Q the model, after adding 1e-6 to every entry of both.",
    )),
    amount((
        "align",
        "reverse_kl_nats",
        "Reverse KL, nats",
        Lower,
        "Σ Q ln(Q/P), smoothed in the same way.",
    )),
    share((
        "align",
        "mode_match",
        "Mode match",
        Higher,
        "Share of questions on which the model's likeliest option is a likeliest option of the target; tied options share the credit.",
    )),
    share((
        "align",
        "mass",
        "Mass on options",
        Higher,
        "Probability that the model's answer is one of the options at all, before normalising.",
    )),
    amount((
        "cover",
        "yield",
        "Yield",
        Higher,
        "Number of distinct valid outputs among the draws.",
    )),
    share(("cover", "valid_share", "Valid", Higher, "Valid draws among all draws.")),
    share((
        "cover",
        "unique_share",
        "Unique",
        Higher,
        "Distinct outputs among the valid draws; 0 if none is valid.",
    )),
    share((
        "cover",
        "support_share",
        "Reached",
        Higher,
        "Distinct valid outputs among all valid outputs there are, for tasks with a finite list.",
    )),
    amount((
        "cover",
        "chao1",
        "Chao1",
        Higher,
        "Estimated lower bound on the number of valid outputs the model can reach, seen or not, from those seen once and twice.",
    )),
    share((
        "cover",
        "good_turing_coverage",
        "Good–Turing",
        Neither,
        "Estimated probability that the next valid draw is one already seen; a model that repeats itself has 1.",
    )),
    amount((
        "cover",
        "collision_entropy_nats",
        "Collision entropy, nats",
        Higher,
        "−ln of the share of pairs of valid draws that agree (unbiased for Σp²); left out where no two draws agree.",
    )),
    share((
        "levers",
        "length_violation_share",
        "Length violations",
        Lower,
        "Share of answers with more words than were asked for.",
    )),
    amount((
        "levers",
        "length_relative_error",
        "Length error",
        Lower,
        "Distance from the length asked for, relative to it: in words, sentences, or tokens of the model.",
    )),
    share((
        "levers",
        "language_line_pass_rate",
        "Language",
        Higher,
        "Share of answers of which every line of five words or more is in the language asked for, by our detector; lines it is not sure of are skipped, answers without a sure line left out.",
    )),
    share((
        "levers",
        "marker_accuracy",
        "Marker accuracy",
        Higher,
        "Share of answers in whose own marker list, written freely after a prompt without markers, the marker has its true value; no list counts as wrong.",
    )),
    share((
        "levers",
        "list_share",
        "Lists",
        Higher,
        "Share of answers that begin with a whole marker list, written freely after a prompt without markers.",
    )),
    amount((
        "levers",
        "loss_nats",
        "Loss, nats",
        Lower,
        "−ln p of a true answer and its terminator given the prompt; where the model writes a list first, p is summed over the lists that agree with the answer, in every quality bucket, which bounds the answer's own loss from above; `true_list`: given the true list.",
    )),
    share((
        "levers",
        "pass_at_1",
        "Pass at 1",
        Higher,
        "Share of programs that pass all their tests at the first attempt.",
    )),
    share((
        "levers",
        "pass_at_k",
        "Pass at k",
        Higher,
        "Chance that one of k programs passes all its tests, estimated without bias from all that were drawn for a problem.",
    )),
    share((
        "levers",
        "score",
        "Score",
        Higher,
        "Share of an answer's lines that are sentences of the language asked for, about the domain, with their words in order; with the quality lever set, that of bucket 1.",
    )),
    share((
        "levers",
        "win_rate",
        "Win rate",
        Higher,
        "Share of comparisons won, ties counted half; in a recipe, of scores against those of its rival on the same requests.",
    )),
    share((
        "capability",
        "accuracy",
        "Accuracy",
        Higher,
        "Share of questions on which the likeliest option is right; tied options share the credit.",
    )),
    amount((
        "capability",
        "loss_nats",
        "Loss, nats",
        Lower,
        "−ln of the probability of the right option, normalised over the options.",
    )),
];

/// The table row of a task's metric. `marker_accuracy/length` is found as `marker_accuracy`.
pub fn metric(task: &str, name: &str) -> Option<&'static Metric> {
    let (family, name) = (first_part(task), first_part(name));
    METRICS.iter().find(|metric| metric.family == family && metric.name == name)
}

pub(crate) fn first_part(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_unique_and_defined_in_a_sentence() {
        let mut seen = std::collections::HashSet::new();
        for metric in METRICS {
            assert!(seen.insert((metric.family, metric.name)), "{metric:?}");
            assert!(metric.definition.ends_with('.') && metric.definition.len() > 20, "{metric:?}");
        }
    }

    #[test]
    fn rows_are_found_by_family() {
        assert_eq!(metric("steer/*", "loss_nats").unwrap().label, "Loss, nats");
        assert_eq!(metric("levers/x", "marker_accuracy/length").unwrap().family, "levers");
        assert!(metric("align/urn", "loss_nats").is_none());
    }
}
