use burn::tensor::{Int, Tensor};

/// What a sampler chose at every position of a scale.
#[derive(Debug, Clone)]
pub struct Draw {
    /// The chosen class of every slot, `[batch, h·w, slots]`.
    pub tokens: Tensor<3, Int>,
    /// A convex mix of classes to embed in place of the tokens, `[batch, h·w, channels]` (`more_smooth`).
    pub weights: Option<Tensor<3>>,
}

impl Draw {
    /// A hard draw.
    pub fn tokens(tokens: Tensor<3, Int>) -> Self {
        Self { tokens, weights: None }
    }
}
