use std::{collections::BTreeMap, convert::Infallible, path::Path};

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use nextscale_core::{
    is_cpu,
    noise::normals,
    random::{fnv1a, mix, splitmix64},
};
use nextscale_weights::{Precision, save_safetensors};
use rayon::prelude::*;

use super::{
    config::T5Config,
    keys::Supply,
    model::{EMBEDDING, T5},
};
use crate::{Result, linear::Linear};

impl T5Config {
    /// An encoder with fresh weights, initialised as by T5's authors: standard deviations that preserve the
    /// size of linear layers' outputs, and 1 for embeddings. The seed determines every weight, the same on
    /// all devices.
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init(&self, seed: u64, device: &Device) -> Result<T5> {
        self.fresh(seed, device, false)
    }

    /// The same for encoding only, as from [`T5::load_to_encode`].
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init_to_encode(&self, seed: u64, device: &Device) -> Result<T5> {
        self.fresh(seed, device, is_cpu(device))
    }

    fn fresh(&self, seed: u64, device: &Device, packed: bool) -> Result<T5> {
        self.check()?;
        match T5::build(&mut Fresh { config: self, seed, device, packed }, self) {
            Ok(model) => Ok(model),
            Err(never) => match never {},
        }
    }
}

impl T5 {
    /// Writes a `.safetensors` file with the published keys. Its metadata has what cannot be inferred from
    /// tensors, so that it opens without a `config.json`.
    ///
    /// # Errors
    /// If writing fails, or a value does not fit f16.
    pub fn save(&self, path: impl AsRef<Path>, precision: Precision) -> Result<()> {
        Ok(save_safetensors(path, self.tensors(), precision, &self.metadata())?)
    }

    /// The header's metadata.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let config = self.config();
        [("farthest", config.farthest.to_string()), ("epsilon", config.epsilon.to_string())]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// Supplies fresh weights by key.
struct Fresh<'a> {
    config: &'a T5Config,
    seed: u64,
    device: &'a Device,
    packed: bool,
}

impl Fresh<'_> {
    fn tensor<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device))
    }

    fn normal(&self, key: &str, count: usize, deviation: f64) -> Vec<f32> {
        const PIECE: usize = 1 << 14;
        let stream = fnv1a(key) ^ mix(self.seed);
        let mut values = vec![0.0; count];
        values.par_chunks_mut(PIECE).enumerate().for_each(|(piece, values)| {
            for (pair, values) in values.chunks_mut(2).enumerate() {
                let bits = splitmix64(stream, (piece * PIECE / 2 + pair) as u64 + 1);
                let pair = normals((bits >> 32) as u32, bits as u32);
                values.iter_mut().zip(pair).for_each(|(value, x)| *value = x * deviation as f32);
            }
        });
        values
    }
}

impl Supply for Fresh<'_> {
    type Error = Infallible;

    fn gain(&mut self, _key: &str, width: usize) -> Result<Param<Tensor<1>>, Infallible> {
        Ok(self.tensor(vec![1.0; width], [width]))
    }

    fn table(&mut self, key: &str, shape: [usize; 2]) -> Result<Param<Tensor<2>>, Infallible> {
        let deviation = if key == EMBEDDING { 1.0 } else { (self.config.width as f64).powf(-0.5) };
        Ok(self.tensor(self.normal(key, shape[0] * shape[1], deviation), shape))
    }

    fn linear(&mut self, key: &str, inner: usize, out: usize) -> Result<Linear, Infallible> {
        // Scores are not divided by √head_width; the queries' weights are instead.
        let scale = if key.ends_with("SelfAttention.q.weight") { self.config.head_width } else { 1 };
        let rows = self.normal(key, inner * out, ((inner * scale) as f64).powf(-0.5));
        if self.packed {
            return Ok(Linear::lay_out(&rows, [out, inner], self.device));
        }
        let rows = Tensor::<2>::from_data(TensorData::new(rows, [out, inner]), self.device);
        // Copied: a transposed view would slow down every later product.
        let data = rows.transpose().into_data();
        Ok(Linear::Plain(Param::from_tensor(Tensor::from_data(data, self.device))))
    }
}
