//! The page: what was compared, what was found, and everything behind it.

use super::chart::{Labels, Series, curves};
use super::findings::{FAMILIES, Family, findings};
use super::format::{concat, escape, escape_lines, number, shortened, whole};
use super::table::{
    comparisons, definitions, direction, metrics_of, model_name, models_by_metric, scrolling,
    seen_tag, swatch, tasks_by_model,
};
use super::{ReportData, Seen, gallery};
use crate::{Better, METRICS, metric};
use diapason_flow::CurvePoint;

/// The whole report as one self-contained HTML page: no scripts, nothing fetched, light and dark,
/// narrow and wide, on screen and on paper. All text of the data is escaped.
pub fn html(data: &ReportData) -> String {
    let families: Vec<&Family> =
        FAMILIES.iter().filter(|family| !data.tasks(family.name).is_empty()).collect();
    let title = if data.title.is_empty() { "diapason report" } else { &data.title };
    let sections = concat(families.iter().map(|family| section(data, family)));
    let body = concat([
        masthead(data, title, &families),
        sections,
        comparison_section(data, &families),
        task_section(data),
        run_section(data),
    ]);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title),
        include_str!("style.css")
    )
}

fn masthead(data: &ReportData, title: &str, families: &[&Family]) -> String {
    let names = data.names();
    let tasks: usize = families.iter().map(|family| data.tasks(family.name).len()).sum();
    let compared = names.iter().map(|name| model_name(&names, name)).collect::<Vec<_>>().join(" ");
    let links = concat(
        families.iter().map(|family| format!("<a href=\"#{}\">{}</a>", family.name, family.title)),
    );
    format!(
        "<header><p class=\"brand\">diapason</p><h1>{}</h1>\
         <p class=\"compared\">{compared}</p><p class=\"lede\">{} model{} on {tasks} task{}, with 95 % \
         intervals that resample whole units and paired tests on the units the models share.</p>\
         <nav aria-label=\"Sections\">{links}<a href=\"#comparisons\">Comparisons</a>\
         <a href=\"#tasks\">Tasks</a><a href=\"#run\">Run</a></nav></header>\n<main>\
         <section id=\"findings\"><h2>Findings</h2>{}</section>\n",
        escape(title),
        names.len(),
        if names.len() == 1 { "" } else { "s" },
        if tasks == 1 { "" } else { "s" },
        findings(data)
    )
}

fn section(data: &ReportData, family: &Family) -> String {
    let task = family.task();
    let metrics = metrics_of(data, &task);
    let caption = format!("{}, mean over {} tasks", family.title, data.tasks(family.name).len());
    let every =
        concat(data.tasks(family.name).into_iter().map(|task| models_by_metric(data, task, task)));
    let more = match family.name {
        "align" => alignment_gallery(data),
        "cover" => sample_gallery(data),
        _ => String::new(),
    };
    format!(
        "<section id=\"{}\"><h2>{}</h2><p class=\"question\">{}</p>{}\
         <p class=\"key\">★ best · ≈ not told apart from the best (the paired 95 % interval holds 0) · \
         [95 % interval]</p>{}{}{}{more}<details><summary>All metrics of every task</summary>{every}\
         </details></section>\n",
        family.name,
        family.title,
        family.question,
        models_by_metric(data, &task, &caption),
        definitions(&metrics),
        tasks_by_model(data, family.name),
        curve_gallery(data, family)
    )
}

/// The legend of a group of charts.
fn legend(data: &ReportData, reference: &str) -> String {
    let names = data.names();
    let models = concat(names.iter().enumerate().map(|(slot, name)| {
        format!("<li class=\"m{}\">{}{}</li>", slot % 8, swatch(slot), escape(name))
    }));
    let reference =
        if reference.is_empty() { String::new() } else { format!("<li>{reference}</li>") };
    format!("<ul class=\"legend\">{models}{reference}</ul>")
}

fn curve_gallery(data: &ReportData, family: &Family) -> String {
    let whole = family.task();
    let overall = concat(
        METRICS.iter().filter(|m| m.family == family.name && m.better != Better::Neither).map(
            |metric| {
                let title = format!("{} ({})", metric.label, direction(metric));
                curve_card(data, &whole, metric.name, (&title, "mean over tasks"), family.x)
            },
        ),
    );
    let headline = family.headline(data).map_or("", |metric| metric.name);
    let each = concat(data.tasks(family.name).into_iter().map(|task| {
        let label = metric(task, headline).map_or(headline, |metric| metric.label);
        curve_card(data, task, headline, (task, label), family.x)
    }));
    if overall.is_empty() && each.is_empty() {
        return String::new();
    }
    let frontier = if family.name == "cover" { frontier(data) } else { String::new() };
    let steer = family.name == "steer";
    let optimal = "<svg class=\"swatch wide\" viewBox=\"0 0 24 12\" aria-hidden=\"true\"><path \
                   class=\"line reference\" d=\"M1 6H23\"/></svg>Bayes-optimal learner, where known";
    format!(
        "<h3>Over {}</h3>{}<div class=\"grid-cards\">{frontier}{overall}</div>\
         <h3>Task by task</h3><div class=\"grid-cards\">{each}</div>",
        family.x,
        legend(data, if steer { optimal } else { "" })
    )
}

/// A chart of one metric of one task, all models; empty if none has a curve of two points.
fn curve_card(
    data: &ReportData,
    task: &str,
    name: &str,
    (title, note): (&str, &str),
    x: &str,
) -> String {
    let names = data.names();
    let mut series: Vec<Series> = names
        .iter()
        .enumerate()
        .filter_map(|(slot, model)| {
            let points = data.curve(model, task, name)?.to_vec();
            (points.len() > 1).then(|| Series {
                slot: Some(slot),
                name: (*model).to_owned(),
                points,
            })
        })
        .collect();
    if series.is_empty() {
        return String::new();
    }
    if let Some(points) = reference(data, &names, task, name) {
        series.push(Series { slot: None, name: "Bayes-optimal".to_owned(), points });
    }
    curves(&Labels { title, note, x }, &series)
}

/// The Bayes-optimal line of a loss, and the zero line of a regret. Only single tasks have the
/// first: the mean loss of a family is over other tasks than its mean optimum.
fn reference(
    data: &ReportData,
    names: &[&str],
    task: &str,
    metric: &str,
) -> Option<Vec<CurvePoint>> {
    match metric {
        "loss_nats" if !task.ends_with("/*") => {
            names.iter().find_map(|name| data.curve(name, task, "optimal_nats")).map(<[_]>::to_vec)
        }
        "regret_nats" => {
            let curve = names.iter().find_map(|name| data.curve(name, task, metric))?;
            let zero = |point: &CurvePoint| CurvePoint { value: 0.0, ci95: [0.0; 2], ..*point };
            Some(curve.iter().map(zero).collect())
        }
        _ => None,
    }
}

/// Validity against diversity, one point a temperature.
fn frontier(data: &ReportData) -> String {
    let names = data.names();
    let series = names.iter().enumerate().filter_map(|(slot, name)| {
        let valid = data.curve(name, "cover/*", "valid_share")?;
        let unique = data.curve(name, "cover/*", "unique_share")?;
        let at = |(v, u): (&CurvePoint, &CurvePoint)| CurvePoint {
            x: v.value,
            value: u.value,
            ci95: [u.value; 2],
        };
        let points: Vec<_> = valid.iter().zip(unique).filter(|(v, u)| v.x == u.x).map(at).collect();
        (points.len() > 1).then(|| Series { slot: Some(slot), name: (*name).to_owned(), points })
    });
    let series: Vec<Series> = series.collect();
    if series.is_empty() {
        return String::new();
    }
    let note = "unique share over valid share, one point a temperature; up and right is better";
    curves(&Labels { title: "Frontier", note, x: "valid share" }, &series)
}

fn alignment_gallery(data: &ReportData) -> String {
    if data.distributions.is_empty() {
        return String::new();
    }
    let target = "<svg class=\"swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect class=\"target\" \
                  width=\"11\" height=\"12\"/><path class=\"edge\" d=\"M11 0v12\"/></svg>target";
    format!(
        "<h3>Target and models</h3><p class=\"key\">Grey is the target: a bar that ends at its edge is \
         right.{}</p>{}{}",
        left_out(data.distributions.len()),
        legend(data, target),
        gallery::distributions(&data.distributions, &data.names())
    )
}

fn sample_gallery(data: &ReportData) -> String {
    if data.samples.is_empty() {
        return String::new();
    }
    format!(
        "<h3>What was drawn</h3><p class=\"key\">Each distinct text once, with the number of draws if \
         more than one; ✕ and a dashed border mark texts that are not valid.{}</p>{}",
        left_out(data.samples.len()),
        gallery::samples(&data.samples, &data.names())
    )
}

fn left_out(all: usize) -> String {
    match all.saturating_sub(gallery::SHOWN) {
        0 => String::new(),
        more => {
            format!(" {} of {all} are shown; the other {more} are in report.json.", gallery::SHOWN)
        }
    }
}

fn comparison_section(data: &ReportData, families: &[&Family]) -> String {
    let headline = |family: &str| METRICS.iter().find(|metric| metric.family == family);
    let is_headline = |task: &str, name: &str| {
        headline(crate::metrics::first_part(task)).is_some_and(|metric| metric.name == name)
    };
    let whole = |task: &str| task.ends_with("/*");
    let main = comparisons(data, "Headline metrics, tasks as units", |c| {
        whole(&c.task) && is_headline(&c.task, &c.metric)
    });
    let rest = comparisons(data, "Other metrics, tasks as units", |c| {
        whole(&c.task) && !is_headline(&c.task, &c.metric)
    });
    let each = concat(families.iter().map(|family| {
        let caption = format!("{} task by task", family.title);
        comparisons(data, &caption, |c| {
            !whole(&c.task) && c.task.starts_with(family.name) && is_headline(&c.task, &c.metric)
        })
    }));
    format!(
        "<section id=\"comparisons\"><h2>Paired comparisons</h2><p class=\"question\">Differences on the \
         units both models have, first minus second. Intervals resample units; p is a two-sided sign-flip \
         test on whole units, not adjusted for the number of comparisons; \
         n units allow no p below 2 / 2<sup>n</sup>.</p>{main}\
         <details><summary>Other metrics</summary>{rest}</details>\
         <details><summary>Task by task</summary>{each}</details></section>\n"
    )
}

fn task_section(data: &ReportData) -> String {
    if data.notes.is_empty() {
        return "<span id=\"tasks\"></span>".to_owned();
    }
    let count = |seen| data.notes.values().filter(|note| note.seen == seen).count();
    let rows = concat(data.notes.iter().map(|(task, note)| {
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td class=\"text wrap\">{}</td></tr>",
            escape(task), seen_tag(note.seen), escape(&note.text)
        )
    }));
    let head = "<th scope=\"col\">Task</th><th scope=\"col\" class=\"text\">Training</th><th scope=\"col\" class=\"text\">What it is</th>";
    format!(
        "<section id=\"tasks\"><h2>Tasks</h2><p class=\"question\">{} held out: nothing of them was \
         trained on. {} with new instances: their family was trained on, these draws were not.</p>{}\
         </section>\n",
        count(Seen::HeldOut),
        count(Seen::NewInstances),
        scrolling("Tasks", head, &rows)
    )
}

fn run_section(data: &ReportData) -> String {
    let names = data.names();
    let known = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let rows = concat(names.iter().filter_map(|name| {
        let info = data.models.get(*name)?;
        Some(format!(
            "<tr><th scope=\"row\">{}</th><td class=\"text wrap\">{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td class=\"text\"><code>{}</code></td><td class=\"text\"><code>{}</code></td></tr>",
            model_name(&names, name),
            escape(&info.description),
            known(info.parameters.map(whole)),
            known(info.trained_tokens.map(whole)),
            known(info.seconds.map(|seconds| number(seconds) + " s")),
            escape(&info.stamp),
            escape(&info.path)
        ))
    }));
    let head = "<th scope=\"col\">Model</th><th scope=\"col\" class=\"text\">Made by</th><th scope=\"col\">Parameters</th>\
                <th scope=\"col\">Tuned on tokens</th><th scope=\"col\">Tuning time</th>\
                <th scope=\"col\" class=\"text\">Stamp</th><th scope=\"col\" class=\"text\">Folder</th>";
    let facts = concat(data.facts.iter().map(|fact| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&fact.label), escape(&fact.value))
    }));
    let commands = escape_lines(&data.reproduce.join("\n"));
    let again = if commands.is_empty() {
        commands
    } else {
        format!("<h3>Make it again</h3><pre><code>{commands}</code></pre>")
    };
    let settings = serde_json::to_string_pretty(&data.settings).unwrap_or_default();
    format!(
        "<section id=\"run\"><h2>Run</h2>{}<dl class=\"facts\">{facts}</dl>{again}<details><summary>Resolved \
         settings</summary><pre><code>{}</code></pre></details>{STATISTICS}</section></main>\n\
         <footer>diapason {} {} · seed {} · the figures behind this page are in <code>report.json</code>\
         </footer>\n",
        scrolling("Models", head, &rows),
        escape_lines(&settings),
        escape(&data.diapason.version),
        escape(&shortened(&data.diapason.git, 12)),
        data.seed
    )
}

const STATISTICS: &str = "<details><summary>How intervals and tests are made</summary><p>A figure is the ratio \
of a sum to a count over rows. Rows of one unit (a person, a table, a prompt) depend on each other, so 2000 \
bootstrap resamples draw whole units; a figure of a family of tasks is the mean over its tasks and draws whole \
tasks. With 12 units or more the interval is made of percentiles, at levels widened for the number of units; \
with fewer it is Student’s, from the spread of the resamples. One unit has no interval. Comparisons resample \
the units both models have, and flip the signs of whole units for p: all patterns for up to 10 units, 2000 \
otherwise. Curves leave out places that fewer than half of the units reach; curves of a family keep the places \
all its tasks have.</p></details>";
