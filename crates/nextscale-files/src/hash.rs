//! Content hashes: SHA-256 in hexadecimal digits.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// A SHA-256 in progress.
#[derive(Debug, Clone, Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// Adds bytes preceded by their length, 8 bytes little-endian, so that adjacent parts cannot be confused.
    pub fn update_part(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.update((bytes.len() as u64).to_le_bytes());
        self.update(bytes);
    }

    /// The hash so far.
    pub fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// The hash so far in 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.short(32)
    }

    /// The first `bytes` bytes of [`hex`](Self::hex), two digits each: a name where 64 digits would be too
    /// long.
    pub fn short(&self, bytes: usize) -> String {
        self.digest().iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<B: AsRef<[u8]>> From<B> for Hash {
    fn from(bytes: B) -> Self {
        let mut hash = Self::new();
        hash.update(bytes);
        hash
    }
}

/// The SHA-256 of bytes in 64 hexadecimal digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Hash::from(bytes).hex()
}

/// The SHA-256 of a file's bytes in 64 hexadecimal digits. Only a small part of the file is in memory at a
/// time.
///
/// # Errors
/// If it cannot be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut part) = (Hash::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hash.hex()),
            count => hash.update(&part[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_published_hashes_come_out() {
        assert_eq!(sha256("abc"), ABC);
        assert_eq!(Hash::new().hex(), NOTHING);
        assert_eq!(Hash::from("abc").short(6), ABC[..12]);
        assert_eq!(Hash::from("abc").digest()[..2], [0xba, 0x78]);
    }

    #[test]
    fn asking_for_the_hash_so_far_changes_nothing() {
        let mut hash = Hash::from("a");
        hash.hex();
        hash.update("bc");
        assert_eq!(hash.hex(), ABC);
    }

    #[test]
    fn parts_do_not_run_together() {
        let of = |parts: [&str; 2]| {
            let mut hash = Hash::new();
            parts.iter().for_each(|part| hash.update_part(part));
            hash.hex()
        };
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
        assert_eq!(of(["ab", "c"]), sha256(b"\x02\0\0\0\0\0\0\0ab\x01\0\0\0\0\0\0\0c"));
    }

    #[test]
    fn a_file_has_the_hash_of_its_bytes_and_a_missing_one_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(sha256_of_file(&path).unwrap(), sha256(&bytes));
        let error = sha256_of_file(&folder.path().join("b")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
