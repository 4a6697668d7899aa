//! The transfer of one file: what has arrived is kept, resumed and verified.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::Response;

use crate::client::{Client, Silence};
use crate::digest::Hasher;
use crate::{Address, Digest, Error, Result, Watch};

/// Attempts without a new byte before a download is given up.
const ATTEMPTS: u32 = 5;
/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(30);

/// A file to be transferred. The caller holds its lock.
pub(crate) struct Transfer<'a> {
    pub client: &'a Client,
    pub watch: &'a dyn Watch,
    /// At its commit.
    pub address: &'a Address,
    /// Where the bytes go; may hold some of them already.
    pub partial: &'a Path,
    pub total: Option<u64>,
    pub digest: Digest,
    /// The first wait between attempts.
    pub patience: Duration,
}

/// Why an attempt ended before the file did.
enum Stop {
    /// For a reason that may have gone by the next attempt.
    Again(String),
    Final(Error),
}

impl From<Silence> for Stop {
    fn from(Silence(detail): Silence) -> Self {
        Self::Again(detail)
    }
}

impl Transfer<'_> {
    /// Transfers what is missing, and verifies the whole. The partial file is then the file.
    ///
    /// # Errors
    /// If the connection breaks again and again or the disk is full, which keeps the partial file; if the
    /// bytes are not those announced, which removes it.
    pub fn run(&self) -> Result<()> {
        let mut arrived = Arrived::open(self)?;
        let mut resumed = arrived.length > 0;
        loop {
            self.check_space(&arrived)?;
            self.watch.begin(self.address.path(), arrived.length, self.total);
            let filled = self.fill(&mut arrived);
            self.watch.end();
            filled?;
            arrived.file.sync_all().map_err(Error::io(self.address, "write", self.partial))?;
            let (Some(found), Some(expected)) = (arrived.hasher.clone(), self.digest.hex()) else {
                return Ok(());
            };
            let found = found.hex();
            if found == expected {
                return Ok(());
            }
            if !resumed {
                // Resuming from it would fail for ever.
                let _ = fs::remove_file(self.partial);
                let expected = expected.to_owned();
                return Err(Error::Hash { address: self.address.clone(), expected, found });
            }
            // What an earlier run left may be at fault.
            self.watch.say(&format!(
                "what was left of an earlier download of {} is damaged; it starts over",
                self.address.words()
            ));
            arrived.start_over(self)?;
            resumed = false;
        }
    }

    fn check_space(&self, arrived: &Arrived) -> Result<()> {
        let folder = self.partial.parent().unwrap_or(Path::new(""));
        let Some(needed) = self.total.map(|total| total.saturating_sub(arrived.length)) else {
            return Ok(());
        };
        match fs4::available_space(folder) {
            // Some network file systems say 0 whatever is free; writing will tell.
            Ok(free) if free > 0 && free < needed => {
                Err(Error::Space { address: self.address.clone(), needed, free, folder: folder.into() })
            }
            _ => Ok(()),
        }
    }

    /// Attempts until the file is complete.
    fn fill(&self, arrived: &mut Arrived) -> Result<()> {
        let (mut furthest, mut failures) = (arrived.length, 0);
        loop {
            if self.total == Some(arrived.length) {
                return Ok(());
            }
            let detail = match self.attempt(arrived) {
                Ok(()) => return Ok(()),
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Again(detail)) => detail,
            };
            if arrived.length > furthest {
                (furthest, failures) = (arrived.length, 0);
            }
            failures += 1;
            if failures >= ATTEMPTS {
                let (address, done, total) = (self.address.clone(), arrived.length, self.total);
                return Err(Error::Broken { address, done, total, detail });
            }
            std::thread::sleep((self.patience * 2_u32.pow(failures - 1)).min(LONGEST));
        }
    }

    /// One request, from where the partial file ends.
    fn attempt(&self, arrived: &mut Arrived) -> Result<(), Stop> {
        let response = self.client.get(self.address, arrived.length)?;
        match response.status() {
            // A server that ignores ranges sends the whole file.
            200 => arrived.start_over(self).map_err(Stop::Final)?,
            206 if starts_at(&response, arrived.length) => {}
            206 | 416 => {
                arrived.start_over(self).map_err(Stop::Final)?;
                return Err(Stop::Again("the server does not resume at the requested byte".into()));
            }
            status @ (408 | 429 | 500..) => return Err(Stop::Again(format!("status {status}"))),
            _ => return Err(Stop::Final(self.client.refusal(self.address, &response))),
        }
        let length = response.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let length = length.map(|more| arrived.length.saturating_add(more));
        let total = self.total.or(length);
        let mut body = response.into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) if total.is_none_or(|total| arrived.length >= total) => return Ok(()),
                Ok(0) => return Err(Stop::Again("the connection was closed".into())),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stop::Again(error.to_string())),
            };
            if let Some(expected) = total.filter(|total| arrived.length + count as u64 > *total) {
                let _ = fs::remove_file(self.partial);
                return Err(Stop::Final(Error::Size { address: self.address.clone(), expected }));
            }
            arrived
                .add(&buffer[..count])
                .map_err(Error::io(self.address, "write", self.partial))
                .map_err(Stop::Final)?;
            self.watch.at(arrived.length);
        }
    }
}

/// Whether the answer begins at this byte.
fn starts_at(response: &Response, start: u64) -> bool {
    let range = response.header("content-range");
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    first == Some(start)
}

/// The bytes on disk.
struct Arrived {
    file: File,
    length: u64,
    hasher: Option<Hasher>,
}

impl Arrived {
    /// Opens or creates the partial file, and hashes what is in it.
    fn open(transfer: &Transfer<'_>) -> Result<Self> {
        let path = transfer.partial;
        let failed = |action| Error::io(transfer.address, action, path);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.map_err(failed("create"))?;
        let length = file.metadata().map_err(failed("read"))?.len();
        let mut arrived = Self { file, length, hasher: transfer.digest.hasher(transfer.total) };
        if transfer.total.is_some_and(|total| length > total) {
            arrived.start_over(transfer)?;
        }
        if let Some(hasher) = &mut arrived.hasher {
            let mut left = (&arrived.file).take(arrived.length);
            let mut buffer = vec![0; 1 << 20];
            loop {
                match left.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => hasher.update(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(failed("read")(error)),
                }
            }
        }
        Ok(arrived)
    }

    fn add(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn start_over(&mut self, transfer: &Transfer<'_>) -> Result<()> {
        if self.length > 0 {
            let emptied = self.file.set_len(0);
            emptied.map_err(Error::io(transfer.address, "write", transfer.partial))?;
        }
        self.length = 0;
        self.hasher = transfer.digest.hasher(transfer.total);
        Ok(())
    }
}
