//! Where tensors are computed: today a CPU with a pool of threads of its own.

use std::sync::Arc;

/// A device as a value, cheap to clone. Results never depend on its number of threads.
#[derive(Clone)]
pub struct Device {
    pool: Arc<rayon::ThreadPool>,
}

impl Device {
    /// The CPU with `threads` threads; 0 means one for each core the process may use.
    ///
    /// # Panics
    /// If the system refuses to start threads.
    pub fn cpu(threads: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("diapason-{index}"))
            .build()
            .expect("the system can start the threads of a pool");
        Device { pool: Arc::new(pool) }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}
