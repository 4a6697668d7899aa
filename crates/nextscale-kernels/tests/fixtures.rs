//! Against recorded PyTorch results.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_kernels as kernels;
use safetensors::SafeTensors;

fn with_fixture(test: impl Fn(&dyn Fn(&str) -> TensorData)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/var/modules.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    test(&|name| {
        let view = file.tensor(name).unwrap();
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        TensorData::new(values, view.shape().to_vec())
    });
}

fn close<const D: usize>(got: Tensor<D>, expected: TensorData, tolerance: f32) {
    let (got, expected) =
        (got.into_data().try_to_vec::<f32>().unwrap(), expected.try_to_vec::<f32>().unwrap());
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance, "at {i}: {got} for {expected}");
    }
}

#[test]
fn gelu_is_pytorchs_tanh_form() {
    with_fixture(|fixture| {
        let x = Tensor::<1>::from_data(fixture("gelu_tanh.in"), &Device::flex());
        close(kernels::gelu_tanh(x), fixture("gelu_tanh.out"), 1e-6);
    });
}

#[test]
fn a_residual_block_of_these_kernels_is_upstreams() {
    with_fixture(|fixture| {
        let device = Device::flex();
        let matrix = |name: &str| Tensor::<4>::from_data(fixture(&format!("resnet_32_32.w.{name}")), &device);
        let vector = |name: &str| Tensor::<1>::from_data(fixture(&format!("resnet_32_32.w.{name}")), &device);
        let x = Tensor::<4>::from_data(fixture("resnet_32_32.in"), &device);
        let mut y = x.clone();
        for i in [1, 2] {
            let norm = |part: &str| vector(&format!("norm{i}.{part}"));
            y = kernels::group_norm_silu(y, norm("weight"), norm("bias"), 32, 1e-6);
            let weight = matrix(&format!("conv{i}.weight"));
            y = kernels::conv2d_3x3(y, weight, Some(vector(&format!("conv{i}.bias"))));
        }
        close(x + y, fixture("resnet_32_32.out"), 1e-5);
    });
}
