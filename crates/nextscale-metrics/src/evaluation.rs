//! Samples against a reference: every measure that their features allow, with its protocol.

use crate::frechet::frechet;
use crate::kid::{KidOptions, kid};
use crate::names::Names;
use crate::precision_recall::overlap;
use crate::{Error, EvaluateOptions, Measure, Protocol, Report, Result, Statistics};

/// Compares samples with a reference and, if given, with the reference's reconstructions by a tokenizer
/// (`rec`).
///
/// The distances to the reconstructions measure how far a generator is from the best its tokenizer can do;
/// "floor" is the distance between the reconstructions and the reference. Measures for which the sets are too
/// small are left out, with a warning. `progress` receives the name of the current measure.
///
/// # Errors
/// [`Error::Mismatch`] if the features come from different networks or protocols; [`Error::Covariance`] if a
/// covariance cannot be decomposed.
pub fn evaluate(
    samples: &Statistics,
    reference: &Statistics,
    rec: Option<&Statistics>,
    options: &EvaluateOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Report> {
    for other in [Some(reference), rec].into_iter().flatten() {
        comparable(samples, other)?;
    }
    let mut table = Table {
        names: Names::of(&samples.net),
        options,
        progress,
        measures: Vec::new(),
        missing: Vec::new(),
        warnings: Vec::new(),
        subset_size: None,
    };
    table.distances(samples, reference, "")?;
    table.score(samples)?;
    table.overlap(samples, reference)?;
    if let Some(rec) = rec {
        table.distances(samples, rec, "-rec")?;
        table.frechet(rec, reference, "-floor", "the reconstructions against the reference")?;
    }
    let all: Vec<(&str, &Statistics)> =
        [("samples", Some(samples)), ("reference", Some(reference)), ("reconstructions", rec)]
            .into_iter()
            .filter_map(|(role, set)| Some((role, set?)))
            .collect();
    table.warn(&all);
    let kept = |set: Option<&Statistics>| Some(set?.kept.as_ref()?.count());
    let alone = Report::of_samples(samples, options);
    Ok(Report {
        protocol: Protocol {
            network: alone.protocol.network.or_else(|| reference.protocol.clone()),
            reference: Some(reference.origin.clone()),
            rec: rec.map(|rec| rec.origin.clone()),
            kept: [kept(Some(samples)), kept(Some(reference)), kept(rec)],
            kid: KidOptions {
                subset_size: table.subset_size.unwrap_or(options.kid.subset_size),
                ..options.kid
            },
            ..alone.protocol
        },
        measures: table.measures,
        missing: table.missing,
        warnings: table.warnings,
    })
}

fn comparable(a: &Statistics, b: &Statistics) -> Result<()> {
    let problem = match (&a.protocol, &b.protocol) {
        (Some(one), Some(other)) if one != other => {
            format!("their features come from `{one}` and `{other}`; gather both with one network")
        }
        _ if a.net != b.net => format!("their features are of {} and {}", a.net, b.net),
        _ if a.pooled.dims() != b.pooled.dims() => {
            format!("they have {} and {} features", a.pooled.dims(), b.pooled.dims())
        }
        _ => return Ok(()),
    };
    Err(Error::Mismatch { a: a.origin.name.clone(), b: b.origin.name.clone(), problem })
}

struct Table<'a> {
    names: Names,
    options: &'a EvaluateOptions,
    progress: &'a mut dyn FnMut(&str),
    measures: Vec<Measure>,
    missing: Vec<String>,
    warnings: Vec<String>,
    /// The settings used for the kernel distance to the reference, if the sets are smaller than requested.
    subset_size: Option<usize>,
}

impl Table<'_> {
    fn add(&mut self, name: String, value: f64, error: Option<f64>, note: Option<String>) {
        self.measures.push(Measure { name, value, error, note });
    }

    /// The value, or a note of what is missing if the sets are too small for it.
    fn enough<T>(&mut self, name: &str, found: Result<T>) -> Result<Option<T>> {
        match found {
            Ok(value) => Ok(Some(value)),
            Err(error @ Error::TooFew { .. }) => {
                self.missing.push(format!("no {name}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn frechet(&mut self, a: &Statistics, b: &Statistics, suffix: &str, note: &str) -> Result<()> {
        let name = format!("{}{suffix}", self.names.frechet);
        (self.progress)(&name);
        let found = a.gaussian().and_then(|a| frechet(&a, &*b.gaussian()?));
        if let Some(value) = self.enough(&name, found)? {
            let dims = a.pooled.dims() as u64;
            let few = [a, b].iter().any(|set| set.origin.images.is_some_and(|images| images <= dims));
            let notes = [note, if few { "rank-deficient, see the warning" } else { "" }];
            let note = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
            self.add(name, value, None, (!note.is_empty()).then_some(note));
        }
        Ok(())
    }

    fn distances(&mut self, samples: &Statistics, other: &Statistics, suffix: &str) -> Result<()> {
        self.frechet(samples, other, suffix, "")?;
        if samples.spatial.is_some() && other.spatial.is_some() {
            let name = format!("{}{suffix}", self.names.spatial);
            (self.progress)(&name);
            let found = samples.spatial_gaussian().and_then(|a| Ok((a, other.spatial_gaussian()?)));
            if let Some((Some(a), Some(b))) = self.enough(&name, found)? {
                self.add(name, frechet(&a, &b)?, None, None);
            }
        }
        if let (Some(a), Some(b)) = (&samples.kept, &other.kept) {
            let name = format!("{}{suffix}", self.names.kernel);
            (self.progress)(&name);
            let found = kid(&a.rows, &b.rows, a.dims, &self.options.kid);
            if let Some(found) = self.enough(&name, found)? {
                let note = format!(
                    "± standard error; {} subsets of {}, between them ± {:.2e}",
                    self.options.kid.subsets, found.subset_size, found.deviation
                );
                self.subset_size.get_or_insert(found.subset_size);
                self.add(name, found.value, Some(found.error), Some(note));
            }
        }
        Ok(())
    }

    fn score(&mut self, samples: &Statistics) -> Result<()> {
        let Some(sums) = &samples.score else { return Ok(()) };
        let name = self.names.score.clone();
        let found = sums.score();
        if let Some(score) = self.enough(&name, found)? {
            let note = format!("± deviation between {} splits", sums.parts().0.len());
            self.add(name, score.value, Some(score.deviation), Some(note));
        }
        Ok(())
    }

    fn overlap(&mut self, samples: &Statistics, reference: &Statistics) -> Result<()> {
        if samples.kept.is_none() || reference.kept.is_none() {
            return Ok(());
        }
        let suffix = self.names.suffix.clone();
        (self.progress)(&format!("Precision{suffix}"));
        let neighbours = self.options.neighbours;
        let found = samples.manifold(neighbours).and_then(|a| Ok((a, reference.manifold(neighbours)?)));
        let name = format!("Precision{suffix}, Recall{suffix}, Density{suffix}, Coverage{suffix}");
        if let Some((Some(a), Some(b))) = self.enough(&name, found)? {
            let found = overlap(&a, &b)?;
            let (k, l) = (neighbours.precision_recall, neighbours.density_coverage);
            for (name, value, k) in [
                ("Precision", found.precision, k),
                ("Recall", found.recall, k),
                ("Density", found.density, l),
                ("Coverage", found.coverage, l),
            ] {
                self.add(format!("{name}{suffix}"), value, None, Some(format!("k = {k}")));
            }
        }
        Ok(())
    }

    fn warn(&mut self, sets: &[(&str, &Statistics)]) {
        let dims = sets.first().map_or(0, |(_, set)| set.pooled.dims() as u64);
        let few: Vec<String> = sets
            .iter()
            .filter_map(|(role, set)| Some((role, set.origin.images.filter(|&images| images <= dims)?)))
            .map(|(role, images)| format!("{images} images in the {role}"))
            .collect();
        if !few.is_empty() {
            self.warnings.push(format!(
                "rank-deficient covariance: {} for {dims} features; {} is far too high, and only comparable between sets of \
                 equal size; {} needs fewer images",
                few.join(", "),
                self.names.frechet,
                self.names.kernel
            ));
        }
        for (role, set) in sets {
            if let (Some(kept), Some(images)) = (&set.kept, set.origin.images)
                && (kept.count() as u64) < images
            {
                let count = kept.count();
                self.warnings.push(format!(
                    "{}, Precision, Recall, Density and Coverage use {count} of the {images} {role}",
                    self.names.kernel
                ));
            }
            if set.origin.jpegs > 0 {
                self.warnings.push(format!(
                    "{} images of the {role} are JPEG files, decoded by zune-jpeg and not by libjpeg-turbo as in Pillow: where colours \
                     are stored at half the size (4:2:0), a third to a half of the pixels differ by up to 5 of 255, which by itself \
                     made FD-Lite0 1.6 on 2000 images of 32×32 and 0.28 on 500 of 256×256. Build with `--features libjpeg`, or save the \
                     images as PNG with Pillow",
                    set.origin.jpegs
                ));
            }
            if set.protocol.is_none() {
                self.warnings.push(format!(
                    "the moments of the {role} come from another program, whose network and resize may differ from these"
                ));
            }
        }
        if let [(_, samples), rest @ ..] = sets {
            for (role, set) in rest {
                let hash = &samples.origin.sha256;
                if !hash.is_empty() && *hash == set.origin.sha256 {
                    self.warnings.push(format!(
                        "samples and {role} are the same images: {} is an unbiased estimate, which lies below zero there, and \
                         its ± is for independent sets",
                        self.names.kernel
                    ));
                }
            }
        }
        let sizes: Vec<_> = sets.iter().filter_map(|(role, set)| Some((role, set.origin.size?))).collect();
        if let [(_, first), rest @ ..] = sizes.as_slice() {
            for (role, [height, width]) in rest.iter().filter(|(_, size)| size != first) {
                let [own_height, own_width] = first;
                self.warnings.push(format!(
                    "samples are {own_width}×{own_height} pixels, {role} {width}×{height}: part of the distance is the resize"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Toy, features, origin};
    use crate::{Collector, FeatureNet, Features, GatherOptions};

    fn set(name: &'static str, images: usize, seed: u64, shift: u64) -> Statistics {
        let net = Toy { name, fault: None };
        let mut collector =
            Collector::new(&net, images as u64, &GatherOptions { keep: 50, ..Default::default() }).unwrap();
        let part = |dims: Option<usize>, salt| dims.map(|dims| features(images, dims, seed + salt, shift));
        let (spatial, logits) = (part(net.spatial_dims(), 100), part(net.classes(), 200));
        let pooled = features(images, net.dims(), seed, shift);
        collector.push(&Features { count: images, dims: net.dims(), pooled, spatial, logits }).unwrap();
        let images = Some(images as u64);
        collector.finish(crate::Origin { images, ..origin(&format!("set{seed}")) }).unwrap()
    }

    fn names(report: &Report) -> Vec<&str> {
        report.measures.iter().map(|measure| measure.name.as_str()).collect()
    }

    fn run(samples: &Statistics, reference: &Statistics, rec: Option<&Statistics>) -> Result<Report> {
        evaluate(samples, reference, rec, &EvaluateOptions::default(), &mut |_| {})
    }

    #[test]
    fn only_inception_features_give_what_is_called_fid() {
        let (a, b, c) =
            (set("inception", 40, 1, 0), set("inception", 50, 2, 4000), set("inception", 50, 3, 200));
        let report = run(&a, &b, Some(&c)).unwrap();
        let expected = [
            "FID",
            "sFID",
            "KID",
            "IS",
            "Precision",
            "Recall",
            "Density",
            "Coverage",
            "FID-rec",
            "sFID-rec",
            "KID-rec",
            "FID-floor",
        ];
        assert_eq!(names(&report), expected);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        assert!(report.value("FID").unwrap() > report.value("FID-rec").unwrap(), "{report}");
        let report =
            run(&set("lite0", 40, 1, 0), &set("lite0", 50, 2, 300), Some(&set("lite0", 50, 3, 0))).unwrap();
        assert!(
            names(&report).iter().all(|name| name.contains("-Lite0") && !name.contains("FID")),
            "{report}"
        );
        assert_eq!(names(&report).len(), 9);
        let json = serde_json::to_string(&report).unwrap();
        let read = serde_json::from_str::<Report>(&json).unwrap();
        assert_eq!((&read.protocol, names(&read)), (&report.protocol, names(&report)));
    }

    #[test]
    fn few_images_are_warned_of_and_measures_that_need_more_are_left_out() {
        let report = run(&set("lite0", 5, 1, 0), &set("lite0", 60, 2, 0), None).unwrap();
        // The order is fixed, so that programs can read the lines.
        assert_eq!(names(&report), ["FD-Lite0", "KID-Lite0"]);
        let told = report.warnings.join("\n");
        assert!(
            told.contains("rank-deficient covariance: 5 images in the samples for 12 features; FD-Lite0"),
            "{told}"
        );
        let missing = report.missing.join("\n");
        assert!(
            missing.contains("no Precision-Lite0") && missing.contains("at least 6 images; there are 5"),
            "{missing}"
        );
        assert!(report.to_string().contains(&format!("warning: {}", report.missing[0])), "{report}");
        assert!(told.contains("use 50 of the 60 reference"), "{told}");
    }

    #[test]
    fn sets_of_other_networks_and_sizes_are_told_apart() {
        let (a, mut b) = (set("lite0", 40, 1, 0), set("lite0", 40, 2, 0));
        let error = run(&a, &set("inception", 40, 2, 0), None).unwrap_err();
        assert!(
            error.is_usage() && error.to_string().contains("set1 and set2 cannot be compared"),
            "{error}"
        );
        b.origin.jpegs = 3;
        b.origin.size = Some([64, 48]);
        let report = run(&a, &b, None).unwrap();
        assert!(
            report.warnings[0].contains("3 images of the reference are JPEG files")
                && report.warnings[1].contains("samples are 32×32 pixels, reference 48×64"),
            "{:?}",
            report.warnings
        );
    }

    #[test]
    fn a_set_against_itself_is_perfect() {
        let a = set("lite0", 50, 1, 0);
        let report = run(&a, &a, Some(&a)).unwrap();
        for name in ["FD-Lite0", "FD-Lite0-rec", "FD-Lite0-floor"] {
            assert!(report.value(name).unwrap().abs() < 1e-10);
            assert_eq!(report.value(name), Some(0.0));
        }
        assert_eq!(report.protocol.kid.subset_size, 50);
        assert_eq!(report.value("Precision-Lite0"), Some(1.0));
        assert_eq!(report.value("Coverage-Lite0"), Some(1.0));
    }
}
