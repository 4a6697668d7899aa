use nextscale_core::{Alphabet, Grid, ScaleSchedule};
use nextscale_priors::conformance::{Report, near, same_bits};

use super::RuleClaims;
use super::generation::{Generation, Scales, log_probabilities, mix, pick};
use crate::Guidance;

const BATCH: usize = 4;

/// The checks of a rule, and how to try it.
#[derive(Debug, Clone)]
pub struct RuleKit<'a> {
    rule: &'a dyn Guidance,
    claims: RuleClaims,
    off: Option<(&'a dyn Guidance, &'a dyn Guidance)>,
}

/// Checks `rule` on the CPU device, over whole generations: on square and other grids, repeated ones and a
/// single scale, with codes and bits and several images; given only the passes that it asks for, and no more
/// history than its lookback. Also checks what the rule [claims](Guidance::claims).
pub fn check_rule(rule: &dyn Guidance) -> RuleKit<'_> {
    RuleKit { rule, claims: rule.claims(), off: None }
}

/// The schedules for rules that claim none.
fn schedules() -> Vec<ScaleSchedule> {
    let grids: [&[(usize, usize)]; 4] = [
        &[(1, 1), (2, 2), (3, 3), (5, 5)],
        &[(1, 2), (2, 2), (2, 3), (2, 3), (4, 5)],
        &[(3, 1), (3, 4)],
        &[(2, 2)],
    ];
    let schedule = |grids: &&[(usize, usize)]| {
        ScaleSchedule::new(grids.iter().map(|&(height, width)| Grid::new(height, width)).collect()).ok()
    };
    grids.iter().filter_map(schedule).collect()
}

impl<'a> RuleKit<'a> {
    /// Uses these schedules instead, for rules that fit only some.
    #[must_use]
    pub fn schedules(self, schedules: impl IntoIterator<Item = ScaleSchedule>) -> Self {
        Self { claims: self.claims.schedules(schedules), ..self }
    }

    /// Uses these alphabets instead.
    #[must_use]
    pub fn alphabets(self, alphabets: impl IntoIterator<Item = Alphabet>) -> Self {
        Self { claims: self.claims.alphabets(alphabets), ..self }
    }

    /// Claims that `off`, the rule with a strength of zero, equals `base` bit for bit.
    #[must_use]
    pub fn off(self, off: &'a dyn Guidance, base: &'a dyn Guidance) -> Self {
        Self { off: Some((off, base)), ..self }
    }

    /// Claims that the rule is linear in all logits together.
    #[must_use]
    pub fn linear(self) -> Self {
        Self { claims: self.claims.linear(), ..self }
    }

    /// Claims that a channel's result depends only on that channel.
    #[must_use]
    pub fn channelwise(self) -> Self {
        Self { claims: self.claims.channelwise(), ..self }
    }

    /// Withdraws the promise that a number added to all logits of a choice changes no probability.
    #[must_use]
    pub fn offsets_matter(self) -> Self {
        Self { claims: self.claims.offsets_matter(), ..self }
    }

    /// Runs every check.
    pub fn run(&self) -> Report {
        let mut report = Report::new(format!("{:?}", self.rule));
        report.check(
            "every scale has finite logits on its grid, from the passes and the history asked for",
            || {
                self.each(|x| {
                    let finite = |values: &Vec<f32>| values.iter().all(|value| value.is_finite());
                    match self.guided(x)?.iter().position(|values| !finite(values)) {
                        Some(k) => Err(format!("scale {k}: not finite, from finite logits")),
                        None => Ok(()),
                    }
                })
            },
        );
        report.check("the same logits give the same output to the bit, whatever came between", || {
            self.each(|x| {
                let first = self.guided(x)?;
                self.guided(&x.changed(|_, _, value| 3.0 - value))?;
                same(&self.guided(x)?, &first, "made twice")
            })
        });
        report.check("an image is the same to the bit in every batch", || {
            self.each(|x| {
                let all = self.guided(x)?;
                [&[2][..], &[3, 1], &[3, 2, 1, 0]].into_iter().try_for_each(|images| {
                    let found = self.guided(&x.images(images))?;
                    same(&found, &pick(&all, BATCH, images), &format!("images {images:?} of {BATCH}"))
                })
            })
        });
        report.check("images do not mix", || {
            self.each(|x| {
                let size = |k: usize| x.conditional[k].len() / BATCH;
                let other =
                    x.changed(|k, at, value| if at / size(k) == 1 { value } else { 5.0 * value + 1.0 });
                let image = |y: &Generation| Ok::<_, String>(pick(&self.guided(y)?, BATCH, &[1]));
                same(&image(&other)?, &image(x)?, "image 1 with other images around it")
            })
        });
        let claimed = self.claims.off.as_ref().map(|(off, base)| (&**off, &**base));
        match self.off.or(claimed) {
            Some((off, base)) => report.check("a strength of zero is the base to the bit", || {
                self.each(|x| same(&guided(x, off)?, &guided(x, base)?, "off"))
            }),
            None => {
                report.not_claimed("a strength of zero is the base to the bit", "off(rule, base) tries it")
            }
        }
        if self.claims.offsets {
            report.check("a number added to all logits of a choice changes no probability", || {
                self.each(|x| self.ignores_offsets(x))
            });
        } else {
            let name = "a number added to all logits of a choice changes no probability";
            report.not_claimed(name, "offsets_matter() takes it back");
        }
        if self.claims.linear {
            report.check("linear", || self.each(|x| self.is_linear(x)));
        } else {
            report.not_claimed("linear", "linear() claims it");
        }
        if self.claims.channelwise {
            report.check("channels do not mix", || self.each(|x| self.channels_apart(x)));
        } else {
            report.not_claimed("channels do not mix", "channelwise() claims it");
        }
        report
    }

    fn ignores_offsets(&self, x: &Generation) -> Result<(), String> {
        let classes = x.alphabet.classes;
        let shifted = x.changed(|k, at, value| value + ((at / classes * 7 + k) % 11) as f32 - 5.0);
        let probabilities = |y: &Generation| Ok::<_, String>(log_probabilities(&self.guided(y)?, y.alphabet));
        close(&probabilities(&shifted)?, &probabilities(x)?, 1e-4, "ln p")
    }

    fn is_linear(&self, x: &Generation) -> Result<(), String> {
        let (a, b) = (1.5, -0.75);
        let y = Generation::random(&x.schedule, x.alphabet, BATCH, 2).for_rule(self.rule);
        let expected = mix(a, &self.guided(x)?, b, &self.guided(&y)?);
        close(&self.guided(&x.mixed(a, &y, b))?, &expected, 1e-4, "of 1.5 x - 0.75 y")
    }

    fn channels_apart(&self, x: &Generation) -> Result<(), String> {
        let channels = x.alphabet.channels();
        let kept = channels / 2;
        let other = x.changed(|_, at, value| if at % channels == kept { value } else { 2.0 - 3.0 * value });
        let channel = |y: &Generation| {
            let values = |values: &Vec<f32>| values.iter().skip(kept).step_by(channels).copied().collect();
            Ok::<Scales, String>(self.guided(y)?.iter().map(values).collect())
        };
        same(&channel(&other)?, &channel(x)?, &format!("channel {kept} with others around it"))
    }

    /// The claimed rule's output.
    fn guided(&self, x: &Generation) -> Result<Scales, String> {
        guided(x, self.rule)
    }

    /// On every schedule and alphabet.
    fn each(&self, check: impl Fn(&Generation) -> Result<(), String>) -> Result<(), String> {
        let schedules = self.claims.schedules.clone().unwrap_or_else(schedules);
        let alphabets = self.claims.alphabets.clone();
        let alphabets = alphabets.unwrap_or_else(|| vec![Alphabet::codes(5), Alphabet::bits(3)]);
        for schedule in &schedules {
            for &alphabet in &alphabets {
                let x = Generation::random(schedule, alphabet, BATCH, 1).for_rule(self.rule);
                check(&x).map_err(|found| {
                    let Alphabet { slots, classes } = alphabet;
                    format!("on scales {schedule}, {slots} × {classes} channels: {found}")
                })?;
            }
        }
        Ok(())
    }
}

fn guided(x: &Generation, rule: &dyn Guidance) -> Result<Scales, String> {
    x.guided(rule).map_err(|error| error.to_string())
}

fn same(found: &Scales, expected: &Scales, what: &str) -> Result<(), String> {
    let pairs = found.iter().zip(expected).enumerate();
    pairs.into_iter().try_for_each(|(k, (a, b))| same_bits(a, b, &format!("{what}, scale {k}")))
}

fn close(found: &Scales, expected: &Scales, tolerance: f32, what: &str) -> Result<(), String> {
    let pairs = found.iter().zip(expected).enumerate();
    pairs.into_iter().try_for_each(|(k, (a, b))| near(a, b, tolerance, &format!("{what}, scale {k}")))
}
