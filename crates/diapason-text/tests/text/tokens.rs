//! Ids and back: exact spans, no forged special tokens, lossless text.

use crate::common::{HOSTILE, before_last, episodes, gemma_stand_in, genuine, own, texts, words};
use diapason_flow::{Episode, LossPolicy, Turn};
use diapason_markers::print_list;
use diapason_text::{TemplateKind, TextError, Tokenizer, import_llama2c, train_tokenizer};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let mut tokenizers = vec![own(), Tokenizer::load(&gemma_stand_in()).unwrap()];
    for name in ["qwen3", "llama3", "dolma2"] {
        tokenizers.extend(genuine(name).map(|folder| Tokenizer::load(&folder).unwrap()));
    }
    tokenizers
});

/// Ids of everything that only scaffolding may hold.
fn special_ids(tokenizer: &Tokenizer) -> Vec<u32> {
    HOSTILE
        .iter()
        .filter_map(|name| tokenizer.token_id(name))
        .chain(tokenizer.terminators())
        .chain(tokenizer.begin())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn data_never_becomes_a_special_token_and_decodes_to_itself(text in texts()) {
        for tokenizer in TOKENIZERS.iter() {
            let ids = tokenizer.encode_text(&text).unwrap();
            let special = special_ids(tokenizer);
            prop_assert!(ids.iter().all(|id| !special.contains(id)), "{text:?} {ids:?}");
            let normalised = tokenizer.template().family().name == "qwen3" && !text.is_ascii();
            if !normalised {
                prop_assert_eq!(tokenizer.decode(&ids), text.clone());
            }
        }
    }

    #[test]
    fn loss_spans_are_exact_and_the_begin_token_stands_once(episode in episodes()) {
        for tokenizer in TOKENIZERS.iter() {
            let marked = tokenizer.template().render(&episode, LossPolicy::EveryOutput);
            let tokens = tokenizer.encode(&marked).unwrap();
            let begins = tokens.ids().iter().filter(|id| Some(**id) == tokenizer.begin()).count();
            prop_assert_eq!(begins, usize::from(tokenizer.begin().is_some()));
            let terminator = tokenizer.terminators()[0];
            let ends = tokens.ids().iter().filter(|id| **id == terminator).count();
            let learned_ends = (tokens.ids().iter().zip(tokens.learn()))
                .filter(|(id, learn)| **id == terminator && **learn)
                .count();
            let inputs = episode.turns.iter().filter(|turn| turn.input.is_some()).count();
            let described = usize::from(episode.description.is_some());
            prop_assert_eq!(ends, described + inputs + episode.turns.len());
            prop_assert_eq!(learned_ends, episode.turns.len() + described - 1);
        }
    }

    #[test]
    fn the_ids_of_a_prompt_begin_the_ids_of_the_training_rendering(episode in episodes()) {
        let (asked, last) = before_last(&episode);
        for tokenizer in TOKENIZERS.iter() {
            let template = tokenizer.template();
            let whole = template.render(&episode, LossPolicy::LastOutput);
            let whole = tokenizer.encode(&whole).unwrap();
            let prompt = tokenizer.encode(&template.render_prompt(&asked)).unwrap();
            let rest = whole.ids().strip_prefix(prompt.ids());
            prop_assert!(rest.is_some());
            let list = template.render_list(&print_list(&last.markers));
            let list = tokenizer.encode(&list).unwrap();
            let option = tokenizer.encode_output(&last.output).unwrap();
            prop_assert!(rest.unwrap().starts_with(&[list.ids(), &option].concat()));
        }
    }

    #[test]
    fn any_ids_stream_to_the_text_that_they_decode_to(
        ids in proptest::collection::vec(0u32..420, 0..30)
    ) {
        for tokenizer in TOKENIZERS.iter() {
            let mut decoder = tokenizer.decoder();
            let mut text: String = ids.iter().map(|id| decoder.push(*id)).collect();
            text += &decoder.finish();
            prop_assert_eq!(text, tokenizer.decode(&ids));
        }
    }
}

#[test]
fn a_tokenizer_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&own());
}

#[test]
fn training_is_deterministic_and_the_special_tokens_come_first() {
    let bytes = || {
        let folder = tempfile::tempdir().unwrap();
        own().save(folder.path()).unwrap();
        fs::read(folder.path().join("tokenizer.json")).unwrap()
    };
    assert!(bytes() == bytes());
    let names = ["<|begin|>", "<|end|>", "<|description|>", "<|input|>", "<|output|>", "<|pad|>"];
    assert_eq!(names.map(|name| own().token_id(name).unwrap()), [0, 1, 2, 3, 4, 5]);
    assert!(own().vocabulary_size() <= 400);
    assert_eq!((own().begin(), own().terminators()), (Some(0), vec![1]));
}

#[test]
fn a_word_is_one_token_wherever_it_stands() {
    let tokenizer = own();
    let text = |ids: &[u32]| ids.iter().map(|id| tokenizer.token_text(*id)).collect::<Vec<_>>();
    let ids = tokenizer.encode_text("red, blue; one red. 12\nred").unwrap();
    // After a line end there is no space: the letters of a word that is known only with one.
    let pieces = [" red", ",", " blue", ";", " one", " red", ".", " 1", "2", "\n", "r", "e", "d"];
    assert_eq!(text(&ids), pieces);
    let mut episode = Episode::new("t", "u");
    episode.description = Some("all are red".into());
    episode.turns = vec![Turn { output: "red".into(), ..Turn::default() }];
    let marked = tokenizer.template().render(&episode, LossPolicy::EveryOutput);
    let tokens = tokenizer.encode(&marked).unwrap();
    let red = ids[0];
    assert_eq!(tokens.ids().iter().filter(|id| **id == red).count(), 2);
    // Begin, description with end, and three tokens a draw.
    assert_eq!(tokens.ids()[tokens.len() - 3..], [4, red, 1]);
    assert_eq!(tokens.learn()[tokens.len() - 3..], [false, true, true]);
    assert_eq!(tokens.turn()[tokens.len() - 3..], [Some(0); 3]);
}

#[test]
fn a_vocabulary_too_small_for_its_bytes_is_refused() {
    let error = train_tokenizer(words().into_iter(), 100).unwrap_err();
    let expected =
        "cannot train a tokenizer of 100 tokens: the special tokens and the bytes alone are 262";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_saved_tokenizer_loads_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let saved = own().with_kind(TemplateKind::Colon).unwrap();
    saved.save(folder.path()).unwrap();
    let loaded = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(loaded.template(), saved.template());
    let text = "red <|end|> blue";
    assert_eq!(loaded.encode_output(text).unwrap(), saved.encode_output(text).unwrap());
    let config = fs::read_to_string(folder.path().join("tokenizer_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["chat_template"], saved.template().jinja());
    assert_eq!(config["bos_token"], "<|begin|>");
}

/// The trained tokenizer without one of its role tokens.
fn without_output(folder: &Path) {
    own().save(folder).unwrap();
    let path = folder.join("tokenizer.json");
    let json = fs::read_to_string(&path).unwrap().replace("<|output|>", "<|other|>");
    fs::write(&path, json).unwrap();
}

#[test]
fn missing_role_tokens_are_named_and_colon_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    without_output(folder.path());
    let error = Tokenizer::load(folder.path()).unwrap_err();
    assert!(
        matches!(&error, TextError::MissingTokens { missing, .. } if missing == &["<|output|>"])
    );
    insta::assert_snapshot!("missing_tokens", error);
    let colon = Tokenizer::load_as(folder.path(), TemplateKind::Colon).unwrap();
    assert_eq!(colon.begin(), Some(0), "the begin token that the config declares");
    assert_eq!(colon.decode(&colon.encode_output(" red ").unwrap()), "red\n\n");
}

#[test]
fn what_is_no_tokenizer_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let load = || Tokenizer::load(&path).unwrap_err().to_string();
    assert!(load().starts_with("cannot read `"));
    fs::write(&path, "{").unwrap();
    assert!(load().contains("tokenizer.json`: EOF"));
    fs::write(&path, r#"{"decoder": {"type": "WordPiece"}}"#).unwrap();
    assert!(load().contains("the decoder \"WordPiece\" is not supported"));
    assert!(import_llama2c(&path).unwrap_err().to_string().contains("ends inside token 0"));
}

#[test]
fn a_tokenizer_whose_merges_could_forge_a_token_is_disarmed() {
    let Some(folder) = genuine("phi3") else { return };
    let tokenizer = Tokenizer::load_as(&folder, TemplateKind::Colon).unwrap();
    for name in ["<s>", "</s>", "<unk>", "<|end|>", "x<s>y</s>"] {
        let ids = tokenizer.encode_text(name).unwrap();
        assert!(ids.iter().all(|id| !(0..3).contains(id) && *id < 32000), "{name} {ids:?}");
        assert_eq!(tokenizer.decode(&ids), name);
    }
    let error = Tokenizer::load(&folder).unwrap_err();
    assert!(matches!(error, TextError::MissingTokens { .. }));
}

#[test]
fn the_bytes_of_tokens_tell_special_ones_from_text() {
    let tokenizer = diapason_text::train_tokenizer(["plums and é"].into_iter(), 300).unwrap();
    let bytes = tokenizer.token_bytes();
    assert_eq!(bytes.len(), tokenizer.vocabulary_size());
    let end = tokenizer.token_id("<|end|>").unwrap();
    assert_eq!(bytes[end as usize], b"\xff<|end|>");
    let ids = tokenizer.encode_output("plums <|end|> é").unwrap();
    let joined: Vec<u8> = ids.iter().flat_map(|id| bytes[*id as usize].clone()).collect();
    // Tokenizers of our own read the first word as they do any other.
    assert_eq!(joined, [" plums <|end|> é".as_bytes(), b"\xff<|end|>"].concat());
}
