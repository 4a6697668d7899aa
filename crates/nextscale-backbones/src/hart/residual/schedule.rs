use std::f64::consts::FRAC_PI_2;

use super::super::config::TIMES;

/// The numbers of a sampler that visits some of the noise levels that the net was trained on (Nichol and
/// Dhariwal, "Improved denoising diffusion probabilistic models", 2021): a cosine schedule, re-spaced.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffusionSchedule {
    steps: Vec<Step>,
}

/// The numbers of one step, computed in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The noise level, 0 to 999, as the net reads it.
    pub time: usize,
    /// ln β′, the upper bound of the logarithm of the step's variance.
    pub log_beta: f32,
    /// The lower bound: that of the posterior.
    pub log_posterior: f32,
    /// √(1/ᾱ): x0 = `of_x`·x − `of_noise`·ε.
    pub of_x: f32,
    /// √(1/ᾱ − 1).
    pub of_noise: f32,
    /// The mean of the next x is `mean_of_x0`·x0 + `mean_of_x`·x.
    pub mean_of_x0: f32,
    /// See `mean_of_x0`.
    pub mean_of_x: f32,
}

impl DiffusionSchedule {
    /// The schedule of this many steps, 1 to 1000.
    pub fn new(steps: usize) -> Self {
        let alphas = cumulative();
        let times: Vec<usize> = (0..steps).map(|i| time(i, steps)).collect();
        let bar = |i: usize| alphas[times[i]];
        let before = |i: usize| if i == 0 { 1.0 } else { bar(i - 1) };
        let beta = |i: usize| 1.0 - bar(i) / before(i);
        let posterior = |i: usize| beta(i) * (1.0 - before(i)) / (1.0 - bar(i));
        let step = |i: usize| Step {
            time: times[i],
            log_beta: beta(i).ln() as f32,
            // That of the first is 0, and takes the second's.
            log_posterior: posterior(if i == 0 && steps > 1 { 1 } else { i }).ln() as f32,
            of_x: bar(i).recip().sqrt() as f32,
            of_noise: (bar(i).recip() - 1.0).sqrt() as f32,
            mean_of_x0: (beta(i) * before(i).sqrt() / (1.0 - bar(i))) as f32,
            mean_of_x: ((1.0 - before(i)) * (1.0 - beta(i)).sqrt() / (1.0 - bar(i))) as f32,
        };
        Self { steps: (0..steps).map(step).collect() }
    }

    /// The steps, from little noise to much: the reverse of the order in which a sampler takes them.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// ᾱ of every noise level, from β = min(1 − f((i + 1)/T)/f(i/T), 0.999) with f a squared cosine.
fn cumulative() -> Vec<f64> {
    let f = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let of = |i: usize| i as f64 / TIMES as f64;
    let product = (0..TIMES).scan(1.0, |product, i| {
        *product *= 1.0 - (1.0 - f(of(i + 1)) / f(of(i))).min(0.999);
        Some(*product)
    });
    product.collect()
}

/// The noise level of step `i` of `steps`, evenly spaced and rounded, ties to even.
fn time(i: usize, steps: usize) -> usize {
    let stride = (TIMES - 1) as f64 / steps.saturating_sub(1).max(1) as f64;
    (i as f64 * stride).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hart::fixtures::opened;

    #[test]
    fn eight_steps_are_upstreams() {
        let file = opened("diffusion_schedule_8.safetensors");
        let (times, _) = file.integers("timestep_map").unwrap();
        let schedule = DiffusionSchedule::new(8);
        let ours: Vec<i64> = schedule.steps().iter().map(|step| step.time as i64).collect();
        assert_eq!(ours, times);
        type Column = fn(&Step) -> f32;
        let tables: [(&str, Column); 6] = [
            ("betas", |step| step.log_beta.exp()),
            ("posterior_log_variance_clipped", |step| step.log_posterior),
            ("posterior_mean_coef1", |step| step.mean_of_x0),
            ("posterior_mean_coef2", |step| step.mean_of_x),
            ("sqrt_recip_alphas_cumprod", |step| step.of_x),
            ("sqrt_recipm1_alphas_cumprod", |step| step.of_noise),
        ];
        for (name, number) in tables {
            let (theirs, _) = file.values(name).unwrap();
            for (step, theirs) in schedule.steps().iter().zip(theirs) {
                let ours = number(step);
                assert!(
                    (ours - theirs).abs() <= 2e-6 * theirs.abs().max(1e-3),
                    "{name}: {ours} for {theirs}"
                );
            }
        }
    }

    #[test]
    fn every_number_of_steps_has_finite_numbers_and_its_own_times() {
        for steps in [1, 2, 8, 50, 999, 1000] {
            let schedule = DiffusionSchedule::new(steps);
            let times: Vec<usize> = schedule.steps().iter().map(|step| step.time).collect();
            assert!(times.is_sorted_by(|a, b| a < b) && times.len() == steps && times[steps - 1] < TIMES);
            for (i, step) in schedule.steps().iter().enumerate() {
                let finite = [step.log_beta, step.of_x, step.of_noise, step.mean_of_x0, step.mean_of_x];
                assert!(finite.iter().all(|number| number.is_finite()), "{steps}: {step:?}");
                // The last step adds no noise, and its variance is not read.
                assert!(step.log_posterior.is_finite() || steps == 1, "{steps}, {i}: {step:?}");
            }
        }
    }
}
