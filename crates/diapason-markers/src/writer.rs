//! A marker list written step by step, so that whatever chooses can only write a well-formed one.
//!
//! A list alternates between two questions: which marker comes next (or does the list end), and
//! which value it has. [`Writer::step`] says what may be written, as the text of the list so far
//! with each option behind it; a model scores these texts, and [`Writer::take`] goes on with the
//! chosen one. No option is the beginning of another, so the scores of a step are the model's own
//! distribution over what is allowed. Markers that were set are written as they were set.

use crate::list::{END, OPEN, closing, opening};
use crate::trained::Trained;
use diapason_flow::{MarkerValue, Markers};
use std::collections::BTreeSet;

/// What may be written next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The marker whose value is asked for; `None` where the next marker is.
    pub marker: Option<String>,
    /// The values, or the names of markers, behind them an empty text where the list may end. Never
    /// empty.
    pub options: Vec<String>,
    /// The list so far with each option written, in the order of `options`.
    pub texts: Vec<String>,
}

/// Writes one list.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    trained: &'a Trained,
    /// Markers that may have several values; of those that are set, none has more than was set.
    several: BTreeSet<&'a str>,
    /// What is set and not written yet.
    fixed: Markers,
    written: Vec<(String, String)>,
    text: String,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Name,
    Value(String),
    Ended,
}

impl<'a> Writer<'a> {
    /// A list with `fixed` markers in it, the others open. A model that saw no marker, asked for
    /// none, writes an empty list.
    pub fn new(trained: &'a Trained, fixed: &Markers) -> Self {
        let mut fixed = fixed.clone();
        fixed.0.retain(|_, value| !value.values().is_empty());
        let nothing = fixed.is_empty() && trained.values.is_empty();
        let mut several = trained.several();
        several.retain(|name| !fixed.0.contains_key(*name));
        Writer {
            trained,
            several,
            fixed,
            written: Vec::new(),
            text: if nothing { String::new() } else { OPEN.to_owned() },
            state: if nothing { State::Ended } else { State::Name },
        }
    }

    /// What may be written next; `None` once the list has ended.
    pub fn step(&self) -> Option<Step> {
        let with = |part: &String| format!("{}{part}", self.text);
        match &self.state {
            State::Ended => None,
            State::Name => {
                let mut options = self.names();
                let mut texts: Vec<String> =
                    options.iter().map(|name| with(&opening(name))).collect();
                if self.may_end() {
                    options.push(String::new());
                    texts.push(with(&END.to_owned()));
                }
                Some(Step { marker: None, options, texts })
            }
            State::Value(name) => {
                let options = self.values(name);
                let texts = options.iter().map(|value| with(&closing(name, value))).collect();
                Some(Step { marker: Some(name.clone()), options, texts })
            }
        }
    }

    /// Goes on with one option of [`step`](Self::step). Nothing happens beyond the last one.
    pub fn take(&mut self, option: usize) {
        let Some(mut step) = self.step().filter(|step| option < step.options.len()) else { return };
        // Told by its place: data may hold a marker without a name.
        let ends = self.may_end() && option + 1 == step.options.len();
        self.text = step.texts.swap_remove(option);
        let chosen = step.options.swap_remove(option);
        self.state = match step.marker {
            None if ends => State::Ended,
            None => State::Value(chosen),
            Some(name) => {
                self.settle(&name, &chosen);
                self.written.push((name, chosen));
                State::Name
            }
        };
    }

    /// The list so far; whole once [`step`](Self::step) is `None`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The markers of the list so far.
    pub fn markers(&self) -> Markers {
        let mut markers = Markers::default();
        for (name, value) in &self.written {
            markers.add(name, value);
        }
        markers
    }

    /// Names that may come next. Set markers are never passed over: in lists ordered by name none
    /// behind the next of them is offered, and the list ends only when all are written.
    fn names(&self) -> Vec<String> {
        let last = self.written.last().map(|(name, _)| name);
        if let Some(last) = last.filter(|last| self.fixed.0.contains_key(*last)) {
            // A marker with several set values: they stand together.
            return vec![last.clone()];
        }
        let next_fixed = self.fixed.0.keys().next();
        let set: BTreeSet<&String> = self.fixed.0.keys().collect();
        let known: BTreeSet<&String> = self.trained.values.keys().chain(set).collect();
        let open = |name: &String| {
            let again = Some(name) == last
                && self.several.contains(name.as_str())
                && !self.values(name).is_empty();
            let unwritten = self.written.iter().all(|(written, _)| written != name);
            let in_order = !self.trained.ordered()
                || (last.is_none_or(|last| name >= last)
                    && next_fixed.is_none_or(|fixed| name <= fixed));
            (unwritten || again) && (in_order || Some(name) == next_fixed)
        };
        known.into_iter().filter(|name| open(name)).cloned().collect()
    }

    /// Whether the list may end: something is written and all that was set.
    fn may_end(&self) -> bool {
        self.fixed.is_empty() && !self.written.is_empty()
    }

    /// Values that a marker may have: the one that is set, or those of training not written yet.
    fn values(&self, name: &str) -> Vec<String> {
        if let Some(value) = self.fixed.0.get(name).and_then(|value| value.values().first()) {
            return vec![value.clone()];
        }
        let seen = self.trained.values.get(name).map_or(&[][..], Vec::as_slice);
        let unwritten =
            |value: &&String| !self.written.iter().any(|(n, v)| n == name && v == *value);
        seen.iter().filter(unwritten).cloned().collect()
    }

    /// Crosses one written value off what is set.
    fn settle(&mut self, name: &str, value: &str) {
        let Some(set) = self.fixed.0.remove(name) else { return };
        let mut left = set.values().to_vec();
        if let Some(place) = left.iter().position(|other| other == value) {
            left.remove(place);
        }
        if !left.is_empty() {
            self.fixed.0.insert(name.to_owned(), MarkerValue::Many(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::markers;
    use crate::{Dropout, Order, print_list, split_list};
    use diapason_flow::Streams;
    use proptest::prelude::*;
    use rand::RngExt;

    fn trained(order: Order) -> Trained {
        let examples = [
            markers(&[("lang", &["French"]), ("format", &["JSON", "Markdown"])]),
            markers(&[("lang", &["Greek"]), ("length_tokens", &["7"]), ("task", &["Rewrite"])]),
            markers(&[("x</MARKER_LIST>", &["<y>"]), ("", &["nameless"])]),
        ];
        Trained::of(Dropout { order, ..Dropout::default() }, true, &examples)
    }

    /// Writes a list with random choices; the texts of a step must not begin one another.
    fn write(trained: &Trained, fixed: &Markers, seed: u64) -> (String, Markers) {
        let mut stream = Streams::new(seed).stream("writer", 0);
        let mut writer = Writer::new(trained, fixed);
        while let Some(step) = writer.step() {
            assert_eq!(step.options.len(), step.texts.len());
            for (index, text) in step.texts.iter().enumerate() {
                let begins = |other: &String| other.starts_with(text.as_str());
                assert_eq!(step.texts.iter().filter(|other| begins(other)).count(), 1, "{index}");
            }
            writer.take(stream.random_range(0..step.options.len()));
        }
        (writer.text().to_owned(), writer.markers())
    }

    proptest! {
        #[test]
        fn every_list_is_well_formed_and_holds_what_is_set(
            seed in any::<u64>(),
            shuffled in any::<bool>(),
            set in proptest::sample::subsequence(
                vec![("format", vec!["XML", "JSON"]), ("lang", vec!["Greek"]), ("new", vec!["<"]), ("", vec!["x"]),
                     ("x</MARKER_LIST>", vec!["&lt;"]), ("task", vec![])], 0..6),
        ) {
            let order = if shuffled { Order::Shuffled } else { Order::Fixed };
            let set: Vec<(&str, &[&str])> =
                set.iter().map(|(name, values)| (*name, values.as_slice())).collect();
            let fixed = markers(&set);
            let (text, written) = write(&trained(order), &fixed, seed);
            let whole = format!("{text}\nanswer");
            let split = split_list(&whole);
            prop_assert!(split.closed && split.text == "answer");
            prop_assert_eq!(&split.markers, &written);
            for (name, value) in fixed.iter().filter(|(_, value)| !value.values().is_empty()) {
                prop_assert_eq!(&written.0[name], value);
            }
            if !shuffled {
                prop_assert_eq!(text, print_list(&written));
            }
        }
    }

    #[test]
    fn a_list_ends_only_with_something_in_it() {
        let trained = trained(Order::Fixed);
        let writer = Writer::new(&trained, &Markers::default());
        let names = writer.step().unwrap().options;
        assert_eq!(names, ["", "format", "lang", "length_tokens", "task", "x</MARKER_LIST>"]);
        let nothing = Trained::of(Dropout::default(), true, &[]);
        assert_eq!(Writer::new(&nothing, &Markers::default()).step(), None);
    }
}
