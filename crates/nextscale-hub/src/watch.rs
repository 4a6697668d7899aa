/// Follows downloads, for instance with a progress bar.
pub trait Watch: Send + Sync {
    /// A transfer begins: `done` bytes are on disk already, of `total` if the server says so.
    fn begin(&self, file: &str, done: u64, total: Option<u64>) {
        let _ = (file, done, total);
    }

    /// So many bytes are on disk now. Fewer than before if the transfer started over.
    fn at(&self, bytes: u64) {
        let _ = bytes;
    }

    /// The transfer has ended, well or not.
    fn end(&self) {}

    /// Something that a person should read: another process is downloading the same file, the server cannot
    /// be reached and the cache is used.
    fn say(&self, line: &str) {
        let _ = line;
    }
}

/// Follows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Watch for Silent {}
