//! `diapason sample`: draws, with levers where the model was trained with markers.

use super::mark::rows::Rows;
use super::{Session, drawing, prompt};
use crate::args::{LeverArgs, PromptArgs, SampleArgs};
use crate::evaluate::Subject;
use crate::levers::{Open, Written, to_json, untrained, write_lists};
use anyhow::{Context as _, bail};
use diapason_flow::{Answer, Ask, Markers, Request, Sample, Sampling, Stop, Streams};
use diapason_markers::{Filling, Levers, Trained, markers_of_row, print_list};
use rand::Rng as _;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Prompts of a file that are asked at once.
const AT_ONCE: usize = 64;

/// One prompt to draw from.
struct Asked {
    prompt: PromptArgs,
    seed: u64,
    /// Levers of its row.
    levers: Markers,
    /// What its row says beside the draw, if it comes from a file.
    row: Option<Map<String, Value>>,
}

/// Draws outputs and prints them.
pub(crate) fn sample(session: &Session<'_>, args: &SampleArgs) -> anyhow::Result<()> {
    let subject = prompt::subject(&args.prompt, &session.device)?;
    let pulled = !args.levers.markers.is_empty() || args.levers.fill != Filling::Inferred;
    if subject.trained.is_none() && pulled {
        return Err(untrained());
    }
    let asked = match &args.prompts {
        Some(path) => prompts(path, args)?,
        None => vec![Asked {
            prompt: args.prompt.clone(),
            seed: args.seed,
            levers: Markers::default(),
            row: None,
        }],
    };
    for (chunk, asked) in asked.chunks(AT_ONCE).enumerate() {
        draw(session, args, &subject, asked)?;
        let done = chunk * AT_ONCE + asked.len();
        if args.prompts.is_some() && session.stopped() {
            bail!("stopped after {done} prompts");
        }
    }
    Ok(())
}

/// The prompts of a file, each with a seed of its own.
fn prompts(path: &Path, args: &SampleArgs) -> anyhow::Result<Vec<Asked>> {
    let (mut rows, mut asked) = (Rows::open(path)?, Vec::new());
    let streams = Streams::new(args.seed).within("prompts");
    while let Some((line, text)) = rows.next_row()? {
        let row = rows.parse(line, &text)?;
        let found = row["prompt"].as_str().or(row["instruction"].as_str());
        let Some(text) = found else {
            bail!("`{}`, line {line} has neither `prompt` nor `instruction`", path.display());
        };
        let mut told = Map::new();
        for (column, name) in [("id", "id"), ("task_id", "task_id"), ("markers", "asked")] {
            if let Some(value) = row.get(column) {
                told.insert(name.to_owned(), value.clone());
            }
        }
        told.insert("prompt".to_owned(), text.into());
        let place = || format!("`{}`, line {line}", path.display());
        let levers = markers_of_row(&json!({"markers": row["markers"]})).with_context(place)?;
        asked.push(Asked {
            prompt: PromptArgs { inputs: vec![text.to_owned()], ..args.prompt.clone() },
            seed: streams.stream("prompt", asked.len() as u64).next_u64(),
            levers: levers.into_iter().next().unwrap_or_default(),
            row: Some(told),
        });
    }
    Ok(asked)
}

/// The draws of some prompts, asked together and printed in order.
fn draw(
    session: &Session<'_>,
    args: &SampleArgs,
    subject: &Subject,
    asked: &[Asked],
) -> anyhow::Result<()> {
    let (mut requests, mut lists) = (Vec::new(), Vec::new());
    for one in asked {
        let Some(trained) = &subject.trained else {
            let prompt = prompt::prompt(&one.prompt, &Markers::default(), subject)?;
            requests.push(request(subject, args, prompt, (args.n, one.seed)));
            continue;
        };
        let drawn = draw_lists(subject, trained, args, one)?;
        let streams = Streams::new(one.seed).within("sample");
        requests.extend(drawn.iter().enumerate().map(|(index, list)| {
            let seed = streams.stream("answer", index as u64).next_u64();
            request(subject, args, list.ids.clone(), (1, seed))
        }));
        lists.extend(drawn);
    }
    let requests = drawing::constrained(requests, &args.drawing, subject)?;
    let forced = |request: &Request| match &request.ask {
        Ask::Sample(sampling) => sampling.begin.len(),
        _ => 0,
    };
    // The same text begins all.
    let forced = requests.first().map_or(0, forced);
    let mut index = 0;
    for answer in subject.engine.ask(&requests)? {
        let Answer::Sampled(samples) = answer else {
            bail!("the engine did not answer with draws");
        };
        for sample in samples {
            let row = asked[index / args.n.max(1)].row.as_ref();
            print((session, args, subject), (&sample, forced), (lists.get(index), row))?;
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
    asked: &Asked,
) -> anyhow::Result<Vec<Written>> {
    let mut levers = levers(&args.levers, trained)?;
    levers.fixed.0.extend(asked.levers.0.clone());
    let place = || format!("the markers of the prompt {:?}", asked.prompt.inputs.join(" "));
    let levers = levers.checked(&trained.taxonomy()).with_context(place)?;
    let streams = Streams::new(asked.seed).within("levers");
    let open = (0..args.n as u64).map(|index| {
        let mut stream = streams.stream("list", index);
        let fixed = levers.pull(&trained.frequencies, &mut stream);
        let prompt = prompt::prompt(&asked.prompt, &fixed, subject)?;
        Ok(Open { prompt, fixed, stream })
    });
    write_lists(subject, trained, open.collect::<anyhow::Result<_>>()?, f64::from(args.temperature))
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
    (session, args, subject): (&Session<'_>, &SampleArgs, &Subject),
    (sample, forced): (&Sample, usize),
    (list, row): (Option<&Written>, Option<&Map<String, Value>>),
) -> anyhow::Result<()> {
    let text = subject.tokenizer.decode(&sample.ids);
    if args.json || row.is_some() {
        let nats = |part: &[f32]| -> f64 { part.iter().map(|nats| f64::from(*nats)).sum() };
        let stop = match sample.stop {
            Stop::Terminator => "terminator",
            Stop::Length => "length",
            Stop::Context => "context",
        };
        let markers = match (list, &subject.trained) {
            (Some(list), Some(trained)) => to_json(&trained.taxonomy().read_known(&list.markers).0),
            _ => json!({}),
        };
        let name = if row.is_some() { "completion" } else { "text" };
        let mut told = json!({name: text, "tokens": sample.ids.len(), "stop": stop,
                              "logprob_nats": nats(&sample.logprobs), "markers": markers});
        if forced > 0 {
            told["begin_nats"] = nats(&sample.logprobs[..forced]).into();
        }
        let told = row.into_iter().chain(told.as_object()).flatten();
        let told: Map<String, Value> =
            told.map(|(name, value)| (name.clone(), value.clone())).collect();
        return Ok(session.console.data(&Value::Object(told).to_string())?);
    }
    if let Some(list) = list.filter(|_| args.levers.show) {
        session.console.data(&print_list(&list.markers))?;
    }
    Ok(session.console.data(&text)?)
}
