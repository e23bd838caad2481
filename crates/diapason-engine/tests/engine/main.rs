//! The engine from outside, on a tiny model.

mod common;
mod refusals;
mod sampling;
mod twins;
