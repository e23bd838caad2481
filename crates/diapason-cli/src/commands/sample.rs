//! `diapason sample`: draws, with levers where the model was trained with markers.

use super::{Session, drawing, prompt};
use crate::args::{LeverArgs, SampleArgs};
use crate::evaluate::Subject;
use crate::levers::{Open, Written, to_json, untrained, write_lists};
use anyhow::bail;
use diapason_flow::{Answer, Ask, Markers, Request, Sample, Sampling, Stop, Streams};
use diapason_markers::{Filling, Levers, Trained, print_list};
use rand::Rng as _;
use serde_json::json;

/// Draws outputs and prints them.
pub(crate) fn sample(session: &Session<'_>, args: &SampleArgs) -> anyhow::Result<()> {
    let subject = prompt::subject(&args.prompt, &session.device)?;
    let lists = if let Some(trained) = &subject.trained {
        draw_lists(&subject, trained, args, f64::from(args.temperature))?
    } else {
        if !args.levers.markers.is_empty() || args.levers.fill != Filling::Inferred {
            return Err(untrained());
        }
        Vec::new()
    };
    let requests = if subject.trained.is_none() {
        let prompt = prompt::prompt(&args.prompt, &Markers::default(), &subject)?;
        vec![request(&subject, args, prompt, (args.n, args.seed))]
    } else {
        let streams = Streams::new(args.seed).within("sample");
        let seed = |index: usize| streams.stream("answer", index as u64).next_u64();
        let one = |(index, list): (usize, &Written)| {
            request(&subject, args, list.ids.clone(), (1, seed(index)))
        };
        lists.iter().enumerate().map(one).collect()
    };
    let requests = drawing::constrained(requests, &args.drawing, &subject)?;
    let mut index = 0;
    for answer in subject.engine.ask(&requests)? {
        let Answer::Sampled(samples) = answer else {
            bail!("the engine did not answer with draws");
        };
        for sample in samples {
            print(session, args, &subject, &sample, lists.get(index))?;
            index += 1;
        }
    }
    Ok(())
}

/// One list for every draw: what the user set, what training says, what the model adds.
fn draw_lists(
    subject: &Subject,
    trained: &Trained,
    args: &SampleArgs,
    temperature: f64,
) -> anyhow::Result<Vec<Written>> {
    let levers = levers(&args.levers, trained)?;
    let streams = Streams::new(args.seed).within("levers");
    let open = (0..args.n as u64).map(|index| {
        let mut stream = streams.stream("list", index);
        let fixed = levers.pull(&trained.frequencies, &mut stream);
        let prompt = prompt::prompt(&args.prompt, &fixed, subject)?;
        Ok(Open { prompt, fixed, stream })
    });
    write_lists(subject, trained, open.collect::<anyhow::Result<_>>()?, temperature)
}

/// The levers of the arguments, checked against what the model was trained with.
pub(super) fn levers(args: &LeverArgs, trained: &Trained) -> anyhow::Result<Levers> {
    let mut fixed = Markers::default();
    for (name, value) in &args.markers {
        fixed.add(name, value);
    }
    if args.fill == Filling::Inferred && !trained.learn {
        bail!(
            "this model never learned to write markers (`learn = false`)\n\nhint: draw them from \
             training with `--fill sampled`"
        );
    }
    Ok(Levers { fixed, filling: args.fill }.checked(&trained.taxonomy())?)
}

fn request(
    subject: &Subject,
    args: &SampleArgs,
    prompt: Vec<u32>,
    (n, seed): (usize, u64),
) -> Request {
    let sampling = Sampling {
        n,
        seed,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        max_tokens: args.max_tokens.min(subject.context.saturating_sub(prompt.len())),
        stop: subject.tokenizer.terminators(),
        ..Sampling::default()
    };
    Request { prompt, ask: Ask::Sample(sampling) }
}

fn print(
    session: &Session<'_>,
    args: &SampleArgs,
    subject: &Subject,
    sample: &Sample,
    list: Option<&Written>,
) -> anyhow::Result<()> {
    let text = subject.tokenizer.decode(&sample.ids);
    if args.json {
        let total: f64 = sample.logprobs.iter().map(|nats| f64::from(*nats)).sum();
        let stop = match sample.stop {
            Stop::Terminator => "terminator",
            Stop::Length => "length",
            Stop::Context => "context",
        };
        let markers = match (list, &subject.trained) {
            (Some(list), Some(trained)) => to_json(&trained.taxonomy().read_known(&list.markers).0),
            _ => json!({}),
        };
        let row = json!({"text": text, "tokens": sample.ids.len(), "logprob_nats": total,
                         "stop": stop, "markers": markers});
        return Ok(session.console.data(&row.to_string())?);
    }
    if let Some(list) = list.filter(|_| args.levers.show) {
        session.console.data(&print_list(&list.markers))?;
    }
    Ok(session.console.data(&text)?)
}
