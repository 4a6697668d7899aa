//! Prints the captions of a data set's images: the thresholds, how many images each word holds for, and
//! captions of the first images. `cargo run -p nextscale-train --example captions -- FOLDER_OF_CIFAR10`; with
//! a number after the folder it prints that many captions of test images only, one per line, as
//! `Prompts(file: ..)` takes them.

use std::{collections::BTreeMap, path::PathBuf};

use nextscale_train::{
    captions::{Captioner, Measures},
    data::{Source, View},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give the folder of a data set")?);
    let dataset = Source::find(&folder).ok_or("the folder holds no known data set")?.load()?;
    let captioner = Captioner::new(&dataset, 0);
    if let Some(count) = std::env::args().nth(2) {
        let test = &dataset.test;
        let caption = |index: usize| captioner.caption(test, index % test.len(), View::default(), 0);
        (0..count.parse()?).map(caption).for_each(|caption| println!("{caption}"));
        return Ok(());
    }
    println!("{:?}", captioner.thresholds());
    let mut words = BTreeMap::<String, [usize; 2]>::new();
    for (split, images) in [&dataset.train, &dataset.test].into_iter().enumerate() {
        for index in 0..images.len() {
            let attributes =
                captioner.thresholds().attributes(&Measures::of_image(images, index, View::default()));
            let colour = attributes.colour.word();
            let clear = if attributes.clear { colour.to_owned() } else { format!("({colour}, unclear)") };
            let said = [Some(&*clear), attributes.brightness.word(), attributes.warmth.word()];
            for word in said.into_iter().flatten() {
                words.entry(word.to_owned()).or_default()[split] += 1;
            }
        }
    }
    for (word, [train, test]) in words {
        let share = |count: usize, all: usize| 100.0 * count as f64 / all as f64;
        println!(
            "{word:20} {:5.1} % {:5.1} %",
            share(train, dataset.train.len()),
            share(test, dataset.test.len())
        );
    }
    for index in 0..dataset.train.len().min(24) {
        let caption = |turn| captioner.caption(&dataset.train, index, View::default(), turn);
        println!("{index}: {} | {}", caption(0), caption(1));
    }
    Ok(())
}
