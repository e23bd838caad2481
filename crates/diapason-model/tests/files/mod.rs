//! Reads the files of `tests/golden/model`: tensors by name, and packs.

use diapason_flow::Pack;
use safetensors::SafeTensors;
use std::path::PathBuf;

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/model"))
}

pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("golden `{}`: {error}", path.display()))
}

pub(crate) fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let view = file.tensor(name).expect("the tensor is in the README's table");
    assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
    view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

pub(crate) fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    let view = file.tensor(name).expect("the tensor is in the README's table");
    assert_eq!(view.dtype(), safetensors::Dtype::I64, "{name}");
    view.data().as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
}

pub(crate) fn pack(file: &SafeTensors<'_>) -> Pack {
    let (starts, learn) = (integers(file, "starts"), floats(file, "learn"));
    let ids: Vec<u32> = integers(file, "ids").iter().map(|id| *id as u32).collect();
    let mut pack = Pack::new();
    for pair in starts.windows(2) {
        let range = pair[0] as usize..pair[1] as usize;
        pack.push_weighted(&ids[range.clone()], |index| learn[range.start + index]);
    }
    pack
}

pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub(crate) fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}
