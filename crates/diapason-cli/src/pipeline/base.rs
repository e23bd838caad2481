//! The base model: taken, converted, or trained from nothing on the plain text of the small world.

use super::{Made, Run};
use crate::commands::{import_llama2c, special_ids};
use crate::settings::{NewBase, World};
use anyhow::Context as _;
use diapason_data::{marked_world, world};
use diapason_flow::{Artifact, Episode, LossPolicy, Stamp, Turn, in_order};
use diapason_model::{Arch, FAMILIES, Model, Variant, Window};
use diapason_text::{TemplateKind, Tokenizer, train_tokenizer};
use diapason_train::Sequence;
use std::path::Path;
use std::time::Instant;

impl Run<'_> {
    pub(super) fn base(&self) -> anyhow::Result<Made> {
        let base = &self.settings.base;
        if let Some(path) = &base.path {
            return taken(path);
        }
        if let Some(new) = &base.new {
            // Before anything is written.
            shape(new, new.vocabulary)?.check()?;
        }
        let settings = serde_json::to_value(base)?;
        let stamp = Stamp::new("model", Vec::new(), settings, self.settings.seed);
        let path = self.out.join("base");
        let (artifact, complete) = Artifact::open(&path, stamp)?;
        let name = "base".to_owned();
        if complete {
            self.say("base: finished before, reused");
            return Ok(Made { name, path, stamp: artifact.stamp().clone(), seconds: None });
        }
        let started = Instant::now();
        if let Some(files) = &base.llama2c {
            self.say(&format!("base: converting {}", files.weights.display()));
            import_llama2c(&files.weights, &files.tokenizer, &path)?;
        } else if let Some(new) = &base.new {
            self.begin_and_train(new, &artifact)?;
        }
        let stamp = artifact.finish()?;
        Ok(Made { name, path, stamp, seconds: Some(started.elapsed().as_secs_f64()) })
    }

    fn begin_and_train(&self, new: &NewBase, artifact: &Artifact) -> anyhow::Result<()> {
        let streams = self.streams.within("base");
        let document = match new.world {
            World::Things => world::document,
            World::Marked => marked_world::document,
        };
        let documents: Vec<String> = (0..new.corpus.documents as u64)
            .map(|index| document(new.corpus.lines, &mut streams.stream("document", index)))
            .collect();
        let tokenizer = train_tokenizer(documents.iter(), new.vocabulary)?;
        let tokenizer = tokenizer.with_kind(TemplateKind::Plain)?;
        let documents = documents.into_iter().enumerate().collect();
        let threads = self.session.device.threads();
        let sequence = |(index, text)| as_sequence(index, text, &tokenizer);
        let sequences = in_order(documents, threads, sequence).into_iter();
        let sequences = sequences.collect::<anyhow::Result<Vec<_>>>()?;
        let held_out = sequences.len() / 50;
        let arch = shape(new, tokenizer.vocabulary_size())?;
        let mut model = Model::random(arch, &streams.within("weights"))?;
        self.say(&format!(
            "base: {} parameters, {} tokens in the vocabulary, {} documents of plain text",
            model.weights.len(),
            tokenizer.vocabulary_size(),
            sequences.len()
        ));
        let (held_out, sequences) = sequences.split_at(held_out);
        self.train("base", &mut model, (sequences, held_out), &new.train, artifact.path())?;
        announce_outputs(&mut model, &tokenizer)?;
        model.save(artifact.path(), &special_ids(&tokenizer))?;
        tokenizer.save(artifact.path())?;
        Ok(())
    }
}

/// The decoder that the settings ask for.
fn shape(new: &NewBase, vocabulary: usize) -> anyhow::Result<Arch> {
    let family = FAMILIES.iter().find(|family| family.name == new.family);
    let family = family.with_context(|| {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
        format!("`base.new.family` is \"{}\", not one of {}", new.family, known.join(", "))
    })?;
    let window = new.window.map(|tokens| Window {
        tokens,
        layers: (0..new.layers).map(|layer| layer == 0).collect(),
        rope_theta: None,
    });
    Ok(Arch {
        family: new.family.clone(),
        width: new.width,
        layers: new.layers,
        heads: new.heads,
        kv_heads: new.kv_heads,
        head_width: new.width / new.heads.max(1),
        mlp_width: new.mlp_width,
        vocabulary,
        context: new.context,
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tied: true,
        variant: Variant { window, ..family.variant(new.width) },
    })
}

/// A model of the user's, used where it stands. Its stamp is its own, or says where it lies.
pub(crate) fn taken(path: &Path) -> anyhow::Result<Made> {
    let stamp = if let Some(stamp) = Artifact::stamp_at(path)? {
        stamp
    } else {
        let config = std::fs::read_to_string(path.join("config.json")).with_context(|| {
            format!("`{}` holds no model: cannot read its config.json", path.display())
        })?;
        let settings = serde_json::json!({"path": path, "config": config});
        Stamp::new("model", Vec::new(), settings, 0)
    };
    Ok(Made { name: "base".to_owned(), path: path.to_owned(), stamp, seconds: None })
}

/// Gives the token before an output the embedding of the colon, which announces an answer in the
/// corpus: new tokens that start as tokens of a like use need less data to be understood.
fn announce_outputs(model: &mut Model, tokenizer: &Tokenizer) -> anyhow::Result<()> {
    let colon = tokenizer.encode_text("Name one:")?.last().copied();
    if let (Some(header), Some(colon)) = (tokenizer.token_id("<|output|>"), colon) {
        let width = model.arch.width;
        let start = model.layout.embed.start;
        let row = start + colon as usize * width;
        model.weights.copy_within(row..row + width, start + header as usize * width);
    }
    Ok(())
}

fn as_sequence(index: usize, text: String, tokenizer: &Tokenizer) -> anyhow::Result<Sequence> {
    let mut episode = Episode::new("corpus", format!("document {index}"));
    episode.turns.push(Turn { output: text, ..Turn::default() });
    let marked = tokenizer.template().render(&episode, LossPolicy::AllTokens);
    Ok(Sequence { task: episode.task, tokens: tokenizer.encode(&marked)?, soft: None })
}
