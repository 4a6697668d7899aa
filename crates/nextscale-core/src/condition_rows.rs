use std::collections::BTreeMap;

use burn::tensor::{Bool, Tensor};

use crate::{Error, PassCondition, Result};

/// The conditions of a batch as a backbone reads them, one row per image.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // one per batch and side
pub enum ConditionRows {
    /// Rows of a table of classes; `None` is the null class.
    Classes(Vec<Option<usize>>),
    /// Embeddings of variable length, as from a text encoder.
    Embeddings {
        /// `[batch, longest, width]`; whether the rows outside the mask are read is up to the model.
        values: Tensor<3>,
        /// `[batch, longest]`, true where the image has a row.
        mask: Tensor<2, Bool>,
    },
}

impl ConditionRows {
    /// The number of images.
    pub fn batch(&self) -> usize {
        match self {
            Self::Classes(rows) => rows.len(),
            Self::Embeddings { values, .. } => values.dims()[0],
        }
    }

    /// Checks that values and mask fit each other.
    ///
    /// # Errors
    /// [`Error::Shape`] if the mask does not cover every embedding.
    pub fn check(&self) -> Result<()> {
        let Self::Embeddings { values, mask } = self else { return Ok(()) };
        let [batch, longest, _] = values.dims();
        if mask.dims() != [batch, longest] {
            return Err(Error::shape(
                "the mask of a condition",
                format!("[{batch}, {longest}]"),
                &mask.dims(),
            ));
        }
        Ok(())
    }
}

/// The conditions of a batch, for every pass that runs.
#[derive(Debug, Clone)]
pub struct BatchConditions {
    batch: usize,
    sides: BTreeMap<PassCondition, ConditionRows>,
}

impl BatchConditions {
    /// The rows of each side, for `batch` images.
    ///
    /// # Errors
    /// [`Error::Setting`] if the batch is empty, [`Error::Shape`] if a side has another number of images or a
    /// mask that does not fit.
    pub fn new(
        batch: usize,
        sides: impl IntoIterator<Item = (PassCondition, ConditionRows)>,
    ) -> Result<Self> {
        if batch == 0 {
            return Err(Error::setting("condition", "the batch has none; give one for each image"));
        }
        let sides: BTreeMap<_, _> = sides.into_iter().collect();
        for (side, rows) in &sides {
            rows.check()?;
            if rows.batch() != batch {
                let what = format!("the rows of the {side} conditions");
                return Err(Error::shape(what, format!("one for each of {batch} images"), &[rows.batch()]));
            }
        }
        Ok(Self { batch, sides })
    }

    /// The number of images.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The sides that were prepared, in stacking order.
    pub fn sides(&self) -> impl Iterator<Item = PassCondition> + '_ {
        self.sides.keys().copied()
    }

    /// The rows of a side.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the side was not prepared.
    pub fn rows(&self, side: PassCondition) -> Result<&ConditionRows> {
        self.sides.get(&side).ok_or_else(|| {
            Error::Unsupported(format!(
                "the {side} conditions were not prepared; the pass plan must name the side"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn sides_are_checked_and_found() {
        let classes = |count| ConditionRows::Classes(vec![None; count]);
        let two = BatchConditions::new(2, [(PassCondition::Given, classes(2))]).unwrap();
        assert_eq!((two.batch(), two.rows(PassCondition::Given).unwrap().batch()), (2, 2));
        assert!(two.rows(PassCondition::Null).unwrap_err().to_string().contains("null conditions"));
        assert!(BatchConditions::new(2, [(PassCondition::Null, classes(3))]).is_err());
        assert!(BatchConditions::new(0, []).unwrap_err().to_string().contains("condition"));
        let device = Device::flex();
        let mask = Tensor::<2, Bool>::from_data([[true, false, true]], &device);
        let rows = ConditionRows::Embeddings { values: Tensor::zeros([1, 2, 4], &device), mask };
        assert!(BatchConditions::new(1, [(PassCondition::Given, rows)]).is_err());
    }
}
