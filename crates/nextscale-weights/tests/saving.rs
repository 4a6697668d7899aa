//! What is saved can be read again, and a failed save leaves the earlier file untouched.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use nextscale_weights::{Error, Precision, StoredType, WeightFile, save_safetensors};

fn tensors() -> Vec<(String, TensorData)> {
    vec![
        ("w".into(), TensorData::new(vec![1.0f32, -2.5, 0.125], [3])),
        ("index".into(), TensorData::new(vec![3i64, 1], [2, 1])),
        ("scalarish".into(), TensorData::new(vec![0.1f32], [1])),
    ]
}

fn metadata() -> BTreeMap<String, String> {
    [("format", "pt"), ("note", "a \"quoted\" word")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

#[test]
fn a_saved_file_reads_back_with_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    for (precision, dtype, tolerance) in
        [(Precision::F32, StoredType::F32, 0.0), (Precision::F16, StoredType::F16, 5e-5)]
    {
        let path = folder.path().join("model.safetensors");
        save_safetensors(&path, tensors(), precision, &metadata()).unwrap();
        let file = WeightFile::open(&path).unwrap();
        assert_eq!(file.metadata(), &metadata());
        assert_eq!(file.info("w").unwrap().dtype, dtype);
        assert_eq!(file.values("w").unwrap(), (vec![1.0, -2.5, 0.125], vec![3]));
        assert!((file.values("scalarish").unwrap().0[0] - 0.1).abs() <= tolerance);
        assert_eq!(file.info("index").unwrap().dtype, StoredType::I64);
        let bytes = std::fs::read(&path).unwrap();
        safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert!(WeightFile::from_bytes(bytes, "embedded").unwrap().names().eq(file.names()));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a partial file was left");
}

#[test]
fn the_same_content_in_another_order_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    save_safetensors(&a, tensors(), Precision::F16, &metadata()).unwrap();
    save_safetensors(&b, tensors().into_iter().rev(), Precision::F16, &metadata()).unwrap();
    assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
}

#[test]
fn what_overflows_f16_is_refused_by_name_and_the_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    save_safetensors(&path, tensors(), Precision::F16, &BTreeMap::new()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let large = [("big".to_owned(), TensorData::new(vec![1e6f32], [1]))];
    let error = save_safetensors(&path, large, Precision::F16, &BTreeMap::new()).unwrap_err();
    assert!(matches!(error, Error::Unsaveable { .. }) && error.to_string().contains("`big`"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder/model.safetensors");
    let error = save_safetensors(&path, tensors(), Precision::F32, &BTreeMap::new()).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
}
