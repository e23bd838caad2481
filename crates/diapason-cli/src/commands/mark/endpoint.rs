//! Tags by a language model behind an endpoint.

use super::rows::Rows;
use super::{Session, parse};
use crate::args::{AnnotateArgs, EndpointArgs, TaggerPlace};
use crate::asking::{Asker, Estimate, Form, Open, Place, Read, ledger};
use anyhow::{Context as _, bail};
use diapason_flow::{Fingerprint, Markers};
use diapason_markers::{Output, Prompt, Provenance, Taxonomy, outputs_of_row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// A language model and what it is asked.
pub(super) struct Endpoint {
    asker: Asker,
    prompt: Prompt,
}

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    markers: Markers,
    /// Markers that no usable value was given for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

impl Form for Prompt {
    fn fingerprint(&self) -> &Fingerprint {
        self.fingerprint()
    }

    fn schema(&self) -> Value {
        self.schema().clone()
    }

    fn answer_tokens(&self) -> u64 {
        self.answer_tokens()
    }

    fn read(&self, answer: &str) -> Read {
        let reading = self.read(answer);
        let correction = (!reading.problems.is_empty()).then(|| self.correction(&reading.problems));
        let left_out: Vec<String> = reading.problems.into_iter().map(|(name, _)| name).collect();
        let unusable = left_out.len() as u64;
        Read { kept: json!(Kept { markers: reading.markers, left_out }), unusable, correction }
    }
}

impl Endpoint {
    /// The endpoint that the arguments name, if they do.
    pub(super) fn new(
        args: &AnnotateArgs,
        taxonomy: &Taxonomy,
        out: &Path,
    ) -> anyhow::Result<Option<Self>> {
        let mut addresses = args.taggers.iter().filter_map(|place| match place {
            TaggerPlace::Endpoint(url) => Some(url),
            TaggerPlace::File(_) | TaggerPlace::Default => None,
        });
        let Some(url) = addresses.next() else { return Ok(None) };
        if addresses.next().is_some() {
            bail!("two language models are given\n\nhint: give one address to `--tagger`");
        }
        let settings = &args.endpoint;
        let Some(model) = &settings.model else {
            bail!("which model of {url}?\n\nhint: `--tagger-model NAME`");
        };
        let ledger = match &settings.answers {
            Some(path) => ledger(path)?,
            None => ledger(&super::annotate::beside(out, ".answers"))?,
        };
        let place = Place {
            url,
            model,
            key: &settings.key,
            seconds: settings.seconds,
            at_once: settings.at_once,
            reward: false,
        };
        let prompt = Prompt::new(taxonomy, &settings.markers)?;
        Ok(Some(Endpoint { asker: Asker::new(&place, ledger)?, prompt }))
    }

    /// What tells these tags from others, for the stamp. Where the model runs is no part of it.
    pub(super) fn settings(&self) -> Value {
        let markers: Vec<&str> = self.prompt.markers().collect();
        let model = &self.asker.model;
        json!({"model": model, "markers": markers, "prompt": self.prompt.fingerprint()})
    }

    fn key(&self, output: &Output) -> String {
        self.asker.key(&self.prompt, [json!(output.input), json!(output.text)])
    }

    fn messages(&self, output: &Output) -> Vec<(&'static str, String)> {
        self.prompt.messages(output.input.as_deref(), &output.text)
    }

    /// Whether an output has to be asked about: not where the data tells all, nor where there is
    /// nothing to see.
    fn is_asked(&self, output: &Output) -> bool {
        let told = self.prompt.markers().all(|name| output.given.0.contains_key(name));
        !told && !output.text.trim().is_empty()
    }

    /// The tags of every output of a row; none for those not asked about.
    pub(super) fn tags(
        &self,
        row: &Value,
        provenance: &Provenance,
    ) -> anyhow::Result<Vec<Markers>> {
        let tags = |output: &Output| -> anyhow::Result<Markers> {
            let Some(kept) = self.asker.kept(&self.key(output))? else {
                return Ok(Markers::default());
            };
            let kept: Kept =
                serde_json::from_value(kept).context("the kept answers are damaged")?;
            Ok(kept.markers)
        };
        outputs_of_row(row, provenance)?.iter().map(tags).collect()
    }

    /// Says what asking will take, and stops where it costs more than was allowed.
    pub(super) fn agree(
        &self,
        session: &Session<'_>,
        settings: &EndpointArgs,
        input: &Path,
        provenance: &Provenance,
    ) -> anyhow::Result<()> {
        let mut estimate = Estimate::default();
        let mut rows = Rows::open(input)?;
        while let Some((line, text)) = rows.next_row()? {
            let row = rows.parse(line, &text)?;
            let outputs = outputs_of_row(&row, provenance)
                .with_context(|| format!("`{}`, line {line}", input.display()))?;
            for output in outputs.iter().filter(|output| self.is_asked(output)) {
                let key = self.key(output);
                estimate.add(&self.asker, &self.prompt, key, || self.messages(output));
            }
            session.console.progress(rows.read_bytes(), rows.total_bytes(), "bytes estimated");
        }
        session.console.clear();
        estimate.agree(session, &settings.spending, ("", 0.0))?;
        Ok(())
    }

    /// Asks about every output of some rows that has no answer yet. Returns false if stopped.
    pub(super) fn tag(
        &self,
        session: &Session<'_>,
        input: &Path,
        rows: &[(usize, String)],
        provenance: &Provenance,
    ) -> anyhow::Result<bool> {
        let mut open = Vec::new();
        for (line, text) in rows {
            let row = parse(input, *line, text)?;
            let outputs = outputs_of_row(&row, provenance)
                .with_context(|| format!("`{}`, line {line}", input.display()))?;
            for output in outputs.iter().filter(|output| self.is_asked(output)) {
                let key = self.key(output);
                if !self.asker.has(&key) {
                    open.push(Open { key, messages: self.messages(output) });
                }
            }
        }
        self.asker.ask_all(session, &self.prompt, open, "questions of this part")
    }

    /// What was asked in this run, in words.
    pub(super) fn summary(&self) -> String {
        self.asker.summary("markers left out")
    }
}
