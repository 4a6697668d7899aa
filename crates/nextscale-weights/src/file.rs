use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use nextscale_files::FileKind;
use rayon::prelude::*;

use crate::pickle::Stored;
use crate::pth::Found;
use crate::{Error, Result, StoredType, TensorInfo, convert, fingerprint, pth, safe, shards};

/// Dictionaries in which training code wraps a state dict. Upstream's training checkpoints hold the
/// transformer under `trainer.var_wo_ddp`, beside the tokenizer and the optimiser's moments.
const WRAPPERS: [&str; 6] =
    ["trainer.var_wo_ddp", "state_dict", "model_state_dict", "model", "module", "net"];

/// A checkpoint whose header has been read, but not its tensors. Cheap to clone.
///
/// It is one file, or several shards under an index. Names are those in the file without a prefix: if a
/// training checkpoint nests the state dict, the names of the wrapping dictionaries are stripped (see
/// [`rooted`](Self::rooted)).
#[derive(Clone)]
pub struct WeightFile {
    label: String,
    contents: Arc<Contents>,
    prefix: String,
}

#[derive(Default)]
struct Contents {
    entries: BTreeMap<String, (TensorInfo, Source)>,
    metadata: BTreeMap<String, String>,
    parts: Vec<Part>,
}

enum Source {
    Pickle(pytorch_reader::Tensor),
    Stored(Stored),
    Bytes { part: usize, range: Range<usize> },
}

/// A file, and its bytes if they are mapped.
enum Part {
    Pickle(PathBuf),
    Map(PathBuf, memmap2::Mmap),
    Memory(Cow<'static, [u8]>),
}

impl Part {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Pickle(_) => &[],
            Self::Map(_, map) => map,
            Self::Memory(bytes) => bytes,
        }
    }

    fn fingerprint(&self) -> Result<String> {
        match self {
            Self::Pickle(path) | Self::Map(path, _) => fingerprint::of_file(path),
            Self::Memory(bytes) => {
                fingerprint::of_content(bytes).map_err(|source| Error::Read { path: PathBuf::new(), source })
            }
        }
    }
}

impl Contents {
    fn open(path: &Path) -> Result<Self> {
        let label = path.display().to_string();
        let unreadable = |source| Error::Read { path: path.into(), source };
        let file = File::open(path).map_err(unreadable)?;
        let mut head = Vec::new();
        (&file).take(512).read_to_end(&mut head).map_err(unreadable)?;
        if let Some(found) = disguise(&head) {
            return Err(Error::NotACheckpoint { file: label, found });
        }
        if safe::looks_like(&head) {
            // SAFETY: the map is only read, as bytes, for which every value is valid. If another process
            // shortens the file meanwhile, this one faults, as with every mapped checkpoint; the
            // documentation says so.
            let map = unsafe { memmap2::Mmap::map(&file) }.map_err(unreadable)?;
            return Self::of_safetensors(Part::Map(path.into(), map), &label);
        }
        let entries = pth::open(path, &label)?
            .into_iter()
            .map(|(name, found)| match found {
                Found::Read(tensor) => {
                    let info = TensorInfo { shape: tensor.shape().to_vec(), dtype: tensor.dtype().into() };
                    (name, (info, Source::Pickle(tensor)))
                }
                Found::Stored(stored) => (name, (stored.info().clone(), Source::Stored(stored))),
            })
            .collect();
        Ok(Self { entries, metadata: BTreeMap::new(), parts: vec![Part::Pickle(path.into())] })
    }

    fn of_safetensors(part: Part, label: &str) -> Result<Self> {
        let header = safe::header(part.as_slice(), label)?;
        let entries = header
            .tensors
            .into_iter()
            .map(|(name, info, range)| (name, (info, Source::Bytes { part: 0, range })))
            .collect();
        Ok(Self { entries, metadata: header.metadata, parts: vec![part] })
    }

    /// Adds another file's tensors, whose names must differ.
    fn append(&mut self, other: Self) {
        let before = self.parts.len();
        self.entries.extend(other.entries.into_iter().map(|(name, (info, source))| {
            let source = match source {
                Source::Bytes { part, range } => Source::Bytes { part: before + part, range },
                of_pickle => of_pickle,
            };
            (name, (info, source))
        }));
        self.metadata.extend(other.metadata);
        self.parts.extend(other.parts);
    }
}

impl WeightFile {
    /// Opens a `.pth` (zip, legacy, tar; plain or nested) or `.safetensors` file, recognised by content;
    /// shards, by their index (`model.safetensors.index.json`, `pytorch_model.bin.index.json`); or a folder
    /// that holds one of these.
    ///
    /// A safetensors file is mapped into memory: do not change it while it is open.
    ///
    /// # Errors
    /// If a file cannot be read, is not a checkpoint, is truncated or corrupt, or if a shard that the index
    /// names is missing.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path = &if path.is_dir() { shards::weights_in(path)? } else { path.to_owned() };
        let label = path.display().to_string();
        if !shards::is_index(path) {
            return Ok(Self::unwrapped(label, Contents::open(path)?));
        }
        let mut contents = Contents::default();
        for shard in shards::read_index(path)? {
            let part = Contents::open(&shard.path)?;
            shard.check(path, part.entries.keys())?;
            contents.append(part);
        }
        Ok(Self::unwrapped(label, contents))
    }

    /// Reads a safetensors file in memory, such as one compiled in; `name` stands for it in errors.
    ///
    /// # Errors
    /// If the bytes are not a safetensors file, or are truncated or corrupt.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>, name: impl Into<String>) -> Result<Self> {
        let (bytes, name) = (bytes.into(), name.into());
        if !safe::looks_like(&bytes) {
            let head = &bytes[..bytes.len().min(512)];
            let found =
                disguise(head).unwrap_or_else(|| "it does not start with a safetensors header".into());
            return Err(Error::NotACheckpoint { file: name, found });
        }
        Ok(Self::unwrapped(name.clone(), Contents::of_safetensors(Part::Memory(bytes), &name)?))
    }

    fn unwrapped(label: String, contents: Contents) -> Self {
        let mut prefix = String::new();
        // Wrappers nest, as in `state_dict.module`. Except for the trainer's, each must hold everything in
        // the file.
        while let Some(wrapper) =
            WRAPPERS.iter().map(|wrapper| format!("{prefix}{wrapper}.")).find(|wrapper| {
                let mut below = contents.entries.keys().filter(|name| name.starts_with(&prefix));
                if wrapper.contains(".var_wo_ddp") {
                    below.any(|name| name.starts_with(wrapper))
                } else {
                    below.clone().next().is_some() && below.all(|name| name.starts_with(wrapper))
                }
            })
        {
            prefix = wrapper;
        }
        Self { label, contents: Arc::new(contents), prefix }
    }

    /// The file's name, for messages.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What is stripped from the names in the file, with its final dot; empty for a plain state dict.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The same file seen from the dictionary that holds a tensor called `marker`, for files of several
    /// models: upstream's training checkpoints have the tokenizer under `trainer.vae_local`. Unchanged if
    /// `marker` is already visible, or does not exist.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] if several dictionaries hold such a tensor.
    pub fn rooted(&self, marker: &str) -> Result<Self> {
        if self.info(marker).is_some() {
            return Ok(self.clone());
        }
        let suffix = format!(".{marker}");
        let prefixes: BTreeSet<&str> =
            self.contents.entries.keys().filter_map(|name| name.strip_suffix(&suffix)).collect();
        match prefixes.len() {
            0 => Ok(self.clone()),
            1 => Ok(Self { prefix: prefixes.iter().map(|p| format!("{p}.")).collect(), ..self.clone() }),
            _ => Err(Error::Ambiguous {
                file: self.label.clone(),
                marker: marker.into(),
                prefixes: prefixes.into_iter().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The same file seen from a dictionary inside it, which may have no tensors.
    #[must_use]
    pub fn within(&self, dictionary: &str) -> Self {
        Self { prefix: format!("{}{dictionary}.", self.prefix), ..self.clone() }
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        let range = self.contents.entries.range(self.prefix.clone()..);
        range.map_while(|(name, (info, _))| Some((name.strip_prefix(&self.prefix)?, info)))
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(name, _)| name)
    }

    /// What the header says about a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.contents.entries.get(&format!("{}{name}", self.prefix)).map(|(info, _)| info)
    }

    /// The shape of a required tensor of `rank` axes.
    ///
    /// # Errors
    /// [`Error::NoTensor`] or [`Error::Rank`].
    pub fn shape_of_rank(&self, name: &str, rank: usize) -> Result<&[usize]> {
        let Some(info) = self.info(name) else {
            return Err(Error::NoTensor { file: self.label().into(), name: name.into() });
        };
        if info.shape.len() != rank {
            return Err(Error::Rank {
                file: self.label().into(),
                name: name.into(),
                found: info.shape.clone(),
                expected: rank,
            });
        }
        Ok(&info.shape)
    }

    /// The same with its `D` sizes.
    ///
    /// # Errors
    /// As [`shape_of_rank`](Self::shape_of_rank).
    pub fn shape<const D: usize>(&self, name: &str) -> Result<[usize; D]> {
        let mut sizes = [0; D];
        sizes.copy_from_slice(self.shape_of_rank(name, D)?);
        Ok(sizes)
    }

    /// The strings in a safetensors header's `__metadata__`; empty for other files.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.contents.metadata
    }

    /// Identifies these weights without reading all of them; see [`fingerprint`].
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let parts = self.contents.parts.iter().map(Part::fingerprint).collect::<Result<Vec<_>>>()?;
        Ok(match &parts[..] {
            [one] => one.clone(),
            several => fingerprint::of_bytes(&several.iter().map(String::as_bytes).collect::<Vec<_>>()),
        })
    }

    /// The size of all tensors together in bytes, as stored.
    pub fn byte_len(&self) -> u64 {
        self.entries()
            .map(|(_, info)| (info.shape.iter().product::<usize>() * info.dtype.size()) as u64)
            .sum()
    }

    fn bytes(&self, name: &str) -> Result<(&TensorInfo, Cow<'_, [u8]>)> {
        let (info, source) = self
            .contents
            .entries
            .get(&format!("{}{name}", self.prefix))
            .ok_or_else(|| Error::NoTensor { file: self.label.clone(), name: name.into() })?;
        let corrupt =
            |error: std::io::Error| Error::Corrupt { file: self.label.clone(), detail: error.to_string() };
        let bytes = match source {
            Source::Bytes { part, range } => {
                Cow::Borrowed(&self.contents.parts[*part].as_slice()[range.clone()])
            }
            Source::Pickle(tensor) => Cow::Owned(tensor.read().map_err(corrupt)?),
            Source::Stored(stored) => Cow::Owned(stored.read().map_err(corrupt)?),
        };
        Ok((info, bytes))
    }

    /// Reads every tensor once without keeping it: a header may list storages that are missing or damaged,
    /// and weights may be NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::NotFinite`] for the first tensor that cannot be read or used.
    pub fn verify(&self) -> Result<()> {
        let names: Vec<&str> = self.names().collect();
        names.into_iter().try_for_each(|name| {
            let (info, bytes) = self.bytes(name)?;
            if let Some(values) = convert::floats(&bytes, info.dtype) {
                self.refuse_not_finite(name, &values)?;
            }
            self.forget(name);
            Ok(())
        })
    }

    /// Refuses a tensor's values if one is NaN or, as f32, infinite: every image would be, without a word about
    /// which file it came from. A tensor of zeros and -inf only is a mask, and is left alone.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub fn refuse_not_finite(&self, name: &str, values: &[f32]) -> Result<()> {
        const PART: usize = 1 << 16;
        // The bits of a magnitude order as it does, and NaN lies above infinity: a maximum of integers has no
        // branches.
        let largest = |part: &[f32]| part.iter().fold(0, |most: u32, value| most.max(value.abs().to_bits()));
        let most = values.par_chunks(PART).map(largest).max().unwrap_or(0);
        let what = match most.cmp(&f32::INFINITY.to_bits()) {
            Ordering::Less => return Ok(()),
            Ordering::Equal if values.iter().all(|&value| value == 0.0 || value == f32::NEG_INFINITY) => {
                return Ok(());
            }
            Ordering::Equal => "an infinite number",
            Ordering::Greater => "NaN",
        };
        Err(Error::NotFinite { file: self.label.clone(), name: name.into(), what })
    }

    /// An integer or boolean tensor of any stored width on the host, row-major, with its shape.
    ///
    /// # Errors
    /// If there is no such tensor, it holds floats, or its bytes cannot be read.
    pub fn integers(&self, name: &str) -> Result<(Vec<i64>, Vec<usize>)> {
        let (info, bytes) = self.bytes(name)?;
        let values =
            convert::to_i64(&bytes, info.dtype).ok_or_else(|| self.kind(name, info.dtype, "integers"))?;
        Ok((values, info.shape.clone()))
    }

    fn kind(&self, name: &str, found: StoredType, expected: &'static str) -> Error {
        Error::Kind { file: self.label.clone(), name: name.into(), found, expected }
    }

    /// A float tensor of any stored width as f32 on the host, row-major, with its shape.
    ///
    /// # Errors
    /// If there is no such tensor, it holds integers, or its bytes cannot be read.
    pub fn values(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
        self.with_values(name, |values, shape| (values.into_owned(), shape.to_vec()))
    }

    /// The result of `read` on a float tensor's values, row-major, and its shape. If the file is mapped and
    /// stores f32, the values are not copied.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn with_values<R>(&self, name: &str, read: impl FnOnce(Cow<'_, [f32]>, &[usize]) -> R) -> Result<R> {
        let (info, bytes) = self.bytes(name)?;
        let values = convert::floats(&bytes, info.dtype)
            .ok_or_else(|| self.kind(name, info.dtype, "floating-point numbers"))?;
        let made = read(values, &info.shape);
        self.forget(name);
        Ok(made)
    }

    /// As [`values`](Self::values), for a model's weights: NaN and infinite numbers are refused.
    ///
    /// # Errors
    /// As [`values`](Self::values), and [`Error::NotFinite`].
    pub fn weights(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
        self.with_weights(name, |values, shape| (values.into_owned(), shape.to_vec()))
    }

    /// As [`with_values`](Self::with_values), for a model's weights: NaN and infinite numbers are refused
    /// before `read` sees them.
    ///
    /// # Errors
    /// As [`weights`](Self::weights).
    pub fn with_weights<R>(&self, name: &str, read: impl FnOnce(Cow<'_, [f32]>, &[usize]) -> R) -> Result<R> {
        self.with_values(name, |values, shape| {
            self.refuse_not_finite(name, &values)?;
            Ok(read(values, shape))
        })?
    }

    /// Lets the system reclaim the memory of a mapped tensor that has been read, so that the process holds
    /// the weights only once.
    fn forget(&self, name: &str) {
        let entry = self.contents.entries.get(&format!("{}{name}", self.prefix));
        if let Some((_, Source::Bytes { part, range })) = entry
            && let Part::Map(_, map) = &self.contents.parts[*part]
        {
            // SAFETY: the map is shared with the file and never written, so pages that are read again come
            // from the file. A refusal only affects how much memory is in use.
            let _ = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
            };
        }
    }

    fn rank<const D: usize>(&self, name: &str, shape: &[usize]) -> Result<[usize; D]> {
        shape.try_into().map_err(|_| Error::Rank {
            file: self.label.clone(),
            name: name.into(),
            found: shape.to_vec(),
            expected: D,
        })
    }

    /// A float tensor of any stored width as f32 on `device`.
    ///
    /// # Errors
    /// As [`values`](Self::values), if it does not have `D` axes, or if a value is NaN.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D>> {
        let (values, shape) = self.values(name)?;
        self.refuse_not_finite(name, &values)?;
        let shape = self.rank::<D>(name, &shape)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), (device, DType::F32)))
    }

    /// An integer or boolean tensor of any stored width on `device`.
    ///
    /// # Errors
    /// If there is no such tensor, it holds floats, its bytes cannot be read, or it does not have `D` axes.
    pub fn int_tensor<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D, Int>> {
        let (info, bytes) = self.bytes(name)?;
        let values =
            convert::to_i64(&bytes, info.dtype).ok_or_else(|| self.kind(name, info.dtype, "integers"))?;
        let shape = self.rank::<D>(name, &info.shape)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// A linear layer's weight, stored `[out, in]`, in burn's layout: `[in, out]`, contiguous.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn linear(&self, name: &str, device: &Device) -> Result<Tensor<2>> {
        let (info, bytes) = self.bytes(name)?;
        let sizes @ [rows, columns] = self.rank::<2>(name, &info.shape)?;
        // Transposed on the host: a transposed view would slow down every later product.
        let values = convert::transposed(&bytes, info.dtype, sizes)
            .ok_or_else(|| self.kind(name, info.dtype, "floating-point numbers"))?;
        self.refuse_not_finite(name, &values)?;
        self.forget(name);
        Ok(Tensor::from_data(TensorData::new(values, [columns, rows]), (device, DType::F32)))
    }
}

impl std::fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tensors = self.entries().count();
        f.debug_struct("WeightFile")
            .field("label", &self.label)
            .field("tensors", &tensors)
            .finish_non_exhaustive()
    }
}

/// What a file is instead of a checkpoint, for common mistakes with downloads and configs.
fn disguise(head: &[u8]) -> Option<String> {
    if safe::is_likely(head) {
        // The length may begin with the byte of `<`.
        return None;
    }
    let text = head.trim_ascii_start();
    match FileKind::of_bytes(head) {
        FileKind::Empty => Some("it is empty".into()),
        FileKind::WebPage => Some("it is a web page, not the file itself".into()),
        _ if text.starts_with(b"<") => Some("it is a web page, not the file itself".into()),
        kind @ (FileKind::LfsPointer | FileKind::Npz | FileKind::Image(_)) => Some(format!("it is {kind}")),
        FileKind::Text => Some("it is text, like a config, a table or JSON".into()),
        FileKind::Safetensors | FileKind::Zip | FileKind::Pickle | FileKind::Other => None,
    }
}
