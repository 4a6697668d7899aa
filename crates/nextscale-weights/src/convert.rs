//! Stored bytes to host numbers.

use std::borrow::Cow;

use half::{bf16, f16};
use rayon::prelude::*;

use crate::StoredType;

fn map<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

/// Floats of any width as f32, without a copy if they are stored as aligned f32; `None` for integers.
pub(crate) fn floats(bytes: &[u8], dtype: StoredType) -> Option<Cow<'_, [f32]>> {
    if dtype == StoredType::F32
        && cfg!(target_endian = "little")
        && let Ok(values) = bytemuck::try_cast_slice(bytes)
    {
        return Some(Cow::Borrowed(values));
    }
    Some(Cow::Owned(match dtype {
        StoredType::F32 => map(bytes, f32::from_le_bytes),
        StoredType::F64 => map(bytes, |b| f64::from_le_bytes(b) as f32),
        StoredType::F16 => map(bytes, |b| f16::from_le_bytes(b).to_f32()),
        StoredType::BF16 => map(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        _ => return None,
    }))
}

/// A matrix of floats of any width `[rows, columns]`, transposed to `[columns, rows]`, as f32; `None` for
/// integers.
pub(crate) fn transposed(bytes: &[u8], dtype: StoredType, [rows, columns]: [usize; 2]) -> Option<Vec<f32>> {
    let sizes = [rows, columns];
    Some(match dtype {
        StoredType::F32 => turn(bytes, sizes, f32::from_le_bytes),
        StoredType::F64 => turn(bytes, sizes, |b| f64::from_le_bytes(b) as f32),
        StoredType::F16 => turn(bytes, sizes, |b| f16::from_le_bytes(b).to_f32()),
        StoredType::BF16 => turn(bytes, sizes, |b| bf16::from_le_bytes(b).to_f32()),
        _ => return None,
    })
}

/// Block by block, so that whole cache lines are read and written, on all threads.
fn turn<const N: usize>(
    bytes: &[u8],
    [rows, columns]: [usize; 2],
    from: impl Fn([u8; N]) -> f32 + Sync,
) -> Vec<f32> {
    const SIDE: usize = 32;
    let values = bytes.as_chunks::<N>().0;
    let mut out = vec![0.0; rows * columns];
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(SIDE * rows).enumerate().for_each(|(i, out)| {
        let left = i * SIDE;
        let width = out.len() / rows;
        for top in (0..rows).step_by(SIDE) {
            for row in top..rows.min(top + SIDE) {
                let line = &values[row * columns + left..][..width];
                for (column, value) in line.iter().enumerate() {
                    out[column * rows + row] = from(*value);
                }
            }
        }
    });
    out
}

/// Integers of any width as i64; `None` for floats. Unsigned values beyond i64 wrap; no index is that large.
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
            assert_eq!(floats(&bytes, dtype).as_deref(), Some(&[-1.5][..]), "{dtype}");
            assert_eq!(to_i64(&bytes, dtype), None, "{dtype}");
        }
    }

    #[test]
    fn floats_that_lie_askew_are_read_too() {
        let bytes: Vec<u8> = [0.0_f32, 1.5, -2.5].iter().flat_map(|value| value.to_le_bytes()).collect();
        for skew in 0..4 {
            let askew: Vec<u8> = std::iter::repeat_n(0, skew).chain(bytes.iter().copied()).collect();
            let values = floats(&askew[skew..], StoredType::F32);
            assert_eq!(values.as_deref(), Some(&[0.0, 1.5, -2.5][..]));
        }
    }

    #[test]
    fn matrices_of_every_size_are_turned() {
        for [rows, columns] in [[1, 1], [3, 70], [70, 3], [33, 64], [0, 5]] {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let turned = transposed(&bytes, StoredType::F32, [rows, columns]).unwrap();
            let expected: Vec<f32> =
                (0..columns).flat_map(|c| (0..rows).map(move |r| (r * columns + c) as f32)).collect();
            assert_eq!(turned, expected);
        }
        assert_eq!(transposed(&[0; 4], StoredType::I32, [1, 1]), None);
    }

    #[test]
    fn signed_integers_keep_their_sign() {
        assert_eq!(to_i64(&(-3i16).to_le_bytes(), StoredType::I16), Some(vec![-3]));
        assert_eq!(to_i64(&[255], StoredType::I8), Some(vec![-1]));
        assert_eq!(to_i64(&[255], StoredType::U8), Some(vec![255]));
        assert_eq!(floats(&[1], StoredType::Bool), None);
    }
}
