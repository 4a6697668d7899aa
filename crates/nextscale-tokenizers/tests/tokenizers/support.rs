use burn::tensor::{Device, Int, Tensor};
use nextscale_weights::WeightFile;

pub fn tensor<const D: usize>(file: &WeightFile, name: &str) -> Tensor<D> {
    file.tensor(name, &Device::flex()).unwrap()
}

pub fn ints<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
    tensor.try_into_vec_as().unwrap()
}

pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// Panics unless `found` is within `tolerance` of the tensor `name`.
#[track_caller]
pub fn assert_close<const D: usize>(file: &WeightFile, name: &str, found: Tensor<D>, tolerance: f32) {
    let expected = tensor::<D>(file, name);
    assert_eq!(found.dims(), expected.dims(), "{name}");
    let (found, expected) = (floats(found), floats(expected));
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{name}: off by {worst:e}, allowed {tolerance:e}");
    assert!(found.iter().all(|x| x.is_finite()), "{name}");
}

/// Smooth images in [0, 1], all different.
pub fn images(batch: usize, side: usize) -> Tensor<4> {
    let values: Vec<f32> = (0..batch * 3 * side * side)
        .map(|i| {
            let (image, within) = (i / (3 * side * side), i % (3 * side * side));
            let phase = 0.37 * image as f32 + 0.011 * within as f32 + 0.3 * ((within / side) % side) as f32;
            0.5 + 0.5 * phase.sin()
        })
        .collect();
    let data = burn::tensor::TensorData::new(values, [batch, 3, side, side]);
    Tensor::from_data(data, &Device::flex())
}
