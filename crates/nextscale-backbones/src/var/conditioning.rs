use std::ops::Range;

use burn::tensor::Tensor;
use nextscale_core::{BatchConditions, ConditionRows, Error, PassCondition, Result};

use super::model::Var;
use crate::ClassConditioner;
use crate::transformer::{
    adaln::{BlockCondition, Modulation},
    head::HeadModulation,
    rows::pick,
    streams::Streams,
};

/// Everything that a batch of rows is conditioned on. Constant over scales, computed once.
#[derive(Debug, Clone)]
pub(super) struct Conditioning {
    /// Class embeddings, `[rows, width]`.
    pub classes: Tensor<2>,
    pub blocks: Vec<Modulation>,
    pub head: HeadModulation,
}

/// The conditioning of all sides of a batch, from which sessions on several prefixes select theirs.
pub(super) struct OfSides {
    pub sides: Vec<PassCondition>,
    pub conditioning: Conditioning,
}

impl Conditioning {
    /// The rows of these ranges.
    pub fn pick(&self, ranges: &[Range<usize>]) -> Self {
        let blocks = self.blocks.iter().cloned();
        Self {
            classes: pick(self.classes.clone(), ranges),
            blocks: blocks.map(|block| block.map(|part| pick(part, ranges))).collect(),
            head: self.head.clone().map(|part| pick(part, ranges)),
        }
    }

    /// The same with each block's modulation for the rows of those `streams` that run it.
    pub fn in_blocks(self, streams: &Streams) -> Self {
        let depth = self.blocks.len();
        let in_block = |(i, block): (usize, Modulation)| {
            let inside = streams.in_block(depth - i);
            // A block that no stream runs reads nothing.
            if inside.len() == 0 { block } else { block.map(|part| streams.take(part, &inside)) }
        };
        Self { blocks: self.blocks.into_iter().enumerate().map(in_block).collect(), ..self }
    }
}

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

    /// The conditioning of every side that was prepared.
    pub(super) fn of_sides(&self, conditions: &BatchConditions) -> Result<OfSides> {
        let sides: Vec<_> = conditions.sides().collect();
        let mut rows = Vec::new();
        for &side in &sides {
            rows.extend(self.class_rows(conditions.rows(side)?)?);
        }
        Ok(OfSides { conditioning: self.condition(&rows), sides })
    }

    /// Projects the AdaLN modulation of these rows of the class table.
    pub(super) fn condition(&self, rows: &[usize]) -> Conditioning {
        let classes = self.embedding.classes(rows);
        let condition = BlockCondition::new(classes.clone(), self.shared.as_ref());
        Conditioning {
            classes,
            blocks: self.blocks.iter().map(|block| block.modulator.modulate(&condition)).collect(),
            head: self.head.modulate(condition.activated),
        }
    }
}
