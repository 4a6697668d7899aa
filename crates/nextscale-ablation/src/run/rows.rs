use super::maker::{key, look};
use crate::judge::{Judge, Rows};
use crate::plan::Pixels;
use crate::store::{Store, chunks};
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
