//! What the figures stand for: distributions beside their targets, draws with their counts.

use super::chart::mark;
use super::format::{concat, escape, shortened};
use super::{Distribution, SampleGrid, SampleText};

/// Most questions and prompts shown; the others are in the JSON.
pub(crate) const SHOWN: usize = 12;
/// Most distinct texts shown of one model's draws: valid ones, and others.
const TEXTS: [usize; 2] = [28, 6];

const WIDTH: f64 = 360.0;
const BAR: f64 = 11.0;
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
    let step = LABEL + room + GAP;
    let options = || question.options.iter().zip(&question.target).enumerate();
    let body = concat(options().map(|(index, (option, target))| {
        let top = 4.0 + step * index as f64;
        let bars = bars.iter().enumerate().map(|(row, (slot, bars))| {
            let probability = bars.get(index).copied().unwrap_or(0.0);
            bar(*slot, probability, largest, top + LABEL + 2.0 + BAR * row as f64)
        });
        concat([field(option, *target, largest, (top, room)), concat(bars)])
    }));
    let words = concat(options().map(|(index, (option, target))| {
        let models = concat(bars.iter().map(|(slot, bars)| {
            let percent = 100.0 * bars.get(index).copied().unwrap_or(0.0);
            format!(", {} {percent:.0} %", names[*slot])
        }));
        format!("{option}: target {:.0} %{models}. ", 100.0 * target)
    }));
    format!(
        "<figure class=\"card\"><figcaption>{} <small>{}</small></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{}\">{body}</svg></figure>\n",
        escape(&question.task),
        escape(&shortened(&question.prompt, 180)),
        4.0 + step * question.options.len() as f64,
        escape(words.trim_end())
    )
}

/// The label and target of one option: a grey field that ends in an edge.
fn field(option: &str, target: f64, largest: f64, (top, room): (f64, f64)) -> String {
    let (text, field) = (top + 13.0, target / largest * (WIDTH - 60.0));
    let (below, edge, tall) = (top + LABEL, top + LABEL - 2.0, room + 4.0);
    format!(
        "<text class=\"option\" x=\"0\" y=\"{text:.1}\">{}</text>\
         <text class=\"tick end\" x=\"{WIDTH}\" y=\"{text:.1}\">target {:.0} %</text>\
         <rect class=\"target\" x=\"0\" y=\"{below:.1}\" width=\"{field:.1}\" height=\"{room}\"/>\
         <path class=\"edge\" d=\"M{field:.1} {edge:.1}v{tall}\"/>",
        escape(&shortened(option, 34)),
        100.0 * target
    )
}

fn bar(slot: usize, probability: f64, largest: f64, y: f64) -> String {
    let width = probability / largest * (WIDTH - 60.0);
    let (tall, middle) = (BAR - 3.0, y + (BAR - 3.0) / 2.0);
    format!(
        "<rect class=\"bar m{}\" x=\"0\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{tall}\"/>{}\
         <text class=\"tiny end\" x=\"{WIDTH}\" y=\"{:.1}\">{:.0} %</text>",
        slot % 8,
        mark(slot, width + 7.0, middle, 3.0),
        middle + 3.5,
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
            super::format::place(grid.temperature),
            concat(columns)
        )
    }))
}

fn sample_column(slot: usize, name: &str, texts: &[SampleText]) -> String {
    let draws: usize = texts.iter().map(|text| text.count).sum();
    let valid: usize = texts.iter().filter(|text| text.valid).map(|text| text.count).sum();
    let distinct = texts.iter().filter(|text| text.valid).count();
    let [good, bad] = [true, false].map(|valid| {
        let mut some: Vec<&SampleText> = texts.iter().filter(|text| text.valid == valid).collect();
        some.sort_by(|a, b| b.count.cmp(&a.count).then(a.text.cmp(&b.text)));
        some
    });
    let shown = good.iter().take(TEXTS[0]).chain(bad.iter().take(TEXTS[1]));
    let chips = concat(shown.map(|text| {
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
    let more = [(good.len(), TEXTS[0], "valid"), (bad.len(), TEXTS[1], "not valid")];
    let more =
        concat(more.into_iter().filter(|(all, shown, _)| all > shown).map(|(all, shown, kind)| {
            format!("<li class=\"more\">and {} more {kind}</li>", all - shown)
        }));
    format!(
        "<section class=\"column m{}\"><h4>{}</h4><p class=\"count\">{draws} draws · {valid} valid · \
         <b>{distinct}</b> distinct valid</p><ul class=\"chips\">{chips}{more}</ul></section>",
        slot % 8,
        escape(name)
    )
}
