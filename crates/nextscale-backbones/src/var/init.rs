use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use nextscale_core::{Dtype, Error, Result};

use super::{config::VarConfig, model::Var};
use crate::transformer::{Initialisation, Weight, fresh::normal, keys::Supply, laid_out, to_train};

impl VarConfig {
    /// A model with fresh weights.
    ///
    /// Together with [`published`](Self::published) and [`Var::save`] this creates a random checkpoint of an
    /// official size under upstream's keys:
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use burn::tensor::Device;
    /// use nextscale_backbones::var::{Initialisation, VarConfig};
    /// use nextscale_weights::Precision;
    ///
    /// let model = VarConfig::published(16)?.init(&Initialisation::default(), &Device::flex())?;
    /// model.save("var_d16.safetensors", Precision::F32, true)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init(&self, initialisation: &Initialisation, device: &Device) -> Result<Var> {
        self.check()?;
        Var::build(&mut Fresh { config: self, initialisation, device }, self)
    }

    /// The same model for training. In bf16 this is mixed precision: the inputs of products in linear layers
    /// and attention are rounded to bfloat16, forward and backward; weights, sums and everything else are
    /// f32.
    ///
    /// # Errors
    /// If the sizes are invalid, or the processor or the device does not support the precision.
    pub fn init_to_train(
        &self,
        initialisation: &Initialisation,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Var> {
        self.check()?;
        to_train::build(Fresh { config: self, initialisation, device }, self, device, dtype)
    }

    /// The same model for generation only, as from [`Var::load_to_generate`].
    ///
    /// # Errors
    /// If the sizes are invalid, or the processor or the device does not support the precision.
    pub fn init_to_generate(
        &self,
        initialisation: &Initialisation,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Var> {
        self.check()?;
        laid_out::build(Fresh { config: self, initialisation, device }, self, device, dtype)
    }
}

/// Supplies fresh weights by key.
pub(super) struct Fresh<'a> {
    pub config: &'a VarConfig,
    pub initialisation: &'a Initialisation,
    pub device: &'a Device,
}

impl Fresh<'_> {
    /// √(1/(3·width)): the standard deviation of linear weights, embeddings and positions.
    fn deviation(&self) -> f64 {
        (1.0 / (3.0 * self.config.width as f64)).sqrt()
    }

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
        let count = shape.iter().product();
        let values = if key.ends_with("scale_mul_1H11") {
            vec![4.0_f32.ln(); count]
        } else if key.ends_with("bias") {
            vec![0.0; count]
        } else if key.ends_with("ada_gss") {
            let mut values = self.normal(key, count, (1.0 / self.config.width as f64).sqrt());
            let gates = 2 * self.config.width;
            values[..gates].iter_mut().for_each(|value| *value *= self.initialisation.gate as f32);
            values[gates..].iter_mut().for_each(|value| *value *= 0.5);
            values
        } else {
            self.normal(key, count, self.deviation())
        };
        Ok(self.tensor(values, shape))
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        let gain = match key {
            "head.weight" => 0.02,
            "head_nm.ada_lin.1.weight" => 0.5,
            _ if key.ends_with("attn.proj.weight") || key.ends_with("ffn.fc2.weight") => {
                1.0 / (2.0 * self.config.depth as f64).sqrt()
            }
            _ => 1.0,
        };
        let mut values = self.normal(key, inner * out, gain * self.deviation());
        if key.starts_with("blocks.") && key.ends_with("ada_lin.1.weight") {
            let gates = 2 * self.config.width;
            for row in values.chunks_exact_mut(out) {
                row[..gates].iter_mut().for_each(|value| *value *= self.initialisation.gate as f32);
                row[gates..].iter_mut().for_each(|value| *value *= 0.5);
            }
        }
        Ok(Weight::Plain(self.tensor(values, [inner, out])))
    }
}
