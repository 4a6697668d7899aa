//! The cost of distances between sets, without the features: 10,000 Lite0 features, and the sums of 50,000 of
//! Inception.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use nextscale::metrics::FeatureSums;
use nextscale::metrics::frechet::{Gaussian, frechet};
use nextscale::metrics::kid::{KidOptions, kid};
use nextscale::metrics::precision_recall::{Manifold, Neighbours, overlap};

/// Generic features of full rank.
fn features(images: usize, dims: usize, mut state: u64) -> Vec<f32> {
    let mut value = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0
    };
    (0..images * dims).map(|_| value()).collect()
}

fn gaussian(rows: &[f32], dims: usize) -> Gaussian {
    let mut sums = FeatureSums::new(dims);
    sums.push(rows).expect("finite rows");
    sums.moments().and_then(|moments| Gaussian::new(&moments)).expect("a covariance")
}

fn distances(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("metrics");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));

    let inception = features(10_000, 2048, 1);
    group.bench_function("sums, 50,000 × 2048", |bencher| {
        bencher.iter(|| {
            let mut sums = FeatureSums::new(2048);
            (0..5).for_each(|_| sums.push(&inception).expect("finite rows"));
            sums
        });
    });
    let (a, b) = (gaussian(&inception, 2048), gaussian(&features(10_000, 2048, 2), 2048));
    group.bench_function("covariance taken apart, 2048", |bencher| {
        bencher.iter(|| gaussian(&inception[..2048 * 4096], 2048))
    });
    group.bench_function("fréchet, 2048", |bencher| bencher.iter(|| frechet(&a, &b)));
    drop((inception, a, b));

    let (samples, reference) = (features(10_000, 1280, 3), features(10_000, 1280, 4));
    group.bench_function("kid, 10,000 × 1280", |bencher| {
        bencher.iter(|| kid(&samples, &reference, 1280, &KidOptions::default()));
    });
    let manifold = |rows| Manifold::new(rows, 1280, Neighbours::default()).expect("enough rows");
    group.bench_function("neighbourhoods, 10,000 × 1280", |bencher| bencher.iter(|| manifold(&samples)));
    let (one, other) = (manifold(&samples), manifold(&reference));
    group.bench_function("overlap, 10,000 × 1280", |bencher| bencher.iter(|| overlap(&one, &other)));
    group.finish();
}

criterion_group!(benches, distances);
criterion_main!(benches);
