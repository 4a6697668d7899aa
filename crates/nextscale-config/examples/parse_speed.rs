use std::{hint::black_box, time::Instant};
fn corpus() -> String {
    let mut text = String::from("// big\n(\n base: (model: Shipped(\"cifar10\"), seed: 1),\n variants: [\n");
    let item = std::fs::read_to_string("configs/ablate-priors.ron").unwrap();
    let body = &item[item.find("\n(").unwrap() + 1..];
    while text.len() < 900_000 {
        text.push_str("// A variant.\n");
        text.push_str(body.trim_end());
        text.push_str(",\n");
    }
    text.push_str("],\n labels: [");
    while text.len() < 1_000_000 {
        text.push_str("207, 360, 1.5, ");
    }
    text.push_str("],\n)\n");
    text
}

fn main() {
    let text = corpus();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..60 {
        for (side, times) in times.iter_mut().enumerate() {
            let start = Instant::now();
            if side == 0 {
                black_box(nextscale_config::Document::parse("a", &text).unwrap());
            } else {
                black_box(nextscale_config::read::Document::parse("a", &text).unwrap());
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    let [old, new] = times;
    println!("best: old {:.2} new {:.2} ms, {:.3}", old[0], new[0], new[0] / old[0]);
    println!("median: old {:.2} new {:.2} ms, {:.3}", old[30], new[30], new[30] / old[30]);
}
