//! The priors that nextscale itself has.

use std::sync::Arc;

use nextscale_priors::{Bicubic, Bilinear, Dse, Mean, Nearest, Zero};

use super::Registry;
use crate::calibration::{self, Averages};

pub(super) fn add(registry: Registry) -> Registry {
    let registry = registry
        .with_prior(
            "Dse",
            "discrete spatial enhancement: interpolation with the coarse spectrum in the low band",
            |settings| {
                let dse: Dse = settings.all()?;
                dse.check()?;
                Ok(Arc::new(dse))
            },
        )
        .with_prior("Nearest", "nearest-neighbour interpolation", |_| Ok(Arc::new(Nearest)))
        .with_prior("Bilinear", "bilinear interpolation", |_| Ok(Arc::new(Bilinear)))
        .with_prior("Bicubic", "bicubic interpolation, A = -0.75", |_| Ok(Arc::new(Bicubic)))
        .with_prior("Mean", "control: each channel's mean over the coarse grid", |_| Ok(Arc::new(Mean)))
        .with_prior("Zero", "control: nothing", |_| Ok(Arc::new(Zero)))
        .with_prior(
            "Marginal",
            "control: each channel's average at the coarse scale over many images, from a file of `nextscale calibrate`",
            |settings| {
                let file = settings.path("file")?;
                let read = calibration::read(&file);
                let Averages { prior, sha256: found, weights, .. } =
                    read.map_err(|error| settings.error(error.to_string()))?;
                // Written down, so that a run is identified by what the file says and not by its name alone.
                let expected = settings.take_or("sha256", found.clone())?;
                if expected != found {
                    let message = format!("{} has the sha256 {found}, not {expected}", file.display());
                    let help = "calibrate again, or leave out `sha256` to take the file as it is";
                    return Err(settings.error(message).with_help(help).into());
                }
                let remedy = "measure this model and name the file that comes out, or leave the prior away: `nextscale \
                              calibrate RUN.ron --out FILE --seed 1000`, where RUN.ron is a run of this model under the \
                              base of SSG";
                settings.measured_on(&weights, file.display().to_string(), remedy);
                Ok(Arc::new(prior))
            },
        );
    described(registry)
}

fn described(registry: Registry) -> Registry {
    let plain = ["Nearest", "Bilinear", "Bicubic", "Mean", "Zero"];
    let registry = registry.describe(
        "Dse",
        "Dse()",
        &[
            ("interpolation", "`Nearest`, `Bilinear` or `Bicubic`: what fills the high band"),
            (
                "low_band",
                "`Amplitude` or `Verbatim`: whether the coarse spectrum is scaled so that values keep their size, or \
                 copied as it is",
            ),
            ("fraction", "in (0, 1]: the share of the low band on each axis that is taken over"),
            ("crossover", "at least 0: the width of a soft edge of the low band, as a share of the coarse grid's side"),
        ],
    );
    let registry = plain.into_iter().fold(registry, |registry, name| registry.describe(name, name, &[]));
    registry.describe(
        "Marginal",
        "Marginal(file: \"marginal.safetensors\")",
        &[
            ("file", "the averages, relative to the config's folder"),
            ("sha256", "the file's sha256; by default whichever it has, which the resolved config then says"),
        ],
    )
}
