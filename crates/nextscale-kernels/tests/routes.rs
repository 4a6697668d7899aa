//! The route `fma`: every kernel gives the same bits with AVX2's vectors and with those of AVX-512.

#![cfg(target_arch = "x86_64")]

mod random;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::process::Command;

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_kernels::{
    self as kernels,
    categorical::{self, Row},
    nhwc::{Activation, Convolution, Depthwise, Map, Padding, Pool, PoolKind, Window},
    packed::{self, Then},
};
use random::random;

/// Set in the process that computes.
const CHILD: &str = "NEXTSCALE_TEST_KERNELS";
const MARK: &str = "kernel: ";

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    random(&[count], seed, 2.0, 0.0).try_into_vec().unwrap()
}

fn made<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(random(&shape, seed, 2.0, 0.0), &Device::flex())
}

/// A hash of the bits of every kernel's results, by its name.
#[derive(Default)]
struct Results(BTreeMap<String, u64>);

impl Results {
    fn add(&mut self, name: &str, values: &[f32]) {
        let mut hash = DefaultHasher::new();
        values.iter().for_each(|value| hash.write_u32(value.to_bits()));
        assert!(self.0.insert(name.into(), hash.finish()).is_none(), "two kernels are called {name}");
    }

    fn tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        self.add(name, &tensor.into_data().try_into_vec::<f32>().unwrap());
    }

    /// The results of `of` on these inputs, and the inputs' gradients.
    fn tracked<const D: usize, const N: usize>(
        &mut self,
        name: &str,
        inputs: [TensorData; N],
        of: impl Fn([Tensor<D>; N]) -> Tensor<D>,
    ) {
        let device = Device::flex().autodiff();
        let inputs = inputs.map(|data| Tensor::<D>::from_data(data, &device).require_grad());
        let out = of(inputs.clone());
        // Slopes that differ from place to place, without a sum in burn's order.
        let slopes = Tensor::<D>::from_data(random(&out.dims(), 77, 1.0, 0.0), &device);
        let gradients = (out.clone() * slopes).sum().backward();
        self.tensor(name, out.inner());
        for (i, input) in inputs.into_iter().enumerate() {
            if let Some(gradient) = input.grad(&gradients) {
                self.tensor(&format!("{name}: gradient {i}"), gradient);
            }
        }
    }

    fn elementwise(&mut self) {
        let [x, y, z] = [1, 2, 3].map(|seed| made::<3>(seed, [2, 37, 333]));
        self.tracked("silu", [random(&[3, 9001], 4, 9.0, 0.0)], |[x]: [Tensor<2>; 1]| kernels::silu(x));
        self.tracked("gelu", [random(&[3, 9001], 5, 9.0, 0.0)], |[x]: [Tensor<2>; 1]| kernels::gelu_tanh(x));
        self.tensor("gate by SiLU", kernels::silu_gate(x.clone(), y.clone()));
        self.tensor("weighted sum", kernels::weighted_sum(x.clone(), 2.5, y.clone(), -1.5));
        self.tensor("extrapolation", kernels::extrapolate(x.clone(), y, z, 0.3));
        self.tracked("exp", [random(&[3, 9001], 6, 9.0, 0.0)], |[x]: [Tensor<2>; 1]| kernels::exp(x));
        self.tensor("log softmax", kernels::log_softmax(x.clone()));
        self.tensor("sum", kernels::sum_last(x.clone()));
        self.tensor("mean", kernels::mean_last(x));
    }

    fn rows(&mut self) {
        let shape = [2, 37, 333];
        let of = |seed| random(&shape, seed, 2.0, 0.0);
        let row = |seed| random(&[2, 1, 333], seed, 2.0, 0.0);
        self.tracked("softmax", [of(1)], |[x]: [Tensor<3>; 1]| kernels::softmax(x));
        self.tracked("unit", [of(2)], |[x]: [Tensor<3>; 1]| kernels::unit(x));
        self.tracked("layer norm", [of(3)], |[x]: [Tensor<3>; 1]| kernels::layer_norm(x, 1e-6));
        self.tracked("modulation", [of(4), row(5), row(6)], |[x, scale, shift]| {
            kernels::layer_norm_modulate(x, scale, shift, 1e-6)
        });
        self.tracked("gate", [of(7), row(8), of(9)], |[x, gate, y]| kernels::gated_residual(x, gate, y));
        let [x, scale, shift] =
            [of(10), row(11), row(12)].map(|data| Tensor::from_data(data, &Device::flex()));
        self.tensor("rms norm", kernels::rms_norm_modulate(x, scale, shift, 1e-6));
        let targets: Vec<i64> = (0..40).map(|row| row * 37 % 300).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [40]), &Device::flex());
        self.tensor("cross-entropy", kernels::cross_entropy(made(13, [40, 300]), targets));
        let maps = [random(&[2, 24, 13, 11], 14, 2.0, 0.0)];
        self.tracked("unit channels", maps.clone(), |[x]: [Tensor<4>; 1]| kernels::unit_channels(x, 1e-6));
        for silu in [false, true] {
            let norm = if silu { kernels::group_norm_silu } else { kernels::group_norm };
            self.tracked(&format!("group norm, SiLU {silu}"), maps.clone(), |[x]: [Tensor<4>; 1]| {
                let device = x.device();
                let of = |seed| Tensor::from_data(random(&[24], seed, 1.0, 0.0), &device);
                norm(x, of(15), of(16), 4, 1e-6)
            });
        }
    }

    fn products(&mut self) {
        for [rows, inner, outputs] in [[1, 64, 40], [37, 700, 100], [130, 1100, 65]] {
            let name = format!("linear {rows} × {inner} × {outputs}");
            let (x, bias) = (made::<2>(1, [rows, inner]), made::<1>(2, [outputs]));
            let weight = numbers(3, outputs * inner);
            let packed = TensorData::new(packed::pack(&weight, inner), [outputs.div_ceil(32), inner, 32]);
            let packed = Tensor::<3>::from_data(packed, &Device::flex());
            for then in [Then::Nothing, Then::Gelu] {
                let out = packed::linear(x.clone(), packed.clone(), bias.clone(), then);
                self.tensor(&format!("{name}, packed, {then:?}"), out);
            }
            let data = [random(&[rows, inner], 4, 2.0, 0.0), random(&[inner, outputs], 5, 2.0, 0.0)];
            self.tracked(&name, data, |[x, weight]: [Tensor<2>; 2]| kernels::linear(x, weight, None));
        }
        self.tensor(
            "odd polynomial",
            kernels::odd_polynomial_rounded(made(6, [40, 700]) * 0.01, [3.0, -5.0, 2.0]),
        );
        self.tensor("matrices", kernels::matmul(made::<3>(7, [3, 19, 640]), made::<3>(8, [1, 640, 33])));
        self.tensor("one matrix", kernels::matmul(made::<3>(9, [1, 256, 640]), made::<3>(10, [1, 640, 256])));
    }

    fn attention(&mut self) {
        for [queries, keys, heads, width] in [[1, 1, 2, 16], [37, 90, 3, 64], [70, 70, 2, 20]] {
            let name = format!("attention of {queries} over {keys}, {width} wide");
            let of = |seed, length| random(&[2, length, heads, width], seed, 1.0, 0.0);
            let data = [of(1, queries), of(2, keys), of(3, keys)];
            self.tracked(&name, data.clone(), |[q, k, v]: [Tensor<4>; 3]| kernels::attention(q, k, v, None));
            let [q, k, v] = data.map(|data| Tensor::<4>::from_data(data, &Device::flex()));
            let mask = made::<3>(4, [2, 1, keys]);
            let masked = kernels::attention(q.clone(), k.clone(), v.clone(), Some(mask));
            self.tensor(&format!("{name}, masked"), masked);
            let over = kernels::attention_over(q, &[k.clone(), k], &[v.clone(), v]);
            self.tensor(&format!("{name}, twice"), over);
        }
        let [q, k, v] = kernels::heads(made(5, [2, 9, 3 * 4 * 24]), None, made(6, [4]), true);
        self.tensor("heads", Tensor::cat(vec![q.clone(), k, v], 0));
        self.tensor("turns", kernels::rotate(q.clone(), made(7, [9, 24])));
        self.tensor("turns of halves", kernels::rotate_halves(q, made(8, [1, 9, 2, 24])));
    }

    fn convolutions(&mut self) {
        // Shifted planes, columns and Winograd.
        for [batch, channels, outputs, side] in
            [[2, 5, 9, 13], [1, 160, 136, 8], [2, 70, 65, 33], [1, 600, 128, 2]]
        {
            let name = format!("3 × 3 convolution of {channels} to {outputs} at {side}");
            let data = [
                random(&[batch, channels, side, side], 1, 2.0, 0.0),
                random(&[outputs, channels, 3, 3], 2, 1.0, 0.0),
            ];
            self.tracked(&name, data, |[x, weight]: [Tensor<4>; 2]| {
                let bias = Tensor::from_data(random(&[outputs], 3, 1.0, 0.0), &x.device());
                kernels::conv2d_3x3(x, weight, Some(bias))
            });
            let name = format!("1 × 1 convolution of {channels} to {outputs} at {side}");
            let data = [
                random(&[batch, channels, side, side], 4, 2.0, 0.0),
                random(&[outputs, channels, 1, 1], 5, 1.0, 0.0),
            ];
            self.tracked(&name, data, |[x, weight]: [Tensor<4>; 2]| {
                let bias = Tensor::from_data(random(&[outputs], 6, 1.0, 0.0), &x.device());
                kernels::conv2d_1x1(x, weight, bias)
            });
        }
        let x = Map::new([2, 11, 9, 37], numbers(7, 2 * 11 * 9 * 37));
        let window = Window { size: [3, 3], stride: 2, padding: Padding::Same };
        let convolution =
            Convolution::new(&numbers(8, 70 * 37 * 9), &numbers(9, 70), 37, window, Activation::Relu);
        self.add("channels last", &convolution.apply(&x).values);
        let depthwise = Depthwise::new(&numbers(10, 37 * 9), &numbers(11, 37), window, Activation::Relu6);
        self.add("depthwise", &depthwise.apply(&x).values);
        for kind in [PoolKind::Max, PoolKind::Average] {
            self.add(&format!("pool, {kind:?}"), &Pool { window, kind }.apply(&x).values);
        }
    }

    fn draws(&mut self) {
        let mut row = Row::default();
        let mut drawn = Vec::new();
        for (i, uniform) in (0..64).map(|i| (i, i as f32 / 64.0)) {
            let logits = numbers(100 + i, 4096);
            row.set(&logits, 0.7);
            row.keep_top_k(900);
            row.keep_top_p(0.9);
            drawn.push(row.inverse_cdf(uniform) as f32);
            drawn.push(categorical::argmax(&logits) as f32);
            drawn.extend(row.logits().iter());
        }
        self.add("draws", &drawn);
    }
}

/// In a process of its own, because a process has one route.
fn under(route: &str) -> BTreeMap<String, String> {
    let test = std::env::current_exe().unwrap();
    let name = "every_kernel_has_the_same_bits_with_short_and_long_vectors";
    let output = Command::new(test)
        .args(["--exact", "--nocapture", name])
        .env(CHILD, "1")
        .env("NEXTSCALE_ROUTE", route)
        .output()
        .unwrap();
    assert!(output.status.success(), "{route}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().filter_map(|line| line.split_once(MARK)?.1.rsplit_once(" = "));
    lines.map(|(name, hash)| (name.to_owned(), hash.to_owned())).collect()
}

#[test]
fn every_kernel_has_the_same_bits_with_short_and_long_vectors() {
    if std::env::var_os(CHILD).is_some() {
        let mut results = Results::default();
        results.elementwise();
        results.rows();
        results.products();
        results.attention();
        results.convolutions();
        results.draws();
        for (name, hash) in results.0 {
            println!("\n{MARK}{name} = {hash:016x}");
        }
        return;
    }
    if !is_x86_feature_detected!("fma") || !is_x86_feature_detected!("avx2") {
        kernels::skip_test("fma");
        return;
    }
    let (short, long) = (under("fma-avx2"), under("fma"));
    assert!(short.len() > 50, "{} kernels", short.len());
    let differ: Vec<&String> = short.keys().filter(|name| short.get(*name) != long.get(*name)).collect();
    assert!(short.len() == long.len() && differ.is_empty(), "{differ:?}");
    if !is_x86_feature_detected!("avx512f") {
        // Only AVX2 was compared with itself.
        kernels::skip_test("avx512");
    }
    // The route is another arithmetic than the one without it, or there would be nothing to test.
    let portable = under("portable");
    assert!(short.iter().any(|(name, hash)| portable[name] != *hash));
}
