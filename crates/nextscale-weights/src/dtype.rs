/// What a file says about a tensor before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// How the elements are stored.
    pub dtype: StoredType,
}

/// How a tensor's elements are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the formats' own
pub enum StoredType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl StoredType {
    /// Whether the elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    /// The size of an element in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The type's name in a safetensors header.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_uppercase()
    }

    /// The type of this name in a safetensors header.
    pub(crate) fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok().and_then(Self::from_safetensors)
    }

    /// The type of a safetensors entry; `None` for packed and complex ones, which no model here uses.
    pub(crate) fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype as S;
        Some(match dtype {
            S::F64 => Self::F64,
            S::F32 => Self::F32,
            S::F16 => Self::F16,
            S::BF16 => Self::BF16,
            S::I64 => Self::I64,
            S::I32 => Self::I32,
            S::I16 => Self::I16,
            S::I8 => Self::I8,
            S::U64 => Self::U64,
            S::U32 => Self::U32,
            S::U16 => Self::U16,
            S::U8 => Self::U8,
            S::BOOL => Self::Bool,
            _ => return None,
        })
    }
}

impl From<pytorch_reader::DType> for StoredType {
    fn from(dtype: pytorch_reader::DType) -> Self {
        use pytorch_reader::DType as P;
        match dtype {
            P::F64 => Self::F64,
            P::F32 => Self::F32,
            P::F16 => Self::F16,
            P::BF16 => Self::BF16,
            P::I64 => Self::I64,
            P::I32 => Self::I32,
            P::I16 => Self::I16,
            P::I8 => Self::I8,
            P::U64 => Self::U64,
            P::U32 => Self::U32,
            P::U16 => Self::U16,
            P::U8 => Self::U8,
            P::Bool => Self::Bool,
        }
    }
}

impl std::fmt::Display for StoredType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}
