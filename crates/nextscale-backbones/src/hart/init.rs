use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use nextscale_core::{Dtype, Error, Result};

use super::{config::HartConfig, model::Hart};
use crate::transformer::{
    Initialisation, Weight,
    fresh::normal,
    keys::{Architecture, Supply},
    laid_out,
};

impl HartConfig {
    /// A model with fresh weights: normal numbers that preserve the size of linear layers' outputs, small
    /// ones where a layer modulates.
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init(&self, initialisation: &Initialisation, device: &Device) -> Result<Hart> {
        self.check()?;
        self.build(&mut Fresh { config: self, initialisation, device })
    }

    /// The same for generation only, as from [`Hart::load_to_generate`].
    ///
    /// # Errors
    /// If the sizes are invalid, or the processor or the device does not support the precision.
    pub fn init_to_generate(
        &self,
        initialisation: &Initialisation,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Hart> {
        self.check()?;
        laid_out::build(Fresh { config: self, initialisation, device }, self, device, dtype)
    }
}

/// Supplies fresh weights by key.
struct Fresh<'a> {
    config: &'a HartConfig,
    initialisation: &'a Initialisation,
    device: &'a Device,
}

/// The factor for weights that produce scales and shifts.
const MODULATION: f64 = 1e-3;

impl Fresh<'_> {
    fn tensor<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
    }

    fn normal(&self, key: &str, count: usize, deviation: f64) -> Vec<f32> {
        normal(self.initialisation.seed, key, count, deviation)
    }
}

impl Supply for Fresh<'_> {
    type Error = Error;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        let (count, width) = (shape.iter().product(), self.config.width);
        let is_norm =
            ["norm.weight", "ln_wo_grad.weight", "in_ln.weight"].iter().any(|end| key.ends_with(end));
        let values = if key.ends_with("scale_mul_1H11") {
            vec![4.0_f32.ln(); count]
        } else if is_norm {
            vec![1.0; count]
        } else if key.ends_with("scale_shift_table") {
            let mut values = self.normal(key, count, (1.0 / width as f64).sqrt());
            let (gates, rest) = values.split_at_mut(2 * width);
            gates.iter_mut().for_each(|value| *value *= self.initialisation.gate as f32);
            rest.iter_mut().for_each(|value| *value *= MODULATION as f32);
            values
        } else if key == "lvl_embed.weight" {
            self.normal(key, count, (1.0 / (3.0 * width as f64)).sqrt())
        } else {
            vec![0.0; count]
        };
        Ok(self.tensor(values, shape))
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        let ends = ["attn.proj.weight", "ffn.down_proj.weight"];
        let gain = if key == "head.weight" {
            0.02
        } else if key == "head_nm.ada_lin.1.weight" {
            MODULATION
        } else if key.contains("ada_lin.1") || key.contains("adaLN_modulation.1") {
            self.initialisation.gate
        } else if ends.iter().any(|end| key.ends_with(end)) {
            1.0 / (2.0 * self.config.depth as f64).sqrt()
        } else {
            1.0
        };
        let values = self.normal(key, inner * out, gain * (1.0 / (3.0 * inner as f64)).sqrt());
        Ok(Weight::Plain(self.tensor(values, [inner, out])))
    }
}
