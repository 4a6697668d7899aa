//! The book's example of a training, for a few steps.

use std::path::Path;

use super::program::Place;

/// Fashion-MNIST's files, of `train` and `test` images whose brightness is their class.
fn fashion_mnist(folder: &Path, [train, test]: [u32; 2]) {
    std::fs::create_dir(folder).unwrap();
    for (name, images) in [("train", train), ("t10k", test)] {
        let write = |kind: &str, sizes: &[u32], bytes: Vec<u8>| {
            let axes = sizes.len();
            let mut file = vec![0, 0, 8, axes as u8];
            file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
            file.extend(bytes);
            std::fs::write(folder.join(format!("{name}-{kind}-idx{axes}-ubyte")), file).unwrap();
        };
        let classes: Vec<u8> = (0..images).map(|i| (i % 10) as u8).collect();
        let pixels = classes.iter().flat_map(|class| (0..784).map(move |i| class * 20 + (i % 28) as u8));
        write("images", &[images, 28, 28], pixels.collect());
        write("labels", &[images], classes);
    }
}

#[test]
fn the_example_of_the_book_trains_and_its_model_draws() {
    let place = Place::new();
    fashion_mnist(&place.path("data"), [40, 10]);
    let data = format!("data=FashionMnist({:?})", place.path("data"));
    let train = |what: &str, more: &[&str]| {
        let config = format!("{}/configs/train/fashion-mnist-{what}.ron", env!("CARGO_MANIFEST_DIR"));
        let mut arguments = vec!["train", what, &config, "--out", what, "--set", &data, "--set", "batch=4"];
        arguments.extend(more);
        let ran = place.run(&arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.contains("test split: ") || ran.out.contains("test split: "), "{ran:?}");
    };
    train("tokenizer", &["--set", "steps=4", "--set", "unquantised_steps=2"]);
    let tokenizer = format!("tokenizer={:?}", place.path("tokenizer/tokenizer.safetensors"));
    train("backbone", &["--set", "steps=3", "--set", &tokenizer]);

    let config = format!("{}/configs/fashion-mnist.ron", env!("CARGO_MANIFEST_DIR"));
    let of = |part: &str| format!("model.{part}={:?}", place.path(&format!("{part}/{part}.safetensors")));
    let (tokenizer, backbone) = (of("tokenizer"), of("backbone"));
    let ran = place.run(&["generate", &config, "--out", "drawn", "--set", &tokenizer, "--set", &backbone]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(place.path("drawn/grid.png").is_file(), "{:?}", place.files());
}

fn classifier(place: &Place, text: &str) {
    for (split, class, level) in
        [("train", "a", 20), ("train", "b", 200), ("test", "a", 30), ("test", "b", 180)]
    {
        let path = place.path(&format!("set/{split}/{class}/x.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(8, 8, image::Rgb([level; 3])).save(path).unwrap();
    }
    let text = format!("(data: Folder(root: \"set\", size: 8), channels: 8, stages: 1, {text})");
    std::fs::write(place.path("run.ron"), text).unwrap();
}

#[test]
fn a_stop_and_a_resumption_say_at_which_step_and_time_goes_on() {
    let place = Place::new();
    classifier(&place, "batch: 2, steps: 3, training: (log_every: 1)");
    let train = ["train", "classifier", "run.ron", "--out", "out"];
    let stopped = place.run(&[&train[..], &["--minutes", "0"]].concat());
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert!(stopped.err.contains("stopped after step 1 of 3; --resume continues from there"), "{stopped:?}");
    assert!(!stopped.err.contains("batch:"), "{stopped:?}");
    let again = place.run(&train);
    assert!(again.code == Some(2) && again.err.contains("after step 1;"), "{again:?}");
    let resumed = place.run(&[&train[..], &["--resume"]].concat());
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert!(resumed.err.contains("resumed from the checkpoint, after step 1 of 3"), "{resumed:?}");
    let log = std::fs::read_to_string(place.path("out/log.csv")).unwrap();
    assert!(log.lines().next().unwrap().ends_with(",images_per_second,seconds"), "{log}");
    let seconds = log.lines().skip(1).map(|row| row.rsplit(',').next().unwrap().parse::<f64>().unwrap());
    assert!(seconds.is_sorted_by(|a, b| a < b), "{log}");
    let fresh = place.run(&["train", "classifier", "run.ron", "--out", "new", "--resume"]);
    assert!(fresh.code == Some(0) && fresh.err.contains("new holds no checkpoint"), "{fresh:?}");
}

#[test]
fn a_batch_larger_than_the_data_is_told() {
    let place = Place::new();
    classifier(&place, "batch: 5, steps: 1");
    let ran = place.run(&["train", "classifier", "run.ron", "--out", "out"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("a step takes 5 images and the training split has 2"), "{ran:?}");
}

#[test]
fn heads_that_do_not_divide_name_the_config() {
    let place = Place::new();
    classifier(&place, "batch: 2, steps: 1");
    let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/models/cifar10/tokenizer.safetensors");
    let text = format!(
        "(data: Folder(root: \"set\", size: 32), tokenizer: {tokenizer:?}, steps: 1, batch: 2, model: (depth: 1, width: 8, heads: 3))"
    );
    std::fs::write(place.path("backbone.ron"), text).unwrap();
    let ran = place.run(&["train", "backbone", "backbone.ron", "--out", "out"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("backbone.ron: heads: 3 does not divide the width 8"), "{ran:?}");
}
