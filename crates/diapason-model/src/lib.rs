//! The only door to tensors: one decoder, its kernels, its weights.

mod adamw;
mod arch;
mod backward;
mod blend;
mod cache;
mod checkpoint;
mod config;
mod device;
mod error;
mod extend;
#[cfg(test)]
mod fixtures;
mod forward;
mod init;
mod kernels;
mod layout;
mod learning;
mod llama2c;
mod lora;
mod memory;
mod model;
mod rate;
mod resident;
mod variant;
mod vocabulary;
mod weights;
mod workspace;

pub use adamw::{AdamW, AdamWSettings, MomentPrecision, Moments, global_norm};
pub use arch::Arch;
pub use blend::Blend;
pub use cache::{Cache, NodeId};
pub use checkpoint::Precision;
pub use config::{FAMILIES, Family, SpecialIds};
pub use device::Device;
pub use error::ModelError;
pub use extend::{EachRow, Feed, Want};
pub use kernels::{LogSoftmax, ProductPrecision, largest_logit, sum_weights, weigh_logits};
pub use layout::{LayerLayout, Layout, TensorSpec};
pub use learning::Learning;
pub use lora::{Adapter, LoraSettings};
pub use memory::TrainingRoom;
pub use model::{Model, PackLoss};
pub use rate::product_gflops;
pub use variant::{Activation, RopeScaling, Variant, Window};
pub use weights::{Numbers, WeightPrecision, Weights, WeightsMut, WeightsRef};
pub use workspace::{Activations, Workspace};
