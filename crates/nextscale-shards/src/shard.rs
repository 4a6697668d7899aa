use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::ShardError;

/// The i-th of n shares of a run, counted from 0; written `i/n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// If there are none, or not that many.
    pub fn new(index: u64, count: u64) -> Result<Self, ShardError> {
        if count == 0 {
            return Err(ShardError::Refused(
                "there cannot be 0 shards; write i/n with n of 1 or more".into(),
            ));
        }
        if index >= count {
            return Err(ShardError::Refused(format!(
                "there is no shard {index} of {count}; shards count from 0 to {}",
                count - 1
            )));
        }
        Ok(Self { index, count })
    }

    /// Which one, from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// Of how many.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Its share of `images` images. The shares of all shards tile them, and differ by at most one image.
    pub fn range(self, images: u64) -> Range<u64> {
        let bound = |index: u64| (u128::from(index) * u128::from(images) / u128::from(self.count)) as u64;
        bound(self.index)..bound(self.index + 1)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.trim().parse().ok()?, count.trim().parse().ok()?)));
        let (index, count) = numbers.ok_or_else(|| {
            ShardError::Refused(format!("`{text}` is not a shard; write i/n, like 0/4 for the first of four"))
        })?;
        Self::new(index, count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} of {}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_and_mistakes_are_named() {
        let shard: Shard = "3/16".parse().unwrap();
        assert_eq!((shard.index(), shard.count(), shard.to_string()), (3, 16, "shard 3 of 16".into()));
        for (text, told) in [
            ("0/0", "cannot be 0 shards"),
            ("4/4", "no shard 4 of 4; shards count from 0 to 3"),
            ("5/4", "no shard 5 of 4"),
            ("3", "`3` is not a shard; write i/n"),
            ("-1/4", "`-1/4` is not a shard"),
            ("a/b", "is not a shard"),
            ("/4", "is not a shard"),
        ] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn shards_tile_the_images_evenly(count in 1_u64..200, images in 0_u64..100_000) {
            let mut next = 0;
            for index in 0..count {
                let range = Shard::new(index, count).unwrap().range(images);
                prop_assert_eq!(range.start, next);
                let size = range.end - range.start;
                prop_assert!(size == images / count || size == images / count + 1);
                next = range.end;
            }
            prop_assert_eq!(next, images);
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let last = Shard::new(u64::MAX - 1, u64::MAX).unwrap();
        assert_eq!(last.range(u64::MAX).end, u64::MAX);
    }
}
