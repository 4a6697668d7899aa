use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::program::Place;

const MANY: &str = "condition: PerClass(30), guidance: Cfg(scale: 1.5), batch: 3";

#[test]
fn an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been() {
    let place = Place::new();
    place.config("run.ron", MANY);
    let images = || std::fs::read_dir(place.path("out.partial/images")).map_or(0, |entries| entries.count());
    let mut child = place
        .command(&["generate", "run.ron", "--out", "out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while images() < 6 && begin.elapsed() < Duration::from_secs(60) {
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let stopped = place.ran(child.wait_with_output().unwrap());
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert!(!place.path("out").exists());
    let kept = images();
    assert!((6..300).contains(&kept), "{kept} images");

    let other = place.run(&["generate", "run.ron", "--out", "out", "--seed", "9"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.err.contains("another config"), "{}", other.err);

    let resumed = place.run(&["generate", "run.ron", "--out", "out"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let straight = place.run(&["generate", "run.ron", "--out", "straight"]);
    assert_eq!(straight.code, Some(0), "{straight:?}");
    let mut names: Vec<_> = place.files().into_iter().filter(|name| name.starts_with("straight/")).collect();
    names.retain(|name| !name.ends_with("summary.json"));
    assert!(names.len() > 300);
    for name in names {
        let resumed = std::fs::read(place.path(&name.replacen("straight", "out", 1))).unwrap();
        assert!(resumed == std::fs::read(place.path(&name)).unwrap(), "{name} differs");
    }
}

/// What a launcher sends before a time limit, a closed terminal sends, and Ctrl-C beside a reader that has gone.
#[test]
fn every_signal_that_asks_to_stop_stops_where_it_can_be_resumed() {
    for (signal, reader_gone) in [("-TERM", false), ("-HUP", false), ("-INT", true)] {
        let place = Place::new();
        place.config("run.ron", MANY);
        let images =
            || std::fs::read_dir(place.path("out.partial/images")).map_or(0, |entries| entries.count());
        let mut child = place
            .command(&["generate", "run.ron", "--out", "out"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if reader_gone {
            drop(child.stderr.take());
        }
        let begin = Instant::now();
        while images() < 3 && begin.elapsed() < Duration::from_secs(60) {
            assert!(child.try_wait().unwrap().is_none(), "{signal}: ended before it could be interrupted");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let stopped = child.wait().unwrap();
        assert!((3..300).contains(&images()), "{signal}: {} images", images());
        assert!(!place.path("out").exists());
        // Whoever cannot print its last message still ends as stopped.
        assert_eq!(stopped.code(), Some(130), "{signal}");
    }
}
