//! The types that flow between the rooms of diapason, and nothing else.
//!
//! ```text
//! Episode ─render→ Marked ─tokenise→ Tokens ─pack→ Pack ─step→ checkpoint
//!                                    Tokens ─────→ Request ─Lm::ask→ Answer
//! ```
//!
//! * [`Episode`]: draws from one data-generating process, as text.
//! * [`Marked`]: the rendered text with a learn flag for every span.
//! * [`Tokens`]: ids, learn flags and turn numbers of one sequence.
//! * [`Pack`]: many sequences laid end to end for one training step.
//! * [`Request`], [`Answer`], [`Lm`]: what can be asked of any language model.
//! * [`Streams`]: every random number of a run, derived from one seed.
//! * [`escape_html`]: text on pages.
//! * [`Artifact`], [`Stamp`]: folders that say how they were made.
//! * [`in_order`]: work on many items on some threads, with the same results on any number.

mod artifact;
mod episode;
mod html;
mod interchange;
mod lm;
mod markers;
mod random;
mod report;
mod sequence;
mod threads;

pub use artifact::{Artifact, ArtifactError, Fingerprint, Stamp, write_atomically};
pub use episode::{Check, Episode, Goal, LossPolicy, Query, Turn};
pub use html::escape_html;
pub use interchange::{InterchangeError, episode_from_json, episode_to_json};
pub use lm::{
    Answer, Ask, Constraint, Lm, LmError, OptionScore, Request, Sample, Sampling, Stop, TokenScore,
};
pub use markers::{MarkerValue, Markers};
pub use random::{Stream, Streams};
pub use report::{Comparison, CurvePoint, Estimate, Results};
pub use sequence::{Marked, Pack, Role, Span, Tokens};
pub use threads::in_order;
