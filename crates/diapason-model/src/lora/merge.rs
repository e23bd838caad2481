//! A model with an adapter folded into its weights.

use super::{Adapter, Linear, Site};
use crate::forward::matrix;
use crate::kernels::{add_columns, product};
use crate::{Arch, Device, Layout, Model, ModelError, ProductPrecision};
use std::ops::Range;

impl Model {
    /// The base with `W + s·B·A` in place of `W`, in f32 whatever the base is held in and on any
    /// device, without adapters. Where embedding and head are
    /// one tensor and one of them is adapted, they become two.
    ///
    /// # Errors
    /// [`ModelError::Adapter`] if the adapter was made for another shape.
    pub fn merged(&self, device: &Device, adapter: &Adapter) -> Result<Self, ModelError> {
        let device = &device.with_products(ProductPrecision::F32);
        let mut check = Model { adapters: Vec::new(), ..self.clone() };
        check.attach(adapter.clone())?;
        let apart = self.arch.tied
            && [Site::Embed, Site::Head].iter().any(|site| adapter.pair(*site).is_some());
        let mut merged = Model { adapters: Vec::new(), ..check };
        if apart {
            merged.arch = Arch { tied: false, ..merged.arch };
            merged.layout = Layout::of(&merged.arch);
            // The head is the last tensor of a layout.
            merged.weights.wide_mut().extend_from_within(self.layout.embed.clone());
        }
        for (site, pair) in &adapter.pairs {
            let (rank, (input, out)) = (adapter.settings.rank, pair.shape);
            let a = matrix(&adapter.weights[pair.a.clone()], rank, input);
            let b = matrix(&adapter.weights[pair.b.clone()], out, rank);
            let mut change = vec![0.0; input * out];
            if *site == Site::Embed {
                product(device, &mut change, a.transposed(), b.transposed(), false);
            } else {
                product(device, &mut change, b, a, false);
            }
            let range = merged.weight_of(*site);
            let width = if *site == Site::Embed { out } else { input };
            let target = (&mut merged.weights.wide_mut()[range], width, 0);
            add_columns(device, target, (&change, width), adapter.settings.scale());
        }
        Ok(merged)
    }

    /// The weight of a module.
    pub(super) fn weight_of(&self, site: Site) -> Range<usize> {
        let part = |whole: &Range<usize>, rows: Range<usize>| {
            whole.start + rows.start * self.arch.width..whole.start + rows.end * self.arch.width
        };
        let (layer, linear) = match site {
            Site::Embed => return self.layout.embed.clone(),
            Site::Head => return self.layout.head.clone(),
            Site::Layer(layer, linear) => (layer, linear),
        };
        let ranges = &self.layout.layers[layer];
        let (queries, keys) =
            (self.arch.heads * self.arch.head_width, self.arch.kv_heads * self.arch.head_width);
        let m = self.arch.mlp_width;
        match linear {
            Linear::Q => part(&ranges.qkv, 0..queries),
            Linear::K => part(&ranges.qkv, queries..queries + keys),
            Linear::V => part(&ranges.qkv, queries + keys..queries + 2 * keys),
            Linear::O => ranges.o.clone(),
            Linear::Gate => part(&ranges.gate_up, 0..m),
            Linear::Up => part(&ranges.gate_up, m..2 * m),
            Linear::Down => ranges.down.clone(),
        }
    }
}
