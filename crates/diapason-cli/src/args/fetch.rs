//! Arguments of `suite fetch`.

use super::SuiteSource;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `suite fetch`.
#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Sources to fetch, as names or patterns such as `lewidi_*`; none lists what there is
    pub sources: Vec<String>,
    /// Where tasks come from.
    #[command(flatten)]
    pub source: SuiteSource,
    /// Print what would be fetched and its size, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// A file or folder that you downloaded: what the source reads of it is put in place
    #[arg(long, value_name = "PATH", conflicts_with = "dry_run")]
    pub from: Option<PathBuf>,
    /// Branch, tag or commit of a hub data set or repository, instead of the source's own
    #[arg(long)]
    pub revision: Option<String>,
    /// Address of the hub of data sets; default: HF_ENDPOINT, else `https://huggingface.co`
    #[arg(long, value_name = "URL")]
    pub hub: Option<String>,
    /// Address of GitHub's programming interface
    #[arg(long, value_name = "URL", default_value = "https://api.github.com", hide = true)]
    pub github_api: String,
    /// Address of raw files on GitHub
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://raw.githubusercontent.com",
        hide = true
    )]
    pub github_raw: String,
    /// JSON
    #[arg(long)]
    pub json: bool,
}
