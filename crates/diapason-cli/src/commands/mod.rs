//! One file a verb. A verb reads its arguments, calls the rooms, prints; it decides nothing else.

mod answers;
mod bench;
mod bench_ask;
mod bench_pack;
mod bench_shape;
mod bench_train;
mod doctor;
mod drawing;
mod eval;
mod judge;
mod mark;
mod model;
pub(crate) mod network;
mod prompt;
mod report;
mod run;
mod sample;
mod score;
mod suite;
mod suite_audit;
mod suite_build;
mod suite_check;
mod suite_fetch;
mod suite_page;

pub(crate) use answers::{SANDBOX_HELPER, answers};
pub(crate) use bench::bench;
pub(crate) use doctor::{available_memory_bytes, doctor};
pub(crate) use eval::eval;
pub(crate) use judge::judge;
pub(crate) use mark::mark;
pub(crate) use model::{import_llama2c, model, special_ids};
pub(crate) use report::report;
pub(crate) use run::{quickstart, run, train};
pub(crate) use sample::sample;
pub(crate) use score::score;
pub(crate) use suite::{lacks_judge, suite, suite_of, unless_missing};

use crate::console::Console;
use anyhow::Context as _;
use diapason_model::{Device, ProductPrecision};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What every verb has at hand.
pub(crate) struct Session<'a> {
    /// Where words go.
    pub console: &'a Console,
    /// Where tensors are computed.
    pub device: Device,
    /// What `--product-precision` said.
    precision: Option<ProductPrecision>,
    stop: Arc<AtomicBool>,
}

impl<'a> Session<'a> {
    /// A session with a pool of `threads` threads (0: every core) that listens for Ctrl-C, and
    /// products of the precision said.
    ///
    /// The first Ctrl-C asks the running stage to finish its step and write a checkpoint; the
    /// second ends the process at once.
    pub(crate) fn new(
        console: &'a Console,
        threads: usize,
        precision: Option<ProductPrecision>,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        })
        .context("cannot listen for Ctrl-C")?;
        let device = Device::cpu(threads).with_products(precision.unwrap_or_default());
        Ok(Session { console, device, precision, stop })
    }

    /// Refuses `--product-precision` where a recipe says what is computed how: its artifacts keep it.
    pub(crate) fn leave_precision_to_the_recipe(&self) -> anyhow::Result<()> {
        let Some(precision) = self.precision.map(ProductPrecision::name) else { return Ok(()) };
        anyhow::bail!(
            "a recipe says its precision itself\n\nhint: instead of `--product-precision`, give `--set \
             train.precision={precision}`, `--set evaluate.precision={precision}`, or both"
        )
    }

    /// Becomes true when Ctrl-C is pressed; for threads that have no session.
    pub(crate) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}
