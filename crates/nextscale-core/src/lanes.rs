//! Parallel work: each lane has its own share of the threads.
//!
//! A pass through a network is a chain of operations, many of them too small for all threads; running whole
//! passes in parallel keeps every thread busy.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::is_cpu;

/// The available threads, divided among pieces of work.
#[derive(Debug)]
pub struct Lanes {
    /// Empty if work is done one piece at a time on all threads.
    pools: Vec<ThreadPool>,
}

impl Lanes {
    /// This many lanes, at most one per thread.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(count: usize) -> Result<Self, ThreadPoolBuildError> {
        let threads = rayon::current_num_threads();
        let count = count.min(threads);
        let pool = || ThreadPoolBuilder::new().num_threads(threads / count).build();
        let pools =
            if count > 1 { (0..count).map(|_| pool()).collect::<Result<_, _>>()? } else { Vec::new() };
        Ok(Self { pools })
    }

    /// One lane of all threads.
    pub fn single() -> Self {
        Self { pools: Vec::new() }
    }

    /// Lanes for work on a device: one per thread on the CPU, one on any other device, which a single piece
    /// of work keeps busy.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(device: &Device) -> Result<Self, ThreadPoolBuildError> {
        Self::new(if is_cpu(device) { rayon::current_num_threads() } else { 1 })
    }

    /// How many pieces of work run at a time, at least 1.
    pub fn count(&self) -> usize {
        self.pools.len().max(1)
    }

    /// The results of `each` for the items, in order.
    pub fn map<I: Sync, R: Send>(&self, items: &[I], each: impl Fn(&I) -> R + Sync) -> Vec<R> {
        if self.pools.is_empty() {
            return items.iter().map(each).collect();
        }
        let count = self.pools.len();
        let mut lanes = std::thread::scope(|scope| {
            let start = |lane: usize| {
                let (pool, each) = (&self.pools[lane], &each);
                let items = items.iter().skip(lane).step_by(count);
                scope.spawn(move || pool.install(|| items.map(each).collect::<Vec<_>>()))
            };
            let lanes: Vec<_> = (0..count).map(start).collect();
            lanes.into_iter().map(|lane| join(lane).into_iter()).collect::<Vec<_>>()
        });
        (0..items.len()).filter_map(|i| lanes[i % count].next()).collect()
    }
}

/// The result of a lane; its panic continues in the caller.
fn join<R>(lane: ScopedJoinHandle<'_, R>) -> R {
    lane.join().unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_items_order_on_any_number_of_threads() {
        let items: Vec<usize> = (0..11).collect();
        for threads in 1..5 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let lanes = Lanes::new(3).unwrap();
                assert_eq!(lanes.count(), threads.min(3));
                let found = lanes.map(&items, |&i| (i * i, rayon::current_num_threads()));
                let expected: Vec<_> = items.iter().map(|&i| (i * i, threads / lanes.count())).collect();
                assert_eq!(found, expected);
            });
        }
        assert!(Lanes::new(2).unwrap().map(&[], |i: &usize| *i).is_empty());
    }
}
