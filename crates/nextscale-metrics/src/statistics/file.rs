//! Statistics files: safetensors with the sums, the kept features, and metadata about their origin.

use std::path::Path;

use half::f16;
use nextscale_files::{Hash, write_atomically};
use nextscale_weights::serialize;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Distribution, Kept, Origin, Statistics};
use crate::inception_score::ScoreSums;
use crate::{Error, FeatureSums, Result};

/// The metadata's key.
const KEY: &str = "nextscale_statistics";
/// The format's number.
const FORMAT: u32 = 1;

/// How kept features are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeptAs {
    /// As they are.
    F32,
    /// At half the size, with 11 bits of precision: KID changes by about 1e-4, relatively.
    F16,
    /// Not at all: the file then serves only Fréchet distances and Inception Scores.
    Nothing,
}

/// The metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    net: String,
    protocol: Option<String>,
    origin: Origin,
    count: u64,
    /// What an unfinished file is the beginning of; absent if it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
    /// SHA-256 over all tensors' bytes, in the order of their names.
    sha256: String,
}

/// The gathering that unfinished statistics belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub images: u64,
    pub keep: usize,
    pub splits: usize,
    pub seed: u32,
}

/// A tensor's bytes on their way to a file.
struct Stored {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn doubles(name: &'static str, shape: Vec<usize>, values: &[f64]) -> Self {
        Self {
            name,
            dtype: Dtype::F64,
            shape,
            bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

impl Statistics {
    /// Writes the statistics to a safetensors file, completely or not at all; the same statistics give the
    /// same bytes.
    ///
    /// # Errors
    /// [`Error::Source`] if they are another program's moments, or kept features exceed f16; [`Error::Io`] if
    /// writing fails.
    pub fn save(&self, path: &Path, kept_as: KeptAs) -> Result<()> {
        self.save_part(path, kept_as, None)
    }

    pub(super) fn save_part(&self, path: &Path, kept_as: KeptAs, part: Option<Part>) -> Result<()> {
        let Distribution::Sums(pooled) = &self.pooled else {
            return Err(Error::source(
                path,
                "cannot be written: the moments of another program have no sums to save",
            ));
        };
        let mut tensors = sums([SUM, PRODUCTS], pooled);
        if let Some(Distribution::Sums(spatial)) = &self.spatial {
            tensors.extend(sums([SPATIAL_SUM, SPATIAL_PRODUCTS], spatial));
        }
        if let (Some(kept), true) = (&self.kept, kept_as != KeptAs::Nothing) {
            tensors.push(encode(kept, kept_as, path)?);
        }
        if let Some(score) = &self.score {
            let (counts, entropies, probabilities) = score.parts();
            let counts: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
            tensors.push(Stored::doubles(COUNTS, vec![counts.len()], &counts));
            tensors.push(Stored::doubles(ENTROPIES, vec![counts.len()], entropies));
            let shape = vec![counts.len(), score.classes()];
            tensors.push(Stored::doubles(PROBABILITIES, shape, probabilities));
        }
        let header = Header {
            format: FORMAT,
            net: self.net.clone(),
            protocol: self.protocol.clone(),
            origin: self.origin.clone(),
            count: pooled.count(),
            part,
            sha256: digest(tensors.iter().map(|tensor| (tensor.name, &tensor.bytes[..]))),
        };
        let text = serde_json::to_string(&header).unwrap_or_default();
        let tensors = (tensors.iter())
            .map(|Stored { name, dtype, shape, bytes }| (*name, *dtype, shape.clone(), &bytes[..]));
        // A single key, because the order of several is not fixed.
        let bytes = serialize(tensors, [(KEY, text)])
            .map_err(|error| Error::source(path, format!("cannot be written: {error}")))?;
        write_atomically(path, &bytes).map_err(Error::io("write", path))
    }

    /// Reads a statistics file.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Source`], naming the file, if it cannot be read, is not a statistics file,
    /// is truncated or damaged (its content's hash is compared), or is inconsistent.
    pub fn read(path: &Path) -> Result<Self> {
        match Self::read_part(path)? {
            (statistics, None) => Ok(statistics),
            _ => Err(Error::source(path, "is unfinished; repeat the command that was writing it")),
        }
    }

    pub(super) fn read_part(path: &Path) -> Result<(Self, Option<Part>)> {
        Self::from_bytes(&std::fs::read(path).map_err(Error::io("read", path))?, path)
    }

    /// Parses a file's bytes; messages name `path`.
    pub(super) fn from_bytes(bytes: &[u8], path: &Path) -> Result<(Self, Option<Part>)> {
        let torn = |error: safetensors::SafeTensorError| {
            Error::source(
                path,
                format!("is truncated, corrupt or not a safetensors file ({error}); gather it again"),
            )
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(torn)?;
        let file = SafeTensors::deserialize(bytes).map_err(torn)?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).ok_or_else(|| {
            Error::source(
                path,
                "is not a statistics file; make one with `nextscale evaluate IMAGES --save-statistics FILE`",
            )
        })?;
        let other = |_| {
            Error::source(path, "is a statistics file of another version of this program; gather it again")
        };
        let header: Header = serde_json::from_str(text).map_err(other)?;
        if header.format != FORMAT {
            let problem =
                format!("is a statistics file of format {}, not {FORMAT}; gather it again", header.format);
            return Err(Error::source(path, problem));
        }
        let tensors = file.tensors();
        if digest(tensors.iter().map(|(name, view)| (name.as_str(), view.data()))) != header.sha256 {
            return Err(Error::source(
                path,
                "is damaged: its content is not what was written; gather it again",
            ));
        }
        let reader = Reader { file: &file, path };
        let pooled = reader.sums([SUM, PRODUCTS], header.count)?;
        let pooled = pooled.ok_or_else(|| reader.contradiction(SUM, "is missing"))?;
        let mut statistics =
            Self::new(header.origin, header.net, header.protocol, Distribution::Sums(pooled.clone()));
        statistics.spatial =
            reader.sums([SPATIAL_SUM, SPATIAL_PRODUCTS], header.count)?.map(Distribution::Sums);
        statistics.kept = reader.kept(pooled.dims())?;
        statistics.score = reader.score()?;
        Ok((statistics, header.part))
    }
}

const SUM: &str = "pooled.sum";
const PRODUCTS: &str = "pooled.products";
const SPATIAL_SUM: &str = "spatial.sum";
const SPATIAL_PRODUCTS: &str = "spatial.products";
const KEPT: &str = "kept";
const COUNTS: &str = "score.counts";
const ENTROPIES: &str = "score.negative_entropies";
const PROBABILITIES: &str = "score.probabilities";

fn sums([sum, products]: [&'static str; 2], of: &FeatureSums) -> Vec<Stored> {
    let (x, xx) = of.to_parts();
    vec![Stored::doubles(sum, vec![x.len()], &x), Stored::doubles(products, vec![xx.len()], &xx)]
}

fn encode(kept: &Kept, kept_as: KeptAs, path: &Path) -> Result<Stored> {
    let shape = vec![kept.count(), kept.dims];
    if kept_as == KeptAs::F32 {
        let bytes = kept.rows.iter().flat_map(|value| value.to_le_bytes()).collect();
        return Ok(Stored { name: KEPT, dtype: Dtype::F32, shape, bytes });
    }
    let halves: Vec<f16> = kept.rows.iter().map(|&value| f16::from_f32(value)).collect();
    if let Some(at) = halves.iter().position(|value| !value.is_finite()) {
        let problem = format!("cannot be written: the feature {} is beyond f16; keep f32", kept.rows[at]);
        return Err(Error::source(path, problem));
    }
    let bytes = halves.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(Stored { name: KEPT, dtype: Dtype::F16, shape, bytes })
}

pub(super) fn digest<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_unstable();
    let mut hash = Hash::new();
    for (name, bytes) in tensors {
        hash.update(name);
        hash.update_part(bytes);
    }
    hash.hex()
}

/// Reads tensors from a file, with errors that name it.
struct Reader<'a> {
    file: &'a SafeTensors<'a>,
    path: &'a Path,
}

impl Reader<'_> {
    fn contradiction(&self, name: &str, problem: &str) -> Error {
        Error::source(self.path, format!("contradicts itself: `{name}` {problem}; gather it again"))
    }

    /// A tensor of f64, finite.
    fn doubles(&self, name: &str) -> Result<Option<Vec<f64>>> {
        let Ok(view) = self.file.tensor(name) else { return Ok(None) };
        if view.dtype() != Dtype::F64 {
            return Err(self.contradiction(name, "is not f64"));
        }
        let words = view.data().chunks_exact(8);
        let values: Vec<f64> =
            words.filter_map(|word| word.try_into().ok()).map(f64::from_le_bytes).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.contradiction(name, "holds values that are not finite"));
        }
        Ok(Some(values))
    }

    fn sums(&self, [sum, products]: [&str; 2], count: u64) -> Result<Option<FeatureSums>> {
        match (self.doubles(sum)?, self.doubles(products)?) {
            (None, None) => Ok(None),
            (Some(x), Some(xx)) => FeatureSums::from_parts(count, x, &xx)
                .map(Some)
                .map_err(|_| self.contradiction(products, "does not fit the sum")),
            _ => Err(self.contradiction(products, "or the sum is missing")),
        }
    }

    fn kept(&self, dims: usize) -> Result<Option<Kept>> {
        let Ok(view) = self.file.tensor(KEPT) else { return Ok(None) };
        let fits = matches!(view.shape(), &[rows, columns] if rows > 0 && columns == dims);
        let rows: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes_of(view.data()).map(f32::from_le_bytes).collect(),
            Dtype::F16 => bytes_of(view.data()).map(|word| f16::from_le_bytes(word).to_f32()).collect(),
            _ => return Err(self.contradiction(KEPT, "is neither f32 nor f16")),
        };
        if !fits || rows.iter().any(|value| !value.is_finite()) {
            return Err(self.contradiction(KEPT, "has another shape, or values that are not finite"));
        }
        Ok(Some(Kept { rows, dims }))
    }

    fn score(&self) -> Result<Option<ScoreSums>> {
        let parts = (self.doubles(COUNTS)?, self.doubles(ENTROPIES)?, self.doubles(PROBABILITIES)?);
        let (counts, entropies, probabilities) = match parts {
            (None, None, None) => return Ok(None),
            (Some(counts), Some(entropies), Some(probabilities)) => (counts, entropies, probabilities),
            _ => return Err(self.contradiction(COUNTS, "or its companions are missing")),
        };
        let counts = counts.into_iter().map(|count| count as u64).collect();
        ScoreSums::from_parts(counts, entropies, probabilities)
            .map(Some)
            .map_err(|_| self.contradiction(PROBABILITIES, "has another shape"))
    }
}

pub(super) fn bytes_of<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    data.chunks_exact(N).filter_map(|word| word.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Toy, features, origin};
    use crate::{Collector, FeatureNet, Features, GatherOptions};

    fn statistics() -> Statistics {
        let net = Toy::default();
        let (count, part) = (30, |dims, seed| features(30, dims, seed, 0));
        let options = GatherOptions { keep: 20, splits: 2, ..GatherOptions::default() };
        let mut collector = Collector::new(&net, count as u64, &options).unwrap();
        let (dims, pooled) = (net.dims(), part(12, 1));
        collector
            .push(&Features { count, dims, pooled, spatial: Some(part(5, 2)), logits: Some(part(4, 3)) })
            .unwrap();
        collector.finish(origin("images/test")).unwrap()
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let root = tempfile::tempdir().unwrap();
        let (path, again) = (root.path().join("a.safetensors"), root.path().join("b.safetensors"));
        let written = statistics();
        written.save(&path, KeptAs::F32).unwrap();
        let read = Statistics::read(&path).unwrap();
        assert_eq!(
            (&read.origin, &read.net, &read.protocol),
            (&written.origin, &written.net, &written.protocol)
        );
        assert_eq!((&read.kept, &read.score), (&written.kept, &written.score));
        assert_eq!(read.pooled.moments().unwrap(), written.pooled.moments().unwrap());
        let spatial = |of: &Statistics| of.spatial.as_ref().unwrap().moments().unwrap();
        assert_eq!(spatial(&read), spatial(&written));
        read.save(&again, KeptAs::F32).unwrap();
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap());
        read.save(&again, KeptAs::F16).unwrap();
        let halves = Statistics::read(&again).unwrap().kept.unwrap();
        let pairs = halves.rows.iter().zip(&written.kept.as_ref().unwrap().rows);
        assert!(
            pairs.clone().all(|(a, b)| (a - b).abs() <= b.abs() / 2048.0)
                && pairs.clone().any(|(a, b)| a != b)
        );
        read.save(&again, KeptAs::Nothing).unwrap();
        assert!(Statistics::read(&again).unwrap().kept.is_none());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn torn_damaged_and_other_files_are_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.safetensors");
        statistics().save(&path, KeptAs::F32).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let say = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = Statistics::read(&path).unwrap_err().to_string();
            assert!(error.contains("a.safetensors"), "{error}");
            error
        };
        for length in [0, 4, 100, whole.len() - 1] {
            assert!(say(&whole[..length]).contains("truncated"));
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 0x10;
        assert!(say(&damaged).contains("damaged"));
        let format = br#"format\":"#;
        let at = whole.windows(format.len()).position(|bytes| bytes == format).unwrap() + format.len();
        let mut newer = whole.clone();
        newer[at] = b'9';
        let error = say(&newer);
        assert!(error.contains("of format 9, not 1"), "{error}");
        let other = serialize(Vec::<(&str, Dtype, Vec<usize>, &[u8])>::new(), []).unwrap();
        assert!(say(&other).contains("is not a statistics file"));
        std::fs::remove_file(&path).unwrap();
        assert!(Statistics::read(&path).unwrap_err().to_string().contains("a.safetensors"));
    }

    #[test]
    fn a_file_of_another_network_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.safetensors");
        statistics().save(&path, KeptAs::F32).unwrap();
        let input = crate::Input::open(&path, None).unwrap();
        let open = |net: &Toy| Statistics::of_samples(&input, net, &GatherOptions::default(), &mut |_, _| {});
        assert!(open(&Toy::default()).is_ok());
        let error = open(&Toy { name: "lite0", fault: None }).unwrap_err();
        assert!(error.is_usage());
        let error = error.to_string();
        assert!(error.contains("a.safetensors") && error.contains("`inception (toy)`"), "{error}");
    }
}
