//! Which devices of this machine `selfcheck` has passed on, in a small file of the user's cache folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nextscale_files::write_atomically;

use crate::version;

/// The file's name in the cache folder.
const FILE: &str = "nextscale/verified-devices.txt";

/// The file: in `XDG_CACHE_HOME`, else `~/.cache`. `None` where neither is known.
pub fn file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    Some(folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?.join(FILE))
}

/// A line of the file. Another version of the program, or another device in the same place, has another.
fn line(device: &str, name: &str) -> String {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{}\t{}\t{}", version::words(), words(device), words(name))
}

/// Whether this version passed on a device (`cuda:0`), which calls itself `name`.
pub fn is_verified(file: &Path, device: &str, name: &str) -> bool {
    let line = line(device, name);
    fs::read_to_string(file).is_ok_and(|text| text.lines().any(|known| known == line))
}

/// Notes that this version passed.
///
/// # Errors
/// If the file cannot be written.
pub fn note(file: &Path, device: &str, name: &str) -> io::Result<()> {
    if is_verified(file, device, name) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = fs::read_to_string(file).unwrap_or_default();
    text += &line(device, name);
    text.push('\n');
    write_atomically(file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_verified_once_it_is_noted_and_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cache/verified.txt");
        assert!(!is_verified(&file, "cuda:0", "A card"));
        note(&file, "cuda:0", "A card").unwrap();
        note(&file, "cuda:1", "Another").unwrap();
        note(&file, "cuda:0", "A card").unwrap();
        assert!(is_verified(&file, "cuda:0", "A card") && is_verified(&file, "cuda:1", "Another"));
        assert!(!is_verified(&file, "cuda:0", "Another") && !is_verified(&file, "cuda:2", "A card"));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
        let older = fs::read_to_string(&file).unwrap().replace(&version::words(), "an older version");
        fs::write(&file, older).unwrap();
        assert!(!is_verified(&file, "cuda:0", "A card"));
    }
}
