//! The loss on held-out sequences, task by task.

use crate::pack::lay;
use crate::plan::Corpus;
use crate::{HeldOutReport, TaskLoss};
use diapason_model::{Device, Model, ModelError, Workspace};
use std::collections::BTreeMap;

/// Mean nats over the targets of every task, computed in packs of at most `budget_tokens`.
pub(crate) fn measure(
    model: &Model,
    device: &Device,
    workspace: &mut Workspace,
    corpus: &Corpus<'_>,
    budget_tokens: usize,
    step: u64,
) -> Result<HeldOutReport, ModelError> {
    let mut tasks: BTreeMap<String, TaskLoss> = BTreeMap::new();
    for batch in corpus.batches(budget_tokens) {
        let pack = lay(batch.clone().map(|index| corpus.tokens(index)), |_| 1.0);
        let nats = model.token_nats(device, &pack, workspace)?;
        for (index, segment) in batch.zip(pack.segments()) {
            let task = tasks.entry(corpus.task(index).to_owned()).or_default();
            for token in segment.filter(|&token| pack.learn()[token] > 0.0) {
                task.loss_nats += f64::from(nats[token]);
                task.learned_tokens += 1;
            }
        }
    }
    let sum: f64 = tasks.values().map(|task| task.loss_nats).sum();
    let count: u64 = tasks.values().map(|task| task.learned_tokens).sum();
    for task in tasks.values_mut() {
        task.loss_nats /= task.learned_tokens as f64;
    }
    Ok(HeldOutReport { step, loss_nats: sum / count as f64, tasks })
}
