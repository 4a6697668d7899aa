use std::path::{Path, PathBuf};

use crate::StoredType;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a checkpoint cannot become a tokenizer or a backbone.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read, or its tensors do not fit.
    #[error(transparent)]
    Weights(#[from] Error),
    /// The settings do not fit the file.
    #[error(transparent)]
    Settings(#[from] nextscale_core::Error),
}

/// Errors of checkpoints. Messages name the file, the tensor and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("{}", unread(.path, .source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}; nothing was left behind", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is of another kind.
    #[error("{file} is not a checkpoint: {found}; expected a .pth or .safetensors file")]
    NotACheckpoint {
        /// The file.
        file: String,
        /// What it seems to be.
        found: String,
    },
    /// The file ends early or contradicts itself.
    #[error("{file} is truncated or corrupt: {detail}; copy or download it again")]
    Corrupt {
        /// The file.
        file: String,
        /// Where it breaks.
        detail: String,
    },
    /// The file holds something that the reader does not support.
    #[error("{file} cannot be read: {detail}; save its state dict as plain dense tensors")]
    Unsupported {
        /// The file.
        file: String,
        /// What is not supported.
        detail: String,
    },
    /// Besides its tensors, a pickle has objects with items that are not read.
    #[error(
        "{file} is sound, but besides its tensors it holds a defaultdict, a deque, or a subclass of dict or list with items, \
         which nextscale does not read; save only its tensors, if you trust the file: python -c \"import torch; d = lambda x: {{k: d(v) for k, v \
         in x.items() if isinstance(v, (dict, torch.Tensor))}} if isinstance(x, dict) else x; \
         torch.save(d(torch.load('{file}', map_location='cpu', weights_only=False)), 'weights.pth')\""
    )]
    Container {
        /// The file.
        file: String,
    },
    /// A tensor of a pickle is stored with its sign flipped.
    #[error(
        "{file}: tensor `{name}` is stored with torch's negative bit, and its values would have the wrong sign; save it as \
         `tensor.resolve_neg()`"
    )]
    Negated {
        /// The file.
        file: String,
        /// The tensor's own key.
        name: String,
    },
    /// A tensor holds NaN or an infinite number.
    #[error(
        "{file}: tensor `{name}` holds {what}, and no image can be generated with it: the training that made it diverged, or the \
         file is damaged; take an earlier checkpoint"
    )]
    NotFinite {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
        /// "NaN" or "an infinite number".
        what: &'static str,
    },
    /// Two tensors of a pickle have the same dotted path.
    #[error(
        "{file} has two tensors that are both called `{name}`, a key with points in it and a path through dictionaries; save \
         one of them under another name"
    )]
    Twice {
        /// The file.
        file: String,
        /// The name.
        name: String,
    },
    /// A tensor is not in the file.
    #[error("{file} has no tensor `{name}`")]
    NoTensor {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
    },
    /// A tensor does not have the requested number of axes.
    #[error("{file}: tensor `{name}` has shape {found:?}, expected {expected} axes")]
    Rank {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The number of axes.
        expected: usize,
    },
    /// A tensor's elements are of another kind than requested.
    #[error("{file}: tensor `{name}` holds {found}, expected {expected}")]
    Kind {
        /// The file.
        file: String,
        /// The tensor.
        name: String,
        /// How it is stored.
        found: StoredType,
        /// "floating-point numbers" or "integers".
        expected: &'static str,
    },
    /// The file has none of the model's tensors.
    #[error(
        "{file} is not {model}: it has none of its tensors, but {found}; check which file the config names"
    )]
    OtherModel {
        /// The file.
        file: String,
        /// The model, as in "a VQVAE".
        model: String,
        /// Some of the names in the file.
        found: String,
    },
    /// Some tensors do not fit the model.
    #[error("{file} does not fit {model}: {}", list(.problems, *.more))]
    Misfit {
        /// The file.
        file: String,
        /// The model, as in "a VQVAE".
        model: String,
        /// The first problems.
        problems: Vec<Problem>,
        /// How many more there are.
        more: usize,
    },
    /// A file holds several models, and it is not clear which one is meant.
    #[error(
        "{file} has `{marker}` under several prefixes: {prefixes}; save the one you want as a file of its own"
    )]
    Ambiguous {
        /// The file.
        file: String,
        /// The tensor that was looked for.
        marker: String,
        /// The prefixes.
        prefixes: String,
    },
    /// A folder holds no weights, or several and it is not clear which are meant.
    #[error(
        "{}: {found}; expected a .pth or .safetensors file, or an index of shards (model.safetensors.index.json) and its shards",
        .folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What it holds instead.
        found: String,
    },
    /// An index of shards contradicts itself or its shards.
    #[error("{} is not a sound index of shards: {detail}; download it again together with its shards", .file.display())]
    Index {
        /// The index.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Shards are missing.
    #[error(
        "{} lacks {missing}, which {} names; download the rest of the model into the same folder",
        .folder.display(),
        .file.display()
    )]
    MissingShards {
        /// The index.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// The missing shards, and how many tensors they hold.
        missing: String,
    },
    /// A value cannot be stored as requested.
    #[error("tensor `{name}` cannot be saved as {precision}: {detail}")]
    Unsaveable {
        /// The tensor.
        name: String,
        /// The type of the file's floats.
        precision: &'static str,
        /// Why.
        detail: String,
    },
}

impl Error {
    /// The file or folder that is not there, if that is what is wrong.
    pub fn missing(&self) -> Option<&Path> {
        match self {
            Self::Read { path, source } => nextscale_files::missing(path, source),
            _ => None,
        }
    }
}

/// Why a file was not read.
fn unread(path: &Path, source: &std::io::Error) -> String {
    match nextscale_files::missing(path, source) {
        Some(path) => nextscale_files::words_of_missing(path),
        None => format!("cannot read {}: {source}", path.display()),
    }
}

/// One way in which a file's tensors do not fit a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The model needs it, but the file lacks it.
    #[error("missing tensor `{name}` {shape:?}")]
    Missing {
        /// The tensor.
        name: String,
        /// The shape that the model needs.
        shape: Vec<usize>,
    },
    /// The file has it, but the model does not use it.
    #[error("unexpected tensor `{name}` {shape:?}")]
    Unexpected {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// It has another shape in the file.
    #[error("tensor `{name}` has shape {found:?}, the model needs {expected:?}")]
    Misshapen {
        /// The tensor.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that the model needs.
        expected: Vec<usize>,
    },
    /// It holds integers where the model needs numbers.
    #[error("tensor `{name}` holds {found}, the model needs floating-point numbers")]
    Integers {
        /// The tensor.
        name: String,
        /// How it is stored.
        found: StoredType,
    },
}

fn list(problems: &[Problem], more: usize) -> String {
    let mut text = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}
