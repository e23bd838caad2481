//! Marker lists in the exported chat template: levers for servers that know only Jinja.
//!
//! `markers` beside `messages` (in transformers a keyword of `apply_chat_template`, in vLLM and its
//! like `chat_template_kwargs`) are the levers of the awaited answer; `markers` on an output are
//! the list that it begins with. Both are printed as the renderer prints them.

use super::{message, quoted};
use crate::render::NO_INPUT;
use crate::template::{Template, TemplateKind};
use diapason_flow::Role;
use diapason_markers::SEPARATOR;

/// `list(markers)`, and `levers`: the list of the awaited answer.
pub(super) const LISTS: &str = r#"{%- macro text(value) -%}
{{- value | string | replace("&", "&amp;") | replace("<", "&lt;") | replace(">", "&gt;") | replace("\n", "&#10;") | replace("\r", "&#13;") -}}
{%- endmacro -%}
{%- macro list(markers) -%}
{{- "<MARKER_LIST>" -}}
{%- for name, value in markers | dictsort(case_sensitive=true) -%}
{%- for one in (value if value is iterable and value is not string else [value]) -%}
{{- " <" + text(name) + "> " + text(one) + " </" + text(name) + ">" -}}
{%- endfor -%}
{%- endfor -%}
{{- " </MARKER_LIST>" -}}
{%- endmacro -%}
{%- set levers = list(markers) if markers and add_generation_prompt else "" -%}"#;

/// Sets `content` of a message: an output behind its own list, the last text before the awaited
/// answer with the levers behind it.
pub(super) fn content(template: &Template) -> Vec<String> {
    let separator = quoted(separator(template));
    let outputs = "[\"output\", \"assistant\"]";
    // In a chat, a system message stands apart; elsewhere a description carries the levers.
    let bearers = match template.kind {
        TemplateKind::Colon => "[\"input\", \"user\", \"description\", \"system\"]",
        _ => "[\"input\", \"user\", \"description\"]",
    };
    let trim = match template.kind {
        TemplateKind::Colon => {
            format!(" | trim if message[\"role\"] in {outputs} else message[\"content\"]")
        }
        _ => String::new(),
    };
    vec![
        format!("{{%- set content = message[\"content\"]{trim} -%}}"),
        format!("{{%- if message[\"role\"] in {outputs} and message[\"markers\"] -%}}"),
        format!("{{%- set content = list(message[\"markers\"]) + {separator} + content -%}}"),
        format!("{{%- elif levers and loop.last and message[\"role\"] in {bearers} -%}}"),
        format!("{{%- set content = content + {separator} + levers -%}}"),
        "{%- set state.shown = true -%}".to_owned(),
        "{%- endif -%}".to_owned(),
    ]
}

/// Where no text before the answer carries the levers, they are an input of their own.
pub(super) fn alone(template: &Template) -> Option<String> {
    let frame = template.frame(Role::Input)?;
    let text = message(&frame, "levers");
    Some(format!("{{%- if levers and not state.shown -%}}\n{text}\n{{%- endif -%}}"))
}

/// What a chat says where no user spoke, with the levers behind it.
pub(super) fn no_input() -> String {
    let levers =
        format!("({} + levers if levers and not state.shown else \"\")", quoted(SEPARATOR));
    format!("{} + {levers}", quoted(NO_INPUT))
}

fn separator(template: &Template) -> &'static str {
    if template.kind == TemplateKind::Colon { " " } else { SEPARATOR }
}
