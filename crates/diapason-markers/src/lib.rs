//! Markers: what a training-time marker list looks like and how it is read back
//! (Treasure Hunt, arXiv 2506.14702).
//!
//! ```
//! use diapason_flow::Markers;
//! use diapason_markers::{print_list, split_list};
//!
//! let mut markers = Markers::default();
//! markers.set("lang", "French");
//! let list = print_list(&markers);
//! assert_eq!(list, "<MARKER_LIST> <lang> French </lang> </MARKER_LIST>");
//! let split = split_list("<MARKER_LIST> <lang> French </lang> </MARKER_LIST>\nBonjour");
//! assert_eq!((split.markers, split.text, split.closed), (markers, "Bonjour", true));
//! ```

mod annotate;
mod code;
mod count;
mod dropout;
mod error;
#[cfg(test)]
mod fixtures;
mod format;
mod language;
mod levers;
mod list;
mod prompt;
mod provenance;
mod quality;
mod row;
mod statistics;
mod tagger;
mod taxonomy;
mod trained;
mod typed;
mod writer;

pub use annotate::Annotator;
pub use code::CodeDetector;
pub use count::{Counter, Lengths, length_bucket};
pub use dropout::{Dropout, Lists, Order};
pub use error::MarkerError;
pub use format::formats;
pub use language::{Detected, Detector};
pub use levers::{Filling, Frequencies, Levers};
pub use list::{SEPARATOR, Split, print_list, split_list};
pub use prompt::{Prompt, Reading, TAGGED, approximate_tokens};
pub use provenance::Provenance;
pub use quality::Quartiles;
pub use row::{
    Output, RowError, annotate_row, annotate_row_with, examples_of_row, markers_of_row,
    outputs_of_row,
};
pub use statistics::{Joint, MarkerSummary, Statistics, Summary, TAIL_SHARE, ValueShare, page};
pub use tagger::{Accuracy, ClassAccuracy, Example, FitSettings, Tagger, fit};
pub use taxonomy::{BUILT_IN, Entry, Kind, Marker, Measure, Taxonomy};
pub use trained::Trained;
pub use typed::{Parsed, Typed, Value};
pub use writer::{Step, Writer};
