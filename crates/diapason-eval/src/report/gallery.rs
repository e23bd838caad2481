//! What the figures stand for: distributions beside their targets, draws with their counts.

use super::chart::mark;
use super::format::{concat, escape, shortened};
use super::{Distribution, SampleGrid, SampleText};

/// Most questions and prompts shown; the others are in the JSON.
pub(crate) const SHOWN: usize = 12;
/// Most distinct texts shown of one model's draws.
const TEXTS: usize = 36;

const WIDTH: f64 = 360.0;
const BAR: f64 = 8.0;
const LABEL: f64 = 20.0;
const GAP: f64 = 10.0;

/// Small multiples: the target as a grey field behind the bars of the models.
pub(crate) fn distributions(shown: &[Distribution], names: &[&str]) -> String {
    let cards = shown.iter().take(SHOWN).map(|question| distribution(question, names));
    format!("<div class=\"grid-cards\">{}</div>\n", concat(cards))
}

fn distribution(question: &Distribution, names: &[&str]) -> String {
    let bars: Vec<(usize, &[f64])> = names
        .iter()
        .enumerate()
        .filter_map(|(slot, name)| Some((slot, question.models.get(*name)?.as_slice())))
        .collect();
    let values = question.target.iter().chain(bars.iter().flat_map(|(_, bars)| bars.iter()));
    let largest = values.copied().fold(1e-9, f64::max);
    let room = BAR * bars.len() as f64 + 4.0;
    let mut y = 4.0;
    let mut body = String::new();
    let mut words = String::new();
    for (index, (option, target)) in question.options.iter().zip(&question.target).enumerate() {
        let (field, top) = (target / largest * (WIDTH - 60.0), y + LABEL);
        let percent = 100.0 * target;
        body += &format!(
            "<text class=\"option\" x=\"0\" y=\"{:.1}\">{}</text>\
             <text class=\"tick end\" x=\"{WIDTH}\" y=\"{:.1}\">target {percent:.0} %</text>\
             <rect class=\"target\" x=\"0\" y=\"{top:.1}\" width=\"{field:.1}\" height=\"{room}\"/>\
             <path class=\"edge\" d=\"M{field:.1} {:.1}v{}\"/>",
            y + 13.0,
            escape(&shortened(option, 34)),
            y + 13.0,
            top - 2.0,
            room + 4.0
        );
        words += &format!(" {option}: target {percent:.0} %");
        for (row, (slot, bars)) in bars.iter().enumerate() {
            let probability = bars.get(index).copied().unwrap_or(0.0);
            body += &bar(*slot, probability, largest, top + 2.0 + BAR * row as f64);
            words += &format!(", {} {:.0} %", names[*slot], 100.0 * probability);
        }
        words.push('.');
        y = top + room + GAP;
    }
    format!(
        "<figure class=\"card\"><figcaption>{} <small>{}</small></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {y:.0}\" role=\"img\" aria-label=\"{}\">{body}</svg></figure>\n",
        escape(&question.task),
        escape(&shortened(&question.prompt, 180)),
        escape(&words)
    )
}

fn bar(slot: usize, probability: f64, largest: f64, y: f64) -> String {
    let width = probability / largest * (WIDTH - 60.0);
    let (tall, middle, text) = (BAR - 2.0, y + BAR / 2.0 - 1.0, width + 14.0);
    format!(
        "<rect class=\"bar m{}\" x=\"0\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{tall}\"/>{}\
         <text class=\"tiny\" x=\"{text:.1}\" y=\"{:.1}\">{:.0}</text>",
        slot % 8,
        mark(slot, width + 7.0, middle, 2.6),
        middle + 3.0,
        100.0 * probability
    )
}

/// Draws of every model side by side: each distinct text once with its count.
pub(crate) fn samples(grids: &[SampleGrid], names: &[&str]) -> String {
    concat(grids.iter().take(SHOWN).map(|grid| {
        let columns = names
            .iter()
            .enumerate()
            .filter_map(|(slot, name)| Some(sample_column(slot, name, grid.models.get(*name)?)));
        format!(
            "<figure class=\"samples\"><figcaption>{} <small>{} · temperature {}</small>\
             </figcaption><div class=\"columns\">{}</div></figure>\n",
            escape(&grid.task),
            escape(&shortened(&grid.prompt, 240)),
            super::format::number(grid.temperature),
            concat(columns)
        )
    }))
}

fn sample_column(slot: usize, name: &str, texts: &[SampleText]) -> String {
    let draws: usize = texts.iter().map(|text| text.count).sum();
    let valid: usize = texts.iter().filter(|text| text.valid).map(|text| text.count).sum();
    let distinct = texts.iter().filter(|text| text.valid).count();
    let mut sorted: Vec<&SampleText> = texts.iter().collect();
    sorted.sort_by(|a, b| {
        b.valid.cmp(&a.valid).then(b.count.cmp(&a.count)).then(a.text.cmp(&b.text))
    });
    let chips = concat(sorted.iter().take(TEXTS).map(|text| {
        let (class, mark) = if text.valid { ("chip", "") } else { ("chip invalid", "✕ ") };
        let hint = if text.valid { "valid" } else { "not valid" };
        let times =
            if text.count > 1 { format!(" <b>×{}</b>", text.count) } else { String::new() };
        let shown = match shortened(&text.text, 60) {
            empty if empty.is_empty() => "(empty)".to_owned(),
            shown => escape(&shown),
        };
        format!("<li class=\"{class}\" title=\"{hint}\">{mark}<bdi>{shown}</bdi>{times}</li>")
    }));
    let more = match sorted.len().saturating_sub(TEXTS) {
        0 => String::new(),
        more => format!("<li class=\"more\">and {more} more</li>"),
    };
    format!(
        "<section class=\"column m{}\"><h4>{}</h4><p class=\"count\">{draws} draws · {valid} valid · \
         <b>{distinct}</b> distinct valid</p><ul class=\"chips\">{chips}{more}</ul></section>",
        slot % 8,
        escape(name)
    )
}
