use burn::{
    module::Param,
    tensor::{Device, Tensor},
};
use nextscale_core::is_cpu;
use nextscale_kernels::{attention, rms_norm_modulate, rotate_halves, silu_gate};
use nextscale_weights::WeightFile;

use super::config::Qwen2Config;
use crate::linear::Linear;

/// The names and shapes of a layer's tensors.
pub(super) fn shapes(config: &Qwen2Config) -> Vec<(&'static str, Vec<usize>)> {
    let Qwen2Config { width, heads, key_heads, head_width, hidden, .. } = *config;
    let (queries, keys) = (heads * head_width, key_heads * head_width);
    vec![
        ("input_layernorm.weight", vec![width]),
        ("self_attn.q_proj.weight", vec![queries, width]),
        ("self_attn.q_proj.bias", vec![queries]),
        ("self_attn.k_proj.weight", vec![keys, width]),
        ("self_attn.k_proj.bias", vec![keys]),
        ("self_attn.v_proj.weight", vec![keys, width]),
        ("self_attn.v_proj.bias", vec![keys]),
        ("self_attn.o_proj.weight", vec![width, queries]),
        ("post_attention_layernorm.weight", vec![width]),
        ("mlp.gate_proj.weight", vec![hidden, width]),
        ("mlp.up_proj.weight", vec![hidden, width]),
        ("mlp.down_proj.weight", vec![width, hidden]),
    ]
}

/// `x / √(mean x² + epsilon) ⊙ weight` over channels.
pub(super) fn normed(x: Tensor<3>, weight: &Tensor<1>, epsilon: f64) -> Tensor<3> {
    let [batch, _, width] = x.dims();
    let weight = weight.clone().reshape([1, 1, width]).repeat_dim(0, batch);
    let none = weight.zeros_like();
    rms_norm_modulate(x, weight, none, epsilon)
}

/// Self-attention and a gated feed-forward, each after a norm and added to its input.
pub(super) struct Layer {
    attention_norm: Tensor<1>,
    queries: (Linear, Tensor<1>),
    keys: (Linear, Tensor<1>),
    values: (Linear, Tensor<1>),
    output: Linear,
    feed_forward_norm: Tensor<1>,
    gate: Linear,
    up: Linear,
    down: Linear,
    config: Qwen2Config,
}

impl Layer {
    /// Reads layer `index` of a checked file.
    pub fn read(
        file: &WeightFile,
        index: usize,
        config: &Qwen2Config,
        device: &Device,
    ) -> nextscale_weights::Result<Self> {
        let key = |name: &str| format!("layers.{index}.{name}");
        let vector = |name: &str| file.tensor::<1>(&key(name), device);
        let matrix = |name: &str| {
            let name = &key(&format!("{name}.weight"));
            Ok::<_, nextscale_weights::Error>(if is_cpu(device) {
                file.with_weights(name, |rows, shape| Linear::lay_out(&rows, [shape[0], shape[1]], device))?
            } else {
                Linear::Plain(Param::from_tensor(file.linear(name, device)?))
            })
        };
        let biased = |name: &str| Ok((matrix(name)?, vector(&format!("{name}.bias"))?));
        Ok(Self {
            attention_norm: vector("input_layernorm.weight")?,
            queries: biased("self_attn.q_proj")?,
            keys: biased("self_attn.k_proj")?,
            values: biased("self_attn.v_proj")?,
            output: matrix("self_attn.o_proj")?,
            feed_forward_norm: vector("post_attention_layernorm.weight")?,
            gate: matrix("mlp.gate_proj")?,
            up: matrix("mlp.up_proj")?,
            down: matrix("mlp.down_proj")?,
            config: config.clone(),
        })
    }

    /// `[batch, tokens, width]` to the same. `turns` is `[1, tokens, 2, head width]`; `mask`, `[batch,
    /// tokens, tokens]`, is added to the scores.
    pub fn forward(&self, x: Tensor<3>, turns: &Tensor<4>, mask: &Tensor<3>) -> Tensor<3> {
        let epsilon = self.config.epsilon;
        let attended = self.attend(normed(x.clone(), &self.attention_norm, epsilon), turns, mask);
        let x = x + self.output.forward(attended);
        let y = normed(x.clone(), &self.feed_forward_norm, epsilon);
        x + self.down.forward(silu_gate(self.gate.forward(y.clone()), self.up.forward(y)))
    }

    fn attend(&self, x: Tensor<3>, turns: &Tensor<4>, mask: &Tensor<3>) -> Tensor<3> {
        let Qwen2Config { heads, key_heads, head_width, .. } = self.config;
        let [batch, tokens, _] = x.dims();
        let apart = |(linear, bias): &(Linear, Tensor<1>), heads: usize| {
            linear.forward_with(x.clone(), bias.clone()).reshape([batch, tokens, heads, head_width])
        };
        // Groups of queries share a head of keys and values.
        let shared = |x: Tensor<4>| {
            let apart: Tensor<5> = x.unsqueeze_dim(3);
            apart.repeat_dim(3, heads / key_heads).reshape([batch, tokens, heads, head_width])
        };
        let queries = rotate_halves(apart(&self.queries, heads), turns.clone());
        let keys = rotate_halves(apart(&self.keys, key_heads), turns.clone());
        let values = apart(&self.values, key_heads);
        let queries = queries * (head_width as f64).powf(-0.5);
        let mixed = attention(queries, shared(keys), shared(values), Some(mask.clone()));
        mixed.reshape([batch, tokens, heads * head_width])
    }
}
