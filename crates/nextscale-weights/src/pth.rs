//! PyTorch files: the pickle is parsed as data, and names are the paths through its dictionaries.

use std::path::Path;

use pytorch_reader::{OpCode, PickleError, PytorchError, PytorchReader, Tensor};

use crate::{Error, Result};

/// The tensors of a `.pth` file by their dotted paths.
pub(crate) fn open(path: &Path, file: &str) -> Result<Vec<(String, Tensor)>> {
    let reader = PytorchReader::new(path).map_err(|error| explain(error, path, file))?;
    if reader.is_empty() {
        return Err(Error::NotACheckpoint { file: file.into(), found: "a pickle without tensors".into() });
    }
    Ok(reader.into_tensors().into_iter().collect())
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
        // Items are put into something that is neither a plain dict nor a plain list.
        PytorchError::Pickle(PickleError::UnexpectedOpCode(
            OpCode::SetItem | OpCode::SetItems | OpCode::Append | OpCode::Appends,
        )) => Error::Container { file },
        PytorchError::Pickle(PickleError::NoDataSource) => {
            Error::NotACheckpoint { file, found: "a pickle that names tensors but does not hold them".into() }
        }
        PytorchError::InvalidFormat(detail) if detail.starts_with("not a PyTorch checkpoint") => {
            Error::NotACheckpoint { file, found: "it starts like no known container".into() }
        }
        PytorchError::InvalidFormat(detail) if detail.starts_with("Expected a dictionary") => {
            Error::NotACheckpoint { file, found: detail }
        }
        other => Error::Corrupt { file, detail: other.to_string() },
    }
}
