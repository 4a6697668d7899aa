//! Linear layers at inference, with weights packed once for products on the host.
//!
//! A weight is stored in panels of [`WIDTH`] columns, `[panels, inner, WIDTH]`, the last padded with zeros,
//! so that a product reads one stream. On the CPU backend the product runs on the processor's matrix unit if
//! it has one, as products of bfloat16 numbers whose sums are the f32 numbers (see `raw::matrix_unit`),
//! otherwise on its vectors. Both are as exact as a plain sum in f32, but differ in the last bits. On either,
//! a row's result does not depend on the other rows.

#[cfg(target_arch = "x86_64")]
mod by_unit;
mod by_vectors;
#[cfg(target_arch = "x86_64")]
mod pairs;

use std::sync::Arc;

use burn::{
    backend::flex::FlexTensor,
    tensor::{Tensor, activation::gelu_approximate},
};
use by_vectors::{Factors, Weight};
use rayon::prelude::*;

use crate::{
    composed,
    extension::{dims, outside, tensor, values},
    math::narrowed,
    raw::{Level, zip_map},
    tiles::PANEL,
};
#[cfg(target_arch = "x86_64")]
use crate::{
    precision::Precision,
    raw::matrix_unit::{Line, MatrixUnit},
};

/// Columns per panel.
pub const WIDTH: usize = PANEL;

/// The number of panels for this many columns.
pub fn panels(outputs: usize) -> usize {
    outputs.div_ceil(WIDTH)
}

/// Packs a weight into panels, `[panels, inner, WIDTH]`, from the rows of a checkpoint, `[outputs, inner]`.
///
/// # Panics
/// If `weight` does not consist of whole rows.
pub fn pack(weight: &[f32], inner: usize) -> Vec<f32> {
    let outputs = weight.len().checked_div(inner).unwrap_or(0);
    assert_eq!(weight.len(), outputs * inner, "rows of {inner} numbers");
    let mut packed = vec![0.0; panels(outputs) * inner * WIDTH];
    packed.par_chunks_mut((inner * WIDTH).max(1)).zip(weight.par_chunks(inner.max(1) * WIDTH)).for_each(
        |(panel, rows)| {
            // Sixteen numbers of every row at a time, one cache line each.
            const LINE: usize = 16;
            for from in (0..inner).step_by(LINE) {
                let to = inner.min(from + LINE);
                for (column, row) in rows.chunks_exact(inner).enumerate() {
                    for (line, &value) in panel[from * WIDTH..].chunks_exact_mut(WIDTH).zip(&row[from..to]) {
                        line[column] = value;
                    }
                }
            }
        },
    );
    packed
}

/// The inverse of [`pack`].
pub fn unpack(packed: &[f32], inner: usize, outputs: usize) -> Vec<f32> {
    let mut weight = vec![0.0; outputs * inner];
    for (output, row) in weight.chunks_exact_mut(inner.max(1)).enumerate() {
        let panel = &packed[output / WIDTH * inner * WIDTH..];
        for (value, line) in row.iter_mut().zip(panel.chunks_exact(WIDTH)) {
            *value = line[output % WIDTH];
        }
    }
    weight
}

/// The activation after the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// GELU in its tanh form.
    Gelu,
}

/// `then(x · weight + bias)` for x `[rows, inner]`, a weight in panels `[panels, inner, WIDTH]` and bias
/// `[outputs]`, to `[rows, outputs]`.
///
/// # Panics
/// If shapes do not fit together.
pub fn linear(x: Tensor<2>, weight: Tensor<3>, bias: Tensor<1>, then: Then) -> Tensor<2> {
    let ([rows, inner], [outputs]) = (x.dims(), bias.dims());
    assert_eq!(
        weight.dims(),
        [panels(outputs), inner, WIDTH],
        "a linear layer from {inner} to {outputs} channels has a weight of as many panels"
    );
    if rows * inner * outputs == 0 {
        return composed(x, weight, bias, then);
    }
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    let product = |[x, weight, bias]: &[FlexTensor; 3]| {
        let [rows, inner] = dims(x);
        let layer = Layer { inner, bias: values(bias), then };
        let weight = values(weight);
        tensor(layer.apply(Right::detected(weight), values(x)), [rows, layer.bias.len()])
    };
    outside(inputs, product).unwrap_or_else(|[x, weight, bias]| {
        composed(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), Tensor::from_dispatch(bias), then)
    })
}

/// A weight rounded to bfloat16, for processors that multiply such numbers.
#[derive(Clone, Debug)]
pub struct Rounded {
    inner: usize,
    outputs: usize,
    kept: Kept,
}

/// How its numbers lie in memory.
#[derive(Clone, Debug)]
enum Kept {
    /// As tiles of bfloat16 numbers read them.
    #[cfg(target_arch = "x86_64")]
    Lines(Arc<Vec<Line>>),
    /// As vectors of pairs of bfloat16 numbers read them, see [`pairs`].
    #[cfg(target_arch = "x86_64")]
    Pairs(Arc<Vec<f32>>),
    /// In panels `[panels, inner, WIDTH]`, to be widened on the way into products of f32 numbers.
    Halves(Arc<Vec<u16>>),
}

impl Rounded {
    /// From the rows of a checkpoint, `[outputs, inner]`; `None` if the processor does not multiply such
    /// numbers.
    ///
    /// # Panics
    /// If `weight` does not consist of whole rows.
    pub fn new(weight: &[f32], inner: usize) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if let Some(unit) = MatrixUnit::detected(Precision::Rounded).filter(|_| inner > 0) {
            if !unit.outruns_vectors() {
                return Some(Self::in_halves(weight, inner));
            }
            if !unit.has_tiles() {
                return Some(Self::in_pairs(weight, inner));
            }
            let kept = Kept::Lines(Arc::new(by_unit::pack_rounded(unit, &pack(weight, inner), inner)));
            return Some(Self { inner, outputs: weight.len() / inner, kept });
        }
        let _ = weight;
        None
    }

    /// The same for products of f32 numbers.
    #[cfg(any(test, target_arch = "x86_64"))]
    fn in_halves(weight: &[f32], inner: usize) -> Self {
        let halves = pack(weight, inner).into_iter().map(|x| narrowed(x) as u16).collect();
        Self { inner, outputs: weight.len() / inner, kept: Kept::Halves(Arc::new(halves)) }
    }

    /// The same for vectors of pairs.
    #[cfg(target_arch = "x86_64")]
    fn in_pairs(weight: &[f32], inner: usize) -> Self {
        let kept = Kept::Pairs(Arc::new(pairs::of_panels(&pack(weight, inner), inner)));
        Self { inner, outputs: weight.len() / inner, kept }
    }

    /// `[outputs, inner]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.outputs, self.inner]
    }

    /// The rounded numbers, `[outputs, inner]`.
    pub fn numbers(&self) -> Vec<f32> {
        match &self.kept {
            #[cfg(target_arch = "x86_64")]
            Kept::Lines(lines) => (0..self.outputs * self.inner)
                .map(|i| by_unit::rounded(lines, self.inner, i % self.inner, i / self.inner))
                .collect(),
            #[cfg(target_arch = "x86_64")]
            Kept::Pairs(pairs) => unpack(&pairs::numbers(pairs, self.inner), self.inner, self.outputs),
            Kept::Halves(halves) => {
                let wide: Vec<f32> = halves.iter().map(|&x| f32::from_bits(u32::from(x) << 16)).collect();
                unpack(&wide, self.inner, self.outputs)
            }
        }
    }

    /// `then(x · weight + bias)` for x `[rows, inner]` and bias `[outputs]`, f32 tensors of the CPU backend
    /// outside autodiff. x is rounded to bfloat16; sums are f32.
    ///
    /// # Panics
    /// If shapes do not fit together, or the tensors are not of this kind.
    pub fn linear(&self, x: Tensor<2>, bias: Tensor<1>, then: Then) -> Tensor<2> {
        let ([rows, inner], [outputs]) = (x.dims(), bias.dims());
        assert_eq!([outputs, inner], self.shape(), "a linear layer's weight, outputs by inputs");
        if rows * outputs == 0 {
            return Tensor::zeros([rows, outputs], &x.device());
        }
        let product = |[x, bias]: &[FlexTensor; 2]| {
            let layer = Layer { inner, bias: values(bias), then };
            tensor(layer.apply(self.right(), values(x)), [rows, outputs])
        };
        outside([x.into_dispatch(), bias.into_dispatch()], product).unwrap_or_else(|_| {
            panic!("weights rounded to bfloat16 are for f32 inputs on the CPU, without gradients")
        })
    }

    /// What multiplies weights that were made for a unit.
    #[cfg(target_arch = "x86_64")]
    fn unit() -> MatrixUnit {
        MatrixUnit::detected(Precision::Rounded)
            .expect("a rounded weight is made so only where there is a unit")
    }

    fn right(&self) -> Right<'_> {
        match &self.kept {
            #[cfg(target_arch = "x86_64")]
            Kept::Lines(lines) => Right::Unit(Self::unit(), by_unit::Columns::Rounded(lines)),
            #[cfg(target_arch = "x86_64")]
            Kept::Pairs(pairs) => Right::Pairs(Self::unit(), pairs),
            Kept::Halves(halves) => Right::Halves(Level::detected(), halves),
        }
    }
}

/// The same composed of burn's own operations.
fn composed(x: Tensor<2>, weight: Tensor<3>, bias: Tensor<1>, then: Then) -> Tensor<2> {
    let ([panels, inner, width], [outputs]) = (weight.dims(), bias.dims());
    let weight = weight.permute([1, 0, 2]).reshape([inner, panels * width]).slice_dim(1, 0..outputs);
    let out = composed::linear(x, weight, Some(bias));
    match then {
        Then::Nothing => out,
        Then::Gelu => gelu_approximate(out),
    }
}

/// Panels of weights, and the unit that multiplies them.
#[derive(Clone, Copy)]
enum Right<'a> {
    Vectors(Level, &'a [f32]),
    /// A rounded weight in panels; inputs are rounded too, as on any unit.
    Halves(Level, &'a [u16]),
    /// A rounded weight in panels of pairs.
    #[cfg(target_arch = "x86_64")]
    Pairs(MatrixUnit, &'a [f32]),
    #[cfg(target_arch = "x86_64")]
    Unit(MatrixUnit, by_unit::Columns<'a>),
}

impl<'a> Right<'a> {
    /// The fastest for `weight`, `[panels, inner, WIDTH]`.
    fn detected(weight: &'a [f32]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(unit) = MatrixUnit::detected(Precision::Whole) {
            return Self::Unit(unit, by_unit::Columns::Numbers(weight));
        }
        Self::Vectors(Level::detected(), weight)
    }
}

/// A layer on the host.
struct Layer<'a> {
    inner: usize,
    bias: &'a [f32],
    then: Then,
}

impl Layer<'_> {
    fn apply(&self, right: Right<'_>, x: &[f32]) -> Vec<f32> {
        match right {
            Right::Vectors(level, weight) => {
                let (factors, weight) = (Factors::Numbers(level), Weight::Numbers(weight));
                by_vectors::apply(factors, x, self.inner, weight, self.bias, self.then)
            }
            Right::Halves(level, halves) => {
                let rounded = zip_map(
                    level,
                    [x],
                    #[inline(always)]
                    |[x]| f32::from_bits(narrowed(x) << 16),
                );
                let (factors, weight) = (Factors::Numbers(level), Weight::Halves(halves));
                by_vectors::apply(factors, &rounded, self.inner, weight, self.bias, self.then)
            }
            #[cfg(target_arch = "x86_64")]
            Right::Pairs(unit, weight) => {
                let rounded = pairs::of_rows(x, self.inner);
                let (factors, weight) = (Factors::Pairs(unit), Weight::Numbers(weight));
                by_vectors::apply(factors, &rounded, pairs::count(self.inner), weight, self.bias, self.then)
            }
            #[cfg(target_arch = "x86_64")]
            Right::Unit(unit, columns) => by_unit::apply(unit, x, self.inner, columns, self.bias, self.then),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::{route::skip_test, testing::numbers};

    /// Every way to multiply by this weight in f32.
    fn routes(weight: &[f32]) -> Vec<(String, Right<'_>)> {
        let vectors = |level: Level| (level.name().to_owned(), Right::Vectors(level, weight));
        let mut routes: Vec<_> = Level::available().into_iter().map(vectors).collect();
        #[cfg(target_arch = "x86_64")]
        if MatrixUnit::detected(Precision::Whole).is_none() {
            skip_test("amx");
        }
        #[cfg(target_arch = "x86_64")]
        routes.extend(
            MatrixUnit::detected(Precision::Whole)
                .map(|unit| ("unit".into(), Right::Unit(unit, by_unit::Columns::Numbers(weight)))),
        );
        routes
    }

    /// A rounded weight of every kind that this processor can use.
    fn every_rounded(weight: &[f32], inner: usize) -> Vec<Rounded> {
        let mut all = vec![Rounded::in_halves(weight, inner)];
        #[cfg(target_arch = "x86_64")]
        match MatrixUnit::detected(Precision::Rounded) {
            Some(unit) => {
                all.push(Rounded::in_pairs(weight, inner));
                let lines = by_unit::pack_rounded(unit, &pack(weight, inner), inner);
                let kept = Kept::Lines(Arc::new(lines));
                all.push(Rounded { inner, outputs: weight.len() / inner, kept });
            }
            None => skip_test("bf16"),
        }
        all
    }

    /// Half of the last of eight bits, ties to even.
    fn nearest(x: f32) -> f32 {
        f32::from_bits((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) & 0xffff_0000)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        #[test]
        fn every_route_is_as_exact_as_a_plain_sum(
            rows in 8usize..40,
            inner in prop_oneof![1usize..70, 250usize..300, 500usize..600],
            outputs in 40usize..100,
            seed: u32,
        ) {
            let (x, weight) = (numbers(seed, rows * inner), numbers(!seed, outputs * inner));
            let bias = numbers(seed ^ 5, outputs);
            let packed = pack(&weight, inner);
            let layer = Layer { inner, bias: &bias, then: Then::Nothing };
            let all: Vec<Vec<f32>> = routes(&packed).into_iter().map(|(_, route)| layer.apply(route, &x)).collect();
            let mut squares = vec![0.0; all.len() + 1];
            for row in 0..rows {
                for output in 0..outputs {
                    let (x, w) = (&x[row * inner..][..inner], &weight[output * inner..][..inner]);
                    let terms = x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w));
                    let exact: f64 = f64::from(bias[output]) + terms.sum::<f64>();
                    let plain = x.iter().zip(w).fold(bias[output], |sum, (&x, &w)| x.mul_add(w, sum));
                    for (square, got) in squares.iter_mut().zip(all.iter().map(|all| all[row * outputs + output]).chain([plain])) {
                        *square += (f64::from(got) - exact).powi(2);
                    }
                }
            }
            let plain = squares.pop().unwrap();
            // Without fused products every term is rounded twice.
            for ((route, _), square) in routes(&packed).into_iter().zip(squares) {
                prop_assert!(square <= 2.5 * plain, "{route}: {square}, plain sums {plain}");
            }
        }

        #[test]
        fn a_row_does_not_depend_on_those_beside_it(
            rows in 1usize..700, inner in 1usize..300, outputs in 1usize..80, seed: u32,
        ) {
            let (x, weight) = (numbers(seed, 700 * inner), numbers(!seed, outputs * inner));
            let (bias, packed) = (numbers(seed ^ 5, outputs), pack(&weight, inner));
            let layer = Layer { inner, bias: &bias, then: Then::Gelu };
            let rounded = every_rounded(&weight, inner);
            let rounded = rounded.iter().map(|rounded| ("rounded".to_owned(), rounded.right()));
            for (name, route) in routes(&packed).into_iter().chain(rounded) {
                let all = layer.apply(route, &x);
                prop_assert!(layer.apply(route, &x[..rows * inner]) == all[..rows * outputs], "{name}");
            }
        }

        #[test]
        fn packing_is_undone(inner in 0usize..40, outputs in 0usize..80, seed: u32) {
            let weight = numbers(seed, inner * outputs);
            prop_assert_eq!(unpack(&pack(&weight, inner), inner, outputs), weight);
        }
    }

    #[test]
    fn large_and_small_numbers_keep_their_digits() {
        // The matrix unit sums parts of numbers: the smallest part must not be lost at either end of the
        // range.
        let (inner, scale) = (64, [1e-18_f32, 1.0, 1e18]);
        let weight = numbers(3, inner);
        let packed = pack(&weight, inner);
        for scale in scale {
            let x: Vec<f32> = numbers(4, inner).into_iter().map(|x| x * scale).collect();
            let terms = x.iter().zip(&weight).map(|(&x, &w)| f64::from(x) * f64::from(w));
            let exact: f64 = terms.sum();
            let layer = Layer { inner, bias: &[0.0], then: Then::Nothing };
            for (name, route) in routes(&packed) {
                let error = f64::from(layer.apply(route, &x)[0]) - exact;
                assert!(error.abs() < 2e-6 * f64::from(scale), "{name} at {scale}: {error}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_shows() {
        let (inner, outputs) = (40, 3);
        let weight = numbers(3, inner * outputs);
        let packed = pack(&weight, inner);
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = numbers(4, 2 * inner);
            x[inner + 5] = broken;
            let layer = Layer { inner, bias: &[0.0; 3], then: Then::Nothing };
            let rounded = every_rounded(&weight, inner);
            let rounded = rounded.iter().map(|rounded| ("rounded".to_owned(), rounded.right()));
            for (name, route) in routes(&packed).into_iter().chain(rounded) {
                let out = layer.apply(route, &x);
                assert!(out[..outputs].iter().all(|value| value.is_finite()), "{name}");
                assert!(out[outputs..].iter().all(|value| !value.is_finite()), "{name}: {out:?}");
            }
        }
    }

    #[test]
    fn the_tensor_operation_is_the_same_as_burns() {
        let device = Device::flex();
        let (rows, inner, outputs) = (7, 33, 50);
        let of = |seed, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(numbers(seed, shape[0] * shape[1]), shape), &device)
        };
        let (x, bias) = (of(1, [rows, inner]), of(2, [1, outputs]).reshape([outputs]));
        let packed = pack(&numbers(3, outputs * inner), inner);
        let weight =
            Tensor::<3>::from_data(TensorData::new(packed, [panels(outputs), inner, WIDTH]), &device);
        for then in [Then::Nothing, Then::Gelu] {
            let got = linear(x.clone(), weight.clone(), bias.clone(), then);
            let expected = composed(x.clone(), weight.clone(), bias.clone(), then);
            assert!((got - expected).abs().max().into_scalar::<f32>() < 2e-5, "{then:?}");
            assert_eq!(
                linear(x.clone().slice_dim(0, 0..0), weight.clone(), bias.clone(), then).dims(),
                [0, outputs]
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

        #[test]
        fn rounded_products_are_those_of_rounded_numbers(
            rows in 1usize..40, inner in prop_oneof![1usize..70, 760usize..800], outputs in 1usize..70, seed: u32,
        ) {
            let (x, weight) = (numbers(seed, rows * inner), numbers(!seed, outputs * inner));
            let bias = numbers(seed ^ 5, outputs);
            let expected: Vec<f32> = weight.iter().map(|&x| nearest(x)).collect();
            for rounded in every_rounded(&weight, inner) {
                prop_assert_eq!(rounded.shape(), [outputs, inner]);
                prop_assert_eq!(rounded.numbers(), expected.clone());
                let layer = Layer { inner, bias: &bias, then: Then::Nothing };
                let got = layer.apply(rounded.right(), &x);
                for (i, got) in got.into_iter().enumerate() {
                    let (x, w) = (&x[i / outputs * inner..][..inner], &expected[i % outputs * inner..][..inner]);
                    let terms = x.iter().zip(w).map(|(&x, &w)| f64::from(nearest(x)) * f64::from(w));
                    let exact = f64::from(bias[i % outputs]) + terms.sum::<f64>();
                    prop_assert!((f64::from(got) - exact).abs() < 2e-6 * (inner as f64).sqrt().max(4.0), "{got} {exact}");
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_unit_is_more_exact_than_a_plain_sum() {
        // Its sums are shorter chains.
        let (rows, inner, outputs) = (16, 1024, 64);
        let (x, weight) = (numbers(1, rows * inner), numbers(2, outputs * inner));
        let packed = pack(&weight, inner);
        let Some(unit) = MatrixUnit::detected(Precision::Whole) else { return skip_test("amx") };
        let layer = Layer { inner, bias: &[0.0; 64], then: Then::Nothing };
        let got = layer.apply(Right::Unit(unit, by_unit::Columns::Numbers(&packed)), &x);
        let (mut of_unit, mut of_sum) = (0.0, 0.0);
        for (i, got) in got.into_iter().enumerate() {
            let (x, w) = (&x[i / outputs * inner..][..inner], &weight[i % outputs * inner..][..inner]);
            let exact: f64 = x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
            let plain = x.iter().zip(w).fold(0.0_f32, |sum, (&x, &w)| x.mul_add(w, sum));
            of_unit += (f64::from(got) - exact).powi(2);
            of_sum += (f64::from(plain) - exact).powi(2);
        }
        let ratio = f64::sqrt(of_unit / of_sum);
        assert!(ratio < 0.5, "{ratio}");
    }
}
