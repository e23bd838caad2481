//! What can go wrong between text and tokens.

use crate::TemplateKind;
use std::io;
use std::path::PathBuf;

/// Why a text could not become tokens, or a tokenizer could not be loaded, made or saved.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// Reading or writing failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("`{}`: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer is of a kind that cannot be decoded without loss.
    #[error(
        "`{}`: {found} is not supported\n\nhint: diapason reads byte-level and SentencePiece-like tokenizers (GPT-2, Llama, Qwen, Gemma and their kin)",
        path.display()
    )]
    Unsupported {
        /// The tokenizer.
        path: PathBuf,
        /// What it uses.
        found: String,
    },
    /// The tokenizer lacks tokens that the template needs.
    #[error(
        "the template `{kind}` of {family} needs tokens that this tokenizer lacks: {}\n\nhint: {hint}",
        missing.join(", ")
    )]
    MissingTokens {
        /// The template asked for.
        kind: TemplateKind,
        /// The family whose tokens come nearest.
        family: &'static str,
        /// The tokens that are not in the vocabulary.
        missing: Vec<String>,
        /// What to do about it.
        hint: &'static str,
    },
    /// A special token can be reached from ordinary text, so data could forge a turn.
    #[error("ordinary text can become the special token `{token}` in this tokenizer")]
    Forgeable {
        /// The token.
        token: String,
    },
    /// The tokenizer refused a text.
    #[error("cannot tokenise `{text}`: {problem}")]
    Encode {
        /// The beginning of the text.
        text: String,
        /// The tokenizer's reason.
        problem: String,
    },
    /// A vocabulary cannot be learned.
    #[error("cannot train a tokenizer of {vocabulary_size} tokens: {problem}")]
    Train {
        /// The size asked for.
        vocabulary_size: usize,
        /// What is wrong.
        problem: String,
    },
}
