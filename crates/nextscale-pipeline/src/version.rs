//! Identifies the program that wrote something which may be resumed later.

/// Raise this by one with every change after which the same config may give other results, even in the last
/// digit: another order of summation in a kernel, another sampler, another decoder.
///
/// Images, cells of ablations and calibrations that were begun under another number are not resumed, so that
/// no folder mixes the results of two programs.
pub const RESULTS: u32 = 7;

/// The program's version and results number, as in `0.1.0, results 1`.
pub fn words() -> String {
    format!("{}, results {RESULTS}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_are_told() {
        let words = words();
        assert!(
            words.starts_with(env!("CARGO_PKG_VERSION")) && words.ends_with(&format!("results {RESULTS}"))
        );
    }
}
