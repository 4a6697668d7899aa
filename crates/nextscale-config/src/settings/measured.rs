use crate::{Node, Result};

/// Something in a config that was measured on one model and does not apply to any other, even of the same
/// shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub(super) weights: String,
    pub(super) what: String,
    pub(super) remedy: String,
    /// Its place in the config.
    pub(super) node: Node,
}

impl Measured {
    /// Checks that it was measured on the model with these weights.
    ///
    /// # Errors
    /// If it was measured on another, with its place and the remedy.
    pub fn check(&self, weights: &str) -> Result<()> {
        if self.weights == weights {
            return Ok(());
        }
        let Self { weights: of, what, remedy, node } = self;
        let message =
            format!("{what} was measured on the model with the weights {of}, and this one has {weights}");
        Err(node.error(message).with_help(remedy.clone()))
    }
}
