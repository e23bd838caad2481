//! The main findings in plain words, each with its figures and intervals.

use super::chart::{Dot, Labels, dots};
use super::format::{concat, escape, interval, number, place};
use super::table::{best, comparison, holds_zero};
use super::{Claim, ReportData};
use crate::{Better, METRICS, Metric};
use diapason_flow::Comparison;

/// Families with what they ask of a model, in the order of the page.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "steer",
        title: "Steerability",
        question: "Do examples in the context move the model to the process they were drawn from?",
        verb: "predicts best from examples",
        measure: "nats an output",
        x: "in-context examples",
    },
    Family {
        name: "cover",
        title: "Coverage",
        question: "Over many draws, how much of what is valid does the model reach?",
        verb: "reaches the most valid outputs",
        measure: "distinct valid outputs a prompt",
        x: "temperature",
    },
    Family {
        name: "align",
        title: "Alignment",
        question: "Does the model put the right probability on each of the known outputs?",
        verb: "is closest to the target distributions",
        measure: "nats of Jensen–Shannon divergence",
        x: "x",
    },
    Family {
        name: "levers",
        title: "Levers",
        question: "Does the output have what the markers in the prompt ask for?",
        verb: "follows the levers best",
        measure: "",
        x: "x",
    },
    Family {
        name: "capability",
        title: "Capability kept",
        question: "Does the model still answer questions that have one right answer?",
        verb: "answers best",
        measure: "of questions right",
        x: "x",
    },
];

/// A family of tasks as the page tells it.
pub(crate) struct Family {
    pub name: &'static str,
    pub title: &'static str,
    pub question: &'static str,
    pub verb: &'static str,
    /// What the first metric of the family counts, in words.
    pub measure: &'static str,
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
    let value = data.figure(winner, &task, metric.name)?;
    let mut versus: Vec<Comparison> = names
        .iter()
        .filter_map(|other| comparison(data, (&task, metric.name), winner, other))
        .collect();
    versus.sort_by(|a, b| a.difference.abs().total_cmp(&b.difference.abs()));
    let level = versus.iter().filter(|found| holds_zero(found)).map(|found| escape(&found.b));
    let level = match level.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => none,
        level => format!(" (not told apart from {level})"),
    };
    let versus = concat(versus.iter().map(|found| format!("<li>{}</li>", versus_in_words(found))));
    let main = METRICS.iter().find(|first| first.family == family.name) == Some(metric);
    let measure = if main && !family.measure.is_empty() { family.measure } else { metric.label };
    Some(format!(
        "<p><b class=\"family\">{}</b> <b>{}</b>{level} {}: {} {measure}, mean over {} task{}.{}</p>\
         <ul class=\"versus\">{versus}</ul>{}",
        family.title,
        escape(winner),
        family.verb,
        number(value.value),
        value.n,
        if value.n == 1 { "" } else { "s" },
        movement(data, &task, metric, winner).unwrap_or_default(),
        scorecard(data, family).unwrap_or_default()
    ))
}

/// The headline metric of a family at a glance: paired differences from the first model, because
/// intervals of the figures themselves show how tasks differ rather than how models do.
fn scorecard(data: &ReportData, family: &Family) -> Option<String> {
    let (metric, task) = (family.headline(data)?, family.task());
    let names = data.names();
    let first = *names.first()?;
    let rows: Vec<Dot> = names
        .iter()
        .enumerate()
        .filter_map(|(slot, name)| {
            let figure = number(data.figure(name, &task, metric.name)?.value);
            let (value, ci95) = if *name == first {
                (0.0, [0.0; 2])
            } else {
                let versus = comparison(data, (&task, metric.name), name, first)?;
                (versus.difference, versus.ci95)
            };
            Some(Dot { slot, name, value, ci95, figure })
        })
        .collect();
    let better = if metric.better == Better::Higher { "right" } else { "left" };
    let note = format!("{}: paired difference from {first}; {better} is better", metric.label);
    Some(dots(&Labels { title: &note, note: "", x: "" }, &rows))
}

/// The winner against one other model.
fn versus_in_words(found: &Comparison) -> String {
    let (other, p) = (escape(&found.b), p_in_words(found.p));
    if holds_zero(found) {
        let range = interval(found.difference, found.ci95);
        return format!("not told apart from <b>{other}</b>: {range}, {p}");
    }
    let lower = found.difference < 0.0;
    let [low, high] = found.ci95;
    let size = if lower {
        interval(-found.difference, [-high, -low])
    } else {
        interval(found.difference, found.ci95)
    };
    format!("{size} {} than <b>{other}</b>, {p}", if lower { "less" } else { "more" })
}

fn p_in_words(p: f64) -> String {
    if p < 0.001 { "p\u{a0}&lt;\u{a0}0.001".to_owned() } else { format!("p\u{a0}=\u{a0}{p:.3}") }
}

/// How far the winner's headline moves from the first to the last place of its curve.
fn movement(data: &ReportData, task: &str, metric: &Metric, winner: &str) -> Option<String> {
    if metric.family != "steer" {
        return None;
    }
    let curve = data.curve(winner, task, metric.name)?;
    let (first, last) = (curve.first()?, curve.last()?);
    (first.x < last.x).then(|| {
        format!(
            " From {} to {} examples it goes from {} to {}.",
            place(first.x),
            place(last.x),
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
        "<li><span class=\"badge {class}\">{word}</span> {} <span class=\"range\">{}, {}: {}, {}, \
         n = {}</span></li>",
        escape(&claim.text),
        escape(&claim.task),
        escape(label),
        interval(claim.difference, claim.ci95),
        p_in_words(claim.p),
        claim.n
    )
}
