//! The standard error of any statistic, from its values without a part of the images.

/// The standard error by the delete-a-group jackknife: `without[g]` is the statistic over all images but those of
/// group g, the groups being equally large.
///
/// Source: Shao and Wu, "A general theory for jackknife variance estimation" (Annals of Statistics, 1989). Every
/// value is over the same number of images, so the bias of a Fréchet distance, which depends on that number,
/// cancels. Resampling with replacement would change the bias, because it repeats images.
pub fn jackknife(without: &[f64]) -> f64 {
    let groups = without.len() as f64;
    let mean = without.iter().sum::<f64>() / groups;
    let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
    ((groups - 1.0) / groups * squares).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_mean_it_is_the_standard_error_of_the_groups_means() {
        let groups = [3.0, 5.0, 4.0, 8.0, 2.0, 1.0];
        let sum: f64 = groups.iter().sum();
        let without: Vec<f64> = groups.iter().map(|group| (sum - group) / 5.0).collect();
        let mean = sum / 6.0;
        let variance = groups.iter().map(|group| (group - mean).powi(2)).sum::<f64>() / 5.0;
        assert!((jackknife(&without) - (variance / 6.0).sqrt()).abs() < 1e-12);
        assert_eq!(jackknife(&[2.0; 10]), 0.0);
    }
}
