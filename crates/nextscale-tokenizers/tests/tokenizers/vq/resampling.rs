use burn::tensor::{Device, Tensor};
use nextscale_core::Grid;
use nextscale_parity::{Arithmetic, Fixtures, Setting, priors::resampled};
use nextscale_tokenizers::Resize;

use super::fixtures::floats;

#[test]
fn bicubic_and_area_agree_with_upstream_for_all_published_pairs() {
    let (device, fixtures) = (Device::flex(), Fixtures::compiled_in());
    let setting = Setting::new(&fixtures, &device, Arithmetic::F32);
    let gap = resampled(&setting).unwrap();
    assert_eq!(gap.tensors, 2 * 54);
    assert!(gap.largest <= 1e-5, "off by {:e}", gap.largest);
}

#[test]
fn axes_are_resampled_each_by_its_own_ratio() {
    let device = Device::flex();
    let x = Tensor::<4>::from_floats([[[[1.0, 3.0], [5.0, 7.0], [9.0, 11.0], [13.0, 15.0]]]], &device);
    let means = Resize::area(Grid::new(4, 2), Grid::new(2, 1), &device).apply(x.clone());
    assert_eq!(means.dims(), [1, 1, 2, 1]);
    assert_eq!(floats(means), [4.0, 12.0]);
    let up = Resize::bicubic(Grid::new(4, 2), Grid::new(4, 5), &device).apply(x);
    assert_eq!(up.dims(), [1, 1, 4, 5]);
    // Columns differ by 2 in every row, so rows of the result differ by constants.
    let values = floats(up);
    for column in 0..5 {
        assert!((values[5 + column] - values[column] - 4.0).abs() < 1e-5);
    }
}
