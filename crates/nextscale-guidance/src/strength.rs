use nextscale_config::NumberOr;
use nextscale_core::{Error, Result, ScaleSchedule};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A number that varies with the scale: CFG's t, SSG's β, a temperature.
///
/// x = k/(K-1), from 0 at the first scale, and 0 if there is only one. In configs a bare number is a
/// constant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Strength {
    /// The same at every scale.
    Constant(f64),
    /// `a · x`: from 0 to a (VAR's ramp).
    Ramp(f64),
    /// `from + (to − from) · x`.
    Linear {
        /// At the first scale.
        from: f64,
        /// At the last scale.
        to: f64,
    },
    /// `to + (from − to) · (1 + cos πx) / 2`.
    Cosine {
        /// At the first scale.
        from: f64,
        /// At the last scale.
        to: f64,
    },
    /// `from + (to − from) · k/min(K−1, scale)`: reaches `to` at this scale, or at the last if that comes
    /// first, and continues beyond it. FlexVAR's ramp (arXiv 2502.20313), whose schedules may have more than
    /// ten scales, is that from 0 until scale 9.
    LinearUntil {
        /// At the first scale.
        from: f64,
        /// At `scale`.
        to: f64,
        /// At least 1.
        scale: usize,
    },
    /// One number per scale.
    List(Vec<f64>),
    /// The inner strength from scale `first` to scale `last`, inclusive; off, which is 0, elsewhere.
    During(usize, usize, Box<Strength>),
}

impl Strength {
    /// How configs write each form, and what it is, with x = k/(K-1).
    pub const FORMS: [(&'static str, &'static str); 7] = [
        ("a number", "the same at every scale"),
        ("Ramp(a)", "a·x, where x goes from 0 at the first scale to 1 at the last: VAR's schedule"),
        ("Linear(from: a, to: b)", "a + (b - a)·x"),
        ("Cosine(from: a, to: b)", "b + (a - b)·(1 + cos πx)/2"),
        (
            "LinearUntil(from: a, to: b, scale: n)",
            "a + (b - a)·k/min(K-1, n); it keeps rising or falling beyond scale n. `LinearUntil(from: 0, to: t, \
             scale: 9)` is FlexVAR's ramp",
        ),
        ("List([..])", "one number per scale"),
        ("During(first, last, s)", "s at scales first to last, both included, counted from 0; off elsewhere"),
    ];

    /// The inner strength from scale `first` to scale `last`, inclusive; off elsewhere.
    pub fn during(first: usize, last: usize, inner: impl Into<Self>) -> Self {
        Self::During(first, last, Box::new(inner.into()))
    }

    /// The value at scale `k`; 0 where it is off.
    ///
    /// A list is 0 beyond its end, which [`check`](Self::check) refuses in advance.
    pub fn at(&self, k: usize, schedule: &ScaleSchedule) -> f64 {
        let x = schedule.progress(k);
        match self {
            Self::Constant(value) => *value,
            Self::Ramp(last) => last * x,
            Self::Linear { from, to } => from + (to - from) * x,
            Self::Cosine { from, to } => to + (from - to) * (1.0 + (std::f64::consts::PI * x).cos()) / 2.0,
            Self::LinearUntil { from, to, scale } => {
                // One scale is the first.
                let reached = (schedule.len() - 1).min(*scale).max(1);
                from + (to - from) * (k as f64 / reached as f64)
            }
            Self::List(values) => values.get(k).copied().unwrap_or(0.0),
            Self::During(_, _, inner) => {
                if self.is_on(k) {
                    inner.at(k, schedule)
                } else {
                    0.0
                }
            }
        }
    }

    /// Whether scale `k` lies in every range given by `During`.
    ///
    /// Distinguishes off from 0 for settings whose neutral value is not 0, such as weights and temperatures.
    pub fn is_on(&self, k: usize) -> bool {
        match self {
            Self::During(first, last, inner) => (*first..=*last).contains(&k) && inner.is_on(k),
            _ => true,
        }
    }

    /// Refuses values that are not finite, an empty list, and a range that ends before it begins. Reading
    /// from a config refuses them already.
    ///
    /// # Errors
    /// [`Error::Setting`] for `field`.
    pub fn validate(&self, field: &str) -> Result<()> {
        self.fault().map_or(Ok(()), |message| Err(Error::setting(field, message)))
    }

    /// What is wrong with it on any schedule.
    fn fault(&self) -> Option<String> {
        let numbers: &[f64] = match self {
            Self::Constant(value) | Self::Ramp(value) => &[*value],
            Self::LinearUntil { scale: 0, .. } => {
                return Some(
                    "LinearUntil(.., scale: 0) never reaches its end; give a scale of at least 1".into(),
                );
            }
            Self::Linear { from, to } | Self::Cosine { from, to } | Self::LinearUntil { from, to, .. } => {
                &[*from, *to]
            }
            Self::List(values) if values.is_empty() => {
                return Some("the list is empty; give one number per scale".into());
            }
            Self::List(values) => values,
            Self::During(first, last, _) if first > last => {
                return Some(format!(
                    "During({first}, {last}, ..) ends before it begins; give the first scale first"
                ));
            }
            Self::During(_, _, inner) => return inner.fault(),
        };
        let infinite = numbers.iter().find(|number| !number.is_finite());
        infinite.map(|number| format!("{number} is not a finite number"))
    }

    /// Checks it for a schedule: a list has one number per scale, and a range is within the scales.
    ///
    /// # Errors
    /// [`Error::Setting`] for `field`.
    pub fn check(&self, field: &str, schedule: &ScaleSchedule) -> Result<()> {
        self.validate(field)?;
        let scales = schedule.len();
        match self {
            Self::List(values) if values.len() != scales => {
                let message =
                    format!("the list has {} numbers for {scales} scales; give one a scale", values.len());
                Err(Error::setting(field, message))
            }
            Self::During(first, last, _) if *last >= scales => {
                let message = format!(
                    "During({first}, {last}, ..) reaches beyond the last of {scales} scales, which is {}",
                    scales - 1
                );
                Err(Error::setting(field, message))
            }
            Self::During(_, _, inner) => inner.check(field, schedule),
            _ => Ok(()),
        }
    }

    /// Adds `offset` to the strength wherever it is on.
    pub fn plus(&self, offset: f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value + offset),
            Self::Ramp(last) => Self::Linear { from: offset, to: last + offset },
            Self::Linear { from, to } => Self::Linear { from: from + offset, to: to + offset },
            Self::Cosine { from, to } => Self::Cosine { from: from + offset, to: to + offset },
            Self::LinearUntil { from, to, scale } => {
                Self::LinearUntil { from: from + offset, to: to + offset, scale: *scale }
            }
            Self::List(values) => Self::List(values.iter().map(|value| value + offset).collect()),
            Self::During(first, last, inner) => Self::during(*first, *last, inner.plus(offset)),
        }
    }
}

impl From<f64> for Strength {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

impl<'de> Deserialize<'de> for Strength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let strength = match NumberOr::deserialize(deserializer)? {
            NumberOr::Number(value) => Self::Constant(value),
            NumberOr::Other(form) => Form::into(form),
        };
        match strength.fault() {
            Some(message) => Err(serde::de::Error::custom(message)),
            None => Ok(strength),
        }
    }
}

impl JsonSchema for Strength {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Strength".into()
    }

    /// A bare number, or one of the forms.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let form = Form::json_schema(generator);
        json_schema!({
            "description": "A number that varies with the scale; K is the number of scales, k the scale from 0, and x = k/(K-1).",
            "anyOf": [{ "type": "number", "description": "The same at every scale." }, form],
        })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename = "Strength", deny_unknown_fields)]
enum Form {
    /// The same at every scale.
    Constant(f64),
    /// a·x, where x goes from 0 at the first scale to 1 at the last: VAR's schedule.
    Ramp(f64),
    /// a + (b - a)·x, from a to b.
    Linear { from: f64, to: f64 },
    /// b + (a - b)·(1 + cos πx)/2, from a to b.
    Cosine { from: f64, to: f64 },
    /// a + (b - a)·k/min(K-1, n), from a to b at scale n, and on beyond it.
    LinearUntil { from: f64, to: f64, scale: usize },
    /// One number a scale.
    List(Vec<f64>),
    /// A strength at scales first to last, both included, counted from 0; 0 elsewhere.
    During(usize, usize, Box<Strength>),
}

impl From<Form> for Strength {
    fn from(form: Form) -> Self {
        match form {
            Form::Constant(value) => Self::Constant(value),
            Form::Ramp(last) => Self::Ramp(last),
            Form::Linear { from, to } => Self::Linear { from, to },
            Form::Cosine { from, to } => Self::Cosine { from, to },
            Form::LinearUntil { from, to, scale } => Self::LinearUntil { from, to, scale },
            Form::List(values) => Self::List(values),
            Form::During(first, last, inner) => Self::During(first, last, inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(strength: &Strength, scales: usize) -> Vec<f64> {
        let schedule = ScaleSchedule::square(&vec![1; scales]).unwrap();
        (0..scales).map(|k| strength.at(k, &schedule)).collect()
    }

    fn decoded(text: &str) -> Result<Strength, nextscale_config::ConfigError> {
        nextscale_config::Document::parse("test.ron", text)?.decode()
    }

    #[test]
    fn each_form_follows_its_formula() {
        assert_eq!(values(&Strength::Constant(2.0), 3), [2.0, 2.0, 2.0]);
        assert_eq!(values(&Strength::Ramp(1.5), 4), [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(values(&Strength::Linear { from: 0.5, to: 0.0 }, 3), [0.5, 0.25, 0.0]);
        assert_eq!(values(&Strength::List(vec![3.0, 1.0]), 2), [3.0, 1.0]);
        assert_eq!(values(&Strength::during(1, 2, 0.5), 4), [0.0, 0.5, 0.5, 0.0]);
        let cosine = values(&Strength::Cosine { from: 1.0, to: 3.0 }, 5);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        for (found, expected) in cosine.iter().zip([1.0, 2.0 - half, 2.0, 2.0 + half, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{cosine:?}");
        }
    }

    /// FlexVAR's code: `cfg · si / min(len(infer_patch_nums) - 1, 9)`.
    #[test]
    fn flex_vars_ramp_goes_on_beyond_its_tenth_scale() {
        let ramp = Strength::LinearUntil { from: 0.0, to: 1.8, scale: 9 };
        for scales in [2_usize, 5, 10, 13] {
            let divisor = (scales - 1).min(9) as f64;
            for (k, value) in values(&ramp, scales).into_iter().enumerate() {
                assert!((value - 1.8 * (k as f64 / divisor)).abs() < 1e-12, "scale {k} of {scales}");
            }
        }
        assert_eq!(values(&ramp, 10)[9], 1.8);
        assert!((values(&ramp, 13)[12] - 2.4).abs() < 1e-12);
        // Up to ten scales it is VAR's.
        assert_eq!(values(&ramp, 6), values(&Strength::Ramp(1.8), 6));
    }

    #[test]
    fn one_scale_is_the_first() {
        assert_eq!(values(&Strength::Ramp(1.5), 1), [0.0]);
        assert_eq!(values(&Strength::Linear { from: 0.5, to: 0.0 }, 1), [0.5]);
        assert_eq!(values(&Strength::LinearUntil { from: 0.5, to: 0.0, scale: 9 }, 1), [0.5]);
        assert_eq!(values(&Strength::Cosine { from: 0.5, to: 0.0 }, 1), [0.5]);
    }

    #[test]
    fn the_inner_strength_of_a_range_runs_over_all_scales() {
        assert_eq!(values(&Strength::during(2, 9, Strength::Ramp(4.0)), 5), [0.0, 0.0, 2.0, 3.0, 4.0]);
        let nested = Strength::during(0, 2, Strength::during(2, 4, 1.0));
        assert_eq!((0..5).map(|k| nested.is_on(k)).collect::<Vec<_>>(), [false, false, true, false, false]);
    }

    #[test]
    fn a_config_writes_a_number_or_a_form() {
        for (text, expected) in [
            ("0.5", Strength::Constant(0.5)),
            ("2", Strength::Constant(2.0)),
            ("Constant(0.5)", Strength::Constant(0.5)),
            ("Ramp(1.5)", Strength::Ramp(1.5)),
            ("Linear(from: 0.5, to: 0.0)", Strength::Linear { from: 0.5, to: 0.0 }),
            (
                "LinearUntil(from: 0, to: 1.5, scale: 9)",
                Strength::LinearUntil { from: 0.0, to: 1.5, scale: 9 },
            ),
            ("Cosine(from: 1, to: 0)", Strength::Cosine { from: 1.0, to: 0.0 }),
            ("List([0, 0.5, 1.0])", Strength::List(vec![0.0, 0.5, 1.0])),
            ("During(1, 3, 0.5)", Strength::during(1, 3, 0.5)),
            ("During(1, 3, Ramp(2.0))", Strength::during(1, 3, Strength::Ramp(2.0))),
        ] {
            let strength = decoded(text).map_err(|e| format!("{text}: {e}"));
            assert_eq!(strength, Ok(expected.clone()));
            let written = nextscale_config::Node::from_serialize(&expected).unwrap().to_ron_string();
            assert_eq!(decoded(&written).map_err(|e| format!("{written}: {e}")), Ok(expected));
        }
    }

    #[test]
    fn a_config_that_is_neither_is_refused() {
        for text in [
            "Rmap(1.5)",
            "Linear(from: 0.5)",
            "Linear(from: 0.5, to: 0.0, x: 1)",
            "Ramp",
            "\"0.5\"",
            "During(1, 3)",
        ] {
            assert!(decoded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_the_schedule_is_refused_by_field() {
        let schedule = ScaleSchedule::square(&[1, 2, 3]).unwrap();
        for (strength, part) in [
            (Strength::Constant(f64::NAN), "NaN is not a finite number"),
            (Strength::Linear { from: 0.0, to: f64::INFINITY }, "inf is not a finite number"),
            (Strength::List(vec![]), "the list is empty"),
            (Strength::LinearUntil { from: 0.0, to: 1.0, scale: 0 }, "give a scale of at least 1"),
            (Strength::LinearUntil { from: 0.0, to: f64::NAN, scale: 1 }, "NaN is not a finite number"),
            (Strength::List(vec![1.0; 4]), "4 numbers for 3 scales"),
            (Strength::during(2, 1, 1.0), "ends before it begins"),
            (Strength::during(1, 3, 1.0), "beyond the last of 3 scales, which is 2"),
            (Strength::during(0, 2, Strength::List(vec![1.0])), "1 numbers for 3 scales"),
        ] {
            let error = strength.check("beta", &schedule).unwrap_err().to_string();
            assert!(error.starts_with("beta: ") && error.contains(part), "{error}");
        }
        assert_eq!(Strength::during(1, 2, Strength::List(vec![1.0; 3])).check("beta", &schedule), Ok(()));
    }
}
