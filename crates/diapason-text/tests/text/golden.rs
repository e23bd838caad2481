//! Text and ids as transformers makes them (tests/golden/text/make.py).

use crate::common::{gemma_stand_in, genuine, repository};
use diapason_flow::{LossPolicy, Markers, episode_from_json};
use diapason_text::{FAMILIES, Template, TemplateKind, Tokenizer, family};
use serde_json::Value;
use std::path::Path;

#[test]
fn the_exported_templates_are_those_of_the_goldens() {
    for family in FAMILIES {
        let template = Template::new(TemplateKind::Spectrum, family);
        let chat = Template::new(TemplateKind::Chat, family);
        assert_eq!(template.jinja(), chat.jinja(), "one template serves both");
        insta::with_settings!({
            snapshot_path => "../../../../tests/golden/text/templates",
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!(family.name, template.jinja()) });
    }
}

/// Compares every case of a family; ids where there is a tokenizer. Returns how many ids matched.
fn compare(name: &str, tokenizer: Option<&Path>) -> usize {
    let file = repository().join("tests/golden/text").join(format!("{name}.json"));
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let tokenizers = tokenizer.map(|folder| {
        [TemplateKind::Spectrum, TemplateKind::Chat]
            .map(|kind| Tokenizer::load_as(folder, kind).unwrap())
    });
    let mut compared = 0;
    for case in cases {
        let title = format!("{name}: {}", case["name"]);
        let row = &case["episode"];
        let episode = episode_from_json(row, ("golden", "1")).unwrap();
        let own = ["description", "input", "output"]
            .contains(&row["messages"][0]["role"].as_str().unwrap());
        let kind = if own { TemplateKind::Spectrum } else { TemplateKind::Chat };
        let template = Template::new(kind, family(name).unwrap());
        let levers: Option<Markers> = serde_json::from_value(case["levers"].clone()).unwrap();
        let marked = match &episode.query {
            Some(_) => template.render_prompt_with(&episode, &levers.unwrap_or_default()),
            None => template.render(&episode, LossPolicy::EveryOutput),
        };
        assert_eq!(marked.text(), case["text"].as_str().unwrap(), "{title}");
        let ids: Option<Vec<u32>> = serde_json::from_value(case["ids"].clone()).unwrap();
        if let (Some(tokenizers), Some(ids)) = (&tokenizers, ids) {
            let tokenizer = &tokenizers[usize::from(!own)];
            assert_eq!(tokenizer.template(), &template, "{title}");
            assert_eq!(tokenizer.encode(&marked).unwrap().ids(), ids, "{title}");
            assert_eq!(tokenizer.decode(&ids), marked.text(), "{title}");
            compared += ids.len();
        }
    }
    compared
}

#[test]
fn gemma3_stand_in() {
    assert!(compare("gemma3", Some(&gemma_stand_in())) > 400);
}

#[test]
fn qwen3() {
    let folder = genuine("qwen3");
    let compared = compare("qwen3", folder.as_deref());
    assert_eq!(compared > 400, folder.is_some());
}

#[test]
fn llama3() {
    let folder = genuine("llama3");
    let compared = compare("llama3", folder.as_deref());
    assert_eq!(compared > 400, folder.is_some());
}
