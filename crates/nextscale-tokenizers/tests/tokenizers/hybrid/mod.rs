//! HART's tokenizer (tests/fixtures/hart/README.md).

mod fixtures;
mod generation;
mod loading;
