use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use half::f16;

use crate::{Error, Header, Result, StoredType};
use nextscale_files::Partial;

/// How floats are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 16-bit floats: half the size, for shipped models.
    F16,
    /// 32-bit floats, without loss.
    F32,
}

impl Precision {
    const fn name(self) -> &'static str {
        match self {
            Self::F16 => "F16",
            Self::F32 => "F32",
        }
    }

    const fn stored(self) -> StoredType {
        match self {
            Self::F16 => StoredType::F16,
            Self::F32 => StoredType::F32,
        }
    }
}

/// Writes a safetensors file with `metadata` in its header, completely or not at all.
///
/// Floats are stored as `precision` says, integers as i64. The file is written under a temporary name, synced
/// and renamed, so that a reader never sees half of it. The same content gives the same bytes.
///
/// # Errors
/// [`Error::Unsaveable`] if a finite value overflows f16 or a tensor holds neither floats nor integers;
/// [`Error::Write`] if writing fails.
pub fn save_safetensors(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (String, TensorData)>,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let path = path.as_ref();
    let mut encoded = Vec::new();
    for (name, data) in tensors {
        let shape = data.shape().as_slice().to_vec();
        let (dtype, bytes) = encode(&name, data, precision)?;
        encoded.push((name, dtype, shape, bytes));
    }
    // In the order of the format's own writer: wide elements first, so that every tensor is aligned, then by
    // name.
    encoded.sort_by(|a, b| (a.1 != StoredType::I64, &a.0).cmp(&(b.1 != StoredType::I64, &b.0)));
    let mut header = Header::new(metadata);
    for (name, dtype, shape, _) in &encoded {
        header.push(name, *dtype, shape);
    }

    let written = (|| {
        let partial = Partial::new(path)?;
        let mut out = BufWriter::new(File::create(partial.path())?);
        out.write_all(&header.to_bytes())?;
        for (_, _, _, bytes) in &encoded {
            out.write_all(bytes)?;
        }
        out.into_inner().map_err(|error| error.into_error())?;
        partial.keep()
    })();
    written.map_err(|source| Error::Write { path: path.into(), source })
}

fn encode(name: &str, data: TensorData, precision: Precision) -> Result<(StoredType, Vec<u8>)> {
    let refuse =
        |detail: String| Error::Unsaveable { name: name.into(), precision: precision.name(), detail };
    match data.dtype() {
        DType::F64 | DType::F32 | DType::Flex32 | DType::F16 | DType::BF16 => {
            let values = data.try_into_vec_as::<f32>().map_err(|error| refuse(error.to_string()))?;
            let bytes = match precision {
                Precision::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                Precision::F16 => {
                    let halves: Vec<_> = values.iter().map(|&value| f16::from_f32(value)).collect();
                    if let Some(at) =
                        (0..values.len()).find(|&i| values[i].is_finite() && !halves[i].is_finite())
                    {
                        return Err(refuse(format!("{} is beyond ±65504; use F32", values[at])));
                    }
                    halves.iter().flat_map(|value| value.to_le_bytes()).collect()
                }
            };
            Ok((precision.stored(), bytes))
        }
        dtype if dtype.is_int() || dtype.is_uint() => {
            let values = data.try_into_vec_as::<i64>().map_err(|error| refuse(error.to_string()))?;
            Ok((StoredType::I64, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        }
        other => Err(refuse(format!("it holds {other:?}"))),
    }
}
