//! `diapason sample`: draws.

use super::{Session, prompt};
use crate::args::SampleArgs;
use anyhow::bail;
use diapason_flow::{Answer, Ask, Request, Sampling, Stop};
use serde_json::json;

/// Draws outputs and prints them.
pub(crate) fn sample(session: &Session<'_>, args: &SampleArgs) -> anyhow::Result<()> {
    let subject = prompt::subject(&args.prompt, &session.device)?;
    let prompt = prompt::prompt(&args.prompt, &subject)?;
    let sampling = Sampling {
        n: args.n,
        seed: args.seed,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        max_tokens: args.max_tokens.min(subject.context.saturating_sub(prompt.len())),
        stop: subject.tokenizer.terminators(),
        ..Sampling::default()
    };
    let answers = subject.engine.ask(&[Request { prompt, ask: Ask::Sample(sampling) }])?;
    let [Answer::Sampled(samples)] = answers.as_slice() else {
        bail!("the engine did not answer with draws");
    };
    for sample in samples {
        let text = subject.tokenizer.decode(&sample.ids);
        if args.json {
            let total: f64 = sample.logprobs.iter().map(|nats| f64::from(*nats)).sum();
            let stop = match sample.stop {
                Stop::Terminator => "terminator",
                Stop::Length => "length",
                Stop::Context => "context",
            };
            let row = json!({"text": text, "tokens": sample.ids.len(), "logprob_nats": total,
                             "stop": stop, "markers": {}});
            session.console.data(&row.to_string())?;
        } else {
            session.console.data(&text)?;
        }
    }
    Ok(())
}
