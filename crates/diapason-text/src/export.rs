//! A tokenizer folder that others can load: the vocabulary and a Jinja chat template that renders
//! what [`Template`](crate::Template) renders, marker lists and levers included.

mod levers;

use crate::family::SystemTurn;
use crate::render::{FOLD, NO_INPUT};
use crate::template::{Frame, Template, TemplateKind, role_name};
use crate::{TextError, Tokenizer};
use diapason_flow::{Role, write_atomically};
use serde_json::{Map, Value, json};
use std::path::Path;

impl Tokenizer {
    /// Writes `tokenizer.json` as it was loaded or trained, `tokenizer_config.json`,
    /// `special_tokens_map.json` and `chat_template.jinja` into a folder.
    pub fn save(&self, folder: &Path) -> Result<(), TextError> {
        let write = |name: &str, content: &str| {
            let path = folder.join(name);
            write_atomically(&path, |out| out.write_all(content.as_bytes()))
                .map_err(|source| TextError::Io { action: "write", path, source })
        };
        let pretty = |map: Map<String, Value>| format!("{:#}\n", Value::Object(map));
        write("tokenizer.json", &self.source().json)?;
        write("chat_template.jinja", &self.template().jinja())?;
        write("special_tokens_map.json", &pretty(self.special_tokens()))?;
        write("tokenizer_config.json", &pretty(self.config()))
    }

    fn config(&self) -> Map<String, Value> {
        let mut config = self.source().config.clone();
        config.extend(self.special_tokens());
        config.entry("tokenizer_class").or_insert_with(|| json!("PreTrainedTokenizerFast"));
        config.insert("chat_template".to_owned(), json!(self.template().jinja()));
        config.insert("diapason".to_owned(), json!({"template": self.template().kind()}));
        config
    }

    fn special_tokens(&self) -> Map<String, Value> {
        let template = self.template();
        let mut map = Map::new();
        if let Some(begin) = &template.begin {
            map.insert("bos_token".to_owned(), json!(begin));
        }
        let end = match template.kind {
            TemplateKind::Spectrum | TemplateKind::Chat => template.family.close,
            TemplateKind::Colon | TemplateKind::Plain => &template.document_end,
        };
        if self.token_id(end).is_some() {
            map.insert("eos_token".to_owned(), json!(end));
        }
        let pad = self.source().config.get("pad_token").filter(|pad| !pad.is_null());
        map.insert("pad_token".to_owned(), pad.cloned().unwrap_or_else(|| json!(end)));
        map
    }
}

impl Template {
    /// The template in Jinja, for messages of the roles description, input and output, and of
    /// system, user and assistant, which are chat where the family has one.
    ///
    /// `add_generation_prompt` adds the header of an output, or of an answer in a chat; `markers`
    /// are then the levers of that output.
    pub fn jinja(&self) -> String {
        let begin = self.begin.as_deref().unwrap_or_default();
        let field_like = matches!(self.kind, TemplateKind::Colon | TemplateKind::Plain);
        if field_like {
            return fields(self, begin);
        }
        let spectrum = Template { kind: TemplateKind::Spectrum, ..self.clone() };
        let chat = Template { kind: TemplateKind::Chat, ..self.clone() };
        let mut lines = vec![
            format!("{{{{- {} -}}}}", quoted(begin)),
            "{%- set state = namespace(before=\"\", head=\"\", shown=false) -%}".to_owned(),
            levers::LISTS.to_owned(),
            "{%- set chat = messages and messages[0][\"role\"] in [\"system\", \"user\", \"assistant\"] -%}"
                .to_owned(),
        ];
        lines.extend(preamble_alone(&chat));
        lines.push("{%- for message in messages -%}".to_owned());
        lines.extend(levers::content(&spectrum));
        let mut keyword = "if";
        for role in [Role::Description, Role::Input, Role::Output] {
            let Some(frame) = spectrum.frame(role) else { continue };
            lines.push(format!("{{%- {keyword} message[\"role\"] == \"{}\" -%}}", role_name(role)));
            lines.push(message(&frame, "content"));
            keyword = "elif";
        }
        lines.extend(chat_messages(&chat));
        lines.push("{%- endif -%}".to_owned());
        lines.push("{%- set state.before = message[\"role\"] -%}".to_owned());
        lines.push("{%- endfor -%}".to_owned());
        lines.extend(generation_prompt(&spectrum, &chat));
        lines.join("\n") + "\n"
    }
}

/// `colon` and `plain`: one frame a role, whatever the messages call it.
fn fields(template: &Template, begin: &str) -> String {
    let mut lines = vec![format!("{{{{- {} -}}}}", quoted(begin))];
    let lists = template.kind == TemplateKind::Colon;
    if lists {
        lines.push("{%- set state = namespace(shown=false) -%}".to_owned());
        lines.push(levers::LISTS.to_owned());
    }
    lines.push("{%- for message in messages -%}".to_owned());
    if lists {
        lines.extend(levers::content(template));
    } else {
        lines.push("{%- set content = message[\"content\"] -%}".to_owned());
    }
    let roles = [(Role::Description, "system"), (Role::Input, "user"), (Role::Output, "assistant")];
    for (role, other) in roles {
        let Some(frame) = template.frame(role) else { continue };
        let name = role_name(role);
        lines.push(format!("{{%- if message[\"role\"] in [\"{name}\", \"{other}\"] -%}}"));
        lines.push(message(&frame, "content"));
        lines.push("{%- endif -%}".to_owned());
    }
    lines.push("{%- endfor -%}".to_owned());
    if let Some(frame) = template.frame(Role::Output).filter(|frame| !frame.header.is_empty()) {
        lines.push("{%- if add_generation_prompt -%}".to_owned());
        lines.extend(levers::alone(template).filter(|_| lists));
        lines.push(format!("{{{{- {} -}}}}", quoted(&frame.header)));
        lines.push("{%- endif -%}".to_owned());
    }
    lines.join("\n") + "\n"
}

/// The system message of a family that has one even without a description.
fn preamble_alone(chat: &Template) -> Option<String> {
    let SystemTurn::Message { preamble, .. } = chat.family.chat.system else { return None };
    let frame = chat.frame(Role::Description).filter(|_| !preamble.is_empty())?;
    Some(format!(
        "{{%- if chat and messages[0][\"role\"] != \"system\" -%}}\n{}\n{{%- endif -%}}",
        message(&frame, "\"\"")
    ))
}

fn chat_messages(chat: &Template) -> Vec<String> {
    let system = match chat.frame(Role::Description) {
        Some(frame) => message(&frame, "content"),
        None => format!("{{%- set state.head = content + {} -%}}", quoted(FOLD)),
    };
    let mut lines = vec!["{%- elif message[\"role\"] == \"system\" -%}".to_owned(), system];
    if let Some(frame) = chat.frame(Role::Input) {
        lines.push("{%- elif message[\"role\"] == \"user\" -%}".to_owned());
        lines.push(message(&frame, "state.head + content"));
        lines.push("{%- set state.head = \"\" -%}".to_owned());
    }
    if let Some(frame) = chat.frame(Role::Output) {
        lines.push("{%- elif message[\"role\"] == \"assistant\" -%}".to_owned());
        lines.extend(missing_user(chat, &quoted(NO_INPUT)));
        lines.push(message(&frame, "content"));
    }
    lines
}

/// An answer that no user asked for is asked for by a fixed text.
fn missing_user(chat: &Template, asked: &str) -> Option<String> {
    let frame = chat.frame(Role::Input)?;
    Some(format!(
        "{{%- if state.before != \"user\" -%}}\n{}\n{{%- set state.head = \"\" -%}}\n{{%- endif -%}}",
        message(&frame, &format!("state.head + {asked}"))
    ))
}

fn generation_prompt(spectrum: &Template, chat: &Template) -> Vec<String> {
    let header = |template: &Template| {
        let frame = template.frame(Role::Output);
        format!("{{{{- {} -}}}}", quoted(&frame.map_or_else(String::new, |frame| frame.header)))
    };
    let mut lines = vec!["{%- if add_generation_prompt and chat -%}".to_owned()];
    lines.extend(missing_user(chat, &levers::no_input()));
    lines.push(header(chat));
    lines.push("{%- elif add_generation_prompt -%}".to_owned());
    lines.extend(levers::alone(spectrum));
    lines.push(header(spectrum));
    lines.push("{%- endif -%}".to_owned());
    lines
}

/// One message: what stands around the text that the expression gives.
fn message(frame: &Frame, text: &str) -> String {
    let before = quoted(&(frame.header.clone() + frame.lead));
    let after = quoted(&(frame.terminator.clone() + frame.trailer));
    format!("{{{{- {before} + {text} + {after} -}}}}")
}

/// A string literal that Jinja reads as JSON does: the table holds no other escapes than `\n`.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
