//! Answers to prompts, as rows of the shapes of the field, and those of two files side by side.

use crate::commands::mark::rows::Rows;
use anyhow::{Context as _, bail, ensure};
use diapason_flow::Fingerprint;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

/// One answer.
#[derive(Clone)]
pub(super) struct Answered {
    /// Line of its file.
    pub line: usize,
    /// What the row calls its prompt.
    id: Option<String>,
    pub prompt: String,
    pub answer: String,
    /// How good it is, where that is known.
    pub score: Option<f64>,
    /// The value of the marker by which prompts are told apart.
    group: Option<String>,
}

/// All answers of a file.
#[derive(Clone)]
pub(super) struct Answers {
    /// Name of the file without its extension: who answered.
    pub name: String,
    pub path: PathBuf,
    pub rows: Vec<Answered>,
    /// Tells this file from others.
    pub fingerprint: Fingerprint,
}

/// Two answers to one prompt.
pub(super) struct Pair<'a> {
    /// What intervals resample.
    pub unit: String,
    pub model: &'a Answered,
    pub opponent: &'a Answered,
}

impl Answers {
    /// Reads a file; every row has a score in the column, if one is named. With `by`, rows that have
    /// this marker belong to the group of its value.
    pub(super) fn read(
        path: &Path,
        column: Option<&str>,
        by: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut rows = Rows::open(path)?;
        let (mut found, mut content) = (Vec::new(), String::new());
        while let Some((line, text)) = rows.next_row()? {
            let row = rows.parse(line, &text)?;
            content += &text;
            content.push('\n');
            let place = || format!("`{}`, line {line}", path.display());
            let (prompt, answers) = answers_of_row(&row).with_context(place)?;
            let id = ["id", "question_id"].iter().find_map(|name| match &row[*name] {
                Value::String(id) => Some(id.clone()),
                Value::Number(id) => Some(id.to_string()),
                _ => None,
            });
            let score = column.map(|column| score(&row, column)).transpose().with_context(place)?;
            let group = by.and_then(|marker| group(&row, marker));
            found.extend(answers.into_iter().map(|answer| Answered {
                line,
                id: id.clone(),
                prompt: prompt.clone(),
                answer,
                score,
                group: group.clone(),
            }));
        }
        ensure!(!found.is_empty(), "`{}` holds no row", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let fingerprint = Fingerprint::of(content.as_bytes());
        Ok(Answers { name, path: path.to_owned(), rows: found, fingerprint })
    }

    /// What the prompts are called: by the rows if all have a name, else by their text.
    pub(super) fn units(&self) -> Vec<String> {
        let named = self.rows.iter().all(|row| row.id.is_some());
        self.rows.iter().map(|row| row.unit(named)).collect()
    }

    /// The answers to each prompt, in the order in which the prompts first come.
    pub(super) fn by_prompt(&self) -> Vec<(String, Vec<&Answered>)> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut groups: Vec<(String, Vec<&Answered>)> = Vec::new();
        for (unit, row) in self.units().into_iter().zip(&self.rows) {
            let place = *places.entry(unit.clone()).or_insert(groups.len());
            if place == groups.len() {
                groups.push((unit, Vec::new()));
            }
            groups[place].1.push(row);
        }
        groups
    }

    fn place(&self, row: &Answered) -> String {
        format!("`{}`, line {}", self.path.display(), row.line)
    }
}

impl Answered {
    fn unit(&self, named: bool) -> String {
        match &self.id {
            Some(id) if named => id.clone(),
            _ => Fingerprint::of(self.prompt.as_bytes()).0,
        }
    }
}

/// What a row says of a marker: in a column of its name, as it was asked for, or as it was written.
fn group(row: &Value, marker: &str) -> Option<String> {
    let found = [&row[marker], &row["asked"][marker], &row["markers"][marker]];
    found.into_iter().find_map(|value| match value {
        Value::String(value) => Some(value.clone()),
        Value::Number(value) => Some(value.to_string()),
        Value::Array(values) => values.first().and_then(Value::as_str).map(str::to_owned),
        _ => None,
    })
}

impl Pair<'_> {
    /// The value of the marker by which prompts are told apart: the model's row says it, else the
    /// opponent's.
    pub(super) fn group(&self) -> Option<&str> {
        self.model.group.as_deref().or(self.opponent.group.as_deref())
    }
}

/// The answers of two files to the same prompts, in the order of the first. Where a prompt has
/// several answers, the k-th of the one meets the k-th of the other.
pub(super) fn pairs<'a>(
    model: &'a Answers,
    opponent: &'a Answers,
) -> anyhow::Result<Vec<Pair<'a>>> {
    ensure!(
        model.name != opponent.name,
        "both files are called `{}`\n\nhint: the name of a file names who answered",
        model.name
    );
    let sides = [model, opponent];
    let named = sides.iter().all(|side| side.rows.iter().all(|row| row.id.is_some()));
    let mut waiting: HashMap<String, VecDeque<&Answered>> = HashMap::new();
    for row in &opponent.rows {
        waiting.entry(row.unit(named)).or_default().push_back(row);
    }
    let mut pairs = Vec::new();
    for row in &model.rows {
        let unit = row.unit(named);
        let Some(other) = waiting.get_mut(&unit).and_then(VecDeque::pop_front) else {
            bail!(
                "{}: `{}` has no answer to this prompt\n\nhint: both files answer the same prompts, equally often",
                model.place(row),
                opponent.path.display()
            );
        };
        ensure!(
            row.prompt == other.prompt,
            "{} and {} have the id `{unit}` but not the same prompt",
            model.place(row),
            opponent.place(other)
        );
        pairs.push(Pair { unit, model: row, opponent: other });
    }
    if let Some(left) = waiting.values().flatten().min_by_key(|row| row.line) {
        bail!(
            "{}: `{}` has no answer to this prompt\n\nhint: both files answer the same prompts, equally often",
            opponent.place(left),
            model.path.display()
        );
    }
    Ok(pairs)
}

fn score(row: &Value, column: &str) -> anyhow::Result<f64> {
    let found = row.get(column);
    found.and_then(Value::as_f64).with_context(|| {
        let found = found.map_or("is missing".to_owned(), |found| format!("is {found}, no number"));
        format!(
            "the column `{column}` {found}\n\nhint: name the column of scores with `--score-column`, or have answers scored with `--judge URL --judge-model NAME`"
        )
    })
}

/// Prompt and answers of a row.
fn answers_of_row(row: &Value) -> anyhow::Result<(String, Vec<String>)> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    if let Some(messages) = row.get("messages").and_then(Value::as_array) {
        return answer_of_messages(messages);
    }
    let prompt = text("prompt").or(text("instruction"));
    let answer = text("completion").or(text("output"));
    let several = row.get("generations").and_then(Value::as_array).map(|list| {
        list.iter().map(|answer| answer.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    match (prompt, answer, several) {
        (Some(prompt), Some(answer), _) => Ok((prompt.to_owned(), vec![answer.to_owned()])),
        (Some(prompt), None, Some(Some(answers))) => Ok((prompt.to_owned(), answers)),
        _ => {
            let columns: Vec<&String> =
                row.as_object().into_iter().flat_map(|row| row.keys()).collect();
            bail!(
                "no prompt with an answer among the columns {columns:?}\n\nhint: a row has `messages`, `prompt` + `completion`, `instruction` + `output`, or `prompt` + `generations`"
            )
        }
    }
}

/// The last output, and all that was said before it.
fn answer_of_messages(messages: &[Value]) -> anyhow::Result<(String, Vec<String>)> {
    let said = |message: &Value| {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        (text("role"), text("content"))
    };
    let said: Vec<(String, String)> = messages.iter().map(said).collect();
    let is_output = |(role, _): &(String, String)| role == "output" || role == "assistant";
    let Some(last) = said.iter().rposition(is_output) else {
        bail!("`messages` has no message of the role `assistant` or `output`");
    };
    let prompt = match &said[..last] {
        [(_, content)] => content.clone(),
        before => {
            let line = |(role, content): &(String, String)| format!("[{role}] {content}");
            before.iter().map(line).collect::<Vec<_>>().join("\n\n")
        }
    };
    Ok((prompt, vec![said[last].1.clone()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(folder: &Path, name: &str, rows: &[Value]) -> Answers {
        let path = folder.join(name);
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        Answers::read(&path, None, Some("domain")).unwrap()
    }

    #[test]
    fn rows_of_every_shape_meet_by_their_prompts() {
        let folder = tempfile::tempdir().unwrap();
        let one = [
            json!({"prompt": "p", "completion": "a"}),
            json!({"messages": [{"role": "user", "content": "q"},
                                {"role": "assistant", "content": "b"}]}),
            json!({"prompt": "r", "generations": ["c", "d"]}),
        ];
        let other = [
            json!({"prompt": "r", "completion": "C"}),
            json!({"instruction": "q", "output": "B"}),
            json!({"prompt": "r", "completion": "D"}),
            json!({"prompt": "p", "completion": "A"}),
        ];
        let (one, other) =
            (file(folder.path(), "one.jsonl", &one), file(folder.path(), "other.jsonl", &other));
        let met = pairs(&one, &other).unwrap();
        let texts: Vec<(&str, &str)> =
            met.iter().map(|pair| (&*pair.model.answer, &*pair.opponent.answer)).collect();
        assert_eq!(texts, [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")]);
        assert_eq!(met[2].unit, met[3].unit);
        assert_eq!(one.by_prompt().len(), 3);
        let longer = answer_of_messages(&[
            json!({"role": "system", "content": "s"}),
            json!({"role": "user", "content": "u"}),
            json!({"role": "assistant", "content": "a"}),
            json!({"role": "user", "content": "again"}),
        ]);
        assert_eq!(longer.unwrap(), ("[system] s\n\n[user] u".to_owned(), vec!["a".to_owned()]));
    }

    #[test]
    fn a_marker_stands_in_a_column_or_where_it_was_asked_for_or_written() {
        for (row, found) in [
            (json!({"domain": "Math", "asked": {"domain": "Legal"}}), Some("Math")),
            (json!({"asked": {"domain": "Legal"}, "markers": {"domain": "Code"}}), Some("Legal")),
            (json!({"markers": {"domain": ["Code", "Math"]}}), Some("Code")),
            (json!({"markers": {"lang": "French"}}), None),
        ] {
            assert_eq!(group(&row, "domain").as_deref(), found, "{row}");
        }
    }

    #[test]
    fn what_does_not_meet_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let row = |id: u8, prompt: &str| json!({"id": id, "prompt": prompt, "completion": "x"});
        let one = file(folder.path(), "one.jsonl", &[row(1, "p"), row(2, "q")]);
        let error = |rows: &[Value]| {
            let other = file(folder.path(), "other.jsonl", rows);
            pairs(&one, &other).err().unwrap().to_string()
        };
        assert!(error(&[row(1, "p")]).contains("one.jsonl`, line 2: `"));
        assert!(error(&[row(1, "p"), row(2, "Q")]).contains("the id `2` but not the same prompt"));
        let more = error(&[row(1, "p"), row(2, "q"), row(3, "r")]);
        assert!(more.contains("other.jsonl`, line 3: `"), "{more}");
        assert!(pairs(&one, &one).is_err(), "one file against itself");
    }
}
