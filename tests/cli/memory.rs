//! Commands that measure a data set read it batch by batch: their memory does not grow with the number of its images.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::RgbImage;

use super::program::Place;

/// What the peak may differ by, in bytes: allocators and threads do not use exactly the same every time. The pixels of the
/// images that are more are at least twice as many.
const LEEWAY: u64 = 24 << 20;

/// The peak resident memory of a run, in bytes.
fn peak(place: &Place, arguments: &[&str]) -> u64 {
    let errors = place.path("errors");
    let mut command = place.command(arguments);
    command.env("RAYON_NUM_THREADS", "2").stdout(Stdio::null()).stderr(File::create(&errors).unwrap());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The mark is gone as soon as the process has ended, so it is read until then.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        peak = mark.map_or(peak, |kilobytes| kilobytes.trim().parse::<u64>().unwrap() * 1024);
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(
                ended.success() && peak > 0,
                "{arguments:?}: {}",
                std::fs::read_to_string(&errors).unwrap()
            );
            return peak;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Compares the peaks for a few images and for many, each of `bytes`.
fn is_flat(place: &Place, [few, many]: [(usize, Vec<&str>); 2], bytes: usize) {
    assert!((many.0 - few.0) * bytes >= 2 * LEEWAY as usize);
    let (before, after) = (peak(place, &few.1), peak(place, &many.1));
    assert!(
        after <= before + LEEWAY,
        "{:?}: {} MB for {} images, {} MB for {}",
        many.1,
        before >> 20,
        few.0,
        after >> 20,
        many.0
    );
}

/// All images of a set are read to find one that is in the middle, and a network sees only that.
fn searched<'a>(set: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["neighbours", set, "--data", "few", "--images", "1", "--count", "1", "--out", out]
}

fn place_with_few() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("few")).unwrap();
    RgbImage::new(32, 32).save(place.path("few/0.png")).unwrap();
    place
}

/// Training images of the small and of the large set, in five files.
const COUNTS: [usize; 2] = [4_000, 21_000];

#[test]
fn of_cifar_10_in_binary_batches() {
    let place = place_with_few();
    for (folder, count) in ["a", "b"].into_iter().zip(COUNTS) {
        std::fs::create_dir(place.path(folder)).unwrap();
        let write = |name: &str, count: usize| {
            let path = place.path(&format!("{folder}/{name}.bin"));
            // Zeros, of label 0.
            File::create(path).unwrap().set_len((count * 3073) as u64).unwrap();
        };
        (1..6).for_each(|batch| write(&format!("data_batch_{batch}"), count / 5));
        write("test_batch", 1);
    }
    let [a, b] = ["Train(Cifar10(\"a\"))", "Train(Cifar10(\"b\"))"];
    is_flat(&place, [(COUNTS[0], searched(a, "a.png")), (COUNTS[1], searched(b, "b.png"))], 3072);
}

#[test]
fn of_cifar_10_in_png_batches() {
    let place = place_with_few();
    for (folder, count) in ["a", "b"].into_iter().zip(COUNTS) {
        std::fs::create_dir(place.path(folder)).unwrap();
        let write = |name: &str, count: usize| {
            RgbImage::new(1024, count as u32).save(place.path(&format!("{folder}/{name}.png"))).unwrap();
        };
        (1..6).for_each(|batch| write(&format!("data_batch_{batch}"), count / 5));
        write("test_batch", 1);
        for (name, count) in [("train", count), ("test", 1)] {
            let labels = serde_json::to_string(&vec![0; count]).unwrap();
            std::fs::write(place.path(&format!("{folder}/{name}_lables.json")), labels).unwrap();
        }
    }
    let [a, b] = ["Train(Cifar10(\"a\"))", "Train(Cifar10(\"b\"))"];
    is_flat(&place, [(COUNTS[0], searched(a, "a.png")), (COUNTS[1], searched(b, "b.png"))], 3072);
}

#[test]
fn of_gzipped_fashion_mnist() {
    let place = place_with_few();
    for (folder, count) in ["a", "b"].into_iter().zip(COUNTS) {
        std::fs::create_dir(place.path(folder)).unwrap();
        for (split, count) in [("train", count), ("t10k", 1)] {
            for (name, sizes) in [("images-idx3", vec![count, 28, 28]), ("labels-idx1", vec![count])] {
                let path = place.path(&format!("{folder}/{split}-{name}-ubyte.gz"));
                let mut file = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
                file.write_all(&[0, 0, 8, sizes.len() as u8]).unwrap();
                for &size in &sizes {
                    file.write_all(&(size as u32).to_be_bytes()).unwrap();
                }
                file.write_all(&vec![0; sizes.iter().product()]).unwrap();
                file.finish().unwrap();
            }
        }
    }
    let [a, b] = ["Train(FashionMnist(\"a\"))", "Train(FashionMnist(\"b\"))"];
    is_flat(&place, [(COUNTS[0], searched(a, "a.png")), (COUNTS[1], searched(b, "b.png"))], 3072);
}

/// The whole way, with the network, of images that are decoded and resized.
#[test]
fn of_a_folder_whose_statistics_are_saved() {
    let place = Place::new();
    for (folder, count) in [("a", 64), ("b", 320)] {
        for split in ["train", "test"] {
            std::fs::create_dir_all(place.path(&format!("{folder}/{split}/x"))).unwrap();
        }
        let first = place.path(&format!("{folder}/test/x/0.png"));
        RgbImage::from_fn(8, 8, |x, y| image::Rgb([x as u8 * 30, y as u8 * 30, 9])).save(&first).unwrap();
        for i in 0..count {
            std::fs::hard_link(&first, place.path(&format!("{folder}/train/x/{i}.png"))).unwrap();
        }
    }
    let [a, b] = ["Train(Folder(root: \"a\", size: 256))", "Train(Folder(root: \"b\", size: 256))"];
    let saved = |set, file| vec!["evaluate", set, "--save-statistics", file];
    let (few, many) = (saved(a, "a.safetensors"), saved(b, "b.safetensors"));
    is_flat(&place, [(64, few), (320, many)], 3 * 256 * 256);
}
