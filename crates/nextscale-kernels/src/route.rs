//! What this processor computes with.

#[cfg(target_arch = "x86_64")]
use crate::precision::Precision;
use crate::raw::Level;
#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;

/// The instructions that products and kernels use on this processor, in words: `avx512, tiles`. Processors of
/// the same route give the same bits; those of another may differ in the last digits.
pub fn route() -> String {
    let mut words = vec![Level::detected().name()];
    #[cfg(target_arch = "x86_64")]
    if MatrixUnit::detected(Precision::Whole).is_some() {
        words.push("tiles");
    } else if MatrixUnit::detected(Precision::Rounded).is_some() {
        words.push("bf16 vectors");
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_begins_with_the_widest_vectors() {
        assert!(route().starts_with(Level::available().last().unwrap().name()));
        assert_eq!(route(), route());
    }
}
