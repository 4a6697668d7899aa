use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use nextscale_core::{Dtype, Error, Result};

use super::{config::InfinityConfig, model::Infinity};
use crate::transformer::{
    Initialisation, Weight,
    fresh::normal,
    keys::{Architecture, Supply},
    laid_out, to_train,
};

impl InfinityConfig {
    /// A model with fresh weights, as at the start of upstream's training. Together with
    /// [`published`](Self::published) and [`Infinity::save`] this creates a random checkpoint of an official
    /// size under upstream's keys.
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init(&self, initialisation: &Initialisation, device: &Device) -> Result<Infinity> {
        self.check()?;
        self.build(&mut Fresh { config: self, initialisation, device })
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
    ) -> Result<Infinity> {
        self.check()?;
        to_train::build(Fresh { config: self, initialisation, device }, self, device, dtype)
    }

    /// The same model for generation only, as from [`Infinity::load_to_generate`].
    ///
    /// # Errors
    /// If the sizes are invalid, or the processor or the device does not support the precision.
    pub fn init_to_generate(
        &self,
        initialisation: &Initialisation,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Infinity> {
        self.check()?;
        laid_out::build(Fresh { config: self, initialisation, device }, self, device, dtype)
    }
}

impl InfinityConfig {
    /// The tensors of [`init`](Self::init) under upstream's keys, created one at a time: no model is held, so
    /// a large model's file can be written with little memory.
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn fresh_tensors(
        &self,
        initialisation: &Initialisation,
    ) -> Result<impl Iterator<Item = (String, TensorData)> + use<>> {
        self.check()?;
        let (config, initialisation) = (self.clone(), *initialisation);
        let shapes: Vec<(String, Vec<usize>)> =
            self.expected().iter().map(|(key, shape)| (key.into(), shape.to_vec())).collect();
        Ok(shapes.into_iter().map(move |(key, shape)| {
            let fresh = Fresh { config: &config, initialisation: &initialisation, device: &Device::flex() };
            let values = match *shape {
                [out, inner] if key.ends_with(".weight") && key != "lvl_embed.weight" => {
                    let values = fresh.matrix_values(&key, inner, out);
                    (0..out * inner).map(|i| values[i % inner * out + i / inner]).collect()
                }
                _ => fresh.param_values(&key, shape.iter().product()),
            };
            (key, TensorData::new(values, shape))
        }))
    }
}

/// Supplies fresh weights by key.
struct Fresh<'a> {
    config: &'a InfinityConfig,
    initialisation: &'a Initialisation,
    device: &'a Device,
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

/// Upstream's factor for the weights that produce scales and shifts.
const MODULATION: f32 = 1e-3;

impl Fresh<'_> {
    fn param_values(&self, key: &str, count: usize) -> Vec<f32> {
        let width = self.config.width;
        if key.ends_with("scale_mul_1H11") {
            vec![4.0_f32.ln(); count]
        } else if key.ends_with("norm.weight") {
            vec![1.0; count]
        } else if key.ends_with("bias") {
            vec![0.0; count]
        } else if key == "cfg_uncond" {
            self.normal(key, count, 1.2 / (self.config.text_width as f64).sqrt())
        } else if key.ends_with("ada_gss") {
            let mut values = self.normal(key, count, (1.0 / width as f64).sqrt());
            let (gates, rest) = values.split_at_mut(2 * width);
            gates.iter_mut().for_each(|value| *value *= self.initialisation.gate as f32);
            rest.iter_mut().for_each(|value| *value *= MODULATION);
            values
        } else {
            self.normal(key, count, self.deviation())
        }
    }

    /// Values `[inner, out]`.
    fn matrix_values(&self, key: &str, inner: usize, out: usize) -> Vec<f32> {
        let ends = ["sa.proj.weight", "ca.proj.weight", "ffn.fc2.weight"];
        let gain = match key {
            "head.weight" => 0.02,
            "head_nm.ada_lin.1.weight" => f64::from(MODULATION),
            // The last layers of a block.
            _ if key.starts_with("block") && ends.iter().any(|end| key.ends_with(end)) => {
                1.0 / (2.0 * self.config.depth as f64).sqrt()
            }
            _ => 1.0,
        };
        self.normal(key, inner * out, gain * self.deviation())
    }
}

impl Supply for Fresh<'_> {
    type Error = Error;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        Ok(self.tensor(self.param_values(key, shape.iter().product()), shape))
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        Ok(Weight::Plain(self.tensor(self.matrix_values(key, inner, out), [inner, out])))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nextscale_core::ScaleSchedule;

    use super::*;

    #[test]
    fn fresh_weights_follow_the_recipe_and_the_seed() {
        let config = InfinityConfig {
            text_width: 96,
            text_rows: 40,
            pool_heads: 2,
            ..InfinityConfig::new([2, 96, 4], 8, ScaleSchedule::square(&[1, 2]).unwrap())
        };
        let start = Initialisation { seed: 3, gate: 0.1 };
        let tensors = |start: &Initialisation| -> BTreeMap<String, TensorData> {
            config.init(start, &Device::flex()).unwrap().tensors().collect()
        };
        let ours = tensors(&start);
        assert_eq!(ours, tensors(&start));
        assert_eq!(ours, config.fresh_tensors(&start).unwrap().collect());
        assert_ne!(ours["head.weight"], tensors(&Initialisation { seed: 4, ..start })["head.weight"]);
        let deviation = |key: &str, from: usize, to: usize| {
            let values: Vec<f32> = ours[key].iter::<f32>().collect();
            let part = &values[from..to];
            (part.iter().map(|v| f64::from(v * v)).sum::<f64>() / part.len() as f64).sqrt()
        };
        let expect = |key: &str, expected: f64| {
            let found = deviation(key, 0, ours[key].num_elements());
            assert!((found / expected - 1.0).abs() < 0.15, "{key}: {found} for {expected}");
        };
        let base = (1.0_f64 / (3.0 * 96.0)).sqrt();
        expect("cfg_uncond", 1.2 / 96.0_f64.sqrt());
        expect("lvl_embed.weight", base);
        expect("text_proj_for_sos.ca.mat_kv.weight", base);
        expect("text_proj_for_sos.ca.proj.weight", base);
        expect("shared_ada_lin.1.weight", base);
        expect("head.weight", 0.02 * base);
        expect("head_nm.ada_lin.1.weight", 1e-3 * base);
        for end in ["sa.proj", "ca.proj", "ffn.fc2"] {
            expect(&format!("block_chunks.1.module.0.{end}.weight"), base / 2.0);
        }
        let gates = deviation("block_chunks.0.module.0.ada_gss", 0, 192);
        assert!((gates * 96.0_f64.sqrt() / 0.1 - 1.0).abs() < 0.15, "{gates}");
        let rest = deviation("block_chunks.0.module.0.ada_gss", 192, 576);
        assert!((rest * 96.0_f64.sqrt() / 1e-3 - 1.0).abs() < 0.15, "{rest}");
        for (key, value) in
            [("text_norm.weight", 1.0), ("block_chunks.0.module.0.ca_norm.weight", 1.0), ("head.bias", 0.0)]
        {
            assert!(ours[key].iter::<f32>().all(|found| found == value), "{key}");
        }
    }
}
