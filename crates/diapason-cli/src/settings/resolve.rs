//! From text and overrides to [`Settings`], with the nearest known key in every error.

use super::Settings;
use diapason_markers::{Measure, Taxonomy};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What is wrong with a recipe or an override.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        problem: String,
    },
    /// The file is no recipe; the message names line and key.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        problem: String,
    },
    /// An override is no `key=value`, or does not fit the settings.
    Override {
        /// The override as given.
        given: String,
        /// What is wrong.
        problem: String,
    },
    /// The values contradict each other.
    Contradiction {
        /// What is wrong and how to mend it.
        problem: String,
    },
}

impl std::error::Error for SettingsError {}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SettingsError::Unreadable { path, problem } => write!(
                formatter,
                "cannot read the recipe `{}`: {problem}\n\nhint: recipes of the project are in `recipes/`",
                path.display()
            ),
            SettingsError::File { path, problem } => {
                write!(formatter, "{}: {problem}", path.display())
            }
            SettingsError::Override { given, problem } => {
                write!(formatter, "--set {given}: {problem}")
            }
            SettingsError::Contradiction { problem } => formatter.write_str(problem),
        }
    }
}

/// Reads a recipe file and resolves it; relative paths in it are relative to its folder.
pub(crate) fn resolve_file(path: &Path, overrides: &[String]) -> Result<Settings, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|problem| SettingsError::Unreadable {
        path: path.to_owned(),
        problem: problem.to_string(),
    })?;
    let mut settings = resolve(path, &text, overrides)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for place in [
        &mut settings.base.path,
        &mut settings.data.episodes,
        &mut settings.data.dir,
        &mut settings.data.suite,
    ]
    .into_iter()
    .flatten()
    {
        *place = folder.join(&*place);
    }
    if let Some(files) = &mut settings.base.llama2c {
        files.weights = folder.join(&files.weights);
        files.tokenizer = folder.join(&files.tokenizer);
    }
    Ok(settings)
}

/// Resolves the text of a recipe; `path` names it in errors.
pub(crate) fn resolve(
    path: &Path,
    text: &str,
    overrides: &[String],
) -> Result<Settings, SettingsError> {
    let in_file = |problem: &toml::de::Error| SettingsError::File {
        path: path.to_owned(),
        problem: with_nearest(&problem.to_string()),
    };
    // Once as it stands, so that an error can point at its line.
    toml::from_str::<Settings>(text).map_err(|problem| in_file(&problem))?;
    let mut table: Table = toml::from_str(text).map_err(|problem| in_file(&problem))?;
    for given in overrides {
        set(&mut table, given)?;
        read(&table).map_err(|problem| SettingsError::Override {
            given: given.clone(),
            problem: with_nearest(&problem.to_string()),
        })?;
    }
    inherit_train(&mut table);
    let settings = read(&table).map_err(|problem| in_file(&problem))?;
    check(&settings)?;
    Ok(settings)
}

fn read(table: &Table) -> Result<Settings, toml::de::Error> {
    Value::Table(table.clone()).try_into()
}

/// `[models.train]` holds only what differs from `[train]`.
fn inherit_train(table: &mut Table) {
    let Some(Value::Table(shared)) = table.get("train").cloned() else { return };
    let Some(Value::Array(models)) = table.get_mut("models") else { return };
    for model in models.iter_mut().filter_map(Value::as_table_mut) {
        let mut train = shared.clone();
        if let Some(Value::Table(own)) = model.remove("train") {
            train.extend(own);
        }
        model.insert("train".to_owned(), Value::Table(train));
    }
}

/// Applies `a.b=c`; a step that is a number goes into a list, one that is a `name` of a list's
/// entries into that entry: `models.spectrum.train.epochs=2`.
fn set(table: &mut Table, given: &str) -> Result<(), SettingsError> {
    let problem = |problem: String| SettingsError::Override { given: given.to_owned(), problem };
    let Some((key, value)) = given.split_once('=') else {
        return Err(problem("expected KEY=VALUE, such as train.learning_rate=1e-3".to_owned()));
    };
    let value = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let mut steps: Vec<&str> = key.split('.').collect();
    let last = steps.pop().filter(|last| !last.is_empty());
    let Some(last) = last else { return Err(problem("the key is empty".to_owned())) };
    let mut here = table;
    let mut steps = steps.into_iter();
    while let Some(step) = steps.next() {
        let next = here.entry(step).or_insert_with(|| Value::Table(Table::new()));
        here = match next {
            Value::Table(inner) => inner,
            Value::Array(items) => {
                let which = steps.next().unwrap_or_default();
                let known: Vec<String> = items.iter().filter_map(name_of).collect();
                let item = items
                    .iter_mut()
                    .enumerate()
                    .find(|(index, item)| {
                        index.to_string() == which || name_of(item).as_deref() == Some(which)
                    })
                    .and_then(|(_, item)| item.as_table_mut());
                item.ok_or_else(|| problem(format!("no `{which}` in `{step}`: {known:?}")))?
            }
            other => {
                return Err(problem(format!("`{step}` is {}, not a table", other.type_str())));
            }
        };
    }
    here.insert(last.to_owned(), value);
    Ok(())
}

fn name_of(item: &Value) -> Option<String> {
    let table = item.as_table()?;
    table.get("name").or_else(|| table.get("task"))?.as_str().map(str::to_owned)
}

/// Adds the nearest known name to serde's message about an unknown one.
fn with_nearest(message: &str) -> String {
    let mut out = message.trim_end().to_owned();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let about_name = message.contains("unknown field") || message.contains("unknown variant");
    if let (true, Some((unknown, known))) = (about_name, names_in(message, &quoted)) {
        let nearest = known.iter().max_by(|a, b| {
            strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b))
        });
        if let Some(nearest) = nearest {
            // Writing to a String cannot fail.
            let _ = write!(out, "\n\nhint: did you mean `{nearest}`?");
        }
    }
    out
}

/// The unknown name and the known ones, from "unknown field `x`, expected one of `a`, `b`".
fn names_in<'text>(
    message: &'text str,
    quoted: &[&'text str],
) -> Option<(&'text str, Vec<&'text str>)> {
    let start = message.find("unknown field").or_else(|| message.find("unknown variant"))?;
    let before = message[..start].matches('`').count() / 2;
    let (unknown, known) = quoted.get(before..)?.split_first()?;
    (!known.is_empty()).then(|| (*unknown, known.to_vec()))
}

fn check(settings: &Settings) -> Result<(), SettingsError> {
    let base = &settings.base;
    let sources = [base.path.is_some(), base.llama2c.is_some(), base.new.is_some()];
    let problem = if sources.iter().filter(|given| **given).count() != 1 {
        "give exactly one of `base.path`, `base.llama2c` and `base.new`".to_owned()
    } else if settings.data.episodes.is_some()
        && !(settings.data.tasks.is_empty() && settings.data.marked.is_none())
    {
        "give `data.episodes`, or `data.tasks` and `data.marked`, not both".to_owned()
    } else if !(0.0..=1.0).contains(&settings.data.description_probability) {
        format!(
            "`data.description_probability` is {}, not in 0..=1",
            settings.data.description_probability
        )
    } else if !(0.0..1.0).contains(&settings.data.held_out_share) {
        format!("`data.held_out_share` is {}, not in 0..1", settings.data.held_out_share)
    } else if let Some(name) = repeated_name(settings) {
        format!("two models are called `{name}`")
    } else if let Some(problem) = wrong_markers(settings) {
        problem
    } else if let Some(problem) = wrong_annotations(settings) {
        problem
    } else if let Some(rival) = unknown_rival(settings) {
        format!("`evaluate.rival` is `{rival}`, and no model is called so")
    } else {
        return Ok(());
    };
    Err(SettingsError::Contradiction { problem })
}

fn repeated_name(settings: &Settings) -> Option<&str> {
    let mut seen = std::collections::HashSet::from(["base"]);
    settings.models.iter().map(|model| model.name.as_str()).find(|name| !seen.insert(name))
}

/// A marker to measure that nothing measures.
fn wrong_annotations(settings: &Settings) -> Option<String> {
    let taxonomy = Taxonomy::built_in();
    settings.data.annotate.iter().find_map(|name| match taxonomy.marker(name) {
        Err(problem) => Some(format!("`data.annotate`: {problem}")),
        Ok(marker) => match marker.measure {
            Measure::Provenance | Measure::QualityQuartile | Measure::Tagger => {
                Some(format!("`data.annotate`: `{name}` cannot be measured of a text alone"))
            }
            _ => None,
        },
    })
}

fn unknown_rival(settings: &Settings) -> Option<&str> {
    let rival = settings.evaluate.rival.as_deref()?;
    let base = settings.evaluate.base && rival == "base";
    let known = base || settings.models.iter().any(|model| model.name == rival);
    (!known).then_some(rival)
}

/// Shares of a model's marker dropout that are none.
fn wrong_markers(settings: &Settings) -> Option<String> {
    settings.models.iter().find_map(|model| {
        let problem = model.markers?.dropout().check().err()?;
        Some(format!("`models.{}.markers.dropout`: {problem}", model.name))
    })
}
