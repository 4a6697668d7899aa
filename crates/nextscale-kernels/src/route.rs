//! What this processor computes with, and the environment variable that restricts it.

use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
use crate::precision::Precision;
use crate::raw::Level;
#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;

/// Restricts the kernels to some instructions: `portable`, `avx2`, `avx512` or `amx`, each with all before it.
/// Without it the processor's best are used. Products that faer computes choose their own.
const VARIABLE: &str = "NEXTSCALE_ROUTE";

/// The routes, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    Portable,
    Avx2,
    Avx512,
    Amx,
}

impl Route {
    const ALL: [(&str, Self); 4] =
        [("portable", Self::Portable), ("avx2", Self::Avx2), ("avx512", Self::Avx512), ("amx", Self::Amx)];

    /// Those of this processor.
    fn available() -> Vec<&'static str> {
        let levels = Level::available().into_iter().map(Level::name);
        #[cfg(target_arch = "x86_64")]
        return levels.chain(MatrixUnit::exists().then_some("amx")).collect();
        #[cfg(not(target_arch = "x86_64"))]
        levels.collect()
    }

    /// The most that may be used.
    ///
    /// # Panics
    /// If [`check_route`] fails.
    pub fn limit() -> Self {
        match &*CHOSEN {
            Ok(route) => *route,
            Err(message) => panic!("{message}"),
        }
    }
}

static CHOSEN: LazyLock<Result<Route, String>> = LazyLock::new(|| {
    let value = std::env::var_os(VARIABLE).unwrap_or_default();
    chosen(&value.to_string_lossy(), &Route::available())
});

/// The route of this name on a processor that has those; all of them if the name is empty.
fn chosen(name: &str, available: &[&str]) -> Result<Route, String> {
    if name.is_empty() {
        return Ok(Route::Amx);
    }
    match Route::ALL.iter().find(|(known, _)| *known == name) {
        Some(&(_, route)) if available.contains(&name) => Ok(route),
        known => Err(format!(
            "{VARIABLE} is `{name}`, which {}; it can be {}, or unset for the fastest",
            if known.is_some() { "this processor does not have" } else { "is no route" },
            available.join(", ")
        )),
    }
}

/// Checks the environment variable `NEXTSCALE_ROUTE`, which restricts the kernels to some instructions:
/// `portable`, `avx2`, `avx512` (with the vectors of bfloat16 numbers that the processor has) or `amx`. It is
/// read once. Kernels panic where this fails.
///
/// # Errors
/// If the route is unknown, or this processor does not have it.
pub fn check_route() -> Result<(), String> {
    CHOSEN.clone().map(|_| ())
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
