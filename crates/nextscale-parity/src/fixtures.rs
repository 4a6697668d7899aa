use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor};
use nextscale_core::{Condition, Error as CoreError, ScaleSchedule};
use nextscale_pipeline::Result;
use nextscale_weights::WeightFile;

macro_rules! compiled_in {
    ($folder:literal, $prefix:literal, $($name:literal),* $(,)?) => {
        &[$((concat!($prefix, $name), include_bytes!(concat!("../../../tests/fixtures/", $folder, $name)))),*]
    };
}

/// The files of VAR that the comparisons read, 7 MB together. Single modules and pickles stay with the tests.
const COMPILED_IN: &[(&str, &[u8])] = compiled_in![
    "var/",
    "",
    "interpolate.safetensors",
    "reference_aln.safetensors",
    "reference_saln.safetensors",
    "reference_vae.safetensors",
    "sampling.safetensors",
    "vae.safetensors",
    "var_aln.safetensors",
    "var_saln.safetensors",
];

/// Those of Infinity, 5 MB together.
const INFINITY: &[(&str, &[u8])] = compiled_in![
    "infinity/base/",
    "infinity/base/",
    "infinity.safetensors",
    "reference.safetensors",
    "reference_vae_train.safetensors",
    "vae.safetensors",
];

/// Those of HART, 5 MB together.
const HART: &[(&str, &[u8])] = compiled_in![
    "hart/",
    "hart/",
    "main/llm/model.safetensors",
    "main/reference.safetensors",
    "main/reference_no_residual.safetensors",
    "main/reference_smooth.safetensors",
    "tokenizer/model.safetensors",
];

/// Groups of the fixture tokenizer's norms.
pub const GROUPS: usize = 4;

/// The recorded runs of each transformer.
pub const RUNS: [&str; 5] = ["greedy", "sampled", "smooth", "inpaint", "outpaint"];

/// Classes of the fixture transformers; upstream writes the null class as the next label.
const CLASSES: i64 = 10;

/// The scales of the fixture models.
///
/// # Errors
/// None: four growing squares are a schedule.
pub fn schedule() -> Result<ScaleSchedule> {
    Ok(ScaleSchedule::square(&[1, 2, 3, 4])?)
}

/// The fixture transformers, by the kind of their modulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each block has its own AdaLN.
    PerBlock,
    /// All blocks share one AdaLN.
    Shared,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PerBlock, Self::Shared];

    /// As in the files' names.
    pub fn short(self) -> &'static str {
        match self {
            Self::PerBlock => "aln",
            Self::Shared => "saln",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::PerBlock => "AdaLN per block",
            Self::Shared => "shared AdaLN",
        }
    }
}

/// Where upstream's numbers are.
#[derive(Debug, Clone)]
pub struct Fixtures {
    folder: Option<PathBuf>,
    /// What is done to weights as they are read.
    #[cfg(test)]
    change: Option<crate::faults::Change>,
}

impl Fixtures {
    /// Those compiled into the program.
    pub fn compiled_in() -> Self {
        Self {
            folder: None,
            #[cfg(test)]
            change: None,
        }
    }

    /// The same files in a folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        let mut fixtures = Self::compiled_in();
        fixtures.folder = Some(folder.into());
        fixtures
    }

    /// Those compiled in with the weights changed.
    #[cfg(test)]
    pub(crate) fn changed(change: crate::faults::Change) -> Self {
        Self { change: Some(change), ..Self::compiled_in() }
    }

    /// The families that a folder does not hold are always those compiled in.
    pub(crate) fn without_folder(&self) -> Self {
        let mut fixtures = self.clone();
        fixtures.folder = None;
        fixtures
    }

    /// A file by its name.
    ///
    /// # Errors
    /// If there is no such file, or it is corrupt.
    pub fn open(&self, name: &str) -> Result<Fixture> {
        if let Some(folder) = &self.folder {
            return Ok(Fixture(WeightFile::open(folder.join(name))?));
        }
        let Some((_, bytes)) =
            COMPILED_IN.iter().chain(INFINITY).chain(HART).find(|(known, _)| *known == name)
        else {
            return Err(CoreError::setting("fixture", format!("{name} is not part of the program")).into());
        };
        let label = format!("the compiled-in {name}");
        #[cfg(test)]
        if let Some(change) = &self.change {
            return Ok(Fixture(WeightFile::from_bytes(change.applied(name, bytes), label)?));
        }
        Ok(Fixture(WeightFile::from_bytes(*bytes, label)?))
    }

    /// The recordings of a transformer.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reference(&self, kind: Kind) -> Result<Fixture> {
        self.open(&format!("reference_{}.safetensors", kind.short()))
    }
}

/// A file of recorded tensors or weights.
#[derive(Debug, Clone)]
pub struct Fixture(WeightFile);

impl Fixture {
    /// The file.
    pub fn file(&self) -> &WeightFile {
        &self.0
    }

    /// Recorded floats on the host, with their shape.
    ///
    /// # Errors
    /// If there is no such tensor, or it holds integers.
    pub fn values(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
        Ok(self.0.values(name)?)
    }

    /// Recorded floats on the host.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn floats(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.values(name)?.0)
    }

    /// Recorded floats on a device.
    ///
    /// # Errors
    /// As [`values`](Self::values), or if the tensor does not have `D` axes.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D>> {
        Ok(self.0.tensor(name, device)?)
    }

    /// Recorded tokens on a device, `[batch, h·w]`.
    ///
    /// # Errors
    /// If there is no such tensor, or it holds floats or has other axes.
    pub fn tokens(&self, name: &str, device: &Device) -> Result<Tensor<2, Int>> {
        Ok(self.0.int_tensor(name, device)?)
    }

    /// Recorded integers on the host, of a tensor with `D` axes.
    ///
    /// # Errors
    /// If there is no such tensor, or it holds floats or has other axes.
    pub fn integers<const D: usize>(&self, name: &str) -> Result<Vec<i64>> {
        crate::host::recorded(self.0.int_tensor::<D>(name, &Device::flex())?)
    }

    /// Recorded labels as conditions.
    ///
    /// # Errors
    /// If there are none by this name.
    pub fn conditions(&self, name: &str) -> Result<Vec<Condition>> {
        let labels = self.integers::<1>(name)?;
        let condition = |label| match label {
            CLASSES => Condition::Null,
            class => Condition::Class(class as usize),
        };
        Ok(labels.into_iter().map(condition).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_in_files_are_those_of_the_tests() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var");
        for (name, _) in COMPILED_IN {
            let (here, there) = (
                Fixtures::compiled_in().open(name).unwrap(),
                Fixtures::in_folder(folder).open(name).unwrap(),
            );
            assert!(here.file().names().eq(there.file().names()), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Fixtures::compiled_in().open("none.safetensors").unwrap_err().to_string();
        assert!(error.contains("none.safetensors"), "{error}");
        assert!(Fixtures::in_folder("/nowhere").open("vae.safetensors").is_err());
    }

    #[test]
    fn the_label_after_the_last_class_is_the_null_condition() {
        let file = Fixtures::compiled_in().reference(Kind::PerBlock).unwrap();
        assert_eq!(file.conditions("inpaint.labels").unwrap(), [Condition::Null, Condition::Class(4)]);
    }
}
