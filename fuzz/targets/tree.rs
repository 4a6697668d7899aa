//! Parses text to a tree and prints it; the printed text must parse to the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nextscale_config::Document;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let tree = match Document::parse("fuzz.ron", text) {
        Ok(tree) => tree,
        Err(error) => {
            // Both forms of the message; the second includes an excerpt.
            let _ = (error.to_string(), format!("{:?}", miette::Report::new(error)));
            return;
        }
    };
    let printed = tree.to_ron_string();
    let again = Document::parse("printed.ron", &printed).expect("what is printed is read");
    assert_eq!(again.hash(), tree.hash(), "{printed}");
});
