//! AdamW with decay by group, Muon for the matrices of blocks, the global gradient norm and its clipping.
//!
//! Our own rather than burn's, because its state is named by parameter (so that a checkpoint can hold and
//! check it), and clipping uses the norm of all gradients together.

use std::collections::{BTreeMap, HashMap, HashSet};

use burn::module::{Module, ParamId};
use burn::tensor::{Device, Gradients, Tensor};
use nextscale_core::is_cpu;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::factor::Factor;
use crate::muon::MuonConfig;
use crate::params::{Parameter, parameters, replace, take_gradients};
use crate::{Error, Result};

/// Settings of AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// The decay of the mean of gradients.
    pub beta1: f64,
    /// The decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay, for the parameters that [`is_decayed`] selects by their upstream keys.
    pub weight_decay: f64,
    /// The largest norm of all gradients together; beyond it they are scaled down. 0 is off.
    pub clip: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.05, clip: 2.0 }
    }
}

impl AdamWConfig {
    /// Checks every number's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field and what it may be.
    pub(crate) fn check(&self) -> Result<()> {
        let share = |value: f64| (0.0..1.0).contains(&value);
        let at_least_0 = |value: f64| value.is_finite() && value >= 0.0;
        for (field, value, fits, remedy) in [
            ("beta1", self.beta1, share(self.beta1), "a number from 0 to below 1, like 0.9"),
            ("beta2", self.beta2, share(self.beta2), "a number from 0 to below 1, like 0.95"),
            (
                "epsilon",
                self.epsilon,
                at_least_0(self.epsilon) && self.epsilon > 0.0,
                "a number above 0, like 1e-8",
            ),
            ("weight_decay", self.weight_decay, at_least_0(self.weight_decay), "0 (off) or more, like 0.05"),
            ("clip", self.clip, at_least_0(self.clip), "0 (off) or more, like 2"),
        ] {
            if !fits {
                let field = format!("training.optimiser.{field}");
                return Err(Error::setting(field, format!("{value} does not train; give {remedy}")));
            }
        }
        Ok(())
    }
}

/// Parts of names that are never decayed, besides vectors and biases (VAR, `filter_params`).
const UNDECAYED: [&str; 5] = ["pos_1LC", "pos_start", "lvl_embed", "ada_gss", "scale_mul"];

/// Whether the parameter under upstream's `key` is decayed: matrices and kernels are, but no position or
/// level embeddings and no learned scales.
pub fn is_decayed(key: &str, axes: usize) -> bool {
    axes > 1 && !key.ends_with("bias") && !UNDECAYED.iter().any(|part| key.contains(part))
}

/// Which treatment applies to which parameters, by burn's ids.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// Those with AdamW's weight decay.
    pub decayed: HashSet<ParamId>,
    /// The matrices of blocks, which Muon updates if enabled, with the number of matrices side by side in
    /// each.
    pub matrices: HashMap<ParamId, usize>,
}

/// The state kept per parameter, flat.
#[derive(Debug, Clone)]
pub struct Moments {
    /// AdamW's mean of gradients, or Muon's momentum.
    pub first: Tensor<1>,
    /// AdamW's mean of squared gradients.
    pub second: Option<Tensor<1>>,
}

/// AdamW, with Muon for matrices if enabled, and their state.
#[derive(Debug, Clone)]
pub struct Optimiser {
    adam_w: AdamWConfig,
    muon: Option<MuonConfig>,
    groups: Groups,
    /// Updates made.
    pub updates: u64,
    /// The moments by parameter name.
    pub moments: BTreeMap<String, Moments>,
}

impl Optimiser {
    /// An optimiser without state.
    pub fn new(adam_w: AdamWConfig, muon: Option<MuonConfig>, groups: Groups) -> Self {
        Self { adam_w, muon, groups, updates: 0, moments: BTreeMap::new() }
    }

    /// Muon's settings and the number of matrices in this parameter, if Muon updates it.
    pub fn muon(&self, parameter: ParamId) -> Option<(MuonConfig, usize)> {
        self.muon.zip(self.groups.matrices.get(&parameter).copied())
    }

    /// One [`update`](Self::update) with the gradients of a backward pass.
    pub fn step<M: Module>(&mut self, module: M, gradients: Gradients, rate: f64) -> (M, Norm) {
        let gradients = take_gradients(&module, gradients);
        self.update(module, gradients, rate)
    }

    /// One update at `rate` of the parameters that `gradients` names, flat. Returns the module and the norm
    /// of all gradients before clipping.
    pub fn update<M: Module>(
        &mut self,
        module: M,
        mut gradients: BTreeMap<String, Tensor<1>>,
        rate: f64,
    ) -> (M, Norm) {
        let Some(device) = gradients.values().next().map(Tensor::device) else {
            self.updates += 1;
            return (module, Norm::Known(0.0));
        };
        let norm = Norm::of(&gradients, &device);
        let clip = self.clip(&norm, &mut gradients);
        self.updates += 1;
        let mut steps = self.muon_steps(&module, &mut gradients, clip, &device);
        let factors = Factors::new(&self.adam_w, self.muon, rate, self.updates, &device);
        let module = replace(module, |parameter| {
            if let Some(step) = steps.remove(&parameter.name) {
                let [decay, rate] = factors.muon.as_ref()?;
                return Some(decay.times(parameter.values).sub(rate.times(step)));
            }
            let gradient = gradients.remove(&parameter.name)?;
            Some(self.by_adam_w(parameter, gradient, clip, &factors))
        });
        (module, norm)
    }

    /// The factor of gradients whose norm is too large, on the CPU; elsewhere, where the norm is not known, they
    /// are multiplied by it here.
    fn clip(&self, norm: &Norm, gradients: &mut BTreeMap<String, Tensor<1>>) -> f64 {
        let clip = self.adam_w.clip;
        match norm {
            Norm::Known(norm) if clip > 0.0 && *norm > clip => clip / norm,
            Norm::Squares(squares) if clip > 0.0 => {
                let factor = squares.clone().sum().sqrt().recip().mul_scalar(clip).clamp_max(1.0);
                for gradient in gradients.values_mut() {
                    *gradient = gradient.clone().mul(factor.clone());
                }
                1.0
            }
            _ => 1.0,
        }
    }

    /// Adds the gradients of Muon's parameters, times `scale`, to its momentum, and returns the steps at rate
    /// one, by name and flat. On the CPU matrices are processed in parallel: one thread each is faster than all
    /// threads on one after another.
    fn muon_steps<M: Module>(
        &mut self,
        module: &M,
        gradients: &mut BTreeMap<String, Tensor<1>>,
        scale: f64,
        device: &Device,
    ) -> BTreeMap<String, Tensor<1>> {
        let mut work = Vec::new();
        for Parameter { name, id, shape, .. } in parameters(module) {
            let Some((muon, parts)) = self.muon(id) else { continue };
            let Some(gradient) = gradients.remove(&name) else { continue };
            let gradient = gradient.mul_scalar(scale);
            let first = match self.moments.remove(&name) {
                Some(Moments { first, .. }) => first.mul_scalar(muon.momentum).add(gradient.clone()),
                None => gradient.clone(),
            };
            self.moments.insert(name.clone(), Moments { first: first.clone(), second: None });
            work.push((name, muon, parts, [gradient, first].map(|x| x.reshape([shape[0], shape[1]]))));
        }
        let step = |(name, muon, parts, [gradient, momentum]): (_, MuonConfig, _, [_; 2])| {
            (name, muon.step(gradient, momentum, parts).flatten(0, 1))
        };
        if is_cpu(device) {
            work.into_par_iter().map(step).collect()
        } else {
            // What several threads ask a device for, it must put in an order first.
            work.into_iter().map(step).collect()
        }
    }

    fn by_adam_w(
        &mut self,
        parameter: Parameter,
        gradient: Tensor<1>,
        scale: f64,
        factors: &Factors,
    ) -> Tensor<1> {
        let AdamWConfig { beta1, beta2, epsilon, .. } = self.adam_w;
        let first_gain = gradient.clone().mul_scalar((1.0 - beta1) * scale);
        let second_gain = gradient.clone().mul(gradient).mul_scalar((1.0 - beta2) * scale * scale);
        let (first, second) = match self.moments.remove(&parameter.name) {
            Some(Moments { first, second: Some(second) }) => {
                (first.mul_scalar(beta1).add(first_gain), second.mul_scalar(beta2).add(second_gain))
            }
            _ => (first_gain, second_gain),
        };
        let spread = factors.unbias.times(second.clone().sqrt()).add_scalar(epsilon);
        let delta = factors.rate.times(first.clone().div(spread));
        let decayed = self.groups.decayed.contains(&parameter.id);
        self.moments.insert(parameter.name, Moments { first, second: Some(second) });
        let values = if decayed { factors.decay.times(parameter.values) } else { parameter.values };
        values.sub(delta)
    }
}

/// What a step multiplies by.
struct Factors {
    /// Of the root of AdamW's second moment.
    unbias: Factor,
    /// Of AdamW's step.
    rate: Factor,
    /// Of weights with AdamW's decay.
    decay: Factor,
    /// Of weights with Muon's decay, and of its step at rate one.
    muon: Option<[Factor; 2]>,
}

impl Factors {
    /// Those of the update of number `updates`, counted from 1.
    fn new(adam_w: &AdamWConfig, muon: Option<MuonConfig>, rate: f64, updates: u64, device: &Device) -> Self {
        let unbias = |beta: f64| 1.0 - beta.powf(updates as f64);
        let decay = |muon: MuonConfig| 1.0 - rate * muon.rate * muon.weight_decay;
        let numbers = [
            unbias(adam_w.beta2).sqrt().recip(),
            rate / unbias(adam_w.beta1),
            1.0 - rate * adam_w.weight_decay,
            muon.map_or(1.0, decay),
            rate,
        ];
        let [unbias, adam_w_rate, adam_w_decay, muon_decay, muon_rate] = Factor::on(numbers, device);
        let muon = muon.map(|_| [muon_decay, muon_rate]);
        Self { unbias, rate: adam_w_rate, decay: adam_w_decay, muon }
    }
}

/// The L2 norm of all gradients together.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // one per step
pub enum Norm {
    /// On the CPU.
    Known(f64),
    /// On other devices the sum of squares of every gradient, which nothing needs to wait for.
    Squares(Tensor<1>),
}

impl Norm {
    /// Sums a tensor on its device, and the tensors in f64 in the order of names.
    fn of(gradients: &BTreeMap<String, Tensor<1>>, device: &Device) -> Self {
        let squares: Vec<Tensor<1>> = gradients.values().map(|g| g.clone().mul(g.clone()).sum()).collect();
        let squares = Self::Squares(Tensor::cat(squares, 0));
        if is_cpu(device) { Self::Known(squares.read()) } else { squares }
    }

    /// The norm, from the sums of squares.
    pub(crate) fn of_squares(squares: &[f32]) -> f64 {
        squares.iter().copied().map(f64::from).sum::<f64>().sqrt()
    }

    /// The norm, for which the host waits if it is on a device.
    pub fn read(self) -> f64 {
        match self {
            Self::Known(norm) => norm,
            Self::Squares(squares) => {
                Self::of_squares(&squares.into_data().iter::<f32>().collect::<Vec<_>>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Weights {
        kernel: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
    }

    fn weights() -> Weights {
        let device = Device::flex().autodiff();
        Weights {
            kernel: Param::from_tensor(Tensor::from_floats([[1.0, -2.0]], &device)),
            bias: Param::from_tensor(Tensor::from_floats([0.5], &device)),
        }
    }

    fn loss(module: &Weights) -> Tensor<1> {
        let kernel = module.kernel.val();
        (kernel.clone() * kernel).sum() + module.bias.val().sum() * 3.0
    }

    /// The textbook update in f64, one number at a time.
    fn reference(config: AdamWConfig, rate: f64, steps: u64) -> [f64; 3] {
        let (mut values, mut first, mut second) = ([1.0, -2.0, 0.5], [0.0; 3], [0.0; 3]);
        for t in 1..=steps {
            let mut gradient = [2.0 * values[0], 2.0 * values[1], 3.0];
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            if norm > config.clip {
                gradient = gradient.map(|g| g * config.clip / norm);
            }
            for i in 0..3 {
                first[i] = config.beta1 * first[i] + (1.0 - config.beta1) * gradient[i];
                second[i] = config.beta2 * second[i] + (1.0 - config.beta2) * gradient[i] * gradient[i];
                let m = first[i] / (1.0 - config.beta1.powi(t as i32));
                let v: f64 = second[i] / (1.0 - config.beta2.powi(t as i32));
                if i < 2 {
                    values[i] *= 1.0 - rate * config.weight_decay;
                }
                values[i] -= rate * m / (v.sqrt() + config.epsilon);
            }
        }
        values
    }

    #[test]
    fn follows_the_textbook_with_clipping_and_without_decay_of_biases() {
        let config = AdamWConfig { weight_decay: 0.3, clip: 4.0, ..AdamWConfig::default() };
        let (mut module, mut optimiser) = (weights(), Optimiser::new(config, None, Groups::default()));
        optimiser.groups.decayed.insert(module.kernel.id);
        for step in 0..7 {
            let gradients = loss(&module).backward();
            let norm;
            (module, norm) = optimiser.step(module, gradients, 0.05);
            if step == 0 {
                assert!((norm.read() - 29f64.sqrt()).abs() < 1e-6);
            }
        }
        let mut found: Vec<f32> = module.kernel.val().into_data().try_to_vec().unwrap();
        found.extend(module.bias.val().into_data().try_to_vec::<f32>().unwrap());
        for (found, expected) in found.iter().zip(reference(config, 0.05, 7)) {
            assert!((f64::from(*found) - expected).abs() < 2e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn muon_moves_matrices_and_adam_w_the_rest() {
        let module = weights();
        let groups = Groups { matrices: [(module.kernel.id, 2)].into(), ..Groups::default() };
        let muon = MuonConfig { weight_decay: 0.5, ..MuonConfig::default() };
        let (config, gradients) = (AdamWConfig::default(), loss(&module).backward());
        let mut plain = Optimiser::new(config, None, Groups::default());
        let (by_adam_w, _) = plain.step(module.clone(), gradients, 0.1);
        let mut optimiser = Optimiser::new(config, Some(muon), groups);
        let gradients = loss(&module).backward();
        let (moved, _) = optimiser.step(module, gradients, 0.1);
        assert_eq!(moved.bias.val().into_data(), by_adam_w.bias.val().into_data());
        // Two matrices of one number: each moves against its gradient's sign by about 0.2 at rate 0.1 · 2,
        // after the decay.
        let kernel: Vec<f32> = moved.kernel.val().into_data().try_to_vec().unwrap();
        for (kernel, before) in kernel.into_iter().zip([1.0_f32, -2.0]) {
            let change = before * (1.0 - 0.1 * 2.0 * 0.5) - kernel;
            assert!((0.02..0.06).contains(&(change * before.signum())), "{change}");
        }
        assert!(optimiser.moments["kernel"].second.is_none() && optimiser.moments["bias"].second.is_some());
    }

    #[test]
    fn decay_groups_are_upstreams() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var/info.json");
        let info: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for variant in ["aln", "saln"] {
            for (group, decayed) in [("decay", true), ("no_decay", false)] {
                let names = info["param_groups"][variant][group].as_array().unwrap();
                assert!(names.len() > 10);
                for name in names.iter().map(|name| name.as_str().unwrap()) {
                    assert_eq!(is_decayed(name, 2), decayed, "{name}");
                }
            }
        }
        assert!(!is_decayed("norm.weight", 1));
    }
}
