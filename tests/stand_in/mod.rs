//! What the stand-in for NVIDIA's driver (`driver/libcuda.c`) was asked for.

use std::fs;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor};

/// What the stand-in was asked for, in the order of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Counts {
    pub launches: u64,
    pub to_device: u64,
    pub to_device_bytes: u64,
    pub to_host: u64,
    pub to_host_bytes: u64,
    pub on_device: u64,
    pub waits: u64,
    pub kernels: u64,
}

impl Counts {
    fn each(self, other: Self, combine: fn(u64, u64) -> u64) -> Self {
        Self {
            launches: combine(self.launches, other.launches),
            to_device: combine(self.to_device, other.to_device),
            to_device_bytes: combine(self.to_device_bytes, other.to_device_bytes),
            to_host: combine(self.to_host, other.to_host),
            to_host_bytes: combine(self.to_host_bytes, other.to_host_bytes),
            on_device: combine(self.on_device, other.on_device),
            waits: combine(self.waits, other.waits),
            kernels: combine(self.kernels, other.kernels),
        }
    }

    /// The waits of two runs may differ either way, by one of cubecl's that fell into the other.
    pub fn since(self, earlier: Self) -> Self {
        self.each(earlier, u64::saturating_sub)
    }
}

/// The file in which the stand-in counts.
pub struct Driver(pub PathBuf);

impl Driver {
    pub fn counts(&self) -> Counts {
        let bytes = fs::read(&self.0).unwrap();
        let mut numbers = bytes.chunks_exact(8).map(|number| u64::from_ne_bytes(number.try_into().unwrap()));
        let mut next = || numbers.next().unwrap();
        Counts {
            launches: next(),
            to_device: next(),
            to_device_bytes: next(),
            to_host: next(),
            to_host_bytes: next(),
            on_device: next(),
            waits: next(),
            kernels: next(),
        }
    }

    /// The kernels of the last launches, in order, as many as `counts` has in each part.
    pub fn launched(counts: &[Counts]) -> Vec<Vec<String>> {
        let log = fs::read_to_string(std::env::var_os("STAND_IN_LOG").unwrap()).unwrap();
        let launches = log.lines().filter_map(|line| line.strip_prefix("launch ")?.split(' ').next());
        let all: Vec<&str> = launches.collect();
        let total: u64 = counts.iter().map(|counts| counts.launches).sum();
        let mut last = all[all.len() - total as usize..].iter().map(|name| (*name).to_owned());
        counts.iter().map(|counts| last.by_ref().take(counts.launches as usize).collect()).collect()
    }

    /// What was asked for until all work that was begun is handed over.
    pub fn after(&self, device: &Device) -> Counts {
        device.sync().unwrap();
        self.counts()
    }

    /// What waiting for the device counts.
    pub fn idle(&self, device: &Device) -> Counts {
        let before = self.after(device);
        self.after(device).since(before)
    }

    /// Brings on a wait of cubecl's that would otherwise fall into some scale: after every 64 copies to a device it lets go of the
    /// host's memory of the 64 copies before, and first waits until the device has read them, which it has long done by then.
    pub fn let_go(&self, device: &Device) {
        let idle = self.idle(device).waits;
        for _ in 0..64 {
            let before = self.after(device);
            drop(Tensor::<1>::from_data([0.0_f32], device));
            if self.after(device).since(before).waits > idle {
                return;
            }
        }
        panic!("64 copies, and cubecl did not let go of their memory");
    }
}
