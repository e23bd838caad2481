//! The statistics as one self-contained HTML page: no script, nothing loaded, light and dark.

use super::{Joint, MarkerSummary, Summary, TAIL_SHARE};
use diapason_flow::escape_html;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c1c1a; --paper: #fbfaf7; --faint: #6d6a63;
  --line: #dcd8cf; --bar: #3b6ea5; --tail: #b4572b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --paper: #171614;
  --faint: #9a968d; --line: #37342f; --bar: #6fa3da; --tail: #e08a5c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .2rem; }
p { color: var(--faint); margin: .2rem 0 .8rem; max-width: 44rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
  font-weight: normal; }
td + td { white-space: nowrap; }
th { color: var(--faint); } td:first-child, th:first-child { text-align: left; }
.bar { width: min(18rem, 28vw); text-align: left; } .bar i { display: block; height: .7rem;
  background: var(--bar); min-width: 1px; } .tail .bar i { background: var(--tail); }
.tail td:first-child { color: var(--tail); } details { margin: .6rem 0; }
summary { cursor: pointer; } .wide { overflow-x: auto; }";

/// The page of a corpus.
pub fn page(title: &str, summary: &Summary) -> String {
    let title = escape_html(title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Markers of {title}</title><style>{STYLE}</style></head><body>\
         <h1>Markers of {title}</h1><p>{} outputs. A value under {} % of the outputs that have \
         its marker is in the tail, and is coloured so.</p>\n",
        summary.examples,
        TAIL_SHARE * 100.0,
    );
    for marker in &summary.markers {
        section(&mut html, marker, summary.examples);
    }
    if !summary.joint.is_empty() {
        html.push_str("<h2>Two markers together</h2><p>Outputs that have both values.</p>\n");
    }
    for joint in &summary.joint {
        pair(&mut html, joint);
    }
    html.push_str("</body></html>\n");
    html
}

fn section(html: &mut String, marker: &MarkerSummary, examples: u64) {
    let (name, meaning) = (escape_html(&marker.name), escape_html(&marker.meaning));
    let present = percent(marker.present as f64 / examples.max(1) as f64);
    let _ = write!(html, "<h2>{name}</h2><p>{meaning}; {present} of the outputs have it</p>");
    if let (Some(quantiles), Some(mean)) = (marker.quantiles, marker.mean) {
        html.push_str("<div class=wide><table><tr><th>least<th>quarter<th>half<th>three quarters");
        html.push_str("<th>most<th>mean</tr><tr>");
        for number in quantiles {
            let _ = write!(html, "<td>{number}</td>");
        }
        let _ = writeln!(html, "<td>{mean:.1}</td></tr></table></div>");
    }
    if marker.values.is_empty() {
        return;
    }
    html.push_str("<div class=wide><table><tr><th>value<th>outputs<th>share<th class=bar></tr>\n");
    let most = marker.values.iter().map(|value| value.share).fold(f64::MIN_POSITIVE, f64::max);
    for value in &marker.values {
        let _ = writeln!(
            html,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td>\
             <td class=bar><i style=\"width:{:.1}%\"></i></td></tr>",
            if value.tail { " class=tail" } else { "" },
            escape_html(&value.value),
            value.count,
            percent(value.share),
            100.0 * value.share / most,
        );
    }
    html.push_str("</table></div>\n");
}

fn pair(html: &mut String, joint: &Joint) {
    let counts: BTreeMap<(&str, &str), u64> = (joint.cells.iter())
        .map(|(row, column, count)| ((row.as_str(), column.as_str()), *count))
        .collect();
    let columns: BTreeSet<&str> = counts.keys().map(|(_, column)| *column).collect();
    let rows: BTreeSet<&str> = counts.keys().map(|(row, _)| *row).collect();
    let _ = write!(
        html,
        "<details><summary>{} × {}</summary><div class=wide><table><tr><th></th>",
        escape_html(&joint.rows),
        escape_html(&joint.columns)
    );
    for column in &columns {
        let _ = write!(html, "<th>{}</th>", escape_html(column));
    }
    html.push_str("</tr>\n");
    for row in rows {
        let _ = write!(html, "<tr><td>{}</td>", escape_html(row));
        for column in &columns {
            match counts.get(&(row, *column)) {
                Some(count) => {
                    let _ = write!(html, "<td>{count}</td>");
                }
                None => html.push_str("<td></td>"),
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div></details>\n");
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
