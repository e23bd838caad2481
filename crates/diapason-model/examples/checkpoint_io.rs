//! One half of `tests/golden/model_io/check_transformers.py`: writes a tiny model, or reads a
//! folder and perhaps writes it again, and puts the logits of a fixed text beside it as
//! `logits.json`.
//!
//! ```text
//! checkpoint_io write-tied|write-untied|read FOLDER
//! checkpoint_io copy FOLDER FROM
//! ```

use diapason_flow::{Pack, Streams, write_atomically};
use diapason_model::{Arch, Device, Model, SpecialIds, Variant, Workspace};
use std::error::Error;
use std::path::PathBuf;

const TEXT: [u32; 12] = [1, 40, 7, 7, 33, 60, 2, 15, 0, 3, 21, 8];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: checkpoint_io write-tied|write-untied|read|copy FOLDER [FROM]";
    let (action, folder) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let folder = PathBuf::from(folder);
    let model = match action.as_str() {
        "read" => Model::load(&folder)?,
        "write-tied" | "write-untied" => {
            let model = tiny(action == "write-tied")?;
            model.save(&folder, &SpecialIds { begin: Some(1), end: vec![2, 3], pad: None })?;
            model
        }
        "copy" => {
            let from = PathBuf::from(arguments.next().ok_or(usage)?);
            let model = Model::load(&from)?;
            model.save(&folder, &SpecialIds::load(&from)?)?;
            model
        }
        _ => return Err(usage.into()),
    };
    let ids = TEXT.map(|id| id % model.arch.vocabulary as u32);
    let mut pack = Pack::new();
    pack.push_weighted(&ids, |_| 0.0);
    let rows: Vec<usize> = (0..ids.len()).collect();
    let mut workspace = Workspace::forward_only(&model.arch, ids.len());
    let mut logits = Vec::new();
    let mut each = |_: usize, row: &[f32]| logits.push(row.to_vec());
    model.logits(&Device::cpu(1), &pack, &rows, &mut workspace, &mut each)?;
    let result = serde_json::json!({"ids": ids, "logits": logits});
    write_atomically(&folder.join("logits.json"), |out| Ok(serde_json::to_writer(out, &result)?))?;
    Ok(())
}

/// A random model with weights large enough that its logits differ.
fn tiny(tied: bool) -> Result<Model, Box<dyn Error>> {
    let arch = Arch {
        family: "llama".to_owned(),
        width: 32,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_width: 12,
        mlp_width: 48,
        vocabulary: 61,
        context: 64,
        norm_epsilon: 1e-5,
        rope_theta: 5e4,
        tied,
        variant: Variant::default(),
    };
    let mut model = Model::random(arch, &Streams::new(8))?;
    model.weights.wide_mut().iter_mut().for_each(|weight| *weight *= 4.0);
    Ok(model)
}
