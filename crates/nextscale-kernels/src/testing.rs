//! Shared by several tests.

/// Numbers in [-1, 1) that look random.
pub fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Says that a test needs what this processor does not have, or may not use: `amx` or `bf16`.
///
/// # Panics
/// If the environment variable `NEXTSCALE_REQUIRE` names it: on a processor that should have it, nothing is
/// skipped.
pub fn skip(part: &str) {
    eprintln!("skipped: no {part} on this route ({})", crate::route());
    let required = std::env::var("NEXTSCALE_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == part),
        "NEXTSCALE_REQUIRE is `{required}`: no {part} here"
    );
}
