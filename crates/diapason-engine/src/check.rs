//! What is refused before anything runs, so that one bad request spoils no batch.

use diapason_flow::{Ask, Constraint, LmError, Request, Sampling};

/// What the model and the cache can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// V.
    pub(crate) vocabulary: usize,
    /// Longest context of the model.
    pub(crate) context: usize,
    /// Tokens of the whole cache.
    pub(crate) cache_tokens: usize,
}

/// Checks every request of a call.
///
/// # Errors
/// The first request that can never be answered, with its index.
pub(crate) fn check(requests: &[Request], limits: &Limits) -> Result<(), LmError> {
    for (index, request) in requests.iter().enumerate() {
        let refuse = |problem| LmError::Request { index, problem };
        check_ids("the prompt", &request.prompt, limits).map_err(refuse)?;
        let prompt = read_ids(request).len();
        // Tokens in all, and those of them that must be held together in the cache.
        let (needed, held) = match &request.ask {
            Ask::Sample(sampling) => {
                check_sampling(sampling).map_err(refuse)?;
                check_named(sampling, limits).map_err(refuse)?;
                (prompt + 1, prompt + longest_draw(sampling, prompt, limits.context) - 1)
            }
            Ask::Score { options } => {
                for (number, option) in options.iter().enumerate() {
                    check_ids(&format!("option {number}"), option, limits).map_err(refuse)?;
                }
                let longest = options.iter().map(Vec::len).max();
                let longest = longest.ok_or_else(|| refuse("there is no option".to_owned()))?;
                (prompt + longest, prompt + longest - 1)
            }
            Ask::Trace { from, .. } => {
                if !(1..=prompt).contains(from) {
                    let problem = format!(
                        "`from` is {from}, but only tokens 1 to {prompt} have a predecessor"
                    );
                    return Err(refuse(problem));
                }
                (prompt, prompt)
            }
        };
        for (needed_tokens, limit_tokens) in [(needed, limits.context), (held, limits.cache_tokens)]
        {
            if needed_tokens > limit_tokens {
                return Err(LmError::Context { index, needed_tokens, limit_tokens });
            }
        }
    }
    Ok(())
}

/// Most tokens that a draw can have after its beginning: what is asked for, or what the context
/// leaves after the prompt and that beginning.
pub(crate) fn longest_draw(sampling: &Sampling, prompt: usize, context: usize) -> usize {
    // A prompt that fills the context is refused; `max` keeps the arithmetic of callers simple.
    asked_tokens(sampling).min(context.saturating_sub(prompt)).max(1)
}

/// Tokens that are asked for after the beginning.
pub(crate) fn asked_tokens(sampling: &Sampling) -> usize {
    sampling.max_tokens.saturating_sub(sampling.begin.len())
}

/// What the model reads before it draws or scores: the prompt, and what every draw begins with.
pub(crate) fn read_ids(request: &Request) -> Vec<u32> {
    match &request.ask {
        Ask::Sample(sampling) => [&request.prompt[..], &sampling.begin].concat(),
        Ask::Score { .. } | Ask::Trace { .. } => request.prompt.clone(),
    }
}

fn check_ids(what: &str, ids: &[u32], limits: &Limits) -> Result<(), String> {
    if ids.is_empty() {
        return Err(format!("{what} is empty"));
    }
    match ids.iter().position(|id| *id as usize >= limits.vocabulary) {
        None => Ok(()),
        Some(place) => Err(format!(
            "token {place} of {what} has id {}, but the model knows ids below {}",
            ids[place], limits.vocabulary
        )),
    }
}

/// The ids that biases and choices name.
fn check_named(sampling: &Sampling, limits: &Limits) -> Result<(), String> {
    let biased: Vec<u32> = sampling.bias.iter().map(|(id, _)| *id).collect();
    if !biased.is_empty() {
        check_ids("the biases", &biased, limits)?;
    }
    if !sampling.begin.is_empty() {
        check_ids("the beginning", &sampling.begin, limits)?;
    }
    if let Some((id, bias)) =
        sampling.bias.iter().find(|(_, bias)| bias.is_nan() || *bias == f32::INFINITY)
    {
        return Err(format!("the bias of token {id} is {bias}"));
    }
    let Some(Constraint::Choices(choices)) = &sampling.only else { return Ok(()) };
    for (number, choice) in choices.iter().enumerate() {
        check_ids(&format!("choice {number}"), choice, limits)?;
    }
    Ok(())
}

fn check_sampling(sampling: &Sampling) -> Result<(), String> {
    let Sampling { n, temperature, top_p, min_p, max_tokens, begin, stop, .. } = sampling;
    let ended = begin.iter().position(|id| stop.contains(id));
    let rules = [
        (*n > 0, format!("`n` is {n}, expected at least 1")),
        (*max_tokens > 0, format!("`max_tokens` is {max_tokens}, expected at least 1")),
        (
            *max_tokens > begin.len(),
            format!(
                "`max_tokens` is {max_tokens}, expected more than the {} of `begin`",
                begin.len()
            ),
        ),
        (ended.is_none(), format!("token {} of `begin` is a stop token", ended.unwrap_or(0))),
        (
            temperature.is_finite() && *temperature >= 0.0,
            format!("`temperature` is {temperature}, expected a number of at least 0"),
        ),
        (*top_p > 0.0 && *top_p <= 1.0, format!("`top_p` is {top_p}, expected above 0, at most 1")),
        ((0.0..=1.0).contains(min_p), format!("`min_p` is {min_p}, expected in 0 to 1")),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, problem)) => Err(problem),
        None => Ok(()),
    }
}
