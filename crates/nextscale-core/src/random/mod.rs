//! Random numbers as pure functions of a key or a counter: there is no state to save, and the order of use
//! does not matter.

mod splitmix;

pub use splitmix::{WEYL, fnv1a, mix, splitmix64};
