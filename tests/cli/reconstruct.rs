use super::program::Place;

#[test]
fn images_come_back_through_the_tokens_of_the_model_whatever_the_batch() {
    let place = Place::new();
    place.config(
        "run.ron",
        "condition: PerClass(1), guidance: Conditional, sampling: TopKTopP(top_k: 20), npz: true",
    );
    let made = place.run(&["generate", "run.ron"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let bytes = |batch: &str, out: &str| {
        let ran = place.run(&["reconstruct", "run.ron", "run", "--out", out, "--batch", batch]);
        assert_eq!((ran.code, ran.out), (Some(0), format!("wrote {out}: 10 images\n")), "{}", ran.err);
        std::fs::read(place.path(out)).unwrap()
    };
    let once = bytes("3", "a.npz");
    // A file that only names the model is enough.
    let config = std::fs::read_to_string(place.path("run.ron")).unwrap();
    let (model, _) = config.split_once(",\n").unwrap();
    std::fs::write(place.path("model.ron"), format!("{model})")).unwrap();
    let alone = place.run(&["reconstruct", "model.ron", "run", "--out", "alone.npz"]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert!(std::fs::read(place.path("alone.npz")).unwrap() == once);
    std::fs::write(place.path("none.ron"), "(modle: 1)").unwrap();
    let none = place.run(&["reconstruct", "none.ron", "run", "--out", "none.npz"]);
    assert!(none.code == Some(2) && none.err.contains("model"), "{none:?}");
    assert!(once == bytes("1", "b.npz") && once == bytes("50", "c.npz"));
    let given =
        place.files().into_iter().find(|file| file.starts_with("run/") && file.ends_with(".npz")).unwrap();
    assert_ne!(
        std::fs::read(place.path(&given)).unwrap(),
        once,
        "a tokenizer with random weights changes images"
    );
}

#[test]
fn images_of_another_size_and_sources_that_are_none_are_refused_and_leave_nothing() {
    let place = Place::new();
    place.config("run.ron", "condition: PerClass(1), guidance: Conditional");
    std::fs::create_dir(place.path("small")).unwrap();
    let png = |name: &str| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(4, 4).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        std::fs::write(place.path(name), bytes.into_inner()).unwrap();
    };
    png("small/a.png");
    for (source, told) in [("small", "4 × 4 pixels"), ("none", "none")] {
        let ran = place.run(&["reconstruct", "run.ron", source, "--out", "out.npz"]);
        assert!(matches!(ran.code, Some(1 | 2)) && ran.err.contains(told), "{ran:?}");
        assert!(!place.path("out.npz").exists());
    }
}

#[test]
fn a_tokenizers_weights_do_in_place_of_a_model() {
    let place = Place::new();
    std::fs::create_dir(place.path("photos")).unwrap();
    for (i, name) in ["a.png", "b.png"].into_iter().enumerate() {
        let image =
            image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([8 * x as u8, 8 * y as u8, 99 * i as u8]));
        image.save(place.path("photos").join(name)).unwrap();
    }
    std::fs::write(place.path("shipped.ron"), "(model: Shipped(\"cifar10\"))").unwrap();
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/models/cifar10/tokenizer.safetensors");
    let of_model = place.run(&["reconstruct", "shipped.ron", "photos", "--out", "a.npz"]);
    let of_weights = place.run(&["reconstruct", weights, "photos", "--out", "b.npz"]);
    assert_eq!((of_model.code, of_weights.code), (Some(0), Some(0)), "{}{}", of_model.err, of_weights.err);
    let bytes = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert!(bytes("a.npz") == bytes("b.npz"));

    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/models/cifar10/marginal.safetensors");
    let none = place.run(&["reconstruct", other, "photos", "--out", "none.npz"]);
    assert!(none.code == Some(2) && none.err.contains("marginal.safetensors"), "{none:?}");
    assert!(!place.path("none.npz").exists());
}
