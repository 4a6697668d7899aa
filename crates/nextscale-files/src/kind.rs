//! Recognises a file by its first bytes: names lie, and copies are often renamed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The longest header that the safetensors format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// What a file's first bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A safetensors file: a length, then JSON.
    Safetensors,
    /// A zip archive of numpy arrays.
    Npz,
    /// Another zip archive, such as PyTorch's files.
    Zip,
    /// A pickle, such as PyTorch's files before 2020.
    Pickle,
    /// An image in a supported or otherwise known format.
    Image(image::ImageFormat),
    /// A web page.
    WebPage,
    /// A pointer file of Git LFS.
    LfsPointer,
    /// Text: a config, JSON, CSV.
    Text,
    /// No byte at all.
    Empty,
    /// None of these.
    Other,
}

impl FileKind {
    /// Reads the first bytes of a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut head = Vec::new();
        File::open(path)?.take(1024).read_to_end(&mut head)?;
        Ok(Self::of_bytes(&head))
    }

    /// Recognises the beginning of a file; some hundred bytes are enough.
    pub fn of_bytes(head: &[u8]) -> Self {
        if head.is_empty() {
            return Self::Empty;
        }
        // Checked first: the length before a header may look like text.
        let length = head.first_chunk().map(|&bytes| u64::from_le_bytes(bytes));
        if head.get(8) == Some(&b'{') && length.is_some_and(|length| length <= LONGEST_HEADER) {
            return Self::Safetensors;
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return if first_entry(head).is_some_and(|name| name.ends_with(b".npy")) {
                Self::Npz
            } else {
                Self::Zip
            };
        }
        if matches!(head, [0x80, 2..=5, ..]) {
            return Self::Pickle;
        }
        if let Ok(format) = image::guess_format(head) {
            return Self::Image(format);
        }
        if head.starts_with(b"version https://git-lfs") {
            return Self::LfsPointer;
        }
        let text = head.trim_ascii_start().to_ascii_lowercase();
        if [&b"<!doctype"[..], b"<html", b"<head", b"<?xml"].iter().any(|start| text.starts_with(start)) {
            return Self::WebPage;
        }
        // The last character may be cut.
        match std::str::from_utf8(head) {
            Ok(text) if !text.contains('\0') => Self::Text,
            Err(error) if error.valid_up_to() + 4 > head.len() && head.len() > 8 => Self::Text,
            _ => Self::Other,
        }
    }
}

/// The name of the first file in a zip archive.
fn first_entry(head: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_le_bytes(*head.get(26..)?.first_chunk()?));
    head.get(30..30 + length)
}

/// A phrase: "a safetensors file".
impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "a safetensors file",
            Self::Npz => "an .npz file",
            Self::Zip => "a zip archive, like PyTorch's checkpoints",
            Self::Pickle => "a pickle, like PyTorch's old checkpoints",
            Self::Image(format) => match format {
                image::ImageFormat::Png => "one PNG image",
                image::ImageFormat::Jpeg => "one JPEG image",
                _ => "one image",
            },
            Self::WebPage => "a web page",
            Self::LfsPointer => "a Git LFS pointer, not the file itself",
            Self::Text => "text",
            Self::Empty => "an empty file",
            Self::Other => "a file of unknown kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(name: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(26, 0);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes
    }

    #[test]
    fn first_bytes_tell() {
        let safetensors = |length: u64| [&length.to_le_bytes()[..], b"{\"a\":1}"].concat();
        let cases: [(&[u8], FileKind); 16] = [
            (&safetensors(7), FileKind::Safetensors),
            // A header of 15420 or 671804 bytes begins with `<`.
            (&safetensors(0x3C3C), FileKind::Safetensors),
            (&safetensors(0x0A403C), FileKind::Safetensors),
            (&zip("arr_0.npy"), FileKind::Npz),
            (&zip("archive/data.pkl"), FileKind::Zip),
            (b"PK\x03\x04", FileKind::Zip),
            (b"\x80\x02}q\0", FileKind::Pickle),
            (b"\x89PNG\r\n\x1a\n", FileKind::Image(image::ImageFormat::Png)),
            (b"\xFF\xD8\xFF\xE0", FileKind::Image(image::ImageFormat::Jpeg)),
            (b"\n<!DOCTYPE html>", FileKind::WebPage),
            (b"version https://git-lfs.github.com/spec/v1", FileKind::LfsPointer),
            (b"(model: Shipped(\"cifar10\"))", FileKind::Text),
            ("a long enough tеxt, cut in it: ж".as_bytes().split_last().unwrap().1, FileKind::Text),
            (b"", FileKind::Empty),
            (b"\0\x05\x16\x07", FileKind::Other),
            (b"<\0\0\0\0\0\0\0", FileKind::Other),
        ];
        for (bytes, kind) in cases {
            assert_eq!(FileKind::of_bytes(bytes), kind, "{bytes:?}");
        }
    }
}
