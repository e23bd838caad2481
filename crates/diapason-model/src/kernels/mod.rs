//! The narrow boundary to the machine: everything that touches many numbers is behind it.
//!
//! Above it, the decoder speaks of buffers and shapes; below it are matrix products, attention and
//! loops over rows, written for the widest vectors the machine has. Nothing here depends on the
//! number of threads: each result element has one order of summation, whatever the split of work.

mod adapter;
mod apart;
mod attention;
mod bytes;
mod cached;
mod elementwise;
mod exp;
mod gated;
mod head_norm;
mod logits;
mod loss;
mod norm;
mod number;
mod pack;
mod pairs;
mod product;
mod reduce;
mod rope;
mod shared;
mod team;
#[cfg(test)]
mod tests;
mod tile;
mod way;

pub(crate) use adapter::{add_columns, drop_out};
pub(crate) use attention::{Attended, Heads, Sight, attend, attend_backward};
pub(crate) use bytes::{BLOCK, BLOCK_BYTES, adamw_update_bytes, mix};
pub(crate) use cached::{Outlook, Reading, Visible, attend_cached};
pub(crate) use elementwise::{
    AdamWBuffers, AdamWConstants, adamw_update, add, add_row_sums, add_rows_to_table, gather_rows,
    narrow_rows, repeat_row, scale, scatter_rows, square_sum, widen_rows,
};
pub(crate) use gated::{gated, gated_backward};
pub(crate) use head_norm::{RawHeads, head_norm_partial_len, norm_heads, norm_heads_backward};
pub use logits::{LogSoftmax, largest_logit, sum_weights, weigh_logits};
pub(crate) use loss::{Target, cross_entropy};
pub(crate) use norm::{NormGradients, NormWeight, norm, norm_backward, norm_partial_len};
pub(crate) use number::Number;
#[cfg(test)]
pub(crate) use number::rounded_plainly;
pub(crate) use pack::View;
pub(crate) use pairs::bf16_of;
pub(crate) use product::{
    Begin, PRODUCT_SCRATCH, Packed, SHARED, packed_len, product, product_packed,
};
pub(crate) use rope::Ropes;
pub(crate) use shared::SharedMut;
pub(crate) use team::Team;
pub use way::ProductPrecision;
pub(crate) use way::Way;

/// The vector instructions of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Whatever the target's baseline has.
    Baseline,
    /// 8 lanes and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best level of this machine.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                return Level::Avx512;
            }
            if avx2 {
                return Level::Avx2;
            }
        }
        Level::Baseline
    }

    /// Whether this machine multiplies pairs of bfloat16 by itself at this level.
    pub(crate) fn multiplies_pairs(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self == Level::Avx512 {
            return is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw");
        }
        false
    }
}

/// Defines a function that is compiled once for each [`Level`] and takes the level first. The body
/// is ordinary code which the compiler vectorises; it uses no fused operations, so its results are
/// the same at every level.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name(level: $crate::kernels::Level, $($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $out)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $out)? { body($($arg),*) }
            match level {
                $crate::kernels::Level::Baseline => body($($arg),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a level is only ever made by detection of these features.
                $crate::kernels::Level::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a level is only ever made by detection of these features.
                $crate::kernels::Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(crate) use vectorised;
