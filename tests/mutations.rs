//! Damaged input of every kind that the program reads: at worst an error, never a panic.
//!
//! A few hundred mutants each by default; NEXTSCALE_MUTATION_SECONDS=30 continues for that long with each.

#[path = "mutations/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use targets::{Target, targets};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }
}

/// Numbers that might be taken for sizes.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "NaN",
    "inf",
    "0.0",
    "65536",
];

/// One to four changes: a bit, a byte, a cut, a copy, a number replaced by another, bytes of another input.
fn mutant(of: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = of.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 0xff, b'(', b'"', b'[', 0x80, b'\n'][random.below(7)],
            2 => bytes.truncate(at),
            3 => {
                let end = bytes.len().min(at + random.below(40));
                bytes.drain(at..end);
            }
            4 => {
                let end = bytes.len().min(at + random.below(40));
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => {
                // The digits at or after a place.
                let digit = |&byte: &u8| byte.is_ascii_digit();
                if let Some(from) = bytes[at..].iter().position(digit).map(|from| from + at) {
                    let to = bytes[from..]
                        .iter()
                        .position(|byte| !digit(byte))
                        .map_or(bytes.len(), |to| from + to);
                    bytes.splice(from..to, NUMBERS[random.below(NUMBERS.len())].bytes());
                }
            }
            6 => {
                let wide = random.next().to_le_bytes();
                let end = bytes.len().min(at + 8);
                bytes[at..end].copy_from_slice(&wide[..end - at]);
            }
            _ => {
                let from = random.below(other.len());
                let end = other.len().min(from + random.below(60));
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    bytes
}

fn torment(Target { name, corpus, read }: &Target) {
    let seconds = std::env::var("NEXTSCALE_MUTATION_SECONDS").ok().and_then(|text| text.parse().ok());
    let (begun, mut count) = (Instant::now(), 0_u64);
    let go_on = |count: u64| match seconds {
        Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
        None => count < 300,
    };
    // Undamaged input is read first: a target that refuses everything finds nothing.
    for whole in corpus {
        read(whole);
    }
    while go_on(count) {
        let mut random = Random(count);
        let of = &corpus[random.below(corpus.len())];
        let other = &corpus[random.below(corpus.len())];
        let bytes = mutant(of, other, &mut random);
        if catch_unwind(AssertUnwindSafe(|| read(&bytes))).is_err() {
            let kept = std::env::temp_dir().join(format!("nextscale-mutant-{name}-{count}"));
            std::fs::write(&kept, &bytes).unwrap();
            panic!("mutant {count} of {name} panics; it is kept in {}", kept.display());
        }
        count += 1;
    }
    eprintln!("{name}: {count} mutants");
}

#[test]
fn no_damage_to_a_config_panics() {
    targets().iter().filter(|target| target.name.starts_with("config")).for_each(torment);
}

#[test]
fn no_damage_to_weights_panics() {
    targets().iter().filter(|target| target.name.starts_with("weights")).for_each(torment);
}

#[test]
fn no_damage_to_images_and_tables_panics() {
    targets()
        .iter()
        .filter(|target| !target.name.starts_with("config") && !target.name.starts_with("weights"))
        .for_each(torment);
}
