//! Identifies weights without reading gigabytes.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use nextscale_files::Hash;

use crate::{Error, Result};

const BLOCKS: u64 = 64;
const BLOCK: u64 = 16 * 1024;

/// How many bytes of a hash identify weights.
const BYTES: usize = 12;

/// Of bytes in memory.
pub fn of_bytes(parts: &[&[u8]]) -> String {
    let mut hash = Hash::new();
    for part in parts {
        hash.update_part(part);
    }
    hash.short(BYTES)
}

/// Of a file: its length, and blocks evenly spread over it, including the first and the last.
///
/// # Errors
/// If it cannot be read.
pub fn of_file(path: &Path) -> Result<String> {
    let failed = |source| Error::Read { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    blocks(file, length).map_err(failed)
}

/// Of a file's bytes in memory: what [`of_file`] gives of the file.
///
/// # Errors
/// Never in practice: memory can be read.
pub(crate) fn of_content(bytes: &[u8]) -> std::io::Result<String> {
    blocks(Cursor::new(bytes), bytes.len() as u64)
}

fn blocks(mut file: impl Read + Seek, length: u64) -> std::io::Result<String> {
    let mut hash = Hash::new();
    hash.update(length.to_le_bytes());
    let last = length.saturating_sub(BLOCK);
    let blocks = BLOCKS.min(length.div_ceil(BLOCK)).max(1);
    for block in 0..blocks {
        file.seek(SeekFrom::Start(last * block / (blocks - 1).max(1)))?;
        let mut bytes = Vec::new();
        (&mut file).take(BLOCK).read_to_end(&mut bytes)?;
        hash.update(&bytes);
    }
    Ok(hash.short(BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_differ_by_length_beginning_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let of = |bytes: &[u8]| {
            let path = folder.path().join("x");
            std::fs::write(&path, bytes).unwrap();
            let found = of_file(&path).unwrap();
            assert_eq!(of_content(bytes).unwrap(), found);
            found
        };
        let mut bytes = vec![7; 100_000];
        let first = of(&bytes);
        assert_eq!(of(&bytes), first);
        *bytes.last_mut().unwrap() = 8;
        let second = of(&bytes);
        bytes[0] = 8;
        let third = of(&bytes);
        bytes.push(8);
        let all = [first, second, third, of(&bytes), of(&[]), of(&[8])];
        assert!((0..6).all(|i| (0..i).all(|j| all[i] != all[j])), "{all:?}");
    }
}
