//! The engine from outside, on a tiny model.

mod common;
mod constraints;
mod forced;
mod prefixes;
mod refusals;
mod sampling;
mod twins;
