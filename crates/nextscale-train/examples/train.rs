//! Placeholder while the tasks are written.
fn main() {}
