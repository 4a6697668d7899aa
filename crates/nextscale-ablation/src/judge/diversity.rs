//! How much images of one condition differ, which distances between whole sets do not show.

use std::collections::BTreeMap;
use std::sync::Arc;

use nextscale_metrics::FeatureNet;
use nextscale_metrics::diversity::{mean_pairwise_distance, vendi_score};

use super::{Better, Judge, Judged, Measure, Rows, network};
use crate::images::Images;
use crate::{Error, Result};

/// Compares the images of each condition with each other, by their features.
pub struct DiversityJudge {
    net: Box<dyn FeatureNet>,
}

impl DiversityJudge {
    /// On a network's features.
    pub fn new(net: Box<dyn FeatureNet>) -> Self {
        Self { net }
    }
}

impl Judge for DiversityJudge {
    fn protocol(&self) -> String {
        format!("{}; pooled features, means over conditions of two images or more", self.net.protocol())
    }

    fn rows_protocol(&self) -> String {
        self.net.protocol()
    }

    fn measures(&self) -> Vec<Measure> {
        let suffix = match self.net.name() {
            "inception" => String::new(),
            "lite0" => "-Lite0".into(),
            other => format!("-{other}"),
        };
        vec![
            Measure::new(
                format!("Diversity{suffix}"),
                Better::Higher,
                "mean distance between the features of two images of one condition",
            ),
            Measure::new(
                format!("Vendi{suffix}"),
                Better::Higher,
                "Vendi score within one condition, the effective number of different images; it grows with the number of images",
            ),
        ]
    }

    fn at_least(&self) -> u64 {
        2
    }

    fn of_one_condition(&self) -> u64 {
        2
    }

    fn look(&self, images: &Images) -> Result<Rows> {
        network::look(&*self.net, images)
    }

    fn condense(&self, rows: Rows) -> Result<Rows> {
        if rows.shows.len() != rows.count() {
            let message = "it is not known what the images show; run the ablation again";
            return Err(Error::measure("Diversity", message));
        }
        let dims = self.net.dims();
        let values = rows.values.chunks(rows.width).flat_map(|row| row[..dims].iter().copied()).collect();
        Ok(Rows { width: dims, values, ..rows })
    }

    fn judge(&self, images: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Judged> {
        let dims = self.net.dims();
        let mut conditions: BTreeMap<Arc<str>, Vec<f32>> = BTreeMap::new();
        for block in rows {
            let block = block?;
            for (row, shows) in block.values.chunks(block.width).zip(&block.shows) {
                conditions.entry(Arc::clone(shows)).or_default().extend_from_slice(row);
            }
        }
        let several: Vec<&Vec<f32>> = conditions.values().filter(|rows| rows.len() >= 2 * dims).collect();
        if several.is_empty() {
            let message = format!(
                "no two of {images} images are of one condition; give more `samples`, or fewer conditions in `base`"
            );
            return Err(Error::measure("Diversity", message));
        }
        let mean = |of: fn(&[f32], usize) -> nextscale_metrics::Result<f64>| -> Result<f64> {
            let mut sum = 0.0;
            for rows in &several {
                sum += of(rows, dims)?;
            }
            Ok(sum / several.len() as f64)
        };
        Ok(Judged { values: vec![mean(mean_pairwise_distance)?, mean(vendi_score)?], curve: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use nextscale_metrics::Lite0;

    use super::*;

    #[test]
    fn copies_are_no_diversity_and_conditions_do_not_mix() {
        let judge = DiversityJudge::new(Box::new(Lite0::shipped(&Device::flex()).unwrap()));
        let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 20) as u8;
        let image = |salt: u32| (0..192).map(move |i| byte(i + 192 * salt)).collect::<Vec<u8>>();
        let judged = |salts: &[u32], shows: &[&str]| {
            let images = Images::new(8, 8, salts.iter().flat_map(|&salt| image(salt)).collect()).unwrap();
            let shows = shows.iter().map(|&shows| Arc::from(shows)).collect();
            let rows = judge.condense(Rows { shows, ..judge.look(&images).unwrap() }).unwrap();
            judge.judge(salts.len() as u64, &mut [Ok(rows)].into_iter()).map(|judged| judged.values)
        };
        let copies = judged(&[1, 1, 2, 2], &["cat", "cat", "dog", "dog"]).unwrap();
        assert!(copies[0] < 1e-3 && (copies[1] - 1.0).abs() < 1e-6, "{copies:?}");
        let mixed = judged(&[1, 2, 1, 2], &["cat", "cat", "dog", "dog"]).unwrap();
        assert!(mixed[0] > 0.1 && mixed[1] > 1.0 + 1e-6, "{mixed:?}");
        // A condition with one image has no pairs, and is left out.
        assert_eq!(
            judged(&[1, 2, 3], &["cat", "cat", "dog"]).unwrap(),
            judged(&[1, 2], &["cat", "cat"]).unwrap()
        );
        let error = judged(&[1, 2], &["cat", "dog"]).unwrap_err().to_string();
        assert!(error.contains("give more `samples`"), "{error}");
    }
}
