//! Checkpoints in several files under an index.

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::TensorData;
use nextscale_weights::{Error, Precision, WeightFile, save_safetensors};
use support::{Value, f32s, zip};

fn save(path: &Path, tensors: &[(&str, f32)]) {
    let tensors = tensors.iter().map(|&(name, value)| (name.into(), TensorData::new(vec![value; 2], [2])));
    save_safetensors(path, tensors, Precision::F32, &BTreeMap::new()).unwrap();
}

fn index(folder: &Path, name: &str, map: &[(&str, &str)]) {
    let map: BTreeMap<_, _> = map.iter().copied().collect();
    let index = serde_json::json!({"metadata": {"total_size": 24}, "weight_map": map});
    fs::write(folder.join(name), index.to_string()).unwrap();
}

const INDEX: &str = "model.safetensors.index.json";
const MAP: [(&str, &str); 3] = [("a", "1.safetensors"), ("b", "2.safetensors"), ("c", "2.safetensors")];

/// `a` in one shard, `b` and `c` in another.
fn sharded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("1.safetensors"), &[("a", 1.0)]);
    save(&folder.path().join("2.safetensors"), &[("b", 2.0), ("c", 3.0)]);
    index(folder.path(), INDEX, &MAP);
    folder
}

fn refused(folder: &Path) -> String {
    WeightFile::open(folder).unwrap_err().to_string()
}

#[test]
fn shards_are_one_file_by_their_folder_and_by_their_index() {
    let folder = sharded();
    for path in [folder.path().to_owned(), folder.path().join(INDEX)] {
        let file = WeightFile::open(path).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b", "c"]);
        for (name, value) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
            assert_eq!(file.values(name).unwrap(), (vec![value; 2], vec![2]));
        }
        assert_eq!(file.byte_len(), 24);
        assert!(file.label().ends_with(INDEX), "{}", file.label());
    }
}

#[test]
fn pickled_shards_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, tensor: &'static str, value: f32| {
        let value = Value::Dict(vec![(tensor, f32s(&[value], &[1]))]);
        fs::write(folder.path().join(name), zip(&value)).unwrap();
    };
    write("1.bin", "a", 1.0);
    write("2.bin", "b", 2.0);
    index(folder.path(), "pytorch_model.bin.index.json", &[("a", "1.bin"), ("b", "2.bin")]);
    let file = WeightFile::open(folder.path()).unwrap();
    assert_eq!(file.values("a").unwrap().0, [1.0]);
    assert_eq!(file.values("b").unwrap().0, [2.0]);
}

#[test]
fn a_prefix_common_to_all_shards_is_stripped() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("1.safetensors"), &[("module.a", 1.0)]);
    save(&folder.path().join("2.safetensors"), &[("module.b", 2.0)]);
    index(folder.path(), INDEX, &[("module.a", "1.safetensors"), ("module.b", "2.safetensors")]);
    let file = WeightFile::open(folder.path()).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn missing_shards_are_named_with_what_they_hold() {
    let folder = sharded();
    fs::remove_file(folder.path().join("2.safetensors")).unwrap();
    let error = WeightFile::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::MissingShards { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains("lacks 2.safetensors (2 tensors)") && error.contains(INDEX), "{error}");
    fs::remove_file(folder.path().join("1.safetensors")).unwrap();
    assert!(refused(folder.path()).contains("1.safetensors, 2.safetensors (3 tensors)"));
}

#[test]
fn a_truncated_shard_is_corrupt_by_its_own_name() {
    let folder = sharded();
    let path = folder.path().join("2.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = refused(folder.path());
    assert!(error.contains("2.safetensors is truncated or corrupt"), "{error}");
}

#[test]
fn an_index_that_is_not_of_its_shards_is_refused() {
    let folder = sharded();
    let with = |name: &'static str, shard: &'static str| [&MAP[..], &[(name, shard)]].concat();
    index(folder.path(), INDEX, &with("d", "2.safetensors"));
    let error = refused(folder.path());
    assert!(error.contains("lists `d` in 2.safetensors"), "{error}");
    // In a shard other than the index says, or in none of its entries.
    index(folder.path(), INDEX, &[("a", "1.safetensors"), ("b", "1.safetensors"), ("c", "2.safetensors")]);
    assert!(refused(folder.path()).contains("`b`"));
    index(folder.path(), INDEX, &[("a", "1.safetensors"), ("b", "2.safetensors")]);
    let error = refused(folder.path());
    assert!(error.contains("2.safetensors holds `c`, which the index does not list"), "{error}");
    for elsewhere in ["../2.safetensors", "/2.safetensors", "sub/2.safetensors", "..", ""] {
        index(folder.path(), INDEX, &with("d", elsewhere));
        let error = refused(folder.path());
        assert!(error.contains("is not a file name"), "{elsewhere}: {error}");
    }
    for text in ["", "[]", "{}", "{\"weight_map\": {}}", "{\"weight_map\": {\"a\": 1}}", "\u{fffd}"] {
        fs::write(folder.path().join(INDEX), text).unwrap();
        let error = refused(folder.path());
        assert!(error.contains("not a sound index"), "{text}: {error}");
    }
}

#[test]
fn a_folder_of_one_file_is_that_file_and_of_several_is_ambiguous() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(refused(folder.path()).contains("holds no weights"));
    fs::write(path("notes.txt"), "x").unwrap();
    save(&path("one.safetensors"), &[("a", 1.0)]);
    assert_eq!(WeightFile::open(folder.path()).unwrap().values("a").unwrap().0, [1.0; 2]);
    save(&path("two.safetensors"), &[("a", 2.0)]);
    let error = refused(folder.path());
    assert!(
        error.contains("holds one.safetensors, two.safetensors, and it is not clear which is meant"),
        "{error}"
    );
    // The usual name takes precedence.
    save(&path("model.safetensors"), &[("a", 3.0)]);
    assert_eq!(WeightFile::open(folder.path()).unwrap().values("a").unwrap().0, [3.0; 2]);
}

#[test]
fn the_fingerprint_is_of_every_shard() {
    let folder = sharded();
    let fingerprint = || WeightFile::open(folder.path()).unwrap().fingerprint().unwrap();
    let first = fingerprint();
    assert_eq!(fingerprint(), first);
    save(&folder.path().join("1.safetensors"), &[("a", 9.0)]);
    let second = fingerprint();
    save(&folder.path().join("2.safetensors"), &[("b", 2.0), ("c", 9.0)]);
    assert!(first != second && second != fingerprint());
    let one = folder.path().join("1.safetensors");
    let alone = WeightFile::open(&one).unwrap().fingerprint().unwrap();
    assert_eq!(alone, nextscale_weights::fingerprint::of_file(&one).unwrap());
    let bytes = fs::read(&one).unwrap();
    let of_bytes = nextscale_weights::fingerprint::of_bytes(&[&bytes]);
    assert_eq!(WeightFile::from_bytes(bytes, "memory").unwrap().fingerprint().unwrap(), of_bytes);
}
