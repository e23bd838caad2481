//! Everything that can go wrong between a caller and the tensors.

use std::path::PathBuf;

/// An error of the model. Variants carry what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A buffer or tensor has the wrong number of elements.
    #[error("`{tensor}` has {found} elements where {expected} were expected")]
    Shape {
        /// Name of the tensor or buffer.
        tensor: String,
        /// Elements expected.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A shape that no decoder can have.
    #[error("the shape of the model is impossible: {problem}")]
    Arch {
        /// What is wrong, with the values.
        problem: String,
    },
    /// A token id outside the vocabulary.
    #[error(
        "token {index} has id {id}, but the model knows ids below {vocabulary}\n\n\
         hint: the tokenizer and the model do not belong together"
    )]
    Tokens {
        /// Index of the token in its list.
        index: usize,
        /// The id.
        id: u32,
        /// V.
        vocabulary: usize,
    },
    /// A sequence longer than the model's context.
    #[error(
        "a sequence of {tokens} tokens does not fit the model's context of {context}\n\n\
         hint: shorten the sequences, or leave out those that are too long"
    )]
    Context {
        /// Tokens of the sequence.
        tokens: usize,
        /// Longest context.
        context: usize,
    },
    /// More tokens in a call than the workspace was made for.
    #[error(
        "{found} tokens in one call, but the workspace was made for {capacity}\n\n\
         hint: split the call, or make a larger workspace"
    )]
    WorkspaceTooSmall {
        /// Tokens it holds.
        capacity: usize,
        /// Tokens asked for.
        found: usize,
    },
    /// A workspace without room for gradients was given to a backward pass.
    #[error(
        "the workspace was made for forward passes only\n\nhint: make it with `Workspace::new`"
    )]
    ForwardOnly,
    /// A workspace or cache made for another shape of model.
    #[error("the {what} was made for a model of another shape")]
    Foreign {
        /// `workspace` or `cache`.
        what: &'static str,
    },
    /// The cache has no room left.
    #[error(
        "the cache holds at most {limit} tokens; {used} are used and {asked} more were asked for\n\n\
         hint: release nodes, or make a larger cache"
    )]
    CacheFull {
        /// Most tokens it holds.
        limit: usize,
        /// Tokens in use.
        used: usize,
        /// Tokens asked for.
        asked: usize,
    },
    /// A node of the cache that was released, or that may not grow any more.
    #[error("node {node} of the cache {problem}")]
    Node {
        /// Number of the node.
        node: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A row that does not exist.
    #[error("row {row} was asked for, but there are {rows} tokens")]
    Row {
        /// The row.
        row: usize,
        /// Number of rows.
        rows: usize,
    },
    /// The loss is not a number.
    #[error(
        "the loss is {value}\n\n\
         hint: a smaller learning rate or gradient clipping usually helps; the weights may be damaged"
    )]
    NonFinite {
        /// What was computed.
        value: f64,
    },
    /// Reading or writing a file failed.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that does not hold what its format says.
    #[error(
        "`{}` is damaged: {problem}\n\nhint: a download may have been cut short; fetch it again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A folder without weights.
    #[error(
        "`{}` holds neither `model.safetensors` nor `model.safetensors.index.json`\n\n\
         hint: other weight formats (`pytorch_model.bin`, GGUF) are not read",
        path.display()
    )]
    NoWeights {
        /// The folder.
        path: PathBuf,
    },
    /// A key that a config must have.
    #[error("`{key}` is missing in `{}`", path.display())]
    ConfigMissing {
        /// The config file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A value that the decoder cannot compute.
    #[error("`{key}` is {found}; supported: {supported} (in `{}`)", path.display())]
    ConfigValue {
        /// The config file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value, as JSON.
        found: String,
        /// What the decoder can do.
        supported: String,
    },
    /// A family that is not in the `FAMILIES` table.
    #[error(
        "`model_type` is {found}, a family that this decoder does not know (in `{}`)\n\n\
         hint: the nearest known family is `{nearest}`",
        path.display()
    )]
    ConfigFamily {
        /// The config file.
        path: PathBuf,
        /// Its `model_type`, as JSON.
        found: String,
        /// The known family with the most similar name.
        nearest: &'static str,
    },
    /// A tensor that the config asks for.
    #[error("tensor `{tensor}` is missing in `{}`", path.display())]
    TensorMissing {
        /// The folder.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor that the config has no place for.
    #[error(
        "`{}` holds the tensor `{tensor}`, which `config.json` has no place for\n\n\
         hint: the weights belong to another family, or the config to another model",
        path.display()
    )]
    TensorUnknown {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor of another shape than the config says.
    #[error(
        "tensor `{tensor}` has the shape {found:?}, expected {expected:?} by `config.json` (in `{}`)",
        path.display()
    )]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape by the config.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of an element type that is not read.
    #[error(
        "tensor `{tensor}` has the type {found}; supported: F32, F16 or BF16 (in `{}`)",
        path.display()
    )]
    TensorDtype {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// Checkpoints that cannot be combined.
    #[error(
        "`{}` and `{}` cannot be combined: {difference}\n\nhint: {hint}",
        path.display(), other.display()
    )]
    Differ {
        /// The one folder.
        path: PathBuf,
        /// The other.
        other: PathBuf,
        /// In which key of their shapes they differ, with both values.
        difference: String,
        /// What would help.
        hint: &'static str,
    },
    /// An adapter that cannot be made or used.
    #[error("the adapter cannot be used: {problem}")]
    Adapter {
        /// What is wrong.
        problem: String,
    },
    /// Weights of a soup of which no average can be taken.
    #[error(
        "the weights of the models are {weights:?}, {problem}\n\n\
         hint: give one weight of at least 0 for each model, such as 0.7 and 0.3"
    )]
    Weights {
        /// As given.
        weights: Vec<f64>,
        /// What is wrong.
        problem: &'static str,
    },
}
