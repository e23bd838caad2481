//! The one renderer of diapason, for training, scoring, sampling and serving.
//!
//! ```text
//! Episode ─Template::render→ Marked ─Tokenizer::encode→ Tokens
//! ids ─Tokenizer::decode, Decoder::push→ text
//! ```
//!
//! * [`FAMILIES`]: one row a model family: its special strings and newline habits.
//! * [`Template`]: a family laid out as [`TemplateKind`] says; episodes become spans with exact
//!   loss flags ([`Marked`](diapason_flow::Marked)).
//! * [`Tokenizer`]: any byte-level or SentencePiece-like BPE `tokenizer.json`; data never becomes
//!   a special token.
//! * [`train_tokenizer`], [`import_llama2c`]: tokenizers of our own small models.
//! * [`paint`]: a rendering for people, learned spans marked.

mod encode;
mod error;
mod export;
mod family;
#[cfg(test)]
mod hostile;
mod llama2c;
mod merges;
mod paint;
mod pieces;
mod render;
mod split;
mod table;
mod template;
mod tokenizer;
mod train;

pub use error::TextError;
pub use family::{Begin, Chat, DocumentEnd, FAMILIES, Family, SystemTurn, family};
pub use llama2c::import_llama2c;
pub use paint::paint;
pub use pieces::Decoder;
pub use template::{MarkerSides, Template, TemplateKind};
pub use tokenizer::Tokenizer;
pub use train::train_tokenizer;
