//! The main findings in plain words, each with its figures and intervals.

use super::format::{concat, escape, interval, number, p_value};
use super::table::{best, comparison, holds_zero};
use super::{Claim, ReportData};
use crate::{Better, METRICS, Metric};
use diapason_flow::CurvePoint;

/// Families with what they ask of a model, in the order of the page.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "steer",
        title: "Steerability",
        question: "Do examples in the context move the model to the process they were drawn from?",
        verb: "predicts best from examples",
        x: "in-context examples",
    },
    Family {
        name: "cover",
        title: "Coverage",
        question: "Over many draws, how much of what is valid does the model reach?",
        verb: "reaches the most valid outputs",
        x: "temperature",
    },
    Family {
        name: "align",
        title: "Alignment",
        question: "Does the model put the right probability on each of the known outputs?",
        verb: "is closest to the target distributions",
        x: "x",
    },
    Family {
        name: "levers",
        title: "Levers",
        question: "Does the output have what the markers in the prompt ask for?",
        verb: "follows the levers best",
        x: "x",
    },
    Family {
        name: "capability",
        title: "Capability kept",
        question: "Does the model still answer questions that have one right answer?",
        verb: "answers best",
        x: "x",
    },
];

/// A family of tasks as the page tells it.
pub(crate) struct Family {
    pub name: &'static str,
    pub title: &'static str,
    pub question: &'static str,
    pub verb: &'static str,
    pub x: &'static str,
}

impl Family {
    /// The task that stands for the family: the mean over its tasks.
    pub(crate) fn task(&self) -> String {
        format!("{}/*", self.name)
    }

    /// The first metric of the family that any model has.
    pub(crate) fn headline(&self, data: &ReportData) -> Option<&'static Metric> {
        super::table::metrics_of(data, &self.task()).into_iter().next()
    }
}

/// One finding a family, then the claims.
pub(crate) fn findings(data: &ReportData) -> String {
    let found = FAMILIES.iter().filter_map(|family| finding(data, family));
    let found = concat(found.map(|text| format!("<li>{text}</li>")));
    let claims = concat(data.claims.iter().map(claim));
    let claims = if claims.is_empty() {
        claims
    } else {
        format!("<h3>Claims made beforehand</h3><ul class=\"claims\">{claims}</ul>")
    };
    format!("<ul class=\"findings\">{found}</ul>{claims}")
}

fn finding(data: &ReportData, family: &Family) -> Option<String> {
    let (names, task) = (data.names(), family.task());
    let metric = family.headline(data)?;
    let winner = best(data, &names, &task, metric)?;
    let figure = |name: &str| data.figure(name, &task, metric.name);
    let value = figure(winner)?;
    let mut others: Vec<&str> =
        names.iter().copied().filter(|name| *name != winner && figure(name).is_some()).collect();
    let distance = |name: &str| figure(name).map_or(0.0, |other| (other.value - value.value).abs());
    others.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    let compared = others.iter().filter_map(|other| {
        let found = comparison(data, (&task, metric.name), winner, other)?;
        Some(format!(
            "<span class=\"versus\">{} <b>{}</b>: {}, p {}{}</span>",
            if holds_zero(&found) { "not told apart from" } else { "against" },
            escape(other),
            interval(found.difference, found.ci95),
            if found.p < 0.001 { "" } else { "= " },
            p_value(found.p)
        ))
    });
    Some(format!(
        "<b class=\"family\">{}</b> <b>{}</b> {}: {} {} over {} task{}. Differences: {}.{}",
        family.title,
        escape(winner),
        family.verb,
        escape(metric.label).to_lowercase(),
        interval(value.value, value.ci95),
        value.n,
        if value.n == 1 { "" } else { "s" },
        compared.collect::<Vec<_>>().join("; "),
        movement(data, &task, metric, winner).unwrap_or_default()
    ))
}

/// How far the winner's headline moves from the first to the last point of its curve.
fn movement(data: &ReportData, task: &str, metric: &Metric, winner: &str) -> Option<String> {
    if metric.better != Better::Lower {
        return None;
    }
    let curve = data.curve(winner, task, metric.name)?;
    let (first, last): (&CurvePoint, &CurvePoint) = (curve.first()?, curve.last()?);
    (first.x < last.x).then(|| {
        format!(
            " From {} to {} examples it goes from {} to {}.",
            number(first.x),
            number(last.x),
            number(first.value),
            number(last.value)
        )
    })
}

fn claim(claim: &Claim) -> String {
    let (class, word) =
        if claim.holds { ("holds", "✓ holds") } else { ("open", "✗ not shown") };
    let label = METRICS
        .iter()
        .find(|m| m.name == claim.metric && claim.task.starts_with(m.family))
        .map_or(claim.metric.as_str(), |metric| metric.label);
    format!(
        "<li><span class=\"badge {class}\">{word}</span> {} <span class=\"range\">{}, {}: {}, p {}{}, \
         n = {}</span></li>",
        escape(&claim.text),
        escape(&claim.task),
        escape(label).to_lowercase(),
        interval(claim.difference, claim.ci95),
        if claim.p < 0.001 { "" } else { "= " },
        p_value(claim.p),
        claim.n
    )
}
