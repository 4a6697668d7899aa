//! Features by a formula that the scripts with the reference implementations repeat, and a small network.

/// The splitmix64 finaliser.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Correlated features, `[n, dims]`. With h(i, j) the low 12 bits of splitmix64's finaliser of `seed·2⁴⁸ + i·2²⁰ + j`:
/// `(h(i, j)·(1 + j mod 4) + 2·h(i, j mod 8 + 2¹⁹) + shift·(1 + j mod 3)) / 4096`, exact in f32.
pub(crate) fn features(n: usize, dims: usize, seed: u64, shift: u64) -> Vec<f32> {
    let low = |i: usize, j: usize| mix((seed << 48) + ((i as u64) << 20) + j as u64) & 0xFFF;
    let value = |i: usize, j: usize| {
        low(i, j) * (1 + j as u64 % 4) + 2 * low(i, j % 8 + (1 << 19)) + shift * (1 + j as u64 % 3)
    };
    (0..n).flat_map(|i| (0..dims).map(move |j| value(i, j) as f32 / 4096.0)).collect()
}

#[test]
fn the_formula_gives_what_the_scripts_have() {
    let rows = features(400, 48, 2, 400);
    assert_eq!((rows[3 * 48 + 5], features(300, 48, 1, 0)[299 * 48 + 47]), (2.474_121, 3.898_437_5));
}
