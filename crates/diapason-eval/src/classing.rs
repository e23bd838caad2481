//! Draws of one prompt put into classes by questions about pairs, as NoveltyBench does
//! (Zhang et al. 2025, arXiv 2504.05228): each draw is compared with the first of every class
//! until one is much the same, else it opens a class of its own.
//!
//! Who answers is not known here: [`Classing::open_class`] says what to ask, round by round, and
//! [`Classing::same`] takes the answers. The questions of one round do not depend on one another.

use std::collections::BTreeSet;

/// Answers of at most so many words are compared by their words alone, as the benchmark does.
const SHORT_WORDS: usize = 5;

/// Draws of one prompt on their way into classes.
#[derive(Clone, Debug)]
pub struct Classing {
    texts: Vec<String>,
    class: Vec<Option<usize>>,
    count: usize,
}

impl Classing {
    /// Draws in the order in which they were drawn, none of them in a class.
    pub fn new(texts: Vec<String>) -> Self {
        let class = vec![None; texts.len()];
        Classing { texts, class, count: 0 }
    }

    /// Opens the next class with the first draw that has none, and says which others have to be
    /// compared with it: pairs of the class's first draw and another. `None` once every draw has a
    /// class. Pairs that words alone settle are not among them.
    pub fn open_class(&mut self) -> Option<Vec<(usize, usize)>> {
        let first = self.class.iter().position(Option::is_none)?;
        self.class[first] = Some(self.count);
        self.count += 1;
        let mut open = Vec::new();
        for other in first + 1..self.texts.len() {
            if self.class[other].is_some() {
                continue;
            }
            match settled(&self.texts[first], &self.texts[other]) {
                Some(true) => self.same(other),
                Some(false) => {}
                None => open.push((first, other)),
            }
        }
        Some(open)
    }

    /// Puts a draw into the newest class.
    pub fn same(&mut self, other: usize) {
        self.class[other] = Some(self.count.saturating_sub(1));
    }

    /// A draw.
    pub fn text(&self, index: usize) -> &str {
        &self.texts[index]
    }

    /// Every pair that may have to be asked about: what the questions cost at most.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let all =
            (0..self.texts.len()).flat_map(|i| (i + 1..self.texts.len()).map(move |j| (i, j)));
        all.filter(|(one, other)| settled(&self.texts[*one], &self.texts[*other]).is_none())
    }

    /// The class of each draw, numbered in the order of their first draws. Empty classes and draws
    /// without one do not occur after [`Classing::open_class`] has said `None`.
    pub fn classes(&self) -> Vec<usize> {
        self.class.iter().map(|class| class.unwrap_or(self.count)).collect()
    }

    /// The first draw of a draw's class.
    pub fn first_of(&self, index: usize) -> &str {
        let first = self.class.iter().position(|class| *class == self.class[index]);
        &self.texts[first.unwrap_or(index)]
    }
}

/// Whether two texts are the same, where that needs no judge: equal texts are; of short ones, those
/// that share at least half of the words of the longer.
pub fn settled(one: &str, other: &str) -> Option<bool> {
    let lower = [one, other].map(|text| text.trim().to_lowercase());
    if lower[0] == lower[1] {
        return Some(true);
    }
    let words = [0, 1].map(|side| lower[side].split_whitespace().collect::<Vec<_>>());
    let longest = words[0].len().max(words[1].len());
    if longest > SHORT_WORDS {
        return None;
    }
    let [one, other] = words.map(BTreeSet::from_iter);
    Some(2 * one.intersection(&other).count() >= longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Classes by a rule, and how many questions that took.
    fn run(texts: &[String], same: impl Fn(&str, &str) -> bool) -> (Vec<usize>, usize) {
        let mut classing = Classing::new(texts.to_vec());
        let mut asked = 0;
        while let Some(open) = classing.open_class() {
            asked += open.len();
            for (first, other) in open {
                if same(classing.text(first), classing.text(other)) {
                    classing.same(other);
                }
            }
        }
        (classing.classes(), asked)
    }

    /// The definition: one draw after the other, compared with the first of every class in turn.
    fn slow(texts: &[String], same: impl Fn(&str, &str) -> bool) -> Vec<usize> {
        let mut firsts: Vec<&String> = Vec::new();
        let mut classes = Vec::new();
        for text in texts {
            let alike = |first: &&String| settled(first, text).unwrap_or_else(|| same(first, text));
            let found = firsts.iter().position(alike);
            classes.push(found.unwrap_or(firsts.len()));
            if found.is_none() {
                firsts.push(text);
            }
        }
        classes
    }

    #[test]
    fn short_answers_need_no_judge() {
        for (one, other, same) in [
            ("Blue", "blue ", Some(true)),
            ("a blue whale", "A whale", Some(true)),
            ("a blue whale", "the red fox", Some(false)),
            ("", "x", Some(false)),
            ("one two three four five six", "one two", None),
            ("one two three four five six", "One two three four five six", Some(true)),
        ] {
            assert_eq!(settled(one, other), same, "{one} / {other}");
        }
    }

    #[test]
    fn no_more_is_asked_than_the_definition_needs() {
        let texts: Vec<String> =
            ["sun", "moon", "sun", "sun", "star"].map(|word| format!("a b c d e {word}")).to_vec();
        let mut classing = Classing::new(texts.clone());
        assert_eq!(classing.pairs().count(), 7, "three of the ten pairs are equal");
        assert_eq!(classing.open_class(), Some(vec![(0, 1), (0, 4)]));
        let (classes, asked) = run(&texts, |one, other| one == other);
        assert_eq!((classes, asked), (vec![0, 1, 0, 0, 2], 3));
        assert_eq!(classing.first_of(3), texts[0]);
        assert!(Classing::new(Vec::new()).open_class().is_none());
    }

    proptest! {
        #[test]
        fn rounds_give_the_classes_of_the_definition(
            picks in prop::collection::vec((0usize..6, 0usize..3), 0..14),
        ) {
            let text = |(which, length): &(usize, usize)| format!("w{which} ").repeat(1 + 3 * length);
            let texts: Vec<String> = picks.iter().map(text).collect();
            // Not transitive, as judges are.
            let same = |one: &str, other: &str| {
                one.as_bytes()[1].abs_diff(other.as_bytes()[1]) <= 1
            };
            prop_assert_eq!(run(&texts, same).0, slow(&texts, same));
        }
    }
}
