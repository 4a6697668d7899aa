use std::{fmt, str::FromStr};

use burn::tensor::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, is_cpu};

/// The type in which a backbone's linear layers and attention and a decoder's convolutions multiply. Users write
/// `f32`, `bf16` or `f16`.
///
/// On the CPU the numbers in memory stay f32, but for the weights of linear layers in bf16, and the decoder rounds only
/// what 3×3 convolutions multiply. On other devices weights, keys and values and what lies between two products are
/// stored in this type; sums, norms, softmaxes, residual streams and logits are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// f32.
    #[default]
    F32,
    /// Weights and inputs rounded to bfloat16, sums in f32. On the CPU it needs a processor with a matrix unit for
    /// bfloat16 (AMX) or vector products of it (AVX512-BF16) to be fast.
    Bf16,
    /// Weights and inputs rounded to half precision of IEEE 754, with 11 bits of precision and numbers up to 65,504. Not on
    /// the CPU.
    F16,
}

impl Dtype {
    /// The type of the numbers in a device's memory that are not f32 anyway.
    pub fn stored(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// The bytes of a number in [`stored`](Self::stored).
    pub fn size(self) -> usize {
        self.stored().size()
    }

    /// Checks that a device other than the CPU computes in the type, and refuses f16 on the CPU. Whether a CPU multiplies
    /// bfloat16 numbers depends on its kernels, and is checked with them.
    ///
    /// # Errors
    /// [`Error::Unsupported`]; the message says which types are left.
    pub fn check(self, device: &Device) -> Result<()> {
        if is_cpu(device) {
            return match self {
                Self::F16 => Err(Error::Unsupported(
                    "the CPU does not compute in f16; use f32, bf16 where the processor has AMX or AVX512-BF16, or a GPU"
                        .into(),
                )),
                _ => Ok(()),
            };
        }
        if device.supports_dtype(self.stored()) {
            return Ok(());
        }
        let others: Vec<String> = [Self::F32, Self::Bf16, Self::F16]
            .into_iter()
            .filter(|other| device.supports_dtype(other.stored()))
            .map(|other| other.to_string())
            .collect();
        Err(Error::Unsupported(format!(
            "this device does not compute in {self}; use {}",
            others.join(" or ")
        )))
    }
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(Error::Unsupported(format!("unknown type `{text}`; use f32, bf16 or f16"))),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike_and_no_others() {
        for name in ["f32", "bf16", "f16"] {
            assert_eq!(name.parse::<Dtype>().unwrap().to_string(), name);
        }
        let error = "f64".parse::<Dtype>().unwrap_err().to_string();
        assert!(error.contains("`f64`") && error.contains("bf16"), "{error}");
    }

    #[test]
    fn the_cpu_refuses_f16_and_says_what_is_left() {
        let cpu = Device::flex();
        assert!(Dtype::F32.check(&cpu).is_ok() && Dtype::Bf16.check(&cpu).is_ok());
        let error = Dtype::F16.check(&cpu.autodiff()).unwrap_err().to_string();
        assert!(error.contains("the CPU does not compute in f16; use f32, bf16"), "{error}");
        assert_eq!([Dtype::F32, Dtype::Bf16, Dtype::F16].map(Dtype::size), [4, 2, 2]);
    }
}
