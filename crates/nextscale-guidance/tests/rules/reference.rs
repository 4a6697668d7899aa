//! Numbers from another implementation: diffusers 0.35.1's `normalized_guidance` (with its original
//! formulation, image by image, or position by position) and `rescale_noise_cfg`, run in PyTorch 2.15 on the
//! logits below. These have mean 0 over each choice, for which both agree on norms and deviations; diffusers'
//! norm of an image is ours times √4, for its four positions.

use std::sync::Arc;

use nextscale_core::ScaleSchedule;
use nextscale_guidance::{Apg, Cfg, Conditional, Extent, Guidance, Rescale};

use super::support::{Generation, assert_near, random};

#[rustfmt::skip]
const APG_IMAGE: [f32; 24] = [
    -2.066969, 0.084832, 1.982137, 2.674604, -0.310288, -2.364316, -1.237499, 0.371555, 0.865944, -1.08809, -0.354315,
    1.442406, 2.64562, 0.261629, -2.907248, -1.952335, -0.07197, 2.024304, -0.065222, -0.300829, 0.366051, 1.631392,
    0.64975, -2.281142,
];

#[rustfmt::skip]
const APG_POSITION: [f32; 24] = [
    -0.475649, -1.369597, 1.845246, 1.732681, -0.877196, -0.855485, -2.116108, 1.678744, 0.437364, -0.396296, -1.757435,
    2.153732, 0.952748, 0.664642, -1.61739, -2.049926, 1.609035, 0.440891, -0.614524, -0.657825, 1.272349, 0.418251,
    1.73525, -2.153501,
];

#[rustfmt::skip]
const RESCALED: [f32; 24] = [
    -2.20827, 0.173937, 2.034333, 2.933306, -0.281722, -2.651584, -1.311002, 0.242612, 1.06839, -1.298471, -0.230449,
    1.52892, 2.838531, 0.255898, -3.094429, -1.998522, -0.127066, 2.125587, -0.228605, -0.236327, 0.464932, 1.853409,
    0.632022, -2.485431,
];

/// Two images of 2 × 2 positions and three codes: 2·sin(0.7·i + 0.3) and 1.5·cos(1.3·i), each position less
/// its mean.
fn generation() -> Generation {
    let centred = |value: fn(f64) -> f64| -> Vec<f32> {
        let values: Vec<f64> = (0..24).map(|i| value(f64::from(i))).collect();
        let position = |position: &[f64]| {
            let mean = position.iter().sum::<f64>() / 3.0;
            position.iter().map(|value| (value - mean) as f32).collect::<Vec<_>>()
        };
        values.chunks(3).flat_map(position).collect()
    };
    let mut generation = random(&ScaleSchedule::square(&[2]).unwrap(), 2, 0);
    generation.conditional[0] = centred(|i| 2.0 * (0.7 * i + 0.3).sin());
    generation.unconditional[0] = centred(|i| 1.5 * (1.3 * i).cos());
    generation
}

#[test]
fn adaptive_projected_guidance_gives_diffusers_numbers() {
    let apg = Apg { parallel: 0.5, norm: Some(1.0), ..Apg::new(2.5).unwrap() };
    assert_near(&generation().guided(&apg).unwrap(), &[APG_IMAGE.to_vec()], 2e-6);
    let apg = Apg { over: Extent::Position, ..Apg::new(2.5).unwrap() };
    assert_near(&generation().guided(&apg).unwrap(), &[APG_POSITION.to_vec()], 2e-6);
}

#[test]
fn guidance_rescale_gives_diffusers_numbers() {
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(2.0).unwrap());
    let rescale = Rescale::new(Arc::new(Conditional), cfg, 0.7, Extent::Image).unwrap();
    assert_near(&generation().guided(&rescale).unwrap(), &[RESCALED.to_vec()], 2e-6);
}
