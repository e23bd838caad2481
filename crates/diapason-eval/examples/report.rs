//! A report from invented models: `cargo run -p diapason-eval --example report -- OUT.html`
//! writes the page, and the same data as JSON beside it. Nothing in it was measured; it shows the
//! page at work, hostile texts included.

use diapason_eval::{
    Collector, Distribution, Fact, Judge, Measurements, ModelInfo, Pair, ReportData, SampleGrid,
    SampleText, Seen, SteerOutcome, TaskNote, TurnOutcome, Version, align, claim, cover, html,
};
use diapason_flow::{Check, Episode, Goal, OptionScore, Query, Stream, Streams};
use rand::Rng;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

/// An invented model: how far its predictions are from optimal, how much sharper than the truth
/// its distributions are, and how often an output is well formed.
struct Model {
    name: &'static str,
    made: &'static str,
    excess_nats: f64,
    sharpness: f64,
    valid: f64,
}

const MODELS: [Model; 4] = [
    Model {
        name: "base",
        made: "pretrained on the suite's text; no tuning",
        excess_nats: 0.42,
        sharpness: 0.75,
        valid: 0.62,
    },
    Model {
        name: "single-answer",
        made: "tuned on the same data, one modal answer an episode",
        excess_nats: 0.78,
        sharpness: 4.5,
        valid: 0.97,
    },
    Model {
        name: "ordinary",
        made: "tuned on the same data, loss on the last output",
        excess_nats: 0.33,
        sharpness: 1.5,
        valid: 0.9,
    },
    Model {
        name: "spectrum",
        made: "tuned on the same data, loss on every output",
        excess_nats: 0.1,
        sharpness: 1.05,
        valid: 0.93,
    },
];

/// Task, nats of a draw at first, nats once learned, whether the optimum is known, what was seen.
const STEER: [(&str, f64, f64, bool, Seen); 8] = [
    ("urn_draws", 1.9, 1.1, true, Seen::NewInstances),
    ("markov_chain", 2.4, 1.3, true, Seen::NewInstances),
    ("zipf_words", 3.2, 2.1, true, Seen::HeldOut),
    ("beta_coin", 0.9, 0.6, true, Seen::NewInstances),
    ("poll_answers", 1.6, 1.2, false, Seen::HeldOut),
    ("movie_ratings", 1.8, 1.35, false, Seen::HeldOut),
    ("hate_labels", 1.1, 0.7, false, Seen::NewInstances),
    ("number_game", 0.8, 0.55, false, Seen::HeldOut),
];
const ALIGN: [(&str, &[&str]); 4] = [
    ("urn", &["red", "green", "blue", "purple"]),
    ("global_opinions", &["A", "B", "C", "D", "E"]),
    ("book_readers", &["1", "2", "3", "4"]),
    ("movie_scores", &["Good", "Bad"]),
];
const COVER: [(&str, usize); 6] = [
    ("weekday", 7),
    ("us_state", 50),
    ("car_brand", 66),
    ("prime", 25),
    ("element", 118),
    ("month", 12),
];

fn uniform(stream: &mut Stream) -> f64 {
    (f64::from(stream.next_u32()) + 0.5) / 4294967296.0
}

fn noise(stream: &mut Stream) -> f64 {
    (0..6).map(|_| uniform(stream)).sum::<f64>() - 3.0
}

/// Probabilities that fall off at random, raised to a power and normalised.
fn skewed(weights: &[f64], power: f64) -> Vec<f64> {
    let raised: Vec<f64> = weights.iter().map(|weight| weight.powf(power)).collect();
    let total: f64 = raised.iter().sum();
    raised.iter().map(|weight| weight / total).collect()
}

fn draw(probabilities: &[f64], stream: &mut Stream) -> usize {
    let mut place = uniform(stream);
    probabilities
        .iter()
        .position(|p| {
            place -= p;
            place < 0.0
        })
        .unwrap_or(0)
}

fn episode_outcome(model: &Model, task: usize, unit: u64, streams: &Streams) -> SteerOutcome {
    let (_, first, last, known, _) = STEER[task];
    let mut shared = streams.stream("episode", unit);
    let mut own = streams.within(model.name).stream("episode", unit);
    let turn = |examples: usize| {
        let optimal =
            last + (first - last) * (-(examples as f64) / 3.0).exp() + 0.35 * noise(&mut shared);
        let stuck = 0.6 + model.excess_nats * 0.5 * examples as f64 / 8.0;
        let nats = optimal + model.excess_nats * (stuck + 0.3 * noise(&mut own).abs());
        let probability = (-nats / 2.0).exp().clamp(0.02, 0.98);
        let stated = probability.powf(1.0 / model.sharpness.sqrt());
        let right = uniform(&mut own) < probability;
        let pairs = vec![
            Pair { probability: stated as f32, right },
            Pair {
                probability: (0.6 * (1.0 - stated)) as f32,
                right: uniform(&mut own) < 0.6 * (1.0 - probability),
            },
        ];
        TurnOutcome {
            examples,
            nats,
            right,
            first_right: right || uniform(&mut own) < 0.3,
            optimal_nats: known.then_some(optimal),
            pairs,
        }
    };
    SteerOutcome { turns: (0..9).map(turn).collect() }
}

fn measure_steer(
    model: &Model,
    streams: &Streams,
    into: &mut Collector,
) -> Result<(), Box<dyn Error>> {
    for (task, (name, ..)) in STEER.iter().enumerate() {
        let streams = streams.within(name);
        for unit in 0..60 {
            let outcome = episode_outcome(model, task, unit, &streams);
            let label = format!("person {unit}");
            into.steer(name, &label, &outcome)?;
            let mut moved = outcome.clone();
            if let Some(turn) = moved.turns.last_mut() {
                turn.nats += 0.2
                    * model.excess_nats
                    * noise(&mut streams.within(model.name).stream("order", unit));
            }
            into.permutation(name, &label, (&outcome, &moved))?;
        }
    }
    Ok(())
}

fn measure_align(
    model: &Model,
    streams: &Streams,
    into: &mut Collector,
    shown: &mut Vec<Distribution>,
) -> Result<(), Box<dyn Error>> {
    for (name, options) in ALIGN {
        for unit in 0..40 {
            let mut shared = streams.within(name).stream("question", unit);
            let mut own = streams.within(name).within(model.name).stream("question", unit);
            let weights: Vec<f64> =
                options.iter().map(|_| 0.1 + uniform(&mut shared).powi(2)).collect();
            let target = skewed(&weights, 1.0);
            let blurred: Vec<f64> = weights
                .iter()
                .map(|w| w * (model.excess_nats * 1.2 * noise(&mut own)).exp())
                .collect();
            let believed = skewed(&blurred, model.sharpness);
            let mass = 1.0 - (1.0 - model.valid) * uniform(&mut own);
            let scores: Vec<OptionScore> = believed
                .iter()
                .map(|p| OptionScore { logprob_nats: (p * mass).ln(), tokens: 2 })
                .collect();
            let mut episode = Episode::new(format!("align/{name}"), unit.to_string());
            let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            let goal = Goal::Choices { options: options.clone(), probs: target.clone() };
            episode.query = Some(Query { input: None, goal });
            let outcome = align(&episode, &scores)?;
            into.align(name, &format!("question {unit}"), &outcome)?;
            if unit < 2 {
                let prompt = format!(
                    "Question {unit} of {name}: which of these would a person drawn at random give?"
                );
                show(
                    shown,
                    Distribution {
                        task: episode.task,
                        prompt,
                        options,
                        target,
                        models: BTreeMap::new(),
                    },
                    model.name,
                    outcome.model,
                );
            }
        }
    }
    Ok(())
}

fn show(
    shown: &mut Vec<Distribution>,
    question: Distribution,
    model: &str,
    probabilities: Vec<f64>,
) {
    let known = shown.iter().position(|other| other.prompt == question.prompt);
    let index = known.unwrap_or(shown.len());
    if known.is_none() {
        shown.push(question);
    }
    shown[index].models.insert(model.to_owned(), probabilities);
}

fn measure_cover(
    model: &Model,
    streams: &Streams,
    into: &mut Collector,
    shown: &mut Vec<SampleGrid>,
) -> Result<(), Box<dyn Error>> {
    for (name, size) in COVER {
        let items: Vec<String> = (0..size).map(|index| format!("{name} {}", index + 1)).collect();
        let judge = Judge::new(&Check::List { items: items.clone(), ignore_case: true })?;
        for unit in 0..4 {
            let mut shared = streams.within(name).stream("prompt", unit);
            let weights: Vec<f64> =
                (0..size).map(|_| uniform(&mut shared).powi(2) + 0.05).collect();
            for temperature in [0.4, 0.7, 1.0, 1.3, 1.6] {
                let mut own = streams
                    .within(name)
                    .within(model.name)
                    .stream("draws", unit * 100 + (temperature * 10.0) as u64);
                let believed = skewed(&weights, model.sharpness / temperature);
                let valid = 1.0 - (1.0 - model.valid) * f64::powf(temperature, 2.0);
                let texts: Vec<String> = (0..100)
                    .map(|index| {
                        let item = &items[draw(&believed, &mut own)];
                        if uniform(&mut own) < valid {
                            item.clone()
                        } else {
                            [
                                "<script>alert(1)</script>",
                                "a \u{202e}reversed & broken",
                                "",
                                "line\nbreak",
                            ][index % 4]
                                .to_owned()
                                + &" x".repeat(index / 20)
                        }
                    })
                    .collect();
                let outcome = cover(&judge, &texts);
                into.cover_at(name, &format!("prompt {unit}"), temperature, &outcome)?;
                if temperature == 1.0 {
                    into.cover(name, &format!("prompt {unit}"), &outcome)?;
                    if unit == 0 {
                        show_samples(shown, name, model.name, &judge, &texts);
                    }
                }
            }
        }
    }
    Ok(())
}

fn show_samples(
    shown: &mut Vec<SampleGrid>,
    name: &str,
    model: &str,
    judge: &Judge,
    texts: &[String],
) {
    let task = format!("cover/{name}");
    let index = shown.iter().position(|grid| grid.task == task).unwrap_or(shown.len());
    if index == shown.len() {
        let prompt = format!("Name a {name}.");
        shown.push(SampleGrid { task, prompt, temperature: 1.0, models: BTreeMap::new() });
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        *counts.entry(text.clone()).or_default() += 1;
    }
    let texts = counts.into_iter().map(|(text, count)| SampleText {
        valid: judge.canonical(&text).is_some(),
        text,
        count,
    });
    shown[index].models.insert(model.to_owned(), texts.collect());
}

fn notes() -> BTreeMap<String, TaskNote> {
    let steer = STEER.iter().map(|(name, .., seen)| (format!("steer/{name}"), *seen));
    let align = ALIGN.iter().map(|(name, _)| (format!("align/{name}"), Seen::HeldOut));
    let cover = COVER.iter().map(|(name, _)| (format!("cover/{name}"), Seen::HeldOut));
    steer
        .chain(align)
        .chain(cover)
        .map(|(task, seen)| {
            let text = format!("Invented for this example; stands for a task called {task}.");
            (task, TaskNote { seen, text })
        })
        .collect()
}

fn info(model: &Model) -> ModelInfo {
    let tuned = model.name != "base";
    ModelInfo {
        stamp: "0123456789abcdef".into(),
        path: format!("runs/example/{}", model.name),
        description: model.made.into(),
        parameters: Some(1_845_760),
        trained_tokens: tuned.then_some(2_097_152),
        seconds: tuned.then_some(184.0),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).map_or_else(|| PathBuf::from("report.html"), PathBuf::from);
    let streams = Streams::new(17);
    let (mut distributions, mut samples) = (Vec::new(), Vec::new());
    let mut measured: Vec<Measurements> = Vec::new();
    for model in &MODELS {
        let mut collector = Collector::default();
        measure_steer(model, &streams, &mut collector)?;
        measure_align(model, &streams, &mut collector, &mut distributions)?;
        measure_cover(model, &streams, &mut collector, &mut samples)?;
        measured.push(collector.finish());
    }
    let models: Vec<_> = MODELS
        .iter()
        .zip(&measured)
        .map(|(model, measured)| (model.name, info(model), measured))
        .collect();
    let mut data = ReportData::assemble(&models, &streams);
    let (single, ordinary, spectrum) = (&measured[1], &measured[2], &measured[3]);
    data.claims = [
        claim(
            "Spectrum tuning at least halves the divergence of single-answer tuning.",
            ("align/*", "js_nats"),
            spectrum,
            0.5,
            single,
            &streams,
        ),
        claim(
            "Spectrum tuning loses less than ordinary tuning on the same data.",
            ("steer/*", "loss_nats"),
            spectrum,
            1.0,
            ordinary,
            &streams,
        ),
        claim(
            "Spectrum tuning reaches twice as many valid outputs as ordinary tuning.",
            ("cover/*", "yield"),
            spectrum,
            2.0,
            ordinary,
            &streams,
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    data.title = "Invented example: four ways to tune one model".into();
    data.diapason =
        Version { version: env!("CARGO_PKG_VERSION").into(), git: "0000000 (example)".into() };
    data.seed = 17;
    data.settings = serde_json::json!({"recipe": "example", "suite": {"tasks": "*", "limit": 60}, "tune": {"learning_rate": 3e-4, "steps": 512}});
    data.facts = [
        ("Wall clock", "11 min 20 s"),
        ("Machine", "2 cores, no accelerator"),
        ("Tokens scored", "1.2 million"),
    ]
    .map(|(label, value)| Fact { label: label.into(), value: value.into() })
    .into();
    data.reproduce = vec!["diapason quickstart --out runs/example --seed 17".into()];
    (data.notes, data.distributions, data.samples) = (notes(), distributions, samples);
    std::fs::write(&out, html(&data))?;
    std::fs::write(out.with_extension("json"), data.to_json()?)?;
    Ok(())
}
