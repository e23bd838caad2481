//! Charts as inline SVG: curves with interval bands, and dots with interval whiskers.
//!
//! Colour never stands alone: every model has a shape too, and every chart says its figures in
//! words to those who cannot see it.

use super::format::{concat, escape, interval, number, place, shortened};
use diapason_flow::CurvePoint;

/// One line of a chart.
pub(crate) struct Series {
    /// Colour and shape of the model; `None` for a reference line.
    pub slot: Option<usize>,
    /// Name for the words beside the chart.
    pub name: String,
    /// Points in order; drawn as a path, so x need not rise.
    pub points: Vec<CurvePoint>,
}

/// What a chart is called and what its axes mean.
pub(crate) struct Labels<'a> {
    pub title: &'a str,
    pub note: &'a str,
    pub x: &'a str,
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale that holds all values with a little room; never empty.
    fn over(values: impl Iterator<Item = f64>, room: f64, (from, to): (f64, f64)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let extra = if high > low { (high - low) * room } else { 0.5 * high.abs().max(1e-9) };
        Scale { low: low - extra, high: high + extra, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About `count` round values inside the scale, and the decimals they need.
    fn ticks(&self, count: f64, least_step: f64) -> (Vec<f64>, usize) {
        let rough = ((self.high - self.low) / count).max(least_step);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        ((first..=last).map(|index| index as f64 * step).collect(), decimals)
    }
}

/// The mark of a model: circle, square, triangle, diamond, … at a place.
pub(crate) fn mark(slot: usize, x: f64, y: f64, r: f64) -> String {
    let polygon = |points: &[(f64, f64)]| {
        let points = points.iter().map(|(dx, dy)| format!("{:.1},{:.1} ", x + dx * r, y + dy * r));
        format!("<polygon class=\"mark m{}\" points=\"{}\"/>", slot % 8, concat(points).trim_end())
    };
    match slot % 8 {
        1 => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => polygon(&[(0.0, -1.2), (1.1, 0.9), (-1.1, 0.9)]),
        3 => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        4 => polygon(&[(0.0, 1.2), (1.1, -0.9), (-1.1, -0.9)]),
        5 => polygon(&[(-1.2, 0.0), (0.9, -1.1), (0.9, 1.1)]),
        6 => polygon(&[(1.2, 0.0), (-0.9, -1.1), (-0.9, 1.1)]),
        slot => {
            format!("<circle class=\"mark m{slot}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\"/>")
        }
    }
}

/// Curves with interval bands.
pub(crate) fn curves(labels: &Labels, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let x = Scale::over(points().map(|point| point.x), 0.02, (LEFT, WIDTH - RIGHT));
    let drawn = points().flat_map(|point| [point.value, point.ci95[0], point.ci95[1]]);
    let y = Scale::over(drawn, 0.05, (HEIGHT - BOTTOM, TOP));
    let whole = points().all(|point| point.x.fract() == 0.0);
    let body = concat([
        grid(&y),
        x_axis(&x, labels.x, if whole { 1.0 } else { 0.0 }),
        concat(series.iter().map(|series| band(series, &x, &y))),
        concat(series.iter().map(|series| line(series, &x, &y))),
    ]);
    figure(labels, &words(labels, series), (WIDTH, HEIGHT), &body)
}

fn figure(labels: &Labels, words: &str, (width, height): (f64, f64), body: &str) -> String {
    let note = if labels.note.is_empty() {
        String::new()
    } else {
        format!(" <small>{}</small>", escape(labels.note))
    };
    let (title, words) = (escape(labels.title), escape(words));
    format!(
        "<figure class=\"card\"><figcaption>{title}{note}</figcaption><svg viewBox=\"0 0 {width} \
         {height}\" role=\"img\" aria-label=\"{words}\"><title>{title}</title>{body}</svg></figure>\n"
    )
}

/// The chart in words: where every line begins and ends.
fn words(labels: &Labels, series: &[Series]) -> String {
    let line = |series: &Series| match (series.points.first(), series.points.last()) {
        (Some(first), Some(last)) => format!(
            " {}: {} at {}, {} at {}.",
            series.name,
            number(first.value),
            place(first.x),
            number(last.value),
            place(last.x)
        ),
        _ => String::new(),
    };
    format!("{} over {}.{}", labels.title, labels.x, concat(series.iter().map(line)))
}

fn grid(y: &Scale) -> String {
    let (ticks, decimals) = y.ticks(5.0, 0.0);
    concat(ticks.iter().map(|tick| {
        let place = y.at(*tick);
        // Adding zero takes the sign off a negative zero.
        let label = format!("{:.decimals$}", tick + 0.0).replace('-', "−");
        let (right, text, baseline) = (WIDTH - RIGHT, LEFT - 6.0, place + 4.0);
        format!(
            "<path class=\"grid\" d=\"M{LEFT} {place:.1}H{right}\"/>\
             <text class=\"tick end\" x=\"{text}\" y=\"{baseline:.1}\">{label}</text>"
        )
    }))
}

fn x_axis(x: &Scale, label: &str, least_step: f64) -> String {
    let (ticks, decimals) = x.ticks(6.0, least_step);
    let base = HEIGHT - BOTTOM;
    let ticks = concat(ticks.iter().map(|tick| {
        let (place, below) = (x.at(*tick), base + 15.0);
        format!("<text class=\"tick mid\" x=\"{place:.1}\" y=\"{below}\">{tick:.decimals$}</text>")
    }));
    let (right, middle, bottom) = (WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 6.0);
    format!(
        "<path class=\"axis\" d=\"M{LEFT} {base}H{right}\"/>{ticks}\
         <text class=\"label mid\" x=\"{middle}\" y=\"{bottom}\">{}</text>",
        escape(label)
    )
}

fn band(series: &Series, x: &Scale, y: &Scale) -> String {
    let Some(slot) = series.slot else { return String::new() };
    let corner = |point: &CurvePoint, bound: usize| {
        format!("{:.1},{:.1} ", x.at(point.x), y.at(point.ci95[bound]))
    };
    let upper = series.points.iter().map(|point| corner(point, 1));
    let lower = series.points.iter().rev().map(|point| corner(point, 0));
    let corners = concat(upper.chain(lower));
    format!("<polygon class=\"band m{}\" points=\"{}\"/>", slot % 8, corners.trim_end())
}

fn line(series: &Series, x: &Scale, y: &Scale) -> String {
    let places: Vec<(f64, f64)> =
        series.points.iter().map(|point| (x.at(point.x), y.at(point.value))).collect();
    let path = concat(places.iter().map(|(x, y)| format!("{x:.1},{y:.1} ")));
    let path = path.trim_end();
    let Some(slot) = series.slot else {
        return format!("<polyline class=\"line reference\" points=\"{path}\"/>");
    };
    // At most a dozen marks a line: enough to tell lines apart.
    let every = places.len().div_ceil(12).max(1);
    let marks = places.iter().step_by(every).map(|(x, y)| mark(slot, *x, *y, 3.2));
    format!("<polyline class=\"line m{}\" points=\"{path}\"/>{}", slot % 8, concat(marks))
}

/// One row of a dot chart.
pub(crate) struct Dot<'a> {
    /// Colour and shape.
    pub slot: usize,
    /// Name of the model.
    pub name: &'a str,
    /// Where the dot stands.
    pub value: f64,
    /// Where its whiskers end.
    pub ci95: [f64; 2],
    /// The figure printed at the right.
    pub figure: String,
}

/// One dot with an interval for every model, and a line at zero if the scale holds it.
pub(crate) fn dots(labels: &Labels, rows: &[Dot]) -> String {
    const NAME: f64 = 122.0;
    const FIGURE: f64 = 52.0;
    const ROW: f64 = 27.0;
    let bounds = rows.iter().flat_map(|row| [row.value, row.ci95[0], row.ci95[1]]);
    let x = Scale::over(bounds, 0.06, (NAME, WIDTH - FIGURE));
    let base = TOP + ROW * rows.len() as f64;
    let (ticks, decimals) = x.ticks(4.0, 0.0);
    let grid = concat(ticks.iter().map(|tick| {
        let (place, below) = (x.at(*tick), base + 14.0);
        let class = if *tick == 0.0 { "zero" } else { "grid" };
        let label = format!("{:.decimals$}", tick + 0.0).replace('-', "−");
        format!(
            "<path class=\"{class}\" d=\"M{place:.1} {TOP}V{base}\"/>\
             <text class=\"tick mid\" x=\"{place:.1}\" y=\"{below}\">{label}</text>"
        )
    }));
    let body = concat(rows.iter().enumerate().map(|(index, row)| {
        let y = TOP + ROW * (index as f64 + 0.5);
        let (low, high, text) = (x.at(row.ci95[0]), x.at(row.ci95[1]), y + 4.0);
        let (name, slot) = (escape(&shortened(row.name, 17)), row.slot % 8);
        format!(
            "<text class=\"name end\" x=\"{}\" y=\"{text}\">{name}</text>\
             <path class=\"whisker m{slot}\" d=\"M{low:.1} {y}H{high:.1}\"/>{}\
             <text class=\"figure end\" x=\"{WIDTH}\" y=\"{text}\">{}</text>",
            NAME - 12.0,
            mark(row.slot, x.at(row.value), y, 5.0),
            row.figure
        )
    }));
    let words =
        concat(rows.iter().map(|row| {
            format!(" {}: {}, {}.", row.name, row.figure, interval(row.value, row.ci95))
        }));
    let words = format!("{}.{words}", labels.title);
    figure(labels, &words, (WIDTH, base + 20.0), &concat([grid, body]))
}
