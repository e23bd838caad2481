//! `diapason report`: evaluated models side by side.

use super::Session;
use crate::args::ReportArgs;
use crate::pipeline::{merge_distributions, merge_grids, write_report};
use anyhow::Context as _;
use diapason_eval::{Measurements, ModelInfo, ReportData};
use diapason_flow::Streams;
use std::path::Path;

/// Writes the page and its figures.
pub(crate) fn report(session: &Session<'_>, args: &ReportArgs) -> anyhow::Result<()> {
    let read = args
        .evaluations
        .iter()
        .map(|folder| evaluation(folder))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let models: Vec<(&str, ModelInfo, &Measurements)> = read
        .iter()
        .map(|(name, info, _, measured)| (name.as_str(), info.clone(), measured))
        .collect();
    let mut names = std::collections::BTreeSet::new();
    for (name, ..) in &models {
        anyhow::ensure!(names.insert(*name), "two evaluated models are called `{name}`");
    }
    let seed = read.first().map_or(0, |(_, _, data, _)| data.seed);
    let mut data = ReportData::assemble(&models, &Streams::new(seed).within("report"));
    data.seed = seed;
    for (_, _, one, _) in &read {
        data.diapason = one.diapason.clone();
        merge_distributions(&mut data.distributions, &one.distributions);
        merge_grids(&mut data.samples, &one.samples);
    }
    write_report(&data, &args.out)?;
    Ok(session.console.data(&args.out.display().to_string())?)
}

type Read = (String, ModelInfo, ReportData, Measurements);

fn evaluation(folder: &Path) -> anyhow::Result<Read> {
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read `{}`\n\nhint: give folders that `diapason eval` or `run` wrote",
                path.display()
            )
        })
    };
    let data = ReportData::from_json(&text("results.json")?)?;
    let measured: Measurements = serde_json::from_str(&text("measurements.json")?)
        .with_context(|| format!("`{}` is damaged", folder.join("measurements.json").display()))?;
    let (name, info) = data
        .models
        .iter()
        .next()
        .with_context(|| format!("`{}` names no model", folder.display()))?;
    Ok((name.clone(), info.clone(), data.clone(), measured))
}
