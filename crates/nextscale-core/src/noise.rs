//! Randomness that depends only on where it is used.
//!
//! Every number is a function of (seed, image, scale, position, channel): the block cipher Philox 4x32-10
//! (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) applied to a
//! counter made of these. So an image's numbers do not depend on its batch, on the order of the work or on
//! the device.

use crate::Alphabet;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Ten rounds of Philox 4x32: 128 random bits for a counter and a key.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// What a number is for. Streams never share a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// [`Noise::choice`].
    Choice = 0,
    /// [`Noise::exponential`].
    Smoothing = 1,
    /// [`Noise::gaussian`].
    Gaussian = 2,
    /// [`Noise::corruption`].
    Corruption = 3,
}

/// Where a batch of draws happens.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The scale, from 0.
    pub scale: usize,
    /// The images of the batch, by number in the run (below 2^40).
    pub images: &'a [u64],
    /// Positions of the scale's grid, h·w.
    pub positions: usize,
    /// What the channels mean.
    pub alphabet: Alphabet,
}

/// The random part of a choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// One uniform number in [0, 1) per slot, `[batch, h·w, slots]`, for drawing by inverse CDF.
    Uniforms(Vec<f32>),
    /// One Exp(1) number per channel, `[batch, h·w, channels]`, for the exponential race argmax p/e.
    Race(Vec<f32>),
}

/// A source of randomness for samplers.
pub trait Noise: Send + Sync {
    /// What decides the draw at every position and slot.
    fn choice(&self, place: &Place<'_>) -> Choice;

    /// Exp(1) numbers for smoothing, `[batch, h·w, channels]`; their negative logarithm is Gumbel noise.
    fn exponential(&self, place: &Place<'_>) -> Vec<f32>;

    /// Standard normal numbers, `width` per position, `[batch, h·w, width]`, for continuous parts of a token.
    /// A sampler of several steps takes those of all steps at once. The default uses seed 0, for sources that
    /// replay recorded choices only.
    fn gaussian(&self, place: &Place<'_>, width: usize) -> Vec<f32> {
        Counter::new(0).gaussian(place, width)
    }

    /// Two uniform numbers in [0, 1) per position, `[batch, h·w, 2]`: whether a prefix is corrupted there,
    /// and what replaces the embedding. The default uses seed 0, for sources that replay recorded choices
    /// only.
    fn corruption(&self, place: &Place<'_>) -> Vec<f32> {
        Counter::new(0).corruption(place)
    }

    /// The counter-based source whose numbers these are, which a device can compute itself. `None`, the
    /// default, for any other source.
    fn counter(&self) -> Option<Counter> {
        None
    }
}

/// Image numbers for a device, three of f32 each: their bits in parts of 16, the lowest first.
pub fn parts_of(images: &[u64]) -> Vec<f32> {
    images.iter().flat_map(|image| [0, 16, 32].map(|shift| (image >> shift & 0xFFFF) as f32)).collect()
}

/// The counter-based source that every run uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    seed: u64,
}

impl Counter {
    /// The source of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed.
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// The four words of block `block` at a position: counter = (block, position, low half of the image, high
    /// byte of the image | stream | scale).
    fn block(&self, stream: Stream, image: u64, scale: usize, position: usize, block: usize) -> [u32; 4] {
        let last = ((image >> 32) as u32) << 24 | (stream as u32) << 16 | (scale as u32 & 0xFFFF);
        philox(
            [block as u32, position as u32, image as u32, last],
            [self.seed as u32, (self.seed >> 32) as u32],
        )
    }

    /// Fills `[h·w, width]` of one image from a stream.
    fn fill(
        &self,
        stream: Stream,
        image: u64,
        scale: usize,
        width: usize,
        out: &mut [f32],
        map: fn([u32; 4]) -> [f32; 4],
    ) {
        for (position, row) in out.chunks_mut(width).enumerate() {
            for (block, four) in row.chunks_mut(4).enumerate() {
                let numbers = map(self.block(stream, image, scale, position, block));
                four.copy_from_slice(&numbers[..four.len()]);
            }
        }
    }

    fn batch(
        &self,
        stream: Stream,
        place: &Place<'_>,
        width: usize,
        map: fn([u32; 4]) -> [f32; 4],
    ) -> Vec<f32> {
        use rayon::prelude::*;
        let mut out = vec![0.0; place.images.len() * place.positions * width];
        if !out.is_empty() {
            out.par_chunks_mut(place.positions * width)
                .zip(place.images)
                .for_each(|(chunk, &image)| self.fill(stream, image, place.scale, width, chunk, map));
        }
        out
    }
}

impl Noise for Counter {
    fn choice(&self, place: &Place<'_>) -> Choice {
        Choice::Uniforms(self.batch(Stream::Choice, place, place.alphabet.slots, |words| words.map(uniform)))
    }

    fn exponential(&self, place: &Place<'_>) -> Vec<f32> {
        self.batch(Stream::Smoothing, place, place.alphabet.channels(), |words| words.map(exponential))
    }

    fn gaussian(&self, place: &Place<'_>, width: usize) -> Vec<f32> {
        self.batch(Stream::Gaussian, place, width, |words| {
            let ([a, b], [c, d]) = (normals(words[0], words[1]), normals(words[2], words[3]));
            [a, b, c, d]
        })
    }

    fn corruption(&self, place: &Place<'_>) -> Vec<f32> {
        self.batch(Stream::Corruption, place, 2, |words| words.map(uniform))
    }

    fn counter(&self) -> Option<Self> {
        Some(*self)
    }
}

/// A uniform multiple of 2^-24 in [0, 1): exact in f32, and never 1.
pub fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 / (1 << 24) as f32
}

/// An Exp(1) number, finite and above 0: -ln of the midpoints of a grid of spacing 2^-32.
pub fn exponential(word: u32) -> f32 {
    -((f64::from(word) + 0.5) / 4_294_967_296.0).ln() as f32
}

/// Two independent standard normal numbers (Box and Muller, "A note on the generation of random normal
/// deviates", 1958). Finite, because the radius comes from midpoints of a grid of spacing 2^-32.
pub fn normals(first: u32, second: u32) -> [f32; 2] {
    let radius = (-2.0 * ((f64::from(first) + 0.5) / 4_294_967_296.0).ln()).sqrt();
    let angle = std::f64::consts::TAU * f64::from(second) / 4_294_967_296.0;
    [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_known_answers() {
        let ones = u32::MAX;
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniforms_stay_below_one_and_noise_stays_finite_and_positive() {
        assert_eq!(uniform(u32::MAX), 1.0 - 1.0 / 16_777_216.0);
        assert_eq!(uniform(0xFF), 0.0);
        assert!(exponential(u32::MAX) > 0.0 && exponential(0).is_finite());
    }

    fn place(images: &[u64]) -> Place<'_> {
        Place { scale: 2, images, positions: 9, alphabet: Alphabet::bits(6) }
    }

    fn uniforms(seed: u64, place: &Place<'_>) -> Vec<f32> {
        match Counter::new(seed).choice(place) {
            Choice::Uniforms(values) => values,
            Choice::Race(_) => panic!("the counter draws uniforms"),
        }
    }

    #[test]
    fn an_image_has_the_same_numbers_in_any_company() {
        let (alone, together) = (uniforms(7, &place(&[5])), uniforms(7, &place(&[4, 5, 900])));
        assert_eq!(alone, together[54..108]);
        let noise = Counter::new(7);
        assert_eq!(noise.exponential(&place(&[5])), noise.exponential(&place(&[4, 5]))[108..]);
        assert_eq!(noise.gaussian(&place(&[5]), 3), noise.gaussian(&place(&[4, 5]), 3)[27..]);
        assert_eq!(noise.corruption(&place(&[5])), noise.corruption(&place(&[4, 5]))[18..]);
    }

    #[test]
    fn seed_image_scale_and_position_all_matter() {
        let base = uniforms(7, &place(&[5]));
        assert_ne!(base, uniforms(8, &place(&[5])));
        assert_ne!(base, uniforms(7 + (1 << 32), &place(&[5])));
        assert_ne!(base, uniforms(7, &place(&[6])));
        assert_ne!(base, uniforms(7, &place(&[5 + (1 << 32)])));
        assert_ne!(base, uniforms(7, &Place { scale: 3, ..place(&[5]) }));
        assert_ne!(base[..6], base[6..12]);
    }

    #[test]
    fn the_parts_of_an_image_number_are_its_digits() {
        assert_eq!(parts_of(&[5, (9 << 32) + (7 << 16) + 3]), [5.0, 0.0, 0.0, 3.0, 7.0, 9.0]);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let images: Vec<u64> = (0..400).collect();
        let place = Place { scale: 0, images: &images, positions: 10, alphabet: Alphabet::codes(16) };
        let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let u = uniforms(1, &Place { alphabet: Alphabet::bits(16), ..place });
        assert!((mean(&u) - 0.5).abs() < 0.005);
        let squares: Vec<f32> = u.iter().map(|v| v * v).collect();
        assert!((mean(&squares) - 1.0 / 3.0).abs() < 0.005);
        assert!((mean(&Counter::new(1).exponential(&place)) - 1.0).abs() < 0.02);
        let normal = Counter::new(1).gaussian(&place, 7);
        let moment = |power: i32| mean(&normal.iter().map(|v| v.powi(power)).collect::<Vec<_>>());
        assert_eq!(normal.len(), 400 * 10 * 7);
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.03, "{} {}", moment(1), moment(2));
        assert!(moment(3).abs() < 0.08 && (moment(4) - 3.0).abs() < 0.15, "{} {}", moment(3), moment(4));
        assert!(normals(0, 7).iter().all(|value| value.is_finite()));
    }
}
