//! Filtering and drawing: upstream's settings at the last scale of a 256-pixel VAR, and the plain draw of the
//! quick start at the last scale of the shipped model.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nextscale::burn::tensor::{Device, Tensor, TensorData};
use nextscale::core::noise::Counter;
use nextscale::core::{Alphabet, Grid, LogitMap, ScaleSchedule};
use nextscale::generate::sampler::{Moment, Sampler, TopKTopP};
use nextscale::priors::conformance::noise;

fn sampler(criterion: &mut Criterion) {
    let cases = [
        (
            "top-k 900, top-p 0.96 of [1, 256, 4096]",
            1,
            16,
            4096,
            TopKTopP { top_k: 900.into(), top_p: 0.96.into(), ..TopKTopP::default() },
        ),
        ("plain of [10, 64, 2048]", 10, 8, 2048, TopKTopP::default()),
    ];
    let mut group = criterion.benchmark_group("sampler");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    for (name, batch, side, codes, sampler) in cases {
        let grid = Grid::square(side);
        let shape = [batch, grid.positions(), codes];
        // The logits of a trained model have about this range.
        let values =
            noise(3, shape.iter().product()).into_iter().map(|value| 4.0 * value).collect::<Vec<f32>>();
        let values = Tensor::from_data(TensorData::new(values, shape), &Device::flex());
        let logits = LogitMap::new(values, grid, Alphabet::codes(codes)).expect("logits on their grid");
        let schedule = ScaleSchedule::new(vec![grid]).expect("one scale");
        let images: Vec<u64> = (0..batch as u64).collect();
        let random = Counter::new(0);
        let moment = Moment { scale: 0, schedule: &schedule, images: &images, noise: &random };
        group.throughput(Throughput::Elements((batch * grid.positions()) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| sampler.draw(&logits, &moment).expect("settings that fit"));
        });
    }
    group.finish();
}

criterion_group!(benches, sampler);
criterion_main!(benches);
