//! Overflow in an autoencoder: finite weights can be so large that what is computed with them is not finite.
//! Neither colours nor nearest codes would show it.

use std::cell::RefCell;

use burn::tensor::Tensor;
use nextscale_core::{Error, Result};

/// Images clamped to [-1, 1]. What is not finite becomes NaN, which no picture is made of; a clamp turns
/// infinite values into black and white, and on some devices NaN too.
pub(crate) fn clamped(images: Tensor<4>) -> Tensor<4> {
    let broken = images.clone().is_finite().bool_not();
    images.clamp(-1.0, 1.0).mask_fill(broken, f32::NAN)
}

thread_local! {
    /// What [`unread_faults`] keeps while its work runs.
    static UNREAD: RefCell<Option<Vec<Tensor<1>>>> = const { RefCell::new(None) };
}

/// The result of work that encodes images, without waiting for their device to tell which of their features are
/// not finite: whoever reads numbers of the work anyway reads those in the list, too, each `[batch]`. Every one is
/// how many features of an image are not finite, in place of [`Error::Overflow`]; such an image has arbitrary
/// tokens.
///
/// Of this thread's encoding only.
pub fn unread_faults<R>(work: impl FnOnce() -> R) -> (R, Vec<Tensor<1>>) {
    /// Ends the list even if the work panics.
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            UNREAD.take();
        }
    }
    UNREAD.set(Some(Vec::new()));
    let _ends = Ends;
    let result = work();
    (result, UNREAD.take().unwrap_or_default())
}

/// An encoder's features `[batch, channels, h, w]`.
///
/// # Errors
/// [`Error::Overflow`] with the first image whose features are not finite: every code is as near to them as any
/// other. Inside [`unread_faults`] there is none.
pub(crate) fn encoded(features: Tensor<4>) -> Result<Tensor<4>> {
    let [batch, channels, height, width] = features.dims();
    let broken = features.clone().is_finite().bool_not().int();
    let counts = broken.reshape([batch, channels * height * width]).sum_dim(1);
    let kept = UNREAD.with_borrow_mut(|unread| match unread {
        Some(unread) => {
            unread.push(counts.clone().float().inner().reshape([batch]));
            true
        }
        None => false,
    });
    if kept {
        return Ok(features);
    }
    let counts = counts.try_into_data().map_err(|error| Error::Unsupported(error.to_string()))?;
    match counts.iter::<i64>().position(|count| count != 0) {
        Some(image) => Err(Error::overflow("encoder", image)),
        None => Ok(features),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn tensor(values: [f32; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [2, 1, 1, 2]), &Device::flex())
    }

    #[test]
    fn finite_values_are_clamped_and_others_become_nan() {
        let values = |given| clamped(tensor(given)).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(values([-1e38, -0.5, 0.25, 7.0]), [-1.0, -0.5, 0.25, 1.0]);
        let broken = values([f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.5]);
        assert!(broken[..3].iter().all(|value| value.is_nan()) && broken[3] == 0.5, "{broken:?}");
    }

    #[test]
    fn features_that_are_not_finite_name_their_image() {
        let sound = [1e38, -1e38, 0.0, 3.0];
        assert_eq!(encoded(tensor(sound)).unwrap().into_data(), tensor(sound).into_data());
        for (at, image) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = sound;
                values[at] = value;
                assert_eq!(encoded(tensor(values)).unwrap_err(), Error::overflow("encoder", image));
            }
        }
    }

    #[test]
    fn what_is_not_read_is_told_to_whoever_reads_it() {
        let broken = tensor([1.0, 2.0, f32::NAN, f32::INFINITY]);
        let (features, counts) = unread_faults(|| encoded(broken.clone()).unwrap());
        assert_eq!(features.dims(), [2, 1, 1, 2]);
        let counts: Vec<Vec<f32>> =
            counts.into_iter().map(|counts| counts.into_data().try_to_vec().unwrap()).collect();
        assert_eq!(counts, [[0.0, 2.0]]);
        // Afterwards, and after a panic, faults are errors again.
        assert!(encoded(broken.clone()).is_err());
        assert!(std::panic::catch_unwind(|| unread_faults::<()>(|| panic!("on purpose"))).is_err());
        assert!(encoded(broken).is_err());
    }
}
