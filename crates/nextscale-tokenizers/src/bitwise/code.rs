//! Bits, and the corners of the unit sphere that they denote.

use burn::tensor::{Bool, Tensor};

/// The bit of every channel of `z` `[batch, bits, h, w]`: whether it is positive. Normalising z first, as
/// upstream does, changes no sign.
pub(super) fn bits(z: Tensor<4>) -> Tensor<4, Bool> {
    z.greater_elem(0.0)
}

/// The codes of bits `[batch, bits, h, w]`, which may lie between 0 and 1: (2·bit - 1)/√d.
pub(super) fn codes(bits: Tensor<4>) -> Tensor<4> {
    let [_, channels, ..] = bits.dims();
    let corner = (channels as f64).sqrt().recip();
    bits * (2.0 * corner) - corner
}

/// `z` `[batch, channels, h, w]` with the channels of every position normalised to length 1.
pub(super) fn normalised(z: Tensor<4>) -> Tensor<4> {
    let length = z.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    z / length
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn codes_are_corners_of_the_unit_sphere_and_zero_is_no_bit() {
        let z = [0.0f32, -0.0, 1e-30, -2.0, 3.0];
        let z = Tensor::<4>::from_data(TensorData::new(z.to_vec(), [1, 5, 1, 1]), &Device::flex());
        let bits = bits(z);
        assert_eq!(bits.clone().into_data().try_to_vec::<bool>().unwrap(), [false, false, true, false, true]);
        let codes: Vec<f32> = codes(bits.float()).into_data().try_to_vec().unwrap();
        let corner = 5.0f32.sqrt().recip();
        for (code, sign) in codes.iter().zip([-1.0, -1.0, 1.0, -1.0, 1.0]) {
            assert!((code - sign * corner).abs() < 1e-7);
        }
    }

    #[test]
    fn a_position_of_zeros_stays_zero() {
        let zeros = Tensor::<4>::zeros([1, 3, 1, 2], &Device::flex());
        assert_eq!(normalised(zeros.clone()).into_data(), zeros.into_data());
    }
}
