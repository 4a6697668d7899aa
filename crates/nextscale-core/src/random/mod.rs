//! Random numbers as pure functions of a key or a counter: there is no state to save, and it does not matter who asks first.

mod splitmix;

pub use splitmix::{WEYL, fnv1a, mix, splitmix64};
