//! The engine from outside, on a tiny model.

mod common;
mod constraints;
mod refusals;
mod sampling;
mod twins;
