//! Times the parsing of a 1 MB config against ron's own `Value`, alternating.
//!
//!     cargo run --release -p nextscale-config --example parse_speed

use std::{hint::black_box, time::Instant};

use nextscale_config::Document;

const ROUNDS: usize = 60;

/// An ablation's config, repeated, and a long row of numbers.
fn text() -> String {
    let variant = include_str!("../tests/texts/ablation.ron");
    let variant = variant.trim_end().rsplit_once("\n)").map_or(variant, |(variant, _)| variant);
    let mut text = String::from("(variants: [");
    while text.len() < 900_000 {
        text.push_str(variant);
        text.push_str("\n),\n");
    }
    text.push_str("], labels: [");
    while text.len() < 1_000_000 {
        text.push_str("207, 360, 1.5, ");
    }
    text + "])"
}

/// This thread's CPU time in milliseconds, which other programs hardly affect, or wall-clock time if the
/// system does not report it. Linux counts in ticks of up to 4 ms: compare means, in which the ticks average
/// out.
fn now(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64() * 1e3, |nanoseconds| nanoseconds / 1e6)
}

fn milliseconds(call: impl FnOnce()) -> f64 {
    let start = Instant::now();
    let before = now(start);
    call();
    now(start) - before
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = text();
    // Both must read it, or the times mean nothing.
    Document::parse("speed.ron", &text)?;
    ron::from_str::<ron::Value>(&text)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(milliseconds(|| drop(black_box(Document::parse("speed.ron", &text)))));
        theirs.push(milliseconds(|| drop(black_box(ron::from_str::<ron::Value>(&text)))));
    }
    for (name, times) in [("Document::parse", &mut ours), ("ron::Value", &mut theirs)] {
        times.sort_by(f64::total_cmp);
        let mean = times.iter().sum::<f64>() / ROUNDS as f64;
        println!(
            "{name}: best {:.1} ms, median {:.1} ms, mean {mean:.2} ms of {ROUNDS}",
            times[0],
            times[ROUNDS / 2]
        );
    }
    Ok(())
}
