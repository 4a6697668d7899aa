//! A tiny Qwen2 against PyTorch's implementation (tests/fixtures/text/README.md).

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use nextscale_text::{PaddedEncoder, PaddedTokenizer, Qwen2Config, TextCache, Warning};
use nextscale_weights::WeightFile;

const SYSTEM: &str = "Describe the picture well, with its colours: ";
const LENGTH: usize = 12;
const PROMPTS: [&str; 6] = [
    "a red truck",
    "A photo of two blue ships, it's 3 o'clock",
    "ünï¢ødé 船 🚢  and\tspaces\n\n here",
    "x",
    "one two three four five six seven eight nine ten eleven twelve",
    "<|im_start|>a truck<|im_end|>",
];

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/text/qwen2")
}

/// A copy of the fixture's folder.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn rewrite(path: PathBuf, change: impl FnOnce(&mut serde_json::Value)) {
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn open(folder: &Path, system: Option<&str>) -> nextscale_text::Result<PaddedEncoder> {
    PaddedEncoder::open(folder, folder, LENGTH, system)
}

fn refused(folder: &Path) -> String {
    open(folder, None).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn texts_have_the_ids_of_a_byte_level_vocabulary() {
    let tokenizer = PaddedTokenizer::open(fixture(), LENGTH).unwrap();
    let recorded: serde_json::Value =
        serde_json::from_slice(&fs::read(fixture().join("prompts.json")).unwrap()).unwrap();
    let prompts = recorded["prompts"].as_array().unwrap();
    assert!(prompts.len() > 10);
    for prompt in prompts {
        let ids: Vec<u32> = serde_json::from_value(prompt["ids"].clone()).unwrap();
        let text = prompt["text"].as_str().unwrap();
        assert_eq!(tokenizer.bare(text).unwrap(), ids, "{text:?}");
    }
    let empty = tokenizer.tokens("").unwrap_err().to_string();
    assert!(empty.contains("it has no token; write Null"), "{empty}");
}

#[test]
fn rows_are_pytorchs_on_either_side_with_and_without_a_system_prompt() {
    let recorded = WeightFile::open(fixture().join("reference.safetensors")).unwrap();
    for side in ["left", "right"] {
        let folder = copied();
        let path = folder.path().join("tokenizer_config.json");
        rewrite(path, |settings| settings["padding_side"] = side.into());
        let (ids, _) = recorded.integers(&format!("{side}.ids")).unwrap();
        for (system, name) in [(None, "hidden"), (Some(SYSTEM), "hidden_system")] {
            let encoder = open(folder.path(), system).unwrap();
            let (expected, shape) = recorded.values(&format!("{side}.{name}")).unwrap();
            assert_eq!(shape, [PROMPTS.len(), LENGTH, 48]);
            let mut heard = Vec::new();
            let encoded = encoder
                .encode(&PROMPTS, &Device::flex(), None, &mut |done, all| heard.push((done, all)))
                .unwrap();
            assert_eq!(heard, [(1, 3), (2, 3), (3, 3)]);
            assert_eq!(encoded.rows.shape(), [LENGTH, 48]);
            for (i, prompt) in PROMPTS.into_iter().enumerate() {
                let tokens = encoder.tokenizer().tokens(prompt).unwrap();
                let recorded: Vec<u32> =
                    ids[i * LENGTH..(i + 1) * LENGTH].iter().map(|&id| id as u32).collect();
                assert_eq!(tokens.ids, recorded, "{prompt}");
                let (rows, own) = encoded.rows.get(prompt).unwrap();
                assert_eq!(own, tokens.own);
                let worst = rows
                    .iter()
                    .zip(&expected[i * LENGTH * 48..])
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(worst < 1e-4, "{side} {name} {prompt:?}: off by {worst:e}");
            }
            let cut: Vec<_> =
                encoded.warnings.iter().map(|warning| matches!(warning, Warning::Cut { .. })).collect();
            assert!(!cut.is_empty() && cut.iter().all(|cut| *cut), "{:?}", encoded.warnings);
        }
    }
}

#[test]
fn rows_do_not_depend_on_the_other_prompts_and_are_kept_on_disk() {
    let encoder = open(&fixture(), Some(SYSTEM)).unwrap();
    let together = encoder.encode(&PROMPTS, &Device::flex(), None, &mut |_, _| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = TextCache::open(folder.path()).unwrap();
    for prompt in PROMPTS {
        for _ in 0..2 {
            let alone = encoder.encode(&[prompt], &Device::flex(), Some(&cache), &mut |_, _| {}).unwrap();
            assert_eq!(alone.rows.get(prompt).unwrap(), together.rows.get(prompt).unwrap());
        }
    }
    // The second time nothing is computed; another system prompt's rows are others.
    let mut heard = 0;
    encoder.encode(&PROMPTS, &Device::flex(), Some(&cache), &mut |_, _| heard += 1).unwrap();
    assert_eq!(heard, 0);
    let bare = open(&fixture(), None).unwrap();
    bare.encode(&PROMPTS, &Device::flex(), Some(&cache), &mut |_, _| heard += 1).unwrap();
    assert_eq!(heard, 3);
    assert_ne!(bare.fingerprint(), encoder.fingerprint());
}

#[test]
fn sizes_are_read_from_the_file_and_its_description() {
    let config = open(&fixture(), None).unwrap().config().clone();
    let expected = Qwen2Config {
        vocabulary: 320,
        width: 48,
        depth: 3,
        heads: 4,
        key_heads: 2,
        head_width: 12,
        hidden: 80,
        theta: 1e6,
        epsilon: 1e-6,
    };
    assert_eq!(config, expected);
    // Older descriptions have the base of the wavelengths at their top level.
    let folder = copied();
    rewrite(folder.path().join("config.json"), |said| {
        said["rope_theta"] = 1e6.into();
        said["rope_parameters"] = serde_json::Value::Null;
        said["rope_scaling"] = serde_json::json!({"type": "mrope", "mrope_section": [2, 2, 2]});
    });
    assert_eq!(open(folder.path(), None).unwrap().config(), &expected);
}

#[test]
fn what_does_not_fit_is_told_by_file_and_field() {
    let broken = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let folder = copied();
        rewrite(folder.path().join(name), change);
        refused(folder.path())
    };
    let config = |change: &dyn Fn(&mut serde_json::Value)| broken("config.json", change);
    let told = config(&|said| said["num_hidden_layers"] = 4.into());
    assert!(told.contains("`num_hidden_layers` is 4, and the weights beside it have 3"), "{told}");
    let told = config(&|said| said["num_attention_heads"] = serde_json::Value::Null);
    assert!(told.contains("`num_attention_heads` is missing"), "{told}");
    let told = config(&|said| said["num_key_value_heads"] = 4.into());
    assert!(told.contains("24 channels are not those of 4 heads"), "{told}");
    assert!(config(&|said| said["num_attention_heads"] = 0.into()).contains("num_attention_heads"));
    assert!(config(&|said| said["model_type"] = "llama".into()).contains("only qwen2 is supported"));
    assert!(config(&|said| said["hidden_act"] = "gelu".into()).contains("only silu"));
    assert!(config(&|said| said["use_sliding_window"] = true.into()).contains("only full attention"));
    let told = config(&|said| said["rope_scaling"] = serde_json::json!({"rope_type": "yarn"}));
    assert!(told.contains("scaled (\"yarn\")"), "{told}");

    let folder = copied();
    fs::remove_file(folder.path().join("config.json")).unwrap();
    let told = refused(folder.path());
    assert!(told.contains("config.json") && told.contains("there is no such file"), "{told}");
    let settings = |change: &dyn Fn(&mut serde_json::Value)| broken("tokenizer_config.json", change);
    let told = settings(&|said| said["padding_side"] = "middle".into());
    assert!(told.contains("`padding_side` is \"middle\""), "{told}");
    let told = settings(&|said| said["pad_token"] = serde_json::Value::Null);
    assert!(told.contains("nothing says which token pads"), "{told}");
    let told = settings(&|said| said["pad_token"] = serde_json::json!({"content": "<pad>"}));
    assert!(told.contains("it has no token \"<pad>\""), "{told}");
    let told = broken("tokenizer.json", &|said| {
        said["added_tokens"].as_array_mut().unwrap().push(serde_json::json!({
            "id": 900, "content": "<other>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        }));
        said["model"]["vocab"]["<other>"] = 900.into();
    });
    assert!(told.contains("is not the vocabulary of"), "{told}");
    // T5's weights are not a language model.
    let t5 = fixture().join("../../infinity/t5");
    let told = PaddedEncoder::open(t5.join("t5_encoder.safetensors"), fixture(), LENGTH, None);
    let told = told.map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("is not a Qwen2"), "{told}");
    for length in [0, 1 << 20] {
        let told =
            PaddedEncoder::open(fixture(), fixture(), length, None).map(|_| ()).unwrap_err().to_string();
        assert!(told.starts_with("context_token"), "{told}");
    }
}
