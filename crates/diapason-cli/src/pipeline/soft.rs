//! Queries with a known distribution as training data: one more turn, whose output is drawn, and
//! all of its options.

use diapason_flow::{Episode, Goal, LossPolicy, Query, Stream, Turn};
use diapason_text::{TextError, Tokenizer};
use diapason_train::SoftTarget;
use rand::RngExt as _;

/// An episode whose query became its last turn.
pub(super) struct Asked {
    /// The episode with the drawn option as its last output.
    pub(super) episode: Episode,
    options: Vec<String>,
    probs: Vec<f64>,
}

impl Asked {
    /// `None` where no distribution is known, or where the loss leaves the last output alone.
    pub(super) fn of(episode: &Episode, loss: LossPolicy, stream: &mut Stream) -> Option<Self> {
        let learned = matches!(loss, LossPolicy::EveryOutput | LossPolicy::LastOutput);
        let Some(Query { input, goal: Goal::Choices { options, probs } }) =
            episode.query.as_ref().filter(|_| learned)
        else {
            return None;
        };
        let drawn = draw(probs, stream.random())?;
        let mut episode = episode.clone();
        let output = options[drawn].clone();
        episode.turns.push(Turn { input: input.clone(), output, ..Turn::default() });
        let (options, probs) = (options.clone(), probs.clone());
        Some(Asked { episode, options, probs })
    }

    /// The options as they stand in place of the drawn output. `None` if the rendering bears no
    /// loss there or shows more than the bare output (a marker list).
    pub(super) fn target(
        &self,
        tokens: &diapason_flow::Tokens,
        tokenizer: &Tokenizer,
    ) -> Result<Option<SoftTarget>, TextError> {
        let Some(last) = self.episode.turns.last() else { return Ok(None) };
        let drawn = tokenizer.encode_output(&last.output)?;
        let place = tokens.turn().last().copied().flatten();
        let learned = |index: &usize| tokens.learn()[*index] && tokens.turn()[*index] == place;
        let Some(from) = (1..tokens.len()).find(learned) else { return Ok(None) };
        let end = from + drawn.len();
        let alone = tokens.ids().get(from..end) == Some(&drawn[..])
            && (from..tokens.len()).all(|index| tokens.learn()[index] == (index < end));
        if !alone {
            return Ok(None);
        }
        let mut options = Vec::with_capacity(self.options.len());
        for (option, probability) in self.options.iter().zip(&self.probs) {
            options.push((tokenizer.encode_output(option)?, *probability));
        }
        Ok(Some(SoftTarget { from, options }))
    }
}

/// The option at a point of the unit interval; `None` if there is no possible one.
fn draw(probs: &[f64], point: f64) -> Option<usize> {
    let mut below = 0.0;
    let mut last = None;
    for (index, probability) in probs.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        below += probability;
        last = Some(index);
        if point < below {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::Streams;

    fn urn() -> Episode {
        let mut episode = Episode::new("urn", "1");
        episode.description = Some("An urn with 3 red balls and 1 blue ball.".to_owned());
        let goal = Goal::Choices {
            options: vec!["red".into(), "green".into(), "blue".into()],
            probs: vec![0.75, 0.0, 0.25],
        };
        episode.query = Some(Query { input: Some("Draw a ball.".to_owned()), goal });
        episode
    }

    #[test]
    fn options_are_drawn_as_often_as_they_are_likely() {
        let mut stream = Streams::new(1).stream("draws", 0);
        let mut red = 0;
        for _ in 0..2000 {
            let asked = Asked::of(&urn(), LossPolicy::EveryOutput, &mut stream).unwrap();
            let turn = asked.episode.turns.last().unwrap();
            assert_eq!(turn.input.as_deref(), Some("Draw a ball."));
            assert!(["red", "blue"].contains(&turn.output.as_str()));
            red += usize::from(turn.output == "red");
        }
        // Four standard errors.
        assert!((1500_usize.abs_diff(red)) < 78, "{red}");
        assert!(Asked::of(&urn(), LossPolicy::ModalAnswer, &mut stream).is_none());
        let unasked = Episode { query: None, ..urn() };
        assert!(Asked::of(&unasked, LossPolicy::EveryOutput, &mut stream).is_none());
    }

    #[test]
    fn the_target_begins_where_the_drawn_output_does() {
        let texts = ["An urn with red balls and blue balls, green.", "Draw a ball."];
        let tokenizer = diapason_text::train_tokenizer(texts.into_iter(), 300).unwrap();
        let mut stream = Streams::new(1).stream("draws", 0);
        let asked = Asked::of(&urn(), LossPolicy::EveryOutput, &mut stream).unwrap();
        let marked = tokenizer.template().render(&asked.episode, LossPolicy::EveryOutput);
        let tokens = tokenizer.encode(&marked).unwrap();
        let target = asked.target(&tokens, &tokenizer).unwrap().unwrap();
        assert_eq!(target.options.len(), 3);
        let drawn = &asked.episode.turns[0].output;
        let index = asked.options.iter().position(|option| option == drawn).unwrap();
        let (ids, probability) = &target.options[index];
        assert_eq!(&tokens.ids()[target.from..target.from + ids.len()], &ids[..]);
        assert_eq!(*probability, asked.probs[index]);
        // Without loss on the output there is nothing that options could stand in for.
        let mut silent = diapason_flow::Tokens::default();
        for (id, turn) in tokens.ids().iter().zip(tokens.turn()) {
            silent.push(*id, false, *turn);
        }
        assert!(asked.target(&silent, &tokenizer).unwrap().is_none());
    }
}
