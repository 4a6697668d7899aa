//! Where every image of every tensor is in the file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nextscale_weights::{Header, StoredType};

/// A tensor of one batch.
pub(super) struct Piece {
    pub name: String,
    /// F32, F16 or I64.
    pub kind: StoredType,
    /// The shape without the images.
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The header of a trace, which is written before the values.
pub(super) struct Layout {
    header: Header,
    images: u64,
    /// Where the values begin.
    data: u64,
}

/// The state of an unfinished file.
pub(super) enum Begun {
    /// Of the same run, complete.
    Same(Layout),
    /// Without a complete header.
    NoHeader,
    /// Of another run, or not a trace.
    Other,
    /// Of the same run, but shorter than its header says.
    Cut,
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same(_) => "the unfinished trace of this run",
            Self::NoHeader => "empty",
            Self::Other => "the unfinished trace of another run",
            Self::Cut => "not as long as its header says, so that values are lost",
        })
    }
}

/// Longer headers are not written: some hundred tensors take a hundred bytes each, plus a config and labels.
const LONGEST_HEADER: u64 = 1 << 26;

const PURPOSE: &str = "nextscale trace";

impl Layout {
    /// The layout for the pieces of any batch; they are the same for every batch. `about` is further
    /// metadata.
    pub fn new(pieces: &[Piece], images: u64, fingerprint: &str, about: &BTreeMap<String, String>) -> Self {
        let own =
            [("format", PURPOSE.into()), ("images", images.to_string()), ("fingerprint", fingerprint.into())];
        let own = own.map(|(key, value)| (key.to_owned(), value));
        let mut header = Header::new(&about.clone().into_iter().chain(own).collect());
        // Eight-byte values first keeps every tensor aligned.
        for kind in [StoredType::I64, StoredType::F32, StoredType::F16] {
            for piece in pieces.iter().filter(|piece| piece.kind == kind) {
                let shape: Vec<usize> =
                    std::iter::once(images as usize).chain(piece.shape.iter().copied()).collect();
                header.push(&piece.name, kind, &shape);
            }
        }
        Self { data: header.to_bytes().len() as u64, header, images }
    }

    /// The header of a file of `length` bytes, if it was begun for the same images of the same run and is as
    /// long as it says.
    pub fn read(file: &File, length: u64, images: u64, fingerprint: &str) -> Begun {
        let Some(header) = Header::read(file) else {
            let mut said = [0; 8];
            let said = file.read_exact_at(&mut said, 0).map(|()| u64::from_le_bytes(said));
            // Room for the values is allocated after the header has been written.
            let begun = said.is_ok_and(|said| said <= LONGEST_HEADER && length < 8 + said) || length == 0;
            return if begun { Begun::NoHeader } else { Begun::Other };
        };
        let same = header.metadata("format") == Some(PURPOSE)
            && header.metadata("images").and_then(|n| n.parse().ok()) == Some(images)
            && header.metadata("fingerprint") == Some(fingerprint);
        let layout = Self { data: header.to_bytes().len() as u64, header, images };
        match layout.length() == length {
            _ if !same => Begun::Other,
            true => Begun::Same(layout),
            // Without any values: the process was killed between the two.
            false if length == layout.data => Begun::NoHeader,
            false => Begun::Cut,
        }
    }

    /// Writes the header and allocates room for the values.
    pub fn begin(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.header.to_bytes(), 0)?;
        file.sync_data()?;
        file.set_len(self.length())?;
        file.sync_all()
    }

    /// The size of the whole file in bytes.
    pub fn length(&self) -> u64 {
        self.data.saturating_add(self.header.values())
    }

    /// Where the first image of a tensor is, if its images take `bytes` bytes each as in the header.
    pub fn start(&self, piece: &Piece, bytes: usize) -> Option<u64> {
        let place = self.header.place(&piece.name)?;
        let expected = self.images.checked_mul(bytes as u64)?;
        (place.end.checked_sub(place.start)? == expected).then_some(self.data + place.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_is_gone_on_with_only_if_nothing_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        let pieces = [Piece {
            name: "scale.0.tokens".into(),
            kind: StoredType::I64,
            shape: vec![3],
            bytes: vec![0; 48],
        }];
        let layout =
            Layout::new(&pieces, 2, "this", &BTreeMap::from([("labels".to_owned(), "[3]".to_owned())]));
        let write = |change: &dyn Fn(&File)| {
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            layout.begin(&file).unwrap();
            change(&file);
        };
        let read = |fingerprint: &str| {
            let file = File::open(&path).unwrap();
            let length = file.metadata().unwrap().len();
            let begun = Layout::read(&file, length, 2, fingerprint);
            if let Begun::Same(layout) = &begun {
                assert_eq!((layout.length(), layout.start(&pieces[0], 24)), (length, Some(length - 48)));
                assert_eq!(layout.start(&pieces[0], usize::MAX), None);
            }
            begun.to_string()
        };
        write(&|_| {});
        assert!(read("this").contains("of this run") && read("that").contains("of another run"));
        let length = layout.length();
        write(&|file| file.set_len(length - 1).unwrap());
        assert!(read("this").contains("values are lost"));
        for (left, told) in [(length - 48, "empty"), (60, "empty"), (0, "empty")] {
            write(&|file| file.set_len(left).unwrap());
            assert_eq!(read("this"), told, "{left} bytes");
        }
        // Damaged, or not a trace at all.
        write(&|file| file.write_all_at(b"something else", 0).unwrap());
        assert!(read("this").contains("another run"));
        let whole = layout.header.to_bytes();
        for at in 0..whole.len() {
            write(&|file| file.write_all_at(&[0xff], at as u64).unwrap());
            read("this");
        }
    }
}
