//! Copies of matrices in the order in which products read them, for a model that is asked often.
//!
//! A product packs its right operand, which costs a pass over the matrix: a fifth of the time where
//! few rows run, as in decoding. A copy made once saves that. The bits are the same.

use crate::forward::matrix;
use crate::kernels::{Number, Packed, Way, packed_len};
use crate::weights::of_either;
use crate::{Device, Model};
use std::collections::BTreeMap;
use std::ops::Range;

/// Packed copies of some matrices of one model.
pub(crate) struct Resident {
    /// Where the weights lie that were copied.
    weights: *const u8,
    /// How they lie, and so how products with them are computed.
    way: Way,
    /// By the place of each matrix in the weights.
    copies: BTreeMap<usize, Copied>,
}

// SAFETY: the address is only compared.
unsafe impl Send for Resident {}

struct Copied {
    data: Vec<f32>,
    /// Columns of the matrix, along which products sum, and its rows.
    shape: (usize, usize),
}

impl Resident {
    /// Copies of the matrices in the order of the layers, then of the head, as long as they fit in
    /// `budget_bytes` together, in the precision of the device's products.
    pub(crate) fn of(model: &Model, device: &Device, budget_bytes: usize) -> Self {
        let mut copies = BTreeMap::new();
        let way = of_either!(&model.weights, |values| way_of(values, device));
        let mut left = budget_bytes / size_of::<f32>();
        for (range, (rows, columns)) in matrices(model) {
            let words = packed_len(way.words(columns), rows);
            let Some(rest) = left.checked_sub(words) else { break };
            // A model that lacks weights is refused when it is asked.
            if range.end > model.weights.len() {
                break;
            }
            left = rest;
            let mut data = vec![0.0; words];
            of_either!(model.weights.part(range.clone()), |values| {
                let view = matrix(values, rows, columns).transposed();
                Packed::on(device, way, view, &mut data);
            });
            copies.insert(range.start, Copied { data, shape: (columns, rows) });
        }
        Resident { weights: model.weights.address(), way, copies }
    }

    /// Whether the copies are of this model's weights.
    pub(crate) fn is_of(&self, model: &Model) -> bool {
        self.weights == model.weights.address()
    }

    /// The copy of a matrix, if there is one.
    pub(crate) fn get(&self, range: &Range<usize>) -> Option<Packed<'_>> {
        let Copied { data, shape } = self.copies.get(&range.start)?;
        Some(Packed::kept(self.way, data, *shape))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.copies.values().map(|copy| size_of_val(&copy.data[..])).sum()
    }
}

/// How copies of such weights are kept.
fn way_of<T: Number>(_: &[T], device: &Device) -> Way {
    T::kept(device.way())
}

/// The matrices that products read, with their rows and columns.
fn matrices(model: &Model) -> Vec<(Range<usize>, (usize, usize))> {
    let arch = &model.arch;
    let (d, m, out) = (arch.width, arch.mlp_width, arch.heads * arch.head_width);
    let row = out + 2 * arch.kv_heads * arch.head_width;
    let layers = model.layout.layers.iter().flat_map(|layer| {
        [
            (layer.qkv.clone(), (row, d)),
            (layer.o.clone(), (d, out)),
            (layer.gate_up.clone(), (2 * m, d)),
            (layer.down.clone(), (d, m)),
        ]
    });
    let head = (model.layout.head.clone(), (arch.vocabulary, d));
    layers.chain(std::iter::once(head)).collect()
}
