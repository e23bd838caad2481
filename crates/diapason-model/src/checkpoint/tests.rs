use super::numbers::half_to_f32;
use super::*;
use crate::Variant;
use crate::fixtures::arch;
use diapason_flow::Streams;
use safetensors::{Dtype, serialize_to_file};
use tempfile::TempDir;

/// One tensor as it will stand in a file.
#[derive(Clone)]
struct Raw {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn raw_tensors(model: &Model, dtype: Dtype) -> Vec<Raw> {
    let encode = |value: &f32| match dtype {
        Dtype::BF16 => ((value.to_bits() >> 16) as u16).to_le_bytes().to_vec(),
        Dtype::F64 => f64::from(*value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    };
    let raw = |spec: &crate::TensorSpec| Raw {
        name: spec.name.clone(),
        dtype,
        shape: spec.shape.clone(),
        bytes: model.weights.part(spec.range.clone()).wide().iter().flat_map(encode).collect(),
    };
    model.layout.tensors.iter().map(raw).collect()
}

fn write_raw(path: &Path, tensors: &[Raw]) {
    let views = tensors.iter().map(|raw| {
        let view = TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes).unwrap();
        (raw.name.clone(), view)
    });
    serialize_to_file(views, None, path).unwrap();
}

/// A folder with a config and tensors changed by `change`, and its model.
fn folder(tied: bool, dtype: Dtype, change: impl FnOnce(&mut Vec<Raw>)) -> (TempDir, Model) {
    let dir = tempfile::tempdir().unwrap();
    let model = Model::random(arch(tied), &Streams::new(5)).unwrap();
    model.save(dir.path(), &SpecialIds::default()).unwrap();
    let mut tensors = raw_tensors(&model, dtype);
    change(&mut tensors);
    write_raw(&dir.path().join(SINGLE), &tensors);
    (dir, model)
}

fn refusal(dir: &TempDir) -> String {
    Model::load(dir.path()).expect_err("the folder is bad").to_string()
}

#[test]
fn what_is_saved_loads_to_the_same_bits() {
    for tied in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let model = Model::random(arch(tied), &Streams::new(1)).unwrap();
        let ids = SpecialIds { begin: Some(1), end: vec![2], pad: None };
        model.save(dir.path(), &ids).unwrap();
        let loaded = Model::load(dir.path()).unwrap();
        assert_eq!(loaded.arch, model.arch);
        assert_eq!(loaded.weights, model.weights);
        assert_eq!(SpecialIds::load(dir.path()).unwrap(), ids);
        let bytes = fs::read(dir.path().join(SINGLE)).unwrap();
        model.save(dir.path(), &ids).unwrap();
        assert_eq!(fs::read(dir.path().join(SINGLE)).unwrap(), bytes, "same weights, same bytes");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}

#[test]
fn the_safetensors_crate_reads_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    let model = Model::random(arch(true), &Streams::new(1)).unwrap();
    model.save(dir.path(), &SpecialIds::default()).unwrap();
    let bytes = fs::read(dir.path().join(SINGLE)).unwrap();
    let (header, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), model.layout.tensors.len());
    for raw in raw_tensors(&model, Dtype::F32) {
        assert_eq!(tensors.tensor(&raw.name).unwrap().data(), raw.bytes);
    }
}

#[test]
fn bf16_loads_as_its_f32_value() {
    let (dir, model) = folder(false, Dtype::BF16, |_| {});
    let upper_half = |weight: &f32| f32::from_bits(weight.to_bits() & 0xffff_0000);
    let expected: Vec<f32> = model.weights.all().wide().iter().map(upper_half).collect();
    assert_eq!(Model::load(dir.path()).unwrap().weights, Weights::F32(expected));
}

#[test]
fn every_f16_value_converts_exactly() {
    for half in 0..=u16::MAX {
        // By the definition of IEEE 754 binary16, in f64.
        let exponent = i32::from(half >> 10 & 0x1f);
        let fraction = f64::from(half & 0x3ff) / 1024.0;
        let magnitude = match exponent {
            0 => fraction * 2f64.powi(-14),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
        };
        let expected = if half & 0x8000 == 0 { magnitude } else { -magnitude };
        let found = half_to_f32(half);
        if expected.is_nan() {
            assert!(found.is_nan());
        } else {
            assert_eq!(f64::from(found).to_bits(), expected.to_bits(), "{half:#06x}");
        }
    }
}

#[test]
fn shards_load_as_one() {
    let (dir, model) = folder(true, Dtype::F32, |_| {});
    let tensors = raw_tensors(&model, Dtype::F32);
    fs::remove_file(dir.path().join(SINGLE)).unwrap();
    let mut weight_map = serde_json::Map::new();
    for (number, part) in tensors.chunks(7).enumerate() {
        let file = format!("model-{number:05}-of-00003.safetensors");
        write_raw(&dir.path().join(&file), part);
        weight_map.extend(part.iter().map(|raw| (raw.name.clone(), file.clone().into())));
    }
    write_json(&dir.path().join(INDEX), &serde_json::json!({"weight_map": weight_map})).unwrap();
    assert_eq!(Model::load(dir.path()).unwrap().weights, model.weights);

    let first = dir.path().join("model-00000-of-00003.safetensors");
    let kept = fs::read(&first).unwrap();
    write_raw(&first, &tensors[..8]);
    assert!(refusal(&dir).contains("is there twice"), "{}", refusal(&dir));
    fs::write(&first, kept).unwrap();
    fs::remove_file(dir.path().join("model-00001-of-00003.safetensors")).unwrap();
    assert!(refusal(&dir).contains("model-00001-of-00003.safetensors"), "{}", refusal(&dir));

    let outside = serde_json::json!({"weight_map": {"a": "../model.safetensors"}});
    write_json(&dir.path().join(INDEX), &outside).unwrap();
    assert!(refusal(&dir).contains("`../model.safetensors` is not a plain file name"));
}

#[test]
fn an_output_head_beside_tied_weights_must_equal_the_embedding() {
    let repeat_embedding = |tensors: &mut Vec<Raw>| {
        let name = "lm_head.weight".to_owned();
        tensors.push(Raw { name, ..tensors[0].clone() });
    };
    let (dir, model) = folder(true, Dtype::F32, repeat_embedding);
    assert_eq!(Model::load(dir.path()).unwrap().weights, model.weights);
    let (dir, _) = folder(true, Dtype::F32, |tensors| {
        repeat_embedding(tensors);
        tensors.last_mut().unwrap().bytes[2] ^= 0x10;
    });
    assert!(refusal(&dir).contains("`lm_head.weight` differs from `model.embed_tokens.weight`"));
}

#[test]
fn bad_tensors_are_refused_by_name() {
    let (dir, _) = folder(true, Dtype::F32, |tensors| {
        tensors.remove(5);
    });
    let message = refusal(&dir);
    assert!(message.contains("`model.layers.0.self_attn.o_proj.weight` is missing"), "{message}");

    let (dir, _) = folder(true, Dtype::F32, |tensors| tensors[2].shape = vec![4, 16]);
    let message = refusal(&dir);
    let expected =
        "`model.layers.0.self_attn.q_proj.weight` has the shape [4, 16], expected [8, 8]";
    assert!(message.contains(expected), "{message}");

    let (dir, _) = folder(true, Dtype::F64, |_| {});
    let message = refusal(&dir);
    assert!(message.contains("`model.embed_tokens.weight` has the type F64"), "{message}");
    assert!(message.contains("F32, F16 or BF16"), "{message}");

    let (dir, _) = folder(true, Dtype::F32, |tensors| {
        let name = "model.layers.0.self_attn.q_proj.bias".to_owned();
        tensors.push(Raw { name, ..tensors[1].clone() });
    });
    let message = refusal(&dir);
    assert!(message.contains("`model.layers.0.self_attn.q_proj.bias`"), "{message}");

    let (dir, model) = folder(true, Dtype::F32, |tensors| {
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned();
        tensors.push(Raw { name, ..tensors[1].clone() });
    });
    assert_eq!(Model::load(dir.path()).unwrap().weights, model.weights);
}

#[test]
fn bad_files_are_refused_by_path() {
    let (dir, _) = folder(true, Dtype::F32, |_| {});
    let path = dir.path().join(SINGLE);
    let whole = fs::read(&path).unwrap();
    for length in [0, 5, 100, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let message = refusal(&dir);
        assert!(message.contains("model.safetensors` is damaged"), "{length}: {message}");
    }
    fs::remove_file(&path).unwrap();
    let message = refusal(&dir);
    assert!(message.contains("neither `model.safetensors` nor"), "{message}");

    fs::write(dir.path().join(CONFIG), "{\"model_type\": ").unwrap();
    assert!(refusal(&dir).contains("config.json` is damaged: EOF while parsing"));
    fs::remove_file(dir.path().join(CONFIG)).unwrap();
    let message = refusal(&dir);
    assert!(message.contains("cannot read `") && message.contains("config.json"), "{message}");
}

/// A tiny Gemma 3 with every tensor that its family has besides those of Llama.
fn gemma() -> Model {
    let family = crate::FAMILIES.iter().find(|family| family.name == "gemma3_text").unwrap();
    let variant = Variant { query_scalar: Some(4.0), ..family.variant(8) };
    let arch = Arch { family: family.name.to_owned(), variant, ..arch(true) };
    let mut model = Model::random(arch, &Streams::new(5)).unwrap();
    model
        .weights
        .wide_mut()
        .iter_mut()
        .enumerate()
        .for_each(|(at, weight)| *weight += at as f32 * 1e-3);
    model
}

/// A multimodal folder: the text part under `prefix`, beside parts that are not ours.
fn multimodal_folder(prefix: &str, others: &[&str]) -> (TempDir, Model) {
    let (dir, model) = (tempfile::tempdir().unwrap(), gemma());
    let ids = SpecialIds { begin: Some(2), end: vec![1], pad: None };
    let text = model.arch.to_config(&ids);
    let config = serde_json::json!({"model_type": "gemma3", "text_config": text});
    write_json(&dir.path().join(CONFIG), &config).unwrap();
    let mut tensors = raw_tensors(&model, Dtype::F32);
    for raw in &mut tensors {
        raw.name = raw.name.replacen("model.", prefix, 1);
    }
    let other = |name: &&str| Raw { name: (*name).to_owned(), ..tensors[3].clone() };
    let others: Vec<Raw> = others.iter().map(other).collect();
    tensors.extend(others);
    write_raw(&dir.path().join(SINGLE), &tensors);
    (dir, model)
}

#[test]
fn the_text_part_of_a_multimodal_checkpoint_is_loaded_in_both_layouts() {
    for (prefix, others) in [
        ("language_model.model.", ["vision_tower.a.weight", "multi_modal_projector.b"]),
        ("model.language_model.", ["model.vision_tower.a.weight", "model.multi_modal_projector.b"]),
    ] {
        let (dir, model) = multimodal_folder(prefix, &others);
        let loaded = Model::load(dir.path()).unwrap();
        assert_eq!(loaded.arch, model.arch);
        assert_eq!(loaded.weights, model.weights);
        assert_eq!(SpecialIds::load(dir.path()).unwrap().end, [1]);
        // Saved, it is a text model of its own.
        let saved = tempfile::tempdir().unwrap();
        loaded.save(saved.path(), &SpecialIds::default()).unwrap();
        let again = Model::load(saved.path()).unwrap();
        assert_eq!((again.arch, again.weights), (model.arch, model.weights));
    }
    let (dir, _) = multimodal_folder("language_model.model.", &["audio_tower.a"]);
    assert!(refusal(&dir).contains("holds the tensor `audio_tower.a`"), "{}", refusal(&dir));
    let twice = ["model.language_model.embed_tokens.weight"];
    let (dir, _) = multimodal_folder("language_model.model.", &twice);
    assert!(refusal(&dir).contains("embed_tokens.weight` is there twice"), "{}", refusal(&dir));
    let (dir, _) = multimodal_folder("model.", &[]);
    assert!(Model::load(dir.path()).is_ok(), "a text part that was renamed by hand");
}

/// A change of the tensor at an index.
type Change = fn(&mut Vec<Raw>, usize);

#[test]
fn bad_tensors_of_a_family_are_refused_by_name() {
    let refusals: [(&str, Change, &str); 4] = [
        ("q_norm.weight", |all, at| drop(all.remove(at)), "q_norm.weight` is missing"),
        (
            "k_norm.weight",
            |all, at| all[at].shape = vec![2, 2],
            "has the shape [2, 2], expected [4]",
        ),
        ("post_feedforward_layernorm.weight", |all, at| drop(all.remove(at)), "is missing"),
        (
            "pre_feedforward_layernorm.weight",
            |all, at| all[at].name.push('s'),
            "pre_feedforward_layernorm.weight` is missing",
        ),
    ];
    for (name, change, expected) in refusals {
        let (dir, model) = (tempfile::tempdir().unwrap(), gemma());
        model.save(dir.path(), &SpecialIds::default()).unwrap();
        let mut tensors = raw_tensors(&model, Dtype::F32);
        let at = tensors.iter().position(|raw| raw.name.ends_with(name)).unwrap();
        change(&mut tensors, at);
        write_raw(&dir.path().join(SINGLE), &tensors);
        assert!(refusal(&dir).contains(expected), "{}", refusal(&dir));
    }
    // Weights of a Qwen2 are more than a Llama has a place for.
    let (dir, _) = folder(true, Dtype::F32, |tensors| {
        let name = "model.layers.0.self_attn.q_proj.bias".to_owned();
        tensors.push(Raw { name, ..tensors[1].clone() });
    });
    assert!(refusal(&dir).contains("the weights belong to another family"), "{}", refusal(&dir));
}
