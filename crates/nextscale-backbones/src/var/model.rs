use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nextscale_core::{Alphabet, Condition, Error, PassPlan, Passes, Result, ScaleSchedule};

use super::{
    adaln::{BlockCondition, Modulation},
    block::Block,
    config::{AdaLn, VarConfig},
    embedding::Embedding,
    head::{Head, HeadModulation},
    keys::{Named, Supply, linear, list_linear},
    linear::Linear,
    session::VarSession,
};
use crate::{Backbone, Session};

/// The VAR transformer: predicts the codes of each scale from the features of the scales before it.
///
/// The same modules generate (through [`Backbone`]) and train (through [`Var::logits`]).
#[derive(Module, Debug)]
pub struct Var {
    pub(super) embedding: Embedding,
    shared: Option<Linear>,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Head,
    #[module(skip)]
    pub(super) config: VarConfig,
}

/// All that a batch of rows is conditioned on: constant over scales, computed once.
#[derive(Debug, Clone)]
pub(super) struct Conditioning {
    /// Class embeddings, `[rows, width]`.
    pub classes: Tensor<2>,
    pub blocks: Vec<Modulation>,
    pub head: HeadModulation,
}

impl Var {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &VarConfig) -> Result<Self, S::Error> {
        Ok(Self {
            embedding: Embedding::build(supply, config)?,
            shared: match config.ada_ln {
                AdaLn::PerBlock => None,
                AdaLn::Shared => Some(linear(supply, "shared_ada_lin.1", config.width, 6 * config.width)?),
            },
            blocks: (0..config.depth)
                .map(|index| Block::build(supply, index, config))
                .collect::<Result<_, S::Error>>()?,
            head: Head::build(supply, config.width, config.vocabulary)?,
            config: config.clone(),
        })
    }

    /// The architecture.
    pub fn config(&self) -> &VarConfig {
        &self.config
    }

    /// Every trained parameter under upstream's key, in upstream's order.
    pub fn parameters(&self) -> Vec<Named<'_>> {
        let mut names = Vec::new();
        self.embedding.list(&mut names);
        if let Some(shared) = &self.shared {
            list_linear(shared, "shared_ada_lin.1", &mut names);
        }
        for (index, block) in self.blocks.iter().enumerate() {
            block.list(index, &mut names);
        }
        self.head.list(&mut names);
        names
    }

    /// The row of the class table that a condition names; the null class is the last.
    pub(super) fn class_row(&self, condition: &Condition) -> Result<usize> {
        match *condition {
            Condition::Class(class) if class < self.config.classes => Ok(class),
            Condition::Class(class) => Err(Error::setting(
                "condition",
                format!(
                    "label {class} is out of range; the model has classes 0 to {}",
                    self.config.classes - 1
                ),
            )),
            Condition::Null => Ok(self.config.classes),
            _ => Err(Error::Unsupported(format!(
                "VAR takes class labels or no condition, and was given {condition:?}"
            ))),
        }
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

impl Backbone for Var {
    fn schedule(&self) -> &ScaleSchedule {
        &self.config.schedule
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::codes(self.config.vocabulary)
    }

    fn feature_channels(&self) -> usize {
        self.config.feature_channels
    }

    fn classes(&self) -> usize {
        self.config.classes
    }

    fn passes(&self) -> Passes {
        Passes::BOTH
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }

    fn start(&self, conditions: &[Condition], plan: &PassPlan) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(VarSession::start(self, conditions, plan)?))
    }
}
