use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};

use nextscale_core::is_cpu;
use nextscale_kernels::{self as kernels, packed::Then};
use serde::{Deserialize, Serialize};

use super::{
    keys::{Named, Supply, Value, linear, list_linear},
    linear::{Linear, Weight},
    ops,
};

/// How scores are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttentionKind {
    /// Queries and keys are L2-normalised, with one learned scale per head (every published model).
    L2,
    /// Scaled by 0.25 / √(head width).
    Plain,
}

/// The upper bound of the logarithm of a head's scale: a scale of 100.
const MAX_LOG_SCALE: f64 = 4.605_170_185_988_092;

/// The factor of the scores in plain attention.
fn plain_scale(head_width: usize) -> f64 {
    0.25 / (head_width as f64).sqrt()
}

/// Multi-head self-attention, L2-normalised or plain.
#[derive(Module, Debug)]
pub struct Attention {
    /// From `width` to `3·width`: q, k and v, each with its heads in order.
    qkv: Weight,
    q_bias: Param<Tensor<1>>,
    v_bias: Param<Tensor<1>>,
    proj: Linear,
    /// Logarithm of each head's scale, `[1, heads, 1, 1]`; absent in plain attention.
    scale_mul: Option<Param<Tensor<4>>>,
    #[module(skip)]
    heads: usize,
    /// The name of the weight of queries, keys and values.
    #[module(skip)]
    joint: &'static str,
    /// If no weight changes any more, and elsewhere than on the CPU.
    #[module(skip)]
    constants: Option<Constants>,
}

/// What follows from weights alone.
#[derive(Debug, Clone)]
struct Constants {
    /// The bias of queries, keys and values, `[3·width]`.
    bias: Tensor<1>,
    /// The factor of each head's queries, `[heads]`.
    scale: Tensor<1>,
}

/// Queries, keys and values, each `[rows, positions, heads, head width]`.
#[derive(Debug, Clone)]
pub(crate) struct Projected {
    pub queries: Tensor<4>,
    pub keys: Tensor<4>,
    pub values: Tensor<4>,
    /// Whether the model trains in mixed precision.
    pub mixed: bool,
}

impl Projected {
    /// Queries and keys with their pairs of channels rotated by position, `[positions, head width]`.
    pub fn turned(self, turns: &Tensor<2>) -> Self {
        let [queries, keys] = [self.queries, self.keys].map(|x| kernels::rotate(x, turns.clone()));
        Self { queries, keys, ..self }
    }

    /// Queries and keys with the halves of their channels turned, by `[rows or 1, positions, 2, head width]`.
    pub fn turned_by_halves(self, turns: &Tensor<4>) -> Self {
        let [queries, keys] = [self.queries, self.keys].map(|x| kernels::rotate_halves(x, turns.clone()));
        Self { queries, keys, ..self }
    }
}

impl Projected {
    /// Without the queries of all but the last positions, as many as are named.
    pub fn asking(self, last: Option<usize>) -> Self {
        let Some(last) = last else { return self };
        Self { queries: last_positions(self.queries, last), ..self }
    }

    /// Those of one row cut into two parts with these counts of positions, each in rows of as many as
    /// `positions` says.
    pub fn cut(self, counts: [usize; 2], positions: [usize; 2]) -> [Self; 2] {
        let Self { queries, keys, values, mixed } = self;
        let part = |x: &Tensor<4>, i: usize| {
            let [_, _, heads, width] = x.dims();
            let x = x.clone().narrow(1, i * counts[0], counts[i]);
            x.reshape([counts[i] / positions[i], positions[i], heads, width])
        };
        [0, 1].map(|i| Self {
            queries: part(&queries, i),
            keys: part(&keys, i),
            values: part(&values, i),
            mixed,
        })
    }
}

/// The last positions of `[rows, positions, ..]`, as many as there are if `count` is more.
pub(crate) fn last_positions<const D: usize>(x: Tensor<D>, count: usize) -> Tensor<D> {
    let positions = x.dims()[1];
    x.slice_dim(1, positions.saturating_sub(count)..positions)
}

impl Attention {
    pub(crate) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        [width, heads]: [usize; 2],
        kind: AttentionKind,
    ) -> Result<Self, S::Error> {
        Self::build_as(supply, prefix, "mat_qkv", [width, heads], kind)
    }

    /// The same where the weight of queries, keys and values has the name `joint`.
    pub(crate) fn build_as<S: Supply>(
        supply: &mut S,
        prefix: &str,
        joint: &'static str,
        [width, heads]: [usize; 2],
        kind: AttentionKind,
    ) -> Result<Self, S::Error> {
        let scale_mul = match kind {
            AttentionKind::L2 => Some(supply.param(&format!("{prefix}scale_mul_1H11"), [1, heads, 1, 1])?),
            AttentionKind::Plain => None,
        };
        let mut attention = Self {
            scale_mul,
            q_bias: supply.param(&format!("{prefix}q_bias"), [width])?,
            v_bias: supply.param(&format!("{prefix}v_bias"), [width])?,
            qkv: supply.matrix(&format!("{prefix}{joint}.weight"), width, 3 * width)?,
            proj: linear(supply, &format!("{prefix}proj"), width, width)?,
            heads,
            joint,
            constants: None,
        };
        if let Weight::Still(_) = attention.qkv {
            attention.constants = Some(attention.constants());
        }
        Ok(attention)
    }

    pub(crate) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        if let Some(scale_mul) = &self.scale_mul {
            names.push(Named::new(format!("{prefix}scale_mul_1H11"), Value::Four(scale_mul)));
        }
        names.push(Named::new(format!("{prefix}q_bias"), Value::One(&self.q_bias)));
        names.push(Named::new(format!("{prefix}v_bias"), Value::One(&self.v_bias)));
        names.push(Named::new(format!("{prefix}{}.weight", self.joint), Value::Matrix(&self.qkv)));
        list_linear(&self.proj, &format!("{prefix}proj"), names);
    }

    /// The type of floats that [`project`](Self::project) multiplies.
    pub(crate) fn dtype(&self) -> DType {
        self.qkv.dtype()
    }

    /// Projects `[rows, positions, width]`. Keys come in cached form: normalised if attention is; the heads'
    /// scales are applied to the queries.
    pub(crate) fn project(&self, x: Tensor<3>) -> Projected {
        let [rows, positions, width] = x.dims();
        let (weight, mixed) = match &self.qkv {
            Weight::Plain(weight) if is_cpu(&x.device()) => (weight.val(), false),
            Weight::Mixed(weight) if is_cpu(&x.device()) => (weight.val(), true),
            _ => return self.project_at_once(x),
        };
        let linear = if mixed { kernels::linear_rounded } else { kernels::linear };
        let heads = [rows, positions, self.heads, width / self.heads];
        // Three products with views of one weight: their results are contiguous, whereas slices of one
        // product would have to be copied.
        let x = x.reshape([rows * positions, width]);
        let part = |i: usize| {
            let weight: Tensor<2> = weight.clone().slice_dim(1, i * width..(i + 1) * width);
            let out: Tensor<2> = linear(x.clone(), weight, None);
            out.reshape([rows, positions, width])
        };
        let queries = (part(0) + self.q_bias.val().unsqueeze()).reshape(heads);
        // Keys have no bias; upstream stores zeros.
        let keys = part(1).reshape(heads);
        let values = (part(2) + self.v_bias.val().unsqueeze()).reshape(heads);
        match &self.scale_mul {
            Some(scale_mul) => {
                let scale = kernels::exp(scale_mul.val().clamp_max(MAX_LOG_SCALE));
                let scale = scale.reshape([1, 1, self.heads, 1]);
                Projected { queries: ops::unit(queries) * scale, keys: ops::unit(keys), values, mixed }
            }
            None => Projected { queries: queries * plain_scale(width / self.heads), keys, values, mixed },
        }
    }

    /// The same as one product.
    fn project_at_once(&self, x: Tensor<3>) -> Projected {
        let Constants { bias, scale } = self.constants.clone().unwrap_or_else(|| self.constants());
        let [rows, positions, width] = x.dims();
        let mixed = self.qkv.is_mixed();
        let (projections, bias) = match &self.qkv {
            // The kernel that makes heads of them adds the bias.
            Weight::Plain(weight) | Weight::Mixed(weight) | Weight::Still(weight) => {
                let linear = if mixed { kernels::linear_rounded } else { kernels::linear };
                let x = self.qkv.factor(x).reshape([rows * positions, width]);
                let all = linear(x, weight.val(), None);
                (all.reshape([rows, positions, 3 * width]), Some(bias))
            }
            packed => (packed.product(x, bias, Then::Nothing), None),
        };
        let [queries, keys, values] = ops::heads(projections, bias, scale, self.scale_mul.is_some());
        Projected { queries, keys, values, mixed }
    }

    fn constants(&self) -> Constants {
        let (q_bias, v_bias) = (self.q_bias.val(), self.v_bias.val());
        let head_width = q_bias.dims()[0] / self.heads;
        let scale = match &self.scale_mul {
            Some(scale_mul) => kernels::exp(scale_mul.val().clamp_max(MAX_LOG_SCALE)).reshape([self.heads]),
            None => Tensor::full([self.heads], plain_scale(head_width), &q_bias.device()),
        };
        // Keys have no bias; upstream stores zeros.
        let bias = Tensor::cat(vec![q_bias.clone(), q_bias.zeros_like(), v_bias], 0);
        Constants { bias, scale }
    }

    /// Queries `[rows, queries, heads, head width]` over keys and values `[rows, keys, heads, head width]`,
    /// to `[rows, queries, width]` before the output projection. `mask` is added to the scores, `[queries,
    /// keys]`.
    pub(crate) fn attend(projected: Projected, mask: Option<Tensor<2>>) -> Tensor<3> {
        let Projected { queries, keys, values, mixed } = projected;
        let [rows, positions, heads, head_width] = queries.dims();
        ops::attention(mixed, queries, keys, values, mask).reshape([rows, positions, heads * head_width])
    }

    /// The same over keys and values in parts, one after the other, without a mask.
    pub(crate) fn attend_over(
        mixed: bool,
        queries: Tensor<4>,
        keys: &[Tensor<4>],
        values: &[Tensor<4>],
    ) -> Tensor<3> {
        let [rows, positions, heads, head_width] = queries.dims();
        ops::attention_over(mixed, queries, keys, values).reshape([rows, positions, heads * head_width])
    }

    /// The same where each query has its position's own value for its mixture: attention whose map is the
    /// identity.
    pub(crate) fn own(projected: &Projected) -> Tensor<3> {
        let [rows, positions, heads, head_width] = projected.queries.dims();
        let values = last_positions(projected.values.clone(), positions);
        values.reshape([rows, positions, heads * head_width])
    }

    /// The output projection.
    pub(crate) fn output(&self, mixed: Tensor<3>) -> Tensor<3> {
        self.proj.forward(mixed)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::var::fixtures::{Weights, assert_close, modules};

    #[test]
    fn attention_is_upstreams_with_and_without_l2() {
        let reference = modules();
        for (name, kind) in [("selfattn_l2", AttentionKind::L2), ("selfattn_nol2", AttentionKind::Plain)] {
            let mut weights = Weights::new(&reference, format!("{name}.w."), Device::flex());
            let attention = Attention::build(&mut weights, "", [32, 2], kind).unwrap();
            let projected = attention.project(reference.tensor(&format!("{name}.in")));
            let mask: Tensor<4> = reference.tensor(&format!("{name}.mask"));
            let [.., queries, keys] = mask.dims();
            let mask = mask.reshape([queries, keys]);
            let out = attention.output(Attention::attend(projected, Some(mask)));
            assert_close(&out, &reference.tensor(&format!("{name}.out")), 1e-5, name);
        }
    }
}
