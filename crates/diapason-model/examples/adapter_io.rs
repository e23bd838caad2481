//! Trains a low-rank adapter on the golden base for a few steps and writes it as PEFT would, with
//! the logits it gives, for `tests/golden/model/make_adapter.py --check`:
//!
//! ```text
//! cargo run -p diapason-model --release --example adapter_io -- FOLDER
//! ```

use diapason_flow::{Pack, Streams};
use diapason_model::{
    AdamW, AdamWSettings, Adapter, Device, LoraSettings, Model, ModelError, MomentPrecision,
    Workspace,
};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use std::error::Error;
use std::path::{Path, PathBuf};

const IDS: [u32; 12] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 30, 8, 9];

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).ok_or("give a folder to write")?;
    let out = PathBuf::from(out);
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/model/adapter/base");
    let mut model = Model::load(Path::new(base))?;
    let targets = ["*_proj", "embed_tokens", "lm_head"].map(str::to_owned).to_vec();
    let settings = LoraSettings { rank: 4, alpha: 6.0, targets, ..LoraSettings::default() };
    model.attach(Adapter::new(&model.arch, &settings, &Streams::new(1))?)?;
    let mut pack = Pack::new();
    pack.push_weighted(&IDS, |_| 1.0);
    let (device, mut workspace) = (Device::cpu(0), Workspace::new(&model.arch, IDS.len()));
    train(&mut model, &device, &pack, &mut workspace)?;
    std::fs::create_dir_all(&out)?;
    model.adapters[0].save(&out.join("adapter"), base)?;
    let rows: Vec<usize> = (0..IDS.len()).collect();
    let mut logits: Vec<u8> = Vec::new();
    let mut each = |_: usize, row: &[f32]| logits.extend(row.iter().flat_map(|x| x.to_le_bytes()));
    model.logits(&device, &pack, &rows, &mut workspace, &mut each)?;
    let ids: Vec<u8> = IDS.iter().flat_map(|id| i64::from(*id).to_le_bytes()).collect();
    let shape = vec![IDS.len(), model.arch.vocabulary];
    let tensors = [
        ("ids", TensorView::new(Dtype::I64, vec![IDS.len()], &ids)?),
        ("logits", TensorView::new(Dtype::F32, shape, &logits)?),
    ];
    Ok(serialize_to_file(tensors, None, &out.join("logits.safetensors"))?)
}

fn train(
    model: &mut Model,
    device: &Device,
    pack: &Pack,
    workspace: &mut Workspace,
) -> Result<(), ModelError> {
    let len = model.trained().1.len();
    let mut optimiser =
        AdamW::new(AdamWSettings::default(), model.trained().0, MomentPrecision::F32);
    for _ in 0..30 {
        let mut gradients = vec![0.0; len];
        model.loss_and_gradients(device, pack, 0.1, workspace, &mut gradients)?;
        let (tensors, weights) = model.trained_mut();
        optimiser.step(device, tensors, weights, &gradients, 2e-2, 1.0);
    }
    Ok(())
}
