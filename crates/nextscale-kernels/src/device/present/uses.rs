//! How often each kernel was asked for, for tests: what is composed of burn's operations in its place gives
//! nearly the same numbers.

use std::{cell::RefCell, collections::BTreeMap};

thread_local! {
    static USES: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Notes a use of a kernel.
pub fn note(kernel: &'static str) {
    USES.with_borrow_mut(|uses| *uses.entry(kernel).or_default() += 1);
}

/// How often this thread has used the kernel of this name, which is that of its function.
pub fn uses(kernel: &str) -> u64 {
    USES.with_borrow(|uses| uses.get(kernel).copied().unwrap_or_default())
}
