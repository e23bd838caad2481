//! What a run will do: which pieces exist, in which order they come, where the steps end.

use crate::memory::{Batch, MemoryPlan};
use crate::pack::{cut, runs};
use crate::soft::{self, Piece};
use crate::{Sequence, TrainError, TrainSettings};
use diapason_flow::{Fingerprint, Streams, Tokens};
use diapason_model::{Adapter, Arch};
use rand::RngExt;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a run will do, for the reader before it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// One entry a task, sorted by name.
    pub tasks: BTreeMap<String, TaskPlan>,
    /// Optimiser steps of the whole run.
    pub total_steps: u64,
    /// Micro-batches of the whole run.
    pub micro_batches: u64,
    /// Tokens of the whole run, over all epochs.
    pub total_tokens: u64,
    /// Targets of the whole run, over all epochs.
    pub total_learned_tokens: u64,
    /// Longest sequence allowed, in tokens: the setting or the model's context.
    pub max_sequence_tokens: usize,
    /// Memory that the run will hold.
    pub memory: MemoryPlan,
}

/// What a task brings to one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TaskPlan {
    /// Sequences after cutting.
    pub sequences: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Their targets.
    pub learned_tokens: u64,
    /// Sequences given that were too long and were cut or shortened.
    pub cut_sequences: u64,
    /// Sequences given of which nothing could be kept.
    pub dropped_sequences: u64,
    /// Turns that fit no piece.
    pub dropped_turns: u64,
    /// Sequences whose end is learned from all options.
    pub soft_targets: u64,
    /// Targets lost by cutting and dropping.
    pub dropped_learned_tokens: u64,
}

impl Plan {
    /// The plan of a run, without running it.
    ///
    /// # Errors
    /// Settings or sequences that [`crate::train`] would refuse.
    pub fn of(
        arch: &Arch,
        sequences: &[Sequence],
        settings: &TrainSettings,
    ) -> Result<Self, TrainError> {
        settings.validate()?;
        let corpus = Corpus::new(arch, sequences, settings)?;
        let steps = Steps::new(&corpus, settings);
        let adapter = match &settings.lora {
            Some(lora) => Some(Adapter::new(arch, lora, &Streams::new(settings.seed))?),
            None => None,
        };
        let batch = steps.largest_batch(&corpus);
        let memory = MemoryPlan::of(arch, adapter.as_ref(), settings, (batch, 1))?;
        Ok(Plan::new(&corpus, &steps, memory))
    }

    pub(crate) fn new(corpus: &Corpus<'_>, steps: &Steps, memory: MemoryPlan) -> Self {
        let learned = |index: &u32| corpus.tokens(*index).learned() as u64;
        Plan {
            tasks: corpus.tasks.clone(),
            total_steps: steps.len(),
            micro_batches: (1..=steps.len()).map(|step| steps.batches(step).len() as u64).sum(),
            total_tokens: steps.order.iter().map(|&index| corpus.piece(index).len() as u64).sum(),
            total_learned_tokens: steps.order.iter().map(learned).sum(),
            max_sequence_tokens: corpus.limit,
            memory,
        }
    }
}

/// The sequences of a run, cut to length.
pub(crate) struct Corpus<'a> {
    pub(crate) tasks: BTreeMap<String, TaskPlan>,
    pieces: Vec<Piece<'a>>,
    limit: usize,
    /// Share of the loss that options bear, and the tokens that a piece may have with them.
    soft: (f64, usize),
}

impl<'a> Corpus<'a> {
    /// Checks and cuts all sequences. No sequences make an empty corpus.
    ///
    /// # Errors
    /// The first sequence with nothing to learn or with an unknown token; sequences of which none
    /// has a piece that fits.
    pub(crate) fn new(
        arch: &Arch,
        sequences: &'a [Sequence],
        settings: &TrainSettings,
    ) -> Result<Self, TrainError> {
        let limit = settings.max_sequence_tokens.min(arch.context);
        let soft = (settings.soft_targets.unwrap_or(0.0), settings.micro_batch_tokens);
        let mut corpus = Corpus { tasks: BTreeMap::new(), pieces: Vec::new(), limit, soft };
        for (index, sequence) in sequences.iter().enumerate() {
            check(index, sequence, arch.vocabulary)?;
            corpus.add(sequence);
        }
        if corpus.pieces.is_empty() && !sequences.is_empty() {
            let sequences = sequences.len();
            return Err(TrainError::NothingFits { sequences, max_sequence_tokens: limit });
        }
        Ok(corpus)
    }

    fn add(&mut self, sequence: &'a Sequence) {
        if !self.tasks.contains_key(&sequence.task) {
            self.tasks.insert(sequence.task.clone(), TaskPlan::default());
        }
        let task = self.tasks.get_mut(&sequence.task).expect("it was inserted above");
        let first = self.pieces.len();
        if sequence.tokens.len() <= self.limit {
            let (share, budget) = self.soft;
            let soft = (sequence.soft.as_ref(), share);
            let room = (self.limit, budget);
            let piece = Piece::whole(&sequence.task, &sequence.tokens, soft, room);
            task.soft_targets += u64::from(piece.soft.is_some());
            self.pieces.push(piece);
        } else {
            let cut = cut(&sequence.tokens, self.limit);
            task.dropped_turns += cut.dropped_turns as u64;
            let dropped = cut.pieces.is_empty();
            task.dropped_sequences += u64::from(dropped);
            task.cut_sequences += u64::from(!dropped);
            let pieces = cut.pieces.into_iter();
            let task = sequence.task.as_str();
            let pieces =
                pieces.map(|tokens| Piece { task, tokens: Cow::Owned(tokens), soft: None });
            self.pieces.extend(pieces);
        }
        let mut kept = 0;
        for piece in &self.pieces[first..] {
            task.sequences += 1;
            task.tokens += piece.len() as u64;
            kept += piece.tokens.learned() as u64;
        }
        task.learned_tokens += kept;
        task.dropped_learned_tokens += sequence.tokens.learned() as u64 - kept;
    }

    /// Number of pieces.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// A piece.
    pub(crate) fn piece(&self, index: u32) -> &Piece<'a> {
        &self.pieces[index as usize]
    }

    /// Tokens of a piece, without options.
    pub(crate) fn tokens(&self, index: u32) -> &Tokens {
        &self.piece(index).tokens
    }

    /// Task of a piece.
    pub(crate) fn task(&self, index: u32) -> &'a str {
        self.piece(index).task
    }

    /// Tasks of some pieces, sorted, each once.
    pub(crate) fn tasks_of(&self, pieces: &[u32]) -> Vec<String> {
        let names: BTreeSet<&str> = pieces.iter().map(|&index| self.task(index)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Consecutive runs of all pieces, in order, for measuring.
    pub(crate) fn batches(&self, budget_tokens: usize) -> Vec<Range<u32>> {
        let runs = runs(self.pieces.iter().map(|piece| piece.tokens.len()), budget_tokens);
        runs.into_iter().map(|run| run.start as u32..run.end as u32).collect()
    }

    /// The largest of these runs.
    pub(crate) fn largest_batch(&self, budget_tokens: usize) -> Batch {
        let batches = self.batches(budget_tokens).into_iter().map(|run| {
            let tokens = || run.clone().map(|index| self.tokens(index));
            let targets = tokens().map(Tokens::learned).sum();
            Batch { tokens: tokens().map(Tokens::len).sum(), targets }
        });
        batches.fold(Batch::default(), Batch::or)
    }

    /// Hash of everything that is trained on.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut all = String::new();
        for Piece { task, tokens, soft } in &self.pieces {
            let mut bytes = task.as_bytes().to_vec();
            for (id, learn) in tokens.ids().iter().zip(tokens.learn()) {
                bytes.extend(id.to_le_bytes());
                bytes.push(u8::from(*learn));
            }
            if let Some((target, _)) = soft {
                bytes.extend(format!("{target:?}").into_bytes());
            }
            all.push_str(&Fingerprint::of(&bytes).0);
        }
        Fingerprint::of(all.as_bytes())
    }
}

fn check(index: usize, sequence: &Sequence, vocabulary: usize) -> Result<(), TrainError> {
    let task = || sequence.task.clone();
    if sequence.tokens.learned() == 0 {
        let tokens = sequence.tokens.len();
        return Err(TrainError::NothingToLearn { index, task: task(), tokens });
    }
    if let Some(&id) = sequence.tokens.ids().iter().find(|id| **id as usize >= vocabulary) {
        return Err(TrainError::Vocabulary { index, task: task(), id, vocabulary });
    }
    match &sequence.soft {
        Some(target) => soft::check((index, &sequence.task), target, &sequence.tokens, vocabulary),
        None => Ok(()),
    }
}

/// The order of the pieces over all epochs and the bounds of the steps.
///
/// Epochs follow each other without a break, so every step but the last is full.
pub(crate) struct Steps {
    /// Piece numbers in the order of training.
    order: Vec<u32>,
    /// Ranges of `order`, one a step.
    bounds: Vec<Range<usize>>,
    /// Ranges of `order`, one a micro-batch, of every step.
    batches: Vec<Vec<Range<usize>>>,
}

impl Steps {
    pub(crate) fn new(corpus: &Corpus<'_>, settings: &TrainSettings) -> Self {
        let mut order = order(corpus, settings);
        let lengths = order.iter().map(|&index| corpus.piece(index).len());
        let mut bounds = match settings.sequences_per_step {
            Some(sequences) => runs(order.iter().map(|_| 1), sequences),
            None => runs(lengths, settings.tokens_per_step),
        };
        if let Some(most) = settings.max_steps {
            bounds.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        order.truncate(bounds.last().map_or(0, |step| step.end));
        let batches = bounds
            .iter()
            .map(|step| {
                let pieces = &order[step.clone()];
                let lengths = pieces.iter().map(|&index| corpus.piece(index).len());
                let batches = runs(lengths, settings.micro_batch_tokens).into_iter();
                batches.map(|run| step.start + run.start..step.start + run.end).collect()
            })
            .collect();
        Steps { order, bounds, batches }
    }

    /// Number of steps.
    pub(crate) fn len(&self) -> u64 {
        self.bounds.len() as u64
    }

    /// The pieces of a step, counted from 1.
    pub(crate) fn pieces(&self, step: u64) -> &[u32] {
        &self.order[self.bounds[step as usize - 1].clone()]
    }

    /// The pieces of each micro-batch of a step, counted from 1.
    pub(crate) fn batches(&self, step: u64) -> Vec<&[u32]> {
        let batches = self.batches[step as usize - 1].iter();
        batches.map(|range| &self.order[range.clone()]).collect()
    }

    /// The largest micro-batch.
    pub(crate) fn largest_batch(&self, corpus: &Corpus<'_>) -> Batch {
        let batches = self.batches.iter().flatten().map(|range| {
            let pieces = || self.order[range.clone()].iter().map(|&index| corpus.piece(index));
            let tokens = pieces().map(Piece::len).sum();
            Batch { tokens, targets: pieces().map(Piece::targets).sum() }
        });
        batches.fold(Batch::default(), Batch::or)
    }
}

/// The pieces of all epochs, each shuffled by a stream of its own; no more epochs than
/// `max_steps` can use.
fn order(corpus: &Corpus<'_>, settings: &TrainSettings) -> Vec<u32> {
    let lengths = || (0..corpus.len() as u32).map(|index| corpus.piece(index).len() as u64);
    let (epoch_size, step_size) = if let Some(sequences) = settings.sequences_per_step {
        (corpus.len() as u64, sequences as u64)
    } else {
        let longest = lengths().max().unwrap_or(0);
        (lengths().sum(), longest.max(settings.tokens_per_step as u64))
    };
    let most = settings.max_steps.map_or(u64::MAX, |most| most.saturating_mul(step_size));
    let epochs = most.div_ceil(epoch_size.max(1)).min(u64::from(settings.epochs));
    let streams = Streams::new(settings.seed).within("train");
    let mut order = Vec::new();
    for epoch in 0..epochs {
        let first = order.len();
        order.extend(0..corpus.len() as u32);
        let mut stream = streams.stream("epoch", epoch);
        for last in (1..corpus.len()).rev() {
            order.swap(first + last, first + stream.random_range(0..=last));
        }
    }
    order
}

#[cfg(test)]
mod tests;
