//! Threads that run the tasks of one kernel after another.
//!
//! A decoder is hundreds of short kernels a pass, and on a virtual machine it takes a tenth of a
//! millisecond or more to wake a thread: who has no task left first looks out for the next kernel
//! for a while, and sleeps only then.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a thread looks out for tasks before it sleeps.
const LOOKOUT: Duration = Duration::from_micros(200);
/// Looks before it lets other threads of the machine pass between two.
const FIRST_LOOKS: usize = 500;

/// What runs a task: its number, and that of the thread.
type Run<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// Some threads, the caller's among them.
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the call whose tasks run.
    turn: Mutex<()>,
}

struct Shared {
    /// [`OPEN`] while workers may join in, and [`INSIDE`] for each that has.
    state: AtomicUsize,
    /// The task to begin next.
    next: AtomicUsize,
    count: AtomicUsize,
    /// Written while nobody is inside, read by those who are.
    run: UnsafeCell<Option<&'static Run<'static>>>,
    /// By worker: whether it sleeps, or is about to.
    asleep: Vec<AtomicBool>,
    stop: AtomicBool,
    /// The first panic of a task.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `run` is written by the holder of the turn while the state is 0, and read between a
// successful entry and the exit, both of which order it through the state.
unsafe impl Sync for Shared {}

const OPEN: usize = 1;
const INSIDE: usize = 2;

impl Team {
    /// A team of `threads` threads; 0 means one for each core the process may use.
    ///
    /// # Panics
    /// If the system refuses to start threads.
    pub(crate) fn new(threads: usize) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if threads == 0 { cores() } else { threads } - 1;
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            run: UnsafeCell::new(None),
            asleep: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            stop: AtomicBool::new(false),
            panic: Mutex::default(),
        });
        let start = |worker: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("diapason-{}", worker + 1))
                .spawn(move || {
                    while shared.has_tasks(worker) {
                        shared.join_in(worker + 1);
                    }
                })
                .expect("the system can start the threads of a team")
        };
        let workers = (0..workers).map(start).collect();
        Team { shared, workers, turn: Mutex::default() }
    }

    /// Number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs the tasks `0..count`, some of them on this thread, which is number 0. Calls from several
    /// threads take turns; a task must not call.
    ///
    /// # Panics
    /// If a task panics, once all have ended.
    pub(crate) fn run(&self, count: usize, run: &Run<'_>) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if count <= 1 || self.workers.is_empty() {
            return (0..count).for_each(|task| run(task, 0));
        }
        let shared = &*self.shared;
        // SAFETY: workers use it only while they are inside, and this function waits for them.
        let lasting = unsafe { std::mem::transmute::<&Run<'_>, &'static Run<'static>>(run) };
        // SAFETY: the state is 0 between two turns, so nobody reads.
        unsafe { *shared.run.get() = Some(lasting) };
        shared.next.store(0, Ordering::Relaxed);
        shared.count.store(count, Ordering::Relaxed);
        shared.state.store(OPEN, Ordering::SeqCst);
        let asleep = self.workers.iter().zip(&shared.asleep);
        for (worker, asleep) in asleep.take(count - 1) {
            if asleep.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        shared.run_tasks(run, 0);
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        watch(|| (shared.state.load(Ordering::Acquire) == 0).then_some(()), None);
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // It holds no panic: those of tasks are caught.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Waits for tasks to begin; `false` when there will be none.
    fn has_tasks(&self, worker: usize) -> bool {
        let look = || {
            let open = self.state.load(Ordering::SeqCst) & OPEN != 0;
            let left = self.next.load(Ordering::Relaxed) < self.count.load(Ordering::Relaxed);
            let stop = self.stop.load(Ordering::SeqCst);
            (stop || open && left).then_some(!stop)
        };
        loop {
            if let Some(found) = watch(look, Some(LOOKOUT)) {
                return found;
            }
            // Whoever opens looks at this afterwards, so one of the two sees the other.
            self.asleep[worker].store(true, Ordering::SeqCst);
            if look().is_none() {
                std::thread::park();
            }
            self.asleep[worker].store(false, Ordering::SeqCst);
        }
    }

    /// Runs tasks of the call that is open, if it still is.
    fn join_in(&self, thread: usize) {
        let enter = |state| (state & OPEN != 0).then_some(state + INSIDE);
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, enter).is_err() {
            return;
        }
        // SAFETY: this thread is inside.
        if let Some(run) = unsafe { *self.run.get() } {
            self.run_tasks(run, thread);
        }
        self.state.fetch_sub(INSIDE, Ordering::Release);
    }

    fn run_tasks(&self, run: &Run<'_>, thread: usize) {
        let count = self.count.load(Ordering::Relaxed);
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= count {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(task, thread))) {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
        }
    }
}

/// Looks until something is found, or for so long.
fn watch<T>(look: impl Fn() -> Option<T>, patience: Option<Duration>) -> Option<T> {
    for _ in 0..FIRST_LOOKS {
        if let Some(found) = look() {
            return Some(found);
        }
        std::hint::spin_loop();
    }
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if patience.is_some_and(|patience| began.elapsed() > patience) {
            return None;
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_whoever_calls_and_however_long_the_threads_slept() {
        for threads in 1..5 {
            let team = Team::new(threads);
            let call = |seed: usize| {
                for round in 0..200 {
                    let count = (seed + round) % 9;
                    let ran: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                    team.run(count, &|task, thread| {
                        assert!(thread < threads);
                        ran[task].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(ran.iter().all(|ran| ran.load(Ordering::Relaxed) == 1));
                    if round % 50 == 0 {
                        std::thread::sleep(3 * LOOKOUT);
                    }
                }
            };
            std::thread::scope(|scope| {
                (0..3).for_each(|seed| {
                    scope.spawn(move || call(seed));
                });
            });
        }
    }

    #[test]
    fn a_panic_of_a_task_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::new(3);
        let failed = catch_unwind(AssertUnwindSafe(|| {
            team.run(20, &|task, _| assert!(task != 7, "task {task} fails"));
        }));
        let panic = failed.unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "task 7 fails");
        let sum = AtomicUsize::new(0);
        team.run(5, &|task, _| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 10);
    }
}
