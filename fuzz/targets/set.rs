//! `--set PATH=VALUE` on a config: the first line of the input, the rest being the config.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nextscale_config::Document;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((set, config)) = text.split_once('\n') else { return };
    let Ok(mut tree) = Document::parse("fuzz.ron", config) else { return };
    if tree.assign(set).is_ok() {
        let printed = tree.to_ron_string();
        assert!(Document::parse("printed.ron", &printed).is_ok(), "{printed}");
    }
});
