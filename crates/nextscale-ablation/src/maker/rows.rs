//! What judges saw in a cell's images.

use crate::images::Images;
use crate::judge::{Judge, Rows};
use crate::plan::Pixels;
use crate::store::{Shelf, Store, chunks};
use crate::{Error, Result};

/// What a judge saw in the images of a cell on some seeds, chunk by chunk, seed after seed.
pub fn rows<'a>(
    store: &'a Store,
    cell: &'a str,
    pixels: Pixels,
    judge: &dyn Judge,
    seeds: &'a [u64],
    samples: u64,
) -> impl Iterator<Item = Result<Rows>> + 'a {
    let key = key(judge, pixels);
    seeds.iter().flat_map(move |&seed| {
        let (shelf, key) = (store.shelf(cell, seed), key.clone());
        chunks(samples).map(move |(chunk, wanted)| shelf.rows(chunk, &key, wanted))
    })
}

/// Has a judge look at the images on disk that it has not seen: where a measure changed since they were made.
///
/// # Errors
/// If images are missing or damaged.
pub fn catch_up(
    store: &Store,
    cell: &str,
    pixels: Pixels,
    judge: &dyn Judge,
    seeds: &[u64],
    samples: u64,
) -> Result<()> {
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

/// What a judge's rows depend on, besides the images that were made.
pub(super) fn key(judge: &dyn Judge, pixels: Pixels) -> String {
    format!("{} · {pixels}", judge.rows_protocol())
}

/// Has every judge look at the images of a chunk that it has not seen.
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
