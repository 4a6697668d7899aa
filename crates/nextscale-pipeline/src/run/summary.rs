use std::path::{Path, PathBuf};
use std::time::Duration;

use nextscale_core::Dtype;

use crate::device::{DeviceChoice, named};
use nextscale_generate::observe::{Part, Times};

/// What a run did.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The folder.
    pub out: PathBuf,
    /// The device.
    pub device: DeviceChoice,
    /// What linear layers multiplied.
    pub dtype: Dtype,
    /// Images made by this run.
    pub made: u64,
    /// Images that were there already.
    pub found: u64,
    /// The time to read weights.
    pub loading: Duration,
    /// The time of each part of the loop.
    pub times: Times,
    /// The time of everything.
    pub wall: Duration,
    /// How near the kept part of an edit is to what was given.
    pub kept: Option<Kept>,
    /// The most memory that the process had, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
}

/// How near the kept parts of edited images are to what was given: mean absolute differences of bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// Of the given images' reconstruction by the tokenizer: what it costs to pass through it.
    pub reconstruction: f64,
    sum: f64,
    images: u64,
}

impl Kept {
    pub(super) fn new(reconstruction: f64) -> Self {
        Self { reconstruction, sum: 0.0, images: 0 }
    }

    pub(super) fn add(&mut self, error: f64) {
        self.sum += error;
        self.images += 1;
    }

    /// Over the images that were made, before given pixels are put over them.
    pub fn mean(&self) -> f64 {
        self.sum / self.images.max(1) as f64
    }
}

impl Summary {
    pub(super) fn new(out: &Path, device: DeviceChoice, dtype: Dtype) -> Self {
        Self {
            out: out.into(),
            device,
            dtype,
            made: 0,
            found: 0,
            loading: Duration::ZERO,
            times: Times::default(),
            wall: Duration::ZERO,
            kept: None,
            peak_memory: None,
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.out.display())?;
        let device = named(self.device, self.dtype);
        write!(f, "  {} images on {device} in {:.1} s", self.made, self.wall.as_secs_f64())?;
        if self.found > 0 {
            write!(f, "; {} were there already", self.found)?;
        }
        if self.made == 0 {
            return Ok(());
        }
        write!(f, "\n  seconds: loading {:.1}", self.loading.as_secs_f64())?;
        for part in Part::ALL {
            write!(f, ", {} {:.1}", part.name(), self.times.get(part).as_secs_f64())?;
        }
        if let Some(Kept { reconstruction, .. }) = self.kept {
            let error = self.kept.map_or(0.0, |kept| kept.mean());
            write!(
                f,
                "\n  kept part: mean error {error:.1} of 255 before pasting; the tokenizer alone {reconstruction:.1}"
            )?;
        }
        if let Some(bytes) = self.peak_memory {
            write!(f, "\n  peak memory: {:.2} GB", bytes as f64 / 1e9)?;
        }
        Ok(())
    }
}

/// The most memory that this process had so far, in bytes (`VmHWM`); none where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_times_and_memory() {
        let mut summary = Summary::new(Path::new("out"), DeviceChoice::Cpu, Dtype::F32);
        summary.times.add(Part::Backbone, Duration::from_millis(2500));
        let summary = Summary { made: 8, found: 2, peak_memory: Some(1_250_000_000), ..summary };
        insta::assert_snapshot!(summary);
        let mut kept = Kept::new(12.0);
        [20.0, 22.0].into_iter().for_each(|error| kept.add(error));
        let edited = Summary { kept: Some(kept), ..summary.clone() }.to_string();
        assert!(
            edited.contains("kept part: mean error 21.0 of 255 before pasting; the tokenizer alone 12.0"),
            "{edited}"
        );
        let rounded = Summary { dtype: Dtype::Bf16, ..summary }.to_string();
        assert!(rounded.contains("8 images on cpu, bf16 in"), "{rounded}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_was_touched_counts() {
        let before = peak_memory().unwrap();
        let large = vec![1u8; before as usize + (64 << 20)];
        assert!(std::hint::black_box(&large).len() as u64 > before);
        assert!(peak_memory().unwrap() >= before + (32 << 20));
    }
}
