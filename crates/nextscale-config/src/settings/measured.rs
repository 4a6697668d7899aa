use crate::{Node, Result};

/// Something in a config that was measured on one model and says nothing about another, of whatever shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub(super) weights: String,
    pub(super) what: String,
    pub(super) remedy: String,
    /// Where the config says it.
    pub(super) node: Node,
}

impl Measured {
    /// Makes sure that it is of the model with these weights.
    ///
    /// # Errors
    /// If it is of another, at its place, with the remedy.
    pub fn check(&self, weights: &str) -> Result<()> {
        if self.weights == weights {
            return Ok(());
        }
        let Self { weights: of, what, remedy, node } = self;
        let message = format!("{what} is of the model with the weights {of}, and this one has {weights}");
        Err(node.error(message).with_help(remedy.clone()))
    }
}
