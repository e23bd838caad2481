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

mod error;
mod list;
mod taxonomy;
mod typed;

pub use error::MarkerError;
pub use list::{SEPARATOR, Split, print_list, split_list};
pub use taxonomy::{BUILT_IN, Entry, Kind, Marker, Measure, Taxonomy};
pub use typed::{Parsed, Typed, Value};
