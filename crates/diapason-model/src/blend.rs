//! New checkpoints from old ones, without a whole model in memory: rows of named tokens copied
//! from a sibling, and weighted averages.
//!
//! A base model has never trained the rows of the special tokens that its instruction-tuned
//! sibling uses; copying them lets tuning begin with tokens that mean something (Spectrum Tuning,
//! arXiv 2510.06084). Averages of models tuned from one base are as good as ensembles at the cost
//! of one (model soups, arXiv 2203.05482).

use crate::checkpoint::{Shelf, write_model};
use crate::{Arch, ModelError, Precision};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A checkpoint that can be made: everything is checked, nothing is written.
pub struct Blend {
    /// The first gives shape, special ids and, unless told otherwise, element types.
    shelves: Vec<Shelf>,
    how: How,
    precisions: Vec<Precision>,
}

enum How {
    /// The first model with these rows of the second.
    Rows(Vec<u32>),
    /// The average with these weights, which sum to one.
    Average(Vec<f32>),
}

impl Blend {
    /// The model of `target` with the rows `ids` of its input embedding and, where it has one of
    /// its own, of its output head taken from `sibling`. Element types are those of `target`,
    /// tensor by tensor, unless one is given.
    ///
    /// # Errors
    /// [`ModelError::Differ`] if the two are not of one shape, [`ModelError::Row`] for an id
    /// beyond the vocabulary, and those of [`crate::Model::load`].
    pub fn transplant(
        target: &Path,
        sibling: &Path,
        ids: &[u32],
        precision: Option<Precision>,
    ) -> Result<Self, ModelError> {
        let shelves = vec![Shelf::open(target)?, Shelf::open(sibling)?];
        // Contexts and rotary bases may differ: they leave the rows alone.
        let keys = [
            "vocabulary",
            "family",
            "tied",
            "width",
            "layers",
            "heads",
            "kv_heads",
            "head_width",
            "mlp_width",
        ];
        require_equal(&shelves[0], &shelves[1], Some(&keys))?;
        let rows = shelves[0].arch.vocabulary;
        if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
            return Err(ModelError::Row { row: *id as usize, rows });
        }
        Ok(Self::of(shelves, How::Rows(ids.to_vec()), precision))
    }

    /// The average of models with these weights, which are divided by their sum: `Σ wᵢ·xᵢ`, summed
    /// in f32 in the order given. Element types are those of the first model, tensor by tensor,
    /// unless one is given.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if there is no such average, [`ModelError::Differ`] if the models
    /// are not of one shape, and those of [`crate::Model::load`].
    pub fn soup(
        models: &[(PathBuf, f64)],
        precision: Option<Precision>,
    ) -> Result<Self, ModelError> {
        let weights = shares(models)?;
        let mut shelves = Vec::new();
        for (dir, _) in models {
            shelves.push(Shelf::open(dir)?);
            require_equal(&shelves[0], &shelves[shelves.len() - 1], None)?;
        }
        Ok(Self::of(shelves, How::Average(weights), precision))
    }

    fn of(shelves: Vec<Shelf>, how: How, precision: Option<Precision>) -> Self {
        let own = shelves[0].precisions();
        let precisions = precision.map_or(own.clone(), |precision| vec![precision; own.len()]);
        Blend { shelves, how, precisions }
    }

    /// Number of weights.
    pub fn parameters(&self) -> usize {
        self.shelves[0].layout.len
    }

    /// Element types of the file: one where all tensors have the same.
    pub fn precisions(&self) -> BTreeSet<Precision> {
        self.precisions.iter().copied().collect()
    }

    /// Writes weights and configs to a folder, each file atomically, a part of a tensor at a time.
    ///
    /// # Errors
    /// The system's, with the file.
    pub fn write(mut self, out: &Path) -> Result<(), ModelError> {
        let first = &self.shelves[0];
        let (arch, ids, layout) = (first.arch.clone(), first.ids.clone(), first.layout.clone());
        let (shelves, mut one) = (&mut self.shelves, Vec::new());
        write_model(out, (&arch, &ids), &layout, &self.precisions, |tensor, part, values| {
            match &self.how {
                How::Rows(ids) => with_rows(shelves, tensor, &part, ids, values),
                How::Average(weights) => average(shelves, tensor, &part, weights, &mut one, values),
            }
        })
    }
}

/// A part of a tensor of the first shelf, with rows of the second where it is a table of tokens.
fn with_rows(
    shelves: &mut [Shelf],
    tensor: usize,
    part: &Range<usize>,
    ids: &[u32],
    values: &mut [f32],
) -> Result<(), ModelError> {
    shelves[0].read(tensor, part, values)?;
    let (layout, width) = (&shelves[0].layout, shelves[0].arch.width);
    let range = &layout.tensors[tensor].range;
    if *range != layout.embed && *range != layout.head {
        return Ok(());
    }
    for id in ids {
        let row = *id as usize * width..(*id as usize + 1) * width;
        // A part may begin or end within a row.
        let shared = part.start.max(row.start)..part.end.min(row.end);
        if !shared.is_empty() {
            let place = shared.start - part.start..shared.end - part.start;
            shelves[1].read(tensor, &shared, &mut values[place])?;
        }
    }
    Ok(())
}

/// The weighted average of a part of a tensor; `one` is room for that of a single model.
fn average(
    shelves: &mut [Shelf],
    tensor: usize,
    part: &Range<usize>,
    weights: &[f32],
    one: &mut Vec<f32>,
    sum: &mut [f32],
) -> Result<(), ModelError> {
    sum.fill(0.0);
    one.resize(part.len(), 0.0);
    for (shelf, weight) in shelves.iter_mut().zip(weights) {
        shelf.read(tensor, part, one)?;
        for (sum, value) in sum.iter_mut().zip(&*one) {
            *sum += weight * value;
        }
    }
    Ok(())
}

/// The weights divided by their sum.
fn shares(models: &[(PathBuf, f64)]) -> Result<Vec<f32>, ModelError> {
    let weights: Vec<f64> = models.iter().map(|(_, weight)| *weight).collect();
    let sum: f64 = weights.iter().sum();
    let problem = if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
        "of which one is no number of at least 0"
    } else if sum <= 0.0 {
        "of which none is more than 0"
    } else {
        return Ok(weights.iter().map(|weight| (weight / sum) as f32).collect());
    };
    Err(ModelError::Weights { weights, problem })
}

/// Compares two shapes by some keys, or by all.
fn require_equal(one: &Shelf, two: &Shelf, keys: Option<&[&str]>) -> Result<(), ModelError> {
    let as_json = |arch: &Arch| {
        serde_json::to_value(arch).expect("a shape has no maps with keys that JSON lacks")
    };
    let (first, second) = (as_json(&one.arch), as_json(&two.arch));
    let all: Vec<&str> =
        first.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
    let differs = |key: &&&str| first[**key] != second[**key];
    let Some(key) = keys.unwrap_or(&all).iter().find(differs) else { return Ok(()) };
    let (first, second) = (&first[*key], &second[*key]);
    Err(ModelError::Differ {
        path: one.dir.clone(),
        other: two.dir.clone(),
        difference: format!("`{key}` is {first} in the one and {second} in the other"),
        hint: if *key == "vocabulary" {
            "rows of differing vocabularies stand for different tokens"
        } else {
            "the models must come from one base"
        },
    })
}

#[cfg(test)]
mod tests;
