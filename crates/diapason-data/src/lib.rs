//! The only door to tables: sources, tasks, synthetic processes, episodes, mixing.
//!
//! ```text
//! raw files ─read→ SQLite tables ─a task's SQL→ rows of units ─sampling, wording→ Vec<Episode>
//! ```
//!
//! * [`Suite`]: the embedded tasks, or those of a folder; [`Suite::check`] says what is missing,
//!   [`Suite::build`] makes the episodes of one task.
//! * [`task`](mod@task): the format of a task file; [`source`](mod@source): of a source file;
//!   [`origin`](mod@origin): how its files are had; [`table`](mod@table): which are read and how.
//! * [`functions`](mod@functions): what a task's SQL can call beside SQLite's own.
//! * [`synthetic`]: processes whose distribution is known.
//! * [`read_episodes`], [`write_episodes`]: interchange as JSONL or Parquet.
//! * [`ParquetRows`], [`RowWriter`]: rows of any columns from and to Parquet.
//! * [`world`]: the small world of `diapason quickstart`, with its corpus of plain text.
//! * [`marked_world`]: a small world whose texts carry markers.
//! * [`mix`](fn@mix): many tasks as one training order.
//! * [`audit`](mod@audit): what training tasks share with the tasks that are measured on.

mod error;
mod spec;
mod suite;
mod wording;

pub mod audit;
pub mod build;
pub mod functions;
pub mod interchange;
pub mod marked_world;
pub mod mix;
pub mod origin;
pub mod source;
pub mod synthetic;
pub mod table;
pub mod task;
pub mod world;

pub use build::{BuildSettings, Limits};
pub use error::DataError;
pub use interchange::{
    Columns, ParquetRows, RowWriter, Written, read_episodes, write_episodes, write_rows,
};
pub use mix::{MixSettings, Mixed, TaskCount, mix};
pub use origin::{Origin, OriginFile, Repository};
pub use source::{Access, Source};
pub use suite::{DIFFERS_EVERYWHERE, MissingFile, Status, Suite};
pub use task::{Family, Kind, Length, Mode, OutputType, Sampling, Split, Task};
