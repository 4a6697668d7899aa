//! Where every image of every tensor stands in the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nextscale_weights::{Header, StoredType};

/// A tensor of one batch.
pub(super) struct Piece {
    pub name: String,
    /// F32 or I64.
    pub kind: StoredType,
    /// The shape without the images.
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The header of a trace, whose size is known before its values are.
pub(super) struct Layout {
    header: Header,
    images: u64,
    /// Where the values begin.
    data: u64,
}

const PURPOSE: &str = "nextscale trace";

impl Layout {
    /// From the pieces of any batch: every batch has the same.
    pub fn new(pieces: &[Piece], images: u64, fingerprint: &str) -> Self {
        let about =
            [("format", PURPOSE.into()), ("images", images.to_string()), ("fingerprint", fingerprint.into())];
        let about: BTreeMap<String, String> = about.map(|(key, value)| (key.to_owned(), value)).into();
        let mut header = Header::new(&about);
        // Eight-byte values first keeps every tensor aligned.
        for kind in [StoredType::I64, StoredType::F32] {
            for piece in pieces.iter().filter(|piece| piece.kind == kind) {
                let shape: Vec<usize> =
                    std::iter::once(images as usize).chain(piece.shape.iter().copied()).collect();
                header.push(&piece.name, kind, &shape);
            }
        }
        Self { data: header.to_bytes().len() as u64, header, images }
    }

    /// That of a file that was begun for the same images of the same run.
    pub fn read(file: &File, images: u64, fingerprint: &str) -> Option<Self> {
        let header = Header::read(file)?;
        let same = header.metadata("images").and_then(|n| n.parse().ok()) == Some(images)
            && header.metadata("fingerprint") == Some(fingerprint);
        same.then(|| Self { data: header.to_bytes().len() as u64, header, images })
    }

    /// Writes the header and makes room for the values.
    pub fn begin(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.header.to_bytes(), 0)?;
        file.set_len(self.data + self.header.values())
    }

    /// Where the first image of a tensor stands, if it has `bytes` an image as the header says.
    pub fn start(&self, piece: &Piece, bytes: usize) -> Option<u64> {
        let place = self.header.place(&piece.name)?;
        (place.end - place.start == self.images * bytes as u64).then_some(self.data + place.start)
    }
}
