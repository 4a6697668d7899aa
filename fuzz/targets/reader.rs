//! Any reader of `tests/mutations/targets.rs`, chosen by NEXTSCALE_READER: weights-pickle,
//! weights-safetensors, weights-language-model, npz, idx, images, json, config, config-set. Its sound inputs are
//! written to fuzz/corpus/READER first.
#![no_main]

#[path = "../../tests/mutations/targets.rs"]
mod targets;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use targets::{Target, targets};

thread_local! {
    static READER: Target = {
        let name = std::env::var("NEXTSCALE_READER").unwrap_or_else(|_| "config".into());
        let found = targets().into_iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("no reader is called {name}"))
    };
}

/// Before libFuzzer reads the corpus.
fn write_corpus() {
    READER.with(|reader| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(reader.name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, sound) in reader.corpus.iter().enumerate() {
            std::fs::write(folder.join(format!("sound-{number}")), sound).unwrap();
        }
    });
}

fuzz_target!(init: write_corpus(), |bytes: &[u8]| READER.with(|reader| (reader.read)(bytes)));
