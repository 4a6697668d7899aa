//! A run's shards, for tests.

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::{FORMAT, Fact, Record, ShardError, ShardFolder};

pub fn record(seed: &str) -> Record {
    Record {
        format: FORMAT,
        command: "generate".into(),
        facts: vec![Fact::new("seed", seed), Fact::new("device", "cpu").or("use one kind of device")],
        images: 100,
        series: vec!["images".into()],
        begun_by: "shard 0 of 2, from --shard".into(),
        merge: serde_json::json!({"npz": true}),
    }
}

pub fn open(root: &Path) -> ShardFolder {
    ShardFolder::open(root, &record("0")).unwrap()
}

pub fn make(folder: &ShardFolder, range: Range<u64>) {
    folder
        .write_folder("images", &range, |path| {
            fs::write(path.join("x"), b"x").map_err(ShardError::io("write", path))
        })
        .unwrap();
}
