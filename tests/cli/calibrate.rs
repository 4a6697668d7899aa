use super::program::Place;

const CONFIG: &str = "condition: PerClass(2), guidance: Cfg(scale: Ramp(1.5)), batch: 4";
const SSG: &str =
    "guidance=Ssg(base: Cfg(scale: Ramp(1.5)), prior: Marginal(file: \"m.safetensors\"), beta: 0.5)";

#[test]
fn a_calibration_makes_the_file_that_marginal_asks_for() {
    let place = Place::new();
    place.config("run.ron", CONFIG);
    let generate = ["generate", "run.ron", "--set", SSG];
    let early = place.run(&generate);
    assert_eq!(early.code, Some(2), "{early:?}");
    assert!(early.err.contains("m.safetensors"), "{}", early.err);
    let calibrate = ["calibrate", "run.ron", "--out", "m.safetensors", "--seed", "9"];
    let ran = place.run(&calibrate);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("wrote m.safetensors over 20 images"), "{}", ran.out);
    assert!(ran.out.contains("averages over even and over odd images differ by"), "{}", ran.out);
    assert_eq!(place.files(), ["m.safetensors", "run.ron"]);
    let again = place.run(&calibrate);
    assert!(again.code == Some(0) && again.out.contains("exists already"), "{again:?}");
    assert_eq!(again.out.lines().nth(1), ran.out.lines().nth(1));
    let other = place.run(&["calibrate", "run.ron", "--out", "m.safetensors", "--seed", "8"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    let ran = place.run(&generate);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(place.path("run/images/00019.png").exists());
}
