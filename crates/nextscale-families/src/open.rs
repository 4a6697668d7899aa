use burn::tensor::Device;
use nextscale_config::Node;
use nextscale_core::{Alphabet, Condition, Dtype, ScaleSchedule};
use nextscale_generate::Model;

use crate::{Error, Result};

/// A model whose headers have been read, and nothing else.
pub trait OpenModel: Send + Sync {
    /// The scales that it generates.
    fn schedule(&self) -> &ScaleSchedule;

    /// What its tokens mean.
    fn alphabet(&self) -> Alphabet;

    /// The conditions that it takes.
    fn takes(&self) -> &Takes;

    /// What tells its weights from others.
    fn fingerprint(&self) -> &str;

    /// The model as a resolved config says it, every default filled in.
    fn resolved(&self) -> &Node;

    /// What it is called in reports, in a few words.
    fn describe(&self) -> String;

    /// What a person should know of conditions before images are made of them, in sentences. By default nothing.
    ///
    /// # Errors
    /// If the model cannot take one of them.
    fn remarks(&self, conditions: &[Condition]) -> Result<Vec<String>> {
        let _ = conditions;
        Ok(Vec::new())
    }

    /// An error of a batch, with this model's name where it is of its numbers.
    fn named_in(&self, error: nextscale_generate::Error) -> Error {
        use nextscale_core::Error as Core;
        match error.into() {
            Error::Core(Core::NonFinite { what, scale, image, remedy }) => {
                let what = format!("{}: {what}", self.describe());
                Core::NonFinite { what, scale, image, remedy }.into()
            }
            other => other,
        }
    }

    /// Reads the weights.
    ///
    /// # Errors
    /// If a file cannot be read any more, or the device cannot compute in this type.
    fn load(&self, options: &LoadOptions<'_>) -> Result<Model>;
}

/// The conditions that a model takes; every model takes the null condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Takes {
    /// Classes, the null class not counted; 0 of a model that takes none.
    pub classes: usize,
    /// The names of its classes in order, where it has them.
    pub class_names: Option<Vec<String>>,
    /// Whether it takes texts.
    pub prompts: bool,
}

/// How a model is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Where it computes.
    pub device: &'a Device,
    /// What linear layers and the decoder's convolutions multiply.
    pub dtype: Dtype,
    /// Whether the tokenizer's encoder is needed: an edit or a reconstruction encodes images.
    pub with_encoder: bool,
    /// What images will be asked for, so that a text encoder may be used and freed before the backbone is loaded. Others may
    /// be asked for later, at more cost.
    pub conditions: &'a [Condition],
}

impl<'a> LoadOptions<'a> {
    /// In f32, without the encoder, for any condition.
    pub const fn new(device: &'a Device) -> Self {
        Self { device, dtype: Dtype::F32, with_encoder: false, conditions: &[] }
    }
}
