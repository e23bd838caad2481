//! What was measured, unit by unit: the material of every figure, interval and comparison.

use std::collections::BTreeMap;

/// Sum and count of one metric over the rows of one unit. The metric of many units is the ratio
/// of the sums: rows weigh equally, units vary together. In JSON: `[sum, count]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(from = "(f64, f64)", into = "(f64, f64)")]
pub struct Tally {
    /// Sum over rows.
    pub sum: f64,
    /// Number of rows.
    pub count: f64,
}

impl Tally {
    /// The mean over rows; `None` without rows.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// Both together.
    pub fn plus(self, other: Tally) -> Tally {
        Tally { sum: self.sum + other.sum, count: self.count + other.count }
    }
}

impl From<(f64, f64)> for Tally {
    fn from((sum, count): (f64, f64)) -> Self {
        Tally { sum, count }
    }
}

impl From<Tally> for (f64, f64) {
    fn from(tally: Tally) -> Self {
        (tally.sum, tally.count)
    }
}

/// One metric: unit → tally.
pub type Units = BTreeMap<String, Tally>;

/// One metric at one place of a curve.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CurveUnits {
    /// Where: a number of in-context examples, or a temperature.
    pub x: f64,
    /// Unit → tally there.
    pub units: Units,
}

/// All metrics of one task.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskMeasurements {
    /// Metric → unit → tally.
    pub figures: BTreeMap<String, Units>,
    /// Metric → places in rising order.
    pub curves: BTreeMap<String, Vec<CurveUnits>>,
}

/// What was measured of one model: task → metric → unit → (sum, count).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Measurements {
    /// By task, as in the results: `align/urn`.
    pub tasks: BTreeMap<String, TaskMeasurements>,
}

impl Measurements {
    /// The same with one more task a family, such as `steer/*`: there the unit is the task, and
    /// the figure is the mean over tasks of their values, each task weighing the same.
    ///
    /// A family's curve has the places that every one of its tasks with that curve has: a mean
    /// over changing sets of tasks would be no curve.
    pub fn with_families(&self) -> Measurements {
        let mut all = self.clone();
        for (task, measured) in &self.tasks {
            let Some((family, _)) = task.split_once('/') else {
                continue;
            };
            let whole = all.tasks.entry(format!("{family}/*")).or_default();
            for (metric, units) in &measured.figures {
                if let Some(value) = total(units).mean() {
                    let units = whole.figures.entry(metric.clone()).or_default();
                    units.insert(task.clone(), Tally { sum: value, count: 1.0 });
                }
            }
            for (metric, curve) in &measured.curves {
                let whole = whole.curves.entry(metric.clone()).or_default();
                for place in curve {
                    if let Some(value) = total(&place.units).mean() {
                        let tally = Tally { sum: value, count: 1.0 };
                        place_at(whole, place.x).insert(task.clone(), tally);
                    }
                }
            }
        }
        for (task, whole) in &mut all.tasks {
            if task.ends_with("/*") {
                for curve in whole.curves.values_mut() {
                    let most = curve.iter().map(|place| place.units.len()).max();
                    curve.retain(|place| Some(place.units.len()) == most);
                }
            }
        }
        all
    }
}

/// Sum over units.
pub(crate) fn total(units: &Units) -> Tally {
    units.values().fold(Tally::default(), |whole, tally| whole.plus(*tally))
}

/// The units at `x`, made in order if there are none yet.
pub(crate) fn place_at(curve: &mut Vec<CurveUnits>, x: f64) -> &mut Units {
    let index = curve.partition_point(|place| place.x < x);
    if curve.get(index).is_none_or(|place| place.x != x) {
        curve.insert(index, CurveUnits { x, units: Units::new() });
    }
    &mut curve[index].units
}
