//! Tables: models against metrics, tasks against models, paired comparisons.

use super::format::{concat, escape, figure, interval, p_value};
use super::{ReportData, Seen};
use crate::metrics::first_part;
use crate::{Better, METRICS, Metric, metric};
use diapason_flow::Comparison;

/// A table that scrolls inside itself on narrow screens.
pub(crate) fn scrolling(caption: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table>\
         <caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n",
        caption = escape(caption)
    )
}

/// The name of a model with its colour and shape.
pub(crate) fn model_name(names: &[&str], name: &str) -> String {
    let slot = names.iter().position(|other| *other == name).unwrap_or(7);
    format!("<span class=\"model m{}\">{}{}</span>", slot % 8, swatch(slot), escape(name))
}

/// The colour and shape of a model, small enough for a line of text.
pub(crate) fn swatch(slot: usize) -> String {
    let mark = super::chart::mark(slot, 6.0, 6.0, 4.2);
    format!("<svg class=\"swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">{mark}</svg>")
}

/// The metrics of a task that any model has, in the order of [`METRICS`].
pub(crate) fn metrics_of(data: &ReportData, task: &str) -> Vec<&'static Metric> {
    METRICS
        .iter()
        .filter(|metric| metric.family == first_part(task))
        .filter(|metric| data.models.keys().any(|m| data.figure(m, task, metric.name).is_some()))
        .collect()
}

/// The model with the best value of a metric, if one way is better and two models have it.
pub(crate) fn best<'a>(
    data: &ReportData,
    names: &[&'a str],
    task: &str,
    metric: &Metric,
) -> Option<&'a str> {
    let sign = match metric.better {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
        Better::Neither => return None,
    };
    let value = |name: &str| data.figure(name, task, metric.name).map(|found| sign * found.value);
    let having: Vec<&str> = names.iter().copied().filter(|name| value(name).is_some()).collect();
    if having.len() < 2 {
        return None;
    }
    having
        .into_iter()
        .min_by(|a, b| value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal))
}

/// The comparison of two models whichever way round it stands: the difference `a - b`, its
/// interval and p-value.
pub(crate) fn comparison(
    data: &ReportData,
    (task, metric): (&str, &str),
    a: &str,
    b: &str,
) -> Option<Comparison> {
    let same = |c: &&Comparison| c.task == task && c.metric == metric;
    data.comparisons.iter().filter(same).find_map(|found| {
        if found.a == a && found.b == b {
            return Some(found.clone());
        }
        let back = Comparison {
            a: a.to_owned(),
            b: b.to_owned(),
            difference: -found.difference,
            ci95: [-found.ci95[1], -found.ci95[0]],
            ..found.clone()
        };
        (found.a == b && found.b == a).then_some(back)
    })
}

/// Whether an interval of differences holds zero.
pub(crate) fn holds_zero(comparison: &Comparison) -> bool {
    comparison.n < 2 || (comparison.ci95[0] <= 0.0 && comparison.ci95[1] >= 0.0)
}

/// Models as rows, metrics as columns, with the definition of each metric below.
pub(crate) fn models_by_metric(data: &ReportData, task: &str, caption: &str) -> String {
    let (names, metrics) = (data.names(), metrics_of(data, task));
    let head = concat(metrics.iter().map(|metric| heading(metric)));
    let rows =
        names.iter().filter(|name| data.results.get(**name).is_some_and(|r| r.contains_key(task)));
    let rows = concat(rows.map(|name| {
        let cells = metrics.iter().map(|metric| cell(data, &names, task, metric, name));
        format!("<tr><th scope=\"row\">{}</th>{}</tr>", model_name(&names, name), concat(cells))
    }));
    scrolling(caption, &format!("<th scope=\"col\">Model</th>{head}"), &rows)
}

/// What each metric of a table means.
pub(crate) fn definitions(metrics: &[&Metric]) -> String {
    let rows = metrics.iter().map(|metric| {
        format!("<dt>{}</dt><dd>{}</dd>", escape(metric.label), escape(metric.definition))
    });
    format!("<dl class=\"definitions\">{}</dl>\n", concat(rows))
}

/// Tasks as rows, models as columns, the headline metric of the family in the cells.
pub(crate) fn tasks_by_model(data: &ReportData, family: &str) -> String {
    let names = data.names();
    let Some(headline) = METRICS.iter().find(|metric| metric.family == family) else {
        return String::new();
    };
    let head = concat(
        names.iter().map(|name| format!("<th scope=\"col\">{}</th>", model_name(&names, name))),
    );
    let rows = concat(data.tasks(family).into_iter().map(|task| {
        let cells = names.iter().map(|name| cell(data, &names, task, headline, name));
        let (label, cells) = (task_label(data, task), concat(cells));
        format!("<tr><th scope=\"row\">{label}</th>{cells}</tr>")
    }));
    let caption = format!("{} by task ({})", headline.label, direction(headline));
    scrolling(&caption, &format!("<th scope=\"col\">Task</th>{head}"), &rows)
}

/// The name of a task without its family, with a tag that says whether its family was seen.
fn task_label(data: &ReportData, task: &str) -> String {
    let short = escape(task.split_once('/').map_or(task, |(_, short)| short));
    match data.notes.get(task).map(|note| note.seen) {
        Some(seen) => format!("{short} {}", seen_tag(seen)),
        None => short,
    }
}

pub(crate) fn seen_tag(seen: Seen) -> String {
    match seen {
        Seen::HeldOut => "<span class=\"tag held-out\">held out</span>",
        Seen::NewInstances => "<span class=\"tag\">new instances</span>",
    }
    .to_owned()
}

pub(crate) fn direction(metric: &Metric) -> &'static str {
    match metric.better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
        Better::Neither => "describes",
    }
}

fn heading(metric: &Metric) -> String {
    let arrow = match metric.better {
        Better::Lower => "↓",
        Better::Higher => "↑",
        Better::Neither => "",
    };
    let (label, hint) = (escape(metric.label), direction(metric));
    format!(
        "<th scope=\"col\">{label}\u{a0}<span class=\"arrow\" title=\"{hint}\">{arrow}</span></th>"
    )
}

fn cell(data: &ReportData, names: &[&str], task: &str, metric: &Metric, name: &str) -> String {
    let Some(found) = data.figure(name, task, metric.name) else {
        return "<td class=\"none\">–</td>".to_owned();
    };
    let (value, range) = figure(found);
    let (class, sign) = match best(data, names, task, metric) {
        Some(best) if best == name => (" class=\"best\"", "<abbr title=\"best\">★</abbr>"),
        Some(best) => {
            let versus = comparison(data, (task, metric.name), best, name);
            let near = versus.is_some_and(|versus| holds_zero(&versus));
            ("", if near { "<abbr title=\"not told apart from the best\">≈</abbr>" } else { "" })
        }
        None => ("", ""),
    };
    format!(
        "<td{class}><span class=\"value\">{sign}{value}</span> <span class=\"range\">{range}</span></td>"
    )
}

/// Paired comparisons of some tasks and metrics.
pub(crate) fn comparisons(
    data: &ReportData,
    caption: &str,
    shown: impl Fn(&Comparison) -> bool,
) -> String {
    let names = data.names();
    let head = "<th scope=\"col\">Task</th><th scope=\"col\" class=\"text\">Metric</th><th scope=\"col\" class=\"text\">Models</th>\
                <th scope=\"col\">Difference</th><th scope=\"col\">p</th><th scope=\"col\">n</th>\
                <th scope=\"col\" class=\"text\">Says</th>";
    let mut found: Vec<&Comparison> = data.comparisons.iter().filter(|c| shown(c)).collect();
    let place = |c: &Comparison| {
        let metric =
            METRICS.iter().position(|m| m.family == first_part(&c.task) && m.name == c.metric);
        let model = |name: &str| names.iter().position(|other| *other == name);
        (metric, c.task.clone(), model(&c.b), model(&c.a))
    };
    found.sort_by_key(|comparison| place(comparison));
    let rows = concat(found.into_iter().map(|c| {
        let label = metric(&c.task, &c.metric).map_or(c.metric.as_str(), |metric| metric.label);
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td class=\"text\">{} − {}</td>\
             <td>{}</td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
            escape(&c.task),
            escape(label),
            model_name(&names, &c.a),
            model_name(&names, &c.b),
            interval(c.difference, c.ci95),
            p_value(c.p),
            c.n,
            verdict(c)
        )
    }));
    if rows.is_empty() { String::new() } else { scrolling(caption, head, &rows) }
}

/// What a comparison says in words.
fn verdict(comparison: &Comparison) -> String {
    if comparison.n < 2 {
        return "one unit: no test".to_owned();
    }
    if holds_zero(comparison) {
        return "not told apart".to_owned();
    }
    let lower = comparison.difference < 0.0;
    let (a, b) = (escape(&comparison.a), escape(&comparison.b));
    match metric(&comparison.task, &comparison.metric).map(|metric| metric.better) {
        Some(Better::Lower) => format!("<b>{}</b> better", if lower { a } else { b }),
        Some(Better::Higher) => format!("<b>{}</b> better", if lower { b } else { a }),
        _ => format!("<b>{}</b> lower", if lower { a } else { b }),
    }
}
