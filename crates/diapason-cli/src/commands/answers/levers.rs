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
        // What a model wrote itself is no measure of what it was asked.
        let told = if row.get("asked").is_some() { &row["asked"] } else { &row["markers"] };
        let asked = match &told[name] {
            Value::Number(number) => Some(number.to_string()),
            other => other.as_str().map(str::to_owned),
        };
        let place = || format!("`{}`, row {}", args.answers.display(), index + 1);
        Ok(Answer {
            unit: format!("row {}", index + 1),
            asked: asked.with_context(|| {
                format!("{}: nothing says which `{name}` was asked for", place())
            })?,
            text: row["completion"]
                .as_str()
                .with_context(|| format!("{}: no `completion`", place()))?
                .to_owned(),
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

/// Prints how often and by how much answers miss the number of words asked for.
pub(super) fn lengths(session: &Session<'_>, args: &MeasureArgs) -> anyhow::Result<()> {
    let counter = Counter::new();
    let mut collector = Collector::default();
    for answer in read(args, "length_tokens")? {
        let asked: usize =
            answer.asked.parse().ok().filter(|asked| *asked > 0).with_context(|| {
                format!("{}: `{}` is no number of words", answer.unit, answer.asked)
            })?;
        let Some(outcome) = length(asked, counter.words(&answer.text)) else { continue };
        let task = "levers/length";
        collector.add(task, &answer.unit, "length_violation_share", outcome.violation)?;
        collector.add(task, &answer.unit, "length_relative_error/words", outcome.relative_error)?;
    }
    let nothing = collector.clone().finish().tasks.is_empty();
    ensure!(!nothing, "`{}` holds no answers", args.answers.display());
    print(session, collector, (args.seed, args.json))
}
