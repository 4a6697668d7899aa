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
