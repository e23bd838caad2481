//! What the outputs of `sample` may be.

use clap::Args;
use std::path::PathBuf;

/// Constraints on draws.
#[derive(Debug, Args)]
pub(crate) struct DrawingArgs {
    /// Draw one of these outputs only, repeatable
    #[arg(long = "choice", value_name = "TEXT", conflicts_with_all = ["pattern", "schema"])]
    pub choices: Vec<String>,
    /// Draw outputs that a regular expression matches from end to end
    #[arg(long, value_name = "REGEX", conflicts_with = "schema")]
    pub pattern: Option<String>,
    /// Draw JSON that the JSON schema in a file accepts
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Text that every output begins with; it is part of the output and of its log-probability, and
    /// of `--max-tokens`. What follows begins with a new token
    #[arg(long, value_name = "TEXT")]
    pub begin: Option<String>,
    /// End an output at the token with which it holds this text, repeatable
    #[arg(long = "stop", value_name = "TEXT")]
    pub stop_texts: Vec<String>,
    /// Add to the logit of a token, repeatable; `-inf` forbids it
    #[arg(long = "bias", value_name = "ID=NUMBER", value_parser = bias)]
    pub biases: Vec<(u32, f32)>,
}

fn bias(given: &str) -> Result<(u32, f32), String> {
    let parsed = given
        .split_once('=')
        .and_then(|(id, number)| Some((id.trim().parse().ok()?, number.trim().parse().ok()?)));
    parsed.ok_or_else(|| "expected a token id and a number, such as 17=-2.5".to_owned())
}
