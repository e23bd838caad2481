//! Tables of a user's own: sampled as told, in any memory, with errors that say where.

mod common;
mod errors;
mod sampling;
mod streaming;
