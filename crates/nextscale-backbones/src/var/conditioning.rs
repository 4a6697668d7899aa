use burn::tensor::Tensor;
use nextscale_core::{ConditionRows, Error, Result};

use super::model::Var;
use crate::ClassConditioner;
use crate::transformer::{
    adaln::{BlockCondition, Modulation},
    conditioning,
};

/// What rows are conditioned on: class embeddings `[rows, width]`, and a modulation for each block.
pub(super) type Conditioning = conditioning::Conditioning<Tensor<2>, Modulation>;

impl Var {
    /// Turns conditions into rows of its table of classes.
    pub fn conditioner(&self) -> ClassConditioner {
        ClassConditioner { classes: self.config.classes }
    }

    /// The rows of the class table for these conditions; the null class is the last.
    pub(super) fn class_rows(&self, rows: &ConditionRows) -> Result<Vec<usize>> {
        let classes = self.config.classes;
        let ConditionRows::Classes(rows) = rows else {
            return Err(Error::Unsupported(
                "VAR takes rows of a table of classes, and was given embeddings".into(),
            ));
        };
        let row = |row: &Option<usize>| match *row {
            Some(class) if class >= classes => Err(Error::setting(
                "condition",
                format!("label {class} is out of range; the model has classes 0 to {}", classes - 1),
            )),
            Some(class) => Ok(class),
            None => Ok(classes),
        };
        rows.iter().map(row).collect()
    }

    /// Projects the AdaLN modulation of these rows of the class table.
    pub(super) fn condition_on(&self, rows: &[usize]) -> Conditioning {
        let classes = self.embedding.classes(rows);
        let condition = BlockCondition::new(classes.clone(), self.shared.as_ref());
        Conditioning {
            start: classes,
            blocks: self.blocks.iter().map(|block| block.modulator.modulate(&condition)).collect(),
            head: self.head.modulate(condition.activated),
        }
    }
}
