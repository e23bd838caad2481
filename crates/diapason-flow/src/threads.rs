//! Many independent pieces of work on some threads, with results that do not tell how many.

use std::sync::{Mutex, PoisonError};

/// Parts that each thread gets on average, so that one slow part does not keep the others waiting.
const PARTS_PER_THREAD: usize = 8;

/// Maps items on up to `threads` threads; the results are in the order of the items.
///
/// # Panics
/// As `map` does.
pub fn in_order<A: Send, B: Send>(
    items: Vec<A>,
    threads: usize,
    map: impl Fn(A) -> B + Sync,
) -> Vec<B> {
    if threads <= 1 || items.len() <= 1 {
        return items.into_iter().map(map).collect();
    }
    let count = items.len();
    let size = count.div_ceil(threads * PARTS_PER_THREAD);
    let queue = Mutex::new((0, items.into_iter()));
    let next = || {
        let (place, rest) = &mut *queue.lock().unwrap_or_else(PoisonError::into_inner);
        *place += 1;
        (*place, rest.take(size).collect::<Vec<A>>())
    };
    let work = || {
        let mut done: Vec<(usize, Vec<B>)> = Vec::new();
        loop {
            let (place, part) = next();
            if part.is_empty() {
                return done;
            }
            done.push((place, part.into_iter().map(&map).collect()));
        }
    };
    let mut parts: Vec<(usize, Vec<B>)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    });
    parts.sort_unstable_by_key(|(place, _)| *place);
    let mut results = Vec::with_capacity(count);
    results.extend(parts.into_iter().flat_map(|(_, part)| part));
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_at_any_number_of_threads() {
        for count in [0, 1, 2, 7, 100, 1001] {
            let items: Vec<usize> = (0..count).collect();
            let squares: Vec<usize> = items.iter().map(|item| item * item).collect();
            for threads in [0, 1, 2, 3, 16] {
                assert_eq!(in_order(items.clone(), threads, |item| item * item), squares);
            }
        }
    }

    #[test]
    fn all_threads_work_on_few_items() {
        let both = std::sync::Barrier::new(2);
        // Would wait for ever on one thread.
        in_order(vec![(), ()], 2, |()| both.wait());
    }
}
