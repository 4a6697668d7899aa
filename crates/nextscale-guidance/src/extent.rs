use burn::tensor::{DType, Tensor};
use nextscale_core::{LogitMap, Result};
use nextscale_kernels::{mean_last, sum_last};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The logits over which one size, angle or deviation is taken.
///
/// In every case, each choice's logits are first centred: adding a number to all of them does not change
/// their meaning, so a size that depended on it would say nothing about the distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Extent {
    /// All positions and channels of an image, as for latents in the diffusion papers.
    #[default]
    Image,
    /// The channels of a position, separately for each position.
    Position,
}

impl Extent {
    /// The inner product of two maps of [`centred`] logits as a mean over positions: `[batch, 1, 1]`, or
    /// `[batch, h·w, 1]` if each position is separate.
    ///
    /// A mean, so that one threshold on a norm serves coarse and fine grids.
    pub(crate) fn dot(self, a: &Tensor<3>, b: &Tensor<3>) -> Tensor<3> {
        let positions = sum_last(a.clone() * b.clone());
        match self {
            Self::Image => positions.mean_dim(1),
            Self::Position => positions,
        }
    }
}

/// Logits minus the mean of their choice, `[batch, h·w, channels]` in f32.
pub(crate) fn centred(map: &LogitMap) -> Tensor<3> {
    let shape = map.values().dims();
    let rows = choices(map);
    let mean = mean_last(rows.clone());
    (rows - mean).reshape(shape)
}

/// Every choice's logits as a separate row, `[batch, h·w·slots, classes]` in f32.
pub(crate) fn choices(map: &LogitMap) -> Tensor<3> {
    let [batch, positions, _] = map.values().dims();
    let alphabet = map.alphabet();
    // Sums over thousands of half-precision logits would be useless.
    map.values().clone().cast(DType::F32).reshape([batch, positions * alphabet.slots, alphabet.classes])
}

/// a / b, or `otherwise` where b is 0.
pub(crate) fn ratio(a: Tensor<3>, b: Tensor<3>, otherwise: f32) -> Tensor<3> {
    let none = b.clone().equal_elem(0.0);
    (a / b).mask_fill(none, otherwise)
}

/// a·c + b·u, with factors of an [`Extent`]: `[batch, 1, 1]` or `[batch, h·w, 1]`, in f32.
///
/// # Errors
/// If the maps are not on one grid.
pub(crate) fn combined(c: &LogitMap, a: Tensor<3>, u: &LogitMap, b: Tensor<3>) -> Result<LogitMap> {
    let dtype = c.values().dtype();
    c.with_values(c.values().clone() * a.cast(dtype) + u.values().clone() * b.cast(dtype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use nextscale_core::{Alphabet, Grid};

    fn map(values: Vec<f32>, alphabet: Alphabet) -> LogitMap {
        let positions = values.len() / alphabet.channels();
        let values = TensorData::new(values, [1, positions, alphabet.channels()]);
        LogitMap::new(Tensor::from_data(values, &Device::flex()), Grid::new(1, positions), alphabet).unwrap()
    }

    fn host(tensor: Tensor<3>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn every_choice_is_centred_by_itself() {
        let bits = map(vec![1.0, 3.0, 10.0, 20.0], Alphabet::bits(2));
        assert_eq!(host(centred(&bits)), [-1.0, 1.0, -5.0, 5.0]);
        let codes = map(vec![1.0, 3.0, 10.0, 20.0], Alphabet::codes(4));
        assert_eq!(host(centred(&codes)), [-7.5, -5.5, 1.5, 11.5]);
    }

    #[test]
    fn an_image_s_product_is_the_mean_of_its_positions() {
        let codes = centred(&map(vec![1.0, 3.0, 10.0, 20.0], Alphabet::codes(2)));
        assert_eq!(host(Extent::Position.dot(&codes, &codes)), [2.0, 50.0]);
        assert_eq!(host(Extent::Image.dot(&codes, &codes)), [26.0]);
    }

    #[test]
    fn a_ratio_to_nothing_is_what_is_said() {
        let tensor = |values: [f32; 2]| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, 2, 1]), &Device::flex())
        };
        assert_eq!(host(ratio(tensor([0.0, 3.0]), tensor([0.0, 2.0]), 1.0)), [1.0, 1.5]);
    }
}
