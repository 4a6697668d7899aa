//! Detects logits from which nothing can be drawn.

use burn::tensor::Tensor;
use nextscale_core::{Error, LogitMap, Result, is_cpu};
use nextscale_kernels::{categorical, device};
use rayon::prelude::*;

use crate::host::{Floats, floats};

/// Finds NaN, +inf, and rows that are entirely -inf (a rule may mask classes with -inf, but not a whole row).
///
/// On the CPU the fault is found at its scale. On other devices, reading a flag would stall the loop at every
/// scale, so flags stay on the device until [`FiniteCheck::finish`].
#[derive(Default)]
pub(crate) struct FiniteCheck {
    /// Of each scale, as many for every image.
    flags: Vec<Tensor<1>>,
}

fn fault(scale: usize, image: u64) -> Error {
    Error::NonFinite {
        what: "logits".into(),
        scale,
        image,
        remedy: "lower the guidance strength, or check the checkpoint with `nextscale inspect`".into(),
    }
}

impl FiniteCheck {
    /// Checks the guided logits of a scale.
    pub fn look(&mut self, logits: &LogitMap, scale: usize, images: &[u64]) -> Result<()> {
        if is_cpu(&logits.values().device()) {
            let classes = logits.alphabet().classes;
            let values = Floats::of(logits.values().clone())?;
            let of_images = values.par_chunks(values.len() / images.len().max(1));
            let faulty =
                of_images.position_first(|values| !values.chunks(classes).all(categorical::is_drawable));
            if let Some(image) = faulty {
                return Err(fault(scale, images[image]));
            }
        } else {
            self.flags.push(flags(logits));
        }
        Ok(())
    }

    /// Reads the flags that are still on the device.
    pub fn finish(self, images: &[u64]) -> Result<()> {
        if self.flags.is_empty() {
            return Ok(());
        }
        let counts: Vec<usize> = self.flags.iter().map(|flags| flags.dims()[0]).collect();
        let flags = floats(Tensor::cat(self.flags, 0))?;
        let mut rest = flags.as_slice();
        for (scale, count) in counts.into_iter().enumerate() {
            let (flags, later) = rest.split_at(count);
            if let Some(at) = flags.iter().position(|&flag| flag != 0.0) {
                return Err(fault(scale, images[at / (count / images.len())]));
            }
            rest = later;
        }
        Ok(())
    }
}

/// More than 0 where there is a fault, as many for every image.
fn flags(logits: &LogitMap) -> Tensor<1> {
    let [batch, positions, _] = logits.values().dims();
    let alphabet = logits.alphabet();
    let rows = batch * positions * alphabet.slots;
    let values = logits.values().clone().reshape([rows, alphabet.classes]);
    if let Some(faults) = device::faults(&values) {
        return faults.reshape([rows]);
    }
    let nan = values.clone().is_nan().int().sum_dim(1);
    let unusable = values.max_dim(1).is_finite().bool_not().int();
    (nan + unusable).reshape([batch, positions * alphabet.slots]).sum_dim(1).float().reshape([batch])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use nextscale_core::{Alphabet, Grid};

    fn map(fault: &[(usize, f32)]) -> LogitMap {
        let mut values = vec![0.5f32; 3 * 4 * 2];
        fault.iter().for_each(|&(at, value)| values[at] = value);
        let values = Tensor::<3>::from_data(TensorData::new(values, [3, 4, 2]), &Device::flex());
        LogitMap::new(values, Grid::square(2), Alphabet::codes(2)).unwrap()
    }

    #[test]
    fn both_routes_name_scale_and_image() {
        let faults: [&[(usize, f32)]; 4] = [
            &[(13, f32::NAN)],
            &[(12, f32::INFINITY)],
            &[(14, f32::NEG_INFINITY), (15, f32::NEG_INFINITY)],
            &[(12, f32::NAN), (13, f32::NAN)],
        ];
        for fault in faults {
            let host = FiniteCheck::default().look(&map(fault), 1, &[7, 8, 9]).unwrap_err();
            let device = FiniteCheck { flags: vec![flags(&map(&[])), flags(&map(fault))] };
            assert_eq!(device.finish(&[7, 8, 9]).unwrap_err(), host);
            assert!(host.to_string().contains("logits at scale 1 of image 8 are not finite"), "{host}");
        }
    }

    #[test]
    fn a_masked_class_is_no_fault() {
        let logits = map(&[(3, f32::NEG_INFINITY)]);
        FiniteCheck::default().look(&logits, 0, &[0, 1, 2]).unwrap();
        FiniteCheck { flags: vec![flags(&logits)] }.finish(&[0, 1, 2]).unwrap();
    }
}
