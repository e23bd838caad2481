//! Many tasks as one training order.
//!
//! A task of n episodes weighs `factor · min(n, cap)^temperature`: temperature 1 keeps the
//! natural shares, 0 gives every task the same. Shares of the total become whole numbers by the
//! largest remainder. A task gives each of its episodes once before it repeats any, and none more
//! than `max_repeats` times; what it cannot give is not made up by the others.

use crate::DataError;
use crate::table::matches;
use diapason_flow::{Episode, Streams};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How tasks are mixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixSettings {
    /// Exponent of the sizes: 1 natural, 0 equal.
    pub temperature: f64,
    /// Size beyond which a task weighs no more, and gives no more distinct episodes.
    pub max_per_task: Option<usize>,
    /// Episodes in all; by default as many as the tasks have after `max_per_task`.
    pub total: Option<usize>,
    /// How often one episode may occur.
    pub max_repeats: usize,
    /// Factors by pattern of the task name, multiplied where several match.
    pub factors: BTreeMap<String, f64>,
    /// Whether the order is shuffled; otherwise task after task. In a recipe it is
    /// `data.shuffle` that says so.
    #[serde(skip)]
    pub shuffle: bool,
}

impl Default for MixSettings {
    fn default() -> Self {
        MixSettings {
            temperature: 1.0,
            max_per_task: None,
            total: None,
            max_repeats: 1,
            factors: BTreeMap::new(),
            shuffle: true,
        }
    }
}

/// The mixture.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// Episodes in training order.
    pub episodes: Vec<Episode>,
    /// What each task has and gives, in the order given.
    pub counts: Vec<TaskCount>,
}

/// One row of the table of counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskCount {
    /// The task.
    pub task: String,
    /// Episodes it has.
    pub available: usize,
    /// Episodes of it in the mixture, repeats included.
    pub used: usize,
}

/// Mixes tasks. The result depends on names, sizes, settings and seed only.
///
/// # Errors
/// [`DataError::Settings`] for settings that make no sense.
pub fn mix(
    tasks: Vec<(String, Vec<Episode>)>,
    settings: &MixSettings,
    streams: &Streams,
) -> Result<Mixed, DataError> {
    let cap = settings.max_per_task.unwrap_or(usize::MAX);
    let weights = tasks
        .iter()
        .map(|(task, episodes)| weight(task, episodes.len().min(cap), settings))
        .collect::<Result<Vec<f64>, _>>()?;
    let capped: usize = tasks.iter().map(|(_, episodes)| episodes.len().min(cap)).sum();
    let quotas = apportion(&weights, settings.total.unwrap_or(capped));
    let streams = streams.within("mix");
    let mut mixed = Mixed { episodes: Vec::new(), counts: Vec::new() };
    for ((task, episodes), quota) in tasks.into_iter().zip(quotas) {
        let available = episodes.len();
        let distinct = available.min(cap);
        let used = quota.min(distinct.saturating_mul(settings.max_repeats));
        mixed.episodes.extend(taken(episodes, distinct, used, &streams.within(&task)));
        mixed.counts.push(TaskCount { task, available, used });
    }
    if settings.shuffle {
        mixed.episodes.shuffle(&mut streams.stream("order", 0));
    }
    Ok(mixed)
}

fn weight(task: &str, size: usize, settings: &MixSettings) -> Result<f64, DataError> {
    if !settings.temperature.is_finite() || settings.temperature < 0.0 {
        let problem =
            format!("mix: temperature is {}, not a number from 0 on", settings.temperature);
        return Err(DataError::Settings(problem));
    }
    if size == 0 {
        return Ok(0.0);
    }
    let mut weight = (size as f64).powf(settings.temperature);
    for (pattern, factor) in &settings.factors {
        if !factor.is_finite() || *factor < 0.0 {
            return Err(DataError::Settings(format!(
                "mix: factor of `{pattern}` is {factor}, not from 0 on"
            )));
        }
        if matches(pattern, task) {
            weight *= factor;
        }
    }
    Ok(weight)
}

/// Whole shares of a total by the largest remainder; ties go to the first.
fn apportion(weights: &[f64], total: usize) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| weight / sum * total as f64).collect();
    let mut shares: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|one, other| exact[*other].fract().total_cmp(&exact[*one].fract()));
    let given: usize = shares.iter().sum();
    for index in order.into_iter().cycle().take(total.saturating_sub(given)) {
        shares[index] += 1;
    }
    shares
}

/// `used` episodes out of `distinct` random ones, in whole passes and a last part.
fn taken(
    episodes: Vec<Episode>,
    distinct: usize,
    used: usize,
    streams: &Streams,
) -> impl Iterator<Item = Episode> {
    let mut order: Vec<usize> = (0..episodes.len()).collect();
    order.shuffle(&mut streams.stream("take", 0));
    order.truncate(distinct);
    let passes = used / distinct.max(1);
    let rest = used - passes * distinct;
    // How often each episode occurs, then in its own order: unshuffled mixtures stay readable.
    let mut times = vec![0; episodes.len()];
    for (place, index) in order.iter().enumerate() {
        times[*index] = passes + usize::from(place < rest);
    }
    episodes.into_iter().zip(times).flat_map(|(episode, times)| std::iter::repeat_n(episode, times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn tasks(sizes: &[usize]) -> Vec<(String, Vec<Episode>)> {
        let task = |(index, size): (usize, &usize)| {
            let name = format!("t{index}");
            let episodes = (0..*size).map(|unit| Episode::new(&name, unit.to_string()));
            (name.clone(), episodes.collect())
        };
        sizes.iter().enumerate().map(task).collect()
    }

    fn used(mixed: &Mixed) -> Vec<usize> {
        mixed.counts.iter().map(|count| count.used).collect()
    }

    #[test]
    fn by_default_every_episode_occurs_once_in_an_order_of_the_seed() {
        let mix = |seed| mix(tasks(&[3, 50, 0]), &MixSettings::default(), &Streams::new(seed));
        let (one, other) = (mix(1).unwrap(), mix(2).unwrap());
        assert_eq!(used(&one), [3, 50, 0]);
        assert_eq!(one, mix(1).unwrap());
        assert_ne!(one.episodes, other.episodes);
        let distinct: std::collections::HashSet<_> =
            one.episodes.iter().map(|episode| (&episode.task, &episode.unit)).collect();
        assert_eq!(distinct.len(), 53);
    }

    #[test]
    fn temperature_caps_and_factors_shift_the_shares() {
        let with = |settings: MixSettings| {
            used(&mix(tasks(&[10, 90]), &settings, &Streams::new(1)).unwrap())
        };
        let equal = MixSettings {
            temperature: 0.0,
            total: Some(80),
            max_repeats: 9,
            ..MixSettings::default()
        };
        assert_eq!(with(equal.clone()), [40, 40]);
        assert_eq!(with(MixSettings { max_repeats: 2, ..equal.clone() }), [20, 40]);
        let root = MixSettings { temperature: 0.5, ..equal.clone() };
        assert_eq!(with(root), [20, 60]);
        let capped = MixSettings { max_per_task: Some(30), ..MixSettings::default() };
        assert_eq!(with(capped), [10, 30]);
        let factors = BTreeMap::from([("t1".to_owned(), 3.0)]);
        assert_eq!(with(MixSettings { factors, ..equal }), [20, 60]);
    }

    #[test]
    fn senseless_settings_fail() {
        for settings in [
            MixSettings { temperature: -1.0, ..MixSettings::default() },
            MixSettings {
                factors: BTreeMap::from([("*".to_owned(), f64::NAN)]),
                ..MixSettings::default()
            },
        ] {
            assert!(matches!(
                mix(tasks(&[1]), &settings, &Streams::new(1)),
                Err(DataError::Settings(_))
            ));
        }
    }

    proptest! {
        #[test]
        fn counts_add_up_and_repeats_stay_bounded(
            sizes in proptest::collection::vec(0usize..40, 1..6),
            temperature in 0.0..2.0f64,
            total in proptest::option::of(0usize..200),
            max_repeats in 1usize..4,
            max_per_task in proptest::option::of(1usize..50),
        ) {
            let settings = MixSettings {
                temperature, max_per_task, total, max_repeats, ..MixSettings::default()
            };
            let mixed = mix(tasks(&sizes), &settings, &Streams::new(9)).unwrap();
            prop_assert_eq!(used(&mixed).iter().sum::<usize>(), mixed.episodes.len());
            if let Some(total) = total {
                prop_assert!(mixed.episodes.len() <= total);
            }
            let mut times: HashMap<(&str, &str), usize> = HashMap::new();
            for episode in &mixed.episodes {
                *times.entry((&episode.task, &episode.unit)).or_default() += 1;
            }
            prop_assert!(times.values().all(|times| *times <= max_repeats));
        }
    }
}
