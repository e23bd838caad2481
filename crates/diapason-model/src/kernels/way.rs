//! How a product is computed: with which instructions, of operands rounded to what.

use super::Level;

/// What the operands of the decoder's matrix products are rounded to. Sums are kept in f32, and so
/// is everything that is not a matrix product: attention, norms, activations, losses, weights.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ProductPrecision {
    /// They stay as they are.
    #[default]
    F32,
    /// To the nearest bfloat16: twice as fast where the processor multiplies pairs of them
    /// (AVX-512 BF16), of the same results elsewhere; packed copies of weights take half the memory.
    Bf16,
}

impl ProductPrecision {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// How operands lie in packed panels, and which instructions multiply them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operands {
    /// A word is one number.
    F32,
    /// A is f32, B bfloat16, which become f32 as they are read: the sums are those of f32. A word of
    /// B is two neighbours of a line.
    Halves,
    /// A word is two numbers that follow each other along the sum, the earlier in its lower half.
    Bf16 {
        /// Whether the processor multiplies pairs by itself.
        dots: bool,
    },
}

/// Instructions and operands of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub level: Level,
    pub operands: Operands,
}

impl From<Level> for Way {
    fn from(level: Level) -> Self {
        Way { level, operands: Operands::F32 }
    }
}

impl Way {
    pub(crate) fn new(level: Level, precision: ProductPrecision) -> Self {
        let operands = match precision {
            ProductPrecision::F32 => Operands::F32,
            ProductPrecision::Bf16 => Operands::Bf16 { dots: level.multiplies_pairs() },
        };
        Way { level, operands }
    }

    /// Numbers along the sum for each word of a column: two where a number takes half a word.
    pub(super) fn per_word(self) -> usize {
        if self.operands == Operands::F32 { 1 } else { 2 }
    }

    /// Words of a sum over `k` numbers.
    pub(crate) fn words(self, k: usize) -> usize {
        k.div_ceil(self.per_word())
    }

    /// How A is packed; `None` if in lines of rounded numbers, two for a word of B.
    pub(super) fn of_left(self) -> Option<Way> {
        match self.operands {
            Operands::Bf16 { dots: false } => None,
            Operands::Halves => Some(self.level.into()),
            _ => Some(self),
        }
    }

    /// Lines of a packed panel of A over `k` numbers.
    pub(super) fn lines(self, k: usize) -> usize {
        self.of_left().map_or(2 * self.words(k), |way| way.words(k))
    }

    /// Steps of a sum over `k` numbers: words of B, or lines where these hold halves.
    pub(super) fn steps(self, k: usize) -> usize {
        if self.operands == Operands::Halves { k } else { self.words(k) }
    }
}
