//! Text to ids and back, span by span, with data kept apart from scaffolding.
//!
//! Special tokens come only from template spans, where this module looks their strings up itself.
//! Data goes through a tokenizer that treats every special token as ordinary text, and whose
//! merges cannot build one, so no text can forge a turn. Added tokens that the tokenizer declares
//! as content (`"special": false`, such as Qwen's `<think>`) stay what they are in data.

use crate::TextError;
use crate::encode::{Cache, Encoder, Pool, Workspace};
use crate::family::Family;
use crate::pieces::{Alphabet, Decoder, Pieces};
use crate::template::{MarkerSides, Template, TemplateKind};
use diapason_flow::{Marked, Span, Tokens};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A tokenizer with the template that renders for it. Cheap to clone, shared between threads.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Arc<Encoder>,
    /// The same without a space of its own before a text: for scaffolding between two texts.
    bare: Arc<Encoder>,
    /// Of this template: scaffolding has other ids in another.
    pool: Arc<Pool>,
    pieces: Arc<Pieces>,
    /// Ids of the tokens that data can never become, by name.
    reserved: Arc<BTreeMap<String, u32>>,
    /// Ids of the strings that are tokens in template spans.
    scaffolding: Arc<Vec<(String, u32)>>,
    template: Template,
    source: Arc<Source>,
}

/// What the tokenizer was loaded from, as it is saved again.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// The genuine `tokenizer.json`.
    pub(crate) json: String,
    /// The genuine `tokenizer_config.json`; empty if there is none.
    pub(crate) config: Map<String, Value>,
    begin: Option<String>,
    end: Option<String>,
}

impl Tokenizer {
    /// Loads a `tokenizer.json`, or the one in a folder, with the `tokenizer_config.json` beside
    /// it if there is one. The template is the one it was saved with, `spectrum` by default.
    ///
    /// # Errors
    /// Unreadable or unsupported files; [`TextError::MissingTokens`] if the template needs tokens
    /// that are not there.
    pub fn load(path: &Path) -> Result<Self, TextError> {
        Self::load_kind(path, None)
    }

    /// [`load`](Self::load) with a template of this kind.
    pub fn load_as(path: &Path, kind: TemplateKind) -> Result<Self, TextError> {
        Self::load_kind(path, Some(kind))
    }

    fn load_kind(path: &Path, kind: Option<TemplateKind>) -> Result<Self, TextError> {
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let json = read(&path)?;
        let config_path = path.with_file_name("tokenizer_config.json");
        let config = if config_path.exists() {
            serde_json::from_str(&read(&config_path)?)
                .map_err(|problem| malformed(&config_path, &problem))?
        } else {
            Map::new()
        };
        let saved = config.get("diapason").and_then(|saved| saved.get("template"));
        let saved = saved.and_then(|kind| serde_json::from_value(kind.clone()).ok());
        Self::from_json(path, json, config, kind.or(saved).unwrap_or_default())
    }

    /// A tokenizer from the text of its `tokenizer.json`; `path` is what errors call it.
    pub(crate) fn from_json(
        path: PathBuf,
        json: String,
        config: Map<String, Value>,
        kind: TemplateKind,
    ) -> Result<Self, TextError> {
        let mut value: Value =
            serde_json::from_str(&json).map_err(|problem| malformed(&path, &problem))?;
        let alphabet = Alphabet::of(&value["decoder"]).ok_or_else(|| TextError::Unsupported {
            path: path.clone(),
            found: format!("the decoder {}", value["decoder"]["type"]),
        })?;
        let added = added_tokens(&value);
        let begin = declared_begin(&value, &config);
        let end = token_name(config.get("eos_token"));
        let end = end.or_else(|| {
            let usual = ["<|endoftext|>", "</s>", "<eos>"];
            let known = |name: &&str| added.iter().any(|(content, _, _)| content == name);
            usual.into_iter().find(known).map(str::to_owned)
        });
        let source = Source { path, json, config, begin, end };
        let has = |name: &str| vocabulary_id(&value, &added, name).is_some();
        let template = source.template(kind, has)?;

        let names = added.iter().filter(|(_, _, special)| *special).map(|(name, _, _)| &**name);
        let names: Vec<String> = names.chain(template.strings()).map(str::to_owned).collect();
        let reserved: BTreeMap<String, u32> = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), vocabulary_id(&value, &added, &name)?)))
            .collect();
        let scaffolding = scaffolding(&template, |name| vocabulary_id(&value, &added, name));
        let content_tokens = added.into_iter().map(|(content, id, _)| (content, id));
        set_apart(&mut value, &reserved);
        let build = |value: Value| {
            Encoder::new(value).map(Arc::new).map_err(|problem| malformed(&source.path, &problem))
        };
        let bare = without_prefix(&value).map(build).transpose()?;
        let inner = build(value)?;
        let bare = bare.unwrap_or_else(|| Arc::clone(&inner));
        let pieces = Pieces::new(alphabet, inner.slow().get_vocab(false), content_tokens);
        let tokenizer = Tokenizer {
            inner,
            bare,
            pool: Arc::default(),
            pieces: Arc::new(pieces),
            reserved: Arc::new(reserved),
            scaffolding: Arc::new(scaffolding),
            template,
            source: Arc::new(source),
        };
        tokenizer.check_unforgeable()?;
        Ok(tokenizer)
    }

    /// The same tokenizer with a template of another kind.
    ///
    /// # Errors
    /// [`TextError::MissingTokens`] if that template needs tokens that are not there.
    pub fn with_kind(self, kind: TemplateKind) -> Result<Self, TextError> {
        let markers = self.template.markers;
        let template = self.source.template(kind, |name| self.token_id(name).is_some())?;
        let scaffolding = Arc::new(scaffolding(&template, |name| self.token_id(name)));
        let template = template.with_markers(markers);
        Ok(Tokenizer { template, scaffolding, pool: Arc::default(), ..self })
    }

    /// The same tokenizer with other marker settings.
    pub fn with_markers(self, markers: MarkerSides) -> Self {
        Tokenizer { template: self.template.with_markers(markers), ..self }
    }

    /// The renderer whose spans this tokenizer encodes.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Number of ids, holes included: the smallest vocabulary of a model that fits.
    pub fn vocabulary_size(&self) -> usize {
        self.pieces.len()
    }

    /// Id of a token by its name.
    pub fn token_id(&self, name: &str) -> Option<u32> {
        self.reserved.get(name).copied().or_else(|| self.inner.slow().token_to_id(name))
    }

    /// Text of one token; a replacement character for what is no complete UTF-8 by itself.
    pub fn token_text(&self, id: u32) -> String {
        String::from_utf8_lossy(self.pieces.bytes(id)).into_owned()
    }

    /// The bytes of every token, for grammars over text. Special tokens, which are no text, begin
    /// with 0xFF, which no text holds.
    pub fn token_bytes(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> =
            (0..self.pieces.len() as u32).map(|id| self.pieces.bytes(id).to_vec()).collect();
        for id in self.reserved.values().filter(|id| self.pieces.is_added(**id)) {
            all[*id as usize].insert(0, 0xff);
        }
        all
    }

    /// The begin token, which a rendering holds once, at its start.
    pub fn begin(&self) -> Option<u32> {
        self.template.begin.as_ref().and_then(|name| self.token_id(name))
    }

    /// The tokens that end an output, the template's own terminator first.
    ///
    /// In `colon` this is the last token of a blank line, which may be a single line end.
    pub fn terminators(&self) -> Vec<u32> {
        let own = self.scaffold_ids(self.template.terminator());
        let own = own.ok().and_then(|ids| ids.last().copied());
        let end = self.token_id(&self.template.document_end);
        own.into_iter().chain(end.filter(|end| own != Some(*end))).collect()
    }

    /// Tokenises a rendering span by span. Neighbouring data spans with equal flags are one text;
    /// the first token is never a target. Threads that call this each find what they met before.
    pub fn encode(&self, marked: &Marked) -> Result<Tokens, TextError> {
        self.pool.with(|workspace| self.encode_with(marked, workspace))
    }

    fn encode_with(&self, marked: &Marked, workspace: &mut Workspace) -> Result<Tokens, TextError> {
        let Workspace { cache, memo, ids } = workspace;
        let mut tokens = Tokens::default();
        // The space before a text is the layout's own in `colon`.
        let colon = self.template.kind() == TemplateKind::Colon;
        let data = if colon { &self.bare } else { &self.inner };
        for (span, text) in stretches(&marked.spans) {
            if !span.template && data.is_fast() {
                ids.clear();
                data.append(&text, cache, ids)?;
                tokens.extend(ids, span.learn, span.turn);
            } else {
                let known = memo.ids(span.template, &text, || {
                    let mut ids = Vec::new();
                    if span.template {
                        self.append_scaffold(&text, cache, &mut ids)?;
                    } else {
                        data.append(&text, cache, &mut ids)?;
                    }
                    Ok(ids)
                })?;
                tokens.extend(known, span.learn, span.turn);
            }
        }
        Ok(tokens)
    }

    /// Ids of data: special-token strings in it are plain text, no token is added.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        self.pool.with(|workspace| self.inner.append(text, &mut workspace.cache, &mut ids))?;
        Ok(ids)
    }

    /// Ids of an output with its terminator, as they follow a prompt: an option to score.
    pub fn encode_output(&self, text: &str) -> Result<Vec<u32>, TextError> {
        Ok(self.encode(&self.template.render_output(text))?.ids().to_vec())
    }

    /// Text of some ids. Special tokens stand as their names, so that none goes unseen.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = self.decoder();
        let mut text: String = ids.iter().map(|id| decoder.push(*id)).collect();
        text.push_str(&decoder.finish());
        text
    }

    /// A decoder for ids that come one by one.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(Arc::clone(&self.pieces))
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    fn scaffold_ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        self.pool.with(|workspace| self.append_scaffold(text, &mut workspace.cache, &mut ids))?;
        Ok(ids)
    }

    /// Appends the ids of template text, in which the scaffolding strings are tokens.
    fn append_scaffold(
        &self,
        text: &str,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) -> Result<(), TextError> {
        let mut rest = text;
        while !rest.is_empty() {
            // The earliest match; the longest of those, as the list is ordered by length.
            let found = self.scaffolding.iter().filter_map(|(name, id)| {
                rest.find(name.as_str()).map(|start| (start, name.len(), *id))
            });
            let Some((start, length, id)) = found.min_by_key(|(start, _, _)| *start) else {
                return self.bare.append(rest, cache, ids);
            };
            self.bare.append(&rest[..start], cache, ids)?;
            ids.push(id);
            rest = &rest[start + length..];
        }
        Ok(())
    }

    /// Verifies on load what everything else relies on.
    fn check_unforgeable(&self) -> Result<(), TextError> {
        for (name, id) in self.reserved.iter() {
            if self.encode_text(name)?.contains(id) {
                return Err(TextError::Forgeable { token: name.clone() });
            }
        }
        Ok(())
    }
}

/// The tokenizer without its `Prepend` normalizer; `None` if it has none.
fn without_prefix(value: &Value) -> Option<Value> {
    let is_prepend = |step: &Value| step["type"] == "Prepend";
    let mut bare = value.clone();
    let normalizer = &mut bare["normalizer"];
    if is_prepend(normalizer) {
        *normalizer = Value::Null;
        return Some(bare);
    }
    let steps = normalizer["normalizers"].as_array_mut()?;
    let before = steps.len();
    steps.retain(|step| !is_prepend(step));
    (steps.len() < before).then_some(bare)
}

impl Source {
    fn template(
        &self,
        kind: TemplateKind,
        has: impl Fn(&str) -> bool,
    ) -> Result<Template, TextError> {
        let needs_roles = matches!(kind, TemplateKind::Spectrum | TemplateKind::Chat);
        let family = Family::of(&has).unwrap_or_else(|| {
            if needs_roles { Family::nearest(&has) } else { Family::undeclared() }
        });
        let template = Template::declared(kind, family, self.begin.clone(), self.end.clone());
        let missing: Vec<String> =
            template.needed().into_iter().filter(|name| !has(name)).map(str::to_owned).collect();
        if missing.is_empty() {
            return Ok(template);
        }
        let hint = if needs_roles {
            "take the tokenizer of the instruct sibling and copy its rows with `diapason model transplant`, or use the template `colon`, which needs no role tokens"
        } else {
            "name an existing token as `eos_token` in tokenizer_config.json"
        };
        Err(TextError::MissingTokens { kind, family: family.name, missing, hint })
    }
}

/// Joins neighbouring data spans with equal flags; template spans stay alone.
fn stretches(spans: &[Span]) -> Vec<(&Span, Cow<'_, str>)> {
    let mut stretches: Vec<(&Span, Cow<'_, str>)> = Vec::with_capacity(spans.len());
    for span in spans.iter().filter(|span| !span.text.is_empty()) {
        match stretches.last_mut() {
            Some((last, text))
                if !last.template
                    && !span.template
                    && (last.learn, last.role, last.turn) == (span.learn, span.role, span.turn) =>
            {
                text.to_mut().push_str(&span.text);
            }
            _ => stretches.push((span, Cow::Borrowed(&span.text))),
        }
    }
    stretches
}

/// The strings of a template that are tokens, with their ids, longest first.
fn scaffolding(template: &Template, id: impl Fn(&str) -> Option<u32>) -> Vec<(String, u32)> {
    let strings = template.strings().chain(template.family.marks.iter().copied());
    let mut found: Vec<(String, u32)> =
        strings.filter_map(|name| Some((name.to_owned(), id(name)?))).collect();
    found.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    found
}

/// Content, id and whether it is special, of every added token.
fn added_tokens(tokenizer: &Value) -> Vec<(String, u32, bool)> {
    let tokens = tokenizer["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    tokens
        .iter()
        .filter_map(|token| {
            let content = token["content"].as_str()?.to_owned();
            Some((content, token["id"].as_u64()? as u32, token["special"] == true))
        })
        .collect()
}

fn vocabulary_id(tokenizer: &Value, added: &[(String, u32, bool)], name: &str) -> Option<u32> {
    let added = added.iter().find(|(content, _, _)| content == name).map(|(_, id, _)| *id);
    added.or_else(|| tokenizer["model"]["vocab"][name].as_u64().map(|id| id as u32))
}

/// The token that the tokenizer itself puts before a text, if any.
fn declared_begin(tokenizer: &Value, config: &Map<String, Value>) -> Option<String> {
    if config.get("add_bos_token").and_then(Value::as_bool) == Some(true) {
        return token_name(config.get("bos_token"));
    }
    let processor = &tokenizer["post_processor"];
    let steps =
        processor["processors"].as_array().map_or(std::slice::from_ref(processor), Vec::as_slice);
    let first = steps.iter().find_map(|step| step["single"][0]["SpecialToken"]["id"].as_str());
    first.map(str::to_owned)
}

/// The name in `"bos_token": "<s>"` or `"bos_token": {"content": "<s>"}`.
fn token_name(entry: Option<&Value>) -> Option<String> {
    let entry = entry?;
    entry.as_str().or_else(|| entry["content"].as_str()).map(str::to_owned)
}

/// Makes the reserved tokens unreachable from text: they become special (and special tokens are
/// then not looked for), merges that would build them go, and nothing is added around a text.
fn set_apart(tokenizer: &mut Value, reserved: &BTreeMap<String, u32>) {
    for part in ["post_processor", "truncation", "padding"] {
        tokenizer[part] = Value::Null;
    }
    if let Some(tokens) = tokenizer["added_tokens"].as_array_mut() {
        for token in tokens {
            if token["content"].as_str().is_some_and(|name| reserved.contains_key(name)) {
                token["special"] = Value::Bool(true);
            }
        }
    }
    let model = &mut tokenizer["model"];
    let mergeable = reserved.keys().any(|name| !model["vocab"][name].is_null());
    if let Some(merges) = model["merges"].as_array_mut().filter(|_| mergeable) {
        merges.retain(|merge| !reserved.contains_key(&merged(merge)));
    }
}

/// What a merge builds, written `"a b"` or `["a", "b"]`.
fn merged(merge: &Value) -> String {
    match merge {
        Value::String(pair) => pair.replacen(' ', "", 1),
        pair => {
            pair[0].as_str().unwrap_or_default().to_owned() + pair[1].as_str().unwrap_or_default()
        }
    }
}

fn read(path: &Path) -> Result<String, TextError> {
    let read = |source: io::Error| TextError::Io { action: "read", path: path.to_owned(), source };
    fs::read_to_string(path).map_err(read)
}

fn malformed(path: &Path, problem: &dyn std::fmt::Display) -> TextError {
    TextError::Malformed { path: path.to_owned(), problem: problem.to_string() }
}
