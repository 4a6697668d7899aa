use std::path::PathBuf;

use crate::Address;

/// Why a file cannot be had. Each message names the file, its repository and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not the address of a file.
    #[error(
        "{given:?} is not an address in a repository: {problem}; write hf://OWNER/NAME/FILE, or hf://OWNER/NAME@REVISION/FILE"
    )]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An environment variable has a value that cannot be used.
    #[error("{name}: {problem}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// The network must not be used, and the file is not in the cache.
    #[error(
        "{} is not in the cache {}, and HF_HUB_OFFLINE is set; unset it, or run this where there is a network \
         and copy the cache: hf download {} {} --revision {}",
        .address.words(), .cache.display(), .address.repo(), .address.path(), .address.revision()
    )]
    Offline {
        /// The file.
        address: Address,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// No answer.
    #[error(
        "{} is not in the cache {}, and {endpoint} cannot be reached: {detail}; check the network, the proxy \
         (HTTPS_PROXY) and HF_ENDPOINT, or copy the cache from a machine that has the file",
        .address.words(), .cache.display()
    )]
    Unreachable {
        /// The file.
        address: Address,
        /// Where it was looked for.
        cache: PathBuf,
        /// The server.
        endpoint: String,
        /// What the system said.
        detail: String,
    },
    /// The server demands a token, or the one that was sent does not do.
    #[error(
        "{endpoint} refuses {} (status {status}): the repository does not exist, or it is private or needs its terms accepted \
         at {endpoint}/{}; {}",
        .address.words(), .address.repo(), token_advice(.token.as_deref())
    )]
    Refused {
        /// The file.
        address: Address,
        /// The server.
        endpoint: String,
        /// 401 or 403.
        status: u16,
        /// Where the token that was sent came from.
        token: Option<String>,
    },
    /// There is no such repository, revision or file.
    #[error("{} does not exist: {endpoint} has {missing} (status 404); see {endpoint}/{}/tree/{}",
        .address.words(), .address.repo(), if *.known { .address.revision() } else { "main" })]
    Missing {
        /// The file.
        address: Address,
        /// The server.
        endpoint: String,
        /// "no such repository", ..
        missing: &'static str,
        /// Whether the revision exists.
        known: bool,
    },
    /// The server's answer is not a file.
    #[error("{endpoint} does not give {}: it answers with status {status}; {}", .address.words(), status_advice(*.status))]
    Status {
        /// The file.
        address: Address,
        /// The server.
        endpoint: String,
        /// Its status.
        status: u16,
    },
    /// The server does not answer as the Hub does.
    #[error("{endpoint} does not answer as a Hugging Face server does for {}: {problem}; check HF_ENDPOINT", .address.words())]
    NoHub {
        /// The file.
        address: Address,
        /// The server.
        endpoint: String,
        /// What is wrong with its answer.
        problem: String,
    },
    /// The connection broke again and again.
    #[error("the download of {} stopped at {}: {detail}; what has arrived is kept, and repeating the command resumes it",
        .address.words(), progress(*.done, *.total))]
    Broken {
        /// The file.
        address: Address,
        /// Bytes on disk.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
        /// What happened.
        detail: String,
    },
    /// The bytes are not those that the server announced.
    #[error(
        "what arrived for {} is not the file: its hash is {found}, and the server announced {expected}; it was deleted, and the cache is \
         as before; run the command again, and if it happens again the server or a proxy changes the file",
        .address.words()
    )]
    Hash {
        /// The file.
        address: Address,
        /// What the server announced.
        expected: String,
        /// What arrived.
        found: String,
    },
    /// More bytes arrived than the server announced.
    #[error("{} is longer than the {expected} bytes that the server announced; run the command again", .address.words())]
    Size {
        /// The file.
        address: Address,
        /// The announced length.
        expected: u64,
    },
    /// The file does not fit on the disk.
    #[error(
        "{} needs {} more, and {} has {} free; free some space, or set HF_HUB_CACHE to a folder on a larger disk",
        .address.words(), size(*.needed), .folder.display(), size(*.free)
    )]
    Space {
        /// The file.
        address: Address,
        /// Bytes to come.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// The folder.
        folder: PathBuf,
    },
    /// An index of shards is not one.
    #[error("{} does not list its shards: {problem}; it is at {}", .address.words(), .path.display())]
    Index {
        /// The index.
        address: Address,
        /// Its place on disk.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The cache cannot be read or written.
    #[error("{}: cannot {action} {}: {source}{}", .address.words(), .path.display(), advice(.source))]
    Io {
        /// The file that was wanted.
        address: Address,
        /// What was attempted: "write", "create", …
        action: &'static str,
        /// The file or folder in the cache.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the request is at fault, and not the network, the server or the disk.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Address { .. } | Self::Variable { .. } | Self::Offline { .. } | Self::Missing { .. }
        )
    }

    /// Whether the file's server failed rather than answered, so that what is in the cache is the best there
    /// is.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Status { .. } | Self::NoHub { .. }
        )
    }

    pub(crate) fn io(
        address: &Address,
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let (address, path) = (address.clone(), path.into());
        move |source| Self::Io { address, action, path, source }
    }
}

fn token_advice(token: Option<&str>) -> String {
    match token {
        None => "no token was sent: set HF_TOKEN, or run `hf auth login`".into(),
        Some(from) => format!("the token from {from} was sent: check that it is valid and may read it"),
    }
}

fn status_advice(status: u16) -> &'static str {
    match status {
        429 => "it limits how often one may ask: wait, or set HF_TOKEN",
        500.. => "try again later",
        _ => "check HF_ENDPOINT",
    }
}

fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "; free some space, or set HF_HUB_CACHE to a folder on a larger disk, and run the same command again: it resumes"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "; set HF_HUB_CACHE to a folder that you may write to"
        }
        _ => "",
    }
}

fn progress(done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {}", size(done), size(total)),
        None => size(done),
    }
}

/// `436 MB`, in powers of ten as disks and the Hub count.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
