//! What this processor computes with.

use crate::limit::{Route, VARIABLE, asked};
#[cfg(target_arch = "x86_64")]
use crate::precision::Precision;
use crate::raw::Level;
#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;

/// The routes of this processor.
fn available() -> Vec<&'static str> {
    let levels = Level::available().into_iter().map(Level::name);
    #[cfg(target_arch = "x86_64")]
    return levels.chain(MatrixUnit::exists().then_some("amx")).collect();
    #[cfg(not(target_arch = "x86_64"))]
    levels.collect()
}

/// The route of this name on a processor that has those; all of them if the name is empty.
fn chosen(name: &str, available: &[&str]) -> Result<Route, String> {
    match Route::named(name) {
        Some(route) if name.is_empty() || available.contains(&name) => Ok(route),
        known => Err(format!(
            "{VARIABLE} is `{name}`, which {}; it can be {}, or unset for the fastest",
            if known.is_some() { "this processor does not have" } else { "is no route" },
            available.join(", ")
        )),
    }
}

/// Checks the environment variable `NEXTSCALE_ROUTE`, which restricts the kernels to some instructions:
/// `portable`, `avx2`, `avx512` (with the vectors of bfloat16 numbers that the processor has) or `amx`. It is
/// read once. Kernels panic where it is unknown, and use what there is below a route that the processor lacks.
///
/// # Errors
/// If the route is unknown, or this processor does not have it.
pub fn check_route() -> Result<(), String> {
    chosen(asked(), &available()).map(|_| ())
}

/// The instructions that products and kernels use on this processor, in words: `avx512, tiles`. Processors of
/// the same route give the same bits; those of another may differ in the last digits.
pub fn route() -> String {
    let mut words = vec![Level::detected().name()];
    #[cfg(target_arch = "x86_64")]
    if MatrixUnit::detected(Precision::Whole).is_some() {
        words.push("tiles");
    } else if let Some(unit) = MatrixUnit::detected(Precision::Rounded) {
        words.push(if unit.outruns_vectors() { "bf16 vectors" } else { "slow bf16 vectors" });
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_begins_with_the_widest_vectors_that_may_be_used() {
        assert!(route().starts_with(Level::detected().name()));
        assert_eq!(route(), route());
        if Route::limit() == Route::Amx {
            assert_eq!(Level::available().last(), Some(&Level::detected()));
        }
    }

    #[test]
    fn a_route_is_refused_by_name_if_it_is_unknown_or_absent() {
        let available = ["portable", "avx2"];
        assert_eq!(chosen("", &available), Ok(Route::Amx));
        assert_eq!(chosen("avx2", &available), Ok(Route::Avx2));
        let absent = chosen("avx512", &available).unwrap_err();
        assert!(
            absent.contains("`avx512`, which this processor does not have")
                && absent.contains("portable, avx2")
        );
        let unknown = chosen("AVX2", &available).unwrap_err();
        assert!(unknown.contains("`AVX2`, which is no route"), "{unknown}");
        assert!(check_route().is_ok());
    }
}
