//! Levers on a model: marker lists that it writes step by step under what it was trained with.
//!
//! Each step's options are whole texts of the list so far, scored behind the same prompt: what is
//! drawn is the model's own distribution over well-formed lists that hold the set markers.

use crate::evaluate::Subject;
use anyhow::{Context as _, bail};
use diapason_flow::{Answer, Ask, Markers, OptionScore, Request, Stream};
use diapason_markers::{Step, Trained, Typed, Value, Writer};
use rand::RngExt as _;
use std::collections::BTreeMap;
use std::path::Path;

/// Where a model's folder keeps what it learned of markers.
pub(crate) const MARKERS_FILE: &str = "markers.json";

/// Reads what a model learned of markers; `None` if it was trained without.
pub(crate) fn read_trained(model: &Path) -> anyhow::Result<Option<Trained>> {
    let path = model.join(MARKERS_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let trained = serde_json::from_str(&text)
        .with_context(|| format!("`{}` is no record of training with markers", path.display()))?;
    Ok(Some(trained))
}

/// What to say where levers are pulled on a model that has none.
pub(crate) fn untrained() -> anyhow::Error {
    anyhow::anyhow!(
        "this model was not trained with markers\n\nhint: give its recipe `markers = {{}}`"
    )
}

/// A list to be written.
pub(crate) struct Open {
    /// Ids of the prompt, the header of the output included.
    pub prompt: Vec<u32>,
    /// Markers that the list must hold.
    pub fixed: Markers,
    /// Where its draws come from.
    pub stream: Stream,
}

/// A list that was written.
pub(crate) struct Written {
    /// Its markers.
    pub markers: Markers,
    /// The prompt with the list behind it.
    pub ids: Vec<u32>,
    /// Marker → value → its probability where it was written, given what stands before it. Of a
    /// marker with several values, the first.
    pub shares: BTreeMap<String, Vec<(String, f64)>>,
}

/// Writes lists, all of them one step at a time. Temperature 0 takes the likeliest option.
///
/// # Errors
/// Prompts that leave no room for a list in the context.
pub(crate) fn write_lists(
    subject: &Subject,
    trained: &Trained,
    open: Vec<Open>,
    temperature: f64,
) -> anyhow::Result<Vec<Written>> {
    let mut streams = Vec::with_capacity(open.len());
    let mut writers = Vec::with_capacity(open.len());
    let mut written = Vec::with_capacity(open.len());
    for Open { prompt, fixed, stream } in open {
        writers.push(Writer::new(trained, &fixed));
        streams.push(stream);
        written.push(Written { markers: Markers::default(), ids: prompt, shares: BTreeMap::new() });
    }
    loop {
        let mut asked: Vec<(usize, Step)> = Vec::new();
        let mut requests = Vec::new();
        for (index, writer) in writers.iter_mut().enumerate() {
            // A single option needs no model.
            while writer.step().is_some_and(|step| step.options.len() == 1) {
                writer.take(0);
            }
            if let Some(step) = writer.step() {
                requests.push(request(subject, &written[index].ids, &step)?);
                asked.push((index, step));
            }
        }
        if requests.is_empty() {
            break;
        }
        for ((index, step), answer) in asked.into_iter().zip(subject.engine.ask(&requests)?) {
            let Answer::Scored(scores) = answer else {
                bail!("the engine did not answer with scores")
            };
            let shares = shares(&scores, 1.0);
            let weights =
                if temperature > 0.0 { self::shares(&scores, temperature) } else { vec![] };
            writers[index].take(choose(&shares, &weights, &mut streams[index]));
            if let Some(marker) = step.marker {
                let shares = step.options.into_iter().zip(shares).collect();
                written[index].shares.entry(marker).or_insert(shares);
            }
        }
    }
    for (written, writer) in written.iter_mut().zip(&writers) {
        written.markers = writer.markers();
        let list = subject.tokenizer.template().render_list(writer.text());
        written.ids.extend(subject.tokenizer.encode(&list)?.ids());
    }
    Ok(written)
}

fn request(subject: &Subject, prompt: &[u32], step: &Step) -> anyhow::Result<Request> {
    let ids = |text: &String| {
        let start = subject.tokenizer.template().render_list_start(text);
        Ok(subject.tokenizer.encode(&start)?.ids().to_vec())
    };
    let options = step.texts.iter().map(ids).collect::<anyhow::Result<_>>()?;
    Ok(Request { prompt: prompt.to_vec(), ask: Ask::Score { options } })
}

/// Probabilities over the options at a temperature.
fn shares(scores: &[OptionScore], temperature: f64) -> Vec<f64> {
    let largest = scores.iter().map(|score| score.logprob_nats).fold(f64::NEG_INFINITY, f64::max);
    let weight = |score: &OptionScore| ((score.logprob_nats - largest) / temperature).exp();
    let weights: Vec<f64> = scores.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// An index drawn by weight; without weights the first of the largest shares.
fn choose(shares: &[f64], weights: &[f64], stream: &mut Stream) -> usize {
    if weights.is_empty() {
        let best = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return shares.iter().position(|share| *share >= best).unwrap_or(0);
    }
    let mut ticket: f64 = stream.random();
    for (index, weight) in weights.iter().enumerate() {
        ticket -= weight;
        if ticket < 0.0 {
            return index;
        }
    }
    weights.len() - 1
}

/// Markers as JSON: numbers are numbers, several values a list.
pub(crate) fn to_json(typed: &Typed) -> serde_json::Value {
    let value = |value: &Value| match value {
        Value::Real(real) => serde_json::json!(real),
        Value::Count(count) => serde_json::json!(count),
        Value::Name(name) => serde_json::json!(name),
    };
    let entry = |(name, values): (&String, &Vec<Value>)| match values.as_slice() {
        [one] => (name.clone(), value(one)),
        many => (name.clone(), many.iter().map(value).collect()),
    };
    typed.0.iter().map(entry).collect::<serde_json::Map<_, _>>().into()
}
