use super::program::Place;

#[test]
fn losses_of_a_log_become_lines_and_held_out_ones_rings() {
    let place = Place::new();
    let log = "step,loss,scale_0,scale_1,gradient_norm,learning_rate,images_per_second\n\
               25,6.8,6.9,6.7,0.5,0.001,20\n50,6.4,6.2,6.5,0.5,0.001,20\n75,6.1,5.9,6.2";
    std::fs::write(place.path("log.csv"), log).unwrap();
    let draw = |rest: &[&str]| place.run(&[&["curves", "log.csv", "--out", "a.svg"], rest].concat());
    let ran = draw(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "wrote a.svg: 3 lines over 2 rows\n"), "{ran:?}");
    let text = || std::fs::read_to_string(place.path("a.svg")).unwrap();
    assert!(text().contains("scale_1") && !text().contains("gradient_norm") && !text().contains("<circle"));
    std::fs::write(place.path("evaluation.csv"), "step,class.all,class.scale_0\n50,6.5,6.6\n").unwrap();
    assert_eq!(draw(&[]).code, Some(0));
    // Two points, and one in the legend.
    assert_eq!(text().matches("<circle").count(), 3);
    let ran = draw(&["--columns", "gradient_norm,learning_rate"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(text().contains("gradient_norm") && !text().contains("scale_1"));
    assert!(text().contains("<title>gradient_norm, learning_rate against step</title>"));
    assert_eq!(draw(&["--columns", "scale_0,scale_1"]).code, Some(0));
    // Losses have one heading, and no path of the log's folder is in the file.
    assert!(text().contains("<title>loss against step</title>") && !text().contains("log.csv"));
}

#[test]
fn what_cannot_be_drawn_is_named_and_leaves_nothing() {
    let place = Place::new();
    std::fs::write(place.path("log.csv"), "step,loss\n25,6.8\n").unwrap();
    std::fs::write(place.path("other.csv"), "epoch,loss\n25,6.8\n").unwrap();
    std::fs::write(place.path("empty.csv"), "step,loss\n").unwrap();
    let told = place.usage_errors(&[
        &["curves", "log.csv", "--out", "a.svg", "--columns", "loss,los"],
        &["curves", "other.csv", "--out", "a.svg"],
        &["curves", "empty.csv", "--out", "a.svg"],
        &["curves", "none.csv", "--out", "a.svg"],
        &["curves", "log.csv", "--out", "missing/a.svg"],
    ]);
    assert_eq!(place.files(), ["empty.csv", "log.csv", "other.csv"]);
    insta::assert_snapshot!(told);
}
