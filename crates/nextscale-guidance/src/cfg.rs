use std::sync::Arc;

use nextscale_config::settings::{self, Reader};
use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_kernels::weighted_sum;
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::{Conditional, Guidance, Step, Strength};

/// Classifier-free guidance: away from the unconditional logits u, beyond the conditional ones c.
///
/// Two named forms of the same rule, with w = 1 + t:
/// - `Cfg(scale: t)`: (1 + t)·c − t·u, VAR's form; it is off at t = 0.
/// - `Cfg(weight: w)`: w·c + (1 − w)·u, Infinity's form; it is off at w = 1, and outside the range of a
///   `During`.
///
/// Guidance in a limited interval (Kynkäänniemi et al., arXiv 2404.07724), with scales in place of noise
/// levels, is this rule with `During(first, last, ..)` as its strength: outside the interval the
/// unconditional pass is not even read.
#[derive(Debug, Clone, PartialEq)]
pub struct Cfg {
    form: Form,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Scale(Strength),
    Weight(Strength),
}

impl Cfg {
    /// VAR's form, (1 + t)·c − t·u.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `scale`, as [`Strength::validate`].
    pub fn scale(t: impl Into<Strength>) -> Result<Self> {
        let t = t.into();
        t.validate("scale")?;
        Ok(Self { form: Form::Scale(t) })
    }

    /// The weight form, w·c + (1 − w)·u.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `weight`, as [`Strength::validate`].
    pub fn weight(w: impl Into<Strength>) -> Result<Self> {
        let w = w.into();
        w.validate("weight")?;
        Ok(Self { form: Form::Weight(w) })
    }

    /// The same rule in VAR's form, t = w − 1.
    #[must_use]
    pub fn to_scale(&self) -> Self {
        match &self.form {
            Form::Scale(_) => self.clone(),
            Form::Weight(w) => Self { form: Form::Scale(w.plus(-1.0)) },
        }
    }

    /// The same rule in the weight form, w = 1 + t.
    #[must_use]
    pub fn to_weight(&self) -> Self {
        match &self.form {
            Form::Weight(_) => self.clone(),
            Form::Scale(t) => Self { form: Form::Weight(t.plus(1.0)) },
        }
    }

    /// The factors of c and u at scale `k`; `None` where the rule is off.
    fn factors(&self, k: usize, schedule: &ScaleSchedule) -> Option<(f64, f64)> {
        match &self.form {
            Form::Scale(t) => Some(t.at(k, schedule)).filter(|&t| t != 0.0).map(|t| (1.0 + t, -t)),
            // Off is not w = 0, which would be the unconditional logits.
            Form::Weight(w) if !w.is_on(k) => None,
            Form::Weight(w) => Some(w.at(k, schedule)).filter(|&w| w != 1.0).map(|w| (w, 1.0 - w)),
        }
    }
}

impl Guidance for Cfg {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let Some((c, u)) = self.factors(step.index(), step.schedule()) else {
            return Ok(conditional.clone());
        };
        let unconditional = step.unconditional()?.values().clone();
        conditional.with_values(weighted_sum(conditional.values().clone(), c, unconditional, u))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        match self.factors(k, schedule) {
            Some(_) => Passes::BOTH,
            None => Passes::CONDITIONAL,
        }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _alphabet: Alphabet) -> Result<()> {
        match &self.form {
            Form::Scale(t) => t.check("scale", schedule),
            Form::Weight(w) => w.check("weight", schedule),
        }
    }

    fn claims(&self) -> RuleClaims {
        let off = match self.form {
            Form::Scale(_) => Form::Scale(0.0.into()),
            Form::Weight(_) => Form::Weight(1.0.into()),
        };
        RuleClaims::none().off(Arc::new(Self { form: off }), Arc::new(Conditional)).linear().channelwise()
    }
}

/// Classifier-free guidance: (1 + t)·cond - t·uncond with `scale: t`, or w·cond + (1 - w)·uncond with
/// `weight: w`.
#[derive(Settings)]
#[setting(example = "Cfg(scale: Ramp(1.5))", builds = Cfg, build = Given::build)]
struct Given {
    /// t, a strength, off at 0; VAR's form. Either this or `weight`.
    scale: Option<Strength>,
    /// w = 1 + t, a strength, off at 1 and outside the range of a `During`; the form of Infinity. With
    /// `During(first, last, w)` it is guidance in a limited interval (arXiv 2404.07724), as `scale:
    /// During(first, last, t)` is.
    weight: Option<Strength>,
}

impl Given {
    fn build(self, reader: &mut Reader<'_>) -> settings::Result<Cfg> {
        match (self.scale, self.weight) {
            (Some(t), None) => reader.accept(Cfg::scale(t)),
            (None, Some(w)) => reader.accept(Cfg::weight(w)),
            (scale, _) => {
                let given = if scale.is_some() { "both are" } else { "neither is" };
                let error = reader.error(format!("give `scale` or `weight`; {given} given"));
                Err(error.with_help("w·c + (1 - w)·u with `weight: w` is `scale: t` with w = 1 + t"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> settings::Result<Cfg> {
        let node = nextscale_config::Document::parse("test.ron", text)?;
        settings::Names::new().read::<Cfg>(&node).map(|built| Cfg::clone(&built.value))
    }

    #[test]
    fn the_forms_convert_into_each_other_at_every_scale() {
        let schedule = ScaleSchedule::square(&[1, 2, 3, 5, 8]).unwrap();
        for strength in [
            Strength::Constant(1.5),
            Strength::Ramp(4.0),
            Strength::Linear { from: 0.25, to: -1.0 },
            Strength::Cosine { from: 2.0, to: 0.5 },
            Strength::LinearUntil { from: 0.5, to: 2.0, scale: 3 },
            Strength::List(vec![0.0, 1.0, -2.0, 0.5, 3.0]),
            Strength::during(1, 3, Strength::Ramp(2.0)),
        ] {
            let scale = Cfg::scale(strength.clone()).unwrap();
            let weight = scale.to_weight();
            for k in 0..5 {
                let (expected, t) = (scale.factors(k, &schedule), strength.at(k, &schedule));
                assert_eq!(expected.is_some(), t != 0.0);
                for other in [&weight, &weight.to_scale(), &Cfg::weight(strength.plus(1.0)).unwrap()] {
                    let found = other.factors(k, &schedule);
                    assert_eq!(found.is_some(), expected.is_some(), "{strength:?} at scale {k}");
                    let ((c, u), (d, v)) = (found.unwrap_or_default(), expected.unwrap_or_default());
                    assert!((c - d).abs() < 1e-14 && (u - v).abs() < 1e-14, "{strength:?} at scale {k}");
                }
            }
        }
    }

    #[test]
    fn a_weight_outside_its_range_is_off_and_a_weight_of_zero_is_not() {
        let schedule = ScaleSchedule::square(&[1, 2, 3]).unwrap();
        let rule = Cfg::weight(Strength::during(1, 1, 3.0)).unwrap();
        let factors: Vec<_> = (0..3).map(|k| rule.factors(k, &schedule)).collect();
        assert_eq!(factors, [None, Some((3.0, -2.0)), None]);
        assert_eq!(Cfg::weight(0.0).unwrap().factors(0, &schedule), Some((0.0, 1.0)));
    }

    #[test]
    fn a_config_gives_scale_or_weight_and_not_both() {
        assert_eq!(read("Cfg(scale: Ramp(1.5))").unwrap(), Cfg::scale(Strength::Ramp(1.5)).unwrap());
        assert_eq!(read("Cfg(weight: 4)").unwrap(), Cfg::weight(4.0).unwrap());
        for (text, part) in
            [("Cfg(scale: 1, weight: 2)", "both"), ("Cfg()", "neither"), ("Cfg(scael: 1)", "scael")]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_by_the_form_s_own_name() {
        let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
        assert!(Cfg::scale(f64::NAN).unwrap_err().to_string().starts_with("scale: "));
        assert!(Cfg::weight(f64::INFINITY).unwrap_err().to_string().starts_with("weight: "));
        let list = Cfg::weight(Strength::List(vec![1.0; 3])).unwrap();
        assert!(list.check(&schedule, Alphabet::codes(2)).unwrap_err().to_string().starts_with("weight: "));
    }
}
