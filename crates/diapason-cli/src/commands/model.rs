//! `diapason model inspect | init | import-llama2c | transplant | soup |
//! merge-lora`.

mod blend;

use super::Session;
use crate::args::ModelVerb;
use anyhow::Context as _;
use diapason_flow::{Artifact, Streams};
use diapason_model::{Arch, Model, SpecialIds};
use diapason_text::Tokenizer;
use serde_json::json;
use std::path::Path;

/// Runs a verb of `model`.
pub(crate) fn model(session: &Session<'_>, verb: ModelVerb) -> anyhow::Result<()> {
    match verb {
        ModelVerb::Inspect { model, json } => inspect(session, &model, json),
        ModelVerb::Init { config, out, seed } => init(session, &config, &out, seed),
        ModelVerb::ImportLlama2c { weights, tokenizer, out } => {
            import_llama2c(&weights, &tokenizer, &out)?;
            session.console.say(&format!("wrote {}", out.display()));
            Ok(())
        }
        ModelVerb::Transplant { model, from, tokens, written } => {
            blend::transplant(session, &model, &from, &tokens, &written)
        }
        ModelVerb::MergeLora { model, adapter, out } => {
            blend::merge_lora(session, &model, &adapter, &out)
        }
        ModelVerb::Soup { models, weights, written } => {
            blend::soup(session, &models, &weights, &written)
        }
    }
}

fn inspect(session: &Session<'_>, folder: &Path, as_json: bool) -> anyhow::Result<()> {
    let model = Model::load(folder)?;
    let parameters = model.weights.len();
    let stamp = Artifact::stamp_at(folder)?;
    if as_json {
        let tensors: Vec<_> = model
            .layout
            .tensors
            .iter()
            .map(|tensor| json!({"name": tensor.name, "shape": tensor.shape}))
            .collect();
        let value = json!({
            "arch": model.arch, "parameters": parameters, "bytes_f32": parameters * 4,
            "tensors": tensors, "stamp": stamp,
        });
        return Ok(session.console.data(&serde_json::to_string_pretty(&value)?)?);
    }
    let arch = &model.arch;
    session.console.data(&format!(
        "{}: {parameters} parameters, {:.1} MiB in f32\n\
         width {}, {} layers, {} query and {} key/value heads of {}, MLP {}\n\
         vocabulary {}, context {} tokens, {} output head",
        arch.family,
        parameters as f64 * 4.0 / f64::from(1 << 20),
        arch.width,
        arch.layers,
        arch.heads,
        arch.kv_heads,
        arch.head_width,
        arch.mlp_width,
        arch.vocabulary,
        arch.context,
        if arch.tied { "tied" } else { "separate" },
    ))?;
    for tensor in &model.layout.tensors {
        session.console.data(&format!("  {:?} {}", tensor.shape, tensor.name))?;
    }
    if let Some(stamp) = stamp {
        session.console.data(&format!("stamp {} (seed {})", stamp.fingerprint, stamp.seed))?;
    }
    Ok(())
}

fn init(session: &Session<'_>, config: &Path, out: &Path, seed: u64) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(config)
        .with_context(|| format!("cannot read `{}`", config.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("`{}` is no JSON", config.display()))?;
    let arch = Arch::from_config(&value, config)?;
    let ids = SpecialIds::from_config(&value, config)?;
    let model = Model::random(arch, &Streams::new(seed).within("init"))?;
    model.save(out, &ids)?;
    session.console.say(&format!("wrote {} ({} parameters)", out.display(), model.weights.len()));
    Ok(())
}

/// Converts weights and tokenizer; the vocabulary grows by the tokens of the roles, whose rows
/// are the mean of all rows.
pub(crate) fn import_llama2c(weights: &Path, tokenizer: &Path, out: &Path) -> anyhow::Result<()> {
    let tokenizer = diapason_text::import_llama2c(tokenizer)?;
    let model = Model::load_llama2c(weights)?.with_vocabulary(tokenizer.vocabulary_size())?;
    model.save(out, &special_ids(&tokenizer))?;
    tokenizer.save(out)?;
    Ok(())
}

/// The ids that other software needs to know of a tokenizer.
pub(crate) fn special_ids(tokenizer: &Tokenizer) -> SpecialIds {
    let pad = tokenizer.token_id("<|pad|>");
    SpecialIds { begin: tokenizer.begin(), end: tokenizer.terminators(), pad }
}
