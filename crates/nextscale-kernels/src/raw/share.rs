//! Short work that all threads take from one heap, the caller first.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How often the caller looks whether the others are done before it goes to sleep: some microseconds, about as
/// long as it would take to wake it.
const LOOKS: usize = 2_000;

/// Does `work` on every part, in any order and on all threads of the pool.
///
/// The caller begins at once and the others join as they wake up: `par_iter` instead hands everything to the pool,
/// and a caller outside the pool sleeps until it is done. For work of less than a millisecond, of which that is a
/// fifth; longer work is faster where the pool's threads stay on their cores.
pub fn share<T, P>(parts: P, work: impl Fn(T) + Sync)
where
    P: ExactSizeIterator<Item = T> + Send,
{
    let others = (rayon::current_num_threads() - 1).min(parts.len().saturating_sub(1));
    if others == 0 {
        return parts.for_each(work);
    }
    let (parts, busy) = (Mutex::new(parts), AtomicUsize::new(others));
    // A panic in `work` happens while the lock is free.
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let all = || {
        while let Some(part) = next() {
            work(part);
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| {
                all();
                busy.fetch_sub(1, Ordering::Release);
            });
        }
        all();
        for _ in 0..LOOKS {
            if busy.load(Ordering::Acquire) == 0 {
                break;
            }
            spin_loop();
        }
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn every_part_is_done_once_wherever_the_caller_is() {
        let done = |count: usize| {
            let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            share(done.iter(), |part| {
                part.fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{count}");
        };
        let counts = [0, 1, 2, 3, 100];
        counts.iter().for_each(|&count| done(count));
        for threads in [1, 2, 5] {
            pool(threads).install(|| counts.iter().for_each(|&count| done(count)));
        }
        // Parts that share parts of their own.
        share(0..4_usize, |_| done(10));
    }

    #[test]
    fn the_caller_takes_part_and_as_many_threads_as_the_pool_has() {
        let (seen, all_here) = (Mutex::new(BTreeSet::new()), Barrier::new(3));
        pool(3).install(|| {
            let name = || format!("{:?}", thread::current().id());
            // No part ends before all three have begun.
            share(0..3, |_| {
                seen.lock().unwrap().insert(name());
                all_here.wait();
            });
            let seen = seen.lock().unwrap();
            assert!(seen.len() == 3 && seen.contains(&name()), "{seen:?}");
        });
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller() {
        let broken = || share(0..8, |part| assert_ne!(part, 5, "the sixth"));
        for threads in [1, 2] {
            assert!(pool(threads).install(|| catch_unwind(AssertUnwindSafe(broken))).is_err());
        }
    }
}
