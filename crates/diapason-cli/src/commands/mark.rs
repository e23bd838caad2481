//! `diapason mark` and its verbs.

mod annotate;
mod endpoint;
mod join;
mod predict;
pub(super) mod rows;
mod taggers;

use super::Session;
use crate::args::{MarkArgs, MarkVerb, TaxonomyArgs};
use anyhow::Context as _;
use diapason_flow::write_atomically;
use diapason_markers::{Statistics, Summary, Taxonomy, markers_of_row, page};
use rows::{Rows, parse};
use serde_json::Value;
use std::path::Path;

/// Runs `mark` or one of its verbs.
pub(crate) fn mark(session: &Session<'_>, args: MarkArgs) -> anyhow::Result<()> {
    match args.verb {
        None => annotate::annotate(session, &args.annotate),
        Some(MarkVerb::Predict(args)) => predict::predict(session, &args),
        Some(MarkVerb::Stats { input, taxonomy, html, json }) => {
            stats(session, &input, &taxonomy, html.as_deref(), json)
        }
        Some(MarkVerb::FitTagger(args)) => taggers::fit(session, &args),
        Some(MarkVerb::MeasureTagger { tagger, input, marker, json }) => {
            taggers::measure(session, &tagger, (&input, marker.as_deref()), json)
        }
    }
}

/// The built-in taxonomy with the user's additions, and the text of these.
fn read_taxonomy(args: &TaxonomyArgs) -> anyhow::Result<(Taxonomy, Option<String>)> {
    let Some(path) = &args.taxonomy else { return Ok((Taxonomy::built_in(), None)) };
    let additions = read(path)?;
    let taxonomy = Taxonomy::built_in()
        .extended(&additions)
        .with_context(|| format!("`{}` is no taxonomy", path.display()))?;
    Ok((taxonomy, Some(additions)))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn stats(
    session: &Session<'_>,
    input: &Path,
    taxonomy: &TaxonomyArgs,
    html: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<()> {
    let (taxonomy, _) = read_taxonomy(taxonomy)?;
    let mut statistics = Statistics::default();
    let mut rows = Rows::open(input)?;
    while let Some((line, text)) = rows.next_row()? {
        let row: Value = rows.parse(line, &text)?;
        let place = || format!("`{}`, line {line}", input.display());
        for markers in markers_of_row(&row).with_context(place)? {
            statistics.add(&taxonomy, &markers);
        }
        session.console.progress(rows.read_bytes(), rows.total_bytes(), "bytes counted");
    }
    session.console.clear();
    let summary = statistics.summary(&taxonomy);
    if let Some(html) = html {
        let title = input.file_name().unwrap_or_default().to_string_lossy();
        let content = page(&title, &summary);
        write_atomically(html, |out| out.write_all(content.as_bytes()))
            .with_context(|| format!("cannot write `{}`", html.display()))?;
        session.console.say(&format!("page in {}", html.display()));
    }
    if as_json {
        return Ok(session.console.data(&serde_json::to_string_pretty(&summary)?)?);
    }
    print_summary(session, &summary)
}

fn print_summary(session: &Session<'_>, summary: &Summary) -> anyhow::Result<()> {
    let console = session.console;
    console.data(&format!("{} outputs", summary.examples))?;
    for marker in &summary.markers {
        let share = 100.0 * marker.present as f64 / summary.examples.max(1) as f64;
        console.data(&format!("\n{}: {}, on {share:.1} %", marker.name, marker.meaning))?;
        if let (Some(quantiles), Some(mean)) = (marker.quantiles, marker.mean) {
            let [least, quarter, half, three, most] = quantiles;
            console.data(&format!(
                "  least {least}, quarter {quarter}, half {half}, three quarters {three}, \
                 most {most}, mean {mean:.1}"
            ))?;
        }
        for value in &marker.values {
            let place = if value.tail { "tail" } else { "head" };
            let share = 100.0 * value.share;
            console
                .data(&format!("  {place} {share:>5.1} %  {:>9}  {}", value.count, value.value))?;
        }
    }
    Ok(())
}
