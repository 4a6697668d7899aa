//! Data and comparisons shared by all trainings here.

use std::path::{Path, PathBuf};

use nextscale_train::data::Source;
use nextscale_train::random::uniform;
use nextscale_train::{Options, Training};

/// Smooth random images in CIFAR-10's binary batches.
pub fn data(root: &Path) -> Source {
    for (b, batch) in
        ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
            .iter()
            .enumerate()
    {
        let mut bytes = Vec::new();
        for image in 0..4u64 {
            bytes.push((image % 2) as u8);
            for i in 0..3072u64 {
                let (y, x) = (i / 32 % 32, i % 32);
                let level = uniform(&[b as u64, image, i / 1024, y / 16, x / 16]);
                bytes.push((255.0 * level) as u8);
            }
        }
        std::fs::write(root.join(format!("{batch}.bin")), bytes).unwrap();
    }
    Source::Cifar10(root.to_owned())
}

pub fn training() -> Training {
    Training { learning_rate: 2e-3, ema: 0.5, log_every: 3, sample_every: 4, ..Training::default() }
}

pub fn options(out: PathBuf) -> Options {
    Options { quiet: true, resume: true, ..Options::new(out) }
}

/// The log without its last two columns, which are a speed and a time.
pub fn losses(out: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(out.join("log.csv")).unwrap();
    text.lines().map(|line| line.rsplitn(3, ',').last().unwrap().to_owned()).collect()
}

/// A column of the log.
pub fn column(out: &Path, name: &str) -> Vec<f64> {
    let rows = losses(out);
    let place = rows[0].split(',').position(|column| column == name).unwrap();
    rows[1..].iter().map(|row| row.split(',').nth(place).unwrap().parse().unwrap()).collect()
}

pub fn assert_same(straight: &Path, resumed: &Path, files: &[&str]) {
    assert_eq!(losses(straight), losses(resumed));
    for file in files {
        let bytes = |out: &Path| std::fs::read(out.join(file)).unwrap();
        assert!(bytes(straight) == bytes(resumed), "{file} differs");
    }
}
