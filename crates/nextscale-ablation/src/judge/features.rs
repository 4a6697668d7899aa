//! Distances on the features of a network: FD-Lite0, KID-Lite0 and the rest, or FID and its relatives.

use std::path::Path;

use nextscale_config::Fields;
use nextscale_metrics::frechet::frechet;
use nextscale_metrics::kid::{KidOptions, kid};
use nextscale_metrics::precision_recall::Neighbours;
use nextscale_metrics::{
    Collector, EvaluateOptions, FeatureNet, GatherOptions, Input, Origin, Statistics, evaluate,
};

use super::context::Context;
use super::{Better, Judge, Judged, Measure, Rows, network};
use crate::images::Images;
use crate::reference::Reference;
use crate::{Error, Result};

/// Subsets of a kernel distance: fewer than the reference implementation's 100, because an ablation computes
/// one for every cell and seed. The protocol states it.
const SUBSETS: usize = 20;

/// As torch-fidelity's, but for the number of subsets.
const KID: KidOptions = KidOptions { subsets: SUBSETS, subset_size: 1000, seed: 2020 };

/// Compares the features of images with the statistics of a reference, and of its reconstructions if there
/// are any.
pub struct FeatureJudge {
    net: Box<dyn FeatureNet>,
    reference: Statistics,
    rec: Option<Statistics>,
}

impl FeatureJudge {
    /// With the statistics files in the settings `reference` and `rec`, or `cifar10` for the shipped ones. Without
    /// a `reference`, Lite0 uses the shipped statistics of the ablation's own reference.
    ///
    /// # Errors
    /// If one is missing, damaged, or of other features.
    pub fn read(net: Box<dyn FeatureNet>, fields: &mut Fields<'_>, context: &Context<'_>) -> Result<Self> {
        let reference: Option<String> = fields.take_option("reference")?;
        let rec: Option<String> = fields.take_option("rec")?;
        let open = |name: &String| match context.folder.join(name) {
            path if name == "cifar10" && !path.exists() => gathered(&Input::Shipped(name.clone()), &*net),
            path => statistics(&path, &*net),
        };
        let reference = match (&reference, context.reference) {
            (Some(file), _) => open(file)?,
            (None, Some(Reference::Shipped(name))) if net.name() == "lite0" => Statistics::shipped(name)?,
            (None, _) => {
                return Err(Error::measure(
                    if net.name() == "lite0" { "Lite0" } else { "Inception" },
                    "it compares with a statistics file; give `reference: \"file.safetensors\"`",
                ));
            }
        };
        let rec = rec.as_ref().map(open).transpose()?;
        Ok(Self { net, reference, rec })
    }

    /// The statistics of a set of samples.
    fn samples(&self, images: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Statistics> {
        let mut collector = Collector::new(&*self.net, images, &GatherOptions::default())?;
        for block in rows {
            collector.push(&network::features(&*self.net, &block?))?;
        }
        Ok(collector.finish(Origin {
            name: "the samples".into(),
            images: Some(images),
            size: None,
            sha256: String::new(),
            split: None,
            config: None,
            jpegs: 0,
            resized: None,
            left_out: Default::default(),
        })?)
    }
}

/// A statistics file, or moments from another program: the features of whole references are gathered once, by
/// `nextscale evaluate`.
fn statistics(path: &Path, net: &dyn FeatureNet) -> Result<Statistics> {
    if !path.is_file() {
        return Err(Error::Usage(format!(
            "{} is not a statistics file; `nextscale evaluate IMAGES --save-statistics FILE` makes one",
            path.display()
        )));
    }
    gathered(&Input::open(path, None)?, net)
}

fn gathered(input: &Input, net: &dyn FeatureNet) -> Result<Statistics> {
    Statistics::check(input, net, true)?;
    Ok(Statistics::of_reference(input, net, &GatherOptions::default(), &mut |_, _| {})?)
}

impl Judge for FeatureJudge {
    fn protocol(&self) -> String {
        let of = |role: &str, set: &Statistics| {
            let Origin { name, images, sha256, .. } = &set.origin;
            let images = images.map_or("an unknown number of".into(), |images| images.to_string());
            let hash = sha256.get(..12).unwrap_or(sha256);
            format!("; {role}: {name}, {images} images, sha256 {hash}…")
        };
        let rec = self.rec.as_ref().map_or(String::new(), |rec| of("rec", rec));
        let reference = of("reference", &self.reference);
        format!(
            "{}{reference}{rec}; kernel distance over {SUBSETS} subsets of at most 1000",
            self.net.protocol()
        )
    }

    fn rows_protocol(&self) -> String {
        self.net.protocol()
    }

    /// Enough for the neighbourhoods of precision, recall, density and coverage, where the reference has its
    /// features; two otherwise, for a covariance.
    fn at_least(&self) -> u64 {
        let Neighbours { precision_recall, density_coverage } = Neighbours::default();
        if self.reference.kept.is_some() { 1 + precision_recall.max(density_coverage) as u64 } else { 2 }
    }

    fn measures(&self) -> Vec<Measure> {
        use Better::{Higher, Lower};
        let inception = self.net.name() == "inception";
        let suffix = if inception { String::new() } else { "-Lite0".into() };
        let (frechet, kernel) = if inception { ("FID", "KID") } else { ("FD-Lite0", "KID-Lite0") };
        let kept = self.reference.kept.is_some();
        let mut measures =
            vec![Measure::new(frechet, Lower, "Fréchet distance of Gaussians fitted to the features")];
        if self.net.spatial_dims().is_some() && self.reference.spatial.is_some() {
            measures.push(Measure::new("sFID", Lower, "the same on features that keep their place"));
        }
        if kept {
            measures.push(Measure::new(kernel, Lower, "kernel distance, unbiased, mean over subsets"));
        }
        if inception && self.net.classes().is_some() {
            measures.push(Measure::new("IS", Higher, "Inception Score, mean over splits"));
        }
        if kept {
            for (name, about) in [
                ("Precision", "share of samples near the reference"),
                ("Recall", "share of the reference near samples"),
                ("Density", "how densely the reference surrounds samples"),
                ("Coverage", "share of the reference with a sample nearby"),
            ] {
                measures.push(Measure::new(format!("{name}{suffix}"), Higher, about));
            }
        }
        if let Some(rec) = &self.rec {
            let about = "Fréchet distance to the tokenizer's reconstructions of the reference";
            measures.push(Measure::new(format!("{frechet}-rec"), Lower, about));
            if rec.kept.is_some() {
                let about = "kernel distance to the tokenizer's reconstructions of the reference";
                measures.push(Measure::new(format!("{kernel}-rec"), Lower, about));
            }
        }
        measures
    }

    fn look(&self, images: &Images) -> Result<Rows> {
        network::look(&*self.net, images)
    }

    fn judge(&self, images: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Judged> {
        let samples = self.samples(images, rows)?;
        let options = EvaluateOptions { kid: KID, ..EvaluateOptions::default() };
        let report = evaluate(&samples, &self.reference, self.rec.as_ref(), &options, &mut |_| {})?;
        let value = |measure: Measure| {
            let found = report.measures.iter().find(|found| found.name == measure.name);
            found.map(|found| found.value).ok_or_else(|| {
                Error::measure(measure.name, format!("{images} images: {}", report.missing.join("; ")))
            })
        };
        let values = self.measures().into_iter().map(value).collect::<Result<_>>()?;
        Ok(Judged { values, curve: Vec::new() })
    }

    fn caution(&self, at: usize, images: u64) -> Option<String> {
        let measures = self.measures();
        let name = &measures.get(at)?.name;
        let dims = self.net.dims() as u64;
        let few = images.min(self.reference.origin.images.unwrap_or(u64::MAX));
        if few > dims || !(name.starts_with("FD") || name.starts_with("FID")) {
            return None;
        }
        let kernel =
            measures.iter().find(|measure| measure.name.starts_with("KID")).map(|measure| &measure.name);
        let better = kernel.map_or(String::new(), |kernel| format!("; {kernel} needs fewer images"));
        Some(format!(
            "rank-deficient covariance: {few} images for {dims} features; {name} is far too high, and only comparable between \
             sets of equal size{better}"
        ))
    }

    /// The kernel distances.
    fn is_unbiased(&self, at: usize) -> bool {
        self.measures().get(at).is_some_and(|measure| measure.name.starts_with("KID"))
    }

    /// The Fréchet distance, which comes first, and the kernel distance need no neighbourhoods.
    fn value(&self, at: usize, images: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<f64> {
        let is_kernel = |measure: &Measure| ["KID", "KID-Lite0"].contains(&&*measure.name);
        if at > 0 && !self.measures().get(at).is_some_and(is_kernel) {
            return Ok(self.judge(images, rows)?.values[at]);
        }
        let samples = self.samples(images, rows)?;
        if at == 0 {
            return Ok(frechet(&*samples.gaussian()?, &*self.reference.gaussian()?)?);
        }
        match (&samples.kept, &self.reference.kept) {
            (Some(own), Some(other)) => Ok(kid(&own.rows, &other.rows, own.dims, &KID)?.value),
            _ => Err(Error::measure("KID", "the statistics hold no features of single images")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Judges;
    use burn::tensor::Device;
    use nextscale_config::Document;
    use nextscale_metrics::{ImageBatch, KeptAs, Lite0};

    fn noise(count: usize, salt: u32) -> Images {
        let byte = |i: u32| (i.wrapping_add(salt).wrapping_mul(2_654_435_761) >> 20) as u8;
        Images::new(8, 8, (0..count as u32 * 192).map(byte).collect()).unwrap()
    }

    fn save(folder: &Path, images: &Images) {
        let net = Lite0::shipped(&Device::flex()).unwrap();
        let batch = ImageBatch::new(8, 8, images.pixels.clone()).unwrap();
        let mut collector = Collector::new(&net, batch.count as u64, &GatherOptions::default()).unwrap();
        collector.push(&net.extract(&batch).unwrap()).unwrap();
        let origin = Origin {
            name: "noise".into(),
            images: Some(batch.count as u64),
            size: None,
            sha256: "0".repeat(64),
            split: None,
            config: None,
            jpegs: 0,
            resized: None,
            left_out: Default::default(),
        };
        collector.finish(origin).unwrap().save(&folder.join("noise.safetensors"), KeptAs::F32).unwrap();
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself_and_names_are_not_fid() {
        let folder = tempfile::tempdir().unwrap();
        let images = noise(12, 0);
        save(folder.path(), &images);
        let context = Context { reference: None, folder: folder.path(), device: &Device::flex() };
        let node = Document::parse("a.ron", "Lite0(reference: \"noise.safetensors\")").unwrap();
        let judge = Judges::standard().build(&node, &context).unwrap();
        let names: Vec<String> = judge.measures().into_iter().map(|measure| measure.name).collect();
        assert_eq!(names[..2], ["FD-Lite0", "KID-Lite0"]);
        assert!(names.iter().all(|name| name.ends_with("-Lite0")), "{names:?}");
        let judged = |images: &Images| {
            let rows = judge.look(images).unwrap();
            // In two blocks, as they are read from disk.
            let (half, width) = (rows.values.len() / 2, rows.width);
            let blocks = [&rows.values[..half], &rows.values[half..]];
            let blocks = || blocks.into_iter().map(|values| Rows::new(width, values.to_vec()));
            let values = judge.judge(images.count() as u64, &mut blocks()).unwrap().values;
            for (at, value) in values.iter().enumerate() {
                assert_eq!(judge.value(at, images.count() as u64, &mut blocks()).unwrap(), *value, "{at}");
            }
            values
        };
        let same = judged(&images);
        let other = judged(&noise(12, 77));
        assert!(same[0].abs() < 1e-3 && other[0] > 1.0, "{same:?} {other:?}");
        assert!(judge.protocol().contains("noise, 12 images"), "{}", judge.protocol());
        let told = judge.caution(0, 5000).unwrap();
        assert!(told.contains("12 images for 1280 features; FD-Lite0 is far too high"), "{told}");
        assert!(told.ends_with("KID-Lite0 needs fewer images"), "{told}");
        assert_eq!(judge.caution(1, 12), None);
    }

    #[test]
    fn a_missing_statistics_file_is_answered_with_how_to_make_it() {
        let context = Context { reference: None, folder: Path::new("nowhere"), device: &Device::flex() };
        let node = Document::parse("a.ron", "Lite0(reference: \"none.safetensors\")").unwrap();
        let error = Judges::standard().build(&node, &context).err().unwrap().to_string();
        assert!(error.contains("none.safetensors") && error.contains("--save-statistics"), "{error}");
    }

    #[test]
    fn the_shipped_statistics_have_a_name() {
        let context = Context { reference: None, folder: Path::new("nowhere"), device: &Device::flex() };
        let node = Document::parse("a.ron", "Lite0(reference: \"cifar10\")").unwrap();
        let named = Judges::standard().build(&node, &context).unwrap().protocol();
        let shipped = Reference::Shipped("cifar10".into());
        let context = Context { reference: Some(&shipped), ..context };
        let node = Document::parse("a.ron", "Lite0()").unwrap();
        assert_eq!(Judges::standard().build(&node, &context).unwrap().protocol(), named);
    }
}
