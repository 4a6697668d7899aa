//! An image does not depend on its batch.

mod common;

use std::sync::Arc;

use common::{Record, model};
use nextscale_core::Condition;
use nextscale_core::noise::Counter;
use nextscale_generate::observe::{Part, Times};
use nextscale_generate::sampler::TopKTopP;
use nextscale_guidance::{Cfg, Ssg, Strength};
use nextscale_pipeline::{Batch, Generator, Stop, images};
use nextscale_priors::Dse;

const IMAGES: u64 = 8;

/// Tokens of every image, scale by scale, and its PNG's bytes.
fn generated(generator: &Generator, batch: usize) -> Vec<(Vec<i64>, Vec<u8>)> {
    let all: Vec<u64> = (0..IMAGES).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut images = Vec::new();
    for numbers in all.chunks(batch) {
        let condition = |&i: &u64| if i == 5 { Condition::Null } else { Condition::Class(i as usize % 10) };
        let conditions: Vec<Condition> = numbers.iter().map(condition).collect();
        let mut record = Record::default();
        let batch = Batch { images: numbers, conditions: &conditions };
        let pixels = generator.batch(batch, &mut record, &Stop::new()).unwrap();
        for (row, picture) in images::to_pictures(pixels).unwrap().iter().enumerate() {
            let each = |tokens: &Vec<i64>| {
                let width = tokens.len() / numbers.len();
                tokens[row * width..(row + 1) * width].to_vec()
            };
            let path = folder.path().join("x.png");
            images::write_png(&path, picture).unwrap();
            images.push((record.tokens.iter().flat_map(each).collect(), std::fs::read(&path).unwrap()));
        }
    }
    images
}

#[test]
fn batches_of_1_3_and_8_give_the_same_tokens_and_bytes() {
    for (kind, more_smooth) in [("aln", false), ("saln", true)] {
        let cfg = Arc::new(Cfg::scale(Strength::Ramp(1.5)).unwrap());
        let rule = Arc::new(Ssg::new(cfg, Arc::new(Dse::default()), 0.4).unwrap());
        let sampler =
            Arc::new(TopKTopP { top_k: 30.into(), top_p: 0.95.into(), more_smooth, ..TopKTopP::default() });
        let generator = Generator::new(model(kind), rule, sampler, Arc::new(Counter::new(11))).unwrap();
        let one = generated(&generator, 1);
        assert!(one.iter().any(|image| image.0 != one[0].0), "all images are the same");
        for batch in [3, 8] {
            let many = generated(&generator, batch);
            for (i, (a, b)) in one.iter().zip(&many).enumerate() {
                assert_eq!(a.0, b.0, "{kind}: tokens of image {i} in batches of {batch}");
                assert!(a.1 == b.1, "{kind}: bytes of image {i} in batches of {batch}");
            }
        }
    }
}

#[test]
fn images_drawn_in_lanes_are_those_of_a_batch() {
    let cfg = Arc::new(Cfg::scale(Strength::Ramp(1.5)).unwrap());
    let rule = Arc::new(Ssg::new(cfg, Arc::new(Dse::default()), 0.4).unwrap());
    let sampler = Arc::new(TopKTopP { top_p: 0.95.into(), ..TopKTopP::default() });
    let images: Vec<u64> = (20..31).collect();
    let conditions: Vec<Condition> = images.iter().map(|&i| Condition::Class(i as usize % 10)).collect();
    let batch = Batch { images: &images, conditions: &conditions };
    let bytes = |pixels: burn::tensor::Tensor<4>| pixels.into_data().try_to_vec::<f32>().unwrap();
    for threads in [1, 2, 3, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let noise = Arc::new(Counter::new(11));
            let (rule, sampler) = (Arc::clone(&rule), Arc::clone(&sampler));
            let generator = Generator::new(model("aln"), rule, sampler, noise).unwrap();
            let mut times = Times::default();
            let drawn = generator.draw(batch, &mut times, &Stop::new()).unwrap();
            let whole = generator.batch(batch, &mut (), &Stop::new()).unwrap();
            assert!(bytes(drawn) == bytes(whole), "on {threads} threads");
            assert!(times.get(Part::Backbone).as_nanos() > 0);
            // Batches whose parts lanes share, and that are seen whole and in order.
            let batches = [&images[..5], &images[5..6], &images[6..]].map(|batch| Ok(batch.to_vec()));
            let (mut seen, mut pixels) = (Vec::new(), Vec::new());
            let condition = |image: u64| Condition::Class(image as usize % 10);
            let drawn = generator.draw_all(
                batches.into_iter(),
                condition,
                &mut times,
                &Stop::new(),
                |batch, part| {
                    seen.push(batch);
                    pixels.push(part);
                    true
                },
            );
            drawn.unwrap();
            assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [5, 1, 5]);
            assert_eq!(seen.concat(), images);
            let whole = generator.batch(batch, &mut (), &Stop::new()).unwrap();
            assert!(bytes(burn::tensor::Tensor::cat(pixels, 0)) == bytes(whole), "on {threads} threads");
            // An error comes after all that was drawn before it.
            let batches =
                [Ok(images[..5].to_vec()), Err(nextscale_generate::Error::Stopped), Ok(images.clone())];
            let mut seen = Vec::new();
            let drawn =
                generator.draw_all(batches.into_iter(), condition, &mut times, &Stop::new(), |batch, _| {
                    seen.extend(batch);
                    true
                });
            assert!(matches!(drawn, Err(nextscale_generate::Error::Stopped)));
            assert_eq!(seen, images[..5]);
        });
    }
    let (stop, mut times) = (Stop::new(), Times::default());
    stop.request();
    let generator = Generator::new(model("aln"), rule, sampler, Arc::new(Counter::new(11))).unwrap();
    assert!(matches!(generator.draw(batch, &mut times, &stop), Err(nextscale_generate::Error::Stopped)));
}

#[test]
fn the_seed_matters() {
    let make = |seed| {
        let rule = Arc::new(nextscale_guidance::Conditional);
        let sampler = Arc::new(TopKTopP::default());
        Generator::new(model("aln"), rule, sampler, Arc::new(Counter::new(seed))).unwrap()
    };
    assert_ne!(generated(&make(1), 8), generated(&make(2), 8));
}
