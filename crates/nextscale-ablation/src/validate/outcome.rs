//! Whether a published number is reproduced, and how sure that is.

use std::fmt;

use serde::Serialize;

use super::Expected;

/// A measure of this program's images, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// Over how many images.
    pub images: u64,
    /// The value over all of them.
    pub value: f64,
    /// Half the interval's width.
    pub half: f64,
    /// Whether the measure estimates the same number whatever the number of images.
    pub unbiased: bool,
}

/// Whether a number is reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// The whole interval is within the tolerance.
    Passes,
    /// The images do not decide.
    Undecided,
    /// The whole interval is beyond the tolerance.
    Fails,
}

/// A published number beside a measured one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// What was published.
    pub expected: Expected,
    /// What was measured.
    pub measured: Measured,
    /// Whether they agree.
    pub verdict: Verdict,
}

/// What a validation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The card's name.
    pub name: String,
    /// Who published the numbers.
    pub source: String,
    /// Every measure once.
    pub checked: Vec<Checked>,
    /// What the source leaves open.
    pub open: Vec<String>,
    /// The program's version and results number.
    pub version: String,
    /// The kind of device, with a CPU's arithmetic.
    pub device: String,
    /// How each measure was taken.
    pub protocols: Vec<String>,
}

impl Checked {
    /// Compares a measured number with a published one.
    ///
    /// The true value of this program lies in the interval, with 95 % confidence. If all of that is within the
    /// tolerance, the number is reproduced; if none of it is, it is not; otherwise more images must decide. A
    /// measure that depends on the number of images is compared only over as many as were published.
    pub fn new(expected: Expected, measured: Measured) -> Self {
        let distance = (measured.value - expected.value).abs();
        let verdict = if measured.images != expected.images && !measured.unbiased {
            Verdict::Undecided
        } else if distance + measured.half <= expected.tolerance {
            Verdict::Passes
        } else if distance - measured.half > expected.tolerance {
            Verdict::Fails
        } else {
            Verdict::Undecided
        };
        Self { expected, measured, verdict }
    }

    /// Why the images do not decide, and how many might; `None` if they do.
    pub fn doubt(&self) -> Option<String> {
        let Self { expected, measured, verdict } = self;
        if *verdict != Verdict::Undecided {
            return None;
        }
        if measured.images != expected.images && !measured.unbiased {
            return Some(format!(
                "{} depends on the number of images, and the published number is of {}: leave out --images",
                expected.measure, expected.images
            ));
        }
        // The interval shrinks with the root of the number of images, if the value stays.
        let distance = (measured.value - expected.value).abs();
        let needed = (distance - expected.tolerance).abs();
        let images = measured.images as f64 * (measured.half / needed).powi(2);
        let more =
            if images < 1e7 { format!("; about {images:.0} images may decide") } else { String::new() };
        Some(format!("the interval reaches across the tolerance's edge{more}"))
    }
}

impl Outcome {
    /// The worst of its verdicts.
    pub fn verdict(&self) -> Verdict {
        self.checked.iter().map(|checked| checked.verdict).max().unwrap_or(Verdict::Undecided)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passes => "passes",
            Self::Undecided => "cannot decide",
            Self::Fails => "does not pass",
        })
    }
}

/// Four significant digits.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    format!("{value:.digits$}")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        let mut rows = vec![["measure", "published", "measured", "images", ""].map(str::to_owned)];
        for Checked { expected, measured, verdict } in &self.checked {
            let (low, high) = (measured.value - measured.half, measured.value + measured.half);
            let images = match measured.images == expected.images {
                true => measured.images.to_string(),
                false => format!("{}, published {}", measured.images, expected.images),
            };
            rows.push([
                expected.measure.clone(),
                format!("{} ± {}", number(expected.value), number(expected.tolerance)),
                format!("{} [{}, {}]", number(measured.value), number(low), number(high)),
                images,
                verdict.to_string(),
            ]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..5).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        writeln!(f)?;
        writeln!(f, "published   by {}", self.source)?;
        for Checked { expected, .. } in &self.checked {
            if let Some(note) = &expected.note {
                writeln!(f, "            {}: {note}", expected.measure)?;
            }
        }
        writeln!(
            f,
            "interval    95 %, from ten tenths of the images; it does not count the publisher's own"
        )?;
        for protocol in &self.protocols {
            writeln!(f, "protocol    {protocol}")?;
        }
        for open in &self.open {
            writeln!(f, "open        {open}")?;
        }
        for checked in &self.checked {
            if let Some(doubt) = checked.doubt() {
                writeln!(f, "undecided   {}: {doubt}", checked.expected.measure)?;
            }
        }
        writeln!(f, "{}, on {}: {}", self.version, self.device, self.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(images: u64, value: f64, half: f64, unbiased: bool) -> Checked {
        let expected =
            Expected { measure: "FID".into(), images: 50_000, value: 3.5, tolerance: 0.15, note: None };
        Checked::new(expected, Measured { images, value, half, unbiased })
    }

    #[test]
    fn an_interval_within_the_tolerance_passes_and_one_beyond_it_fails() {
        let verdict = |value, half| checked(50_000, value, half, false).verdict;
        assert_eq!(verdict(3.45, 0.1), Verdict::Passes);
        assert_eq!(verdict(3.60, 0.04), Verdict::Passes);
        assert_eq!(verdict(3.60, 0.1), Verdict::Undecided);
        assert_eq!(verdict(3.70, 0.1), Verdict::Undecided);
        assert_eq!(verdict(3.70, 0.04), Verdict::Fails);
        assert_eq!(verdict(3.20, 0.1), Verdict::Fails);
        // However far it may be: where nothing is known, nothing passes.
        assert_eq!(verdict(3.5, f64::INFINITY), Verdict::Undecided);
    }

    #[test]
    fn what_depends_on_the_number_of_images_is_compared_over_as_many_only() {
        let few = checked(500, 60.0, 0.5, false);
        assert_eq!(few.verdict, Verdict::Undecided);
        assert!(few.doubt().unwrap().contains("published number is of 50000"), "{:?}", few.doubt());
        assert_eq!(checked(500, 60.0, 0.5, true).verdict, Verdict::Fails);
        assert_eq!(checked(500, 3.5, 0.1, true).verdict, Verdict::Passes);
        assert_eq!(checked(500, 3.5, 0.1, true).doubt(), None);
        // 0.3 must become 0.15: four times the images.
        let doubt = checked(500, 3.5, 0.3, true).doubt().unwrap();
        assert!(doubt.contains("about 2000 images may decide"), "{doubt}");
    }

    #[test]
    fn the_worst_verdict_counts() {
        let of = |checked: Vec<Checked>| Outcome {
            name: "VAR".into(),
            source: "a paper".into(),
            checked,
            open: vec!["β is not said".into()],
            version: "1".into(),
            device: "cpu".into(),
            protocols: vec!["features".into()],
        };
        let pass = checked(50_000, 3.5, 0.05, false);
        assert_eq!(of(vec![pass.clone()]).verdict(), Verdict::Passes);
        let doubt = checked(500, 3.5, 0.05, false);
        let both = of(vec![doubt, pass.clone()]);
        assert_eq!(both.verdict(), Verdict::Undecided);
        insta::assert_snapshot!(both);
        assert_eq!(of(vec![pass, checked(50_000, 5.0, 0.05, false)]).verdict(), Verdict::Fails);
        assert_eq!(of(Vec::new()).verdict(), Verdict::Undecided);
    }
}
