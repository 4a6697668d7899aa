//! From an address to a file on this machine.

use std::collections::BTreeMap;
use std::fmt::{Debug, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cache::{DESCRIPTION, WEIGHTS, create_parent, shards};
use crate::client::{Client, Described, Silence};
use crate::download::Transfer;
use crate::{Address, Cache, Digest, Environment, Error, Result, Watch};
use nextscale_files::{Lock, LockError};

/// How often a server that does not answer is asked, if the cache has nothing.
const ATTEMPTS: u32 = 3;
/// The time between two looks at a lock that another process holds.
const LOOK: Duration = Duration::from_millis(100);

/// A server of repositories and the cache of what it has sent.
pub struct Hub {
    cache: Cache,
    client: Client,
    offline: bool,
    patience: Duration,
    watch: Box<dyn Watch>,
    /// The commits of branches and tags, by repository and revision: all files of a run are of one commit.
    commits: Mutex<BTreeMap<(String, String), String>>,
}

/// A file or folder on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is, in the cache.
    pub path: PathBuf,
    /// Its address with the commit.
    pub address: Address,
}

impl Debug for Hub {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({}, {})", self.client.endpoint(), self.cache.folder().display())
    }
}

impl Hub {
    /// With the server and cache of an environment.
    pub fn new(environment: Environment, watch: Box<dyn Watch>) -> Self {
        Self {
            client: Client::new(&environment),
            offline: environment.offline,
            patience: environment.patience,
            cache: Cache::new(environment.cache),
            watch,
            commits: Mutex::default(),
        }
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The file of an address, from the cache or else from the server. An index of shards comes with its
    /// shards, and a folder with its weights and their `config.json`. Files at a commit that are in the cache
    /// need no network; of a branch, the server is asked for the commit.
    ///
    /// # Errors
    /// Why it cannot be had. The cache is then as before, but for what has arrived of the file.
    pub fn fetch(&self, address: &Address) -> Result<Fetched> {
        let probe = if address.is_folder() { address.beside(WEIGHTS[0]) } else { address.clone() };
        let (commit, described) = self.pin(&probe)?;
        let address = address.at(&commit);
        if address.is_folder() {
            return self.folder(address, described);
        }
        let path = self.file(&address, described)?.ok_or_else(|| self.missing(&address))?;
        self.shards(&address, &path)?;
        Ok(Fetched { path, address })
    }

    fn folder(&self, folder: Address, mut described: Option<Described>) -> Result<Fetched> {
        let mut last = None;
        for name in WEIGHTS {
            let address = folder.beside(name);
            match self.file(&address, described.take()) {
                Ok(Some(path)) => {
                    self.shards(&address, &path)?;
                    match self.file(&folder.beside(DESCRIPTION), None) {
                        // Offline, whether there is one is not known.
                        Ok(_) | Err(Error::Offline { .. }) => {}
                        Err(error) => return Err(error),
                    }
                    let path = path.parent().unwrap_or(Path::new("")).to_owned();
                    return Ok(Fetched { path, address: folder });
                }
                Ok(None) => {}
                Err(error @ Error::Offline { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.missing(&folder)))
    }

    fn missing(&self, address: &Address) -> Error {
        let (endpoint, missing) = (self.client.endpoint().to_owned(), "no such file at that revision");
        Error::Missing { address: address.clone(), endpoint, missing, known: true }
    }

    /// Brings the shards of an index.
    fn shards(&self, index: &Address, path: &Path) -> Result<()> {
        for shard in shards(index, path)? {
            self.file(&shard, None)?.ok_or_else(|| self.missing(&shard))?;
        }
        Ok(())
    }

    /// The commit of an address, and what the server has said of it if it was asked.
    fn pin(&self, address: &Address) -> Result<(String, Option<Described>)> {
        if let Some(commit) = address.commit() {
            return Ok((commit.into(), None));
        }
        let key = (address.repo().to_owned(), address.revision().to_owned());
        let known = self.commits.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(commit) = known {
            return Ok((commit, None));
        }
        let (commit, described) = self.ask_commit(address)?;
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).insert(key, commit.clone());
        Ok((commit, described))
    }

    fn ask_commit(&self, address: &Address) -> Result<(String, Option<Described>)> {
        let seen = self.cache.reference(address);
        if self.offline {
            return seen.map(|commit| (commit, None)).ok_or_else(|| self.offline(address));
        }
        let in_cache = seen.filter(|commit| {
            let at = address.at(commit);
            let mut names = WEIGHTS.iter().map(|name| at.beside(name)).chain([at.clone()]);
            names.any(|file| self.cache.pointer(&file).exists())
        });
        let attempts = if in_cache.is_some() { 1 } else { ATTEMPTS };
        match (self.describe(address, attempts), in_cache) {
            (Ok(described), _) => {
                let commit = described.commit().to_owned();
                // A cache that only others may write to is still good for reading.
                let _ = self.cache.refer(address, &commit);
                Ok((commit, Some(described)))
            }
            (Err(error), Some(commit)) if error.is_silence() => {
                self.watch.say(&format!("{error}; taking what was downloaded before, at commit {commit}"));
                Ok((commit, None))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn describe(&self, address: &Address, attempts: u32) -> Result<Described> {
        let mut left = attempts;
        loop {
            let outcome = self.client.describe(address).unwrap_or_else(|Silence(detail)| {
                let (cache, endpoint) = (self.cache.folder().into(), self.client.endpoint().into());
                Err(Error::Unreachable { address: address.clone(), cache, endpoint, detail })
            });
            left = left.saturating_sub(1);
            match outcome {
                Err(Error::Unreachable { .. } | Error::Status { status: 408 | 429 | 500.., .. })
                    if left > 0 =>
                {
                    std::thread::sleep(self.patience * (attempts - left));
                }
                outcome => return outcome,
            }
        }
    }

    fn offline(&self, address: &Address) -> Error {
        Error::Offline { address: address.clone(), cache: self.cache.folder().into() }
    }

    /// A file at a commit; `None` if the commit has no such file.
    fn file(&self, address: &Address, described: Option<Described>) -> Result<Option<PathBuf>> {
        let pointer = self.cache.pointer(address);
        if pointer.exists() {
            return Ok(Some(pointer));
        }
        if self.cache.is_absent(address) {
            return Ok(None);
        }
        if self.offline {
            return Err(self.offline(address));
        }
        let described = match described {
            Some(described) => described,
            None => self.describe(address, ATTEMPTS)?,
        };
        match described {
            Described::NoFile { .. } => {
                self.cache.mark_absent(address);
                Ok(None)
            }
            Described::File { etag, size, .. } => self.download(address, &etag, size).map(Some),
        }
    }

    fn download(&self, address: &Address, etag: &str, total: Option<u64>) -> Result<PathBuf> {
        let blob = self.cache.blob(address, etag);
        let partial = self.cache.partial(address, etag);
        create_parent(address, &blob)?;
        let _lock = self.lock(address, etag)?;
        // Another process may have brought it meanwhile.
        if !blob.exists() {
            let transfer = Transfer {
                client: &self.client,
                watch: &*self.watch,
                address,
                partial: &partial,
                total,
                digest: Digest::of_etag(etag),
                patience: self.patience,
            };
            transfer.run()?;
            fs::rename(&partial, &blob).map_err(Error::io(address, "create", &blob))?;
        }
        self.cache.link(address, etag)
    }

    /// The lock of a file's bytes, which Python's library takes too, as soon as nobody else has it.
    fn lock(&self, address: &Address, etag: &str) -> Result<Lock> {
        let path = self.cache.lock(address, etag);
        create_parent(address, &path)?;
        let mut told = false;
        loop {
            match Lock::take(&path) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Io { action, path, source }) => {
                    return Err(Error::io(address, action, path)(source));
                }
                Err(LockError::Held { .. }) => {
                    if !told {
                        let words = address.words();
                        self.watch.say(&format!("waiting for another process that downloads {words}"));
                        told = true;
                    }
                    std::thread::sleep(LOOK);
                }
            }
        }
    }
}
