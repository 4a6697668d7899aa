use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::address::{is_commit, is_part};
use crate::{Address, Digest, Error, Result};

/// Where a folder's weights are looked for, in this order.
pub(crate) const WEIGHTS: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];

/// What describes a folder's weights.
pub(crate) const DESCRIPTION: &str = "config.json";
/// The end of an index's name.
const INDEX: &str = ".index.json";

/// The cache of Python's `huggingface_hub`, for model repositories:
///
/// ```text
/// models--OWNER--NAME/
///     refs/main                      the commit of a branch or tag
///     blobs/ETAG                     a file's bytes; ETAG.incomplete while they arrive
///     snapshots/COMMIT/PATH          a symbolic link to the blob
///     .no_exist/COMMIT/PATH          empty: the commit has no such file
/// .locks/models--OWNER--NAME/ETAG.lock
/// ```
///
/// Everything is added by a rename. Nothing that is there is ever written to or removed, except incomplete
/// files and links to nothing.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// A file in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// With its commit.
    pub address: Address,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What its bytes should hash to, by its blob's name.
    pub digest: Digest,
}

impl Cache {
    /// The cache in a folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file, at its own commit, at the commit of its branch, or else at whichever commit is there.
    pub fn find(&self, address: &Address) -> Option<CachedFile> {
        let own = address.commit().map(str::to_owned).or_else(|| self.reference(address));
        let own = own.and_then(|commit| self.cached(address.at(&commit)));
        own.or_else(|| {
            // A pinned address means this commit and no other.
            let snapshots = address.commit().is_none().then(|| self.repo(address).join("snapshots"))?;
            let mut commits: Vec<_> = fs::read_dir(snapshots).ok()?.flatten().collect();
            commits.sort_by_key(|entry| entry.file_name());
            let names = commits.iter().filter_map(|entry| entry.file_name().into_string().ok());
            names.filter(|name| is_commit(name)).find_map(|commit| self.cached(address.at(&commit)))
        })
    }

    /// Everything that [`Hub::fetch`](crate::Hub::fetch) would bring, if all of it is there.
    pub fn find_all(&self, address: &Address) -> Option<Vec<CachedFile>> {
        let first = match address.is_folder() {
            true => WEIGHTS.iter().find_map(|name| self.find(&address.beside(name)))?,
            false => self.find(address)?,
        };
        let shards = shards(&first.address, &first.path).ok()?;
        let shards: Option<Vec<_>> = shards.into_iter().map(|shard| self.cached(shard)).collect();
        let description = match address.is_folder() {
            true => self.cached(first.address.beside(DESCRIPTION)),
            false => None,
        };
        Some([first].into_iter().chain(shards?).chain(description).collect())
    }

    fn cached(&self, address: Address) -> Option<CachedFile> {
        let path = self.pointer(&address);
        let bytes = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
        // Where links are not supported, Python's library puts the bytes themselves there: no hash is known.
        let blob = fs::read_link(&path).ok();
        let name = blob.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let digest = name.map_or(Digest::Unknown, Digest::of_etag);
        Some(CachedFile { address, path, bytes, digest })
    }

    /// The folder of a repository.
    fn repo(&self, address: &Address) -> PathBuf {
        self.folder.join(Self::repo_name(address))
    }

    fn repo_name(address: &Address) -> String {
        format!("models--{}", address.repo().replace('/', "--"))
    }

    /// The commit that a branch or tag was last seen at.
    pub(crate) fn reference(&self, address: &Address) -> Option<String> {
        let file = self.repo(address).join("refs").join(address.revision());
        let commit = fs::read_to_string(file).ok()?.trim().to_owned();
        is_commit(&commit).then_some(commit)
    }

    /// Records the commit of a branch or tag.
    pub(crate) fn refer(&self, address: &Address, commit: &str) -> Result<()> {
        if address.commit().is_some() || self.reference(address).as_deref() == Some(commit) {
            return Ok(());
        }
        let file = self.repo(address).join("refs").join(address.revision());
        create_parent(address, &file)?;
        let fresh = beside(&file);
        let written = fs::write(&fresh, commit).and_then(|()| fs::rename(&fresh, &file));
        written.inspect_err(|_| drop(fs::remove_file(&fresh))).map_err(Error::io(address, "write", file))
    }

    /// Where a file of a commit is, or will be.
    pub(crate) fn pointer(&self, address: &Address) -> PathBuf {
        self.repo(address).join("snapshots").join(address.revision()).join(address.path())
    }

    /// Whether a commit is known not to have a file.
    pub(crate) fn is_absent(&self, address: &Address) -> bool {
        self.absent(address).exists()
    }

    /// Records that a commit has no such file, if the cache can be written.
    pub(crate) fn mark_absent(&self, address: &Address) {
        let marker = self.absent(address);
        let _ = create_parent(address, &marker).map(|()| fs::File::create(marker));
    }

    fn absent(&self, address: &Address) -> PathBuf {
        self.repo(address).join(".no_exist").join(address.revision()).join(address.path())
    }

    pub(crate) fn blob(&self, address: &Address, etag: &str) -> PathBuf {
        self.repo(address).join("blobs").join(etag)
    }

    pub(crate) fn partial(&self, address: &Address, etag: &str) -> PathBuf {
        self.repo(address).join("blobs").join(format!("{etag}.incomplete"))
    }

    pub(crate) fn lock(&self, address: &Address, etag: &str) -> PathBuf {
        self.folder.join(".locks").join(Self::repo_name(address)).join(format!("{etag}.lock"))
    }

    /// Puts a link to a blob at a file's place, unless a file is there already.
    pub(crate) fn link(&self, address: &Address, etag: &str) -> Result<PathBuf> {
        let (blob, pointer) = (self.blob(address, etag), self.pointer(address));
        if pointer.exists() {
            return Ok(pointer);
        }
        create_parent(address, &pointer)?;
        // Relative, so that the cache can be moved: out of the path's folders, the commit and `snapshots`.
        let up = address.path().split('/').count() + 1;
        let target: PathBuf = std::iter::repeat_n("..", up).chain(["blobs", etag]).collect();
        let fresh = beside(&pointer);
        let made = symlink(&target, &fresh)
            .or_else(|_| fs::hard_link(&blob, &fresh))
            .or_else(|_| fs::copy(&blob, &fresh).map(drop));
        // Over a link to nothing, which the removal of a blob leaves.
        made.and_then(|()| fs::rename(&fresh, &pointer))
            .inspect_err(|_| drop(fs::remove_file(&fresh)))
            .map_err(Error::io(address, "create", &pointer))?;
        Ok(pointer)
    }
}

impl CachedFile {
    /// Whether its bytes have the hash that their blob is named by; `None` if that is not a hash.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_intact(&self) -> Result<Option<bool>> {
        let read = Error::io(&self.address, "read", &self.path);
        let Some(mut hasher) = self.digest.hasher(Some(self.bytes)) else { return Ok(None) };
        let hashed = fs::File::open(&self.path).and_then(|mut file| {
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => hasher.update(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        });
        hashed.map_err(read)?;
        Ok(Some(self.digest.hex() == Some(&*hasher.hex())))
    }
}

/// The shards that an index names, which lie beside it; none of another file.
pub(crate) fn shards(index: &Address, path: &Path) -> Result<Vec<Address>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    if !index.path().ends_with(INDEX) {
        return Ok(Vec::new());
    }
    let unsound =
        |problem: String| Error::Index { address: index.clone().into(), path: path.into(), problem };
    let text = fs::read(path).map_err(Error::io(index, "read", path))?;
    let read: Index = serde_json::from_slice(&text).map_err(|error| unsound(error.to_string()))?;
    let names: BTreeSet<String> = read.weight_map.into_values().collect();
    let shard = |name: String| match is_part(&name) && !name.contains('/') {
        true => Ok(index.beside(&name)),
        false => Err(unsound(format!("`{name}` is not a file's name"))),
    };
    names.into_iter().map(shard).collect()
}

pub(crate) fn create_parent(address: &Address, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).map_err(Error::io(address, "create", folder))
}

/// A name beside a file that no other process or thread uses.
fn beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{count}.new", std::process::id()))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
