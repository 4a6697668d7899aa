//! From names in an ablation file to judges; open to other crates.

use std::sync::Arc;

use nextscale_config::{Document, Fields, Node};
use nextscale_metrics::source::ImageSource;
use nextscale_metrics::{FeatureNet, Inception, InceptionProtocol, Lite0, Probe};
use serde::Deserialize;

use super::context::Context;
use super::{DiversityJudge, FeatureJudge, Judge, PixelJudge, ProbeJudge, Spectrum, SpectrumJudge};
use crate::reference::Reference;
use crate::{Error, Result};

/// Builds a judge from the settings after its name.
type Build = Arc<dyn Fn(&mut Fields<'_>, &Context<'_>) -> Result<Box<dyn Judge>> + Send + Sync>;

/// A name for use in ablation files.
#[derive(Clone)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it measures, in one line.
    pub about: String,
    /// Whether it compares with a reference.
    pub compares: bool,
    build: Build,
}

/// The names of judges, with their builders.
#[derive(Clone, Default)]
pub struct Judges(Vec<Entry>);

impl Judges {
    /// No judges.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that nextscale itself provides.
    pub fn standard() -> Self {
        Self::new()
            .with("Pixels", "mean, spread, contrast and gradients of pixels", false, |_, _| {
                Ok(Box::new(PixelJudge))
            })
            .with("Spectrum", "radially averaged amplitude over the reference's", true, |_, context| {
                Ok(Box::new(SpectrumJudge::new(spectrum(needed("Spectrum", context.reference)?)?)?))
            })
            .with(
                "Lite0",
                "FD-Lite0, KID-Lite0 and the rest, on the shipped network's features",
                true,
                |fields, context| {
                    Ok(Box::new(FeatureJudge::read(
                        Box::new(Lite0::shipped(context.device)?),
                        fields,
                        context,
                    )?))
                },
            )
            .with(
                "Inception",
                "FID, KID and the rest, on the network in your pt_inception file",
                true,
                |fields, context| {
                    let weights: String = fields.take("weights")?;
                    let net = inception(&weights, fields, context)?;
                    Ok(Box::new(FeatureJudge::read(net, fields, context)?))
                },
            )
            .with(
                "Probe",
                "the share of images that a linear probe assigns to their own class",
                true,
                |fields, context| {
                    let net = network(fields, context)?;
                    Ok(Box::new(ProbeJudge::read(net, fields, context.folder)?))
                },
            )
            .with(
                "Diversity",
                "how much images of one condition differ: mean distance of features, Vendi score",
                true,
                |fields, context| Ok(Box::new(DiversityJudge::new(network(fields, context)?))),
            )
    }

    /// Adds a judge, replacing one of the same name. `compares` says whether it needs a reference.
    pub fn with(
        mut self,
        name: &str,
        about: &str,
        compares: bool,
        build: impl Fn(&mut Fields<'_>, &Context<'_>) -> Result<Box<dyn Judge>> + Send + Sync + 'static,
    ) -> Self {
        self.0.retain(|entry| entry.name != name);
        self.0.push(Entry { name: name.into(), about: about.into(), compares, build: Arc::new(build) });
        self
    }

    /// All of them, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// Builds the judge that an ablation file names.
    ///
    /// # Errors
    /// An unknown name or field, a wrong value, or a reference that it cannot use.
    pub fn build(&self, node: &Node, context: &Context<'_>) -> Result<Box<dyn Judge>> {
        let variant = node.variant()?;
        let Some(entry) = self.0.iter().find(|entry| entry.name == variant.name()) else {
            let error = variant.unknown("measure", self.0.iter().map(|entry| entry.name.as_str()));
            let of_inception = ["fid", "sfid", "kid", "is", "inceptionscore"];
            let error = if of_inception.contains(&variant.name().to_lowercase().as_str()) {
                error.with_help(
                    "FID, sFID, KID and IS are of Inception's features: Inception(weights: \"pt_inception-2015-12-05-6726825d.pth\", \
                     reference: \"statistics.npz\"); FD and KID on the shipped features are Lite0",
                )
            } else {
                error
            };
            return Err(error.into());
        };
        let mut fields = node.fields()?;
        let judge = (entry.build)(&mut fields, context)?;
        fields.finish()?;
        Ok(judge)
    }

    /// The default measures: every judge that needs no further file. `shown` are the names of the conditions
    /// of the cells' images.
    pub(crate) fn default_for(&self, reference: Option<&Reference>, shown: &[String]) -> Result<Vec<Node>> {
        let probed = match reference {
            Some(Reference::Shipped(name)) => {
                let probe = Probe::shipped(name).ok();
                probe.is_some_and(|probe| shown.iter().all(|class| probe.label(class).is_ok()))
            }
            _ => false,
        };
        // Network judges need a statistics file, which only the user can name, except for shipped ones.
        let alone = |entry: &&Entry| match (entry.name.as_str(), reference) {
            ("Lite0", Some(Reference::Shipped(_))) | ("Spectrum", Some(_)) => true,
            ("Probe", _) => probed,
            _ => !entry.compares,
        };
        let names = self.0.iter().filter(alone);
        names.map(|entry| Ok(Document::parse("measures", &entry.name)?)).collect()
    }
}

/// The reference, which a measure requires.
///
/// # Errors
/// If there is none.
pub fn needed<'a>(measure: &str, reference: Option<&'a Reference>) -> Result<&'a Reference> {
    reference.ok_or_else(|| {
        Error::measure(measure, "it compares with real images; give `reference: Images(\"folder\")`")
    })
}

/// The network of a measure's features: Inception if its weights are given, otherwise the shipped one.
fn network(fields: &mut Fields<'_>, context: &Context<'_>) -> Result<Box<dyn FeatureNet>> {
    match fields.take_option::<String>("weights")? {
        Some(weights) => inception(&weights, fields, context),
        None => Ok(Box::new(Lite0::shipped(context.device)?)),
    }
}

fn inception(weights: &str, fields: &mut Fields<'_>, context: &Context<'_>) -> Result<Box<dyn FeatureNet>> {
    let input = match fields.take_or("input", Input::PytorchFid)? {
        Input::PytorchFid => InceptionProtocol::PytorchFid,
        Input::TensorFlow => InceptionProtocol::TensorFlow,
    };
    Ok(Box::new(Inception::load(context.folder.join(weights), context.device)?.with_protocol(input)))
}

/// Inception's input convention.
#[derive(Deserialize)]
enum Input {
    PytorchFid,
    TensorFlow,
}

const CIFAR10: &str = include_str!("../../data/cifar10-spectrum.json");

fn spectrum(reference: &Reference) -> Result<Spectrum> {
    match reference {
        Reference::Shipped(name) if name == "cifar10" => serde_json::from_str(CIFAR10).map_err(|error| {
            Error::measure("Spectrum", format!("the shipped spectrum cannot be read: {error}"))
        }),
        Reference::Shipped(name) => Err(Error::measure(
            "Spectrum",
            format!("no reference `{name}` is shipped; available: `cifar10`; or give Images(\"folder\")"),
        )),
        Reference::Images(path) => Spectrum::of(&ImageSource::open(path)?),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::Device;

    use super::*;

    fn build(text: &str, reference: Option<&Reference>) -> Result<Box<dyn Judge>> {
        let context = Context { reference, folder: Path::new(""), device: &Device::flex() };
        Judges::standard().build(&Document::parse("a.ron", text)?, &context)
    }

    #[test]
    fn names_are_found_and_references_asked_for() {
        assert!(build("Pixels", None).is_ok());
        let shipped = Reference::Shipped("cifar10".into());
        let protocol = build("Spectrum", Some(&shipped)).unwrap().protocol();
        assert!(protocol.contains("10000 images, 32 × 32"), "{protocol}");
        let error = build("Spectrum", None).err().unwrap().to_string();
        assert!(error.contains("give `reference"), "{error}");
        let error = build("Spectrum", Some(&Reference::Shipped("cifar".into()))).err().unwrap().to_string();
        assert!(error.contains("available: `cifar10`"), "{error}");
        let crate::Error::Config(error) = build("FID", None).err().unwrap() else { panic!("no place") };
        assert!(error.help_text().unwrap().contains("Inception(weights:"), "{error}");
        assert!(build("Pixel", None).err().unwrap().to_string().contains("unknown measure"));
        assert!(build("Pixels(x: 1)", None).err().unwrap().to_string().contains("unknown field"));
        let default = |reference, shown: &[&str]| {
            let shown: Vec<String> = shown.iter().map(|&shown| shown.to_owned()).collect();
            let nodes = Judges::standard().default_for(reference, &shown).unwrap();
            nodes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(default(None, &["cat"]), ["Pixels"]);
        assert_eq!(default(Some(&shipped), &["cat", "9"]), ["Pixels", "Spectrum", "Lite0", "Probe"]);
        // The probe knows ten classes.
        assert_eq!(default(Some(&shipped), &["cat", "null"]), ["Pixels", "Spectrum", "Lite0"]);
    }
}
