//! A run: base → episodes → models → evaluations → report, each an artifact folder under `out`.
//!
//! A stage whose folder is complete with the same fingerprint is reused; a folder made otherwise
//! is never overwritten. A stage's fingerprint covers its settings and those of everything it was
//! made from, so `--set train.learning_rate=…` redoes the tuned models and not the base.

mod base;
mod episodes;
mod evaluation;
mod rendering;
mod report;
mod soft;
mod tuning;

pub(crate) use base::taken;
pub(crate) use report::{merge_distributions, merge_grids, write_report};

use crate::commands::Session;
use crate::settings::Settings;
use anyhow::bail;
use diapason_flow::{Fingerprint, Stamp, Streams};
use diapason_text::{TemplateKind, Tokenizer};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A run with everything its stages share.
pub(crate) struct Run<'a> {
    /// Console, device, Ctrl-C.
    pub session: &'a Session<'a>,
    /// Every setting.
    pub settings: &'a Settings,
    /// Folder of all stages.
    pub out: &'a Path,
    /// Every random number.
    pub streams: Streams,
}

/// A finished stage.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// Name in the report.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// Its stamp.
    pub stamp: Stamp,
    /// Seconds it took in this run; `None` if it was reused.
    pub seconds: Option<f64>,
}

impl Made {
    fn fingerprint(&self) -> Fingerprint {
        self.stamp.fingerprint.clone()
    }
}

impl<'a> Run<'a> {
    /// A run of these settings.
    pub(crate) fn new(session: &'a Session<'a>, settings: &'a Settings, out: &'a Path) -> Self {
        Run { session, settings, out, streams: Streams::new(settings.seed) }
    }

    /// Every stage; ends with the report. Returns the path of the page.
    pub(crate) fn everything(&self) -> anyhow::Result<PathBuf> {
        let started = Instant::now();
        let base = self.base()?;
        let episodes = self.episodes()?;
        let mut models = Vec::new();
        if self.settings.evaluate.base {
            models.push(base.clone());
        }
        for tuned in &self.settings.models {
            models.push(self.tune(tuned, &base, &episodes)?);
        }
        let (models, evaluations) = self.evaluations(models, &episodes)?;
        self.report(&models, &evaluations, started.elapsed().as_secs_f64())
    }

    /// The stages up to one tuned model.
    pub(crate) fn one_model(&self, name: Option<&str>) -> anyhow::Result<Made> {
        let names: Vec<&str> =
            self.settings.models.iter().map(|model| model.name.as_str()).collect();
        let tuned = match (name, self.settings.models.as_slice()) {
            (None, [only]) => only,
            (None, _) => bail!("the recipe makes {names:?}\n\nhint: choose one with `--model`"),
            (Some(name), models) => match models.iter().find(|model| model.name == name) {
                Some(model) => model,
                None => bail!("the recipe has no model `{name}`; it makes {names:?}"),
            },
        };
        let base = self.base()?;
        let episodes = self.episodes()?;
        self.tune(tuned, &base, &episodes)
    }

    /// What would be made, without making it.
    pub(crate) fn stages(&self) -> Vec<String> {
        let mut stages = vec!["base".to_owned(), "episodes".to_owned()];
        stages.extend(self.settings.models.iter().map(|model| format!("models/{}", model.name)));
        let base = self.settings.evaluate.base.then_some("base");
        let tuned = self.settings.models.iter().map(|model| model.name.as_str());
        stages.extend(base.into_iter().chain(tuned).map(|name| format!("evaluations/{name}")));
        stages.push("report.html".to_owned());
        stages
    }

    fn stopped(&self, stage: &str) -> anyhow::Result<()> {
        if self.session.stopped() {
            bail!("stopped in `{stage}`; the same command goes on from there");
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        self.session.console.say(text);
    }

    fn tokenizer(model: &Path, template: &str) -> anyhow::Result<Tokenizer> {
        Ok(Tokenizer::load_as(model, template_kind(template)?)?)
    }
}

/// The template of a name given by a user.
pub(crate) fn template_kind(name: &str) -> anyhow::Result<TemplateKind> {
    let known =
        [TemplateKind::Spectrum, TemplateKind::Chat, TemplateKind::Colon, TemplateKind::Plain];
    let found = known.into_iter().find(|kind| kind.to_string() == name);
    found.ok_or_else(|| {
        let known = known.map(|kind| kind.to_string()).join(", ");
        anyhow::anyhow!("there is no template `{name}`; the templates are {known}")
    })
}
