//! The shape of a decoder: one value that says everything the one decoder needs to know.

use crate::{FAMILIES, ModelError, Variant};

/// Shape and constants of a decoder.
///
/// Legend used in this crate: `N` tokens of a batch, `D` width, `H` query heads, `K` key/value
/// heads, `E` head width, `M` MLP width, `V` vocabulary, `L` layers.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Arch {
    /// Name of the family in the `FAMILIES` table, which is HF's `model_type`: `llama`.
    pub family: String,
    /// D, width of the residual stream.
    pub width: usize,
    /// L, number of layers.
    pub layers: usize,
    /// H, number of query heads.
    pub heads: usize,
    /// K, number of key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// E, width of a head; even.
    pub head_width: usize,
    /// M, width of the gated MLP.
    pub mlp_width: usize,
    /// V, number of rows of the embedding.
    pub vocabulary: usize,
    /// Longest context in tokens.
    pub context: usize,
    /// Epsilon of RMSNorm.
    pub norm_epsilon: f32,
    /// Base of the rotary position embedding (half-split form, as in HF).
    pub rope_theta: f32,
    /// Whether the output head is the embedding.
    pub tied: bool,
    /// What the family computes besides; the default is plain Llama.
    #[serde(default)]
    pub variant: Variant,
}

impl Arch {
    /// Whether a decoder can have this shape.
    ///
    /// # Errors
    /// [`ModelError::Arch`] with what is wrong.
    pub fn check(&self) -> Result<(), ModelError> {
        let sizes = [
            ("width", self.width),
            ("layers", self.layers),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_width", self.head_width),
            ("mlp_width", self.mlp_width),
            ("vocabulary", self.vocabulary),
            ("context", self.context),
        ];
        let problem = if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            format!("{name} is 0")
        } else if !self.heads.is_multiple_of(self.kv_heads) {
            format!("{} query heads cannot share {} kv_heads evenly", self.heads, self.kv_heads)
        } else if !self.head_width.is_multiple_of(2) {
            format!("head_width {} is odd, but positions rotate pairs", self.head_width)
        } else if let Some(problem) = self.variant.problem(self.layers) {
            problem
        } else if let Some(problem) = self.family_problem() {
            problem
        } else {
            return Ok(());
        };
        Err(ModelError::Arch { problem })
    }

    /// A variant that its family does not have would be saved as something else.
    fn family_problem(&self) -> Option<String> {
        let Some(family) = FAMILIES.iter().find(|family| family.name == self.family) else {
            return Some(format!("`{}` is no known family", self.family));
        };
        let lacking = family.lacks(&self.variant, self.width)?;
        Some(format!("`{}` has no variant {lacking}", self.family))
    }
}
