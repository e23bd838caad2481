//! Episodes as JSON rows, and the other shapes of the field read as episodes.
//!
//! | shape | read as |
//! |---|---|
//! | `{"task", "unit", "messages": [{"role": "description" \| "input" \| "output", "content"}], "goal"}` | itself |
//! | `messages` with `system`, `user`, `assistant` | description, input, output; order kept |
//! | `prompt` + `completion` | one turn |
//! | `text` | one output without input |
//!
//! A trailing input, or a `goal`, makes the query.

use crate::{Check, Episode, Goal, Markers, Query, Turn};
use serde_json::{Map, Value, json};

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterchangeError {
    /// No known shape.
    #[error(
        "no `messages`, `prompt` + `completion` or `text` among the columns {columns:?}\n\nhint: rename the columns to one of these shapes"
    )]
    Shape {
        /// The columns the row has.
        columns: Vec<String>,
    },
    /// A value of the wrong kind.
    #[error("{place}: expected {expected}, found {found}")]
    Kind {
        /// Where in the row.
        place: String,
        /// What is allowed there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// Messages in an order that no episode has.
    #[error("messages[{index}]: {problem}")]
    Order {
        /// Which message.
        index: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A goal that is no distribution.
    #[error("goal: {problem}")]
    Goal {
        /// What is wrong.
        problem: String,
    },
}

/// Reads one row. `fallback` names the task and the unit where the row does not.
pub fn episode_from_json(row: &Value, fallback: (&str, &str)) -> Result<Episode, InterchangeError> {
    let object = row.as_object().ok_or_else(|| kind("row", "an object", row))?;
    let task = optional_text(object, "task")?.unwrap_or(fallback.0);
    let unit = optional_text(object, "unit")?.unwrap_or(fallback.1);
    let mut episode = Episode::new(task, unit);
    let goal = match object.get("goal") {
        None | Some(Value::Null) => None,
        Some(goal) => Some(read_goal(goal)?),
    };
    let mut pending = None;
    if let Some(messages) = object.get("messages") {
        let messages = messages.as_array().ok_or_else(|| kind("messages", "a list", messages))?;
        pending = read_messages(messages, &mut episode)?;
    } else if object.contains_key("prompt") && object.contains_key("completion") {
        let input = optional_text(object, "prompt")?.map(str::to_owned);
        let output = optional_text(object, "completion")?.unwrap_or_default().to_owned();
        let markers = read_markers(object.get("markers"), "markers")?;
        episode.turns.push(Turn { input, output, markers, optimal_nats: None });
        episode.exchangeable = false;
    } else if let Some(text) = optional_text(object, "text")? {
        let markers = read_markers(object.get("markers"), "markers")?;
        episode.turns.push(Turn { output: text.to_owned(), markers, ..Turn::default() });
        episode.exchangeable = false;
    } else {
        return Err(InterchangeError::Shape { columns: object.keys().cloned().collect() });
    }
    if let Some(exchangeable) = object.get("exchangeable") {
        episode.exchangeable = exchangeable
            .as_bool()
            .ok_or_else(|| kind("exchangeable", "a boolean", exchangeable))?;
    }
    episode.query = match (pending, goal) {
        (None, None) => None,
        (input, Some(goal)) => Some(Query { input, goal }),
        (Some(_), None) => {
            let problem = "the last message is an input without an output, and there is no `goal`";
            return Err(InterchangeError::Goal { problem: problem.to_owned() });
        }
    };
    Ok(episode)
}

/// Writes one episode as a row of the native shape.
pub fn episode_to_json(episode: &Episode) -> Value {
    let mut messages = Vec::new();
    if let Some(description) = &episode.description {
        messages.push(json!({"role": "description", "content": description}));
    }
    for turn in &episode.turns {
        if let Some(input) = &turn.input {
            messages.push(json!({"role": "input", "content": input}));
        }
        let mut output = json!({"role": "output", "content": turn.output});
        if !turn.markers.is_empty() {
            output["markers"] = json!(turn.markers);
        }
        if let Some(nats) = turn.optimal_nats {
            output["optimal_nats"] = json!(nats);
        }
        messages.push(output);
    }
    if let Some(input) = episode.query.as_ref().and_then(|query| query.input.as_ref()) {
        messages.push(json!({"role": "input", "content": input}));
    }
    let mut row = json!({"task": episode.task, "unit": episode.unit, "messages": messages});
    if let Some(query) = &episode.query {
        row["goal"] = match &query.goal {
            Goal::Text(text) => json!({"text": text}),
            Goal::Choices { options, probs } => json!({"options": options, "probs": probs}),
            Goal::Valid(check) => json!({"valid": check}),
        };
    }
    if !episode.exchangeable {
        row["exchangeable"] = json!(false);
    }
    row
}

fn read_messages(
    messages: &[Value],
    episode: &mut Episode,
) -> Result<Option<String>, InterchangeError> {
    let mut pending: Option<String> = None;
    for (index, message) in messages.iter().enumerate() {
        let place = format!("messages[{index}]");
        let object = message.as_object().ok_or_else(|| kind(&place, "an object", message))?;
        let content = optional_text(object, "content")?.unwrap_or_default().to_owned();
        let role = optional_text(object, "role")?.unwrap_or_default();
        if matches!(role, "system" | "user" | "assistant") {
            episode.exchangeable = false;
        }
        match role {
            "description" | "system" if index == 0 => episode.description = Some(content),
            "description" | "system" => {
                let problem = "a description can only come first";
                return Err(InterchangeError::Order { index, problem });
            }
            "input" | "user" => {
                if pending.replace(content).is_some() {
                    let problem = "two inputs without an output between them";
                    return Err(InterchangeError::Order { index, problem });
                }
            }
            "output" | "assistant" => episode.turns.push(Turn {
                input: pending.take(),
                output: content,
                markers: read_markers(object.get("markers"), &place)?,
                optimal_nats: object.get("optimal_nats").and_then(Value::as_f64),
            }),
            _ => {
                return Err(InterchangeError::Kind {
                    place: format!("{place}.role"),
                    expected: "description, input, output, system, user or assistant",
                    found: format!("{role:?}"),
                });
            }
        }
    }
    Ok(pending)
}

fn read_markers(value: Option<&Value>, place: &str) -> Result<Markers, InterchangeError> {
    match value {
        None | Some(Value::Null) => Ok(Markers::default()),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| kind(place, "markers as an object of texts or lists of texts", value)),
    }
}

fn read_goal(value: &Value) -> Result<Goal, InterchangeError> {
    let object = value.as_object().ok_or_else(|| kind("goal", "an object", value))?;
    if let Some(text) = optional_text(object, "text")? {
        return Ok(Goal::Text(text.to_owned()));
    }
    if let Some(check) = object.get("valid") {
        let check: Check = serde_json::from_value(check.clone())
            .map_err(|problem| InterchangeError::Goal { problem: problem.to_string() })?;
        return Ok(Goal::Valid(check));
    }
    let read = |key: &str| object.get(key).cloned().unwrap_or(Value::Null);
    let options: Vec<String> = serde_json::from_value(read("options"))
        .map_err(|_| kind("goal.options", "a list of texts", &read("options")))?;
    let probs: Vec<f64> = serde_json::from_value(read("probs"))
        .map_err(|_| kind("goal.probs", "a list of numbers", &read("probs")))?;
    check_distribution(&options, &probs)?;
    Ok(Goal::Choices { options, probs })
}

fn check_distribution(options: &[String], probs: &[f64]) -> Result<(), InterchangeError> {
    let sum: f64 = probs.iter().sum();
    let problem = if options.is_empty() {
        "no options".to_owned()
    } else if options.len() != probs.len() {
        format!("{} options but {} probabilities", options.len(), probs.len())
    } else if let Some(bad) = probs.iter().find(|probability| !(0.0..=1.0).contains(*probability)) {
        format!("{bad} is no probability")
    } else if (sum - 1.0).abs() > 1e-6 {
        format!("the probabilities sum to {sum}, not 1")
    } else {
        return Ok(());
    };
    Err(InterchangeError::Goal { problem })
}

fn optional_text<'row>(
    object: &'row Map<String, Value>,
    key: &str,
) -> Result<Option<&'row str>, InterchangeError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(kind(key, "a text", other)),
    }
}

fn kind(place: &str, expected: &'static str, found: &Value) -> InterchangeError {
    let mut found = found.to_string();
    if found.chars().count() > 60 {
        found = found.chars().take(57).chain("...".chars()).collect();
    }
    InterchangeError::Kind { place: place.to_owned(), expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn episodes() -> impl Strategy<Value = Episode> {
        let turn = (proptest::option::of(".{0,8}"), ".{0,8}", proptest::option::of(0.0..9.0f64))
            .prop_map(|(input, output, optimal_nats)| {
                let mut markers = Markers::default();
                markers.set("lang", output.clone());
                Turn { input, output, markers, optimal_nats }
            });
        let query = prop_oneof![
            Just(None),
            (proptest::option::of(".{0,8}"), ".{0,8}")
                .prop_map(|(input, text)| Some(Query { input, goal: Goal::Text(text) })),
            Just(Some(Query {
                input: None,
                goal: Goal::Choices {
                    options: vec!["a".into(), "b".into()],
                    probs: vec![0.25, 0.75]
                },
            })),
            Just(Some(Query { input: None, goal: Goal::Valid(Check::Prime { max: 99 }) })),
        ];
        (
            proptest::option::of(".{0,12}"),
            proptest::collection::vec(turn, 0..4),
            query,
            any::<bool>(),
        )
            .prop_map(|(description, turns, query, exchangeable)| Episode {
                description,
                turns,
                query,
                exchangeable,
                ..Episode::new("align/urn", "urn 3")
            })
    }

    proptest! {
        #[test]
        fn the_native_shape_round_trips(episode in episodes()) {
            let row = episode_to_json(&episode);
            let text = row.to_string();
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(episode_from_json(&back, ("x", "y")).unwrap(), episode);
        }
    }

    #[test]
    fn the_shapes_of_the_field_are_read() {
        let chat = json!({"messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a"},
        ]});
        let episode = episode_from_json(&chat, ("chat", "1")).unwrap();
        assert_eq!(episode.description.as_deref(), Some("s"));
        assert_eq!(episode.turns[0].input.as_deref(), Some("u"));
        assert!(!episode.exchangeable);
        let pair = json!({"prompt": "p", "completion": "c", "markers": {"lang": "French"}});
        assert_eq!(episode_from_json(&pair, ("t", "1")).unwrap().turns[0].output, "c");
        let text = json!({"text": "once"});
        assert_eq!(episode_from_json(&text, ("t", "1")).unwrap().turns[0].output, "once");
    }

    #[test]
    fn errors_name_the_place() {
        let read = |row: Value| episode_from_json(&row, ("t", "1")).unwrap_err().to_string();
        assert!(read(json!({"body": 1})).contains("[\"body\"]"));
        assert!(
            read(json!({"messages": [{"role": "bot", "content": ""}]}))
                .contains("messages[0].role")
        );
        assert!(
            read(json!({"text": "", "goal": {"options": ["a"], "probs": [0.5]}}))
                .contains("sum to 0.5")
        );
        let inputs = json!([{"role": "input", "content": ""}, {"role": "input", "content": ""}]);
        assert!(read(json!({"messages": inputs})).contains("messages[1]: two inputs"));
    }
}
