//! The bytes of a file at any offset, gzipped or not.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::{Error, Result};

/// A file whose name decides whether it is gzipped.
pub(super) struct Bytes {
    path: PathBuf,
    content: Content,
}

enum Content {
    File(File),
    /// The decoder, and how many bytes it has given.
    Gzip(Box<GzDecoder<File>>, u64),
}

impl Bytes {
    /// Opens `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let content = match path.extension().is_some_and(|extension| extension == "gz") {
            true => Content::Gzip(Box::new(GzDecoder::new(file)), 0),
            false => Content::File(file),
        };
        Ok(Self { path: path.into(), content })
    }

    /// The path that it was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of bytes, counted up to `most`; gzipped ones are decoded for it.
    pub fn length(&mut self, most: u64) -> Result<u64> {
        let found = match &mut self.content {
            Content::File(file) => file.metadata().map(|metadata| metadata.len().min(most)),
            Content::Gzip(decoder, at) => {
                std::io::copy(&mut decoder.take(most.saturating_sub(*at)), &mut std::io::sink()).map(|read| {
                    *at += read;
                    *at
                })
            }
        };
        found.map_err(Error::io(&self.path))
    }

    /// Reads as many bytes as `into` has, from `offset`. A gzipped file is decoded up to there, from its start
    /// if the last read ended behind `offset`.
    pub fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<()> {
        if let Content::Gzip(_, at) = &self.content
            && *at > offset
        {
            *self = Self::open(&self.path)?;
        }
        let read = match &mut self.content {
            Content::File(file) => file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(into)),
            Content::Gzip(decoder, at) => {
                let skipped = std::io::copy(&mut decoder.take(offset - *at), &mut std::io::sink());
                skipped.and_then(|_| decoder.read_exact(into)).inspect(|()| *at = offset + into.len() as u64)
            }
        };
        read.map_err(Error::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_and_a_gzipped_one_give_the_same_bytes_forwards_and_backwards() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..200_000_u64).map(|i| ((i * i) >> 7) as u8).collect();
        let (plain, gzipped) = (folder.path().join("a"), folder.path().join("a.gz"));
        std::fs::write(&plain, &content).unwrap();
        let mut encoder =
            flate2::write::GzEncoder::new(File::create(&gzipped).unwrap(), flate2::Compression::fast());
        encoder.write_all(&content).unwrap();
        encoder.finish().unwrap();
        for path in [plain, gzipped] {
            let mut bytes = Bytes::open(&path).unwrap();
            assert_eq!(bytes.length(1000).unwrap(), 1000);
            assert_eq!(bytes.length(u64::MAX).unwrap(), 200_000);
            for offset in [0, 70_000, 199_990, 5, 5] {
                let mut found = [0; 10];
                bytes.read(offset as u64, &mut found).unwrap();
                assert_eq!(found, content[offset..offset + 10], "{} {offset}", path.display());
            }
            let error = bytes.read(199_995, &mut [0; 10]).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}
