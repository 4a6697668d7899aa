//! Class accuracy: the share of images that a linear probe assigns to the class that was asked for.

use std::path::Path;

use nextscale_config::Fields;
use nextscale_metrics::{FeatureNet, Probe, Probing};

use super::{Better, Judge, Judged, Measure, Rows, mean_row, network};
use crate::images::Images;
use crate::{Error, Result};

/// Classifies every image by a probe.
pub struct ProbeJudge {
    net: Box<dyn FeatureNet>,
    probe: Probe,
}

impl ProbeJudge {
    /// With the probe that the setting `file` names, or the shipped one of CIFAR-10's classes; paths are
    /// relative to `folder`.
    ///
    /// # Errors
    /// If there is no such file, or it is of another network's features.
    pub fn read(net: Box<dyn FeatureNet>, fields: &mut Fields<'_>, folder: &Path) -> Result<Self> {
        let probe = match fields.take_option::<String>("file")? {
            None => Probe::shipped("cifar10")?,
            Some(name) if name == "cifar10" => Probe::shipped("cifar10")?,
            Some(name) => {
                let path = folder.join(name);
                if !path.is_file() {
                    let message = format!(
                        "there is no file {}; `nextscale probe fit DATA --out FILE` makes one",
                        path.display()
                    );
                    return Err(Error::measure("Probe", message));
                }
                Probe::read(&path)?
            }
        };
        // Refuses a probe of other features; no image is classified here.
        Probing::new(&*net, &probe, Vec::new())?;
        Ok(Self { net, probe })
    }
}

impl Judge for ProbeJudge {
    fn protocol(&self) -> String {
        let about = self.probe.about();
        let origin = self.probe.origin(0);
        let hash = origin.sha256.get(..12).unwrap_or(&origin.sha256);
        let test = about.test.map_or(String::new(), |test| {
            format!(", right for {:.1} % of {} held-out images", 100.0 * test.value(), test.images)
        });
        let (classes, images, data) = (about.classes.len(), about.images, &about.data);
        format!(
            "{}; linear probe of {classes} classes (sha256 {hash}…), fitted to {images} images of {data}{test}",
            self.net.protocol()
        )
    }

    fn rows_protocol(&self) -> String {
        self.net.protocol()
    }

    fn measures(&self) -> Vec<Measure> {
        let about = "share of images that a linear classifier on the features assigns to the class that was asked for";
        vec![Measure::new(Probe::accuracy_name(self.net.name()), Better::Higher, about)]
    }

    fn look(&self, images: &Images) -> Result<Rows> {
        network::look(&*self.net, images)
    }

    fn is_unbiased(&self, _: usize) -> bool {
        true
    }

    /// One value per image: 1 if the probe is right, else 0.
    fn condense(&self, rows: Rows) -> Result<Rows> {
        if rows.shows.len() != rows.count() {
            return Err(Error::measure(
                "Probe",
                "it is not known what the images show; run the ablation again",
            ));
        }
        let said = self.probe.predict(&network::features(&*self.net, &rows))?;
        let right = said.iter().zip(&rows.shows).map(|(said, shows)| {
            let asked =
                self.probe.label(shows).map_err(|error| Error::measure("Probe", error.to_string()))?;
            Ok(if *said == asked { 1.0 } else { 0.0 })
        });
        let values = right.collect::<Result<_>>()?;
        Ok(Rows { width: 1, values, ..rows })
    }

    fn judge(&self, _: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Judged> {
        Ok(Judged { values: mean_row("Probe", rows)?, curve: Vec::new() })
    }

    fn resamples(&self) -> usize {
        1000
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burn::tensor::Device;
    use nextscale_config::Document;

    use super::*;
    use crate::judge::{Context, Judges};

    fn build(text: &str) -> Result<Box<dyn Judge>> {
        let device = Device::flex();
        let context = Context { reference: None, folder: Path::new("nowhere"), device: &device };
        Judges::standard().build(&Document::parse("a.ron", text)?, &context)
    }

    #[test]
    fn it_is_right_where_the_class_that_it_says_was_asked_for() {
        let judge = build("Probe").unwrap();
        let real = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/cifar10-test");
        let source = nextscale_metrics::source::ImageSource::open(Path::new(real)).unwrap();
        let mut rows = None;
        let batch = |images: nextscale_metrics::ImageBatch| {
            rows = judge.look(&Images::new(images.height, images.width, images.pixels).unwrap()).ok();
            Ok(())
        };
        source.read(64, batch).unwrap();
        let rows = rows.unwrap();
        // The files show the ten classes in turn; a probe that is right for 84 % of test images is for most
        // of these.
        let classes = Probe::shipped("cifar10").unwrap().about().classes.clone();
        let named = |shift: usize| Rows {
            shows: (0..rows.count()).map(|i| Arc::from(classes[(i + shift) % 10].as_str())).collect(),
            ..rows.clone()
        };
        let accuracy = |rows: Rows| {
            let condensed = judge.condense(rows).unwrap();
            assert_eq!(condensed.width, 1);
            judge.judge(20, &mut [Ok(condensed)].into_iter()).unwrap().values[0]
        };
        assert!(accuracy(named(0)) >= 0.6, "{}", accuracy(named(0)));
        assert!(accuracy(named(1)) <= 0.3);
        let numbered =
            Rows { shows: (0..rows.count()).map(|i| (i % 10).to_string().into()).collect(), ..rows.clone() };
        assert_eq!(accuracy(numbered), accuracy(named(0)));
        let told =
            |shows: Vec<Arc<str>>| judge.condense(Rows { shows, ..rows.clone() }).unwrap_err().to_string();
        assert!(told(Vec::new()).contains("not known what the images show"));
        assert!(told(vec!["cow".into(); rows.count()]).contains("`cow` is not one of the classes"));
    }

    #[test]
    fn its_rows_are_those_of_the_network() {
        let (probe, lite0) =
            (build("Probe").unwrap(), nextscale_metrics::Lite0::shipped(&Device::flex()).unwrap());
        assert_eq!(probe.rows_protocol(), lite0.protocol());
        assert!(probe.protocol().contains("fitted to 50000 images"), "{}", probe.protocol());
        assert_eq!(probe.measures()[0].name, "Probe accuracy-Lite0");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/lite0/cifar10-probe.safetensors");
        assert_eq!(build(&format!("Probe(file: {file:?})")).unwrap().protocol(), probe.protocol());
        let error = build("Probe(file: \"none.safetensors\")").err().unwrap().to_string();
        assert!(error.contains("none.safetensors") && error.contains("probe fit"), "{error}");
    }
}
