use std::sync::Arc;

use burn::tensor::Device;
use nextscale_config::{Node, Value};
use nextscale_core::{Alphabet, Condition, Dtype, Pass, ScaleSchedule};
use nextscale_generate::Model;

use crate::{Error, Result};

/// What the headers of a model's files say.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// The scales that it generates.
    pub schedule: ScaleSchedule,
    /// The meaning of its tokens.
    pub alphabet: Alphabet,
    /// The conditions that it accepts.
    pub takes: Takes,
    /// The fingerprint of its weights.
    pub fingerprint: String,
    /// The fingerprint of its tokenizer's weights; empty if it has none.
    pub tokenizer: String,
    /// The model in a resolved config, with every default filled in.
    pub resolved: Node,
    /// A short name for reports.
    pub words: String,
}

/// A model of which only the headers have been read.
pub trait OpenModel: Send + Sync {
    /// What the headers say.
    fn facts(&self) -> &ModelFacts;

    /// Checks, as far as the headers say, that its backbone can run a pass. By default they say nothing, and
    /// the backbone is asked after loading.
    ///
    /// # Errors
    /// If it cannot; the message says what it can do.
    fn runs(&self, pass: &Pass) -> Result<()> {
        let _ = pass;
        Ok(())
    }

    /// Its sizes as its header states them, between commas: `depth 16, width 1024`. By default none.
    fn sizes(&self) -> String {
        String::new()
    }

    /// The memory that a batch takes of a GPU, computed, in a sentence. Unknown by default.
    fn memory(&self, batch: usize, dtype: Dtype) -> Option<String> {
        let _ = (batch, dtype);
        None
    }

    /// Warnings about conditions, in sentences, before images are generated. By default none.
    ///
    /// # Errors
    /// If the model cannot accept one of them.
    fn remarks(&self, conditions: &[Condition]) -> Result<Vec<String>> {
        let _ = conditions;
        Ok(Vec::new())
    }

    /// Its tokenizer in words: the file that its settings name, or the model.
    fn tokenizer_words(&self) -> String {
        match self.resolved().get("tokenizer").map(|node| &node.value) {
            Ok(Value::Str(file)) => file.clone(),
            _ => self.describe().to_owned(),
        }
    }

    /// An error of a batch; one about values that are not finite gets this model's name.
    fn named_in(&self, error: Error) -> Error {
        use nextscale_core::Error as Core;
        match error {
            Error::Core(Core::NonFinite { what, scale, image, remedy }) => {
                let what = format!("{}: {what}", self.describe());
                Core::NonFinite { what, scale, image, remedy }.into()
            }
            Error::Core(error @ Core::Overflow { .. }) => error.of_model(&self.tokenizer_words()).into(),
            other => other,
        }
    }

    /// Reads the weights.
    ///
    /// # Errors
    /// If a file can no longer be read, or the device does not support the type.
    fn load(&self, options: &LoadOptions<'_>) -> Result<Model>;

    /// The scales that it generates.
    fn schedule(&self) -> &ScaleSchedule {
        &self.facts().schedule
    }

    /// The meaning of its tokens.
    fn alphabet(&self) -> Alphabet {
        self.facts().alphabet
    }

    /// The conditions that it accepts.
    fn takes(&self) -> &Takes {
        &self.facts().takes
    }

    /// The fingerprint of its weights.
    fn fingerprint(&self) -> &str {
        &self.facts().fingerprint
    }

    /// The fingerprint of its tokenizer's weights; empty if it has none.
    fn tokenizer(&self) -> &str {
        &self.facts().tokenizer
    }

    /// The model in a resolved config.
    fn resolved(&self) -> &Node {
        &self.facts().resolved
    }

    /// A short name for reports.
    fn describe(&self) -> &str {
        &self.facts().words
    }
}

/// A model of which other facts are told than its files have: another name, fingerprint or place.
pub struct Retold {
    /// The model.
    pub open: Arc<dyn OpenModel>,
    /// What is told of it.
    pub facts: ModelFacts,
}

impl OpenModel for Retold {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn runs(&self, pass: &Pass) -> Result<()> {
        self.open.runs(pass)
    }

    fn sizes(&self) -> String {
        self.open.sizes()
    }

    fn remarks(&self, conditions: &[Condition]) -> Result<Vec<String>> {
        self.open.remarks(conditions)
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        self.open.load(options)
    }
}

/// The conditions that a model accepts; every model accepts the null condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Takes {
    /// The number of classes without the null class; 0 for a model without classes.
    pub classes: usize,
    /// The names of its classes in order, if it has any.
    pub class_names: Option<Vec<String>>,
    /// Whether it accepts texts.
    pub prompts: bool,
}

/// How a model is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Where it computes.
    pub device: &'a Device,
    /// The type in which linear layers, attention and the decoder's convolutions multiply.
    pub dtype: Dtype,
    /// Whether the tokenizer's encoder is needed, for an edit or a reconstruction.
    pub with_encoder: bool,
    /// The conditions of the images to come, so that a text encoder can be used and freed before the backbone
    /// is loaded. Others are possible later, at a higher cost.
    pub conditions: &'a [Condition],
}

impl<'a> LoadOptions<'a> {
    /// In f32, without the encoder, for any condition.
    pub const fn new(device: &'a Device) -> Self {
        Self { device, dtype: Dtype::F32, with_encoder: false, conditions: &[] }
    }
}
