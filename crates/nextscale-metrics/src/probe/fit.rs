//! Multinomial logistic regression with L2 regularisation, by L-BFGS.

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::gram::{Block, widen};
use crate::{Error, Result};

/// Images per task.
const ROWS: usize = 512;
/// Pairs of steps and gradient changes that L-BFGS remembers.
const MEMORY: usize = 20;
/// A feature with a smaller deviation is constant and carries no information.
const CONSTANT: f64 = 1e-9;

/// How a classifier is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// The weight of ½|W|² relative to the mean cross-entropy, above 0; biases are free. scikit-learn's `C`
    /// is 1/(images · l2).
    pub l2: f64,
    /// The largest gradient entry that counts as zero.
    pub tolerance: f64,
    /// The maximum number of steps.
    pub steps: usize,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { l2: 0.01, tolerance: 1e-6, steps: 2000 }
    }
}

impl FitOptions {
    /// Checks the options, which [`fit`] would otherwise do only after the features have been computed.
    ///
    /// # Errors
    /// [`Error::Setting`] for an `l2` that is not above 0.
    pub fn check(&self) -> Result<()> {
        if self.l2 > 0.0 && self.l2.is_finite() {
            return Ok(());
        }
        Err(Error::Setting { name: "l2", problem: format!("is {}; it must be above 0", self.l2) })
    }
}

/// A classifier of standardised features, with the standardisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The features' means, `[dims]`.
    pub mean: Vec<f64>,
    /// Their standard deviations (dividing by the number of images), `[dims]`; 1 for a constant feature.
    pub deviation: Vec<f64>,
    /// `[classes, dims]`, row-major, on (x − mean) / deviation.
    pub weight: Vec<f64>,
    /// `[classes]`.
    pub bias: Vec<f64>,
    /// The mean cross-entropy with the regularisation.
    pub objective: f64,
    /// The number of steps.
    pub steps: usize,
}

impl Fitted {
    /// Weight and bias for unstandardised features: W/σ and b − Wμ/σ.
    pub fn unstandardised(&self) -> (Vec<f32>, Vec<f32>) {
        let dims = self.mean.len();
        let (mut weight, mut bias) = (Vec::with_capacity(self.weight.len()), Vec::new());
        for (row, bias_of) in self.weight.chunks_exact(dims).zip(&self.bias) {
            let scaled: Vec<f64> =
                row.iter().zip(&self.deviation).map(|(w, deviation)| w / deviation).collect();
            bias.push(
                (bias_of - scaled.iter().zip(&self.mean).map(|(w, mean)| w * mean).sum::<f64>()) as f32,
            );
            weight.extend(scaled.into_iter().map(|w| w as f32));
        }
        (weight, bias)
    }
}

/// Fits a classifier to features `[images, dims]` with labels below `classes`: the unique minimum of the mean
/// cross-entropy plus l2·½|W|². The result does not depend on the number of threads. `progress` receives the
/// steps done and the largest gradient entry.
///
/// # Errors
/// [`Error::TooFew`] if a class has no image; [`Error::Setting`] for an `l2` that is not above 0, or too
/// small for the minimum to be found; [`Error::Shape`] if the numbers of features and labels differ;
/// [`Error::NotFinite`] for features that are not finite.
pub fn fit(
    features: &[f32],
    dims: usize,
    labels: &[u16],
    classes: usize,
    options: &FitOptions,
    progress: &mut dyn FnMut(usize, f64),
) -> Result<Fitted> {
    check(features, dims, labels, classes, options)?;
    let (mean, deviation) = standardisation(features, dims);
    let problem =
        Problem { features, dims, labels, classes, l2: options.l2, mean: &mean, deviation: &deviation };
    let (parameters, objective, steps) = minimise(
        vec![0.0; classes * (dims + 1)],
        |parameters| problem.at(parameters),
        (options.tolerance, options.steps),
        progress,
    )
    .ok_or_else(|| Error::Setting {
        name: "l2",
        problem: format!("{} is so small that the minimum was not reached; raise it", options.l2),
    })?;
    let (weight, bias) = parameters.split_at(classes * dims);
    let (weight, bias) = (weight.to_vec(), bias.to_vec());
    Ok(Fitted { mean, deviation, weight, bias, objective, steps })
}

fn check(features: &[f32], dims: usize, labels: &[u16], classes: usize, options: &FitOptions) -> Result<()> {
    options.check()?;
    if dims == 0 || features.len() != labels.len() * dims {
        let what = "features to fit to".into();
        return Err(Error::Shape { what, found: features.len(), expected: labels.len() * dims });
    }
    if let Some(at) = features.iter().position(|value| !value.is_finite()) {
        let (row, column, value) = ((at / dims) as u64, at % dims, features[at]);
        return Err(Error::NotFinite { what: "features to fit to".into(), row, column, value });
    }
    if let Some(&label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
        let what = "a label, with classes from 0".into();
        return Err(Error::Shape { what, found: label.into(), expected: classes });
    }
    let empty = (0..classes).find(|&class| !labels.iter().any(|&label| usize::from(label) == class));
    match empty {
        Some(class) => Err(Error::TooFew { what: format!("class {class}"), needed: 1, found: 0 }),
        None => Ok(()),
    }
}

fn standardisation(features: &[f32], dims: usize) -> (Vec<f64>, Vec<f64>) {
    let count = (features.len() / dims) as f64;
    let over = |sum: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        let mut sums = vec![0.0; dims];
        for row in features.chunks_exact(dims) {
            row.iter().enumerate().for_each(|(i, &x)| sums[i] += sum(i, f64::from(x)));
        }
        sums.into_iter().map(|sum| sum / count).collect()
    };
    let mean = over(&|_, x| x);
    let deviation = over(&|i, x| (x - mean[i]).powi(2)).into_iter().map(f64::sqrt);
    let deviation = deviation.map(|deviation| if deviation > CONSTANT { deviation } else { 1.0 }).collect();
    (mean, deviation)
}

struct Problem<'a> {
    features: &'a [f32],
    dims: usize,
    labels: &'a [u16],
    classes: usize,
    l2: f64,
    mean: &'a [f64],
    deviation: &'a [f64],
}

impl Problem<'_> {
    /// The objective and its gradient; parameters are W `[classes, dims]` and then b `[classes]`.
    fn at(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let (weight, bias) = parameters.split_at(self.classes * self.dims);
        let blocks: Vec<(f64, Vec<f64>)> = self
            .labels
            .par_chunks(ROWS)
            .zip(self.features.par_chunks(ROWS * self.dims))
            .map_init(Vec::new, |x, (labels, features)| self.block(labels, features, weight, bias, x))
            .collect();
        // In the order of the images, whichever thread finishes first.
        let (mut loss, mut gradient) = (0.0, vec![0.0; parameters.len()]);
        for (part, of_block) in blocks {
            loss += part;
            gradient.iter_mut().zip(of_block).for_each(|(sum, value)| *sum += value);
        }
        let count = self.labels.len() as f64;
        gradient.iter_mut().for_each(|value| *value /= count);
        gradient.iter_mut().zip(weight).for_each(|(value, w)| *value += self.l2 * w);
        (loss / count + 0.5 * self.l2 * dot(weight, weight), gradient)
    }

    /// The sums of cross-entropy and gradient over some images.
    fn block(
        &self,
        labels: &[u16],
        features: &[f32],
        weight: &[f64],
        bias: &[f64],
        x: &mut Vec<f64>,
    ) -> (f64, Vec<f64>) {
        x.clear();
        widen(features, x);
        for row in x.chunks_exact_mut(self.dims) {
            for ((x, mean), deviation) in row.iter_mut().zip(self.mean).zip(self.deviation) {
                *x = (*x - mean) / deviation;
            }
        }
        let x = Block::new(x, self.dims);
        let mut errors = vec![0.0; labels.len() * self.classes];
        x.inner(Block::new(weight, self.dims), &mut errors);
        let mut gradient = vec![0.0; weight.len() + bias.len()];
        let (of_weight, of_bias) = gradient.split_at_mut(weight.len());
        let mut loss = 0.0;
        for (logits, &label) in errors.chunks_exact_mut(self.classes).zip(labels) {
            logits.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
            let greatest = logits.iter().fold(f64::NEG_INFINITY, |greatest, &logit| greatest.max(logit));
            let sum: f64 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
            loss += greatest + sum.ln() - logits[usize::from(label)];
            // From here on, softmax minus the one-hot label.
            logits.iter_mut().for_each(|logit| *logit = (*logit - greatest).exp() / sum);
            logits[usize::from(label)] -= 1.0;
            of_bias.iter_mut().zip(&*logits).for_each(|(sum, error)| *sum += error);
        }
        x.add_weighted(&errors, of_weight);
        (loss, gradient)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The minimum of a smooth convex function by L-BFGS (Nocedal and Wright 2006, algorithms 7.4 and 7.5), with
/// steps halved until the function decreases enough (their 3.1). Returns the point, the value and the number
/// of steps; `None` if the gradient does not fall below the tolerance in time.
fn minimise(
    mut x: Vec<f64>,
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
    (tolerance, steps): (f64, usize),
    progress: &mut dyn FnMut(usize, f64),
) -> Option<(Vec<f64>, f64, usize)> {
    let (mut value, mut gradient) = function(&x);
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::with_capacity(MEMORY);
    for step in 0..=steps {
        let greatest = gradient.iter().fold(0.0_f64, |greatest, value| greatest.max(value.abs()));
        progress(step, greatest);
        if greatest <= tolerance {
            return Some((x, value, step));
        }
        let direction = direction(&gradient, &pairs);
        let slope = dot(&gradient, &direction);
        // The first step has no natural scale.
        let mut length = if pairs.is_empty() { 1.0 / greatest.max(1.0) } else { 1.0 };
        let (next, next_value, next_gradient) = loop {
            let next: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (value_there, gradient_there) = function(&next);
            if value_there <= value + 1e-4 * length * slope {
                break (next, value_there, gradient_there);
            }
            length *= 0.5;
            if length < 1e-12 {
                return None;
            }
        };
        let s: Vec<f64> = next.iter().zip(&x).map(|(next, x)| next - x).collect();
        let y: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(next, g)| next - g).collect();
        let sy = dot(&s, &y);
        if sy > 1e-14 * dot(&y, &y) {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back((s, y, sy));
        }
        (x, value, gradient) = (next, next_value, next_gradient);
    }
    None
}

/// −H·gradient, where H approximates the inverse Hessian from the remembered pairs (s, y, s·y).
fn direction(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|value| -value).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (s, y, sy) in pairs.iter().rev() {
        let alpha = dot(s, &q) / sy;
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((_, y, sy)) = pairs.back() {
        let scale = sy / dot(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, sy), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(y, &q) / sy;
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::features;

    const DIMS: usize = 6;

    fn three_classes() -> (Vec<f32>, Vec<u16>) {
        let rows = (0..3).flat_map(|class| features(40, DIMS, 1 + class, class * 1500)).collect();
        (rows, (0..3).flat_map(|class| [class; 40]).collect())
    }

    fn fitted(rows: &[f32], labels: &[u16], options: &FitOptions) -> Result<Fitted> {
        fit(rows, DIMS, labels, 3, options, &mut |_, _| {})
    }

    /// `LogisticRegression(C=1/(120·0.01), tol=1e-12)` of scikit-learn 1.9.1 on standardised features.
    #[test]
    fn weights_are_scikit_learns() {
        let (rows, labels) = three_classes();
        let found = fitted(&rows, &labels, &FitOptions { tolerance: 1e-9, ..FitOptions::default() }).unwrap();
        let weight = [
            [-0.800240944, -0.608121595, -1.031719306, -0.219772845, -1.219879702, -1.428519804],
            [0.356799908, -0.053550211, 0.124516600, 0.007320871, 0.063026783, -0.147155888],
            [0.443441037, 0.661671806, 0.907202706, 0.212451974, 1.156852919, 1.575675693],
        ];
        let bias = [-0.762943406, 1.306650482, -0.543707077];
        for (found, expected) in
            found.weight.iter().chain(&found.bias).zip(weight.concat().iter().chain(&bias))
        {
            assert!((found - expected).abs() < 2e-7, "{found} {expected}");
        }
    }

    #[test]
    fn threads_and_features_that_never_change_make_no_difference() {
        let (mut rows, labels) = three_classes();
        rows.chunks_exact_mut(DIMS).for_each(|row| row[2] = 0.3);
        let options = FitOptions::default();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fitted(&rows, &labels, &options).unwrap())
        };
        let found = on(1);
        assert!(found == on(3));
        assert_eq!((found.deviation[2], found.weight[2]), (1.0, 0.0));
        assert!(found.unstandardised().0.iter().all(|weight| weight.is_finite()));
    }

    #[test]
    fn what_cannot_be_fitted_is_said() {
        let (rows, labels) = three_classes();
        let options = FitOptions::default();
        let say = |found: Result<Fitted>| found.unwrap_err().to_string();
        for l2 in [0.0, -1.0, f64::NAN] {
            assert!(say(fitted(&rows, &labels, &FitOptions { l2, ..options })).contains("must be above 0"));
        }
        let told = say(fitted(&rows, &labels, &FitOptions { steps: 3, ..options }));
        assert!(told.contains("raise it"), "{told}");
        assert!(
            say(fitted(&rows[1..], &labels, &options))
                .contains("features to fit to: 719 values, expected 720")
        );
        assert!(
            say(fitted(&rows[..240], &labels[..40], &options)).contains("class 1 needs at least 1 images")
        );
        let mut torn = rows.clone();
        torn[8] = f32::NAN;
        assert!(say(fitted(&torn, &labels, &options)).contains("of image 1 are not finite"));
    }
}
