use burn::tensor::Tensor;

/// `[batch, 4·channels, h, w]` to `[batch, channels, 2h, 2w]`: channel 4c + 2i + j is row i and column j of a
/// patch of c.
pub(super) fn open(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let x = x.reshape([batch, channels / 4, 2, 2, height, width]);
    x.permute([0, 1, 4, 2, 5, 3]).reshape([batch, channels / 4, 2 * height, 2 * width])
}

/// The inverse of [`open`].
pub(super) fn close(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let x = x.reshape([batch, channels, height / 2, 2, width / 2, 2]);
    x.permute([0, 1, 3, 5, 2, 4]).reshape([batch, 4 * channels, height / 2, width / 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn patches_open_row_by_row_and_close_again() {
        // Two channels on 1 × 2: channel c of column x has 100x + c.
        let values: Vec<f32> = (0..8).flat_map(|channel| [channel as f32, 100.0 + channel as f32]).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 8, 1, 2]), &Device::flex());
        let opened: Vec<i64> = open(x.clone()).int().into_data().try_into_vec_as().unwrap();
        assert_eq!(opened, [0, 1, 100, 101, 2, 3, 102, 103, 4, 5, 104, 105, 6, 7, 106, 107]);
        assert_eq!(close(open(x.clone())).into_data(), x.into_data());
    }
}
