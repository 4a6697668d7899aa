//! The machine of the measurement.

use std::fs;

/// What the system reports about itself; "unknown" if it does not.
pub struct Machine {
    /// The processor.
    pub processor: String,
    /// Processors available to this process.
    pub cores: usize,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: String,
    /// The first of them.
    recent: f64,
}

impl Machine {
    /// As it is now.
    pub fn look() -> Self {
        let unknown = || "unknown".to_owned();
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let averages: Vec<&str> = load.split_whitespace().take(3).collect();
        Self {
            processor: name.map_or_else(unknown, |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            recent: averages.first().and_then(|average| average.parse().ok()).unwrap_or(0.0),
            load: if averages.is_empty() { unknown() } else { averages.join(", ") },
        }
    }

    /// Whether timings are unreliable.
    pub fn busy(&self) -> bool {
        self.recent > 0.5
    }
}
