//! Episodes as one model is tuned on them: its loss, and what dropout leaves of the markers.

use diapason_flow::{Episode, LossPolicy, Marked, Streams};
use diapason_markers::{Dropout, Lists, split_list};
use diapason_text::Template;
use std::fmt;

/// How episodes are rendered for one model.
pub(super) struct Rendering<'a> {
    /// The layout.
    pub(super) template: &'a Template,
    /// Which tokens bear loss.
    pub(super) loss: LossPolicy,
    /// What the prompt side drops; a model without this sees no marker on either side.
    pub(super) dropout: Option<Dropout>,
    /// Streams of the dropping, one an episode.
    pub(super) streams: Streams,
}

impl Rendering<'_> {
    /// The rendering of the episode at `index` of the training order, and the lists in it.
    pub(super) fn render(&self, index: u64, episode: &Episode) -> (Marked, Vec<Lists>) {
        let lists = self.dropout.map_or_else(Vec::new, |dropout| {
            let turns = episode.turns.iter().map(|turn| &turn.markers);
            dropout.lists(turns, &mut self.streams.stream("episode", index))
        });
        (self.template.render_with_lists(episode, self.loss, &lists), lists)
    }
}

/// What the lists of many examples show, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Examples that have markers.
    pub(super) examples: usize,
    /// Of these, examples whose prompt side shows none.
    pub(super) bare: usize,
    /// Markers of the other examples.
    pub(super) markers: usize,
    /// Of these, markers that the prompt side shows.
    pub(super) kept: usize,
}

impl Shown {
    /// Counts one example.
    pub(super) fn add(&mut self, lists: &[Lists]) {
        let count = |list: &str| split_list(list).markers.0.len();
        let markers: usize = lists.iter().map(|list| count(&list.answer)).sum();
        let kept: usize = lists.iter().map(|list| count(&list.prompt)).sum();
        if markers == 0 {
            return;
        }
        self.examples += 1;
        if kept == 0 {
            self.bare += 1;
        } else {
            self.markers += markers;
            self.kept += kept;
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        write!(
            formatter,
            "{:.1} % of {} marked examples show no marker in the prompt, the others {:.1} % of \
             theirs; every answer shows all of its own",
            percent(self.bare, self.examples),
            self.examples,
            percent(self.kept, self.markers),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::{Markers, Role, Turn};
    use diapason_markers::Order;
    use diapason_text::{TemplateKind, family};

    const NAMES: [&str; 6] = ["domain", "lang", "length_tokens", "quality_bucket", "style", "task"];

    fn markers() -> Markers {
        let mut markers = Markers::default();
        for name in NAMES {
            markers.set(name, "1");
        }
        markers
    }

    /// A chat example, or a sequence of three draws.
    fn example(chat: bool) -> Episode {
        let mut episode = Episode::new("t", "u");
        episode.exchangeable = !chat;
        let turn = |input: Option<&str>| Turn {
            input: input.map(str::to_owned),
            output: "o".into(),
            markers: markers(),
            optimal_nats: None,
        };
        episode.description = (!chat).then(|| "draws".to_owned());
        episode.turns = if chat { vec![turn(Some("q"))] } else { vec![turn(None); 3] };
        episode
    }

    /// Markers that stand on each side of a rendering.
    fn sides(marked: &Marked) -> [usize; 2] {
        let mut sides = [0, 0];
        for span in marked.spans.iter().filter(|span| !span.template) {
            let side = usize::from(span.role == Some(Role::Output));
            let list = span.text.find("<MARKER_LIST>").map_or("", |at| &span.text[at..]);
            sides[side] += split_list(list).markers.0.len();
        }
        sides
    }

    #[test]
    fn measured_shares_equal_the_settings_and_answers_are_whole() {
        const EXAMPLES: usize = 2000;
        for chat in [true, false] {
            let template = Template::new(TemplateKind::Spectrum, family("diapason").unwrap());
            for (dataset, sample) in [(0.0, 0.5), (0.5, 0.5), (0.7, 0.5), (0.0, 0.0), (1.0, 1.0)] {
                let dropout = Dropout { dataset, sample, order: Order::Shuffled };
                let rendering = Rendering {
                    template: &template,
                    loss: LossPolicy::EveryOutput,
                    dropout: Some(dropout),
                    streams: Streams::new(3),
                };
                let episode = example(chat);
                let all = NAMES.len() * episode.turns.len();
                let (mut shown, mut bare, mut kept) = (Shown::default(), 0, 0);
                for index in 0..EXAMPLES {
                    let (marked, lists) = rendering.render(index as u64, &episode);
                    let [prompt, answer] = sides(&marked);
                    assert_eq!(answer, all, "no answer ever loses a marker");
                    shown.add(&lists);
                    bare += usize::from(prompt == 0);
                    kept += prompt;
                }
                assert_eq!((shown.bare, shown.kept), (bare, kept), "what is said is what stands");
                let hidden = dataset + (1.0 - dataset) * f64::powi(sample, all as i32);
                let whole = (1.0 - dataset) * (1.0 - sample);
                for (measured, expected) in [
                    (bare as f64 / EXAMPLES as f64, hidden),
                    (kept as f64 / (EXAMPLES * all) as f64, whole),
                ] {
                    let error = (expected * (1.0 - expected) / EXAMPLES as f64).sqrt();
                    let near = (measured - expected).abs() <= 5.0 * error;
                    assert!(near, "chat {chat}: {measured} for {expected}");
                }
            }
        }
    }

    #[test]
    fn a_model_without_marker_settings_sees_none() {
        let template = Template::new(TemplateKind::Spectrum, family("diapason").unwrap());
        let streams = Streams::new(3);
        let loss = LossPolicy::EveryOutput;
        let rendering = Rendering { template: &template, loss, dropout: None, streams };
        for chat in [true, false] {
            let (marked, lists) = rendering.render(0, &example(chat));
            assert!(lists.is_empty() && !marked.text().contains("MARKER_LIST"));
        }
    }
}
