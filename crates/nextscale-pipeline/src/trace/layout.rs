//! Where every image of every tensor stands in the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde_json::{Map, Value, json};

/// The types of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    I64,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::F32 => "F32",
            Kind::I64 => "I64",
        }
    }
}

/// A tensor of one batch.
pub(super) struct Piece {
    pub name: String,
    pub kind: Kind,
    /// The shape without the images.
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The header of a safetensors file whose size is known before its values are.
pub(super) struct Layout {
    header: Map<String, Value>,
    /// The length of the header in the file, padding and length word included.
    data: u64,
    end: u64,
}

const PURPOSE: &str = "nextscale trace";

impl Layout {
    /// From the pieces of any batch: every batch has the same.
    pub fn new(pieces: &[Piece], images: u64, fingerprint: &str) -> Self {
        let mut header = Map::new();
        let about = json!({"format": PURPOSE, "images": images.to_string(), "fingerprint": fingerprint});
        header.insert("__metadata__".into(), about);
        let mut end = 0;
        // Eight-byte values first keeps every tensor aligned.
        for kind in [Kind::I64, Kind::F32] {
            for piece in pieces.iter().filter(|piece| piece.kind == kind) {
                let width = if kind == Kind::I64 { 8 } else { 4 };
                let shape: Vec<u64> =
                    std::iter::once(images).chain(piece.shape.iter().map(|&side| side as u64)).collect();
                let size = shape.iter().product::<u64>() * width;
                let entry = json!({"dtype": kind.name(), "shape": shape, "data_offsets": [end, end + size]});
                header.insert(piece.name.clone(), entry);
                end += size;
            }
        }
        Self { data: 8 + padded(&header).len() as u64, header, end }
    }

    /// That of a file that was begun, if it can be read.
    pub fn read(file: &File) -> Option<Self> {
        let mut length = [0; 8];
        file.read_exact_at(&mut length, 0).ok()?;
        let length = u64::from_le_bytes(length);
        let size = file.metadata().ok()?.len();
        if length > size {
            return None;
        }
        let mut text = vec![0; length as usize];
        file.read_exact_at(&mut text, 8).ok()?;
        let Ok(Value::Object(header)) = serde_json::from_slice(&text) else { return None };
        let end = header.values().filter_map(|entry| entry["data_offsets"][1].as_u64()).max()?;
        Some(Self { header, data: 8 + length, end })
    }

    /// Whether it is of the same run.
    pub fn fits(&self, images: u64, fingerprint: &str) -> bool {
        let about = &self.header["__metadata__"];
        about["images"].as_str().and_then(|n| n.parse().ok()) == Some(images)
            && about["fingerprint"] == fingerprint
    }

    /// Writes the header and makes room for the values.
    pub fn begin(&self, file: &File) -> io::Result<()> {
        let text = padded(&self.header);
        file.write_all_at(&(text.len() as u64).to_le_bytes(), 0)?;
        file.write_all_at(&text, 8)?;
        file.set_len(self.data + self.end)
    }

    /// Where the first image of a tensor stands, if it has `bytes` an image as the header says.
    pub fn start(&self, piece: &Piece, bytes: usize) -> Option<u64> {
        let entry = self.header.get(&piece.name)?;
        let (from, to) = (entry["data_offsets"][0].as_u64()?, entry["data_offsets"][1].as_u64()?);
        let images = entry["shape"][0].as_u64()?;
        (to - from == images * bytes as u64).then_some(self.data + from)
    }
}

/// The header's text, padded with spaces so that the values begin at a multiple of eight.
fn padded(header: &Map<String, Value>) -> Vec<u8> {
    let mut text = Value::Object(header.clone()).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    text
}
