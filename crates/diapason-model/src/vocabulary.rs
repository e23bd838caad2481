//! A larger vocabulary for a model: rows for tokens that its tokenizer gained.

use crate::{Arch, Layout, Model, ModelError, Weights};

impl Model {
    /// The same model with `vocabulary` rows in its embedding and output head. New rows are the
    /// mean of the old ones: as likely as an average token, and known to nothing.
    ///
    /// # Errors
    /// [`ModelError::Arch`] if that would take rows away.
    pub fn with_vocabulary(&self, vocabulary: usize) -> Result<Self, ModelError> {
        let old = self.arch.vocabulary;
        if vocabulary < old {
            let problem = format!("{vocabulary} tokens are fewer than the model's {old}");
            return Err(ModelError::Arch { problem });
        }
        let arch = Arch { vocabulary, ..self.arch.clone() };
        let layout = Layout::of(&arch);
        let mut weights = Vec::with_capacity(layout.len);
        for tensor in &self.layout.tensors {
            let values = self.weights.part(tensor.range.clone()).wide();
            weights.extend_from_slice(&values);
            if tensor.range == self.layout.embed || tensor.range == self.layout.head {
                let mean = mean_row(&values, self.arch.width);
                (old..vocabulary).for_each(|_| weights.extend_from_slice(&mean));
            }
        }
        Model::new(arch, Weights::from(weights).held_in(self.weights.precision()))
    }
}

fn mean_row(rows: &[f32], width: usize) -> Vec<f32> {
    let count = (rows.len() / width) as f64;
    (0..width)
        .map(|column| {
            let sum: f64 = rows.iter().skip(column).step_by(width).map(|v| f64::from(*v)).sum();
            (sum / count) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diapason_flow::Streams;

    #[test]
    fn old_rows_and_all_other_tensors_stay() {
        for tied in [true, false] {
            let arch = Arch {
                family: "llama".to_owned(),
                width: 8,
                layers: 1,
                heads: 2,
                kv_heads: 1,
                head_width: 4,
                mlp_width: 12,
                vocabulary: 5,
                context: 16,
                norm_epsilon: 1e-5,
                rope_theta: 10_000.0,
                tied,
                variant: crate::Variant::default(),
            };
            let model = Model::random(arch, &Streams::new(1)).unwrap();
            let larger = model.with_vocabulary(7).unwrap();
            for (old, new) in model.layout.tensors.iter().zip(&larger.layout.tensors) {
                assert_eq!(old.name, new.name);
                let (old, new) =
                    (model.weights.part(old.range.clone()), larger.weights.part(new.range.clone()));
                assert_eq!(old, new.part(0..old.len()));
            }
            let head = larger.weights.part(larger.layout.head.clone()).wide();
            let mean = mean_row(&model.weights.part(model.layout.head.clone()).wide(), 8);
            assert_eq!(&head[5 * 8..6 * 8], mean);
            assert!(matches!(larger.with_vocabulary(5), Err(ModelError::Arch { .. })));
        }
    }
}
