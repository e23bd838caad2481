//! The exported chat template renders what the renderer renders.

use crate::common::{before_last, episodes};
use diapason_flow::{Episode, LossPolicy, Markers, Turn};
use diapason_text::{FAMILIES, Template, TemplateKind};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Markers as their JSON is read: one value is a string, several are a list.
fn map(markers: &Markers) -> Value {
    let value = |values: &[String]| match values {
        [one] => Value::from(one.as_str()),
        many => many.iter().map(|value| Value::from(value.as_str())).collect(),
    };
    let entries = markers.iter().map(|(name, marker)| (name.to_owned(), value(marker.values())));
    Value::from(entries.collect::<BTreeMap<String, Value>>())
}

/// Messages of an episode under three role names.
fn messages(episode: &Episode, [description, input, output]: [&str; 3]) -> Vec<Value> {
    let message = |role: &str, content: &str| context! { role, content };
    let answer = |turn: &Turn| {
        let (role, content) = (output, &turn.output);
        if turn.markers.is_empty() {
            context! { role, content }
        } else {
            context! { role, content, markers => map(&turn.markers) }
        }
    };
    let mut messages: Vec<Value> =
        episode.description.iter().map(|text| message(description, text)).collect();
    for turn in &episode.turns {
        messages.extend(turn.input.iter().map(|text| message(input, text)));
        messages.push(answer(turn));
    }
    let query = episode.query.as_ref().and_then(|query| query.input.as_ref());
    messages.extend(query.map(|text| message(input, text)));
    messages
}

fn jinja(template: &Template, messages: Vec<Value>, levers: Option<&Markers>) -> String {
    let mut environment = Environment::new();
    // As transformers sets them.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.unwrap());
    let source = template.jinja();
    environment.add_template("chat", &source).unwrap();
    let chat = environment.get_template("chat").unwrap();
    let add_generation_prompt = levers.is_some();
    let markers = levers.filter(|levers| !levers.is_empty()).map(map);
    chat.render(context! { messages, add_generation_prompt, markers }).unwrap()
}

const OWN: [&str; 3] = ["description", "input", "output"];
const CHAT: [&str; 3] = ["system", "user", "assistant"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn jinja_equals_the_renderer(episode in episodes(), several in any::<bool>()) {
        let (asked, last) = before_last(&episode);
        let mut levers = last.markers.clone();
        if several && !levers.is_empty() {
            levers.add("format", "JSON");
            levers.add("format", "&<XML>");
        }
        for family in FAMILIES {
            for (kind, roles) in [
                (TemplateKind::Spectrum, OWN),
                (TemplateKind::Chat, CHAT),
                (TemplateKind::Colon, OWN),
                (TemplateKind::Plain, OWN),
            ] {
                let template = Template::new(kind, family);
                let whole = template.render(&episode, LossPolicy::EveryOutput).text();
                prop_assert_eq!(jinja(&template, messages(&episode, roles), None), whole, "{} {}", kind, family.name);
                let prompt = template.render_prompt_with(&asked, &levers).text();
                // Without a message nothing says that the roles are those of a chat.
                let asked = messages(&asked, roles);
                if kind != TemplateKind::Chat || !asked.is_empty() {
                    prop_assert_eq!(jinja(&template, asked, Some(&levers)), prompt, "{} {}", kind, family.name);
                }
            }
        }
    }
}
