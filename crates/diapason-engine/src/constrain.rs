//! What a draw may consist of: token by token, which ids are allowed next.
//!
//! A constraint is compiled once for a request; every draw walks it with a state of its own. What is
//! not allowed gets no weight, so a draw has the model's distribution given the constraint at every
//! token (not over whole texts, which no left-to-right sampler gives).

use diapason_flow::{Constraint, Sampling};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The bytes of every token, and what grammars need of them.
#[derive(Default)]
pub(crate) struct Texts {
    tokens: Vec<Vec<u8>>,
    /// Tries of all tokens with one as the end, made when first asked for.
    factories: Mutex<BTreeMap<u32, Arc<ParserFactory>>>,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Texts of {} tokens", self.tokens.len())
    }
}

impl Texts {
    /// Those of a vocabulary; of none, nothing on text can be asked for.
    pub(crate) fn new(tokens: Vec<Vec<u8>>) -> Self {
        Texts { tokens, ..Texts::default() }
    }

    fn require(&self) -> Result<(), String> {
        if self.tokens.is_empty() {
            return Err("the engine was started without the texts of its tokens".to_owned());
        }
        Ok(())
    }

    fn factory(&self, end: u32) -> Result<Arc<ParserFactory>, String> {
        // A panic leaves the map as it was or with one more entry.
        let mut factories = self.factories.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(factory) = factories.get(&end) {
            return Ok(Arc::clone(factory));
        }
        let info = TokRxInfo::new(self.tokens.len() as u32, end);
        let environment = ApproximateTokEnv::new(TokTrie::from(&info, &self.tokens));
        let factory = ParserFactory::new_simple(&(Arc::new(environment) as _));
        let mut factory = factory.map_err(|problem| problem.to_string())?;
        factory.quiet();
        let factory = Arc::new(factory);
        factories.insert(end, Arc::clone(&factory));
        Ok(factory)
    }
}

/// Where a draw stands: what may come next, and what ends it.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) walk: Walk,
    ends: Option<Ends>,
}

/// Texts that end a draw.
#[derive(Clone)]
struct Ends {
    texts: Arc<Texts>,
    stop: Arc<Vec<Vec<u8>>>,
    /// The last bytes drawn, as many as the longest text can begin in.
    tail: Vec<u8>,
}

impl std::fmt::Debug for Ends {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ends").field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl Course {
    /// The beginning of a request's draws.
    ///
    /// # Errors
    /// What is wrong with its constraint or its stop texts.
    pub(crate) fn of(sampling: &Sampling, texts: &Arc<Texts>) -> Result<Self, String> {
        let (walk, ends) = (Walk::of(sampling, texts)?, Ends::of(sampling, texts)?);
        let mut course = Course { walk, ends };
        for (place, id) in sampling.begin.iter().enumerate() {
            course
                .walk
                .follow(*id)
                .map_err(|problem| format!("token {place} of `begin` {problem}"))?;
            if course.ends_with(*id) {
                return Err(format!("a stop text is complete at token {place} of `begin`"));
            }
        }
        Ok(course)
    }

    /// The same place once more, for another draw.
    pub(crate) fn again(&self) -> Self {
        Course { walk: self.walk.again(), ends: self.ends.clone() }
    }

    /// Takes note of a token; whether a stop text is now complete.
    pub(crate) fn ends_with(&mut self, id: u32) -> bool {
        let Some(Ends { texts, stop, tail }) = &mut self.ends else { return false };
        tail.extend_from_slice(&texts.tokens[id as usize]);
        let reached = |text: &Vec<u8>| tail.windows(text.len()).any(|part| part == text);
        if stop.iter().any(reached) {
            return true;
        }
        let longest = stop.iter().map(Vec::len).max().unwrap_or(0);
        tail.drain(..tail.len().saturating_sub(longest.saturating_sub(1)));
        false
    }
}

impl Ends {
    fn of(sampling: &Sampling, texts: &Arc<Texts>) -> Result<Option<Self>, String> {
        if sampling.stop_texts.is_empty() {
            return Ok(None);
        }
        texts.require()?;
        if sampling.stop_texts.iter().any(String::is_empty) {
            return Err("a stop text is empty".to_owned());
        }
        let stop = sampling.stop_texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        Ok(Some(Ends { texts: Arc::clone(texts), stop: Arc::new(stop), tail: Vec::new() }))
    }
}

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
    fn of(sampling: &Sampling, texts: &Texts) -> Result<Self, String> {
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
        texts.require()?;
        let parser = texts.factory(*end)?.create_parser(grammar);
        let parser = parser.map_err(|problem| format!("its constraint: {problem}"))?;
        Ok(Walk::Grammar(Box::new(Matcher::new(Ok(parser))), stop.clone()))
    }

    fn again(&self) -> Self {
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

    /// Goes on by a token that nobody drew.
    ///
    /// # Errors
    /// If it leads out of the constraint.
    fn follow(&mut self, id: u32) -> Result<(), String> {
        let allowed = match self {
            Walk::Free => true,
            Walk::Choices(choices) => choices.iter().any(|choice| choice[0] == id),
            Walk::Grammar(matcher, _) => {
                let mask = matcher.compute_mask_or_eos().map_err(|problem| problem.to_string())?;
                mask.is_allowed(id)
            }
        };
        if !allowed {
            return Err("leads out of the constraint".to_owned());
        }
        self.advance(id)
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
