//! Arguments of levers: markers that are set, drawn or left to the model.

use clap::Args;
use diapason_markers::Filling;

/// Levers of a model that was trained with markers.
#[derive(Debug, Args)]
pub(crate) struct LeverArgs {
    /// Set a marker of the answer, repeatable: `lang=French`
    #[arg(long = "marker", value_name = "NAME=VALUE", value_parser = marker)]
    pub markers: Vec<(String, String)>,
    /// Who sets the others: the model, or the training data by frequency
    #[arg(long, value_name = "inferred|sampled", value_parser = filling, default_value = "inferred")]
    pub fill: Filling,
    /// Print the markers before each answer
    #[arg(long = "show-markers")]
    pub show: bool,
}

/// Reads `NAME=VALUE`.
pub(super) fn marker(given: &str) -> Result<(String, String), String> {
    let (name, value) = given.split_once('=').ok_or("expected NAME=VALUE, such as lang=French")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn filling(given: &str) -> Result<Filling, String> {
    match given {
        "inferred" => Ok(Filling::Inferred),
        "sampled" => Ok(Filling::Sampled),
        _ => Err("expected `inferred` or `sampled`".to_owned()),
    }
}
