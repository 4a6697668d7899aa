use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::Digest as _;

/// What a file's bytes must hash to. The server's ETag is that hash: SHA-256 for large files (Git LFS and
/// Xet), and the hash of a git blob for those that git itself stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of the bytes.
    Sha256(String),
    /// SHA-1 of `blob SIZE\0` and the bytes, as git names them.
    Git(String),
    /// The ETag is not a hash known here, as on some mirrors.
    Unknown,
}

impl Digest {
    /// The hash that an ETag states.
    pub fn of_etag(etag: &str) -> Self {
        let hexadecimal = etag.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match etag.len() {
            64 if hexadecimal => Self::Sha256(etag.into()),
            40 if hexadecimal => Self::Git(etag.into()),
            _ => Self::Unknown,
        }
    }

    /// A hasher for a file of `size` bytes; `None` if nothing can be verified.
    pub(crate) fn hasher(&self, size: Option<u64>) -> Option<Hasher> {
        match self {
            Self::Sha256(_) => Some(Hasher::Sha256(Sha256::new())),
            Self::Git(_) => {
                let mut hasher = Sha1::new();
                hasher.update(format!("blob {}\0", size?));
                Some(Hasher::Sha1(hasher))
            }
            Self::Unknown => None,
        }
    }

    /// The hash in hexadecimal digits, if there is one.
    pub fn hex(&self) -> Option<&str> {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => Some(hex),
            Self::Unknown => None,
        }
    }
}

/// A hash in the making.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    pub fn hex(self) -> String {
        let bytes = match self {
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let hash = |etag: &str| {
            let mut hasher = Digest::of_etag(etag).hasher(Some(6)).unwrap();
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            hasher.hex()
        };
        // `printf 'hello\n' | sha256sum` and `printf 'hello\n' | git hash-object --stdin`.
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(hash(sha256), sha256);
        assert_eq!(hash(git), git);
    }

    #[test]
    fn another_etag_states_no_hash() {
        for etag in ["", "abc", &"g".repeat(40), &"A".repeat(64)] {
            assert_eq!(Digest::of_etag(etag), Digest::Unknown, "{etag}");
        }
        assert!(Digest::of_etag(&"a".repeat(40)).hasher(None).is_none());
    }
}
