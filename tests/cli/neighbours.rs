use super::program::Place;

/// Noise that differs with `seed`.
fn picture(seed: u32) -> image::RgbImage {
    image::RgbImage::from_fn(8, 8, |x, y| {
        let value = (seed * 4096 + y * 64 + x).wrapping_mul(2_654_435_761).to_le_bytes();
        image::Rgb([value[1], value[2], value[3]])
    })
}

fn put(place: &Place, name: &str, seed: u32) {
    let path = place.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture(seed).save_with_format(path, image::ImageFormat::Png).unwrap();
}

#[test]
fn a_copy_is_found_at_no_distance_and_stands_beside_its_image() {
    let place = Place::new();
    for i in 0..9 {
        put(&place, &format!("set/train/{}/{i}.png", ["a", "b"][i as usize / 5]), i);
        put(&place, &format!("set/test/a/{i}.png"), 100 + i);
    }
    // A copy of training image 7, between two others.
    for (i, seed) in [50, 7, 51].into_iter().enumerate() {
        put(&place, &format!("made/{i}.png"), seed);
    }
    let search = |data: &str, out: &str, more: &[&str]| {
        let ran = place.run(&[&["neighbours", "made", "--data", data, "--out", out], more].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
    };
    let set = "Folder(root: \"set\", size: 8)";
    let said = search(set, "a.png", &["--count", "2"]);
    assert!(said.contains("\n00001   0.000 (7)  "), "{said}");
    assert!(said.contains("held-out images") && said.contains("(n = 9)"), "{said}");
    assert_eq!(search(set, "b.png", &["--count", "2"]), said.replace("a.png", "b.png"));
    let bytes = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert!(bytes("a.png") == bytes("b.png"));
    // Images without splits are training images too, without a yardstick.
    let said = search("set/train", "c.png", &["--count", "2"]);
    assert!(said.contains("\n00001   0.000 (7)  ") && !said.contains("held-out"), "{said}");
    assert!(bytes("c.png") == bytes("a.png"));
    let sheet = image::load_from_memory(&bytes("a.png")).unwrap().into_rgb8();
    assert_eq!(sheet.dimensions(), (3 * 68 + 4, 3 * 68 + 4));
    let cell =
        |column: u32| -> Vec<_> { (0..64).map(|i| *sheet.get_pixel(4 + column * 68 + i, 72 + 5)).collect() };
    assert_eq!(cell(0), cell(1));
    assert_ne!(cell(0), cell(2));
    let few = search(set, "d.png", &["--images", "2", "--count", "1"]);
    assert!(few.contains("\n00000 ") && few.contains("\n00001 ") && !few.contains("\n00002 "), "{few}");
}

#[test]
fn what_cannot_be_searched_is_named_and_leaves_nothing() {
    let place = Place::new();
    put(&place, "made/0.png", 1);
    for mistake in [["none", "made", "a.png"], ["made", "none", "a.png"], ["made", "made", "missing/a.png"]] {
        let [images, data, out] = mistake;
        let ran = place.run(&["neighbours", images, "--data", data, "--out", out]);
        let named = mistake.iter().any(|word| *word != "made" && *word != "a.png" && ran.err.contains(word));
        assert!(matches!(ran.code, Some(1 | 2)) && named, "{ran:?}");
    }
    assert_eq!(place.files(), ["made/0.png"]);
}
