//! Reading a task file: which of its keys go together, and where a mistake stands.

use super::{Content, Family, Kind, OutputType, Part, Sampling, Split, Sql, Task, Valid};
use crate::source::table_name;
use crate::spec::{self, Place};
use crate::synthetic::{PROCESSES, Parameters, Process};
use crate::table::TableSpec;
use crate::wording::Wording;
use crate::{DataError, Source};
use diapason_flow::Markers;
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    name: Spanned<String>,
    title: String,
    family: Family,
    kind: Kind,
    split: Split,
    output_type: Option<OutputType>,
    source: Option<Spanned<String>>,
    file: Option<Spanned<OwnFile>>,
    #[serde(default)]
    markers: Markers,
    #[serde(default)]
    differs: Vec<String>,
    #[serde(default)]
    tables: Vec<Spanned<String>>,
    sql: Option<Spanned<String>>,
    #[serde(default)]
    descriptions: Vec<Spanned<String>>,
    sampling: Option<Sampling>,
    #[serde(default)]
    part: Vec<Spanned<PartFile>>,
    process: Option<Spanned<String>>,
    episodes: Option<usize>,
    parameters: Option<Spanned<Parameters>>,
    #[serde(default)]
    examples: Vec<String>,
    valid: Option<Spanned<toml::Table>>,
}

/// A file of the task's own: its name, or all that there is to say about it.
#[derive(Deserialize)]
#[serde(untagged)]
enum OwnFile {
    Name(String),
    Table(Box<TableSpec>),
}

impl OwnFile {
    fn spec(&self) -> TableSpec {
        match self {
            OwnFile::Name(name) => TableSpec::at(name),
            OwnFile::Table(spec) => (**spec).clone(),
        }
    }

    /// The name of its table.
    fn table(&self) -> String {
        table_name(&self.spec().shown()).to_owned()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    name: String,
    #[serde(default)]
    tables: Vec<Spanned<String>>,
    output_type: Option<OutputType>,
    sql: Spanned<String>,
    descriptions: Vec<Spanned<String>>,
    #[serde(default)]
    sampling: Sampling,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidSql {
    sql: String,
    #[serde(default)]
    ignore_case: bool,
}

impl Task {
    /// Reads a task file. `sources` are those of its suite; a task with a file of its own brings
    /// one more.
    ///
    /// # Errors
    /// [`DataError::Suite`] with the line of the first mistake.
    pub(crate) fn parse(
        file: &str,
        text: &str,
        sources: &[Source],
    ) -> Result<(Task, Option<Source>), DataError> {
        let read: TaskFile = spec::parse(file, text)?;
        let reader = Reader { file, text, name: Place::at(file, text, read.name.span().start) };
        let own = reader.own_source(&read)?;
        let source = match &own {
            Some(own) => own,
            None => reader.source(&read, sources)?,
        };
        let task = Task {
            name: read.name.get_ref().clone(),
            family: read.family,
            kind: read.kind,
            split: read.split,
            output_type: read.output_type,
            source: source.name.clone(),
            licence: source.licence.clone(),
            access: source.access,
            title: read.title.clone(),
            markers: read.markers.clone(),
            differs: read.differs.clone(),
            file: file.to_owned(),
            content: reader.content(&read)?,
        };
        Ok((task, own))
    }
}

/// Turns the keys of a task file into its content.
struct Reader<'text> {
    file: &'text str,
    text: &'text str,
    /// Where the task's name stands: for mistakes of the whole file.
    name: Place,
}

impl Reader<'_> {
    /// The source of a task that names none.
    fn own_source(&self, read: &TaskFile) -> Result<Option<Source>, DataError> {
        let named = read.source.is_some() || !read.tables.is_empty();
        if let (Some(own), true) = (&read.file, named) {
            let problem = "a task with a file of its own has no source and no tables".to_owned();
            let hint = "take `file` away, or `source` and `tables`";
            return Err(self.at(own.span()).wrong(problem, hint));
        }
        let beside = Path::new(self.file).parent().unwrap_or(Path::new(""));
        let spec = read.file.as_ref().map(|file| file.get_ref().spec());
        Ok((!named).then(|| Source::own(spec, beside)))
    }

    /// The source that a task names.
    fn source<'sources>(
        &self,
        read: &TaskFile,
        sources: &'sources [Source],
    ) -> Result<&'sources Source, DataError> {
        let Some(wanted) = &read.source else {
            let problem = "nothing says whose tables these are".to_owned();
            let hint = "give `source`, or `file` for a file of yours beside the task";
            return Err(self.name.wrong(problem, hint));
        };
        let Some(source) = sources.iter().find(|source| source.name == *wanted.get_ref()) else {
            let names = sources.iter().map(|source| source.name.as_str());
            return Err(self.at(wanted.span()).unknown("source", wanted.get_ref(), names));
        };
        let of_parts = read.part.iter().flat_map(|part| &part.get_ref().tables);
        for table in read.tables.iter().chain(of_parts) {
            let names = source.tables.iter().map(|(name, _)| name.as_str());
            if !names.clone().any(|name| name == table.get_ref()) {
                return Err(self.at(table.span()).unknown("table", table.get_ref(), names));
            }
        }
        Ok(source)
    }

    fn content(&self, read: &TaskFile) -> Result<Content, DataError> {
        let prompts = read.sql.is_some() && read.valid.is_some();
        let ways = [
            (read.sql.is_some() && !prompts, "sql"),
            (!read.part.is_empty(), "[[part]]"),
            (read.process.is_some(), "process"),
            (read.valid.is_some(), "[valid]"),
        ];
        let given: Vec<&str> = ways.iter().filter(|way| way.0).map(|way| way.1).collect();
        let whole_file = read.file.is_some() && given.is_empty();
        if given.len() != 1 && !whole_file {
            let problem = if given.is_empty() {
                "nothing says where the rows come from".to_owned()
            } else {
                format!("{} exclude one another", given.join(" and "))
            };
            return Err(self.name.wrong(problem, "give one of sql, [[part]], process or [valid]"));
        }
        if (read.family == Family::Cover) != read.valid.is_some() {
            let problem = "family cover and [valid] belong together".to_owned();
            return Err(self.name.wrong(problem, "a cover task has [valid], and no other has"));
        }
        let own = read.file.iter().map(|file| file.get_ref().table());
        let tables: Vec<String> = names(&read.tables).chain(own).collect();
        if let Some(name) = &read.process {
            return self.process(name, read);
        }
        if let Some(valid) = &read.valid {
            return self.cover(valid, read, tables);
        }
        let mut parts = Vec::new();
        if read.sql.is_some() || whole_file {
            let everything = || Sql {
                text: format!("select * from \"{}\"", tables.join("")),
                place: self.name.clone(),
            };
            parts.push(Part {
                name: String::new(),
                tables: tables.clone(),
                output_type: None,
                sql: read.sql.as_ref().map_or_else(everything, |sql| self.sql(sql)),
                descriptions: self.wordings(&read.descriptions)?,
                sampling: read.sampling.clone().unwrap_or_default(),
            });
        } else if !read.descriptions.is_empty() || read.sampling.is_some() {
            let problem = "descriptions and sampling stand outside the parts".to_owned();
            return Err(self.name.wrong(problem, "move them into each [[part]]"));
        }
        for part in &read.part {
            parts.push(self.part(part, &tables)?);
        }
        Ok(Content::Tables { parts })
    }

    /// A part, which reads the tables of its task where it names none.
    fn part(&self, part: &Spanned<PartFile>, tables: &[String]) -> Result<Part, DataError> {
        let part = part.get_ref();
        let own: Vec<String> = names(&part.tables).collect();
        Ok(Part {
            name: part.name.clone(),
            tables: if own.is_empty() { tables.to_vec() } else { own },
            output_type: part.output_type,
            sql: self.sql(&part.sql),
            descriptions: self.wordings(&part.descriptions)?,
            sampling: part.sampling.clone(),
        })
    }

    fn process(&self, name: &Spanned<String>, read: &TaskFile) -> Result<Content, DataError> {
        let place = self.at(name.span());
        let Some(process) = Process::named(name.get_ref()) else {
            let names = PROCESSES.iter().map(|process| process.name);
            return Err(place.unknown("process", name.get_ref(), names));
        };
        let Some(episodes) = read.episodes else {
            let problem = "a process never ends by itself".to_owned();
            return Err(place.wrong(problem, "say how many episodes: episodes = 500"));
        };
        if !read.descriptions.is_empty() || read.sampling.is_some() {
            let problem = "a process words and samples itself".to_owned();
            return Err(
                place.wrong(problem, "use [parameters] instead of descriptions and sampling")
            );
        }
        let parameters = match &read.parameters {
            None => Parameters::default(),
            Some(parameters) => match parameters.get_ref().problem() {
                None => parameters.get_ref().clone(),
                Some(problem) => return Err(self.at(parameters.span()).wrong(problem, "")),
            },
        };
        Ok(Content::Process { process, parameters, episodes })
    }

    fn cover(
        &self,
        valid: &Spanned<toml::Table>,
        read: &TaskFile,
        tables: Vec<String>,
    ) -> Result<Content, DataError> {
        let place = self.at(valid.span());
        let wrong = |problem: toml::de::Error| {
            place.wrong(format!("[valid]: {}", problem.message()), spec::key_hint(&problem))
        };
        let table = valid.get_ref().clone();
        if let Some(sql) = &read.sql {
            let check = toml::Value::Table(table).try_into().map_err(wrong)?;
            return Ok(Content::Prompts { tables, sql: self.sql(sql), check });
        }
        let rule = if table.contains_key("sql") {
            let rule: ValidSql = toml::Value::Table(table).try_into().map_err(wrong)?;
            let sql = Sql { text: rule.sql, place: place.clone() };
            Valid::Sql { sql, ignore_case: rule.ignore_case }
        } else {
            Valid::Check(toml::Value::Table(table).try_into().map_err(wrong)?)
        };
        let descriptions = self.wordings(&read.descriptions)?;
        if descriptions.is_empty() || read.examples.is_empty() {
            let problem = "a cover task needs descriptions and examples".to_owned();
            return Err(self
                .name
                .wrong(problem, "give at least one description and three examples"));
        }
        Ok(Content::Cover { descriptions, examples: read.examples.clone(), valid: rule, tables })
    }

    fn wordings(&self, texts: &[Spanned<String>]) -> Result<Vec<Wording>, DataError> {
        texts.iter().map(|text| Wording::parse(text.get_ref(), self.at(text.span()))).collect()
    }

    fn sql(&self, sql: &Spanned<String>) -> Sql {
        Sql { text: sql.get_ref().clone(), place: self.at(sql.span()).of_content() }
    }

    fn at(&self, span: std::ops::Range<usize>) -> Place {
        Place::at(self.file, self.text, span.start)
    }
}

fn names(spanned: &[Spanned<String>]) -> impl Iterator<Item = String> {
    spanned.iter().map(|name| name.get_ref().clone())
}
