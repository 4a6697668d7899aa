//! Aspect ratios as people write them, and upstream's templates of scales for them.

use nextscale_backbones::infinity::templates;
use nextscale_core::{Error, Result, ScaleSchedule};

/// Width and height of a ratio, and upstream's name of its template, which is height over width.
type Aspect = ((u64, u64), &'static str);

const ASPECTS: [Aspect; 15] = [
    ((1, 1), "1.0"),
    ((4, 5), "1.25"),
    ((5, 4), "0.8"),
    ((3, 4), "1.333"),
    ((4, 3), "0.75"),
    ((2, 3), "1.5"),
    ((3, 2), "0.666"),
    ((4, 7), "1.75"),
    ((7, 4), "0.571"),
    ((1, 2), "2.0"),
    ((2, 1), "0.5"),
    ((2, 5), "2.5"),
    ((5, 2), "0.4"),
    ((1, 3), "3.0"),
    ((3, 1), "0.333"),
];

fn written(((width, height), _): &Aspect) -> String {
    format!("{width}:{height}")
}

/// The template of a ratio written as for screens, width before height: `4:3` is landscape, `3:4` portrait.
///
/// # Errors
/// If the text is not a ratio, or has no template; the error names the nearest one that has.
fn template(text: &str) -> Result<&'static str> {
    let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| *side > 0).map(u64::from);
    let Some((width, height)) =
        text.split_once(':').and_then(|(width, height)| side(width).zip(side(height)))
    else {
        let message = format!("`{text}` is not a ratio; write width and height, like 4:3");
        return Err(Error::setting("aspect", message));
    };
    if let Some((_, name)) = ASPECTS.iter().find(|((w, h), _)| w * height == h * width) {
        return Ok(name);
    }
    let name = templates::nearest(height as f64 / width as f64);
    let nearest = ASPECTS.iter().find(|(_, known)| *known == name).map(written).unwrap_or_default();
    let known: Vec<String> = ASPECTS.iter().map(written).collect();
    let message =
        format!("`{text}` has no scales; the nearest ratio that has is {nearest} (of {})", known.join(", "));
    Err(Error::setting("aspect", message))
}

/// The scales of a ratio and a size as people write them.
///
/// # Errors
/// As [`template`], or if there is no such size.
pub(super) fn schedule(aspect: &str, size: &str) -> Result<ScaleSchedule> {
    templates::schedule(template(aspect)?, size)
}

/// The size and the ratio that have these scales, as people write them.
pub(super) fn of(schedule: &ScaleSchedule) -> Option<(String, &'static str)> {
    let each = ASPECTS.iter().flat_map(|aspect| templates::budgets().map(move |size| (aspect, size)));
    each.filter(|((_, name), size)| templates::schedule(name, size).is_ok_and(|made| made == *schedule))
        .map(|(aspect, size)| (written(aspect), size))
        .next()
}

/// The size with this many scales.
pub(super) fn size_of(scales: usize) -> Option<&'static str> {
    templates::budgets().find(|size| templates::schedule("1.0", size).is_ok_and(|made| made.len() == scales))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_core::Grid;

    #[test]
    fn every_template_has_a_ratio_and_is_told_again_by_its_scales() {
        let mut names: Vec<&str> = ASPECTS.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        let mut known: Vec<&str> = templates::aspects().collect();
        known.sort_unstable();
        assert_eq!(names, known);
        for aspect in &ASPECTS {
            let ((width, height), name) = aspect;
            assert!((*height as f64 / *width as f64 - name.parse::<f64>().unwrap()).abs() < 1e-3, "{name}");
            for size in templates::budgets() {
                let schedule = schedule(&written(aspect), size).unwrap();
                assert_eq!(of(&schedule), Some((written(aspect), size)));
                assert_eq!(size_of(schedule.len()), Some(size));
            }
        }
    }

    #[test]
    fn ratios_are_width_first_and_need_not_be_in_lowest_terms() {
        let lying = schedule("8:6", "0.06M").unwrap();
        assert_eq!((lying.grid(2), lying.last()), (Grid::new(3, 4), Grid::new(15, 20)));
        assert_eq!(schedule("3:4", "0.06M").unwrap().last(), Grid::new(20, 15));
    }

    #[test]
    fn a_ratio_without_scales_names_the_nearest() {
        let told = |aspect: &str| schedule(aspect, "1M").unwrap_err().to_string();
        let wide = told("16:9");
        assert!(
            wide.starts_with("aspect: `16:9` has no scales; the nearest ratio that has is 7:4"),
            "{wide}"
        );
        assert!(told("9:16").contains("nearest ratio that has is 4:7"));
        assert!(told("1:50").contains("nearest ratio that has is 1:3"));
        for text in ["1.5", "4:", "0:1", "a:b", "-4:3", ""] {
            assert!(told(text).contains("is not a ratio"), "{text}");
        }
        assert!(schedule("4:3", "0.1M").unwrap_err().to_string().starts_with("size: 0.1M"));
        assert_eq!((of(&ScaleSchedule::square(&[1, 2]).unwrap()), size_of(8)), (None, None));
    }
}
