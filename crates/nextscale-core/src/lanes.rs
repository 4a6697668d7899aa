//! Parallel work: each lane has its own share of the threads.
//!
//! A pass through a network is a chain of operations, many of them too small for all threads; running whole
//! passes in parallel keeps every thread busy.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
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

    /// Passes the results of `each` for the items to `see`, in order and on this thread, until it returns false.
    /// Whichever lane is free takes the next item. Lanes wait while `see` is behind by more than a few results.
    pub fn stream<I: Send, R: Send>(
        &self,
        mut items: impl Iterator<Item = I> + Send,
        each: impl Fn(I) -> R + Sync,
        mut see: impl FnMut(R) -> bool,
    ) {
        if self.pools.is_empty() {
            items.map(each).all(see);
            return;
        }
        let mut number = 0..;
        let items = Mutex::new(move || number.next().zip(items.next()));
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(self.pools.len());
            for pool in &self.pools {
                let (sender, items, each) = (sender.clone(), &items, &each);
                let next = move || (items.lock().unwrap_or_else(PoisonError::into_inner))();
                let run = move || {
                    while let Some((number, item)) = next() {
                        // The others would go on without this one, and its result would be waited for.
                        let result = catch_unwind(AssertUnwindSafe(|| each(item)));
                        if sender.send((number, result)).is_err() {
                            return;
                        }
                    }
                };
                scope.spawn(move || pool.install(run));
            }
            drop(sender);
            // However this closure ends the receiver goes with it, and lanes stop after what they are at.
            let (mut early, mut due) = (BTreeMap::<usize, R>::new(), 0);
            for (number, result) in receiver {
                early.insert(number, result.unwrap_or_else(|panic| resume_unwind(panic)));
                while let Some(result) = early.remove(&due) {
                    due += 1;
                    if !see(result) {
                        return;
                    }
                }
            }
        });
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

    fn two() -> Lanes {
        ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(|| Lanes::new(2).unwrap())
    }

    #[test]
    fn a_stream_keeps_the_order_and_ends_when_told() {
        for lanes in [two(), Lanes::single()] {
            for most in [1, 5, 100] {
                let mut seen = Vec::new();
                // Every third item takes longest.
                let each = |i: u64| {
                    std::thread::sleep(std::time::Duration::from_millis(if i.is_multiple_of(3) {
                        3
                    } else {
                        0
                    }));
                    i * i
                };
                lanes.stream(0..20, each, |found| {
                    seen.push(found);
                    seen.len() < most
                });
                assert_eq!(seen, (0..20).map(|i| i * i).take(most).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_free_lane_takes_the_next_item_of_a_stream() {
        // The first item waits for the last, which only the other lane can reach.
        let (sender, receiver) = std::sync::mpsc::channel();
        let (sender, receiver) = (Mutex::new(sender), Mutex::new(receiver));
        let mut seen = Vec::new();
        let each = |i: usize| {
            match i {
                0 => receiver.lock().unwrap().recv().unwrap(),
                9 => sender.lock().unwrap().send(()).unwrap(),
                _ => {}
            }
            i
        };
        two().stream(0..10, each, |i| {
            seen.push(i);
            true
        });
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_in_a_stream_reaches_the_caller() {
        let panic = std::panic::catch_unwind(|| {
            two().stream(0..10, |i| assert_ne!(i, 3, "the third"), |()| true);
        });
        assert!(panic.unwrap_err().downcast_ref::<String>().unwrap().contains("the third"));
    }
}
