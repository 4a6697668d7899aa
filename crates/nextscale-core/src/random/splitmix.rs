/// The step of SplitMix64's counter: 2⁶⁴ over the golden ratio, made odd.
pub const WEYL: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser (Steele, Lea and Flood, 2014): a bijection in which every output bit depends on
/// every input bit.
pub const fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// SplitMix64 at any place of its sequence: seeded with `seed`, it returns places 1, 2, 3 and so on. Place 0
/// is `mix(seed)`.
pub const fn splitmix64(seed: u64, place: u64) -> u64 {
    mix(seed.wrapping_add(place.wrapping_mul(WEYL)))
}

/// FNV-1a of a name, in 64 bits. Gives every tensor its own stream, so that its values do not depend on which
/// other tensors exist. Not a content hash; those are in `nextscale-files`.
pub fn fnv1a(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_comes_out() {
        // The reference implementation's (Vigna's splitmix64.c), seeded with 1234567.
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([1, 2, 3, 4, 5].map(|place| splitmix64(1_234_567, place)), expected);
        assert_eq!(splitmix64(7, 0), mix(7));
    }

    #[test]
    fn the_published_hashes_come_out() {
        let hashes = ["", "a", "foobar"].map(fnv1a);
        assert_eq!(hashes, [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]);
    }
}
