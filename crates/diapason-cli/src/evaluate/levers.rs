//! Levers: markers inferred, lengths and languages kept, rare domains helped.
//!
//! Every measure is taken twice where the model knows markers: *inferred*, with the request in
//! words and no lever, and *fixed*, with the lever set. A model without markers has the first only.

use super::{Evaluated, Subject, TaskResult};
use crate::levers::{Open, write_lists};
use anyhow::bail;
use diapason_data::marked_world::{Ask as Wish, Passage, Probe, WORDS, probe};
use diapason_eval::{Collector, every_line, length, markers_right};
use diapason_flow::{
    Answer, Ask, Episode, Goal, LossPolicy, Markers, Query, Request, Sampling, Streams,
};
use diapason_markers::{Annotator, Counter, Lists, Taxonomy, print_list, split_list};
use diapason_text::MarkerSides;
use rand::Rng as _;
use serde_json::{Value, json};

/// A domain with a smaller share of the tuning data is rare (the paper's limit).
const RARE: f64 = 0.05;

/// Longest answer; the longest true ones have half of this.
const ANSWER_TOKENS: usize = 96;

/// The measures, by their names in the results.
pub(crate) const MEASURES: &[(&str, Measure)] = &[
    ("levers/markers", Measure::Markers),
    ("levers/length", Measure::Length),
    ("levers/language", Measure::Language),
    ("levers/quality", Measure::Quality),
    ("levers/rare_domains", Measure::Domains { rare: true }),
    ("levers/frequent_domains", Measure::Domains { rare: false }),
];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Whether the list that the model writes without being told anything is right.
    Markers,
    /// Whether an answer keeps a limit in words.
    Length,
    /// Whether an answer is in a language that is not the request's own.
    Language,
    /// How good an answer is by the world's own rule; fixed, in each quality bucket.
    Quality,
    /// Loss of true answers about rare or frequent domains, and how good drawn ones are.
    Domains {
        /// Which of the two.
        rare: bool,
    },
}

/// One measure of one model.
pub(super) struct Trial<'a> {
    /// The model.
    pub(super) subject: &'a Subject,
    /// Name in the results.
    pub(super) task: &'a str,
    /// Whether levers are set.
    pub(super) fixed: bool,
    /// Draws of this task.
    pub(super) streams: Streams,
}

/// A request, and the levers that are set for its answer.
struct Wanted {
    input: String,
    fixed: Markers,
}

impl Measure {
    /// Requests and true answers that no tuning data holds.
    pub(crate) fn probes(self, count: usize, streams: &Streams) -> Vec<Probe> {
        let wish = match self {
            Measure::Markers | Measure::Quality => Wish::Usual,
            Measure::Length => Wish::Limit,
            Measure::Language => Wish::AnotherLanguage,
            Measure::Domains { .. } => Wish::EveryDomain,
        };
        let wanted = |probe: &Probe| match self {
            Measure::Domains { rare } => (probe.passage.domain.share < RARE) == rare,
            _ => true,
        };
        (super::FIRST_EVALUATED..)
            .map(|index| probe(wish, index, streams))
            .filter(wanted)
            .take(count)
            .collect()
    }

    /// Measures a model. `None` where there is nothing to measure: a model without markers writes
    /// no list, and the markers of a list are not inferred where they are set.
    pub(super) fn evaluate(
        self,
        trial: &Trial<'_>,
        probes: &[Probe],
    ) -> anyhow::Result<Option<Evaluated>> {
        let writes = trial.subject.trained.as_ref().is_some_and(|trained| trained.learn);
        match self {
            Measure::Markers if trial.fixed || !writes => Ok(None),
            Measure::Markers => markers(trial, probes).map(Some),
            Measure::Length => lengths(trial, probes).map(Some),
            Measure::Language => languages(trial, probes).map(Some),
            Measure::Quality => qualities(trial, probes).map(Some),
            Measure::Domains { .. } => domains_of(trial, probes).map(Some),
        }
    }
}

fn markers(trial: &Trial<'_>, probes: &[Probe]) -> anyhow::Result<Evaluated> {
    let subject = trial.subject;
    let prompts = probes.iter().map(|probe| prompt(subject, &plain(probe)));
    let prompts = prompts.collect::<anyhow::Result<Vec<_>>>()?;
    let sampling = Sampling {
        temperature: 0.0,
        max_tokens: subject.list_tokens(),
        stop: subject.tokenizer.terminators(),
        ..Sampling::default()
    };
    let request = |prompt| Request { prompt, ask: Ask::Sample(sampling.clone()) };
    let texts = draws(subject, &prompts.into_iter().map(request).collect::<Vec<_>>())?;
    let (mut collector, mut rows) = (Collector::default(), Vec::new());
    for (probe, (text, _)) in probes.iter().zip(&texts) {
        let (truth, unit) = (&probe.episode.turns[0].markers, &probe.episode.unit);
        let list = split_list(text);
        let whole = list.closed && !list.markers.is_empty();
        collector.add(trial.task, unit, "list_share", f64::from(u8::from(whole)))?;
        for (name, right) in markers_right(truth, &list.markers) {
            let metric = format!("marker_accuracy/{name}");
            collector.add(trial.task, unit, &metric, f64::from(u8::from(right)))?;
        }
        rows.push(json!({"unit": unit, "truth": truth, "written": list.markers}));
    }
    Ok(finish(collector, rows))
}

fn lengths(trial: &Trial<'_>, probes: &[Probe]) -> anyhow::Result<Evaluated> {
    let requests = probes.iter().map(|probe| {
        let words = probe.limit.unwrap_or_default().to_string();
        if trial.fixed {
            Wanted { input: probe.unlimited.clone(), fixed: one("length_tokens", words) }
        } else {
            plain(probe)
        }
    });
    let answers = answers(trial, requests.collect())?;
    let counter = Counter::new();
    let (mut collector, mut rows) = (Collector::default(), Vec::new());
    for (probe, (text, tokens)) in probes.iter().zip(&answers) {
        let unit = &probe.episode.unit;
        let found = counter.lengths(text);
        let asked = probe.limit.unwrap_or_default();
        let truth = trial.subject.tokenizer.encode_text(&probe.episode.turns[0].output)?.len();
        if let Some(outcome) = length(asked, found.words) {
            collector.add(trial.task, unit, "length_violation_share", outcome.violation)?;
        }
        for (name, asked, found) in [
            ("words", asked, found.words),
            ("sentences", asked / WORDS, found.sentences),
            ("tokens", truth, *tokens),
        ] {
            if let Some(outcome) = length(asked, found) {
                let metric = format!("length_relative_error/{name}");
                collector.add(trial.task, unit, &metric, outcome.relative_error)?;
            }
        }
        rows.push(json!({"unit": unit, "asked_words": asked, "words": found.words, "text": text}));
    }
    Ok(finish(collector, rows))
}

fn languages(trial: &Trial<'_>, probes: &[Probe]) -> anyhow::Result<Evaluated> {
    let requests = probes.iter().map(|probe| {
        let fixed = one("lang", probe.passage.language.name.clone());
        Wanted { fixed: if trial.fixed { fixed } else { Markers::default() }, ..plain(probe) }
    });
    let answers = answers(trial, requests.collect())?;
    let (counter, annotator) = (Counter::new(), Annotator::new(Taxonomy::built_in()));
    let (mut collector, mut rows) = (Collector::default(), Vec::new());
    for (probe, (text, _)) in probes.iter().zip(&answers) {
        let (unit, asked) = (&probe.episode.unit, &probe.passage.language.name);
        let lines = text.lines().map(|line| (counter.words(line), annotator.language(line)));
        let passes = every_line(lines, asked);
        if let Some(passes) = passes {
            let value = f64::from(u8::from(passes));
            collector.add(trial.task, unit, "language_line_pass_rate", value)?;
        }
        rows.push(json!({"unit": unit, "asked": asked, "passes": passes, "text": text}));
    }
    Ok(finish(collector, rows))
}

/// How good answers are. The figure is that of the best bucket where the lever is set, and the curve
/// has all four.
fn qualities(trial: &Trial<'_>, probes: &[Probe]) -> anyhow::Result<Evaluated> {
    let (mut collector, mut rows) = (Collector::default(), Vec::new());
    let buckets = if trial.fixed { 1..=4 } else { 0..=0 };
    for bucket in buckets {
        let fixed = match bucket {
            0 => Markers::default(),
            bucket => one("quality_bucket", bucket.to_string()),
        };
        let wanted = probes.iter().map(|probe| Wanted { fixed: fixed.clone(), ..plain(probe) });
        let answers = answers(trial, wanted.collect())?;
        for (probe, (text, _)) in probes.iter().zip(&answers) {
            let (unit, score) = (&probe.episode.unit, probe.score(text, true));
            if bucket <= 1 {
                collector.add(trial.task, unit, "score", score)?;
            }
            if bucket > 0 {
                collector.add_at(trial.task, unit, "score", (f64::from(bucket), score))?;
            }
            rows.push(scored(probe, &fixed, text, score));
        }
    }
    Ok(finish(collector, rows))
}

/// A row of answers as `judge` reads them.
fn scored(probe: &Probe, asked: &Markers, text: &str, score: f64) -> Value {
    let turn = &probe.episode.turns[0];
    json!({"id": probe.episode.unit, "prompt": turn.input, "completion": text, "score": score,
           "asked": asked, "domain": probe.passage.domain.name})
}

/// Losses of true answers, and scores of drawn ones by what the domain is, said or not.
fn domains_of(trial: &Trial<'_>, probes: &[Probe]) -> anyhow::Result<Evaluated> {
    let (mut collector, mut rows) = losses(trial, probes)?;
    let fixed = |probe: &Probe| {
        let domain = one("domain", probe.passage.domain.name.clone());
        if trial.fixed { domain } else { Markers::default() }
    };
    let wanted = probes.iter().map(|probe| Wanted { fixed: fixed(probe), ..plain(probe) });
    let answers = answers(trial, wanted.collect())?;
    for ((probe, (text, _)), row) in probes.iter().zip(&answers).zip(&mut rows) {
        let (unit, score) = (&probe.episode.unit, probe.score(text, false));
        collector.add(trial.task, unit, "score", score)?;
        collector.add_at(trial.task, unit, "score", (probe.passage.domain.share, score))?;
        let mut told = scored(probe, &fixed(probe), text, score);
        told["nats"] = row["nats"].clone();
        *row = told;
    }
    Ok(finish(collector, rows))
}

/// Loss of the true answers, and of nothing else. Of a model that writes lists first, an answer's
/// probability is a sum over lists; here over those that agree with the answer, one for each quality
/// bucket, since an answer tells its language, domain and length but not its grade. All other lists
/// could only add to it, so the loss is bounded from above. Beside it stands the loss given the true
/// list, which tells length and quality.
fn losses(trial: &Trial<'_>, probes: &[Probe]) -> anyhow::Result<(Collector, Vec<Value>)> {
    let trained = trial.subject.trained.as_ref();
    let writes = trained.is_some_and(|trained| trained.learn);
    let lists = |probe: &Probe| -> Vec<Lists> {
        if writes { agreeing(trial, probe) } else { vec![Lists::default()] }
    };
    let lists: Vec<Vec<Lists>> = probes.iter().map(lists).collect();
    let texts = traced(trial.subject, probes, &lists, writes)?;
    let truth: Vec<Vec<Lists>> = probes
        .iter()
        .map(|probe| {
            let answer = print_list(&probe.episode.turns[0].markers);
            vec![Lists { answer, ..Lists::default() }]
        })
        .collect();
    let told = trained.is_some() && !trial.fixed;
    let truth = if told { traced(trial.subject, probes, &truth, false)? } else { Vec::new() };
    let (mut collector, mut rows) = (Collector::default(), Vec::new());
    for (index, (probe, nats)) in probes.iter().zip(texts).enumerate() {
        let (unit, domain) = (&probe.episode.unit, probe.passage.domain);
        collector.add(trial.task, unit, "loss_nats", nats)?;
        if let Some(nats) = truth.get(index) {
            collector.add(trial.task, unit, "loss_nats/true_list", *nats)?;
        }
        collector.add_at(trial.task, unit, "loss_nats", (domain.share, nats))?;
        rows.push(json!({"nats": nats}));
    }
    Ok((collector, rows))
}

/// The lists that agree with the true answer, behind a prompt with the domain set or with nothing.
fn agreeing(trial: &Trial<'_>, probe: &Probe) -> Vec<Lists> {
    let domain = one("domain", probe.passage.domain.name.clone());
    let prompt = if trial.fixed { print_list(&domain) } else { String::new() };
    (1..=4)
        .map(|bucket| {
            let passage = Passage { quality: bucket, ..probe.passage };
            Lists { prompt: prompt.clone(), answer: print_list(&passage.markers()) }
        })
        .collect()
}

/// Nats of each probe's answer, behind each of its lists or together with it: those of the sum of
/// the probabilities.
fn traced(
    subject: &Subject,
    probes: &[Probe],
    lists: &[Vec<Lists>],
    together: bool,
) -> anyhow::Result<Vec<f64>> {
    let template = subject.tokenizer.template().clone();
    let template = template.with_markers(MarkerSides { prompt: false, learn: together });
    let (mut requests, mut learned) = (Vec::new(), Vec::new());
    for (probe, lists) in probes.iter().zip(lists) {
        for list in lists {
            let list = std::slice::from_ref(list);
            let marked = template.render_with_lists(&probe.episode, LossPolicy::EveryOutput, list);
            let tokens = subject.tokenizer.encode(&marked)?;
            let ask = Ask::Trace { from: 1, top: 0 };
            requests.push(Request { prompt: tokens.ids().to_vec(), ask });
            learned.push(tokens);
        }
    }
    let mut nats = Vec::with_capacity(requests.len());
    for (tokens, answer) in learned.iter().zip(subject.engine.ask(&requests)?) {
        let Answer::Traced(trace) = answer else { bail!("the engine did not answer with a trace") };
        let scored = trace.iter().zip(&tokens.learn()[1..]).filter(|(_, learn)| **learn);
        nats.push(scored.map(|(score, _)| -f64::from(score.logprob_nats)).sum::<f64>());
    }
    let mut rest = nats.as_slice();
    let sum = |lists: &Vec<Lists>| {
        let (own, after) = rest.split_at(lists.len());
        rest = after;
        let least = own.iter().copied().fold(f64::INFINITY, f64::min);
        least - own.iter().map(|nats| (least - nats).exp()).sum::<f64>().ln()
    };
    Ok(lists.iter().map(sum).collect())
}

fn one(name: &str, value: String) -> Markers {
    let mut markers = Markers::default();
    markers.set(name, value);
    markers
}

/// The request as it stands, no lever set.
fn plain(probe: &Probe) -> Wanted {
    let input = probe.episode.turns[0].input.clone().unwrap_or_default();
    Wanted { input, fixed: Markers::default() }
}

fn prompt(subject: &Subject, wanted: &Wanted) -> anyhow::Result<Vec<u32>> {
    let mut episode = Episode::new("levers", "request");
    let goal = Goal::Text(String::new());
    episode.query = Some(Query { input: Some(wanted.input.clone()), goal });
    episode.exchangeable = false;
    let marked = subject.tokenizer.template().render_prompt_with(&episode, &wanted.fixed);
    Ok(subject.tokenizer.encode(&marked)?.ids().to_vec())
}

/// One answer to each request at temperature 1, behind a list where the model writes lists, with
/// its number of tokens. Answer and list of a request have the same streams in every model.
fn answers(trial: &Trial<'_>, wanted: Vec<Wanted>) -> anyhow::Result<Vec<(String, usize)>> {
    let Trial { subject, streams, .. } = trial;
    let prompts = wanted.iter().map(|wanted| prompt(subject, wanted));
    let mut prompts = prompts.collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(trained) = &subject.trained {
        let open = prompts.into_iter().zip(wanted).zip(0..).map(|((prompt, wanted), index)| Open {
            prompt,
            fixed: wanted.fixed,
            stream: streams.stream("list", index),
        });
        let lists = write_lists(subject, trained, open.collect(), 1.0)?;
        prompts = lists.into_iter().map(|list| list.ids).collect();
    }
    let request = |(prompt, index): (Vec<u32>, u64)| {
        let sampling = Sampling {
            seed: streams.stream("answer", index).next_u64(),
            max_tokens: ANSWER_TOKENS.min(subject.context.saturating_sub(prompt.len())),
            stop: subject.tokenizer.terminators(),
            ..Sampling::default()
        };
        Request { prompt, ask: Ask::Sample(sampling) }
    };
    draws(subject, &prompts.into_iter().zip(0..).map(request).collect::<Vec<_>>())
}

/// The first draw of each request: its text and number of tokens.
fn draws(subject: &Subject, requests: &[Request]) -> anyhow::Result<Vec<(String, usize)>> {
    let decode = |answer| match answer {
        Answer::Sampled(samples) if !samples.is_empty() => {
            Ok((subject.tokenizer.decode(&samples[0].ids), samples[0].ids.len()))
        }
        _ => bail!("the engine did not answer with draws"),
    };
    subject.engine.ask(requests)?.into_iter().map(decode).collect()
}

fn finish(collector: Collector, rows: Vec<Value>) -> Evaluated {
    let measured = collector.finish();
    (TaskResult { measured, ..TaskResult::default() }, rows)
}
