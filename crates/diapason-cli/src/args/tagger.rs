//! Arguments of the tagger that asks a language model.

use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;

/// The taggers of the binary, a file that `mark fit-tagger` wrote, or the address of a language model.
#[derive(Clone, Debug)]
pub(crate) enum TaggerPlace {
    Default,
    File(PathBuf),
    Endpoint(String),
}

/// What begins as a web address is one.
impl FromStr for TaggerPlace {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.starts_with("https://") || text.starts_with("http://");
        Ok(if address {
            TaggerPlace::Endpoint(text.to_owned())
        } else if text == "default" {
            TaggerPlace::Default
        } else {
            TaggerPlace::File(PathBuf::from(text))
        })
    }
}

/// How a language model is asked.
#[derive(Debug, Args)]
pub(crate) struct EndpointArgs {
    /// Name of the model behind the address given to `--tagger`
    #[arg(long = "tagger-model", value_name = "NAME")]
    pub model: Option<String>,
    /// Markers to ask it for
    #[arg(
        long = "tagger-markers",
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "domain,task,format,style"
    )]
    pub markers: Vec<String>,
    /// Environment variable that holds its key
    #[arg(long = "tagger-key", value_name = "VARIABLE", default_value = "DIAPASON_TAGGER_KEY")]
    pub key: String,
    /// Questions asked at once
    #[arg(long = "tagger-at-once", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub at_once: u16,
    /// Seconds until an answer is given up and asked for again
    #[arg(long = "tagger-seconds", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// File that keeps every answer, to be used again; default: OUT.answers
    #[arg(long = "tagger-answers", value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// What asking may cost.
    #[command(flatten)]
    pub spending: SpendingArgs,
}

/// What asking a language model may cost.
#[derive(Debug, Args)]
pub(crate) struct SpendingArgs {
    /// Price of a million tokens asked and of a million answered: `0.15,0.60`
    #[arg(long, value_name = "IN,OUT", value_parser = price)]
    pub price: Option<(f64, f64)>,
    /// Most that may be spent without `--yes`, in the money of `--price`
    #[arg(long, default_value_t = 0.0, requires = "price")]
    pub budget: f64,
    /// Go on though the estimate is over the budget
    #[arg(long)]
    pub yes: bool,
}

fn price(text: &str) -> Result<(f64, f64), String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|price| *price >= 0.0);
    let pair = text.split_once(',').and_then(|(one, two)| Some((number(one)?, number(two)?)));
    pair.filter(|(one, two)| one.is_finite() && two.is_finite())
        .ok_or_else(|| "two prices with a comma between them, such as 0.15,0.60".to_owned())
}
