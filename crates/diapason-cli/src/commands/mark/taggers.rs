//! `diapason mark fit-tagger` and `mark measure-tagger`.

use super::rows::Rows;
use super::{Session, read_taxonomy};
use crate::args::{FitTaggerArgs, TaggerPlace};
use anyhow::{Context as _, bail};
use diapason_flow::write_atomically;
use diapason_markers::{Accuracy, Example, FitSettings, Kind, Tagger, examples_of_row};
use serde_json::json;
use std::path::Path;

/// Fits a tagger, writes it and prints how often it is right.
pub(super) fn fit(session: &Session<'_>, args: &FitTaggerArgs) -> anyhow::Result<()> {
    let marker = &args.marker;
    let (taxonomy, _) = read_taxonomy(&args.taxonomy)?;
    if taxonomy.marker(marker)?.kind != Kind::Name {
        bail!("`{marker}` has numbers, not classes\n\nhint: name a marker such as task");
    }
    let examples = labelled(&args.input, marker)?;
    session.console.say(&format!("{} labelled outputs", examples.len()));
    let settings = FitSettings {
        bits: args.bits,
        balance: args.balance,
        seed: args.seed,
        ..FitSettings::default()
    };
    let mut tagger = diapason_markers::fit(marker, &examples, &settings)?;
    if let Some(others) = &args.others {
        tagger = tagger.sure(&labelled(others, marker)?, args.precision);
    }
    let bytes = tagger.to_bytes();
    write_atomically(&args.out, |file| file.write_all(&bytes))
        .with_context(|| format!("cannot write `{}`", args.out.display()))?;
    if args.json {
        let accuracy = serde_json::to_string_pretty(tagger.accuracy())?;
        return Ok(session.console.data(&accuracy)?);
    }
    print(session, tagger.accuracy())
}

/// Prints how often a tagger, or each of several, is right on labelled outputs.
pub(super) fn measure(
    session: &Session<'_>,
    place: &TaggerPlace,
    (input, marker): (&Path, Option<&str>),
    as_json: bool,
) -> anyhow::Result<()> {
    let mut taggers = read(place)?;
    taggers.retain(|tagger| marker.is_none_or(|marker| tagger.marker() == marker));
    if taggers.is_empty() {
        bail!("no tagger of `{}`\n\nhint: leave `--marker` out", marker.unwrap_or_default());
    }
    let mut all = serde_json::Map::new();
    for tagger in &taggers {
        let accuracy = tagger.measure(&labelled(input, tagger.marker())?);
        if as_json {
            all.insert(tagger.marker().to_owned(), json!(accuracy));
        } else {
            session.console.data(tagger.marker())?;
            print(session, &accuracy)?;
        }
    }
    if as_json {
        session.console.data(&serde_json::to_string_pretty(&all)?)?;
    }
    Ok(())
}

/// The taggers of a place; none of an address.
pub(super) fn read(place: &TaggerPlace) -> anyhow::Result<Vec<Tagger>> {
    let path = match place {
        TaggerPlace::Default => return Ok(Tagger::defaults()),
        TaggerPlace::Endpoint(_) => return Ok(Vec::new()),
        TaggerPlace::File(path) => path,
    };
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let tagger =
        Tagger::from_bytes(&bytes).with_context(|| format!("`{}` is no tagger", path.display()))?;
    Ok(vec![tagger])
}

fn labelled(input: &Path, marker: &str) -> anyhow::Result<Vec<Example>> {
    let mut examples = Vec::new();
    let mut rows = Rows::open(input)?;
    while let Some((line, text)) = rows.next_row()? {
        let row = rows.parse(line, &text)?;
        let found = examples_of_row(&row, marker)
            .with_context(|| format!("`{}`, line {line}", input.display()))?;
        examples.extend(found);
    }
    Ok(examples)
}

fn print(session: &Session<'_>, accuracy: &Accuracy) -> anyhow::Result<()> {
    session.console.data(&format!(
        "right on {:.1} % of the {} answered of {} outputs; the most frequent class alone: {:.1} %",
        100.0 * accuracy.share,
        accuracy.answered,
        accuracy.examples,
        100.0 * accuracy.majority
    ))?;
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "    –".to_owned(), |share| format!("{:>5.1}", 100.0 * share))
    };
    for class in &accuracy.classes {
        session.console.data(&format!(
            "  precision {} %  recall {} %  of {:>5}  {}",
            percent(class.precision()),
            percent(class.recall()),
            class.examples,
            class.class
        ))?;
    }
    Ok(())
}
