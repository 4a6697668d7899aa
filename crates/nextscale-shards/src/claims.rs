//! Which images a worker makes: those of its share that nobody has made or is making.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use nextscale_files::{Lock, LockError};

use crate::folder::{io, lock};
use crate::{Result, ShardError, ShardFolder, name};

/// Images that this worker makes; nobody else does as long as this value lives.
#[derive(Debug)]
pub struct Claim {
    /// The images.
    pub range: Range<u64>,
    _lock: Lock,
}

/// What became of a worker's share.
#[derive(Debug)]
pub struct Claims {
    /// What is to be made here, ascending.
    pub mine: Vec<Claim>,
    /// Images that exist.
    pub done: u64,
    /// Images that other live workers are making.
    pub elsewhere: u64,
}

impl Claims {
    /// Images to make.
    pub fn count(&self) -> u64 {
        self.mine.iter().map(|claim| claim.range.end - claim.range.start).sum()
    }
}

impl ShardFolder {
    /// Claims what is neither made nor being made of some images of a series.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn claim(&self, series: &str, range: Range<u64>) -> Result<Claims> {
        let _lock = lock(&self.root)?;
        let size = |ranges: &[Range<u64>]| ranges.iter().map(|range| range.end - range.start).sum::<u64>();
        let pieces: Vec<Range<u64>> = self.pieces(series)?.into_iter().map(|piece| piece.range).collect();
        let unmade = without(std::slice::from_ref(&range), &pieces);
        let busy = self.claimed(series, &range)?;
        let free = without(&unmade, &busy);
        self.clear(series, &free)?;
        let mut mine = Vec::new();
        for range in &free {
            let target = self.root.join(series).join(name::of_range(range));
            let lock = Lock::beside(&target).map_err(io)?;
            mine.push(Claim { range: range.clone(), _lock: lock });
        }
        Ok(Claims {
            mine,
            done: range.end - range.start - size(&unmade),
            elsewhere: size(&unmade) - size(&free),
        })
    }

    /// What live workers have claimed of some images. The locks of others are removed.
    fn claimed(&self, series: &str, of: &Range<u64>) -> Result<Vec<Range<u64>>> {
        let mut claimed = Vec::new();
        for (hidden, path) in self.hidden(series, ".lock")? {
            if hidden.end <= of.start || of.end <= hidden.start {
                continue;
            }
            match Lock::take(&path) {
                Ok(_left) => {
                    // Of a worker that was killed. If it stays, it is found again.
                    let _ = fs::remove_file(&path);
                }
                Err(LockError::Held { .. }) => claimed.push(hidden),
                Err(error) => return Err(io(error)),
            }
        }
        Ok(claimed)
    }

    /// Removes what killed workers left of these images.
    fn clear(&self, series: &str, free: &[Range<u64>]) -> Result<()> {
        for (range, path) in self.hidden(series, ".partial")? {
            if free.iter().any(|free| free.start < range.end && range.start < free.end) {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(ShardError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Hidden files of a series with this ending, and their ranges.
    fn hidden(&self, series: &str, ending: &str) -> Result<Vec<(Range<u64>, PathBuf)>> {
        let hidden = |(file, path): (String, PathBuf)| {
            let range = name::range(file.strip_prefix('.')?)?;
            file.ends_with(ending).then_some((range, path))
        };
        Ok(self.names(series)?.into_iter().filter_map(hidden).collect())
    }

    /// Keeps every worker out as long as the value lives.
    ///
    /// # Errors
    /// If a worker is at work.
    pub fn lock_for_merge(&self) -> Result<Lock> {
        let lock = lock(&self.root)?;
        for series in &self.record.series {
            if let Some(busy) = self.claimed(series, &(0..u64::MAX))?.first() {
                return Err(ShardError::Refused(format!(
                    "a worker is making images {} of {}; let it finish, or end it, and repeat `nextscale merge`",
                    name::of_range(busy),
                    self.root.display()
                )));
            }
        }
        Ok(lock)
    }
}

/// What is left of ranges without others, ascending.
fn without(ranges: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut others: Vec<&Range<u64>> = others.iter().collect();
    others.sort_by_key(|range| range.start);
    let mut left = Vec::new();
    for range in ranges {
        let mut next = range.start;
        for other in &others {
            if other.start >= range.end {
                break;
            }
            if next < other.start {
                left.push(next..other.start);
            }
            next = next.max(other.end);
        }
        if next < range.end {
            left.push(next..range.end);
        }
    }
    left
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one range is meant
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{make, open};

    fn ranges(claims: &Claims) -> Vec<Range<u64>> {
        claims.mine.iter().map(|claim| claim.range.clone()).collect()
    }

    #[test]
    fn what_is_made_or_being_made_is_not_claimed_and_another_cut_keeps_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out/shards");
        let (first, second) = (open(&root), open(&root));
        let claims = first.claim("images", 0..50).unwrap();
        assert_eq!((ranges(&claims), claims.done, claims.elsewhere), (vec![0..50], 0, 0));
        make(&first, 0..8);
        // Another cut, while the first is at work: only what is left.
        let other = second.claim("images", 30..70).unwrap();
        assert_eq!((ranges(&other), other.done, other.elsewhere), (vec![50..70], 0, 20));
        let again = second.claim("images", 0..50).unwrap();
        assert_eq!((again.count(), again.done, again.elsewhere), (0, 8, 42));
        drop((claims, other));
        let third = second.claim("images", 0..100).unwrap();
        assert_eq!((ranges(&third), third.done), (vec![8..100], 8));
        assert!(second.lock_for_merge().unwrap_err().to_string().contains("images 00008-00099"));
        drop(third);
        make(&second, 20..30);
        let holes = first.claim("images", 0..40).unwrap();
        assert_eq!((ranges(&holes), holes.count(), holes.done), (vec![8..20, 30..40], 22, 18));
        drop(holes);
        let pieces = first.pieces("images").unwrap();
        assert_eq!(pieces.iter().map(|piece| piece.range.clone()).collect::<Vec<_>>(), [0..8, 20..30]);
        let _merging = first.lock_for_merge().unwrap();
    }

    #[test]
    fn what_a_killed_worker_left_is_cleared_by_who_makes_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out/shards");
        let folder = open(&root);
        let images = root.join("images");
        for left in [".00000-00007.partial", ".00060-00067.partial"] {
            fs::create_dir(images.join(left)).unwrap();
            fs::write(images.join(left).join("00000.png"), b"half").unwrap();
        }
        fs::write(images.join(".00000-00049.lock"), b"").unwrap();
        let claims = folder.claim("images", 0..50).unwrap();
        assert_eq!(claims.count(), 50);
        assert!(!images.join(".00000-00007.partial").exists());
        assert!(images.join(".00060-00067.partial").exists());
        drop(claims);
        assert!(!images.join(".00000-00049.lock").exists());
    }

    proptest! {
        #[test]
        fn what_is_left_and_the_others_are_all(
            others in prop::collection::vec((0_u64..60, 1_u64..20), 0..8),
            start in 0_u64..60, length in 0_u64..40,
        ) {
            let others: Vec<Range<u64>> = others.iter().map(|&(start, length)| start..start + length).collect();
            let whole = start..start + length;
            let left = without(std::slice::from_ref(&whole), &others);
            for image in 0..120 {
                let is = |ranges: &[Range<u64>]| ranges.iter().filter(|range| range.contains(&image)).count();
                let expected = usize::from(whole.contains(&image) && is(&others) == 0);
                prop_assert_eq!(is(&left), expected);
            }
        }
    }
}
