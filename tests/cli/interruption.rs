use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::program::Place;

const MANY: &str = "condition: PerClass(30), guidance: Cfg(scale: 1.5), batch: 3";

/// A folder with a run of many images in progress.
struct Making {
    place: Place,
    child: Child,
}

impl Making {
    fn begin() -> Self {
        let place = Place::new();
        place.config("run.ron", MANY);
        let mut command = place.command(&["generate", "run.ron", "--out", "out"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { place, child }
    }

    /// How many images there are.
    fn images(&self) -> usize {
        std::fs::read_dir(self.place.path("out.partial/images")).map_or(0, |entries| entries.count())
    }

    /// Sends a signal once there are this many images.
    fn signal(&mut self, signal: &str, images: usize) {
        let begin = Instant::now();
        while self.images() < images && begin.elapsed() < Duration::from_secs(60) {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "{signal}: ended before it could be interrupted"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// This many images are kept, but no finished run.
    fn assert_stopped(&self, signal: &str, least: usize) {
        let kept = self.images();
        assert!((least..300).contains(&kept), "{signal}: {kept} images");
        assert!(!self.place.path("out").exists());
    }
}

#[test]
fn an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been() {
    let mut making = Making::begin();
    making.signal("-INT", 6);
    let ended = making.child.wait().unwrap();
    assert_eq!(ended.code(), Some(130));
    making.assert_stopped("-INT", 6);
    let place = making.place;

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

/// The signals of a launcher's time limit, a closed terminal, and Ctrl-C with a closed pipe.
#[test]
fn every_signal_that_asks_to_stop_stops_where_it_can_be_resumed() {
    for (signal, reader_gone) in [("-TERM", false), ("-HUP", false), ("-INT", true)] {
        let mut making = Making::begin();
        if reader_gone {
            drop(making.child.stderr.take());
        }
        making.signal(signal, 3);
        let stopped = making.child.wait().unwrap();
        making.assert_stopped(signal, 3);
        // A process that cannot print its last message still ends as stopped.
        assert_eq!(stopped.code(), Some(130), "{signal}");
    }
}

/// Measures cannot be resumed: the first signal ends the command, and no lock file stays behind.
#[test]
fn a_command_that_cannot_be_resumed_ends_at_once_and_leaves_nothing() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let place = Place::new();
        std::fs::create_dir(place.path("made")).unwrap();
        for i in 0..400_u32 {
            let level = image::Rgb([i.wrapping_mul(2_654_435_761) as u8; 3]);
            image::RgbImage::from_pixel(8, 8, level).save(place.path(&format!("made/{i}.png"))).unwrap();
        }
        let mut command = place.command(&["evaluate", "made", "--save-statistics", "s.safetensors"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let lock = place.path(".s.safetensors.lock");
        let begin = Instant::now();
        while !lock.exists() {
            assert!(child.try_wait().unwrap().is_none(), "{signal}: ended before it could be interrupted");
            assert!(begin.elapsed() < Duration::from_secs(60), "no lock");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        let left: Vec<_> = place.files().into_iter().filter(|name| !name.starts_with("made/")).collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}
