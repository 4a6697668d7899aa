use super::maker::key;
use crate::Result;
use crate::judge::{Judge, Rows};
use crate::plan::Pixels;
use crate::store::{Store, chunks};

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
