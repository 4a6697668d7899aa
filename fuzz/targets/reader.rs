//! Any reader of `tests/mutations/targets.rs`, chosen by NEXTSCALE_READER: weights-pickle,
//! weights-safetensors, weights-language-model, npz, idx, images, json, config, config-set.
#![no_main]

#[path = "../../tests/mutations/targets.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use targets::{Target, targets};

thread_local! {
    static READER: Target = {
        let name = std::env::var("NEXTSCALE_READER").unwrap_or_else(|_| "config".into());
        let found = targets().into_iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("no reader is called {name}"))
    };
}

fuzz_target!(|bytes: &[u8]| READER.with(|reader| (reader.read)(bytes)));
