//! `diapason model transplant | soup | merge-lora`: new checkpoints from old ones, with a stamp that says which.

use crate::args::BlendArgs;
use crate::commands::Session;
use crate::pipeline::taken;
use anyhow::{Context as _, bail};
use diapason_flow::{Artifact, Fingerprint, Stamp};
use diapason_model::{Adapter, Blend, Model, ModelError, Precision, SpecialIds};
use diapason_text::{TemplateKind, Tokenizer};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What stands beside the weights of a model and is the same after a change of weights alone.
const BESIDE: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
];

/// Copies rows of named tokens from `from` into a copy of `model`.
pub(super) fn transplant(
    session: &Session<'_>,
    model: &Path,
    from: &Path,
    tokens: &[String],
    written: &BlendArgs,
) -> anyhow::Result<()> {
    let vocabulary = Tokenizer::load_as(model, TemplateKind::Plain)?;
    let theirs = Tokenizer::load_as(from, TemplateKind::Plain)?;
    require_one_vocabulary((model, &vocabulary), (from, &theirs))?;
    let id = |name: &String| {
        vocabulary.token_id(name).with_context(|| {
            let folder = model.display();
            format!("`{folder}` has no token `{name}`\n\nhint: name it as `tokenizer.json` does")
        })
    };
    let ids = tokens.iter().map(id).collect::<anyhow::Result<Vec<u32>>>()?;
    let settings = json!({"verb": "transplant", "tokens": tokens, "ids": ids});
    let sources = [model.to_owned(), from.to_owned()];
    make(session, &sources, settings, written, |precision| {
        Blend::transplant(model, from, &ids, precision)
    })?;
    for (name, id) in tokens.iter().zip(&ids) {
        session.console.say(&format!("row {id}: `{name}`"));
    }
    Ok(())
}

/// Averages models.
pub(super) fn soup(
    session: &Session<'_>,
    models: &[PathBuf],
    weights: &[f64],
    written: &BlendArgs,
) -> anyhow::Result<()> {
    let weights = if weights.is_empty() { vec![1.0; models.len()] } else { weights.to_vec() };
    if weights.len() != models.len() {
        let (given, needed) = (weights.len(), models.len());
        bail!("{given} weights for {needed} models\n\nhint: give one `--weight` for each model");
    }
    let has_tokenizer = |folder: &PathBuf| folder.join("tokenizer.json").exists();
    if models.iter().all(has_tokenizer) {
        let first = Tokenizer::load_as(&models[0], TemplateKind::Plain)?;
        for other in &models[1..] {
            let theirs = Tokenizer::load_as(other, TemplateKind::Plain)?;
            require_one_vocabulary((&models[0], &first), (other, &theirs))?;
        }
    }
    let settings = json!({"verb": "soup", "weights": weights});
    let parts: Vec<(PathBuf, f64)> = models.iter().cloned().zip(weights).collect();
    make(session, models, settings, written, |precision| Blend::soup(&parts, precision))
}

/// Folds an adapter into its base.
pub(super) fn merge_lora(
    session: &Session<'_>,
    base: &Path,
    adapter: &Path,
    out: &Path,
) -> anyhow::Result<()> {
    let model = Model::load(base)?;
    let ids = SpecialIds::load(base)?;
    let merged = model.merged(&session.device, &Adapter::load(adapter, &model.arch)?)?;
    drop(model);
    let weights = adapter.join("adapter_model.safetensors");
    let content =
        std::fs::read(&weights).with_context(|| format!("cannot read `{}`", weights.display()))?;
    let parents = vec![taken(base)?.stamp.fingerprint, Fingerprint::of(&content)];
    let stamp = Stamp::new("model", parents, json!({"verb": "merge-lora"}), 0);
    let (artifact, complete) = Artifact::open(out, stamp)?;
    if complete {
        session.console.say(&format!("{}: finished before, reused", out.display()));
        return Ok(());
    }
    merged.save(out, &ids)?;
    copy_beside(base, &artifact)?;
    artifact.finish()?;
    let (out, parameters) = (out.display(), merged.weights.len());
    session.console.say(&format!("wrote {out} ({parameters} parameters in f32)"));
    Ok(())
}

/// One artifact folder: the stamp, what `open` makes, and what stands beside the first source.
fn make(
    session: &Session<'_>,
    sources: &[PathBuf],
    mut settings: Value,
    written: &BlendArgs,
    open: impl FnOnce(Option<Precision>) -> Result<Blend, ModelError>,
) -> anyhow::Result<()> {
    let out = &written.out;
    let named = |known: &&(Precision, &str, &str)| written.dtype.as_deref() == Some(known.1);
    let blend = open(Precision::ALL.iter().find(named).map(|known| known.0))?;
    let precisions: Vec<String> = blend.precisions().iter().map(ToString::to_string).collect();
    let (parameters, precisions) = (blend.parameters(), precisions.join(" and "));
    settings["dtype"] = json!(precisions);
    let mut parents = Vec::new();
    for source in sources {
        parents.push(taken(source)?.stamp.fingerprint);
    }
    let (artifact, complete) = Artifact::open(out, Stamp::new("model", parents, settings, 0))?;
    if complete {
        session.console.say(&format!("{}: finished before, reused", out.display()));
        return Ok(());
    }
    blend.write(out)?;
    copy_beside(&sources[0], &artifact)?;
    artifact.finish()?;
    let out = out.display();
    session.console.say(&format!("wrote {out} ({parameters} parameters in {precisions})"));
    Ok(())
}

fn copy_beside(source: &Path, artifact: &Artifact) -> anyhow::Result<()> {
    for name in BESIDE {
        let source = source.join(name);
        if source.exists() {
            let content = std::fs::read(&source)
                .with_context(|| format!("cannot read `{}`", source.display()))?;
            artifact.write(name, |file| file.write_all(&content))?;
        }
    }
    Ok(())
}

/// Refuses two vocabularies in which an id stands for different tokens.
fn require_one_vocabulary(
    (path, one): (&Path, &Tokenizer),
    (other_path, other): (&Path, &Tokenizer),
) -> anyhow::Result<()> {
    let (path, other_path) = (path.display(), other_path.display());
    let (ours, theirs) = (one.vocabulary_size() as u32, other.vocabulary_size() as u32);
    let differing: Vec<u32> =
        (0..ours.max(theirs)).filter(|id| text(one, *id) != text(other, *id)).collect();
    let Some(first) = differing.first() else { return Ok(()) };
    let shown = |tokenizer| match text(tokenizer, *first) {
        Some(text) => format!("`{text}`"),
        None => "no token".to_owned(),
    };
    bail!(
        "the vocabularies of `{path}` and `{other_path}` differ in {} of {} tokens: id {first} is \
         {} in the one and {} in the other\n\nhint: rows can be shared between models of one \
         tokenizer only",
        differing.len(),
        ours.max(theirs),
        shown(one),
        shown(other)
    )
}

fn text(tokenizer: &Tokenizer, id: u32) -> Option<String> {
    ((id as usize) < tokenizer.vocabulary_size()).then(|| tokenizer.token_text(id))
}
