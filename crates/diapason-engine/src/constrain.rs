//! What a draw may consist of: token by token, which ids are allowed next.
//!
//! A constraint is compiled once for a request; every draw walks it with a state of its own. What is
//! not allowed gets no weight, so a draw has the model's distribution given the constraint at every
//! token (not over whole texts, which no left-to-right sampler gives).

use diapason_flow::{Constraint, Sampling};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use std::sync::Arc;

/// Where a draw stands in its constraint.
#[derive(Default)]
pub(crate) enum Walk {
    /// Every token is allowed.
    #[default]
    Free,
    /// The choices that are still possible, without what was drawn of them.
    Choices(Vec<Vec<u32>>),
    /// A grammar over the bytes of tokens; the first stop token is its end.
    Grammar(Box<Matcher>, Vec<u32>),
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Walk::Free => "Free",
            Walk::Choices(_) => "Choices",
            Walk::Grammar(..) => "Grammar",
        })
    }
}

impl Walk {
    /// The beginning of a request's constraint. `tokens` are the bytes of every id, without which
    /// patterns and schemas mean nothing.
    ///
    /// # Errors
    /// What is wrong with the constraint.
    pub(crate) fn of(sampling: &Sampling, tokens: &[Vec<u8>]) -> Result<Self, String> {
        let stop = &sampling.stop;
        let grammar = match &sampling.only {
            None => return Ok(Walk::Free),
            Some(Constraint::Choices(choices)) => {
                let ends = |choice: &Vec<u32>| {
                    let place = choice.iter().position(|id| stop.contains(id));
                    place.is_some_and(|place| place + 1 == choice.len())
                };
                return match choices.iter().position(|choice| !ends(choice)) {
                    _ if choices.is_empty() => Err("there is no choice".to_owned()),
                    Some(place) => Err(format!("choice {place} has no stop token at its end")),
                    None => Ok(Walk::Choices(choices.clone())),
                };
            }
            Some(Constraint::Pattern(pattern)) => TopLevelGrammar::from_regex(pattern),
            Some(Constraint::Schema(schema)) => TopLevelGrammar::from_json_schema(schema.clone()),
        };
        let Some(end) = stop.first() else {
            return Err("a pattern or schema needs a stop token to end with".to_owned());
        };
        if tokens.is_empty() {
            return Err("the engine was started without the texts of its tokens".to_owned());
        }
        let info = TokRxInfo::new(tokens.len() as u32, *end);
        let environment = ApproximateTokEnv::new(TokTrie::from(&info, tokens));
        let parser = ParserFactory::new_simple(&(Arc::new(environment) as _))
            .and_then(|mut factory| factory.quiet().create_parser(grammar));
        let parser = parser.map_err(|problem| format!("its constraint: {problem}"))?;
        Ok(Walk::Grammar(Box::new(Matcher::new(Ok(parser))), stop.clone()))
    }

    /// The same place once more, for another draw.
    pub(crate) fn again(&self) -> Self {
        match self {
            Walk::Free => Walk::Free,
            Walk::Choices(choices) => Walk::Choices(choices.clone()),
            Walk::Grammar(matcher, stop) => {
                Walk::Grammar(Box::new(matcher.deep_clone()), stop.clone())
            }
        }
    }

    /// Takes the weight of every token that is not allowed next.
    ///
    /// # Errors
    /// If the grammar outgrew its limits.
    pub(crate) fn forbid(&mut self, logits: &mut [f32]) -> Result<(), String> {
        match self {
            Walk::Free => {}
            Walk::Choices(choices) => {
                let mut allowed: Vec<u32> = choices.iter().map(|choice| choice[0]).collect();
                allowed.sort_unstable();
                for (id, logit) in (0..).zip(logits) {
                    if allowed.binary_search(&id).is_err() {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
            Walk::Grammar(matcher, stop) => {
                let mask = matcher.compute_mask_or_eos().map_err(|problem| problem.to_string())?;
                let ends = stop.first().is_some_and(|end| mask.is_allowed(*end));
                for (id, logit) in (0..).zip(logits) {
                    // One stop token ends as well as another.
                    let allowed = if stop.contains(&id) { ends } else { mask.is_allowed(id) };
                    if !allowed {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes on by a token that was drawn.
    ///
    /// # Errors
    /// If the grammar outgrew its limits.
    pub(crate) fn advance(&mut self, id: u32) -> Result<(), String> {
        match self {
            Walk::Free => Ok(()),
            Walk::Choices(choices) => {
                choices.retain(|choice| choice[0] == id && choice.len() > 1);
                for choice in choices {
                    choice.remove(0);
                }
                Ok(())
            }
            Walk::Grammar(_, stop) if stop.contains(&id) => Ok(()),
            Walk::Grammar(matcher, _) => {
                matcher.consume_token(id).map_err(|problem| problem.to_string())
            }
        }
    }
}
