//! Shapes that unit tests share.

use crate::{Arch, Variant};

/// A tiny Llama.
pub(crate) fn arch(tied: bool) -> Arch {
    Arch {
        family: "llama".to_owned(),
        width: 8,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_width: 4,
        mlp_width: 12,
        vocabulary: 11,
        context: 16,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied,
        variant: Variant::default(),
    }
}
