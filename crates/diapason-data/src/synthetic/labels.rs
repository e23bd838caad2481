//! Names for outcomes, probabilities over them, and numbers as text.

use super::parameters::Parameters;
use diapason_flow::Stream;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, Exp1};

/// Pairs for processes with two outcomes. No label stands in two pairs, so one draw tells which
/// pair is in use.
pub(super) const PAIRS: &[[&str; 2]] = &[
    ["Heads", "Tails"],
    ["heads", "tails"],
    ["H", "T"],
    ["0", "1"],
    ["yes", "no"],
    ["True", "False"],
    ["A", "B"],
    ["win", "loss"],
    ["left", "right"],
    ["on", "off"],
    ["sun", "rain"],
    ["+", "-"],
];

/// Pools of labels for processes with several outcomes, 24 each. None of them is the valid set of
/// a coverage task, which training must not show.
const POOLS: &[&[&str]] = &[
    &[
        "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R",
        "S", "T", "U", "V", "W", "X",
    ],
    &[
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
        "17", "18", "19", "20", "21", "22", "23",
    ],
    &[
        "apple",
        "pear",
        "plum",
        "cherry",
        "fig",
        "grape",
        "mango",
        "melon",
        "papaya",
        "quince",
        "kiwi",
        "lychee",
        "banana",
        "apricot",
        "guava",
        "date",
        "lime",
        "lemon",
        "currant",
        "pomelo",
        "nectarine",
        "medlar",
        "peach",
        "coconut",
    ],
    &[
        "otter", "badger", "heron", "lynx", "toad", "magpie", "weasel", "hare", "vole", "stork",
        "newt", "bison", "ibex", "moose", "walrus", "gecko", "raven", "mole", "finch", "carp",
        "beetle", "moth", "shrew", "crane",
    ],
    &[
        "violin", "oboe", "cello", "harp", "flute", "tuba", "banjo", "lute", "viola", "drum",
        "piano", "organ", "zither", "bugle", "cornet", "fiddle", "gong", "guitar", "kazoo", "lyre",
        "piccolo", "sitar", "trumpet", "bassoon",
    ],
    &[
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
        "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi",
        "chi", "psi", "omega",
    ],
    &[
        "bram", "tolk", "vesh", "quim", "dorp", "lusk", "nerv", "pomb", "rilt", "sava", "tuzz",
        "wolm", "yept", "zang", "crib", "drov", "fenk", "glim", "hobb", "jast", "klee", "marp",
        "oddle", "pruv",
    ],
    &[
        "hammer", "ladle", "kettle", "candle", "pillow", "basket", "mirror", "ladder", "button",
        "needle", "bucket", "anchor", "lantern", "saddle", "shovel", "teapot", "thimble",
        "whistle", "broom", "chisel", "funnel", "hinge", "pulley", "trowel",
    ],
];

/// A draw from the flat Dirichlet distribution over `count` categories.
pub(super) fn flat_dirichlet(count: usize, stream: &mut Stream) -> Vec<f64> {
    let parts: Vec<f64> = (0..count).map(|_| Exp1.sample(stream)).collect();
    let total: f64 = parts.iter().sum();
    parts.into_iter().map(|part| part / total).collect()
}

/// The index of a draw from probabilities that sum to one.
pub(super) fn draw_index(probabilities: &[f64], stream: &mut Stream) -> usize {
    let mut left = stream.random::<f64>();
    for (index, probability) in probabilities.iter().enumerate() {
        left -= probability;
        if left < 0.0 {
            return index;
        }
    }
    // Rounding can leave a sliver above the last step: it belongs to the last possible outcome.
    probabilities.iter().rposition(|probability| *probability > 0.0).unwrap_or_default()
}

/// A pair of labels, and how many pairs it was drawn from.
pub(super) fn pair(parameters: &Parameters, stream: &mut Stream) -> ([String; 2], usize) {
    if parameters.labels.is_empty() {
        let pair = PAIRS[stream.random_range(0..PAIRS.len())];
        return (pair.map(str::to_owned), PAIRS.len());
    }
    let pool = &parameters.labels[stream.random_range(0..parameters.labels.len())];
    ([pool[0].clone(), pool[1].clone()], parameters.labels.len())
}

/// `wanted` different labels of one pool in random order, fewer if the pool is smaller.
pub(super) fn several(parameters: &Parameters, wanted: usize, stream: &mut Stream) -> Vec<String> {
    if let Some(words) = parameters.words {
        return words.labels(wanted, stream);
    }
    let mut labels = if parameters.labels.is_empty() {
        let pool = POOLS[stream.random_range(0..POOLS.len())];
        pool.iter().map(|label| (*label).to_owned()).collect()
    } else {
        parameters.labels[stream.random_range(0..parameters.labels.len())].clone()
    };
    labels.shuffle(stream);
    labels.truncate(wanted);
    labels
}

/// The labels as a sentence lists them: `a, b and c`.
pub(super) fn listed(labels: &[String]) -> String {
    match labels {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A JSON object of labels and numbers, in the order given.
pub(super) fn json_object(entries: impl IntoIterator<Item = (String, String)>) -> String {
    let entries: Vec<String> = entries
        .into_iter()
        .map(|(label, number)| format!("{}: {number}", serde_json::Value::from(label)))
        .collect();
    format!("{{{}}}", entries.join(", "))
}

/// `units / 10^decimals` in exactly that many decimals; zero has no sign.
pub(super) fn fixed_point(units: i64, decimals: usize) -> String {
    let digits = format!("{:0width$}", units.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let sign = if units < 0 { "-" } else { "" };
    let point = if decimals == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// [`fixed_point`] without trailing zeros: `0.290` is `0.29`.
pub(super) fn trimmed(units: i64, decimals: usize) -> String {
    let text = fixed_point(units, decimals);
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Thousandths as a probability: `290` is `0.29`.
pub(super) fn probability(thousandths: u64) -> String {
    trimmed(thousandths as i64, 3)
}

/// Thousandths as a percentage: `285` is `28.5%`.
pub(super) fn percentage(thousandths: u64) -> String {
    format!("{}%", trimmed(thousandths as i64, 1))
}

/// A probability in whole thousandths, strictly between 0 and 1.
pub(super) fn to_thousandths(probability: f64) -> u64 {
    ((probability * 1000.0).round() as u64).clamp(1, 999)
}

/// Probabilities as whole thousandths that are at least 1 each and sum to exactly 1000.
pub(super) fn shares_in_thousandths(probabilities: &[f64]) -> Vec<u64> {
    let spare = 1000 - probabilities.len() as u64;
    let exact: Vec<f64> = probabilities.iter().map(|share| share * spare as f64).collect();
    let mut shares: Vec<u64> = exact.iter().map(|share| 1 + *share as u64).collect();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()).then(a.cmp(b)));
    let missing = 1000 - shares.iter().sum::<u64>();
    for index in by_remainder.into_iter().cycle().take(missing as usize) {
        shares[index] += 1;
    }
    shares
}
