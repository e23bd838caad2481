//! The only door to tables: sources, tasks, synthetic processes, episodes, mixing.

pub mod synthetic;
