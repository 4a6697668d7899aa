//! The scales that Infinity generates: a template of thirteen grids per aspect ratio, of which an image of a
//! given size takes the first ones.

use nextscale_core::{Error, Grid, Result, ScaleSchedule};

/// The grids of an aspect ratio, `(h, w)` in the taller form.
struct Template {
    /// Height over width, as upstream writes it.
    ratio: &'static str,
    /// Width over height, truncated to three digits as upstream writes it.
    inverse: &'static str,
    grids: [(usize, usize); 13],
}

#[rustfmt::skip]
const TEMPLATES: [Template; 8] = [
    Template { ratio: "1.0", inverse: "1.0", grids: [(1, 1), (2, 2), (4, 4), (6, 6), (8, 8), (12, 12), (16, 16), (20, 20), (24, 24), (32, 32), (40, 40), (48, 48), (64, 64)] },
    Template { ratio: "1.25", inverse: "0.8", grids: [(1, 1), (2, 2), (3, 3), (5, 4), (10, 8), (15, 12), (20, 16), (25, 20), (30, 24), (35, 28), (45, 36), (55, 44), (70, 56)] },
    Template { ratio: "1.333", inverse: "0.75", grids: [(1, 1), (2, 2), (4, 3), (8, 6), (12, 9), (16, 12), (20, 15), (24, 18), (28, 21), (36, 27), (48, 36), (60, 45), (72, 54)] },
    Template { ratio: "1.5", inverse: "0.666", grids: [(1, 1), (2, 2), (3, 2), (6, 4), (9, 6), (15, 10), (21, 14), (27, 18), (33, 22), (39, 26), (48, 32), (63, 42), (78, 52)] },
    Template { ratio: "1.75", inverse: "0.571", grids: [(1, 1), (2, 2), (3, 3), (7, 4), (11, 6), (14, 8), (21, 12), (28, 16), (35, 20), (42, 24), (56, 32), (70, 40), (84, 48)] },
    Template { ratio: "2.0", inverse: "0.5", grids: [(1, 1), (2, 2), (4, 2), (6, 3), (10, 5), (16, 8), (22, 11), (30, 15), (38, 19), (46, 23), (60, 30), (74, 37), (90, 45)] },
    Template { ratio: "2.5", inverse: "0.4", grids: [(1, 1), (2, 2), (5, 2), (10, 4), (15, 6), (20, 8), (25, 10), (30, 12), (40, 16), (50, 20), (65, 26), (80, 32), (100, 40)] },
    Template { ratio: "3.0", inverse: "0.333", grids: [(1, 1), (2, 2), (6, 2), (9, 3), (15, 5), (21, 7), (27, 9), (36, 12), (45, 15), (54, 18), (72, 24), (90, 30), (111, 37)] },
];

/// The sizes of images, and how many of a template's grids they use: about 256², 512², 768² and 1024² pixels.
const BUDGETS: [(&str, usize); 4] = [("0.06M", 7), ("0.25M", 10), ("0.60M", 12), ("1M", 13)];

/// The number of scales that identify a template.
const SHORTEST: usize = 5;

/// The sizes of images in millions of pixels, as upstream writes them.
pub fn budgets() -> impl Iterator<Item = &'static str> {
    BUDGETS.into_iter().map(|(name, _)| name)
}

/// The ratios of height to width, as upstream writes them, with the grids of each.
fn ratios() -> impl Iterator<Item = (&'static str, Vec<Grid>)> {
    let grid = |&(height, width): &(usize, usize)| Grid::new(height, width);
    let turned = |&(height, width): &(usize, usize)| Grid::new(width, height);
    TEMPLATES.iter().flat_map(move |template| {
        let tall = (template.ratio, template.grids.iter().map(grid).collect());
        let wide = (template.inverse, template.grids.iter().map(turned).collect());
        std::iter::once(tall).chain((template.ratio != template.inverse).then_some(wide))
    })
}

/// The fifteen ratios of height to width, as upstream writes them.
pub fn aspects() -> impl Iterator<Item = &'static str> {
    ratios().map(|(name, _)| name)
}

/// The name of the template that is nearest to a ratio of height to width.
pub fn nearest(height_over_width: f64) -> &'static str {
    let distance = |name: &str| (name.parse::<f64>().unwrap_or(f64::INFINITY) - height_over_width).abs();
    aspects().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or("1.0")
}

/// The scales for a ratio of height to width and a size, both by name.
///
/// # Errors
/// If there is no such template or size; the message lists the available ones.
pub fn schedule(aspect: &str, budget: &str) -> Result<ScaleSchedule> {
    let Some((_, count)) = BUDGETS.into_iter().find(|(name, _)| *name == budget) else {
        let known: Vec<_> = budgets().collect();
        return Err(Error::setting("size", format!("{budget} is none of {}", known.join(", "))));
    };
    let Some((_, grids)) = ratios().find(|(name, _)| *name == aspect) else {
        let known: Vec<_> = aspects().collect();
        let message =
            format!("{aspect} is not a template's height over width; choose one of {}", known.join(", "));
        return Err(Error::setting("aspect", message));
    };
    ScaleSchedule::new(grids[..count].to_vec())
}

/// Whether the scales are the first ones of a template, at least five: fewer are ambiguous.
pub fn is_template(schedule: &ScaleSchedule) -> bool {
    template_of(schedule).is_some()
}

fn template_of(schedule: &ScaleSchedule) -> Option<Vec<Grid>> {
    let of = |grids: &Vec<Grid>| schedule.len() >= SHORTEST && grids.starts_with(schedule.grids());
    ratios().map(|(_, grids)| grids).find(of)
}

/// The grid on which a schedule's positions are counted: a template's largest grid, whatever the image size,
/// or the last grid of any other schedule.
pub fn reference_grid(schedule: &ScaleSchedule) -> Grid {
    template_of(schedule).and_then(|grids| grids.last().copied()).unwrap_or_else(|| schedule.last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infinity::fixtures::json;

    #[test]
    fn templates_and_sizes_are_upstreams() {
        let upstream = json("scale_schedules.json");
        let upstream = upstream.as_object().unwrap();
        assert_eq!(aspects().count(), upstream.len());
        for (aspect, sizes) in upstream {
            for budget in budgets() {
                let ours = schedule(aspect, budget).unwrap();
                let theirs: Vec<[usize; 2]> =
                    serde_json::from_value(sizes[budget]["scales_hw"].clone()).unwrap();
                let grids: Vec<_> = ours.grids().iter().map(|grid| [grid.height, grid.width]).collect();
                assert_eq!(grids, theirs, "{aspect} {budget}");
                assert_eq!(ours.positions() as u64, sizes[budget]["tokens"].as_u64().unwrap());
                assert_eq!(reference_grid(&ours), schedule(aspect, "1M").unwrap().last());
                assert!(is_template(&ours));
            }
        }
    }

    #[test]
    fn what_is_no_template_is_named_and_the_nearest_is_found() {
        let error = schedule("1.4", "1M").unwrap_err().to_string();
        assert!(error.starts_with("aspect: 1.4") && error.contains("1.333"), "{error}");
        let error = schedule("1.0", "2M").unwrap_err().to_string();
        assert!(error.starts_with("size: 2M") && error.contains("0.06M"), "{error}");
        assert_eq!([0.1, 3.0 / 4.0, 1.05, 1.4, 9.0].map(nearest), ["0.333", "0.75", "1.0", "1.333", "3.0"]);
        let own = ScaleSchedule::square(&[1, 2, 3, 4]).unwrap();
        assert_eq!((reference_grid(&own), is_template(&own)), (Grid::square(4), false));
        // Two templates begin like this.
        let short = ScaleSchedule::square(&[1, 2, 3]).unwrap();
        assert_eq!((reference_grid(&short), is_template(&short)), (Grid::square(3), false));
    }
}
