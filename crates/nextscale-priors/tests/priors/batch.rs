use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Grid;
use nextscale_priors::{Bilinear, Dse, Prior};

use super::support::{apply, noise};

/// Sizes on both sides of the CPU backend's thresholds for threads within a product and across images.
#[test]
fn an_image_is_the_same_to_the_bit_in_every_batch() {
    let dse = Dse::default();
    let cases: [(&dyn Prior, Grid, Grid, usize); 6] = [
        (&dse, Grid::square(1), Grid::square(2), 16),
        (&dse, Grid::new(3, 5), Grid::new(4, 7), 33),
        (&dse, Grid::square(4), Grid::square(5), 4096),
        (&dse, Grid::square(13), Grid::square(16), 1024),
        (&dse, Grid::square(24), Grid::square(32), 256),
        (&Bilinear, Grid::square(10), Grid::square(13), 2048),
    ];
    for (prior, from, to, channels) in cases {
        let (coarse, fine) = (from.positions() * channels, to.positions() * channels);
        let x = noise(3, 8 * coarse);
        let whole = apply(prior, from, to, &x, channels);
        for batch in [1, 3] {
            for (images, expected) in x.chunks_exact(batch * coarse).zip(whole.chunks_exact(batch * fine)) {
                assert!(apply(prior, from, to, images, channels) == expected, "{prior:?} {from} to {to}");
            }
        }
    }
}

#[test]
fn an_input_on_another_grid_is_refused() {
    let device = Device::flex();
    let operator = Bilinear.operator(Grid::square(2), Grid::square(3)).unwrap().to_device(&device);
    let x = Tensor::from_data(TensorData::new(vec![0.0_f32; 9], [1, 9, 1]), &device);
    let error = operator.apply(&x).unwrap_err().to_string();
    assert!(error.contains("from 2×2 to 3×3") && error.contains("[1, 9, 1]"), "{error}");
}
