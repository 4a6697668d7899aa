//! Every container, element type and layout reads to the same numbers.

mod support;

use std::path::PathBuf;

use burn::tensor::Device;
use half::{bf16, f16};
use nextscale_weights::{Error, StoredType, WeightFile};
use support::{Value, f32s, legacy, zip};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/var").join(name)
}

fn written(bytes: &[u8], name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn tensor(storage: &'static str, bytes: Vec<u8>, shape: &[u8], strides: &[u8]) -> Value {
    Value::Tensor { storage, bytes, offset: 0, shape: shape.to_vec(), strides: strides.to_vec() }
}

#[test]
fn pth_and_safetensors_hold_the_same_tensors() {
    for name in ["vae", "var_aln", "var_saln"] {
        let pth = WeightFile::open(fixture(&format!("{name}.pth"))).unwrap();
        let safe = WeightFile::open(fixture(&format!("{name}.safetensors"))).unwrap();
        assert!(pth.names().eq(safe.names()));
        assert_eq!(pth.byte_len(), safe.byte_len());
        for key in safe.names() {
            assert_eq!(pth.info(key), safe.info(key));
            if safe.info(key).unwrap().dtype.is_float() {
                assert_eq!(pth.values(key).unwrap(), safe.values(key).unwrap(), "{key}");
            }
        }
    }
}

#[test]
fn a_linear_weight_comes_transposed() {
    let file = WeightFile::open(fixture("var_aln.pth")).unwrap();
    let device = Device::flex();
    let [out, input] = [64, 8];
    let stored = file.values("word_embed.weight").unwrap().0;
    let linear = file.linear("word_embed.weight", &device).unwrap();
    assert_eq!(linear.dims(), [input, out]);
    let values = linear.try_into_vec_as::<f32>().unwrap();
    for o in 0..out {
        for i in 0..input {
            assert_eq!(values[i * out + o], stored[o * input + i]);
        }
    }
}

#[test]
fn integers_are_read_as_integers_and_only_so() {
    let file = WeightFile::open(fixture("var_aln.pth")).unwrap();
    let device = Device::flex();
    let levels = file.int_tensor::<2>("lvl_1L", &device).unwrap().try_into_vec_as::<i64>().unwrap();
    let expected: Vec<i64> =
        [1usize, 4, 9, 16].iter().enumerate().flat_map(|(k, &n)| vec![k as i64; n]).collect();
    assert_eq!(levels, expected);
    assert!(matches!(file.tensor::<2>("lvl_1L", &device), Err(Error::Kind { .. })));
    assert!(matches!(file.int_tensor::<2>("head.weight", &device), Err(Error::Kind { .. })));
}

#[test]
fn half_double_and_strided_tensors_of_both_containers_read_as_f32() {
    let numbers = [1.5, -2.0, 0.25, 8.0, -0.5, 3.0];
    let expected = numbers.map(|x| x as f32).to_vec();
    let transposed = vec![1.5, 8.0, -2.0, -0.5, 0.25, 3.0];
    let value = Value::Dict(vec![
        (
            "half",
            tensor(
                "HalfStorage",
                numbers.iter().flat_map(|&x| f16::from_f64(x).to_le_bytes()).collect(),
                &[2, 3],
                &[3, 1],
            ),
        ),
        (
            "brain",
            tensor(
                "BFloat16Storage",
                numbers.iter().flat_map(|&x| bf16::from_f64(x).to_le_bytes()).collect(),
                &[6],
                &[1],
            ),
        ),
        (
            "double",
            tensor("DoubleStorage", numbers.iter().flat_map(|x| x.to_le_bytes()).collect(), &[2, 3], &[3, 1]),
        ),
        (
            "transposed",
            tensor(
                "FloatStorage",
                numbers.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
                &[3, 2],
                &[1, 3],
            ),
        ),
        ("step", Value::Int(7)),
    ]);
    for bytes in [legacy(&value), zip(&value)] {
        let (_folder, path) = written(&bytes, "mixed.pth");
        let file = WeightFile::open(&path).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["brain", "double", "half", "transposed"]);
        for name in ["half", "brain", "double"] {
            assert_eq!(file.values(name).unwrap().0, expected, "{name}");
        }
        assert_eq!(file.values("transposed").unwrap(), (transposed.clone(), vec![3, 2]));
        assert_eq!(file.info("brain").unwrap().dtype, StoredType::BF16);
    }
}

#[test]
fn nested_checkpoints_answer_to_plain_names() {
    let one = |x| f32s(&[x], &[1]);
    let training = Value::Dict(vec![
        ("epoch", Value::Int(3)),
        (
            "trainer",
            Value::Dict(vec![
                ("var_wo_ddp", Value::Dict(vec![("head.bias", one(1.0)), ("pos_start", one(2.0))])),
                ("vae_local", Value::Dict(vec![("quant_conv.bias", one(3.0))])),
                ("var_opt", Value::Dict(vec![("state", Value::Dict(vec![("exp_avg", one(4.0))]))])),
            ]),
        ),
    ]);
    for bytes in [legacy(&training), zip(&training)] {
        let (_folder, path) = written(&bytes, "ar-ckpt-last.pth");
        let file = WeightFile::open(&path).unwrap();
        assert_eq!(file.prefix(), "trainer.var_wo_ddp.");
        assert_eq!(file.names().collect::<Vec<_>>(), ["head.bias", "pos_start"]);
        assert_eq!(file.values("pos_start").unwrap().0, [2.0]);
        let tokenizer = file.rooted("quant_conv.bias").unwrap();
        assert_eq!(tokenizer.names().collect::<Vec<_>>(), ["quant_conv.bias"]);
        assert_eq!(tokenizer.values("quant_conv.bias").unwrap().0, [3.0]);
    }

    let wrapped = Value::Dict(vec![(
        "state_dict",
        Value::Dict(vec![("module", Value::Dict(vec![("head.bias", one(5.0))]))]),
    )]);
    let (_folder, path) = written(&zip(&wrapped), "wrapped.pth");
    assert_eq!(WeightFile::open(&path).unwrap().values("head.bias").unwrap().0, [5.0]);

    let twice = Value::Dict(vec![
        ("ema", Value::Dict(vec![("head.bias", one(5.0))])),
        ("live", Value::Dict(vec![("head.bias", one(6.0))])),
    ]);
    let (_folder, path) = written(&zip(&twice), "twice.pth");
    let error = WeightFile::open(&path).unwrap().rooted("head.bias").unwrap_err();
    assert!(error.to_string().contains("ema, live"), "{error}");
}

#[test]
fn a_pickle_that_names_a_call_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let trap = folder.path().join("trap");
    let path = folder.path().join("evil.pth");
    std::fs::write(&path, format!("cos\nsystem\n(S'touch {}'\ntR.", trap.display())).unwrap();
    let error = WeightFile::open(&path).unwrap_err();
    assert!(matches!(error, Error::NotACheckpoint { .. } | Error::Corrupt { .. }), "{error}");
    assert!(!trap.exists());
}
