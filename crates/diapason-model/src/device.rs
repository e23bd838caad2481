//! Where tensors are computed: today a CPU with a team of threads of its own.

use crate::ProductPrecision;
use crate::kernels::{Level, Team, Way};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

/// A device as a value, cheap to clone. Results never depend on its number of threads.
#[derive(Clone)]
pub struct Device {
    inner: Arc<Inner>,
    products: ProductPrecision,
}

struct Inner {
    team: Team,
    /// One for each thread of the team, so that the locks are never waited for.
    scratch: Vec<Mutex<Scratch>>,
    /// Read by all threads while tasks run.
    shared: Mutex<Scratch>,
    level: Level,
}

/// Memory of one thread. It grows to what was once needed and stays.
#[derive(Default)]
pub(crate) struct Scratch {
    buffer: Vec<f32>,
}

impl Scratch {
    /// `len` elements from the start of a cache line, with whatever they hold: a vector that
    /// crosses lines is read twice.
    pub(crate) fn room(&mut self, len: usize) -> &mut [f32] {
        const LINE: usize = 16;
        if self.buffer.len() < len + LINE {
            self.buffer.resize(len + LINE, 0.0);
        }
        let start = self.buffer.as_ptr().align_offset(LINE * size_of::<f32>());
        &mut self.buffer[start..start + len]
    }
}

impl Device {
    /// The CPU with `threads` threads; 0 means one for each core the process may use.
    ///
    /// # Panics
    /// If the system refuses to start threads.
    pub fn cpu(threads: usize) -> Self {
        Self::with_level(threads, Level::detect())
    }

    pub(crate) fn with_level(threads: usize, level: Level) -> Self {
        let team = Team::new(threads);
        let scratch = (0..team.threads()).map(|_| Mutex::default()).collect();
        let inner = Inner { team, scratch, shared: Mutex::default(), level };
        Device { inner: Arc::new(inner), products: ProductPrecision::F32 }
    }

    /// The same threads and memory, with another precision of the decoder's matrix products. It is
    /// f32 unless said otherwise.
    pub fn with_products(&self, precision: ProductPrecision) -> Self {
        Device { products: precision, ..self.clone() }
    }

    /// The precision of matrix products.
    pub fn products(&self) -> ProductPrecision {
        self.products
    }

    /// Whether the processor itself multiplies pairs of bfloat16 (AVX-512 BF16): where it does not,
    /// products of that precision have their results, not their speed.
    pub fn multiplies_bf16(&self) -> bool {
        self.inner.level.multiplies_pairs()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.inner.team.threads()
    }

    pub(crate) fn level(&self) -> Level {
        self.inner.level
    }

    /// How matrix products are computed.
    pub(crate) fn way(&self) -> Way {
        Way::new(self.inner.level, self.products)
    }

    /// Runs the tasks `0..count` on all threads, the caller's among them, each with the scratch
    /// memory of its thread. A task must not start others.
    pub(crate) fn each(&self, count: usize, task: impl Fn(usize, &mut Scratch) + Sync) {
        self.inner.team.run(count, &|index, thread| {
            let scratch = &self.inner.scratch[thread];
            // A panic in another task leaves nothing in the scratch that a later one would read.
            let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
            task(index, &mut scratch);
        });
    }

    /// Memory that all threads may read while tasks run; `None` while another computation has it,
    /// for which nobody waits.
    pub(crate) fn try_shared(&self) -> Option<MutexGuard<'_, Scratch>> {
        match self.inner.shared.try_lock() {
            Ok(scratch) => Some(scratch),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Runs `task` over stretches of `0..len`, each of at least `smallest` where there are several.
    pub(crate) fn each_range(
        &self,
        len: usize,
        smallest: usize,
        task: impl Fn(Range<usize>, &mut Scratch) + Sync,
    ) {
        let most = if self.threads() == 1 { 1 } else { 4 * self.threads() };
        let count = (len / smallest).clamp(1, most);
        let size = len.div_ceil(count);
        self.each(count, |index, scratch| {
            task((index * size).min(len)..((index + 1) * size).min(len), scratch);
        });
    }

    /// The results of the tasks `0..count`, in order.
    pub(crate) fn map<T: Send + Sync>(
        &self,
        count: usize,
        task: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        let results: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
        self.each(count, |index, _| {
            results[index].get_or_init(|| task(index));
        });
        results.into_iter().filter_map(OnceLock::into_inner).collect()
    }
}
