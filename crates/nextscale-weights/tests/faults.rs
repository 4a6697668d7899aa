//! Faults of a file are reported by name before anything is loaded.

mod support;

use std::path::PathBuf;

use nextscale_weights::{Error, ExpectedTensors, Problem, WeightFile};
use support::{Value, f32s, legacy, zip};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/var").join(name)
}

fn opened(bytes: &[u8], name: &str) -> nextscale_weights::Result<WeightFile> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    WeightFile::open(path)
}

fn small() -> WeightFile {
    let value = Value::Dict(vec![
        ("a", f32s(&[1.0, 2.0], &[2])),
        ("b", f32s(&[1.0], &[1])),
        ("c", f32s(&[1.0], &[1])),
    ]);
    opened(&zip(&value), "small.pth").unwrap()
}

#[test]
fn truncated_files_are_corrupt_wherever_they_end() {
    for name in ["vae.safetensors", "vae.pth"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for keep in [20, 300, whole.len() / 2, whole.len() - 1] {
            let error = opened(&whole[..keep], name).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{name} cut to {keep}: {error}");
            assert!(error.to_string().contains("download it again"), "{error}");
        }
    }
}

#[test]
fn a_flipped_byte_in_a_pth_tensor_is_found() {
    let value = Value::Dict(vec![("a", f32s(&[1.0, 2.0, 3.0], &[3]))]);
    let mut bytes = zip(&value);
    let data = 2.0f32.to_le_bytes();
    let at = bytes.windows(4).position(|window| window == data).unwrap();
    bytes[at + 1] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.pth");
    std::fs::write(&path, bytes).unwrap();
    let error = WeightFile::open(&path).and_then(|file| file.values("a")).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn values_whose_sign_is_turned_are_refused_by_name() {
    let plain = || f32s(&[1.0, 2.0, 3.0], &[3]);
    let value = Value::Dict(vec![
        ("neg", Value::Int(1)),
        ("a", plain()),
        ("b", Value::Dict(vec![("c", Value::Negated(Box::new(plain())))])),
    ]);
    for bytes in [zip(&value), legacy(&value)] {
        let error = opened(&bytes, "turned.pth").unwrap_err();
        assert!(matches!(&error, Error::Negated { name, .. } if name == "c"), "{error}");
        assert!(error.to_string().contains("resolve_neg"), "{error}");
    }
}

#[test]
fn weights_that_are_not_finite_are_found_and_masks_are_left_alone() {
    let of = |values: &[f32]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pth");
        std::fs::write(&path, zip(&Value::Dict(vec![("a", f32s(values, &[3]))]))).unwrap();
        WeightFile::open(&path).and_then(|file| file.verify())
    };
    of(&[0.0, f32::NEG_INFINITY, 0.0]).unwrap();
    for (value, what) in [
        (f32::NAN, "holds NaN"),
        (f32::INFINITY, "holds an infinite number"),
        (f32::NEG_INFINITY, "holds an infinite number"),
    ] {
        let error = of(&[1.0, value, 0.0]).unwrap_err();
        assert!(matches!(&error, Error::NotFinite { name, .. } if name == "a"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pth");
        std::fs::write(&path, zip(&Value::Dict(vec![("a", f32s(&[1.0, value], &[2]))]))).unwrap();
        let file = WeightFile::open(&path).unwrap();
        assert!(matches!(file.weights("a"), Err(Error::NotFinite { .. })), "{value}");
        assert_eq!(file.values("a").unwrap().1, [2]);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn files_of_another_kind_are_called_what_they_are() {
    for (bytes, told) in [
        (&b"(model: Shipped(\"cifar10\"), condition: Labels([3]))"[..], "it is text, like a config"),
        (b"{\"a\": 1}", "it is text, like a config, a table or JSON"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is one PNG image"),
        (
            b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0arr_0.npy",
            "it is an .npz file",
        ),
        (b"version https://git-lfs.github.com/spec/v1", "it is a Git LFS pointer"),
    ] {
        let error = opened(bytes, "a.safetensors").unwrap_err();
        assert!(matches!(&error, Error::NotACheckpoint { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(told) && message.contains("expected a .pth or .safetensors file"),
            "{message}"
        );
    }
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let nested = Value::Dict(vec![("b", f32s(&[1.0], &[1]))]);
    let value = Value::Dict(vec![("a", nested), ("a.b", f32s(&[2.0], &[1]))]);
    for bytes in [zip(&value), legacy(&value)] {
        let error = opened(&bytes, "twice.pth").unwrap_err();
        assert!(matches!(&error, Error::Twice { name, .. } if name == "a.b"), "{error}");
    }
}

#[test]
fn a_storage_that_is_not_there_is_found_when_it_is_looked_for() {
    let bytes = zip(&Value::Dict(vec![("a", f32s(&[1.0, 2.0], &[2]))]));
    let at = bytes.windows(14).rposition(|window| window == b"archive/data/0").unwrap();
    let mut missing = bytes.clone();
    missing[at + 13] = b'7';
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.pth");
    for (bytes, sound) in [(bytes, true), (missing, false)] {
        std::fs::write(&path, bytes).unwrap();
        let verified = WeightFile::open(&path).and_then(|file| file.verify());
        assert_eq!(verified.is_ok(), sound, "{verified:?}");
    }
}

#[test]
fn a_safetensors_header_that_lies_is_corrupt() {
    let header = br#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 8]);
    assert!(matches!(opened(&bytes, "lying.safetensors"), Err(Error::Corrupt { .. })));
}

#[test]
fn things_that_are_no_checkpoint_are_named() {
    for (bytes, says) in [
        (&b""[..], "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x89PNG\r\n\x1a\n0000000000000000", "one PNG image"),
        (b"\0\x05\x16\x070000000000000000", "does not start like any known container"),
        (b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.", "without tensors"),
    ] {
        let error = opened(bytes, "model.pth").unwrap_err();
        assert!(matches!(error, Error::NotACheckpoint { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(matches!(WeightFile::open("no/such/file.pth"), Err(Error::Read { .. })));
    assert!(matches!(
        WeightFile::from_bytes(&b"PK\x03\x04"[..], "embedded"),
        Err(Error::NotACheckpoint { .. })
    ));
}

#[test]
fn a_safetensors_file_whose_length_reads_as_the_beginning_of_a_page_is_read() {
    let tensor = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    for length in [0x3C_usize, 0x013C, 0x3C0A, 0x3C20] {
        let mut bytes = (length as u64).to_le_bytes().to_vec();
        bytes.extend(format!("{tensor:length$}").bytes());
        bytes.extend(1.5f32.to_le_bytes());
        assert_eq!(opened(&bytes, "a.safetensors").unwrap().values("a").unwrap().0, [1.5], "{length}");
        assert_eq!(WeightFile::from_bytes(bytes, "a").unwrap().values("a").unwrap().0, [1.5], "{length}");
    }
    // Eight characters of text before a brace are not a length.
    let error = opened(b"<script>{}</script>", "a.safetensors").unwrap_err().to_string();
    assert!(error.contains("web page"), "{error}");
}

#[test]
fn items_of_unread_containers_are_named_and_not_called_corrupt() {
    for object in [
        // defaultdict(list, {"a": 1}), deque([1]), and {"a": 1} in a class of its own.
        &b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RX\x01\0\0\0aK\x01s"[..],
        b"ccollections\ndeque\n)RK\x01a",
        b"csettings\nSettings\n)\x81(X\x01\0\0\0aK\x01u",
    ] {
        let bytes = [b"\x80\x02}X\x04\0\0\0meta", object, b"s."].concat();
        let error = opened(&bytes, "run.pth").unwrap_err();
        assert!(matches!(error, Error::Container { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("run.pth") && text.contains("python -c") && text.contains("torch.save("),
            "{text}"
        );
        assert!(!text.contains("download"), "{text}");
    }
}

#[test]
fn weights_beside_items_of_unread_containers_are_read() {
    let transposed = || Value::Tensor {
        storage: "FloatStorage",
        bytes: (0..7).flat_map(|i| (i as f32).to_le_bytes()).collect(),
        offset: 1,
        shape: vec![2, 3],
        strides: vec![1, 2],
    };
    let weights = || Value::Dict(vec![("a", f32s(&[1.0, 2.0], &[2])), ("b", transposed())]);
    let plain = opened(&zip(&Value::Dict(vec![("model", weights())])), "plain.pth").unwrap();
    for object in [
        &b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RX\x01\0\0\0aK\x01s"[..],
        b"ccollections\ndeque\n)RK\x01a",
        b"csettings\nSettings\n)\x81(X\x01\0\0\0aK\x01u",
    ] {
        let value = Value::Dict(vec![("model", weights()), ("meta", Value::Raw(object))]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.pth");
        std::fs::write(&path, zip(&value)).unwrap();
        let file = WeightFile::open(&path).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b"]);
        for name in ["a", "b"] {
            assert_eq!(file.values(name).unwrap(), plain.values(name).unwrap(), "{name}");
        }
        assert_eq!(file.values("b").unwrap().0, [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        // Its storages are compared with the pickle's sizes before any is read.
        let bytes = zip(&value);
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] = damaged[at].wrapping_add(1);
            std::fs::write(&path, &damaged).unwrap();
            if let Ok(file) = WeightFile::open(&path) {
                let _ = file.verify();
            }
        }
        let turned = Value::Dict(vec![
            ("w", Value::Negated(Box::new(f32s(&[1.0], &[1])))),
            ("meta", Value::Raw(object)),
        ]);
        std::fs::write(&path, zip(&turned)).unwrap();
        assert!(matches!(WeightFile::open(&path).unwrap_err(), Error::Negated { .. }));
    }
}

#[test]
fn missing_unexpected_and_misshapen_tensors_are_named_with_shapes() {
    let expected = ExpectedTensors::new("a toy").tensor("a", [3]).tensor("b", [1]).tensor("d", [4, 5]);
    let error = expected.check(&small()).unwrap_err();
    let Error::Misfit { problems, more, .. } = &error else { panic!("{error}") };
    assert_eq!(
        *problems,
        [
            Problem::Misshapen { name: "a".into(), found: vec![2], expected: vec![3] },
            Problem::Missing { name: "d".into(), shape: vec![4, 5] },
            Problem::Unexpected { name: "c".into(), shape: vec![1] },
        ]
    );
    assert_eq!(*more, 0);
    let text = error.to_string();
    assert!(
        text.contains("tensor `a` has shape [2], the model needs [3]; missing tensor `d` [4, 5]"),
        "{text}"
    );
}

#[test]
fn ignored_tensors_may_be_there_or_not() {
    let fits = ExpectedTensors::new("a toy").tensor("a", [2]).tensor("b", [1]).ignore("c*").ignore("z");
    fits.check(&small()).unwrap();
}

#[test]
fn a_long_list_of_problems_is_cut() {
    let mut expected = ExpectedTensors::new("a toy").tensor("a", [2]).tensor("b", [1]).tensor("c", [1]);
    for i in 0..10 {
        expected.insert(format!("x{i}"), [1]);
    }
    let text = expected.check(&small()).unwrap_err().to_string();
    assert!(text.ends_with("and 4 more"), "{text}");
}

#[test]
fn another_architecture_is_told_apart_from_a_damaged_file() {
    let file = WeightFile::open(fixture("var_aln.safetensors")).unwrap();
    let error = ExpectedTensors::new("a VQVAE").tensor("quant_conv.bias", [8]).check(&file).unwrap_err();
    assert!(matches!(error, Error::OtherModel { .. }), "{error}");
    assert!(error.to_string().contains("is not a VQVAE"), "{error}");
}

#[test]
fn integers_do_not_pass_for_numbers() {
    let file = WeightFile::open(fixture("var_aln.safetensors")).unwrap();
    let error =
        ExpectedTensors::new("levels").tensor("lvl_1L", [1, 30]).ignore("*").check(&file).unwrap_err();
    assert!(error.to_string().contains("`lvl_1L` holds i64"), "{error}");
}
