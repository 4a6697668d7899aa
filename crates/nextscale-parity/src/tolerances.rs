use std::fmt::{self, Display};
use std::str::FromStr;

use burn::tensor::Device;
use nextscale_core::Dtype;
use nextscale_pipeline::device::Kind;
use nextscale_pipeline::{Error, Result};

use crate::Bound;

/// What the factors of a matrix product are rounded to on a device; sums are in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// 24 bits, as on the recorded runs.
    F32,
    /// 11 bits: TF32, to which NVIDIA's matrix units round f32, and f16.
    Tf32,
    /// 8 bits.
    Bf16,
}

/// A line's name, and how far its values may be in f32, TF32 and bf16, as a part of the largest recorded value of a tensor.
///
/// In f32: several times what the CPU's kernels differ by. In TF32 and bf16: from one and a half to three times the differences of a
/// run whose weights are rounded so and whose activations are not, which a test repeats. The products with which
/// priors and the tokenizer resample have no weights; theirs is a few roundings. What is computed without
/// products has f32's bound everywhere.
const BOUNDS: [(&str, [f64; 3]); 27] = [
    ("loading by upstream's keys", [0.0, 0.0, 0.0]),
    ("priors, bicubic and nearest", [3e-6, 2e-3, 1.6e-2]),
    ("priors, DSE against its definition", [5e-6, 3e-3, 2.4e-2]),
    ("tokenizer, bicubic and area resampling", [3e-6, 2e-3, 1.6e-2]),
    ("tokenizer, encoder and tokens of images", [1e-5, 3.5e-3, 2.2e-2]),
    ("tokenizer, decoder and images of tokens", [4e-5, 2.5e-2, 0.13]),
    ("tokenizer, embeddings of draws", [5e-6, 8e-4, 6e-3]),
    ("tokenizer, canvases, inputs and images of runs", [3e-5, 1.2e-2, 5.5e-2]),
    ("backbone, teacher-forced logits, AdaLN per block", [1e-5, 2.5e-3, 2e-2]),
    ("backbone, logits with the KV cache, AdaLN per block", [1e-5, 4e-3, 2.5e-2]),
    ("backbone, teacher-forced logits, shared AdaLN", [1e-5, 5e-3, 3e-2]),
    ("backbone, logits with the KV cache, shared AdaLN", [1e-5, 9e-3, 4e-2]),
    ("guidance, CFG on recorded logits", [2e-6, 2e-6, 2e-6]),
    ("sampler, values that top-k and top-p keep", [0.0, 0.0, 0.0]),
    ("sampler, draws with given noise", [0.0, 0.0, 0.0]),
    ("sampler, weights of more_smooth", [1e-4, 1e-4, 1e-4]),
    ("generation, AdaLN per block", [2e-5, 6e-3, 5.5e-2]),
    ("generation, more_smooth, AdaLN per block", [6e-5, 1.1e-2, 8e-2]),
    ("generation, shared AdaLN", [2e-5, 1.2e-2, 9e-2]),
    ("generation, more_smooth, shared AdaLN", [6e-5, 8e-2, 0.15]),
    ("infinity, teacher-forced logits", [5e-5, 1e-2, 0.1]),
    ("infinity, logits over the KV cache", [5e-5, 2e-2, 0.12]),
    ("infinity, greedy generation under CFG", [5e-5, 8e-3, 5e-2]),
    ("hart, logits over the KV cache", [2e-5, 3e-3, 2.5e-2]),
    ("hart, greedy generation under CFG with the residual", [5e-5, 1.5e-2, 5e-2]),
    ("hart, greedy generation without the residual", [3e-5, 7e-3, 5e-2]),
    ("hart, generation of soft codes", [1.4e-3, 0.35, 1.5]),
];

/// How far the lines of what generation computes may be in f16 and bf16, in which weights, keys and values, and what lies
/// between two products are rounded: about one and a half times the largest difference of such a run on the CPU, which a test
/// repeats, of the CPU's own bf16, which rounds in fewer places, and of lavapipe's and LibTorch's f16. Where a token is
/// another one or nearly is, as with soft mixes of codes, these differ several times from each other.
const IN_TYPES: [(&str, [f64; 2]); 17] = [
    ("tokenizer, decoder and images of tokens", [2.5e-2, 0.22]),
    ("tokenizer, canvases, inputs and images of runs", [1.6e-2, 0.1]),
    ("backbone, teacher-forced logits, AdaLN per block", [3e-3, 1.5e-2]),
    ("backbone, logits with the KV cache, AdaLN per block", [5.5e-3, 3.5e-2]),
    ("backbone, teacher-forced logits, shared AdaLN", [3e-3, 4.2e-2]),
    ("backbone, logits with the KV cache, shared AdaLN", [7.5e-3, 5.5e-2]),
    ("generation, AdaLN per block", [1.7e-2, 0.1]),
    ("generation, more_smooth, AdaLN per block", [3.2e-2, 0.66]),
    ("generation, shared AdaLN", [1.7e-2, 0.1]),
    ("generation, more_smooth, shared AdaLN", [5.5e-2, 0.2]),
    ("infinity, teacher-forced logits", [1.7e-2, 0.21]),
    ("infinity, logits over the KV cache", [1.1e-2, 0.11]),
    ("infinity, greedy generation under CFG", [9e-3, 7e-2]),
    ("hart, logits over the KV cache", [2.2e-3, 1.7e-2]),
    ("hart, greedy generation under CFG with the residual", [6.5e-3, 0.17]),
    ("hart, greedy generation without the residual", [6.5e-3, 5e-2]),
    ("hart, generation of soft codes", [0.65, 1.3]),
];
/// The part of the tokens that may differ in f16 and bf16: at most 1 of 1,452 and 2 of 60 did.
const TOKENS_IN_TYPES: [f64; 2] = [0.017, 0.05];

/// The part of the tokens that may differ, in f32, TF32 and bf16: the fixtures' choices have margins far above
/// f32's rounding, and rounded weights changed none in TF32 and 1 of 60, 272 and 260 in bf16.
const TOKENS: [f64; 3] = [0.0, 0.004, 0.02];

/// The bound of a line of what generation computes in a type; none in f32, whose bound is that of the device's arithmetic.
pub fn bound_in(dtype: Dtype, line: &str) -> Bound {
    let place = match dtype {
        Dtype::F32 => return Bound::NONE,
        Dtype::F16 => 0,
        Dtype::Bf16 => 1,
    };
    let found = IN_TYPES.iter().find(|(name, _)| *name == line);
    let relative = found.map_or(0.0, |(_, bounds)| bounds[place]);
    Bound { relative, tokens: TOKENS_IN_TYPES[place] }
}

impl Arithmetic {
    /// That of a device, by its kind. burn may use matrix units for f32 wherever there are any, and LibTorch
    /// uses them for convolutions; WGSL has none.
    pub fn of(device: &Device) -> Self {
        match Kind::of(device) {
            None | Some(Kind::Wgpu | Kind::TchCpu) => Self::F32,
            Some(Kind::Cuda | Kind::Rocm | Kind::Metal | Kind::Vulkan | Kind::TchCuda) => Self::Tf32,
        }
    }

    /// The bound of a line. No token may differ where filters and draws are given their logits and noise.
    pub fn bound(self, line: &str) -> Bound {
        let found = BOUNDS.iter().find(|(name, _)| *name == line);
        let relative = found.map_or(0.0, |(_, bounds)| bounds[self as usize]);
        let exact = found.is_none() || line.starts_with("sampler, ");
        Bound { relative, tokens: if exact { 0.0 } else { TOKENS[self as usize] } }
    }
}

impl Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Arithmetic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::F32, Self::Tf32, Self::Bf16]
            .into_iter()
            .find(|known| known.to_string() == text)
            .ok_or_else(|| Error::Usage(format!("unknown arithmetic `{text}`; use f32, tf32 or bf16")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarser_arithmetic_may_differ_more_and_the_cpu_has_the_finest() {
        assert_eq!(Arithmetic::of(&Device::flex()), Arithmetic::F32);
        for (line, [f32, tf32, bf16]) in BOUNDS {
            assert!(f32 <= tf32 && tf32 <= bf16, "{line}");
        }
        assert_eq!(Arithmetic::Bf16.bound("a line that has no bound"), Bound::NONE);
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for arithmetic in [Arithmetic::F32, Arithmetic::Tf32, Arithmetic::Bf16] {
            assert_eq!(arithmetic.to_string().parse::<Arithmetic>().unwrap(), arithmetic);
        }
        assert!("f16".parse::<Arithmetic>().unwrap_err().to_string().contains("tf32"));
    }
}
