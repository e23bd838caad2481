use super::*;
use proptest::prelude::*;
use std::path::PathBuf;

/// SentencePiece as llama2.c runs it: join the best-scoring neighbouring pair, the leftmost of
/// equals, until no pair is a piece.
fn reference(entries: &[Entry], text: &str) -> Vec<usize> {
    let find = |piece: &str| {
        let merged = &entries[FIRST_MERGED..];
        merged.iter().position(|entry| entry.piece == piece).map(|index| index + FIRST_MERGED)
    };
    let prefixed = if text.is_empty() { String::new() } else { format!("▁{text}") };
    let mut ids = Vec::new();
    for character in prefixed.replace(' ', "▁").chars() {
        let character = character.to_string();
        match find(&character) {
            Some(id) => ids.push(id),
            None => ids.extend(character.bytes().map(|byte| usize::from(byte) + 3)),
        }
    }
    loop {
        let mut best: Option<(f32, usize, usize)> = None;
        for index in 1..ids.len() {
            let pair = [ids[index - 1], ids[index]];
            if pair.iter().any(|id| *id < FIRST_MERGED) {
                continue;
            }
            let joined = pair.map(|id| entries[id].piece.as_str()).concat();
            let Some(id) = find(&joined) else { continue };
            if best.is_none_or(|(score, ..)| entries[id].score > score) {
                best = Some((entries[id].score, index, id));
            }
        }
        let Some((_, index, id)) = best else { return ids };
        ids[index - 1] = id;
        ids.remove(index);
    }
}

/// A vocabulary of the genuine layout with a few merges.
fn small() -> Vec<u8> {
    let mut bytes = 7i32.to_le_bytes().to_vec();
    let mut push = |score: f32, piece: &str| {
        bytes.extend(score.to_le_bytes());
        bytes.extend((piece.len() as i32).to_le_bytes());
        bytes.extend(piece.as_bytes());
    };
    for piece in ["<unk>", "\n<s>\n", "\n</s>\n"] {
        push(0.0, piece);
    }
    for byte in 0..=255u8 {
        push(0.0, &format!("<0x{byte:02X}>"));
    }
    let merged = ["an", " b", "na", " ban", "ana", " bana", " ", "a", "b", "n", "<", ">", "s"];
    for (piece, rank) in merged.iter().zip(0u8..) {
        push(-f32::from(rank), piece);
    }
    bytes
}

fn import(bytes: &[u8]) -> (Vec<Entry>, Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tok.bin");
    std::fs::write(&path, bytes).unwrap();
    (read_entries(bytes).unwrap(), import_llama2c(&path).unwrap())
}

fn shared() -> Option<PathBuf> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/models/stories260K");
    root.join("tok512.bin").exists().then_some(root)
}

proptest! {
    #[test]
    fn merges_by_rank_equal_merges_by_score(texts in proptest::collection::vec("[ban s<>é\n]{0,12}", 1..8)) {
        let (entries, tokenizer) = import(&small());
        for text in texts {
            let ids: Vec<usize> =
                tokenizer.encode_text(&text).unwrap().into_iter().map(|id| id as usize).collect();
            prop_assert_eq!(&ids, &reference(&entries, &text));
            let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
            prop_assert_eq!(tokenizer.decode(&ids), text);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(read_entries(&bytes).is_err());
    }
}

#[test]
fn damaged_vocabularies_say_where_they_end() {
    let bytes = small();
    assert_eq!(read_entries(&bytes[..bytes.len() - 1]).unwrap_err(), "ends inside token 271");
    assert_eq!(read_entries(&bytes[..80]).unwrap_err(), "ends inside token 5");
    assert_eq!(read_entries(&bytes[..12]).unwrap_err(), "ends inside token 0");
    let mut negative = bytes.clone();
    negative[8..12].copy_from_slice(&(-1i32).to_le_bytes());
    assert_eq!(read_entries(&negative).unwrap_err(), "token 0 has a negative length");
}

#[test]
fn the_reference_story_has_its_own_ids() {
    let Some(root) = shared() else { return };
    let tokenizer = import_llama2c(&root.join("tok512.bin")).unwrap();
    let names = ROLE_TOKENS.map(|name| tokenizer.token_id(name));
    assert_eq!(names, [512, 513, 514, 515, 516].map(Some));
    assert_eq!((tokenizer.token_id("<s>"), tokenizer.vocabulary_size()), (Some(1), 517));
    let story = std::fs::read_to_string(root.join("greedy_reference.json")).unwrap();
    let story: Value = serde_json::from_str(&story).unwrap();
    let ids: Vec<u32> = serde_json::from_value(story["ids"].clone()).unwrap();
    let text = story["text"].as_str().unwrap().replace("<0x0A>", "\n");
    let text = text.strip_prefix(' ').unwrap();
    assert_eq!(tokenizer.decode(&ids), text);
    assert_eq!(tokenizer.encode_text(text).unwrap(), ids);
    let entries = read_entries(&std::fs::read(root.join("tok512.bin")).unwrap()).unwrap();
    let reference: Vec<u32> = reference(&entries, text).into_iter().map(|id| id as u32).collect();
    assert_eq!(reference, ids);
}
