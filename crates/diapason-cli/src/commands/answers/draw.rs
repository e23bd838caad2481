//! `diapason answers draw`: every prompt of a file answered, with levers.

use super::{Session, read_rows};
use crate::args::DrawArgs;
use crate::commands::sample;
use crate::evaluate::Subject;
use crate::levers::{Open, to_json, untrained, write_lists};
use crate::pipeline::template_kind;
use anyhow::{Context as _, bail, ensure};
use diapason_flow::{
    Answer, Ask, Episode, Goal, MarkerValue, Markers, Query, Request, Sampling, Streams,
    write_atomically,
};
use diapason_markers::Filling;
use rand::Rng as _;
use serde_json::{Map, Value, json};

/// A row to be answered once.
struct Asked<'a> {
    row: &'a Map<String, Value>,
    prompt: Vec<u32>,
    written: Option<Value>,
}

/// Answers every prompt `n` times and writes the rows with their answers.
pub(super) fn draw(session: &Session<'_>, args: &DrawArgs) -> anyhow::Result<()> {
    let template = args.template.as_deref().map(template_kind).transpose()?;
    let subject = Subject::load("model", &args.model, template, &session.device)?;
    let rows: Vec<Map<String, Value>> = read_rows(&args.prompts)?;
    ensure!(!rows.is_empty(), "`{}` holds no prompts", args.prompts.display());
    let opened = open(args, &subject, &rows)?;
    let streams = Streams::new(args.seed).within("answers");
    let request = |(index, open): (usize, &Asked<'_>)| {
        let sampling = Sampling {
            seed: streams.stream("answer", index as u64).next_u64(),
            temperature: args.temperature,
            max_tokens: args.max_tokens.min(subject.context.saturating_sub(open.prompt.len())),
            stop: subject.tokenizer.terminators(),
            ..Sampling::default()
        };
        Request { prompt: open.prompt.clone(), ask: Ask::Sample(sampling) }
    };
    let requests: Vec<Request> = opened.iter().enumerate().map(request).collect();
    let mut lines = String::new();
    for (open, answer) in opened.iter().zip(subject.engine.ask(&requests)?) {
        let Answer::Sampled(samples) = answer else {
            bail!("the engine did not answer with draws");
        };
        let mut row = open.row.clone();
        row.insert("completion".to_owned(), json!(subject.tokenizer.decode(&samples[0].ids)));
        if let Some(written) = &open.written {
            row.insert("written".to_owned(), written.clone());
        }
        lines.push_str(&Value::Object(row).to_string());
        lines.push('\n');
    }
    write_atomically(&args.out, |file| file.write_all(lines.as_bytes()))
        .with_context(|| format!("cannot write `{}`", args.out.display()))?;
    session.console.say(&format!("{} answers in {}", opened.len(), args.out.display()));
    Ok(())
}

/// Each row `n` times, as the ids of its prompt, with the list that stands behind it.
fn open<'a>(
    args: &DrawArgs,
    subject: &Subject,
    rows: &'a [Map<String, Value>],
) -> anyhow::Result<Vec<Asked<'a>>> {
    let streams = Streams::new(args.seed).within("levers");
    let (mut opened, mut lists) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        let place = || format!("`{}`, row {}", args.prompts.display(), index + 1);
        let text = row.get(&args.column).and_then(Value::as_str);
        let text = text.with_context(|| format!("{}: no text in `{}`", place(), args.column))?;
        let asked = levers_of(row).with_context(place)?;
        for _ in 0..args.n {
            let mut fixed = Markers::default();
            if let Some(trained) = &subject.trained {
                let mut levers = sample::levers(&args.levers, trained)?;
                levers.fixed.0.extend(asked.0.clone());
                let mut stream = streams.stream("list", opened.len() as u64);
                let checked = levers.checked(&trained.taxonomy()).with_context(place)?;
                fixed = checked.pull(&trained.frequencies, &mut stream);
                let prompt = prompt(subject, text, &fixed)?;
                lists.push(Open { prompt, fixed: fixed.clone(), stream });
            } else if !args.levers.markers.is_empty() || args.levers.fill != Filling::Inferred {
                return Err(untrained());
            }
            opened.push(Asked { row, prompt: prompt(subject, text, &fixed)?, written: None });
        }
    }
    if let Some(trained) = &subject.trained {
        let lists = write_lists(subject, trained, lists, f64::from(args.temperature))?;
        for (open, list) in opened.iter_mut().zip(lists) {
            open.written = Some(to_json(&trained.taxonomy().read_known(&list.markers).0));
            open.prompt = list.ids;
        }
    }
    Ok(opened)
}

/// The `markers` of a row, numbers as texts.
fn levers_of(row: &Map<String, Value>) -> anyhow::Result<Markers> {
    let mut markers = Markers::default();
    for (name, value) in row.get("markers").and_then(Value::as_object).into_iter().flatten() {
        let value = match value {
            Value::Number(number) => MarkerValue::One(number.to_string()),
            other => serde_json::from_value(other.clone())
                .with_context(|| format!("`{name}` has no value"))?,
        };
        markers.0.insert(name.clone(), value);
    }
    Ok(markers)
}

fn prompt(subject: &Subject, text: &str, fixed: &Markers) -> anyhow::Result<Vec<u32>> {
    let mut episode = Episode::new("answers", "row");
    episode.query = Some(Query { input: Some(text.to_owned()), goal: Goal::Text(String::new()) });
    episode.exchangeable = false;
    let marked = subject.tokenizer.template().render_prompt_with(&episode, fixed);
    Ok(subject.tokenizer.encode(&marked)?.ids().to_vec())
}
