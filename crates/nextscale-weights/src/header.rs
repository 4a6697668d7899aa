//! The headers of safetensors files that nextscale writes: its own, where values are written one by one or
//! metadata entries need an order, and otherwise those of the format's own writer.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::io::Read;
use std::ops::Range;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use serde_json::{Map, Value, json};

use crate::StoredType;

/// The longest header that the format allows, in bytes.
const LONGEST: u64 = 100_000_000;

const METADATA: &str = "__metadata__";

/// A header that is being built or has been read back: a file's tensors and where their bytes are. The same
/// tensors and metadata give the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    entries: Map<String, Value>,
    /// Bytes of all values.
    end: u64,
}

impl Header {
    /// For a file without tensors, with `metadata`.
    pub fn new(metadata: &BTreeMap<String, String>) -> Self {
        let mut entries = Map::new();
        if !metadata.is_empty() {
            entries.insert(METADATA.into(), json!(metadata));
        }
        Self { entries, end: 0 }
    }

    /// Appends a tensor. Add wide elements first to keep every tensor aligned.
    pub fn push(&mut self, name: &str, dtype: StoredType, shape: &[usize]) {
        let size = shape.iter().map(|&side| side as u64).product::<u64>() * dtype.size() as u64;
        let end = self.end + size;
        let entry = json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [self.end, end]});
        self.entries.insert(name.into(), entry);
        self.end = end;
    }

    /// The beginning of the file: the length of the text in 8 bytes, then the text, padded with spaces so
    /// that the values are aligned to 8 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = Value::Object(self.entries.clone()).to_string();
        let length = text.len().next_multiple_of(8);
        let mut bytes = (length as u64).to_le_bytes().to_vec();
        bytes.extend(text.into_bytes());
        bytes.resize(8 + length, b' ');
        bytes
    }

    /// Bytes of all values, which follow the header.
    pub fn values(&self) -> u64 {
        self.end
    }

    /// Parses the result of [`to_bytes`](Self::to_bytes); `None` for anything else.
    pub fn read(mut from: impl Read) -> Option<Self> {
        let mut bytes = vec![0; 8];
        from.read_exact(&mut bytes).ok()?;
        let length = u64::from_le_bytes(bytes.first_chunk().copied()?);
        if length > LONGEST {
            return None;
        }
        from.take(length).read_to_end(&mut bytes).ok()?;
        let Value::Object(entries) = serde_json::from_slice(&bytes[8..]).ok()? else { return None };
        let end = entries.values().filter_map(|entry| entry["data_offsets"][1].as_u64()).max()?;
        let header = Self { entries, end };
        (header.to_bytes() == bytes).then_some(header)
    }

    /// The metadata under a key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.entries.get(METADATA)?[key].as_str()
    }

    /// Every tensor with its type, shape and place among the values, in the order of the places; `None` if an
    /// entry is not such a tensor.
    pub fn tensors(&self) -> Option<Vec<HeaderTensor>> {
        let entries = self.entries.iter().filter(|(name, _)| *name != METADATA);
        let tensor = |(name, entry): (&String, &Value)| {
            let sides = entry["shape"].as_array()?.iter();
            Some(HeaderTensor {
                name: name.clone(),
                dtype: StoredType::named(entry["dtype"].as_str()?)?,
                shape: sides.map(|side| side.as_u64().map(|side| side as usize)).collect::<Option<_>>()?,
                place: self.place(name)?,
            })
        };
        let mut tensors = entries.map(tensor).collect::<Option<Vec<_>>>()?;
        tensors.sort_by_key(|tensor| tensor.place.start);
        Some(tensors)
    }

    /// Where the bytes of a tensor are among the values.
    pub fn place(&self, name: &str) -> Option<Range<u64>> {
        let offsets = &self.entries.get(name)?["data_offsets"];
        Some(offsets[0].as_u64()?..offsets[1].as_u64()?)
    }
}

/// A tensor in a header.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderTensor {
    /// Its name.
    pub name: String,
    /// The type of its numbers.
    pub dtype: StoredType,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where its bytes are among the values.
    pub place: Range<u64>,
}

/// A whole file of tensors given as bytes, by the format's own writer, which chooses their order.
///
/// # Errors
/// If bytes do not fit a type and shape.
pub fn serialize<'a, N: AsRef<str> + Ord + Display>(
    tensors: impl IntoIterator<Item = (N, Dtype, Vec<usize>, &'a [u8])>,
    metadata: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<Vec<u8>, SafeTensorError> {
    let views = tensors
        .into_iter()
        .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(dtype, shape, bytes)?)))
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    safetensors::serialize(views, (!metadata.is_empty()).then_some(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let mut header = Header::new(&BTreeMap::from([("format".to_owned(), "a trace".to_owned())]));
        header.push("tokens", StoredType::I64, &[3, 2]);
        header.push("canvas", StoredType::F32, &[3, 1, 5]);
        header
    }

    #[test]
    fn the_format_s_own_reader_takes_it() {
        let header = header();
        assert_eq!((header.values(), header.place("canvas")), (108, Some(48..108)));
        let tensors = header.tensors().unwrap();
        assert_eq!(tensors.iter().map(|tensor| &*tensor.name).collect::<Vec<_>>(), ["tokens", "canvas"]);
        let canvas = &tensors[1];
        assert_eq!(
            (canvas.dtype, &canvas.shape[..], canvas.place.clone()),
            (StoredType::F32, &[3, 1, 5][..], 48..108)
        );
        let mut file = header.to_bytes();
        assert_eq!(file.len() % 8, 0);
        file.resize(file.len() + header.values() as usize, 0);
        let read = safetensors::SafeTensors::deserialize(&file).unwrap();
        let canvas = read.tensor("canvas").unwrap();
        assert_eq!((canvas.dtype(), canvas.shape()), (Dtype::F32, &[3, 1, 5][..]));
        assert_eq!(read.tensor("tokens").unwrap().data().len(), 48);
    }

    #[test]
    fn it_comes_back_from_a_file_that_was_begun() {
        let bytes = [header().to_bytes(), vec![7; 20]].concat();
        let read = Header::read(&bytes[..]).unwrap();
        assert_eq!(read, header());
        assert_eq!((read.metadata("format"), read.metadata("other")), (Some("a trace"), None));
        assert_eq!(read.place("none"), None);
        for damaged in [&bytes[..4], &bytes[..40], b"no header, and long enough to be one", &[0xff; 64]] {
            assert_eq!(Header::read(damaged), None);
        }
    }

    #[test]
    fn the_text_stays_what_it_was() {
        let text = r#"{"__metadata__":{"format":"a trace"},"canvas":{"data_offsets":[48,108],"dtype":"F32","shape":[3,1,5]},"#;
        let bytes = header().to_bytes();
        assert_eq!(&bytes[8..8 + text.len()], text.as_bytes());
    }

    #[test]
    fn bytes_that_do_not_fit_their_shape_are_refused() {
        let write = |bytes: &[u8]| serialize([("a", Dtype::U16, vec![2], bytes)], [("key", "x".to_owned())]);
        let file = write(&[1, 0, 2, 0]).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&file).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["key"], "x");
        assert!(write(&[1, 0, 2]).is_err());
    }
}
