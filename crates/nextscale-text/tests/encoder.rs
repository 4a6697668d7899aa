//! From prompts to rows, with files as users have them.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::ConditionRows;
use nextscale_text::{Encoded, PromptTokenizer, T5, T5Config, TextCache, TextEncoder, Warning, word_level};
use nextscale_weights::{Precision, save_safetensors};

const PROMPTS: [&str; 5] = ["a red truck", "a ship", "", "a red truck", "A  RED truck"];

fn config() -> T5Config {
    T5Config { head_width: 8, ..T5Config::new(8, 24, 2, 3, 32) }
}

/// A folder with an encoder and its vocabulary of 8 tokens.
fn model() -> (tempfile::TempDir, T5) {
    let folder = tempfile::tempdir().unwrap();
    let words = word_level(["a red truck", "a blue ship"]).unwrap();
    fs::write(folder.path().join("tokenizer.json"), words).unwrap();
    let model = config().init(5, &Device::flex()).unwrap();
    model.save(folder.path().join("model.safetensors"), Precision::F32).unwrap();
    (folder, model)
}

fn open(folder: &Path) -> nextscale_text::Result<TextEncoder> {
    TextEncoder::open(folder, folder)
}

fn encode(
    encoder: &TextEncoder,
    prompts: &[&str],
    cache: Option<&TextCache>,
) -> (Encoded, Vec<(usize, usize)>) {
    let mut heard = Vec::new();
    let encoded =
        encoder.encode(prompts, &Device::flex(), cache, &mut |done, all| heard.push((done, all))).unwrap();
    (encoded, heard)
}

#[test]
fn prompts_get_the_rows_of_their_tokens_each_encoded_once() {
    let (folder, model) = model();
    let encoder = open(folder.path()).unwrap();
    let (encoded, heard) = encode(&encoder, &PROMPTS, None);
    // Three different texts, of three lengths.
    assert_eq!(heard, [(0, 3), (1, 3), (2, 3), (3, 3)]);
    assert_eq!(encoded.warnings, [Warning::Empty { index: 2 }]);
    let tokenizer = PromptTokenizer::open(folder.path()).unwrap();
    for prompt in PROMPTS {
        let ids: Vec<i64> = tokenizer.tokens(prompt).unwrap().ids.into_iter().map(i64::from).collect();
        let tokens = TensorData::new(ids.clone(), [1, ids.len()]);
        let expected = model.forward(Tensor::<2, Int>::from_data(tokens, &Device::flex()), None).into_data();
        let rows = encoded.rows.get(prompt).unwrap();
        assert_eq!(rows.len(), ids.len() * 24);
        for (found, expected) in rows.iter().zip(expected.iter::<f32>()) {
            assert!((found - expected).abs() < 1e-5, "{prompt}");
        }
    }
    assert_eq!(encoded.rows.get("a red truck").unwrap(), encoded.rows.get("A  RED truck").unwrap());
    assert_eq!(encoded.rows.get("").unwrap().len(), 24);
    let ConditionRows::Embeddings { values, mask } = encoded.rows.batch(&PROMPTS, &Device::flex()).unwrap()
    else {
        unreachable!("texts are embeddings")
    };
    assert_eq!((values.dims(), mask.dims()), ([5, 4, 24], [5, 4]));
}

#[test]
fn rows_do_not_depend_on_the_other_prompts() {
    let (folder, _) = model();
    let encoder = open(folder.path()).unwrap();
    let many: Vec<String> =
        (0..300).map(|i| ["a", "red", "truck", "blue"][i % 4].repeat(1 + i % 2)).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.extend(PROMPTS);
    let (together, _) = encode(&encoder, &many, None);
    for prompt in PROMPTS {
        let (alone, _) = encode(&encoder, &[prompt], None);
        assert_eq!(alone.rows.get(prompt).unwrap(), together.rows.get(prompt).unwrap());
    }
}

#[test]
fn kept_rows_need_no_weights_and_damaged_ones_are_made_again() {
    let (folder, _) = model();
    let encoder = open(folder.path()).unwrap();
    let cache = TextCache::open(folder.path().join("cache")).unwrap();
    let (first, _) = encode(&encoder, &PROMPTS, Some(&cache));
    let (again, heard) = encode(&encoder, &PROMPTS, Some(&cache));
    assert_eq!(heard, []);
    for prompt in PROMPTS {
        assert_eq!(first.rows.get(prompt).unwrap(), again.rows.get(prompt).unwrap());
    }
    let kept = fs::read_dir(folder.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    let files: Vec<_> = fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    fs::write(&files[0], "damaged").unwrap();
    let (mended, heard) = encode(&encoder, &PROMPTS, Some(&cache));
    assert_eq!(heard, [(0, 1), (1, 1)]);
    for prompt in PROMPTS {
        assert_eq!(first.rows.get(prompt).unwrap(), mended.rows.get(prompt).unwrap());
    }
    assert_eq!(encode(&encoder, &PROMPTS, Some(&cache)).1, []);
    // Another encoder does not read them.
    config()
        .init(6, &Device::flex())
        .unwrap()
        .save(folder.path().join("model.safetensors"), Precision::F32)
        .unwrap();
    let other = open(folder.path()).unwrap();
    assert_ne!(other.fingerprint(), encoder.fingerprint());
    assert_eq!(encode(&other, &PROMPTS, Some(&cache)).1.len(), 4);
}

#[test]
fn one_long_prompt_of_many_is_named() {
    let (folder, _) = model();
    let encoder = open(folder.path()).unwrap();
    let long = "a red truck ".repeat(200);
    let mut prompts = vec!["a ship"; 10_000];
    prompts[7_311] = &long;
    prompts[9_000] = "a green ship";
    let (encoded, _) = encode(&encoder, &prompts, None);
    let [Warning::Truncated { index: 7_311, tokens: 601, .. }, Warning::Unknown { index: 9_000, parts, .. }] =
        &encoded.warnings[..]
    else {
        panic!("{:?}", encoded.warnings)
    };
    assert_eq!(parts, &["green"]);
    assert!(
        encoded.warnings[0].to_string().starts_with("prompt 7312 (\"a red truck"),
        "{}",
        encoded.warnings[0]
    );
    assert_eq!(encoded.rows.get(&long).unwrap().len(), 512 * 24);
}

#[test]
fn a_vocabulary_of_another_encoder_is_refused_before_weights_load() {
    let (folder, _) = model();
    let words = word_level(["a red truck and a blue ship and more"]).unwrap();
    fs::write(folder.path().join("tokenizer.json"), words).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it has 10 tokens, and the encoder 8 rows of embeddings"), "{error}");
    assert!(error.contains("tokenizer.json") && error.contains("model.safetensors"), "{error}");
}

#[test]
fn a_config_beside_the_weights_must_be_theirs() {
    let (folder, _) = model();
    let path = folder.path().join("config.json");
    let refused = |text: &str| {
        fs::write(&path, text).unwrap();
        open(folder.path()).unwrap_err().to_string()
    };
    let error = refused("{\"d_model\": 2048}");
    assert!(error.contains("config.json: `d_model` is 2048, and the weights beside it have 24"), "{error}");
    let error = refused("{\"feed_forward_proj\": \"relu\"}");
    assert!(error.contains("`feed_forward_proj` is \"relu\""), "{error}");
    assert!(refused("{\"d_model\": ").contains("config.json"));
    assert!(refused("{\"eos_token_id\": 2}").contains("ends texts with token 1, and the encoder with 2"));
    assert!(refused("{\"relative_attention_max_distance\": 1}").contains("farthest"));
    fs::write(
        &path,
        "{\"relative_attention_max_distance\": 40, \"layer_norm_epsilon\": 0.001, \"d_model\": 24}",
    )
    .unwrap();
    let encoder = open(folder.path()).unwrap();
    assert_eq!((encoder.config().farthest, encoder.config().epsilon), (40, 0.001));
}

#[test]
fn a_published_folder_of_shards_is_an_encoder() {
    let (folder, model) = model();
    let whole = open(folder.path()).unwrap();
    let (expected, _) = encode(&whole, &PROMPTS, None);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let decoder =
        ("decoder.block.0.layer.0.SelfAttention.q.weight".to_owned(), TensorData::new(vec![0.0_f32], [1]));
    let (mut shards, mut map) = (vec![Vec::new(), Vec::new(), Vec::new()], BTreeMap::new());
    for (i, (name, data)) in model.tensors().chain([decoder]).enumerate() {
        map.insert(name.clone(), format!("model-0000{}-of-00003.safetensors", i % 3 + 1));
        shards[i % 3].push((name, data));
    }
    for (i, shard) in shards.into_iter().enumerate() {
        let path = folder.path().join(format!("model-0000{}-of-00003.safetensors", i + 1));
        save_safetensors(path, shard, Precision::F32, &BTreeMap::new()).unwrap();
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map}).to_string();
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let encoder = open(folder.path()).unwrap();
    let (found, _) = encode(&encoder, &PROMPTS, None);
    for prompt in PROMPTS {
        assert_eq!(found.rows.get(prompt).unwrap(), expected.rows.get(prompt).unwrap());
    }
    fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("lacks model-00002-of-00003.safetensors"), "{error}");
}
