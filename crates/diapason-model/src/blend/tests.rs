use super::*;
use crate::fixtures::arch;
use crate::{Model, SpecialIds};
use diapason_flow::Streams;
use std::fs;

/// A folder with a random model in it.
fn saved(dir: &Path, name: &str, arch: Arch, seed: u64) -> (PathBuf, Model) {
    let path = dir.join(name);
    let model = Model::random(arch, &Streams::new(seed)).unwrap();
    model.save(&path, &SpecialIds { begin: Some(1), end: vec![2], pad: None }).unwrap();
    (path, model)
}

#[test]
fn named_rows_come_from_the_sibling_and_nothing_else_does() {
    for tied in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (target, old) = saved(dir.path(), "target", arch(tied), 1);
        let (sibling, donor) =
            saved(dir.path(), "sibling", Arch { context: 99, rope_theta: 5e5, ..arch(tied) }, 2);
        let out = dir.path().join("out");
        let blend = Blend::transplant(&target, &sibling, &[10, 3], None).unwrap();
        assert_eq!(blend.parameters(), old.weights.len());
        assert_eq!(blend.precisions(), BTreeSet::from([Precision::F32]));
        blend.write(&out).unwrap();
        let new = Model::load(&out).unwrap();
        assert_eq!(new.arch, old.arch);
        let rows = |index: usize| {
            let inside = |range: &Range<usize>| {
                range.contains(&index) && [3, 10].contains(&((index - range.start) / 8))
            };
            inside(&new.layout.embed) || inside(&new.layout.head)
        };
        let [found, donor, old] = [&new, &donor, &old].map(|model| model.weights.all().wide());
        for (index, weight) in found.iter().enumerate() {
            let expected = if rows(index) { donor[index] } else { old[index] };
            assert_eq!(*weight, expected, "{index}");
        }
        assert_eq!(SpecialIds::load(&out).unwrap(), SpecialIds::load(&target).unwrap());
    }
}

#[test]
fn rows_are_found_in_a_tensor_of_many_parts() {
    let dir = tempfile::tempdir().unwrap();
    // 3 parts of 65536 elements, whose borders run through rows of 24.
    let wide = Arch { width: 24, vocabulary: 7001, head_width: 12, layers: 1, ..arch(true) };
    let (target, old) = saved(dir.path(), "target", wide.clone(), 1);
    let (sibling, donor) = saved(dir.path(), "sibling", wide, 2);
    let out = dir.path().join("out");
    let ids = [0, 2730, 2731, 5461, 7000];
    Blend::transplant(&target, &sibling, &ids, None).unwrap().write(&out).unwrap();
    let new = Model::load(&out).unwrap();
    for row in 0..7001 {
        let place = row * 24..(row + 1) * 24;
        let from = if ids.contains(&(row as u32)) { &donor } else { &old };
        assert_eq!(new.weights.part(place.clone()), from.weights.part(place), "row {row}");
    }
}

#[test]
fn a_soup_is_the_weighted_average_in_f32() {
    let dir = tempfile::tempdir().unwrap();
    let models = [1, 2, 3].map(|seed| saved(dir.path(), &seed.to_string(), arch(false), seed));
    let weights = [3.0, 0.0, 1.0];
    let parts: Vec<(PathBuf, f64)> =
        models.iter().zip(weights).map(|((path, _), weight)| (path.clone(), weight)).collect();
    let out = dir.path().join("out");
    Blend::soup(&parts, None).unwrap().write(&out).unwrap();
    let mixed = Model::load(&out).unwrap();
    let given = models.each_ref().map(|(_, model)| model.weights.all().wide());
    for (index, found) in mixed.weights.all().wide().iter().enumerate() {
        assert_eq!(*found, 0.75 * given[0][index] + 0.25 * given[2][index], "{index}");
    }
    let alone = dir.path().join("alone");
    Blend::soup(&parts[..1], None).unwrap().write(&alone).unwrap();
    assert_eq!(Model::load(&alone).unwrap().weights, models[0].1.weights);
}

#[test]
fn element_types_stay_unless_another_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (first, model) = saved(dir.path(), "first", arch(true), 1);
    let short = dir.path().join("short");
    let blend = Blend::soup(&[(first.clone(), 1.0)], Some(Precision::Bf16)).unwrap();
    assert_eq!(blend.precisions(), BTreeSet::from([Precision::Bf16]));
    blend.write(&short).unwrap();
    let config = fs::read_to_string(short.join("config.json")).unwrap();
    assert!(config.contains(r#""torch_dtype": "bfloat16""#), "{config}");
    let size = |path: &Path| fs::metadata(path.join("model.safetensors")).unwrap().len();
    let bytes = 2 * model.weights.len() as u64;
    assert!((size(&first) - size(&short)).abs_diff(bytes) < 200);
    let rounded = Model::load(&short).unwrap();
    let [exact, rounded] = [&model, &rounded].map(|model| model.weights.all().wide());
    for (exact, rounded) in exact.iter().zip(rounded.iter()) {
        assert!((exact - rounded).abs() <= exact.abs() / 256.0, "{exact} {rounded}");
    }
    // The first model's type is kept, the second's only read.
    let blend = Blend::soup(&[(short, 0.5), (first, 0.5)], None).unwrap();
    assert_eq!(blend.precisions(), BTreeSet::from([Precision::Bf16]));
}

#[test]
fn shards_are_read_like_a_single_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, model) = saved(dir.path(), "model", arch(false), 1);
    let mut map = serde_json::Map::new();
    for (index, spec) in model.layout.tensors.iter().enumerate() {
        let name = format!("model-{:05}.safetensors", index % 3);
        map.insert(spec.name.clone(), name.into());
    }
    for shard in 0..3 {
        let specs = model.layout.tensors.iter().enumerate();
        let specs: Vec<_> =
            specs.filter(|(index, _)| index % 3 == shard).map(|(_, spec)| spec).collect();
        let file = path.join(format!("model-{shard:05}.safetensors"));
        let typed: Vec<_> = specs.iter().map(|spec| (*spec, Precision::F32)).collect();
        crate::checkpoint::write_tensors(&file, &typed, |tensor, part, values| {
            let start = specs[tensor].range.start;
            model.weights.part(start + part.start..start + part.end).copy_to(values);
            Ok(())
        })
        .unwrap();
    }
    fs::remove_file(path.join("model.safetensors")).unwrap();
    let index = serde_json::json!({"weight_map": map});
    fs::write(path.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let out = dir.path().join("out");
    Blend::soup(&[(path, 2.0)], None).unwrap().write(&out).unwrap();
    assert_eq!(Model::load(&out).unwrap().weights, model.weights);
}

#[test]
fn what_cannot_be_combined_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (good, _) = saved(dir.path(), "good", arch(true), 1);
    let other = |name: &str, arch: Arch| saved(dir.path(), name, arch, 2).0;
    let grown = other("grown", Arch { vocabulary: 12, ..arch(true) });
    let said = |result: Result<Blend, ModelError>| match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("not refused"),
    };
    let message = said(Blend::transplant(&good, &grown, &[1], None));
    assert!(message.contains("`vocabulary` is 11 in the one and 12 in the other"), "{message}");
    assert!(message.contains("hint: rows of differing vocabularies"), "{message}");
    let untied = other("untied", arch(false));
    assert!(said(Blend::transplant(&good, &untied, &[1], None)).contains("`tied` is true"));
    let twin = other("twin", arch(true));
    assert!(said(Blend::transplant(&good, &twin, &[11], None)).contains("row 11"));

    let based = other("based", Arch { rope_theta: 5e5, ..arch(true) });
    let pair = |path: &Path| [(good.clone(), 1.0), (path.to_owned(), 1.0)];
    assert!(said(Blend::soup(&pair(&based), None)).contains("`rope_theta`"));
    assert!(said(Blend::soup(&[], None)).contains("none is more than 0"));
    for weight in [-0.5, f64::NAN, f64::INFINITY] {
        let models = [(good.clone(), 1.0), (twin.clone(), weight)];
        assert!(said(Blend::soup(&models, None)).contains("no number of at least 0"));
    }
    fs::write(twin.join("model.safetensors"), b"short").unwrap();
    assert!(said(Blend::soup(&pair(&twin), None)).contains("damaged"));
}
