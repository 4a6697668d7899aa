use std::collections::BTreeMap;

use burn::tensor::Tensor;
use nextscale_backbones::{Conditioner, TextConditioner};
use nextscale_core::{Condition, ConditionRows, Error, PassCondition, Result};
use nextscale_text::{PromptTokenizer, T5};

use crate::prompts::prompts as prompts_of;

/// The conditioner of a model in training, which encodes prompts on demand.
pub(super) struct Prompts {
    /// The encoder.
    pub text: T5,
    /// Its vocabulary.
    pub vocabulary: PromptTokenizer,
    /// The rows of the null condition.
    pub null: Tensor<2>,
}

impl Conditioner for Prompts {
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> Result<ConditionRows> {
        let mut prompts = BTreeMap::new();
        for prompt in prompts_of(conditions) {
            if prompts.contains_key(prompt) {
                continue;
            }
            let tokens =
                self.vocabulary.tokens(prompt).map_err(|error| Error::Unsupported(error.to_string()))?;
            let ConditionRows::Embeddings { values, .. } = self.text.rows(&[tokens.ids])? else {
                return Err(Error::Unsupported("an encoder of texts gives embeddings".into()));
            };
            prompts.insert(prompt.to_owned(), values.squeeze_dim(0));
        }
        TextConditioner::new(self.null.clone(), prompts)?.rows(conditions, side)
    }
}
