//! Gathers outcomes into [`Measurements`].

use crate::calibration;
use crate::measure::place_at;
use crate::{
    AlignOutcome, CapabilityOutcome, CoverOutcome, EvalError, Measurements, Pair, SteerOutcome,
    Tally, TaskMeasurements, Units, permutation_gap,
};
use std::collections::BTreeMap;

/// Unit → calibration pairs.
type PairsByUnit = BTreeMap<String, Vec<Pair>>;

/// Gathers the outcomes of one model. Tasks may be named with or without their family: `urn` and
/// `align/urn` are the same to [`Collector::align`].
#[derive(Clone, Debug, Default)]
pub struct Collector {
    measured: Measurements,
    pairs: BTreeMap<String, TaskPairs>,
}

/// Pairs are kept until all are there, because the bins are cut from all of them.
#[derive(Clone, Debug, Default)]
struct TaskPairs {
    all: PairsByUnit,
    by_examples: BTreeMap<usize, PairsByUnit>,
}

impl Collector {
    /// Adds one row of any metric of a task named in full, such as `levers/length`.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn add(
        &mut self,
        task: &str,
        unit: &str,
        metric: &str,
        value: f64,
    ) -> Result<(), EvalError> {
        let value = finite(task, metric, value)?;
        record(self.task(task).figures.entry(metric.to_owned()).or_default(), unit, value);
        Ok(())
    }

    /// Adds one row at one place of a curve of a task named in full.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn add_at(
        &mut self,
        task: &str,
        unit: &str,
        metric: &str,
        (x, value): (f64, f64),
    ) -> Result<(), EvalError> {
        let (x, value) = (finite(task, metric, x)?, finite(task, metric, value)?);
        let curve = self.task(task).curves.entry(metric.to_owned()).or_default();
        record(place_at(curve, x), unit, value);
        Ok(())
    }

    /// Adds an episode of a steerability task, with curves over the number of examples.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn steer(
        &mut self,
        task: &str,
        unit: &str,
        outcome: &SteerOutcome,
    ) -> Result<(), EvalError> {
        let task = full_name("steer", task);
        for turn in &outcome.turns {
            let x = turn.examples as f64;
            let rows = [
                ("loss_nats", Some(turn.nats)),
                ("accuracy", Some(f64::from(u8::from(turn.right)))),
                ("first_token_accuracy", Some(f64::from(u8::from(turn.first_right)))),
                ("regret_nats", turn.optimal_nats.map(|optimal| turn.nats - optimal)),
            ];
            for (metric, value) in rows {
                if let Some(value) = value {
                    self.add(&task, unit, metric, value)?;
                    self.add_at(&task, unit, metric, (x, value))?;
                }
            }
            if let Some(optimal) = turn.optimal_nats {
                self.add_at(&task, unit, "optimal_nats", (x, optimal))?;
            }
            let pairs = self.pairs.entry(task.clone()).or_default();
            let at = pairs.by_examples.entry(turn.examples).or_default();
            for units in [&mut pairs.all, at] {
                units.entry(unit.to_owned()).or_default().extend(&turn.pairs);
            }
        }
        Ok(())
    }

    /// Adds two outcomes of the same episode whose examples before the last turn were reordered.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn permutation(
        &mut self,
        task: &str,
        unit: &str,
        orders: (&SteerOutcome, &SteerOutcome),
    ) -> Result<(), EvalError> {
        match permutation_gap(orders.0, orders.1) {
            Some(gap) => self.add(&full_name("steer", task), unit, "permutation_gap", gap),
            None => Ok(()),
        }
    }

    /// Adds an answer to an alignment question.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn align(
        &mut self,
        task: &str,
        unit: &str,
        outcome: &AlignOutcome,
    ) -> Result<(), EvalError> {
        let task = full_name("align", task);
        self.add(&task, unit, "js_nats", outcome.js_nats)?;
        self.add(&task, unit, "kl_nats", outcome.kl_nats)?;
        self.add(&task, unit, "reverse_kl_nats", outcome.reverse_kl_nats)?;
        self.add(&task, unit, "tv", outcome.tv)?;
        self.add(&task, unit, "mode_match", outcome.mode_match)?;
        self.add(&task, unit, "mass", outcome.mass)
    }

    /// Adds the draws of one prompt of a coverage task.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn cover(
        &mut self,
        task: &str,
        unit: &str,
        outcome: &CoverOutcome,
    ) -> Result<(), EvalError> {
        let task = full_name("cover", task);
        for (metric, value) in cover_rows(outcome) {
            self.add(&task, unit, metric, value)?;
        }
        Ok(())
    }

    /// Adds the draws of one prompt to the curves over temperature.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn cover_at(
        &mut self,
        task: &str,
        unit: &str,
        temperature: f64,
        outcome: &CoverOutcome,
    ) -> Result<(), EvalError> {
        let task = full_name("cover", task);
        for (metric, value) in cover_rows(outcome) {
            self.add_at(&task, unit, metric, (temperature, value))?;
        }
        Ok(())
    }

    /// Adds an answer to a multiple-choice question.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`].
    pub fn capability(
        &mut self,
        task: &str,
        unit: &str,
        outcome: &CapabilityOutcome,
    ) -> Result<(), EvalError> {
        let task = full_name("capability", task);
        self.add(&task, unit, "accuracy", outcome.accuracy)?;
        self.add(&task, unit, "loss_nats", outcome.loss_nats)
    }

    /// Everything gathered. Calibration errors are computed here, from all pairs of a task.
    pub fn finish(mut self) -> Measurements {
        for (name, pairs) in std::mem::take(&mut self.pairs) {
            let task = self.task(&name);
            if !pairs.all.is_empty() {
                task.figures.insert("ece".to_owned(), calibration::tallies(&pairs.all));
            }
            let curve = task.curves.entry("ece".to_owned()).or_default();
            for (examples, units) in &pairs.by_examples {
                *place_at(curve, *examples as f64) = calibration::tallies(units);
            }
        }
        self.measured
    }

    fn task(&mut self, name: &str) -> &mut TaskMeasurements {
        self.measured.tasks.entry(name.to_owned()).or_default()
    }
}

fn cover_rows(outcome: &CoverOutcome) -> impl Iterator<Item = (&'static str, f64)> {
    let rows = [
        ("valid_share", outcome.valid_share()),
        ("unique_share", Some(outcome.unique_share())),
        ("yield", Some(outcome.distinct() as f64)),
        ("good_turing_coverage", Some(outcome.good_turing_coverage())),
        ("chao1", Some(outcome.chao1())),
        ("collision_entropy_nats", outcome.collision_entropy_nats()),
        ("support_share", outcome.support_share()),
    ];
    rows.into_iter().filter_map(|(metric, value)| Some((metric, value?)))
}

fn record(units: &mut Units, unit: &str, value: f64) {
    let row = Tally { sum: value, count: 1.0 };
    let tally = units.entry(unit.to_owned()).or_default();
    *tally = tally.plus(row);
}

fn full_name(family: &str, task: &str) -> String {
    if crate::metrics::first_part(task) == family && task != family {
        task.to_owned()
    } else {
        format!("{family}/{task}")
    }
}

fn finite(task: &str, metric: &str, value: f64) -> Result<f64, EvalError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(EvalError::NotFinite { place: format!("{task} {metric}"), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TurnOutcome;

    fn outcome(nats: [f64; 2]) -> SteerOutcome {
        let turn = |(examples, nats)| TurnOutcome {
            examples,
            nats,
            right: nats < 1.0,
            first_right: true,
            optimal_nats: (examples == 1).then_some(0.25),
            pairs: vec![Pair { probability: 0.5, right: true }],
        };
        SteerOutcome { turns: (0..).zip(nats).map(turn).collect() }
    }

    #[test]
    fn rows_of_a_unit_add_up_and_curves_follow_the_examples() {
        let mut collector = Collector::default();
        collector.steer("urn", "u", &outcome([2.0, 1.0])).unwrap();
        collector.steer("steer/urn", "u", &outcome([1.0, 0.5])).unwrap();
        collector.permutation("urn", "u", (&outcome([2.0, 1.0]), &outcome([2.0, 0.75]))).unwrap();
        let measured = collector.finish();
        let task = &measured.tasks["steer/urn"];
        assert_eq!(task.figures["loss_nats"]["u"], Tally { sum: 4.5, count: 4.0 });
        assert_eq!(task.figures["regret_nats"]["u"], Tally { sum: 1.0, count: 2.0 });
        assert_eq!(task.figures["permutation_gap"]["u"].mean(), Some(0.25));
        assert_eq!(task.figures["ece"]["u"].mean(), Some(0.5));
        let places: Vec<_> =
            task.curves["loss_nats"].iter().map(|at| (at.x, at.units["u"].sum)).collect();
        assert_eq!(places, [(0.0, 3.0), (1.0, 1.5)]);
        assert_eq!(task.curves["ece"].len(), 2);
    }

    #[test]
    fn families_average_tasks_and_keep_common_places_only() {
        let mut collector = Collector::default();
        collector.steer("a", "u", &outcome([2.0, 1.0])).unwrap();
        collector.steer("a", "v", &outcome([4.0, 1.0])).unwrap();
        collector
            .steer("b", "w", &SteerOutcome { turns: outcome([1.0, 0.0]).turns[..1].to_vec() })
            .unwrap();
        let all = collector.finish().with_families();
        let family = &all.tasks["steer/*"];
        assert_eq!(family.figures["loss_nats"]["steer/a"], Tally { sum: 2.0, count: 1.0 });
        assert_eq!(family.figures["loss_nats"].len(), 2);
        assert_eq!(family.curves["loss_nats"].len(), 1);
        assert_eq!(family.curves["loss_nats"][0].x, 0.0);
    }

    #[test]
    fn what_json_cannot_hold_is_refused_and_the_rest_round_trips() {
        let mut collector = Collector::default();
        let refused = collector.add("levers/length", "u", "win_rate", f64::NAN);
        assert!(matches!(refused, Err(EvalError::NotFinite { .. })));
        collector.steer("urn", "u", &outcome([0.1, 1.0 / 3.0])).unwrap();
        let measured = collector.finish();
        let text = serde_json::to_string(&measured).unwrap();
        assert_eq!(serde_json::from_str::<Measurements>(&text).unwrap(), measured);
    }
}
