//! Judges' rows for a cell's images.

use std::sync::Arc;

use crate::images::Images;
use crate::judge::{Judge, Rows};
use crate::plan::Pixels;
use crate::store::{CHUNK, Shelf, Store, chunks};
use crate::{Error, Result};

/// The images of a cell that are measured together.
#[derive(Debug, Clone)]
pub struct Set<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// The cell's id.
    pub cell: &'a str,
    /// The filter applied to them.
    pub pixels: Pixels,
    /// The seeds.
    pub seeds: &'a [u64],
    /// Images per seed.
    pub samples: u64,
    /// What they show, repeating; empty if unknown.
    pub shows: Arc<[Arc<str>]>,
}

/// A judge's condensed rows for a set, chunk by chunk, seed by seed.
pub fn rows<'a>(set: Set<'a>, judge: &'a dyn Judge) -> impl Iterator<Item = Result<Rows>> + 'a {
    let key = key(judge, set.pixels);
    set.seeds.iter().flat_map(move |&seed| {
        let (shelf, key) = (set.store.shelf(set.cell, seed), key.clone());
        let all = Arc::clone(&set.shows);
        chunks(set.samples).map(move |(chunk, wanted)| {
            let rows = shelf.rows(chunk, &key, wanted)?;
            let first = chunk * CHUNK;
            let shows = all.iter().cycle().skip((first % all.len().max(1) as u64) as usize);
            let shows = shows.take(rows.count()).cloned().collect();
            judge.condense(Rows { shows, ..rows })
        })
    })
}

/// Judges the images on disk that have no rows yet, if a measure changed after they were generated.
///
/// # Errors
/// If images are missing or damaged.
pub fn catch_up(set: &Set<'_>, judge: &dyn Judge) -> Result<()> {
    let &Set { store, cell, pixels, seeds, samples, .. } = set;
    let key = key(judge, pixels);
    for &seed in seeds {
        let shelf = store.shelf(cell, seed);
        for (chunk, wanted) in chunks(samples) {
            if shelf.row_count(chunk, &key)? >= wanted {
                continue;
            }
            let images = shelf.images(chunk)?.filter(|images| images.count() as u64 >= wanted);
            let images = images.ok_or_else(|| {
                let folder = store.cell(cell);
                Error::Folder(format!(
                    "{} lacks images; run the same `nextscale ablate` again",
                    folder.display()
                ))
            })?;
            look(&shelf, chunk, images.first(wanted as usize), pixels, &[judge])?;
        }
    }
    Ok(())
}

/// What a judge's rows depend on, besides the generated images.
pub(super) fn key(judge: &dyn Judge, pixels: Pixels) -> String {
    format!("{} · {pixels}", judge.rows_protocol())
}

/// Passes the images of a chunk to every judge that has no rows for them.
pub(super) fn look(
    shelf: &Shelf,
    chunk: u64,
    images: Images,
    pixels: Pixels,
    judges: &[&dyn Judge],
) -> Result<()> {
    let wanted = images.count() as u64;
    let images = pixels.apply(images);
    for judge in judges {
        let key = key(*judge, pixels);
        if shelf.row_count(chunk, &key)? < wanted {
            let rows = judge.look(&images)?;
            if rows.values.iter().any(|value| !value.is_finite()) {
                let message = format!("an image of chunk {chunk} gives a value that is not finite");
                return Err(Error::measure(judge.protocol(), message));
            }
            shelf.write_rows(chunk, &key, &rows)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::PixelJudge;

    #[test]
    fn rows_come_with_what_their_images_show() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("out")).unwrap();
        let (seeds, samples) = ([4, 7], CHUNK + 3);
        for seed in seeds {
            for (chunk, count) in chunks(samples) {
                let images = Images::new(2, 2, vec![seed as u8; count as usize * 12]).unwrap();
                store.shelf("cell", seed).write_images(chunk, &images).unwrap();
            }
        }
        let named = |shows: &[&str]| Set {
            store: &store,
            cell: "cell",
            pixels: Pixels::AsTheyAre,
            seeds: &seeds,
            samples,
            shows: shows.iter().map(|&shows| Arc::from(shows)).collect(),
        };
        let three = named(&["cat", "dog", "ship"]);
        catch_up(&three, &PixelJudge).unwrap();
        let blocks: Vec<Rows> = rows(three, &PixelJudge).collect::<Result<_>>().unwrap();
        let counts: Vec<usize> = blocks.iter().map(Rows::count).collect();
        assert_eq!(counts, [CHUNK as usize, 3, CHUNK as usize, 3]);
        // Every seed begins with the first condition, and its second chunk continues where its first ended:
        // 200 = 2 mod 3.
        for (block, first) in
            blocks.iter().zip([["cat", "dog"], ["ship", "cat"], ["cat", "dog"], ["ship", "cat"]])
        {
            assert_eq!(block.shows.len(), block.count());
            assert_eq!([&*block.shows[0], &*block.shows[1]], first);
        }
        assert!(rows(named(&[]), &PixelJudge).all(|block| block.unwrap().shows.is_empty()));
    }
}
