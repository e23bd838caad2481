//! One thread owns a model and answers requests in token ids: samples, option scores, traces.
//!
//! ```text
//! ask(requests) ─check→ groups of one prompt ─admit→ lanes (draws, tries of options)
//!        ▲                                              │ every step: one batch of tokens
//!        └──────────────── answers ◀── logits ◀─────────┘
//! ```
//!
//! * [`Engine`]: the thread, its channel, and [`Lm`](diapason_flow::Lm).
//! * `check`: what is refused before anything runs.
//! * `schedule`: which tokens run in the next batch, and how much of the cache they may use.
//! * `prefixes`: beginnings that prompts share, read once and kept for later ones.
//! * `group`: requests with the same prompt, read once; `draws`, `trie`: what runs below it.
//! * `rank`, `choose`: logits → the likeliest and the drawn tokens.
//!
//! Everything is computed in an order that depends on the request alone, so an answer has the same
//! bits alone, beside any neighbours, and on any number of threads.

mod check;
mod choose;
mod constrain;
mod draws;
mod engine;
mod group;
mod prefixes;
mod rank;
mod schedule;
mod trie;

pub use engine::{Adapted, Engine, EngineSettings};
pub use prefixes::Statistics;
