//! The only door to tensors: one decoder, its kernels, its weights.

mod arch;
mod layout;

pub use arch::Arch;
pub use layout::{LayerLayout, Layout, TensorSpec};
