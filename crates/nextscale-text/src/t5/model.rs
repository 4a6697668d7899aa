use burn::{
    module::{Module, Param},
    tensor::{Bool, Int, Tensor, TensorData},
};
use nextscale_core::{ConditionRows, Error, Result};

use super::{
    block::Block,
    config::T5Config,
    keys::{Named, Supply, Value},
    norm::RmsNorm,
    positions::Positions,
};

pub(super) const EMBEDDING: &str = "shared.weight";

/// The T5 encoder: token ids to rows of embeddings.
///
/// The same modules are used for encoding and training. On an autodiff device all parameters have gradients,
/// including the table of positions.
#[derive(Module, Debug)]
pub struct T5 {
    /// `[vocabulary, width]`.
    embedding: Param<Tensor<2>>,
    positions: Positions,
    blocks: Vec<Block>,
    norm: RmsNorm,
    #[module(skip)]
    config: T5Config,
}

impl T5 {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &T5Config) -> Result<Self, S::Error> {
        Ok(Self {
            embedding: supply.table(EMBEDDING, [config.vocabulary, config.width])?,
            positions: Positions::build(supply, config)?,
            blocks: (0..config.depth)
                .map(|index| Block::build(supply, index, config))
                .collect::<Result<_, S::Error>>()?,
            norm: RmsNorm::build(supply, "encoder.final_layer_norm.weight", config.width, config.epsilon)?,
            config: config.clone(),
        })
    }

    /// The sizes.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// Every parameter under its published key.
    pub fn parameters(&self) -> Vec<Named<'_>> {
        let mut names = vec![Named::new(EMBEDDING, Value::Table(&self.embedding))];
        self.positions.list(&mut names);
        for (index, block) in self.blocks.iter().enumerate() {
            block.list(index, &mut names);
        }
        self.norm.list("encoder.final_layer_norm.weight".into(), &mut names);
        names
    }

    /// Every parameter's values under its published key and in its published layout, copied from the device
    /// one by one.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.parameters().into_iter().map(|named| {
            let data = named.data();
            (named.key, data)
        })
    }

    /// The rows of prompts from their tokens, as the condition of a backbone; shorter ones are padded. On an
    /// autodiff device, gradients flow back from the rows.
    ///
    /// # Errors
    /// If there are no prompts, one has no tokens, or a token is outside the vocabulary.
    pub fn rows<P: AsRef<[u32]>>(&self, prompts: &[P]) -> Result<ConditionRows> {
        let lengths: Vec<usize> = prompts.iter().map(|prompt| prompt.as_ref().len()).collect();
        let (Some(&shortest), Some(&longest)) = (lengths.iter().min(), lengths.iter().max()) else {
            return Err(Error::setting("condition", "there is no prompt"));
        };
        let all = prompts.iter().flat_map(AsRef::as_ref);
        if let Some(token) = all.clone().find(|&&token| token as usize >= self.config.vocabulary) {
            let message = format!("token {token} is not one of the encoder's {}", self.config.vocabulary);
            return Err(Error::setting("condition", message));
        }
        if shortest == 0 {
            return Err(Error::setting("condition", "a prompt has no token; the empty text has its end"));
        }
        let (mut tokens, mut seen) = (Vec::new(), Vec::new());
        for prompt in prompts.iter().map(AsRef::as_ref) {
            tokens.extend(prompt.iter().map(|&token| i64::from(token)));
            tokens.resize(tokens.len() + longest - prompt.len(), 0);
            seen.extend((0..longest).map(|at| at < prompt.len()));
        }
        let (shape, device) = ([prompts.len(), longest], self.embedding.val().device());
        let tokens = Tensor::from_data(TensorData::new(tokens, shape), &device);
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(seen, shape), &device);
        let padding = (shortest < longest).then(|| mask.clone().bool_not());
        Ok(ConditionRows::Embeddings { values: self.forward(tokens, padding), mask })
    }

    /// The embeddings of tokens `[batch, tokens]`, after the last norm: `[batch, tokens, width]`.
    ///
    /// Tokens where `padding` (`[batch, tokens]`) is true are hidden from the others: rows depend on them
    /// only in the last digits. Every row must have at least one visible token. On the CPU, rows without
    /// padding are the same, bit for bit, in any batch.
    ///
    /// # Panics
    /// If a token is outside the vocabulary, as burn's own look-up.
    pub fn forward(&self, tokens: Tensor<2, Int>, padding: Option<Tensor<2, Bool>>) -> Tensor<3> {
        self.layers(tokens, padding, |_| {})
    }

    /// As [`forward`](Self::forward); `see` receives the input of every block.
    pub(super) fn layers(
        &self,
        tokens: Tensor<2, Int>,
        padding: Option<Tensor<2, Bool>>,
        mut see: impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let [batch, length] = tokens.dims();
        let rows = self.embedding.val().select(0, tokens.reshape([batch * length]));
        let mut x: Tensor<3> = rows.reshape([batch, length, self.config.width]);
        let bias = self.positions.scores(batch, length, padding);
        for block in &self.blocks {
            see(&x);
            x = block.forward(x, &bias);
        }
        self.norm.forward(x)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::t5::fixtures::{folder, reference, row, weights};

    fn config() -> T5Config {
        T5Config::infer(&weights()).unwrap()
    }

    fn assert_close<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>, tolerance: f32, what: &str) {
        assert_eq!(found.dims(), expected.dims(), "{what}");
        let (found, expected) = (found.to_data(), expected.to_data());
        for (found, expected) in found.iter::<f32>().zip(expected.iter::<f32>()) {
            assert!((found - expected).abs() <= tolerance, "{what}: {found} for {expected}");
        }
    }

    /// The encoder in every form: for encoding, for any device, for training.
    fn forms() -> [(&'static str, T5, Device); 3] {
        let plain = Device::flex();
        let tracked = plain.clone().autodiff();
        [
            ("packed", T5::load_to_encode(&weights(), &config(), &plain).unwrap(), plain.clone()),
            ("plain", T5::load(&weights(), &config(), &plain).unwrap(), plain),
            ("tracked", T5::load(&weights(), &config(), &tracked).unwrap(), tracked),
        ]
    }

    #[test]
    fn the_sizes_are_read_from_the_tensors() {
        let text = std::fs::read_to_string(folder().join("config.json")).unwrap();
        let said: serde_json::Value = serde_json::from_str(&text).unwrap();
        let config = config();
        let found = [config.vocabulary, config.width, config.head_width, config.hidden, config.depth];
        let keys = ["vocab_size", "d_model", "d_kv", "d_ff", "num_layers"];
        assert_eq!(found.map(Some), keys.map(|key| said[key].as_u64().map(|size| size as usize)));
        assert_eq!((config.heads, config.buckets, config.farthest, config.epsilon), (4, 32, 128, 1e-6));
    }

    #[test]
    fn every_layer_gives_the_reference_s_rows() {
        let reference = reference();
        for (form, model, device) in forms() {
            for group in ["short", "long"] {
                let tensor = |name: &str| reference.tensor::<3>(&format!("{group}.{name}"));
                let ints = |name: &str| {
                    let data = reference.int_tensor::<2>(&format!("{group}.{name}")).into_data();
                    Tensor::<2, Int>::from_data(data, &device)
                };
                let mut seen = Vec::new();
                let padding = ints("attention_mask").equal_elem(0);
                let last = model.layers(ints("input_ids"), Some(padding), |x| seen.push(x.clone()));
                assert_eq!(seen.len(), 3);
                for (index, seen) in seen.into_iter().enumerate() {
                    let what = format!("{form} {group} hidden.{index}");
                    assert_close(&seen, &tensor(&format!("hidden.{index}")), 2e-5, &what);
                }
                let what = format!("{form} {group} last");
                assert_close(&last, &tensor("last_hidden_state"), 2e-5, &what);
            }
        }
    }

    #[test]
    fn prompts_one_by_one_give_the_rows_that_upstream_reads() {
        let reference = reference();
        let ids = reference.int_tensor::<2>("short.input_ids").into_data().iter::<i64>().collect::<Vec<_>>();
        let lengths = reference.ints("short.lens");
        for (form, model, device) in forms() {
            let rows = ids.chunks(24).zip(&lengths).map(|(ids, &length)| {
                let tokens = row(&ids[..length as usize]).into_data();
                let out = model.forward(Tensor::from_data(tokens, &device), None);
                out.reshape([length as usize, 48])
            });
            let compact = Tensor::cat(rows.collect(), 0);
            assert_close(&compact, &reference.tensor::<2>("short.kv_compact"), 2e-5, form);
        }
    }

    #[test]
    fn rows_of_a_batch_are_filled_up_and_masked() {
        let model = T5::load(&weights(), &config(), &Device::flex()).unwrap();
        let rows = |prompts: &[&[u32]]| match model.rows(prompts) {
            Ok(ConditionRows::Embeddings { values, mask }) => Ok((values, mask)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        let (values, mask) = rows(&[&[5, 1], &[7, 8, 9, 1]]).unwrap();
        let mask: Vec<bool> = mask.into_data().iter::<bool>().collect();
        assert_eq!(mask, [true, true, false, false, true, true, true, true]);
        let (alone, _) = rows(&[&[5, 1]]).unwrap();
        assert_close(&values.slice([0..1, 0..2]), &alone, 2e-5, "rows");
        assert!(rows(&[]).unwrap_err().contains("there is no prompt"));
        assert!(rows(&[&[1], &[]]).unwrap_err().contains("has no token"));
        assert!(rows(&[&[97]]).unwrap_err().contains("token 97 is not one of the encoder's 97"));
    }

    #[test]
    fn position_biases_are_the_reference_s() {
        let reference = reference();
        let model = T5::load(&weights(), &config(), &Device::flex()).unwrap();
        let bias = model.positions.bias(200);
        for (query, name) in [(0, "position_bias_200"), (150, "position_bias_row150")] {
            let row = bias.clone().slice_dim(1, query..query + 1);
            assert_eq!(row.into_data(), reference.tensor::<3>(name).into_data(), "{name}");
        }
    }

    #[test]
    fn every_parameter_learns() {
        let device = Device::flex().autodiff();
        let model = T5::load(&weights(), &config(), &device).unwrap();
        let tokens = Tensor::from_data(row(&[5, 9, 40, 1]).into_data(), &device);
        let out = model.forward(tokens, None);
        let gradients = (out.clone() * out).sum().backward();
        let mut without = Vec::new();
        struct Visit<'a>(&'a burn::tensor::Gradients, &'a mut Vec<Vec<usize>>);
        impl burn::module::ModuleVisitor for Visit<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let largest = param.val().grad(self.0).map(|grad| grad.abs().max().into_scalar::<f32>());
                if largest.is_none_or(|largest| largest == 0.0) {
                    self.1.push(param.dims().to_vec());
                }
            }
        }
        model.visit(&mut Visit(&gradients, &mut without));
        assert_eq!(without, Vec::<Vec<usize>>::new());
        assert_eq!(model.parameters().len(), 3 * 9 + 3);
    }

    #[test]
    fn the_gradient_of_the_positions_is_that_of_small_steps() {
        let device = Device::flex().autodiff();
        let model = T5::load(&weights(), &config(), &device).unwrap();
        let loss = |model: &T5| {
            let device = model.embedding.val().device();
            let tokens = Tensor::from_data(row(&[5, 9, 40, 7, 1]).into_data(), &device);
            let padding = Tensor::from_data([[false, false, false, true, false]], &device);
            let out = model.forward(tokens, Some(padding)).slice_dim(1, 0..2);
            (out.clone() * out.clone() * out).sum()
        };
        let gradients = loss(&model).backward();
        let table = &model.positions.table;
        let gradient = table.val().grad(&gradients).unwrap().into_data();
        let (gradient, values) = (gradient.iter::<f32>().collect::<Vec<_>>(), table.val().into_data());
        let values: Vec<f32> = values.iter::<f32>().collect();
        for at in [0, 1, 4, 4 * 17 + 2] {
            let moved = |step: f32| {
                let mut values = values.clone();
                values[at] += step;
                let values = Tensor::from_data(TensorData::new(values, [32, 4]), &device);
                let mut model = model.clone();
                model.positions.table = Param::from_tensor(values);
                f64::from(loss(&model).into_scalar::<f32>())
            };
            let slope = (moved(0.01) - moved(-0.01)) / 0.02;
            let gradient = f64::from(gradient[at]);
            assert!((slope - gradient).abs() < 2e-3 + 0.02 * slope.abs(), "{at}: {gradient} for {slope}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

        #[test]
        fn a_padded_batch_gives_the_rows_of_each_prompt_alone(
            prompts in prop::collection::vec(prop::collection::vec(1i64..97, 1..30), 1..4),
        ) {
            let longest = prompts.iter().map(Vec::len).max().unwrap();
            let mut ids = Vec::new();
            let mut padding = Vec::new();
            for prompt in &prompts {
                ids.extend(prompt);
                ids.resize(ids.len() + longest - prompt.len(), 0);
                padding.extend((0..longest).map(|i| i >= prompt.len()));
            }
            let shape = [prompts.len(), longest];
            for (form, model, device) in forms() {
                let ids = Tensor::from_data(TensorData::new(ids.clone(), shape), &device);
                let padding = Tensor::from_data(TensorData::new(padding.clone(), shape), &device);
                let batch = model.forward(ids, Some(padding));
                for (i, prompt) in prompts.iter().enumerate() {
                    let alone = model.forward(Tensor::from_data(row(prompt).into_data(), &device), None);
                    let rows = batch.clone().slice([i..i + 1, 0..prompt.len()]);
                    assert_close(&rows, &alone, 2e-5, form);
                }
            }
        }

        #[test]
        fn rows_without_padding_are_the_same_to_the_bit_in_every_batch(
            prompts in prop::collection::vec(prop::collection::vec(1i64..97, 11), 2..12),
        ) {
            let model = T5::load_to_encode(&weights(), &config(), &Device::flex()).unwrap();
            let ids = TensorData::new(prompts.concat(), [prompts.len(), 11]);
            let batch = model.forward(Tensor::from_data(ids, &Device::flex()), None);
            for (i, prompt) in prompts.iter().enumerate() {
                let alone = model.forward(row(prompt), None);
                prop_assert_eq!(batch.clone().narrow(0, i, 1).into_data(), alone.into_data());
            }
        }
    }
}
