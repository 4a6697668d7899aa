//! What this processor computes with.

use crate::limit::{Limit, VARIABLE, asked};
#[cfg(target_arch = "x86_64")]
use crate::precision::Precision;
use crate::raw::Level;
#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;

/// The routes of this processor.
fn available() -> Vec<&'static str> {
    let levels: Vec<&str> = Level::available().into_iter().map(Level::name).collect();
    #[cfg(target_arch = "x86_64")]
    let levels = {
        let fused = levels.contains(&"avx2").then_some("fma");
        levels.into_iter().chain(MatrixUnit::exists().then_some("amx")).chain(fused).collect()
    };
    levels
}

/// What may be used where this name is asked for, on a processor that has those; everything if the name is empty.
fn chosen(name: &str, available: &[&str]) -> Result<Limit, String> {
    // The form for tests needs what `fma` needs.
    let needed = name.strip_suffix("-avx2").unwrap_or(name);
    match Limit::named(name) {
        Some(limit) if name.is_empty() || available.contains(&needed) => Ok(limit),
        known => Err(format!(
            "{VARIABLE} is `{name}`, which {}; it can be {}, or unset for the fastest",
            if known.is_some() { "this processor does not have" } else { "is not a route" },
            available.join(", ")
        )),
    }
}

/// Checks the environment variable `NEXTSCALE_ROUTE`, which restricts the kernels to some instructions:
/// `portable`, `avx2`, `avx512` (with the vectors of bfloat16 numbers that the processor has) or `amx`; or to
/// `fma`, whose results are the same on every x86-64 processor with FMA ([`is_fixed`]). It is read once. Kernels
/// panic where it is unknown, and use what there is below a route that the processor lacks.
///
/// # Errors
/// If the route is unknown, or this processor does not have it.
pub fn check_route() -> Result<(), String> {
    chosen(asked(), &available()).map(|_| ())
}

/// Whether results must be the same on every x86-64 processor with FMA: `NEXTSCALE_ROUTE=fma`. The kernels of this
/// crate then use vectors only, of whatever length, and sum in one order; [`matmul`](crate::matmul),
/// [`sum_last`](crate::sum_last), [`mean_last`](crate::mean_last), [`exp`](crate::exp) and
/// [`log_softmax`](crate::log_softmax) take the place of burn's operations, which sum in an order that depends on the
/// processor, or call the C library.
pub fn is_fixed() -> bool {
    Limit::get().fixed
}

/// The name of the route, as `NEXTSCALE_ROUTE` takes it: `amx`, `avx512`, `avx2`, `portable` or `fma`. Results of
/// one route are compared and continued; those of another differ in the last digits. With `rounded`, that of
/// products of numbers rounded to bfloat16, which may be `avx512-bf16` too: AVX-512 with products of pairs.
pub fn arithmetic(rounded: bool) -> &'static str {
    if is_fixed() {
        return "fma";
    }
    #[cfg(target_arch = "x86_64")]
    if MatrixUnit::detected(Precision::Whole).is_some() {
        return "amx";
    } else if rounded && MatrixUnit::detected(Precision::Rounded).is_some_and(MatrixUnit::outruns_vectors) {
        return "avx512-bf16";
    }
    let _ = rounded;
    Level::detected().name()
}

/// The instructions that products and kernels use on this processor, in words: `avx512, tiles`, `fma, avx512`.
pub fn route() -> String {
    let mut words = vec![Level::detected().name()];
    if is_fixed() {
        words.insert(0, "fma");
    }
    #[cfg(target_arch = "x86_64")]
    if MatrixUnit::detected(Precision::Whole).is_some() {
        words.push("tiles");
    } else if let Some(unit) = MatrixUnit::detected(Precision::Rounded) {
        words.push(if unit.outruns_vectors() { "bf16 vectors" } else { "slow bf16 vectors" });
    }
    words.join(", ")
}

/// For tests: says that one needs what this processor lacks, or may not use: `amx`, `avx512`, `bf16` or `fma`.
///
/// # Panics
/// If the environment variable `NEXTSCALE_REQUIRE` names it: on a processor that should have it, nothing is skipped.
pub fn skip_test(part: &str) {
    eprintln!("skipped: no {part} on this route ({})", route());
    let required = std::env::var("NEXTSCALE_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == part),
        "NEXTSCALE_REQUIRE is `{required}`: no {part} here"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Instructions;

    #[test]
    fn the_route_names_the_widest_vectors_that_may_be_used() {
        assert!(route().split(", ").any(|word| word == Level::detected().name()));
        assert_eq!(route().starts_with("fma"), is_fixed());
        if Limit::get().most == Instructions::Amx {
            assert_eq!(Level::available().last().map(|level| level.name()), Some(Level::detected().name()));
        }
    }

    #[test]
    fn what_the_arithmetic_is_called_asks_for_it() {
        let name = arithmetic(false);
        assert!(available().contains(&name) && Limit::named(name).is_some(), "{name}");
        let rounded = arithmetic(true);
        assert!([name, "avx512-bf16"].contains(&rounded), "{rounded}");
        // Everything but the unit is on vectors.
        assert!(name == "amx" || is_fixed() || name == Level::detected().name());
    }

    #[test]
    fn a_route_is_refused_by_name_if_it_is_unknown_or_absent() {
        let available = ["portable", "avx2", "fma"];
        let most = |name| chosen(name, &available).map(|limit| (limit.most, limit.fixed));
        assert_eq!(most(""), Ok((Instructions::Amx, false)));
        assert_eq!(most("avx2"), Ok((Instructions::Avx2, false)));
        assert_eq!(most("fma"), Ok((Instructions::Avx512, true)));
        assert_eq!(most("fma-avx2"), Ok((Instructions::Avx2, true)));
        let absent = chosen("avx512", &available).unwrap_err();
        assert!(
            absent.contains("`avx512`, which this processor does not have")
                && absent.contains("portable, avx2, fma")
        );
        assert!(chosen("fma", &available[..1]).unwrap_err().contains("does not have"));
        let unknown = chosen("AVX2", &available).unwrap_err();
        assert!(unknown.contains("`AVX2`, which is not a route"), "{unknown}");
        assert!(check_route().is_ok());
    }
}
