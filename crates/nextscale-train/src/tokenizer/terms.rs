use burn::tensor::Tensor;

use crate::task::{Numbers, Unread};

/// A loss as a sum of terms, with their values for the log.
pub struct Terms {
    loss: Tensor<1>,
    values: Vec<Tensor<1>>,
}

impl Terms {
    /// A loss with one term, of weight 1.
    pub fn of(term: Tensor<1>) -> Self {
        Self { values: vec![term.clone().inner()], loss: term }
    }

    /// Adds a term, `[1]`; the log shows it without its weight.
    pub fn add(&mut self, term: Tensor<1>, weight: f64) {
        self.values.push(term.clone().inner());
        self.loss = self.loss.clone() + term * weight;
    }

    /// The value of a term that is off: 0 in the log.
    pub fn none(&mut self) {
        self.values.push(self.loss.clone().inner().zeros_like());
    }

    /// The loss, and all values, which are read together.
    pub fn sum(self) -> (Tensor<1>, Unread) {
        let all = Tensor::cat([vec![self.loss.clone().inner()], self.values].concat(), 0);
        let numbers = |values: &[f32]| Numbers { loss: values[0], parts: values[1..].to_vec() };
        (self.loss, Unread::new(all, numbers))
    }
}
