//! Canvases to images: with the published tokenizer's shapes and random weights at 256 pixels, and with the
//! shipped one.

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nextscale::backbones::var::SCALES_256;
use nextscale::burn::tensor::{Device, Tensor, TensorData};
use nextscale::config::Document;
use nextscale::core::{Canvas, ScaleSchedule};
use nextscale::pipeline::{Config, LoadOptions, Registry};
use nextscale::priors::conformance::noise;
use nextscale::tokenizers::{Tokenizer, vq::VqvaeConfig};

const SHIPPED: &str = "(model: Shipped(\"cifar10\"), condition: Null, guidance: Conditional)";

fn decode(criterion: &mut Criterion) {
    let device = Device::flex();
    let schedule = ScaleSchedule::square(&SCALES_256).expect("the published scales");
    let published = VqvaeConfig::published().init(schedule, 0, &device).expect("the published sizes");
    let node = Document::parse("shipped.ron", SHIPPED).expect("RON");
    let prepared = Config::from_node(&node, Path::new(""), &Registry::standard())
        .and_then(Config::prepare)
        .expect("a config");
    let shipped = prepared.model.load(&LoadOptions::new(&device)).expect("weights").tokenizer;
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(5));
    let cases: [(&str, &dyn Tokenizer, usize); 2] = [
        ("published shapes, 256 pixels, 1 image", &published, 1),
        ("shipped, 32 pixels, 10 images", &*shipped, 10),
    ];
    for (name, tokenizer, batch) in cases {
        let shape = tokenizer.blank(batch).features.dims();
        let values = TensorData::new(noise(1, shape.iter().product()), shape);
        let canvas = Canvas { features: Tensor::from_data(values, &device) };
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| tokenizer.decode(&canvas).expect("a canvas that fits"));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
