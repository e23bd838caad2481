//! Reads llama2.c "version 0" checkpoints (stories260K and its larger sisters).
//!
//! A header of seven little-endian i32, then f32 arrays, all layers of one kind together. The
//! rotary pairs there are neighbouring elements of a head; ours are half a head apart, so the rows
//! of `wq` and `wk` change places on the way in.

use crate::{Arch, Layout, Model, ModelError, Variant};
use std::fs;
use std::path::Path;

const HEADER_BYTES: usize = 28;

/// The kinds of tensor in the order of the file, by the name of their layer tensors in HF.
const LAYER_KINDS: [&str; 9] = [
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "post_attention_layernorm",
    "mlp.gate_proj",
    "mlp.down_proj",
    "mlp.up_proj",
];

impl Model {
    /// Loads a llama2.c "version 0" checkpoint. RMSNorm's epsilon (1e-5) and the rotary base
    /// (10000) are not in the file; they are llama2.c's constants.
    ///
    /// # Errors
    /// An unreadable file, a header of impossible sizes, or a length that the header contradicts.
    pub fn load_llama2c(path: &Path) -> Result<Self, ModelError> {
        let bytes = fs::read(path).map_err(|source| ModelError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let (arch, weights) = parse(&bytes)
            .map_err(|problem| ModelError::Damaged { path: path.to_owned(), problem })?;
        Model::new(arch, weights)
    }
}

fn parse(bytes: &[u8]) -> Result<(Arch, Vec<f32>), String> {
    let arch = read_header(bytes)?;
    let layout = Layout::of(&arch);
    let rotary_tables = arch.context * arch.head_width;
    let expected = HEADER_BYTES + 4 * (layout.len + rotary_tables);
    if bytes.len() != expected {
        return Err(format!("expected {expected} bytes by its header, found {}", bytes.len()));
    }
    let (floats, _) = bytes[HEADER_BYTES..].as_chunks::<4>();
    let mut floats = floats.iter().map(|four| f32::from_le_bytes(*four));
    let mut weights = vec![0.0; layout.len];
    for name in file_order(arch.layers, arch.tied) {
        // The classifier stands behind the rotary tables.
        if name == "lm_head.weight" {
            floats.by_ref().take(rotary_tables).for_each(drop);
        }
        let spec = layout.tensors.iter().find(|spec| spec.name == name);
        let range = spec.ok_or_else(|| format!("no place for `{name}`"))?.range.clone();
        let tensor = &mut weights[range];
        tensor.iter_mut().zip(floats.by_ref()).for_each(|(slot, value)| *slot = value);
        if name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight") {
            split_rotary_halves(tensor, arch.head_width, arch.width);
        }
    }
    Ok((arch, weights))
}

fn read_header(bytes: &[u8]) -> Result<Arch, String> {
    let header = bytes.get(..HEADER_BYTES).ok_or("it is shorter than its header of 28 bytes")?;
    let (fields, _) = header.as_chunks::<4>();
    let fields: Vec<i32> = fields.iter().map(|four| i32::from_le_bytes(*four)).collect();
    // A negative vocabulary says that the classifier has weights of its own.
    let tied = fields[5] > 0;
    let sizes: Vec<usize> = fields.iter().map(|field| field.unsigned_abs() as usize).collect();
    let &[width, mlp_width, layers, heads, kv_heads, vocabulary, context] = sizes.as_slice() else {
        return Err("its header is no llama2.c header".to_owned());
    };
    let plausible = (1..=1 << 20).contains(&width)
        && (1..=1 << 20).contains(&mlp_width)
        && (1..=1 << 10).contains(&layers)
        && (1..=1 << 24).contains(&vocabulary)
        && (1..=1 << 24).contains(&context)
        && heads >= 1
        && kv_heads >= 1
        && width % heads == 0
        && width / heads % 2 == 0
        && heads % kv_heads == 0;
    if !plausible || fields.iter().enumerate().any(|(i, field)| i != 5 && *field < 0) {
        return Err(format!("its header is no llama2.c \"version 0\" header: {fields:?}"));
    }
    Ok(Arch {
        family: "llama".to_owned(),
        width,
        layers,
        heads,
        kv_heads,
        head_width: width / heads,
        mlp_width,
        vocabulary,
        context,
        norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tied,
        variant: Variant::default(),
    })
}

/// HF names of the tensors in the order in which the file holds them.
fn file_order(layers: usize, tied: bool) -> Vec<String> {
    let mut names = vec!["model.embed_tokens.weight".to_owned()];
    for kind in LAYER_KINDS {
        names.extend((0..layers).map(|layer| format!("model.layers.{layer}.{kind}.weight")));
    }
    names.push("model.norm.weight".to_owned());
    if !tied {
        names.push("lm_head.weight".to_owned());
    }
    names
}

/// Reorders the rows of every head from pairs `(2i, 2i+1)` to pairs `(i, i + E/2)`.
/// `matrix: [heads·E, D]`.
fn split_rotary_halves(matrix: &mut [f32], head_width: usize, width: usize) {
    for head in matrix.chunks_exact_mut(head_width * width) {
        let interleaved = head.to_vec();
        for (row, source) in interleaved.chunks_exact(width).enumerate() {
            let place = row / 2 + (row % 2) * (head_width / 2);
            head[place * width..][..width].copy_from_slice(source);
        }
    }
}

#[cfg(test)]
mod tests;
