use super::program::Place;

const THREE: &str = "condition: Labels([3, 1, 4]),
    variants: [
        (\"cfg\", Cfg(scale: Ramp(1.5))),
        (\"cfg + ssg\", Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: 0.5)),
        (\"ssg\", Ssg(prior: Bilinear, beta: 0.5)),
    ],
    sampling: TopKTopP(top_k: 20, top_p: 0.9),
    batch: 2";

#[test]
fn every_rule_has_a_row_and_every_ssg_a_share() {
    let place = Place::new();
    place.config("run.ron", THREE);
    let ran = place.run(&["bench", "run.ron", "--runs", "2", "--images", "3", "--json", "bench.json"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{}", ran.out);
    assert_eq!(place.files(), ["bench.json", "run.ron"]);
    // Without its numbers.
    let is_word = |word: &&str| word.trim_matches(['(', ')', ':']).parse::<f64>().is_err() && *word != "%";
    let words = |line: &str| line.split_whitespace().filter(is_word).collect::<Vec<_>>().join(" ");
    let told: Vec<String> = ran.out.lines().skip(4).map(words).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert!(ran.out.contains("3 images of 64 × 64 pixels, 2 at once; 2 runs of each rule"), "{}", ran.out);

    let json = std::fs::read_to_string(place.path("bench.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<&str> =
        json["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cfg", "cfg + ssg", "ssg", "ssg without SSG"]);
    for row in json["rows"].as_array().unwrap() {
        let seconds = |part: &str| row["seconds"][part]["median"].as_f64().unwrap();
        let parts = ["backbone", "guidance", "sampling", "canvas", "decoding", "rest"].map(seconds);
        assert!(parts.iter().all(|&seconds| seconds >= 0.0) && seconds("backbone") > 0.0);
        assert!(seconds("whole") > seconds("backbone") + seconds("decoding"));
        assert!(row["images_per_second"]["max"].as_f64() >= row["images_per_second"]["min"].as_f64());
    }
    assert_eq!(json["ssg"][0]["without"], "cfg");
    assert_eq!((&json["images"], &json["batch"], &json["runs"]), (&3.into(), &2.into(), &2.into()));
}

#[test]
fn the_shipped_model_is_measured_without_a_config() {
    let place = Place::new();
    let ran = place.run(&["bench", "--runs", "1", "--warmup", "0", "--images", "1"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{}", ran.out);
    assert!(ran.out.starts_with("Shipped(\"cifar10\") on cpu"), "{}", ran.out);
    assert!(ran.out.contains("of `ssg over cfg` is"), "{}", ran.out);
    assert!(place.files().is_empty());
}

#[test]
fn what_cannot_be_measured_is_answered_with_the_remedy() {
    let place = Place::new();
    place.config("run.ron", THREE);
    place.config("away.ron", "condition: Labels([3]), guidance: Autoguidance(weak: \"weak\", weight: 1.0)");
    let mistakes: [&[&str]; 12] = [
        &["bench", "none.ron"],
        &["bench", "run.ron", "--runs", "0"],
        &["bench", "run.ron", "--set", "variants[0].1.beta=1"],
        &["bench", "--random", "17"],
        &["bench", "--random", "16", "--scales", "1,3,2"],
        &["bench", "--random", "16", "--vocabulary", "0"],
        &["bench", "run.ron", "--scales", "1,2"],
        &["bench", "run.ron", "--json", "nowhere/bench.json"],
        &["bench", "run.ron", "--guide", "weak=16"],
        &["bench", "away.ron", "--random", "16"],
        &["bench", "away.ron", "--random", "16", "--guide", "weak"],
        &["bench", "away.ron", "--random", "16", "--guide", "weak=infinity-125m"],
    ];
    let told = place.usage_errors(&mistakes);
    assert_eq!(place.files(), ["away.ron", "run.ron"]);
    insta::assert_snapshot!(told);
}
