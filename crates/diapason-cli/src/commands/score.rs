//! `diapason score`: the distribution over options, or the tokens of a text.

use super::{Session, prompt};
use crate::args::ScoreArgs;
use crate::evaluate::Subject;
use anyhow::{Context as _, bail};
use diapason_flow::{Answer, Ask, Markers, Request, TokenScore};
use serde_json::json;

/// Scores and prints.
pub(crate) fn score(session: &Session<'_>, args: &ScoreArgs) -> anyhow::Result<()> {
    let subject = prompt::subject(&args.prompt, &session.device)?;
    let text = match (&args.text, &args.text_file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(file)) => Some(
            std::fs::read_to_string(file)
                .with_context(|| format!("cannot read `{}`", file.display()))?,
        ),
        (None, None) => None,
    };
    match text {
        Some(text) => score_text(session, args, &subject, &text),
        None if args.options.is_empty() => {
            bail!(
                "nothing to score\n\nhint: give `--option` (repeatable), `--text` or `--text-file`"
            )
        }
        None => score_options(session, args, &subject),
    }
}

fn score_options(session: &Session<'_>, args: &ScoreArgs, subject: &Subject) -> anyhow::Result<()> {
    let prompt = prompt::prompt(&args.prompt, &Markers::default(), subject)?;
    let options = args
        .options
        .iter()
        .map(|option| subject.tokenizer.encode_output(option))
        .collect::<Result<Vec<_>, _>>()?;
    let answers = subject.engine.ask(&[Request { prompt, ask: Ask::Score { options } }])?;
    let [Answer::Scored(scores)] = answers.as_slice() else {
        bail!("the engine did not answer with scores");
    };
    let mass: f64 = scores.iter().map(|score| score.logprob_nats.exp()).sum();
    let largest = scores.iter().map(|score| score.logprob_nats).fold(f64::NEG_INFINITY, f64::max);
    let relative: f64 = scores.iter().map(|score| (score.logprob_nats - largest).exp()).sum();
    let share = |nats: f64| (nats - largest).exp() / relative;
    if args.json {
        let options: Vec<_> = args
            .options
            .iter()
            .zip(scores)
            .map(|(text, score)| {
                json!({"text": text, "logprob_nats": score.logprob_nats,
                       "probability": share(score.logprob_nats), "tokens": score.tokens})
            })
            .collect();
        let row = json!({"options": options, "mass": mass});
        return Ok(session.console.data(&row.to_string())?);
    }
    for (text, score) in args.options.iter().zip(scores) {
        session.console.data(&format!(
            "{:>7.4}  {:>9.4} nats  {text}",
            share(score.logprob_nats),
            score.logprob_nats
        ))?;
    }
    Ok(session.console.data(&format!("mass {mass:.4}"))?)
}

fn score_text(
    session: &Session<'_>,
    args: &ScoreArgs,
    subject: &Subject,
    text: &str,
) -> anyhow::Result<()> {
    let mut ids: Vec<u32> = subject.tokenizer.begin().into_iter().collect();
    let given = ids.len();
    ids.extend(subject.tokenizer.encode_text(text)?);
    if ids.len() == given {
        bail!("the text is empty");
    }
    let traced = if ids.len() > 1 {
        let ask = Ask::Trace { from: 1, top: args.top };
        match subject.engine.ask(&[Request { prompt: ids.clone(), ask }])?.pop() {
            Some(Answer::Traced(trace)) => trace,
            _ => bail!("the engine did not answer with a trace"),
        }
    } else {
        Vec::new()
    };
    let name = |id: u32| subject.tokenizer.token_text(id);
    let row = |score: &TokenScore| {
        let top: Vec<_> = score
            .top
            .iter()
            .map(|(id, nats)| json!({"id": id, "text": name(*id), "logprob_nats": nats}))
            .collect();
        json!({"id": score.id, "text": name(score.id), "logprob_nats": score.logprob_nats, "top": top})
    };
    let total: f64 = traced.iter().map(|score| f64::from(score.logprob_nats)).sum();
    if args.json {
        let first = json!({"id": ids[0], "text": name(ids[0]), "top": []});
        let tokens: Vec<_> = std::iter::once(first).chain(traced.iter().map(row)).collect();
        let row = json!({"tokens": tokens, "total_nats": total});
        return Ok(session.console.data(&row.to_string())?);
    }
    session.console.data(&format!("{:>10}  {:?}", "", name(ids[0])))?;
    for score in &traced {
        session.console.data(&format!("{:>10.4}  {:?}", score.logprob_nats, name(score.id)))?;
    }
    Ok(session.console.data(&format!("total {total:.4} nats"))?)
}
