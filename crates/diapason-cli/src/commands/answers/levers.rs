//! `diapason answers language` and `length`: what was asked for against what is there.

use super::{Session, print, read_rows};
use crate::args::MeasureArgs;
use anyhow::{Context as _, ensure};
use diapason_eval::{Collector, every_line, length};
use diapason_markers::{Annotator, Counter, Taxonomy};
use serde_json::Value;

/// One answer, with what was asked for by the marker `name`.
struct Answer {
    unit: String,
    asked: String,
    text: String,
}

fn read(args: &MeasureArgs, name: &str) -> anyhow::Result<Vec<Answer>> {
    let rows: Vec<Value> = read_rows(&args.answers)?;
    let answer = |(index, row): (usize, &Value)| {
        let place = || format!("`{}`, row {}", args.answers.display(), index + 1);
        Ok(Answer {
            unit: format!("row {}", index + 1),
            asked: asked(row, name).with_context(|| {
                format!("{}: nothing says which `{name}` was asked for", place())
            })?,
            text: text(row).with_context(place)?.to_owned(),
        })
    };
    rows.iter().enumerate().map(answer).collect()
}

/// Prints the line-level pass rate of each language asked for.
pub(super) fn languages(session: &Session<'_>, args: &MeasureArgs) -> anyhow::Result<()> {
    let (counter, annotator) = (Counter::new(), Annotator::new(Taxonomy::built_in()));
    let mut collector = Collector::default();
    let mut left_out = 0;
    for answer in read(args, "lang")? {
        annotator.taxonomy().marker("lang")?.read(&answer.asked)?;
        let lines = answer.text.lines();
        let lines = lines.map(|line| (counter.words(line), annotator.language(line)));
        match every_line(lines, &answer.asked) {
            Some(passes) => {
                let task = format!("levers/{}", answer.asked);
                let value = f64::from(u8::from(passes));
                collector.add(&task, &answer.unit, "language_line_pass_rate", value)?;
            }
            None => left_out += 1,
        }
    }
    session.console.say(&format!("{left_out} answers without a sure line of five words left out"));
    print(session, collector, (args.seed, args.json))
}

/// Prints how often and by how much answers miss the length asked for: in words, sentences or
/// paragraphs, whichever a row asks for.
pub(super) fn lengths(session: &Session<'_>, args: &MeasureArgs) -> anyhow::Result<()> {
    let rows: Vec<Value> = read_rows(&args.answers)?;
    ensure!(!rows.is_empty(), "`{}` holds no answers", args.answers.display());
    let counter = Counter::new();
    let mut collector = Collector::default();
    for (index, row) in rows.iter().enumerate() {
        let place = || format!("`{}`, row {}", args.answers.display(), index + 1);
        let text = text(row).with_context(place)?;
        let (unit, found) = (format!("row {}", index + 1), counter.lengths(text));
        let mut nothing = true;
        for (name, of, found) in [
            ("length_tokens", "words", found.words),
            ("length_sentences", "sentences", found.sentences),
            ("length_paragraphs", "paragraphs", found.paragraphs),
        ] {
            let Some(asked) = asked(row, name) else { continue };
            nothing = false;
            let number: Option<usize> = asked.parse().ok().filter(|asked| *asked > 0);
            let number =
                number.with_context(|| format!("{}: `{asked}` is no number of {of}", place()))?;
            let Some(outcome) = length(number, found) else { continue };
            let (task, violation) = ("levers/length", outcome.violation);
            let metric = match of {
                "words" => "length_violation_share".to_owned(),
                of => format!("length_violation_share/{of}"),
            };
            collector.add(task, &unit, &metric, violation)?;
            let metric = format!("length_relative_error/{of}");
            collector.add(task, &unit, &metric, outcome.relative_error)?;
        }
        ensure!(!nothing, "{}: nothing says which `length_tokens` was asked for", place());
    }
    print(session, collector, (args.seed, args.json))
}

/// What a row asks for by a marker. What a model wrote itself is no measure of what it was asked.
fn asked(row: &Value, name: &str) -> Option<String> {
    let told = if row.get("asked").is_some() { &row["asked"] } else { &row["markers"] };
    match &told[name] {
        Value::Number(number) => Some(number.to_string()),
        other => other.as_str().map(str::to_owned),
    }
}

fn text(row: &Value) -> anyhow::Result<&str> {
    row["completion"].as_str().context("no `completion`")
}
