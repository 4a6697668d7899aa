use std::sync::Arc;

use burn::tensor::Tensor;
use nextscale_core::{Grid, Result};
use nextscale_priors::conformance::{Outcome, check_prior};
use nextscale_priors::{
    Bicubic, Bilinear, Dse, Interpolation, LowBand, Marginal, Mean, Nearest, Operator, Prior, Zero,
};

#[test]
fn every_built_in_prior_conforms() {
    let verbatim =
        Dse { low_band: LowBand::Verbatim, interpolation: Interpolation::Bicubic, ..Dse::default() };
    let soft = Dse { fraction: 0.5, crossover: 0.25, ..Dse::default() };
    let priors: [&dyn Prior; 8] =
        [&Nearest, &Bilinear, &Bicubic, &Mean, &Zero, &Dse::default(), &verbatim, &soft];
    for prior in priors {
        let report = check_prior(prior).run().into_result().unwrap();
        assert!(report.checks().iter().all(|check| check.outcome == Outcome::Passed), "{report}");
    }
    let grids = [(Grid::square(1), Grid::new(2, 3)), (Grid::new(2, 3), Grid::new(4, 3))];
    let marginal = Marginal::new(grids.map(|(from, _)| (from, vec![0.5, -1.0, 2.0]))).unwrap();
    let report = check_prior(&marginal).grids(grids).channels(3).run().into_result().unwrap();
    assert!(matches!(report.checks().last().map(|check| &check.outcome), Some(Outcome::NotClaimed(_))));
}

/// A function of the coarse map, wrong in one way or another.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    MixesImages,
    MixesChannels,
    IsNotLinear,
    ForgetsTheGrid,
    Divides,
    Panics,
}

impl Prior for Wrong {
    fn operator(&self, _: Grid, to: Grid) -> Result<Operator> {
        let wrong = *self;
        Ok(Operator::Function(Arc::new(move |x: Tensor<3>| {
            let [batch, _, channels] = x.dims();
            let first = x.clone().slice([0..batch, 0..1]).expand([batch, to.positions(), channels]);
            Ok(match wrong {
                Wrong::MixesImages => {
                    first - x.mean_dim(0).mean_dim(1).expand([batch, to.positions(), channels])
                }
                Wrong::MixesChannels => {
                    first.clone() - first.mean_dim(2).expand([batch, to.positions(), channels])
                }
                Wrong::IsNotLinear => first.abs(),
                Wrong::ForgetsTheGrid => x,
                Wrong::Divides => first.clone() / (first.clone() - first),
                Wrong::Panics => std::panic::resume_unwind(Box::new("no")),
            })
        })))
    }
}

#[test]
fn what_is_wrong_with_a_prior_is_found() {
    let failed = |prior: Wrong| -> Vec<&'static str> {
        let report = check_prior(&prior).linear().run();
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        report.checks().iter().filter(|check| failed(&check.outcome)).map(|check| check.name).collect()
    };
    let batch = "an image is the same, bit for bit, in every batch";
    assert_eq!(failed(Wrong::MixesImages), [batch, "images do not mix"]);
    assert_eq!(failed(Wrong::MixesChannels), ["channels do not mix"]);
    assert_eq!(failed(Wrong::IsNotLinear), ["linear"]);
    let finite = "every pair of grids has an operator that gives the fine grid finite values";
    assert!(failed(Wrong::ForgetsTheGrid).contains(&finite));
    assert!(failed(Wrong::Divides).contains(&finite));
    assert_eq!(failed(Wrong::Panics).len(), 6);
}
