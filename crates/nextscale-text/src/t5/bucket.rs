//! Buckets of relative positions (Raffel and others, "Exploring the limits of transfer learning with a
//! unified text-to-text transformer", 2020): near positions have one each, farther ones share buckets of
//! growing width.

/// The bucket, `0..buckets`, of a key that lies `distance` tokens behind its query (negative: before it).
///
/// Half of the buckets are for keys after the query. In each half, half are exact; the widths of the others
/// grow logarithmically up to `farthest`, beyond which all share the last.
pub fn bucket(distance: i64, buckets: usize, farthest: usize) -> usize {
    let side = buckets / 2;
    let exact = side / 2;
    let start = if distance > 0 { side } else { 0 };
    let distance = distance.unsigned_abs() as usize;
    if distance < exact {
        return start + distance;
    }
    // In f32 and in this order, as in the reference: the edges of buckets depend on the rounding.
    let scale = (farthest as f64 / exact as f64).ln() as f32;
    let beyond = (distance as f32 / exact as f32).ln() / scale * (side - exact) as f32;
    start + (exact + beyond as usize).min(side - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::t5::fixtures::reference;

    #[test]
    fn buckets_are_the_reference_s_from_199_before_to_199_behind() {
        let expected = reference().ints("bucket_of_relpos_-199..199");
        assert_eq!(expected.len(), 399);
        for (distance, expected) in (-199..=199).zip(expected) {
            assert_eq!(bucket(distance, 32, 128) as i64, expected, "{distance}");
        }
    }

    #[test]
    fn every_bucket_is_used_and_none_is_beyond() {
        for (buckets, farthest) in [(32, 128), (8, 20), (4, 2)] {
            let used: std::collections::BTreeSet<_> =
                (-1000..=1000).map(|distance| bucket(distance, buckets, farthest)).collect();
            // No key lies 0 tokens behind its query on the far side's first bucket.
            assert!(used.iter().all(|&bucket| bucket < buckets), "{used:?}");
            assert!(used.contains(&0) && used.contains(&(buckets - 1)), "{used:?}");
        }
    }
}
