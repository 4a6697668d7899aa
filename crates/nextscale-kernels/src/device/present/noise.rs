//! Random numbers of a seed, an image, a scale, a position and a channel: those of `nextscale_core::noise`, which
//! the CPU gives. The integers are the same; logarithms, sines and cosines are those of f32 here and of f64 there.

use burn::backend::TensorMetadata;
use cubecl::{calculate_cube_count_elemwise, prelude::*};

use super::cube::{CubeTensor, contiguous};
use crate::device::{Kind, Random};

/// The units of a cube.
const UNITS: usize = 256;

/// Images `[batch, 3]` in parts of 16 bits; numbers `[batch, positions, channels]`.
pub fn run(images: CubeTensor, random: Random) -> CubeTensor {
    let shape = random.shape(images.shape().dims::<2>()[0]);
    let [batch, positions, channels] = shape.dims();
    let images = contiguous(images);
    let memory = images.client.empty(shape.num_elements() * size_of::<f32>());
    let (client, device, dtype) = (images.client.clone(), images.device.clone(), images.dtype);
    let numbers = CubeTensor::new_contiguous(client.clone(), device, shape, memory, dtype);
    // A unit takes the four numbers of a block of the cipher.
    let blocks = channels.div_ceil(4);
    let count = batch * positions * blocks;
    let dim = CubeDim::new_1d(UNITS as u32);
    draw::launch(
        &client,
        calculate_cube_count_elemwise(&client, count, dim),
        dim,
        images.into_buffer_arg(),
        numbers.clone().into_buffer_arg(),
        count,
        blocks,
        positions,
        channels,
        random.seed as u32,
        (random.seed >> 32) as u32,
        u32::from(random.stream) << 16 | u32::from(random.scale),
        random.kind as u32,
    );
    numbers
}

const WORDS: u32 = Kind::Words as u32;
const NORMAL: u32 = Kind::Normal as u32;

#[cube(launch)]
fn draw(
    images: &[f32],
    numbers: &mut [u32],
    count: usize,
    blocks: usize,
    positions: usize,
    channels: usize,
    seed_low: u32,
    seed_high: u32,
    place: u32,
    #[comptime] kind: u32,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let block = ABSOLUTE_POS % blocks;
    let row = ABSOLUTE_POS / blocks;
    let position = row % positions;
    let image = row / positions * 3usize;
    let low = u32::cast_from(images[image]) | (u32::cast_from(images[image + 1]) << 16u32);
    let last = place | (u32::cast_from(images[image + 2]) << 24u32);
    let words = philox(block as u32, position as u32, low, last, seed_low, seed_high);
    let mut four = Array::<u32>::new(4usize);
    if comptime!(kind == WORDS) {
        four[0usize] = words.first;
        four[1usize] = words.second;
        four[2usize] = words.third;
        four[3usize] = words.fourth;
    } else if comptime!(kind == NORMAL) {
        let pair = normals(words.first, words.second);
        four[0usize] = u32::reinterpret(pair.first);
        four[1usize] = u32::reinterpret(pair.second);
        let pair = normals(words.third, words.fourth);
        four[2usize] = u32::reinterpret(pair.first);
        four[3usize] = u32::reinterpret(pair.second);
    } else {
        four[0usize] = u32::reinterpret(exponential(words.first));
        four[1usize] = u32::reinterpret(exponential(words.second));
        four[2usize] = u32::reinterpret(exponential(words.third));
        four[3usize] = u32::reinterpret(exponential(words.fourth));
    }
    let channel = 4usize * block;
    for i in 0usize..4usize {
        if channel + i < channels {
            numbers[row * channels + channel + i] = four[i];
        }
    }
}

#[derive(CubeType)]
struct Words {
    first: u32,
    second: u32,
    third: u32,
    fourth: u32,
}

#[derive(CubeType)]
struct Pair {
    first: f32,
    second: f32,
}

const MULTIPLIER: u32 = 0xD251_1F53;
const OTHER_MULTIPLIER: u32 = 0xCD9E_8D57;
const WEYL: u32 = 0x9E37_79B9;
const OTHER_WEYL: u32 = 0xBB67_AE85;

/// Ten rounds of Philox 4x32 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
/// 2011).
#[cube]
fn philox(block: u32, position: u32, image: u32, last: u32, seed_low: u32, seed_high: u32) -> Words {
    let mut first = block;
    let mut second = position;
    let mut third = image;
    let mut fourth = last;
    let mut key = seed_low;
    let mut other_key = seed_high;
    for _ in 0u32..10u32 {
        let high = first.mul_hi(MULTIPLIER);
        let low = first * MULTIPLIER;
        let other_high = third.mul_hi(OTHER_MULTIPLIER);
        let other_low = third * OTHER_MULTIPLIER;
        first = other_high ^ second ^ key;
        second = other_low;
        third = high ^ fourth ^ other_key;
        fourth = low;
        key += WEYL;
        other_key += OTHER_WEYL;
    }
    Words { first, second, third, fourth }
}

/// 2⁻³³.
const UNIT: f32 = 1.164_153_2e-10;
/// ln 2 in two parts, of which the first has few enough bits for its products with exponents to be exact.
const LN_2: f32 = 6.931_381e-1;
const LN_2_REST: f32 = 9.058_001e-6;
/// The bits of 1, and of about √½.
const ONE: u32 = 0x3f80_0000;
const ROOT: u32 = 0x3f35_04f3;

/// -ln of (word + ½)/2³², within a unit of f32's last place. Numbers between f32's are carried in two parts.
#[cube]
fn exponential(word: u32) -> f32 {
    let mut found = 0.0f32;
    let near_one = word > 0xb504_f333u32;
    if near_one {
        // Near 1 its distance from 1 has the digits.
        let rest = (0xffff_ffffu32 - word) * 2u32 + 1u32;
        let mut low = 0u32;
        if rest >= 0x0100_0000u32 {
            low = rest & 0xffu32;
        }
        let distance = f32::cast_from(rest - low) * UNIT;
        let correction = f32::cast_from(low) * UNIT / (1.0f32 - distance);
        found = distance - (curvature(-distance) - correction);
    }
    if !near_one {
        let mut high = f32::cast_from(2u32 * word + 1u32);
        let mut correction = 0.0f32;
        let mut digits = 33.0f32;
        if word >= 0x0080_0000u32 {
            let low = word & 0xffu32;
            high = f32::cast_from(word - low);
            correction = (f32::cast_from(low) + 0.5f32) / high;
            digits = 32.0f32;
        }
        let bits = u32::reinterpret(high) + (ONE - ROOT);
        let exponent = f32::cast_from(bits >> 23u32) - 127.0f32 - digits;
        let beyond_one = f32::reinterpret((bits & 0x007f_ffffu32) + ROOT) - 1.0f32;
        let small = curvature(beyond_one) + exponent * LN_2_REST + correction;
        found = -((small + beyond_one) + exponent * LN_2);
    }
    found
}

/// ln(1 + f) - f for 1 + f from √½ to √2: with s = f/(2 + f) and h = f²/2 it is s·(h + R(s²)) - h, where R is the
/// polynomial of least error that stands for the series of ln((1 + s)/(1 - s))/s - 2.
#[cube]
fn curvature(f: f32) -> f32 {
    let s = f / (2.0f32 + f);
    let z = s * s;
    let w = z * z;
    let odd = z * (0.666_666_6f32 + w * 0.284_987_87f32);
    let even = w * (0.400_009_72f32 + w * 0.242_790_79f32);
    let half = 0.5f32 * f * f;
    s * (half + odd + even) - half
}

/// Two normal numbers by the radius √(-2 ln u) and the angle 2π·second/2³² (Box and Muller).
#[cube]
fn normals(first: u32, second: u32) -> Pair {
    let radius = (2.0f32 * exponential(first)).sqrt();
    // The nearest quarter of a turn, and the angle from it.
    let quarter = (second + 0x2000_0000u32) >> 30u32;
    let rest = f32::cast_from(i32::reinterpret(second - (quarter << 30u32)));
    let angle = rest * 1.462_918_1e-9f32;
    let square = angle * angle;
    let mut sine = 8.332_161e-3f32 - square * 1.951_529_6e-4f32;
    sine = (sine * square - 1.666_666_5e-1f32) * square * angle + angle;
    let mut cosine = square * 2.443_315_7e-5f32 - 1.388_731_6e-3f32;
    cosine = (cosine * square + 4.166_664_6e-2f32) * square * square - 0.5f32 * square + 1.0f32;
    let odd = quarter & 1u32 == 1u32;
    let mut across = select(odd, sine, cosine);
    let mut up = select(odd, cosine, sine);
    if quarter == 1u32 || quarter == 2u32 {
        across = -across;
    }
    if quarter >= 2u32 {
        up = -up;
    }
    Pair { first: radius * across, second: radius * up }
}
