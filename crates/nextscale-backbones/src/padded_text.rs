use std::collections::HashMap;

use burn::tensor::{Bool, Device, Tensor, TensorData};
use nextscale_core::{Condition, ConditionRows, Error, PassCondition, Result};

use crate::Conditioner;

/// The rows of a text with padding, which the model reads too.
#[derive(Debug, Clone)]
pub struct PaddedText {
    /// `[rows, width]`.
    pub values: Tensor<2>,
    /// Which rows are the text's own.
    pub mask: Vec<bool>,
}

/// The conditioner of models that read every text with the same number of rows, padding included (HART).
///
/// The null side is zeros of which the first row counts as the text's own; an explicit negative replaces them
/// with its own rows.
#[derive(Debug, Clone)]
pub struct PaddedTextConditioner {
    prompts: HashMap<String, PaddedText>,
    null: PaddedText,
}

impl PaddedTextConditioner {
    /// From each prompt's rows, `[rows, width]`.
    ///
    /// # Errors
    /// If a prompt has another shape, or no row of its own.
    pub fn new(
        [rows, width]: [usize; 2],
        prompts: impl IntoIterator<Item = (String, PaddedText)>,
        device: &Device,
    ) -> Result<Self> {
        let prompts: HashMap<_, _> = prompts.into_iter().collect();
        for (prompt, PaddedText { values, mask }) in &prompts {
            if values.dims() != [rows, width] || mask.len() != rows || !mask.contains(&true) {
                let what = format!("the rows of the prompt {prompt:?}");
                let own = mask.iter().filter(|own| **own).count();
                let expected = format!("[{rows}, {width}] with at least one of its own, and it has {own}");
                return Err(Error::shape(what, expected, &values.dims()));
            }
        }
        let mask = (0..rows).map(|row| row == 0).collect();
        let null = PaddedText { values: Tensor::zeros([rows, width], device), mask };
        Ok(Self { prompts, null })
    }

    /// The rows of an image on one side.
    fn of(&self, condition: &Condition, side: PassCondition) -> Result<&PaddedText> {
        match side {
            PassCondition::Given => self.own(condition.shown()),
            PassCondition::Negative => self.own(condition.avoided()),
            PassCondition::Null => Ok(&self.null),
        }
    }

    fn own(&self, condition: &Condition) -> Result<&PaddedText> {
        match condition {
            Condition::Prompt(prompt) => self.prompts.get(prompt).ok_or_else(|| {
                Error::Unsupported(format!(
                    "the prompt {prompt:?} was not encoded before the model was loaded"
                ))
            }),
            Condition::Null => Ok(&self.null),
            other => Err(Error::Unsupported(format!(
                "the model takes prompts or no condition, and was given {other}"
            ))),
        }
    }
}

impl Conditioner for PaddedTextConditioner {
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> Result<ConditionRows> {
        let texts =
            conditions.iter().map(|condition| self.of(condition, side)).collect::<Result<Vec<_>>>()?;
        let values = texts.iter().map(|text| text.values.clone().unsqueeze::<3>()).collect();
        let mask: Vec<bool> = texts.iter().flat_map(|text| text.mask.iter().copied()).collect();
        let mask = TensorData::new(mask, [texts.len(), self.null.mask.len()]);
        let mask = Tensor::<2, Bool>::from_data(mask, &self.null.values.device());
        Ok(ConditionRows::Embeddings { values: Tensor::cat(values, 0), mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(first: f32, mask: [bool; 3]) -> PaddedText {
        let values: Vec<f32> = (0..6).map(|i| first + i as f32).collect();
        let values = Tensor::from_data(TensorData::new(values, [3, 2]), &Device::flex());
        PaddedText { values, mask: mask.to_vec() }
    }

    fn conditioner() -> PaddedTextConditioner {
        let texts = [
            ("a ship".to_owned(), text(100.0, [true, true, false])),
            ("blur".to_owned(), text(200.0, [false, false, true])),
        ];
        PaddedTextConditioner::new([3, 2], texts, &Device::flex()).unwrap()
    }

    #[test]
    fn padding_is_kept_and_the_null_side_is_zeros_with_one_row() {
        let conditioner = conditioner();
        let ship = Condition::Prompt("a ship".into());
        let batch = [ship.clone(), ship.avoiding(Condition::Prompt("blur".into())), Condition::Null];
        let read = |side| match conditioner.rows(&batch, side).unwrap() {
            ConditionRows::Embeddings { values, mask } => {
                let last = values.slice_dim(1, 2..3).slice_dim(2, 1..2).into_data();
                let mask: Vec<bool> = mask.into_data().iter::<bool>().collect();
                let masks = mask.chunks(3).map(<[bool]>::to_vec).collect::<Vec<_>>();
                (last.iter::<f32>().collect::<Vec<_>>(), masks)
            }
            other => panic!("{other:?}"),
        };
        let (ship, blur, null) =
            (vec![true, true, false], vec![false, false, true], vec![true, false, false]);
        assert_eq!(
            read(PassCondition::Given),
            (vec![105.0, 105.0, 0.0], vec![ship.clone(), ship, null.clone()])
        );
        assert_eq!(
            read(PassCondition::Negative),
            (vec![0.0, 205.0, 0.0], vec![null.clone(), blur, null.clone()])
        );
        assert_eq!(read(PassCondition::Null), (vec![0.0; 3], vec![null; 3]));
    }

    #[test]
    fn what_it_cannot_take_is_named() {
        let refused =
            |condition| conditioner().rows(&[condition], PassCondition::Given).unwrap_err().to_string();
        assert!(refused(Condition::Class(3)).contains("was given class 3"));
        assert!(refused(Condition::Prompt("x".into())).contains("\"x\" was not encoded"));
        let made = |rows, mask| {
            let texts = [("long".to_owned(), text(0.0, mask))];
            PaddedTextConditioner::new([rows, 2], texts, &Device::flex()).unwrap_err().to_string()
        };
        assert!(made(4, [true; 3]).contains("\"long\" has shape [3, 2], expected [4, 2]"));
        assert!(made(3, [false; 3]).contains("it has 0"));
    }
}
