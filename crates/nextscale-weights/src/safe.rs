//! safetensors files: a JSON header, then the tensors' bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::{SafeTensorError, SafeTensors};

use crate::{Error, Result, StoredType, TensorInfo};

/// The contents of a header.
pub(crate) struct Header {
    /// Name, type and shape, and where the bytes are in the file.
    pub tensors: Vec<(String, TensorInfo, Range<usize>)>,
    /// The strings of `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

/// Whether a file with these first bytes claims to be safetensors: a length, then JSON.
pub(crate) fn looks_like(head: &[u8]) -> bool {
    head.get(8) == Some(&b'{')
}

/// Whether a file with these first bytes is safetensors and undamaged so far, even if its length looks like
/// text: the format allows headers of at most 100 MB, and eight characters read as a number are far more.
pub(crate) fn is_likely(head: &[u8]) -> bool {
    let length = head.first_chunk().map(|&bytes| u64::from_le_bytes(bytes));
    looks_like(head) && length.is_some_and(|length| length <= 100_000_000)
}

/// Reads and checks the header: offsets, sizes and the file's length must agree.
pub(crate) fn header(bytes: &[u8], file: &str) -> Result<Header> {
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(|error| {
        let detail = match error {
            SafeTensorError::MetadataIncompleteBuffer => {
                format!("its header and its length of {} bytes disagree", bytes.len())
            }
            SafeTensorError::InvalidHeaderLength | SafeTensorError::HeaderTooSmall => {
                format!("it ends after {} bytes, inside its header", bytes.len())
            }
            other => format!("bad header, {other}"),
        };
        Error::Corrupt { file: file.into(), detail }
    })?;
    let start = 8 + length;
    let mut tensors = Vec::new();
    for (name, info) in header.tensors() {
        let Some(dtype) = StoredType::from_safetensors(info.dtype) else {
            let detail = format!("tensor `{name}` is stored as {}", info.dtype);
            return Err(Error::Unsupported { file: file.into(), detail });
        };
        let (from, to) = info.data_offsets;
        tensors.push((name, TensorInfo { shape: info.shape.clone(), dtype }, start + from..start + to));
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Header { tensors, metadata })
}
