//! HART's tokenizer (tests/fixtures/hart/README.md).

pub mod fixtures;
mod generation;
mod loading;
