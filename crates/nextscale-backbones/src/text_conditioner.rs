use std::collections::HashMap;

use burn::tensor::{Bool, Device, Tensor, TensorData};
use nextscale_core::{Condition, ConditionRows, Error, PassCondition, Result};

use crate::Conditioner;

/// The conditioner of text-to-image models, from an encoder's rows for every prompt of a run.
///
/// An image's null side gets the model's learned rows for no text, as many of the first as its prompt has; an
/// explicit negative replaces them with its own rows. An image without a prompt ([`Condition::Null`]) gets
/// all of them.
#[derive(Debug, Clone)]
pub struct TextConditioner {
    prompts: HashMap<String, Tensor<2>>,
    null: Tensor<2>,
}

impl TextConditioner {
    /// From the model's rows for no text, `[rows, width]`, and each prompt with its own rows, including the
    /// end mark's.
    ///
    /// # Errors
    /// If a prompt has no rows, more than there are for no text, or rows of another width.
    pub fn new(null: Tensor<2>, prompts: impl IntoIterator<Item = (String, Tensor<2>)>) -> Result<Self> {
        let [most, width] = null.dims();
        let prompts: HashMap<_, _> = prompts.into_iter().collect();
        for (prompt, rows) in &prompts {
            let [count, found] = rows.dims();
            if found != width || count == 0 || count > most {
                let what = format!("the rows of the prompt {prompt:?}");
                return Err(Error::shape(what, format!("[1 to {most}, {width}]"), &[count, found]));
            }
        }
        Ok(Self { prompts, null })
    }

    /// The rows of an image on one side.
    fn of(&self, condition: &Condition, side: PassCondition) -> Result<Tensor<2>> {
        let shown = condition.shown();
        match (side, condition.avoided()) {
            (PassCondition::Given, _) => self.own(shown),
            (PassCondition::Negative, avoided) if *avoided != Condition::Null => self.own(avoided),
            (PassCondition::Negative | PassCondition::Null, _) => {
                let [count, _] = self.own(shown)?.dims();
                Ok(self.null.clone().slice_dim(0, 0..count))
            }
        }
    }

    fn own(&self, condition: &Condition) -> Result<Tensor<2>> {
        match condition {
            Condition::Prompt(prompt) => self.prompts.get(prompt).cloned().ok_or_else(|| {
                Error::Unsupported(format!(
                    "the prompt {prompt:?} was not encoded before the model was loaded"
                ))
            }),
            Condition::Null => Ok(self.null.clone()),
            other => Err(Error::Unsupported(format!(
                "the model takes prompts or no condition, and was given {other}"
            ))),
        }
    }
}

impl Conditioner for TextConditioner {
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> Result<ConditionRows> {
        let rows = conditions.iter().map(|condition| self.of(condition, side));
        Ok(padded(&rows.collect::<Result<Vec<_>>>()?, &self.null.device()))
    }
}

/// Texts' rows `[rows, width]` as one batch.
fn padded(texts: &[Tensor<2>], device: &Device) -> ConditionRows {
    let lengths: Vec<usize> = texts.iter().map(|rows| rows.dims()[0]).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let values = texts.iter().map(|rows| {
        let [count, width] = rows.dims();
        let rows = match longest - count {
            0 => rows.clone(),
            missing => Tensor::cat(vec![rows.clone(), Tensor::zeros([missing, width], device)], 0),
        };
        rows.unsqueeze::<3>()
    });
    let mask: Vec<bool> =
        lengths.iter().flat_map(|&length| (0..longest).map(move |row| row < length)).collect();
    let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, [texts.len(), longest]), device);
    ConditionRows::Embeddings { values: Tensor::cat(values.collect(), 0), mask }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(first: f32, count: usize) -> Tensor<2> {
        let values: Vec<f32> = (0..count * 2).map(|i| first + i as f32).collect();
        Tensor::from_data(TensorData::new(values, [count, 2]), &Device::flex())
    }

    #[test]
    fn the_null_side_is_as_long_as_the_prompt_and_a_negative_has_its_own_length() {
        let texts = [("a ship".to_owned(), rows(100.0, 2)), ("blur".to_owned(), rows(200.0, 3))];
        let conditioner = TextConditioner::new(rows(0.0, 4), texts).unwrap();
        let ship = Condition::Prompt("a ship".into());
        let batch = [ship.clone(), ship.avoiding(Condition::Prompt("blur".into())), Condition::Null];
        let lengths_and_first = |side| match conditioner.rows(&batch, side).unwrap() {
            ConditionRows::Embeddings { values, mask } => {
                let first = values.slice_dim(1, 0..1).slice_dim(2, 0..1).into_data();
                let mask: Vec<bool> = mask.clone().into_data().iter::<bool>().collect();
                let lengths = mask.chunks(mask.len() / 3).map(|row| row.iter().filter(|&&it| it).count());
                lengths.zip(first.iter::<f32>()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(lengths_and_first(PassCondition::Given), [(2, 100.0), (2, 100.0), (4, 0.0)]);
        assert_eq!(lengths_and_first(PassCondition::Negative), [(2, 0.0), (3, 200.0), (4, 0.0)]);
        assert_eq!(lengths_and_first(PassCondition::Null), [(2, 0.0), (2, 0.0), (4, 0.0)]);
    }

    #[test]
    fn what_it_cannot_take_is_named() {
        let conditioner = TextConditioner::new(rows(0.0, 4), []).unwrap();
        let refused =
            |condition| conditioner.rows(&[condition], PassCondition::Given).unwrap_err().to_string();
        assert!(refused(Condition::Class(3)).contains("was given class 3"));
        assert!(refused(Condition::Prompt("x".into())).contains("\"x\" was not encoded"));
        let long = TextConditioner::new(rows(0.0, 4), [("long".to_owned(), rows(0.0, 5))]);
        assert!(long.unwrap_err().to_string().contains("\"long\" has shape [5, 2], expected [1 to 4, 2]"));
    }
}
