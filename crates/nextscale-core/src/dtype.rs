use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The type in which a backbone's linear layers and a decoder's 3×3 convolutions multiply; everything else is
/// f32. Users write `f32` or `bf16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// f32.
    #[default]
    F32,
    /// Weights and inputs rounded to bfloat16, sums in f32. Needs a processor with a matrix unit for bfloat16
    /// (AMX) or vector products of it (AVX512-BF16) to be fast.
    Bf16,
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::Unsupported(format!("unknown type `{text}`; use f32 or bf16"))),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike_and_no_others() {
        for name in ["f32", "bf16"] {
            assert_eq!(name.parse::<Dtype>().unwrap().to_string(), name);
        }
        let error = "f16".parse::<Dtype>().unwrap_err().to_string();
        assert!(error.contains("`f16`") && error.contains("bf16"), "{error}");
    }
}
