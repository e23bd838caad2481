//! What a report holds, as JSON and as one page of HTML.

mod chart;
mod data;
mod findings;
mod format;
mod gallery;
mod page;
mod table;
#[cfg(test)]
mod tests;

pub use data::{
    Claim, Distribution, Fact, ModelInfo, ReportData, SampleGrid, SampleText, Seen, TaskNote,
    Version, claim,
};
pub use page::html;
