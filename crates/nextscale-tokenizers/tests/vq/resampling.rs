use burn::tensor::{Device, Tensor};
use nextscale_core::Grid;
use nextscale_tokenizers::vq::Resize;

use crate::fixtures::{assert_close, file, floats, tensor};

#[test]
fn bicubic_and_area_agree_with_upstream_for_all_published_pairs() {
    let file = file("interpolate.safetensors");
    let device = Device::flex();
    let mut pairs = 0;
    for name in file.names() {
        let Some((kind, sides)) = name.split_once('.') else { continue };
        let Some((from, to)) = sides.split_once("to") else { continue };
        let (from, to) = (Grid::square(from.parse().unwrap()), Grid::square(to.parse().unwrap()));
        let resize = match kind {
            "bicubic" => Resize::bicubic(from, to, &device),
            "area" => Resize::area(from, to, &device),
            _ => continue,
        };
        let x = tensor::<4>(&file, &format!("in.{}", from.height));
        assert_close(&file, name, resize.apply(x), 1e-5);
        pairs += 1;
    }
    assert!(pairs > 100, "{pairs} pairs");
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
