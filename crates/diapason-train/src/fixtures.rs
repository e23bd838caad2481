//! Tiny models and toy tasks for the tests of this crate.

use crate::{Sequence, TrainSettings};
use diapason_flow::{Streams, Tokens};
use diapason_model::{Arch, Model};
use rand::RngExt;

/// Token ids of the toy language: begin, end of turn, then inputs and outputs.
const BEGIN: u32 = 0;
const END: u32 = 1;
const INPUTS: u32 = 8;

pub(crate) fn arch() -> Arch {
    Arch {
        family: "llama".to_owned(),
        width: 16,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_width: 8,
        mlp_width: 24,
        vocabulary: 32,
        context: 64,
        norm_epsilon: 1e-5,
        rope_theta: 1e4,
        tied: true,
        variant: diapason_model::Variant::default(),
    }
}

pub(crate) fn model() -> Model {
    Model::random(arch(), &Streams::new(5)).unwrap()
}

/// `turns` turns of (input i, output i + shift, end), learned outputs and ends, after a prefix of
/// begin and one token that names the task.
pub(crate) fn toy(shift: u32, turns: u32, index: u64) -> Sequence {
    let mut stream = Streams::new(11).stream("toy", index);
    let mut tokens = Tokens::default();
    tokens.push(BEGIN, false, None);
    tokens.push(2 + shift, false, None);
    for turn in 0..turns {
        let input = stream.random_range(0..INPUTS);
        tokens.push(8 + input, false, Some(turn));
        tokens.push(16 + (input + shift) % INPUTS, true, Some(turn));
        tokens.push(END, true, Some(turn));
    }
    Sequence { task: format!("shift-{shift}"), tokens, soft: None }
}

/// Sequences of two toy tasks with different numbers of turns.
pub(crate) fn toys(count: u64) -> Vec<Sequence> {
    (0..count).map(|index| toy(1 + (index % 2) as u32, 2 + (index % 5) as u32, index)).collect()
}

pub(crate) fn settings() -> TrainSettings {
    TrainSettings {
        tokens_per_step: 128,
        micro_batch_tokens: 64,
        max_sequence_tokens: 64,
        learning_rate: 1e-2,
        warmup_steps: 3,
        held_out_every_steps: 0,
        checkpoint_every_steps: 0,
        ..TrainSettings::default()
    }
}
