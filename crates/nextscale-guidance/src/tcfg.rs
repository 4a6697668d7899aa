use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::extent::{Extent, centred, combined, ratio};
use crate::{Conditional, Guidance, Step, Strength};

/// Tangential damping: CFG away from the part of the unconditional logits that both passes share.
///
/// u′ is the part of u in the first right singular vector of the two rows [c; u] (Kwon et al., "TCFG:
/// Tangential Damping Classifier-free Guidance", arXiv 2503.18137).
///
/// l = u′ + w·(c − u′) = c + t·(c − u′), with t = w − 1 the `scale`, over an [`Extent`]. The singular vector
/// is a combination of c and u, so only their products matter: with r = √((⟨c,c⟩ − ⟨u,u⟩)² + 4⟨c,u⟩²), u′ =
/// ⟨c,u⟩/r · c + ½(1 − (⟨c,c⟩ − ⟨u,u⟩)/r) · u. If r is 0, every direction of the plane is a first singular
/// vector, and u′ is u.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "Tcfg(scale: 3.0)", check = Self::validate)]
pub struct Tcfg {
    /// t = w - 1, a strength, off at 0.
    pub scale: Strength,
    /// `Image` or `Position`: whether the singular vector is that of all positions and channels of an image,
    /// or of the channels of each position; always on logits after subtracting each choice's mean.
    #[setting(default)]
    pub over: Extent,
}

impl Tcfg {
    /// The paper's rule at `scale` t, over the image.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `scale`, as [`Strength::validate`].
    pub fn new(scale: impl Into<Strength>) -> Result<Self> {
        let rule = Self { scale: scale.into(), over: Extent::default() };
        rule.validate()?;
        Ok(rule)
    }

    fn validate(&self) -> Result<()> {
        self.scale.validate("scale")
    }
}

impl Guidance for Tcfg {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let t = self.scale.at(step.index(), step.schedule());
        if t == 0.0 {
            return Ok(conditional.clone());
        }
        let unconditional = step.unconditional()?;
        let [c, u] = [centred(conditional), centred(unconditional)];
        let (both, longer) = (self.over.dot(&c, &u), self.over.dot(&c, &c) - self.over.dot(&u, &u));
        let r = (longer.clone() * longer.clone() + (both.clone() * both.clone()).mul_scalar(4.0)).sqrt();
        // u′ = p·c + q·u.
        let p = ratio(both, r.clone(), 0.0);
        let q = ratio(longer, r, -1.0).neg().add_scalar(1.0).div_scalar(2.0);
        // (1 + t)·c − t·u′.
        combined(conditional, p.mul_scalar(-t).add_scalar(1.0 + t), unconditional, q.mul_scalar(-t))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        if self.scale.at(k, schedule) == 0.0 { Passes::CONDITIONAL } else { Passes::BOTH }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _alphabet: Alphabet) -> Result<()> {
        self.scale.check("scale", schedule)
    }

    fn claims(&self) -> RuleClaims {
        RuleClaims::none().off(Arc::new(Self { scale: 0.0.into(), ..self.clone() }), Arc::new(Conditional))
    }
}
