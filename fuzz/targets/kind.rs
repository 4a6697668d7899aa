//! Detects a file's kind from its first bytes, and makes the first checks of image files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("nextscale-fuzz-{}.png", std::process::id()));
    if std::fs::write(&path, bytes).is_ok() {
        let _ = nextscale_files::FileKind::of(&path);
        let _ = nextscale_files::read_image(&path);
    }
});
