//! Faults that `selfcheck` must find: weights changed as they are read, devices that give back nonsense.

use std::collections::BTreeMap;

use burn::tensor::Device;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::host::broken;
use crate::{Arithmetic, CHECKS, Fixtures, Line, Setting};

/// The files that hold weights.
const WEIGHTS: [&str; 7] = [
    "vae.safetensors",
    "var_aln.safetensors",
    "var_saln.safetensors",
    "infinity/base/vae.safetensors",
    "infinity/base/infinity.safetensors",
    "hart/tokenizer/model.safetensors",
    "hart/main/llm/model.safetensors",
];

/// What is done to weights as they are read.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The largest weight of a tensor is multiplied.
    Fault { file: &'static str, tensor: &'static str, factor: f32 },
    /// Every weight becomes NaN.
    Nan,
    /// Every weight is rounded to so many bits of mantissa after the first.
    Round(u32),
}

impl Change {
    /// A file's bytes, changed if it holds weights.
    pub fn applied(&self, name: &str, bytes: &'static [u8]) -> Vec<u8> {
        if !WEIGHTS.contains(&name) {
            return bytes.to_vec();
        }
        let file = SafeTensors::deserialize(bytes).unwrap();
        let mut changed = BTreeMap::new();
        for (tensor, view) in file.iter() {
            let mut data = view.data().to_vec();
            if view.dtype() == Dtype::F32 {
                let mut values: Vec<f32> =
                    data.chunks(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect();
                self.apply(name, tensor, &mut values);
                data = values.into_iter().flat_map(f32::to_le_bytes).collect();
            }
            changed.insert(tensor.to_string(), (view.dtype(), view.shape().to_vec(), data));
        }
        let views = changed.iter().map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn apply(&self, file: &str, tensor: &str, values: &mut [f32]) {
        match self {
            Self::Fault { file: faulty, tensor: name, factor } if (*faulty, *name) == (file, tensor) => {
                let largest = values.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
                *largest *= factor;
            }
            Self::Fault { .. } => {}
            Self::Nan => values.fill(f32::NAN),
            Self::Round(bits) => {
                let dropped = 23 - bits;
                for value in values {
                    // Half away from zero is near enough.
                    let up = value.to_bits() + (1 << (dropped - 1));
                    *value = f32::from_bits(up >> dropped << dropped);
                }
            }
        }
    }
}

fn run(fixtures: &Fixtures, arithmetic: Arithmetic) -> Vec<Line> {
    let device = Device::flex();
    crate::run(&Setting::new(fixtures, &device, arithmetic), |_| ())
}

/// The comparisons of one group.
fn group(name: &str, fixtures: &Fixtures) -> Vec<Line> {
    let device = Device::flex();
    let setting = Setting::new(fixtures, &device, Arithmetic::F32);
    let (_, check) = CHECKS.into_iter().find(|(known, _)| *known == name).unwrap();
    check(&setting).unwrap()
}

/// The same line with another arithmetic's bound.
fn bounded(line: &Line, arithmetic: Arithmetic) -> Line {
    Line { bound: arithmetic.bound(&line.name), ..line.clone() }
}

const VAE: &str = "vae.safetensors";
const ALN: &str = "var_aln.safetensors";
const SALN: &str = "var_saln.safetensors";
const BITS: &str = "infinity/base/infinity.safetensors";
const BITS_VAE: &str = "infinity/base/vae.safetensors";
const HART: &str = "hart/main/llm/model.safetensors";
const HART_VAE: &str = "hart/tokenizer/model.safetensors";

/// Every line whose values come from weights, and the tensor in which a fault must be found.
const FAULTS: [(&str, &str, &str); 19] = [
    ("tokenizer, encoder and tokens of images", VAE, "encoder.conv_in.weight"),
    ("tokenizer, decoder and images of tokens", VAE, "decoder.mid.attn_1.norm.weight"),
    ("tokenizer, embeddings of draws", VAE, "quantize.embedding.weight"),
    ("tokenizer, canvases, inputs and images of runs", VAE, "decoder.mid.attn_1.norm.weight"),
    ("backbone, teacher-forced logits, AdaLN per block", ALN, "lvl_embed.weight"),
    ("backbone, logits with the KV cache, AdaLN per block", ALN, "lvl_embed.weight"),
    ("backbone, teacher-forced logits, shared AdaLN", SALN, "word_embed.weight"),
    ("backbone, logits with the KV cache, shared AdaLN", SALN, "word_embed.weight"),
    ("generation, AdaLN per block", ALN, "lvl_embed.weight"),
    ("generation, more_smooth, AdaLN per block", ALN, "head_nm.ada_lin.1.weight"),
    ("generation, shared AdaLN", SALN, "word_embed.weight"),
    ("generation, more_smooth, shared AdaLN", SALN, "blocks.1.attn.proj.weight"),
    ("infinity, teacher-forced logits", BITS, "block_chunks.0.module.0.sa.scale_mul_1H11"),
    ("infinity, logits over the KV cache", BITS, "block_chunks.0.module.0.sa.scale_mul_1H11"),
    ("infinity, greedy generation under CFG", BITS_VAE, "decoder.norm_out.norm.weight"),
    ("hart, logits over the KV cache", HART, "head.weight"),
    ("hart, greedy generation under CFG with the residual", HART, "diffloss.net.final_layer.linear.weight"),
    ("hart, greedy generation without the residual", HART_VAE, "vae.decoder.mid.attn_1.norm.weight"),
    ("hart, generation of soft codes", HART, "blocks.0.ln_wo_grad.weight"),
];

/// The other lines: what they compare is weights as they are, or computed without any.
const WITHOUT: [&str; 8] = [
    "loading by upstream's keys",
    "priors, bicubic and nearest",
    "priors, DSE against its definition",
    "tokenizer, bicubic and area resampling",
    "guidance, CFG on recorded logits",
    "sampler, values that top-k and top-p keep",
    "sampler, draws with given noise",
    "sampler, weights of more_smooth",
];

/// Asserts that every line of `FAULTS` but these fails where its largest weight is multiplied.
fn found(factor: f32, arithmetics: &[Arithmetic], but: &[&str]) {
    let mut runs: BTreeMap<(&str, &str, &str), Vec<Line>> = BTreeMap::new();
    let mut missed = Vec::new();
    for (name, file, tensor) in FAULTS {
        let of = name.split(',').next().unwrap();
        let faulty = || group(of, &Fixtures::changed(Change::Fault { file, tensor, factor }));
        let lines = runs.entry((of, file, tensor)).or_insert_with(faulty);
        let line = lines.iter().find(|line| line.name == name).unwrap();
        for &arithmetic in arithmetics {
            let line = bounded(line, arithmetic);
            assert_eq!(!line.is_ok(), line.to_string().starts_with("FAILED"));
            if line.is_ok() && !but.contains(&name) {
                missed.push(format!("{arithmetic}: {line}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// `more_smooth` divides logits by temperatures down to 0.0135, so that TF32's rounding is as large there as what 1 % of a weight
/// does; HART's soft codes lie between codes after bf16's, as after any fault.
const SMOOTH: &str = "generation, more_smooth, AdaLN per block";
const SOFT: &str = "hart, generation of soft codes";

#[test]
fn a_weight_that_is_one_percent_off_fails_every_line_in_f32() {
    found(1.01, &[Arithmetic::F32], &[]);
}

#[test]
fn a_weight_that_is_one_percent_off_fails_every_line_but_one_in_tf32_and_two_percent_that_one() {
    found(1.01, &[Arithmetic::Tf32], &[SMOOTH]);
    found(1.02, &[Arithmetic::Tf32], &[]);
}

/// A number of bf16 stands for all within 0.4 % of it, and each sum has dozens of them: 1 % of one weight is lost there.
#[test]
fn a_weight_that_is_a_tenth_off_fails_every_line_but_one_in_bf16() {
    found(1.1, &[Arithmetic::Bf16], &[SOFT]);
}

#[test]
fn a_weight_that_the_device_holds_wrongly_is_found_in_every_arithmetic() {
    let device = Device::flex();
    let fixtures = Fixtures::changed(Change::Fault { file: ALN, tensor: "head.bias", factor: 1.01 });
    let model = crate::loading::backbone(&fixtures, crate::Kind::PerBlock, &device).unwrap();
    let mut gap = crate::Gap::default();
    let file = Fixtures::compiled_in().open(ALN).unwrap();
    crate::loading::held(&mut gap, &file, model.tensors()).unwrap();
    assert_eq!(gap.differing, 1);
    for arithmetic in [Arithmetic::F32, Arithmetic::Tf32, Arithmetic::Bf16] {
        assert!(!Line::new(WITHOUT[0], gap, arithmetic.bound(WITHOUT[0])).is_ok());
    }
}

/// Bounds that a right device would not keep are of no use either.
#[test]
fn weights_rounded_as_matrix_units_round_keep_their_bounds() {
    for (bits, arithmetic) in [(10, Arithmetic::Tf32), (7, Arithmetic::Bf16)] {
        let lines = run(&Fixtures::changed(Change::Round(bits)), arithmetic);
        let failed: Vec<String> =
            lines.iter().filter(|line| !line.is_ok()).map(ToString::to_string).collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        let mut listed: Vec<&str> = FAULTS.iter().map(|(name, ..)| *name).chain(WITHOUT).collect();
        assert_eq!(lines.len(), listed.len());
        listed.retain(|name| lines.iter().all(|line| line.name != *name));
        assert!(listed.is_empty(), "{listed:?}");
        // None of them is as good as f32.
        for line in lines.iter().filter(|line| !WITHOUT.contains(&&*line.name)) {
            assert!(!bounded(line, Arithmetic::F32).is_ok(), "{line}");
        }
    }
}

/// Whatever a device gives back: lines that fail, in words, and no panic.
#[test]
fn a_device_that_gives_back_nonsense_fails_and_does_not_panic() {
    let fixtures = Fixtures::compiled_in();
    let tokens = [-1, 1 << 40, i64::MAX, i64::MIN].map(broken::Device::Token);
    for device in [broken::Device::Nan, broken::Device::Empty].into_iter().chain(tokens) {
        let lines = broken::on(device, || run(&fixtures, Arithmetic::Bf16));
        let mut failed = 0;
        for line in &lines {
            let spoiled = match (&line.gap, device) {
                (Err(_), _) | (_, broken::Device::Empty) => true,
                (Ok(gap), broken::Device::Nan) => gap.values > gap.tokens,
                (Ok(gap), broken::Device::Token(_)) => gap.tokens > 0,
            };
            assert_eq!(!line.is_ok(), spoiled, "{device:?}: {line}");
            assert!(!line.to_string().contains("panicked"), "{device:?}: {line}");
            failed += usize::from(spoiled);
        }
        assert!(failed >= 8, "{device:?}: {failed}");
    }
}

#[test]
fn weights_that_are_no_numbers_fail_every_line_that_reads_them() {
    let lines = run(&Fixtures::changed(Change::Nan), Arithmetic::Bf16);
    for line in lines.iter().filter(|line| !WITHOUT.contains(&&*line.name)) {
        assert!(!line.is_ok(), "{line}");
        assert!(!line.to_string().contains("panicked"), "{line}");
    }
}

#[test]
fn a_panic_of_a_driver_is_a_failed_line_and_the_rest_is_compared() {
    let device = Device::flex();
    let fixtures = Fixtures::compiled_in();
    let setting = Setting::new(&fixtures, &device, Arithmetic::F32);
    let checks: [crate::Group; 2] = [
        ("first", |_| panic!("the device is lost,\n  says {}", "the driver")),
        ("loading", crate::loading::lines),
    ];
    let lines = crate::run_groups(&checks, &setting, |_| ());
    assert_eq!(lines.len(), 2);
    let told = lines[0].to_string();
    assert!(told.starts_with("FAILED  first"), "{told}");
    assert!(told.ends_with("panicked: the device is lost, says the driver"), "{told}");
    assert!(lines[1].is_ok());
}
