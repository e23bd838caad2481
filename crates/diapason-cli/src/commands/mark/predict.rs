//! `diapason mark predict`: how likely each marker value is, given a prompt.
//!
//! A list is written marker by marker, and what stands before a marker changes its probabilities.
//! They are therefore averaged over lists that the model draws: at every marker that a draw writes,
//! with the model's whole distribution there, not with the one value drawn.

use crate::args::{LeverArgs, PredictArgs};
use crate::commands::{Session, prompt, sample};
use crate::levers::{Open, Written, untrained, write_lists};
use diapason_flow::Streams;
use diapason_markers::Filling;
use serde_json::json;
use std::collections::BTreeMap;

/// Prints the probability of each value of each marker.
pub(super) fn predict(session: &Session<'_>, args: &PredictArgs) -> anyhow::Result<()> {
    let subject = prompt::subject(&args.prompt, &session.device)?;
    let Some(trained) = &subject.trained else {
        return Err(untrained());
    };
    let levers = LeverArgs { markers: args.markers.clone(), fill: Filling::Inferred, show: false };
    let fixed = sample::levers(&levers, trained)?.fixed;
    let prompt = prompt::prompt(&args.prompt, &fixed, &subject)?;
    let streams = Streams::new(args.seed).within("predict");
    let open = |index| Open {
        prompt: prompt.clone(),
        fixed: fixed.clone(),
        stream: streams.stream("list", index),
    };
    let lists =
        write_lists(&subject, trained, (0..u64::from(args.draws)).map(open).collect(), 1.0)?;
    let markers = averages(&lists);
    if args.json {
        let row: serde_json::Map<String, serde_json::Value> = markers
            .iter()
            .map(|(name, marker)| {
                let row = json!({"present": marker.present, "values": marker.values});
                (name.clone(), row)
            })
            .collect();
        return Ok(session.console.data(&json!({"markers": row}).to_string())?);
    }
    for (name, marker) in &markers {
        session.console.data(&format!("{name}: written {:.1} %", 100.0 * marker.present))?;
        let mut values: Vec<(&String, &f64)> = marker.values.iter().collect();
        values.sort_by(|a, b| b.1.total_cmp(a.1));
        for (value, probability) in values.into_iter().take(args.top) {
            session.console.data(&format!("  {probability:>7.4}  {value}"))?;
        }
    }
    Ok(())
}

/// What is known of one marker.
#[derive(Debug, Default)]
struct Predicted {
    /// Share of lists that hold it.
    present: f64,
    /// Probability of each value where it is held.
    values: BTreeMap<String, f64>,
}

fn averages(lists: &[Written]) -> BTreeMap<String, Predicted> {
    let mut markers: BTreeMap<String, Predicted> = BTreeMap::new();
    for list in lists {
        for (name, set) in list.markers.iter() {
            let marker = markers.entry(name.to_owned()).or_default();
            marker.present += 1.0;
            match list.shares.get(name) {
                Some(shares) => {
                    for (value, share) in shares {
                        *marker.values.entry(value.clone()).or_default() += share;
                    }
                }
                // Set, or the only value there is.
                None => *marker.values.entry(set.values().join(", ")).or_default() += 1.0,
            }
        }
    }
    for marker in markers.values_mut() {
        marker.values.values_mut().for_each(|share| *share /= marker.present);
        marker.present /= lists.len() as f64;
    }
    markers
}
