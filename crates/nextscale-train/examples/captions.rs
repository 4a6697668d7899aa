//! Prints the captions of a data set's images: the thresholds, how many images each word holds for, and
//! captions of the first images. `cargo run -p nextscale-train --example captions -- FOLDER_OF_CIFAR10`.

use std::{collections::BTreeMap, path::PathBuf};

use nextscale_train::{
    captions::{Captioner, Measures},
    data::Source,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give the folder of a data set")?);
    let dataset = Source::find(&folder).ok_or("the folder holds no known data set")?.load()?;
    let captioner = Captioner::new(&dataset, 0);
    println!("{:?}", captioner.thresholds());
    let mut words = BTreeMap::<String, [usize; 2]>::new();
    for (split, images) in [&dataset.train, &dataset.test].into_iter().enumerate() {
        for index in 0..images.len() {
            let attributes = captioner.thresholds().attributes(&Measures::of_image(images, index));
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
        println!("{index}: {} | {}", captioner.caption(index, 0), captioner.caption(index, 1));
    }
    Ok(())
}
