use super::*;
use crate::{Device, Workspace};
use diapason_flow::Pack;
use std::borrow::Cow;
use std::path::PathBuf;

/// A file whose k-th float is k, of two layers, width 8, two heads of width 4, one key head.
fn counting_file(vocabulary: i32) -> Vec<u8> {
    let header = [8, 12, 2, 2, 1, vocabulary, 5];
    let rows = vocabulary.unsigned_abs() as usize;
    let classifier = if vocabulary < 0 { rows * 8 } else { 0 };
    let layer = 8 + 64 + 32 + 32 + 64 + 8 + 3 * 96;
    let floats = rows * 8 + 2 * layer + 8 + 2 * 5 * 2 + classifier;
    let header = header.iter().flat_map(|field: &i32| field.to_le_bytes());
    header.chain((0..floats).flat_map(|value| (value as f32).to_le_bytes())).collect()
}

fn loaded(bytes: &[u8]) -> Model {
    let (arch, weights) = parse(bytes).unwrap();
    Model::new(arch, weights).unwrap()
}

fn tensor<'a>(model: &'a Model, name: &str) -> Cow<'a, [f32]> {
    let spec = model.layout.tensors.iter().find(|spec| spec.name == name).unwrap();
    model.weights.part(spec.range.clone()).wide()
}

#[test]
fn every_tensor_comes_from_its_place() {
    let model = loaded(&counting_file(3));
    let starts = [
        ("model.embed_tokens.weight", 0),
        ("model.layers.1.input_layernorm.weight", 24 + 8),
        ("model.layers.0.self_attn.v_proj.weight", 24 + 16 + 128 + 64),
        ("model.layers.1.self_attn.o_proj.weight", 24 + 16 + 128 + 64 + 64 + 64),
        ("model.layers.0.mlp.gate_proj.weight", 24 + 16 + 128 + 64 + 64 + 128 + 16),
        ("model.layers.0.mlp.down_proj.weight", 24 + 16 + 384 + 16 + 192),
        ("model.layers.1.mlp.up_proj.weight", 24 + 16 + 384 + 16 + 384 + 96),
        ("model.norm.weight", 24 + 16 + 384 + 16 + 576),
    ];
    for (name, start) in starts {
        for (offset, value) in tensor(&model, name).iter().enumerate() {
            assert_eq!(*value, (start + offset) as f32, "{name}");
        }
    }
    let untied = loaded(&counting_file(-3));
    let before = 24 + 16 + 384 + 16 + 576 + 8 + 20;
    assert_eq!(tensor(&untied, "lm_head.weight")[0], before as f32);
}

#[test]
fn rotary_pairs_move_half_a_head_apart() {
    let model = loaded(&counting_file(3));
    let query = tensor(&model, "model.layers.1.self_attn.q_proj.weight");
    let start = 24 + 16 + 64;
    // Rows of the file in the order in which they stand now: evens, then odds, head by head.
    for (row, source) in [0, 2, 1, 3, 4, 6, 5, 7].into_iter().enumerate() {
        assert_eq!(query[row * 8], (start + source * 8) as f32);
    }
}

/// The slow twin of the permutation: rotating interleaved pairs in the old order gives the same
/// dot products as rotating half-split pairs in the new one.
#[test]
fn attention_scores_do_not_change() {
    let (width, heads) = (6, 2);
    let rows: Vec<f32> = (0..heads * width * width).map(|i| ((i * 37 % 19) as f32) - 9.0).collect();
    let input: Vec<f32> = (0..width).map(|i| 0.3 * i as f32 - 0.7).collect();
    let apply = |matrix: &[f32]| -> Vec<f32> {
        let dot = |row: &[f32]| row.iter().zip(&input).map(|(a, b)| a * b).sum();
        matrix.chunks_exact(width).map(dot).collect()
    };
    let mut moved = rows.clone();
    split_rotary_halves(&mut moved, width, width);
    let (old, new) = (apply(&rows), apply(&moved));
    let half = width / 2;
    for head in 0..heads {
        for pair in 0..half {
            let angle = 0.9_f32.powi(pair as i32) * 5.0;
            let rotate = |a: f32, b: f32| {
                (a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos())
            };
            let base = head * width;
            let interleaved = rotate(old[base + 2 * pair], old[base + 2 * pair + 1]);
            let split = rotate(new[base + pair], new[base + pair + half]);
            assert_eq!(interleaved, split);
        }
    }
}

#[test]
fn bad_files_are_refused() {
    let good = counting_file(3);
    let problem = |bytes: &[u8]| parse(bytes).expect_err("the file is bad");
    assert!(problem(&good[..20]).contains("shorter than its header"));
    let short = problem(&good[..good.len() - 4]);
    let expected = format!("expected {} bytes by its header, found {}", good.len(), good.len() - 4);
    assert!(short.contains(&expected), "{short}");
    for (field, value) in [(0, 7), (1, 0), (2, -1), (3, 3), (4, 0), (5, 0), (6, -5)] {
        let mut bytes = good.clone();
        bytes[field * 4..][..4].copy_from_slice(&i32::to_le_bytes(value));
        let message = problem(&bytes);
        assert!(message.contains("no llama2.c \"version 0\" header"), "{field}: {message}");
    }
    let absent = Model::load_llama2c(Path::new("no/such.bin")).expect_err("no such file");
    assert!(absent.to_string().contains("cannot read `no/such.bin`"), "{absent}");
}

/// The genuine file and the continuation that llama2.c itself gives.
#[test]
fn stories260k_tells_its_story() {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/models/stories260K");
    if !folder.exists() {
        return;
    }
    let model = Model::load_llama2c(&folder.join("stories260K.bin")).unwrap();
    assert_eq!(model.weights.len(), 264_128 - 2 * 512 * 4);
    let text = fs::read(folder.join("greedy_reference.json")).unwrap();
    let reference: Reference = serde_json::from_slice(&text).unwrap();
    assert_eq!(reference.ids.len(), reference.max_logits.len());
    let device = Device::cpu(1);
    let mut workspace = Workspace::forward_only(&model.arch, 128);
    let mut ids = reference.prompt_ids;
    for (expected, max_logit) in reference.ids.iter().zip(reference.max_logits) {
        let mut pack = Pack::new();
        pack.push_weighted(&ids, |_| 0.0);
        let mut best = (0, f32::MIN);
        let mut each = |_: usize, logits: &[f32]| {
            for (id, logit) in (0..).zip(logits) {
                best = if *logit > best.1 { (id, *logit) } else { best };
            }
        };
        model.logits(&device, &pack, &[ids.len() - 1], &mut workspace, &mut each).unwrap();
        assert_eq!(best.0, *expected, "token {}", ids.len());
        assert!((best.1 - max_logit).abs() < 2e-3, "{} against {max_logit}", best.1);
        ids.push(best.0);
    }
    assert_eq!(ids.len(), 101);
}

#[derive(serde::Deserialize)]
struct Reference {
    prompt_ids: Vec<u32>,
    ids: Vec<u32>,
    max_logits: Vec<f32>,
}
