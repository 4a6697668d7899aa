//! Every prior from 13 × 13 to 16 × 16, the last step of a 256-pixel VAR: creating its operator on the
//! device, and applying it to the logits of one image.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nextscale::burn::tensor::{Device, Tensor, TensorData};
use nextscale::core::Grid;
use nextscale::priors::conformance::noise;
use nextscale::priors::{Bicubic, Bilinear, Dse, Mean, Nearest, Prior, Zero};

const CODES: usize = 4096;

fn priors(criterion: &mut Criterion) {
    let (device, from, to) = (Device::flex(), Grid::square(13), Grid::square(16));
    let shape = [1, from.positions(), CODES];
    let values = TensorData::new(noise(1, shape.iter().product()), shape);
    let logits = Tensor::<3>::from_data(values, &device);
    let priors: [(&str, &dyn Prior); 6] = [
        ("nearest", &Nearest),
        ("bilinear", &Bilinear),
        ("bicubic", &Bicubic),
        ("dse", &Dse::default()),
        ("mean", &Mean),
        ("zero", &Zero),
    ];
    let mut group = criterion.benchmark_group("priors, 13² to 16²");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    let build = |prior: &dyn Prior| prior.operator(from, to).expect("growing grids").to_device(&device);
    for (name, prior) in priors {
        group.bench_function(format!("build {name}"), |bencher| bencher.iter(|| build(prior)));
    }
    // A throughput applies to everything that follows in its group.
    group.throughput(Throughput::Elements((to.positions() * CODES) as u64));
    for (name, prior) in priors {
        let operator = build(prior);
        group.bench_function(format!("apply {name}, 4096 codes"), |bencher| {
            bencher.iter(|| operator.apply(&logits).expect("logits on the coarse grid"));
        });
    }
    group.finish();
}

criterion_group!(benches, priors);
criterion_main!(benches);
