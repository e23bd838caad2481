//! The judge of open-ended outputs: is a text valid, and which output is it?

use crate::EvalError;
use diapason_flow::Check;
use regex::Regex;
use std::collections::{BTreeSet, HashMap};

/// Largest bound up to which the primes are counted to know how many valid outputs there are.
const COUNTED_PRIMES_MAX: u64 = 10_000_000;

/// A [`Check`] made ready once for many texts.
#[derive(Clone, Debug)]
pub struct Judge {
    rule: Rule,
    support: Option<u64>,
}

#[derive(Clone, Debug)]
enum Rule {
    List { spellings: HashMap<String, String>, ignore_case: bool },
    Pattern(Regex),
    Integer { min: u64, max: u64 },
    Prime { max: u64 },
    Open { similarity: f64 },
}

impl Judge {
    /// Compiles a check.
    ///
    /// # Errors
    /// [`EvalError::Pattern`] and [`EvalError::Range`] for checks that cannot be meant,
    /// [`EvalError::NeedsJudge`] for those that no rule decides.
    pub fn new(check: &Check) -> Result<Self, EvalError> {
        let rule = match check {
            Check::List { items, ignore_case } => {
                let mut spellings = HashMap::new();
                for item in items {
                    let item = item.trim();
                    spellings.entry(key(item, *ignore_case)).or_insert_with(|| item.to_owned());
                }
                Rule::List { spellings, ignore_case: *ignore_case }
            }
            Check::Pattern { pattern } => {
                Rule::Pattern(Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|problem| {
                    EvalError::Pattern { pattern: pattern.clone(), problem: problem.to_string() }
                })?)
            }
            Check::Integer { min, max } if min > max => {
                return Err(EvalError::Range { min: *min, max: *max });
            }
            Check::Integer { min, max } => Rule::Integer { min: *min, max: *max },
            Check::Prime { max } => Rule::Prime { max: *max },
            Check::Open { similarity } => Rule::Open { similarity: *similarity },
            Check::Judged { criterion } => {
                return Err(EvalError::NeedsJudge { criterion: criterion.clone() });
            }
        };
        let support = rule.support();
        Ok(Judge { rule, support })
    }

    /// The canonical form of a valid text, `None` for an invalid one. Surrounding whitespace
    /// never matters. Where outputs are told apart by likeness this is the text itself: see
    /// [`classes`](Self::classes).
    pub fn canonical(&self, text: &str) -> Option<String> {
        let text = text.trim();
        match &self.rule {
            Rule::List { spellings, ignore_case } => {
                spellings.get(&key(text, *ignore_case)).cloned()
            }
            Rule::Pattern(pattern) => pattern.is_match(text).then(|| text.to_owned()),
            Rule::Integer { min, max } => plain_integer(text)
                .filter(|value| (min..=max).contains(&value))
                .map(|_| text.to_owned()),
            Rule::Prime { max } => plain_integer(text)
                .filter(|value| value <= max && is_prime(*value))
                .map(|_| text.to_owned()),
            Rule::Open { .. } => (!text.is_empty()).then(|| text.to_owned()),
        }
    }

    /// The classes of the draws of one prompt, none seen yet.
    pub fn classes(&self) -> Classes<'_> {
        Classes { judge: self, seen: Vec::new() }
    }

    /// Number of distinct valid outputs, where it is finite and known: always for lists and
    /// integers, for primes up to ten million.
    pub fn support(&self) -> Option<u64> {
        self.support
    }
}

/// Draws of one prompt put into classes, in the order in which they were drawn.
#[derive(Debug)]
pub struct Classes<'judge> {
    judge: &'judge Judge,
    /// The first text of every class, with its words.
    seen: Vec<(String, BTreeSet<String>)>,
}

impl Classes<'_> {
    /// The class of a draw, by its canonical form; `None` if it is not valid.
    pub fn class(&mut self, text: &str) -> Option<String> {
        let canonical = self.judge.canonical(text)?;
        let Rule::Open { similarity } = self.judge.rule else { return Some(canonical) };
        let words: BTreeSet<String> = canonical
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let alike = |(_, other): &&(String, BTreeSet<String>)| {
            let shared = words.intersection(other).count();
            let all = words.len() + other.len() - shared;
            all == 0 || shared as f64 >= similarity * all as f64
        };
        if let Some((first, _)) = self.seen.iter().find(alike) {
            return Some(first.clone());
        }
        self.seen.push((canonical.clone(), words));
        Some(canonical)
    }
}

impl Rule {
    fn support(&self) -> Option<u64> {
        match self {
            Rule::List { spellings, .. } => Some(spellings.len() as u64),
            Rule::Pattern(_) | Rule::Open { .. } => None,
            Rule::Integer { min, max } => (max - min).checked_add(1),
            Rule::Prime { max } => (*max <= COUNTED_PRIMES_MAX).then(|| count_primes(*max)),
        }
    }
}

/// The canonical form of one text. For many texts compile a [`Judge`] once.
///
/// # Errors
/// Those of [`Judge::new`].
pub fn judge(check: &Check, text: &str) -> Result<Option<String>, EvalError> {
    Ok(Judge::new(check)?.canonical(text))
}

fn key(text: &str, ignore_case: bool) -> String {
    if ignore_case { text.to_lowercase() } else { text.to_owned() }
}

/// ASCII digits only, no sign, no leading zero: variants of one number must not count twice.
fn plain_integer(text: &str) -> Option<u64> {
    let plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Miller–Rabin with the first twelve primes as bases, which is exact below 2^64
/// (Sorenson & Webster 2015).
fn is_prime(value: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if value < 2 {
        return false;
    }
    if let Some(base) = BASES.iter().find(|base| value.is_multiple_of(**base)) {
        return value == *base;
    }
    let twos = (value - 1).trailing_zeros();
    let odd = (value - 1) >> twos;
    BASES.iter().all(|base| {
        let mut power = power_modulo(*base, odd, value);
        if power == 1 || power == value - 1 {
            return true;
        }
        (1..twos).any(|_| {
            power = multiply_modulo(power, power, value);
            power == value - 1
        })
    })
}

fn multiply_modulo(a: u64, b: u64, modulus: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

fn power_modulo(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply_modulo(result, base, modulus);
        }
        base = multiply_modulo(base, base, modulus);
        exponent >>= 1;
    }
    result
}

fn count_primes(max: u64) -> u64 {
    let mut composite = vec![false; max as usize + 1];
    let mut count = 0;
    for value in 2..composite.len() {
        if !composite[value] {
            count += 1;
            for multiple in (value * value..composite.len()).step_by(value) {
                composite[multiple] = true;
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(check: &Check, text: &str) -> Option<String> {
        judge(check, text).unwrap()
    }

    #[test]
    fn a_list_answers_in_its_own_spelling_and_counts_variants_once() {
        let items = vec!["Monday".into(), "monday ".into(), "Tuesday".into()];
        let exact = Check::List { items: items.clone(), ignore_case: false };
        let loose = Check::List { items, ignore_case: true };
        assert_eq!(accepts(&exact, " Tuesday\n"), Some("Tuesday".into()));
        assert_eq!(accepts(&exact, "TUESDAY"), None);
        assert_eq!(accepts(&loose, "MONDAY"), Some("Monday".into()));
        assert_eq!(Judge::new(&exact).unwrap().support(), Some(3));
        assert_eq!(Judge::new(&loose).unwrap().support(), Some(2));
    }

    #[test]
    fn a_pattern_matches_the_whole_text_even_with_alternatives() {
        let check = Check::Pattern { pattern: "a|b+".into() };
        assert_eq!(accepts(&check, "bbb"), Some("bbb".into()));
        assert_eq!(accepts(&check, "ab"), None);
        assert_eq!(accepts(&check, "a\nx"), None);
        let broken = Check::Pattern { pattern: "(".into() };
        assert!(matches!(Judge::new(&broken), Err(EvalError::Pattern { .. })));
    }

    #[test]
    fn integers_have_one_spelling() {
        let check = Check::Integer { min: 0, max: 100 };
        for text in ["0", "7", "100", " 42 "] {
            assert!(accepts(&check, text).is_some(), "{text}");
        }
        for text in ["", "+7", "-1", "07", "1_0", "٣", "101", "7.0", "99999999999999999999999"] {
            assert_eq!(accepts(&check, text), None, "{text}");
        }
        assert_eq!(Judge::new(&check).unwrap().support(), Some(101));
        let all = Judge::new(&Check::Integer { min: 0, max: u64::MAX }).unwrap();
        assert_eq!(all.support(), None);
        let empty = Judge::new(&Check::Integer { min: 3, max: 2 });
        assert!(matches!(empty, Err(EvalError::Range { min: 3, max: 2 })));
    }

    #[test]
    fn primes_agree_with_trial_division() {
        let slow = |value: u64| {
            value > 1 && (2..value).take_while(|d| d * d <= value).all(|d| !value.is_multiple_of(d))
        };
        for value in 0..5000 {
            assert_eq!(is_prime(value), slow(value), "{value}");
        }
        assert!(is_prime(18446744073709551557), "the largest prime below 2^64");
        assert!(!is_prime(3215031751), "a strong pseudoprime to bases 2, 3, 5 and 7");
        assert!(!is_prime(4294967291 * 4294967279));
        let check = Check::Prime { max: 100 };
        assert_eq!(Judge::new(&check).unwrap().support(), Some(25));
        assert_eq!(accepts(&check, "97"), Some("97".into()));
        assert_eq!(accepts(&check, "101"), None);
    }
}
