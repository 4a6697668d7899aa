//! The moving average of weights (EMA).

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::factor::Factor;
use crate::params::{parameters, replace};

/// An exponential moving average of every parameter. Its decay grows as (1 + t) / (10 + t) up to the
/// configured value, so that the poor initial weights are soon forgotten.
#[derive(Debug, Clone)]
pub struct Ema {
    decay: f64,
    /// The averages by parameter name, flat.
    pub values: BTreeMap<String, Tensor<1>>,
}

impl Ema {
    /// An average that starts at the module's weights.
    pub fn new<M: Module>(module: &M, decay: f64) -> Self {
        Self { decay, values: parameters(module).into_iter().map(|p| (p.name, p.values)).collect() }
    }

    /// Updates the averages with the weights after `updates` updates. Untrained parameters, by name, stay the
    /// same bit for bit: rounding would change their averages.
    pub fn update<M: Module>(&mut self, module: &M, updates: u64, trained: impl Fn(&str) -> bool) {
        let decay = self.decay.min((1.0 + updates as f64) / (10.0 + updates as f64));
        let parameters = parameters(module);
        let Some(device) = parameters.first().map(|parameter| parameter.values.device()) else { return };
        let [kept, gained] = Factor::on([decay, 1.0 - decay], &device);
        for parameter in parameters.into_iter().filter(|parameter| trained(&parameter.name)) {
            let gain = gained.times(parameter.values.clone());
            let value = match self.values.remove(&parameter.name) {
                Some(value) => kept.times(value).add(gain),
                None => parameter.values,
            };
            self.values.insert(parameter.name, value);
        }
    }

    /// The module with the averages in place of its weights.
    pub fn apply<M: Module>(&self, module: M) -> M {
        replace(module, |parameter| self.values.get(&parameter.name).cloned())
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    fn filled(module: Linear, value: f64) -> Linear {
        replace(module, |p| Some(p.values.zeros_like() + value))
    }

    #[test]
    fn averages_with_the_growing_decay() {
        let module = filled(LinearConfig::new(1, 1).init(&Device::flex()), 0.0);
        let mut ema = Ema::new(&module, 0.5);
        ema.update(&filled(module.clone(), 1.0), 1, |_| true);
        ema.update(&filled(module.clone(), 1.0), 100, |_| true);
        ema.update(&filled(module.clone(), 7.0), 101, |_| false);
        let first = 1.0 - 2.0 / 11.0;
        let expected = 0.5 * first + 0.5;
        let found: f32 = ema.apply(module).weight.val().into_scalar();
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found}");
    }
}
