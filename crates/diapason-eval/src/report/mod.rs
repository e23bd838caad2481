//! What a report holds, as JSON and as one page of HTML.

mod data;

pub use data::{
    Claim, Distribution, Fact, ModelInfo, ReportData, SampleGrid, SampleText, Seen, TaskNote,
    Version, claim,
};

/// The whole report as one self-contained HTML page.
pub fn html(data: &ReportData) -> String {
    format!("{}", data.seed)
}
