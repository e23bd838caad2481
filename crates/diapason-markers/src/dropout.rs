//! Which markers an example shows on its prompt side (Treasure Hunt, arXiv 2506.14702).
//!
//! Two droppings, on the prompt side only: of the whole list for a share of the examples
//! (*dataset-level*), and of single markers in the remaining ones (*sample-level*). The completion
//! side always has every marker, so that a model learns to infer what it is not told.

use crate::error::MarkerError;
use crate::list::print_in_order;
use diapason_flow::{MarkerValue, Markers, Stream};
use rand::RngExt;
use rand::seq::SliceRandom;

/// Order of the markers in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By name.
    #[default]
    Fixed,
    /// Drawn anew for every list, so that no marker always waits for another.
    Shuffled,
}

/// How markers are dropped from the prompt side.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dropout {
    /// Share of examples that show no list at all.
    pub dataset: f64,
    /// In the other examples, the chance of each marker to be left out.
    pub sample: f64,
    /// Order on both sides.
    pub order: Order,
}

impl Default for Dropout {
    /// The paper's: half of the examples, half of the markers.
    fn default() -> Self {
        Dropout { dataset: 0.5, sample: 0.5, order: Order::Fixed }
    }
}

/// The printed lists of one turn; empty where nothing is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Appended to the prompt.
    pub prompt: String,
    /// Prepended to the completion; never dropped.
    pub answer: String,
}

impl Dropout {
    /// Nothing dropped.
    pub const NONE: Dropout = Dropout { dataset: 0.0, sample: 0.0, order: Order::Fixed };

    /// Checks the shares.
    ///
    /// # Errors
    /// [`MarkerError::Share`].
    pub fn check(&self) -> Result<(), MarkerError> {
        for (name, value) in [("dataset", self.dataset), ("sample", self.sample)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(MarkerError::Share { name, value });
            }
        }
        Ok(())
    }

    /// The lists of the turns of one example: a chat example, or a sequence of draws.
    ///
    /// Whether the example shows lists is drawn once, which markers a turn shows for every turn.
    /// `stream` must be the example's own, named by its index.
    pub fn lists<'a>(
        &self,
        turns: impl Iterator<Item = &'a Markers>,
        stream: &mut Stream,
    ) -> Vec<Lists> {
        let shown = stream.random::<f64>() >= self.dataset;
        turns
            .map(|markers| {
                // Drawn in any case, so that the settings of one side leave the other alone.
                let kept: Vec<_> =
                    markers.iter().filter(|_| stream.random::<f64>() >= self.sample).collect();
                let prompt = self.print(kept, stream);
                let answer = self.print(markers.iter().collect(), stream);
                Lists { prompt: if shown { prompt } else { String::new() }, answer }
            })
            .collect()
    }

    fn print(&self, mut markers: Vec<(&str, &MarkerValue)>, stream: &mut Stream) -> String {
        if self.order == Order::Shuffled {
            markers.shuffle(stream);
        }
        print_in_order(markers.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{print_list, split_list};
    use diapason_flow::Streams;

    fn markers() -> Markers {
        let mut markers = Markers::default();
        for name in ["a", "b", "c", "d", "e"] {
            markers.set(name, "1");
        }
        markers
    }

    /// Six standard errors of a share: a right program fails once in a thousand million runs, and
    /// with this seed never.
    fn close(share: f64, expected: f64, of: usize) -> bool {
        (share - expected).abs() <= 6.0 * (expected * (1.0 - expected) / of as f64).sqrt()
    }

    #[test]
    fn shares_are_those_of_the_settings_and_the_answer_is_whole() {
        const EXAMPLES: usize = 4000;
        for (dataset, sample) in [(0.0, 0.5), (0.5, 0.5), (0.7, 0.2), (1.0, 0.0), (0.0, 0.0)] {
            let dropout = Dropout { dataset, sample, order: Order::Shuffled };
            let (mut kept, mut shown) = (0, 0);
            let (streams, whole) = (Streams::new(3), markers());
            for index in 0..EXAMPLES {
                let mut stream = streams.stream("dropout", index as u64);
                let lists = dropout.lists([&whole, &whole].into_iter(), &mut stream);
                for list in &lists {
                    assert_eq!(split_list(&list.answer).markers, whole);
                }
                let prompt = |list: &Lists| split_list(&list.prompt).markers.0.len();
                let seen: usize = lists.iter().map(prompt).sum();
                kept += seen;
                shown += usize::from(seen > 0);
            }
            let markers = EXAMPLES * 10;
            let expected = (1.0 - dataset) * (1.0 - sample);
            // Markers of one example share its fate: the error is that of the examples.
            assert!(close(kept as f64 / markers as f64, expected, EXAMPLES), "{dataset} {sample}");
            let visible = (1.0 - dataset) * (1.0 - f64::powi(sample, 10));
            assert!(close(shown as f64 / EXAMPLES as f64, visible, EXAMPLES), "{dataset} {sample}");
        }
    }

    #[test]
    fn a_fixed_order_is_that_of_the_names_and_a_shuffled_one_varies() {
        let whole = markers();
        let lists = |order, index| {
            let dropout = Dropout { order, ..Dropout::NONE };
            dropout.lists([&whole].into_iter(), &mut Streams::new(1).stream("d", index)).remove(0)
        };
        assert_eq!(lists(Order::Fixed, 0).prompt, print_list(&whole));
        let orders: std::collections::BTreeSet<String> =
            (0..20).map(|index| lists(Order::Shuffled, index).answer).collect();
        assert!(orders.len() > 10);
    }

    #[test]
    fn shares_outside_their_range_are_errors() {
        let dropout = Dropout { sample: 1.5, ..Dropout::default() };
        assert!(dropout.check().unwrap_err().to_string().starts_with("`sample` is 1.5"));
        assert!(Dropout::default().check().is_ok());
    }
}
