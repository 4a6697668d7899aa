use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData, module::embedding},
};
use nextscale_core::{Error, Grid, Result};
use nextscale_kernels::{device, matmul, sum_last};

use super::{PhiBank, Scales, VqvaeConfig};
use crate::autoencoder::empty;
use crate::positions::{map, positions};

/// Codebook and φ of the multi-scale residual quantiser.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct Quantizer {
    pub quant_resi: PhiBank,
    pub embedding: Codebook,
}

/// The codes.
#[derive(Module, Debug)]
pub struct Codebook {
    /// `[vocabulary, channels]`.
    pub weight: Param<Tensor<2>>,
}

impl Quantizer {
    pub(super) fn new(config: &VqvaeConfig, scales: usize, device: &Device) -> Self {
        let channels = config.latent_channels;
        Self {
            quant_resi: PhiBank::new(config.phi, scales, channels, config.phi_ratio, device),
            embedding: Codebook { weight: empty([config.vocabulary, channels], device) },
        }
    }

    /// What scale `k` adds to the canvas: φ of its embedding `[batch, channels, h, w]` at full size.
    pub fn residual(&self, embedding: Tensor<4>, k: usize, scales: &Scales) -> Tensor<4> {
        self.quant_resi.forward(scales.up(k).apply(embedding), scales.phi(k))
    }

    /// The tokens of every scale, `[batch, h·w]`, for features f `[batch, channels, H, W]` on the last grid.
    pub fn encode(&self, f: Tensor<4>, scales: &Scales) -> Vec<Tensor<2, Int>> {
        let mut rest = f;
        (0..scales.len())
            .map(|k| {
                let tokens = self.embedding.nearest(positions(scales.down(k).apply(rest.clone())));
                let embedding = self.embedding.embed(tokens.clone(), scales.schedule().grid(k));
                rest = rest.clone() - self.residual(embedding, k, scales);
                tokens
            })
            .collect()
    }
}

impl Codebook {
    /// The code nearest to each vector of z `[batch, positions, channels]`, the first of equals: the least
    /// |z|² + |e|² - 2 z·e, as upstream sums it.
    pub fn nearest(&self, z: Tensor<3>) -> Tensor<2, Int> {
        let codes = self.weight.val().inner();
        let z = z.inner();
        let [vocabulary, channels] = codes.dims();
        let [batch, positions, _] = z.dims();
        if let Some(found) = device::nearest(&z.clone().reshape([batch * positions, channels]), &codes) {
            return found.int().reshape([batch, positions]);
        }
        let squares = sum_last(codes.clone().square()).reshape([1, 1, vocabulary]);
        let products = matmul(z.clone(), codes.transpose().unsqueeze::<3>());
        let distances = sum_last(z.square()) + squares - products * 2.0;
        distances.argmin(2).squeeze_dim(2)
    }

    /// The codes of `tokens` `[batch, h·w]` as a map `[batch, channels, h, w]`.
    pub fn embed(&self, tokens: Tensor<2, Int>, grid: Grid) -> Tensor<4> {
        map(embedding(self.weight.val(), tokens), grid)
    }

    /// The mix of codes by `weights` `[batch, h·w, vocabulary]` as a map `[batch, channels, h, w]`.
    pub fn mix(&self, weights: Tensor<3>, grid: Grid) -> Tensor<4> {
        map(matmul(weights, self.weight.val().unsqueeze::<3>()), grid)
    }

    /// Replaces the codes `indices`, which are no longer used, by `values` `[n, channels]`. The
    /// caller must reset an optimiser's state for them.
    ///
    /// # Errors
    /// If the shapes do not fit or an index is beyond the vocabulary.
    pub fn restart(&mut self, indices: &[usize], values: Tensor<2>) -> Result<()> {
        let [vocabulary, channels] = self.weight.dims();
        if values.dims() != [indices.len(), channels] {
            let expected = format!("[{}, {channels}]", indices.len());
            return Err(Error::shape("the values of restarted codes", expected, &values.dims()));
        }
        if let Some(index) = indices.iter().find(|&&index| index >= vocabulary) {
            return Err(Error::setting("code", format!("{index}; the codes are 0 to {}", vocabulary - 1)));
        }
        // Row by row either the code or its new value: numbers are only copied, and none of them is read.
        let mut rows: Vec<i64> = (0..vocabulary as i64).collect();
        indices.iter().enumerate().for_each(|(i, &index)| rows[index] = (vocabulary + i) as i64);
        let codes = Tensor::cat(vec![self.weight.val().inner(), values.inner()], 0);
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [vocabulary]), &codes.device());
        let fresh = codes.select(0, rows);
        let weight = self.weight.clone();
        let fresh = if weight.val().is_autodiff() { fresh.autodiff() } else { fresh };
        let id = weight.id;
        self.weight = weight.transform_for_load(fresh, id);
        Ok(())
    }
}
