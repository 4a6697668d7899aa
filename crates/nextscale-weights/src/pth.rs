//! PyTorch files: the pickle is parsed as data, and names are the paths through its dictionaries.

use std::collections::BTreeSet;
use std::path::Path;

use pytorch_reader::{OpCode, PickleError, PickleValue, PytorchError, PytorchReader, Tensor};

use crate::pickle::{Stored, negated, tensors};
use crate::{Error, Result};

/// A tensor of a `.pth` file.
pub(crate) enum Found {
    /// As read by the reader of such files.
    Read(Tensor),
    /// From a file with other objects that this reader refuses.
    Stored(Stored),
}

/// The tensors of a `.pth` file by their dotted paths.
pub(crate) fn open(path: &Path, file: &str) -> Result<Vec<(String, Found)>> {
    let empty = || Error::NotACheckpoint { file: file.into(), found: "a pickle without tensors".into() };
    if let Some(name) = negated(path) {
        return Err(Error::Negated { file: file.into(), name });
    }
    let reader = match PytorchReader::new(path).map_err(|error| explain(error, path, file)) {
        Ok(reader) => reader,
        // Whatever accompanies the weights is ignored if the weights themselves are plain.
        Err(error @ Error::Container { .. }) => {
            let mut found = tensors(path).ok_or(error)?;
            found.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(Error::Twice { file: file.into(), name: pair[0].0.clone() });
            }
            if found.is_empty() {
                return Err(empty());
            }
            return Ok(found.into_iter().map(|(name, stored)| (name, Found::Stored(stored))).collect());
        }
        Err(error) => return Err(error),
    };
    if reader.is_empty() {
        return Err(empty());
    }
    let value = PytorchReader::read_pickle_data(path, None).map_err(|error| explain(error, path, file))?;
    if let Some(name) = twice(&value) {
        return Err(Error::Twice { file: file.into(), name });
    }
    Ok(reader.into_tensors().into_iter().map(|(name, tensor)| (name, Found::Read(tensor))).collect())
}

/// A dotted path that two tensors share, as in `{"a": {"b": ..}, "a.b": ..}`: the reader keeps one of them at
/// random.
fn twice(root: &PickleValue) -> Option<String> {
    fn walk(value: &PickleValue, path: &str, seen: &mut BTreeSet<String>) -> Option<String> {
        let under = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            PickleValue::Dict(entries) => {
                entries.iter().find_map(|(key, value)| walk(value, &under(key), seen))
            }
            PickleValue::List(items) => {
                items.iter().enumerate().find_map(|(at, item)| walk(item, &under(&at.to_string()), seen))
            }
            PickleValue::Unsupported(kind) if kind == "torch.Tensor" => {
                (!seen.insert(path.to_owned())).then(|| path.to_owned())
            }
            _ => None,
        }
    }
    walk(root, "", &mut BTreeSet::new())
}

fn explain(error: PytorchError, path: &Path, file: &str) -> Error {
    let file = file.to_owned();
    match error {
        PytorchError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::Read { path: path.into(), source }
        }
        PytorchError::Pickle(PickleError::UnsupportedType(_) | PickleError::UnsupportedOpCode(_)) => {
            Error::Unsupported { file, detail: error.to_string() }
        }
        // Items are added to something that is neither a plain dict nor a plain list.
        PytorchError::Pickle(PickleError::UnexpectedOpCode(
            OpCode::SetItem | OpCode::SetItems | OpCode::Append | OpCode::Appends,
        )) => Error::Container { file },
        PytorchError::Pickle(PickleError::NoDataSource) => {
            Error::NotACheckpoint { file, found: "a pickle that names tensors but does not hold them".into() }
        }
        PytorchError::InvalidFormat(detail) if detail.starts_with("not a PyTorch checkpoint") => {
            Error::NotACheckpoint { file, found: "it does not start like any known container".into() }
        }
        PytorchError::InvalidFormat(detail) if detail.starts_with("Expected a dictionary") => {
            Error::NotACheckpoint { file, found: detail }
        }
        other => Error::Corrupt { file, detail: other.to_string() },
    }
}
