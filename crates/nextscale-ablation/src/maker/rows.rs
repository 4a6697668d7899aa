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
                let message = format!("an image of chunk {chunk} comes to a value that is no finite number");
                return Err(Error::measure(judge.protocol(), message));
            }
            shelf.write_rows(chunk, &key, &rows)?;
        }
    }
    Ok(())
}
