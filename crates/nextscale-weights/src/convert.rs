//! Stored bytes to host numbers.

use half::{bf16, f16};

use crate::StoredType;

fn map<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

/// Floats of any width as f32; `None` for integers.
pub(crate) fn to_f32(bytes: &[u8], dtype: StoredType) -> Option<Vec<f32>> {
    Some(match dtype {
        StoredType::F32 => map(bytes, f32::from_le_bytes),
        StoredType::F64 => map(bytes, |b| f64::from_le_bytes(b) as f32),
        StoredType::F16 => map(bytes, |b| f16::from_le_bytes(b).to_f32()),
        StoredType::BF16 => map(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        _ => return None,
    })
}

/// Integers of any width as i64; `None` for floats. Unsigned values beyond i64 wrap, which no index reaches.
pub(crate) fn to_i64(bytes: &[u8], dtype: StoredType) -> Option<Vec<i64>> {
    Some(match dtype {
        StoredType::I64 => map(bytes, i64::from_le_bytes),
        StoredType::I32 => map(bytes, |b| i32::from_le_bytes(b).into()),
        StoredType::I16 => map(bytes, |b| i16::from_le_bytes(b).into()),
        StoredType::I8 => map(bytes, |b| i8::from_le_bytes(b).into()),
        StoredType::U64 => map(bytes, |b| u64::from_le_bytes(b) as i64),
        StoredType::U32 => map(bytes, |b| u32::from_le_bytes(b).into()),
        StoredType::U16 => map(bytes, |b| u16::from_le_bytes(b).into()),
        StoredType::U8 | StoredType::Bool => bytes.iter().map(|&b| b.into()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_width_gives_the_same_number() {
        let x = -1.5f64;
        for (bytes, dtype) in [
            ((x as f32).to_le_bytes().to_vec(), StoredType::F32),
            (x.to_le_bytes().to_vec(), StoredType::F64),
            (f16::from_f64(x).to_le_bytes().to_vec(), StoredType::F16),
            (bf16::from_f64(x).to_le_bytes().to_vec(), StoredType::BF16),
        ] {
            assert_eq!(to_f32(&bytes, dtype), Some(vec![-1.5]), "{dtype}");
            assert_eq!(to_i64(&bytes, dtype), None, "{dtype}");
        }
    }

    #[test]
    fn signed_integers_keep_their_sign() {
        assert_eq!(to_i64(&(-3i16).to_le_bytes(), StoredType::I16), Some(vec![-3]));
        assert_eq!(to_i64(&[255], StoredType::I8), Some(vec![-1]));
        assert_eq!(to_i64(&[255], StoredType::U8), Some(vec![255]));
        assert_eq!(to_f32(&[1], StoredType::Bool), None);
    }
}
