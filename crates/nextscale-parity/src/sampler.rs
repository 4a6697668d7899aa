//! Filters and draws. Which classes a filter keeps is determined by races with chosen noise, through the
//! sampler that runs use, so that any device's implementation is tested.

use burn::tensor::{Tensor, TensorData};
use nextscale_core::noise::{Choice, Noise, Place};
use nextscale_core::{Alphabet, Draw, Grid, LogitMap, ScaleSchedule};
use nextscale_generate::sampler::{Moment, Sampler, TopKTopP};
use nextscale_pipeline::Result;

use crate::{Fixture, Gap, Kind, Line, Setting, host::integers, schedule};

/// Noise with which a class wins its race unless its probability is 0.
const HEAD_START: f32 = 1e-30;

/// Recorded or chosen noise.
struct Given<'a> {
    race: &'a [f32],
    gumbel: &'a [f32],
}

impl Noise for Given<'_> {
    fn choice(&self, _: &Place<'_>) -> Choice {
        Choice::Race(self.race.to_vec())
    }

    fn exponential(&self, _: &Place<'_>) -> Vec<f32> {
        self.gumbel.to_vec()
    }
}

fn logits(
    setting: &Setting<'_>,
    file: &Fixture,
    name: &str,
    grid: impl Fn(usize) -> Grid,
) -> Result<LogitMap> {
    let (values, shape) = file.values(name)?;
    let [batch, positions, classes] = shape[..] else {
        return Err(nextscale_core::Error::shape(name, "[batch, positions, classes]", &shape).into());
    };
    let values = TensorData::new(values, [batch, positions, classes]);
    let values = Tensor::<3>::from_data(values, setting.device);
    Ok(LogitMap::new(values, grid(positions), Alphabet::codes(classes))?)
}

/// Draws from one grid of positions.
fn draw(sampler: &TopKTopP, logits: &LogitMap, noise: &Given<'_>) -> Result<Draw> {
    let schedule = ScaleSchedule::new(vec![logits.grid()])?;
    let images: Vec<u64> = (0..logits.values().dims()[0] as u64).collect();
    let moment = Moment { scale: 0, schedule: &schedule, images: &images, noise };
    Ok(sampler.draw(logits, &moment)?)
}

/// Every recorded filter: no class that upstream removes may win a race with a head start, and of those that
/// it keeps the least likely, with all its ties, must win.
///
/// # Errors
/// If a recording is missing.
pub fn filters(setting: &Setting<'_>) -> Result<Gap> {
    let file = setting.fixtures.open("sampling.safetensors")?;
    let mut gap = Gap::default();
    for name in file.file().names() {
        // `big.k900_p0.96`
        let parsed = name.split_once(".k").and_then(|(group, rest)| {
            let (k, p) = rest.split_once("_p")?;
            Some((group, k.parse::<usize>().ok()?, p.parse::<f64>().ok()?))
        });
        let Some((group, top_k, top_p)) = parsed else { continue };
        let sampler = TopKTopP { top_k: top_k.into(), top_p: top_p.into(), ..TopKTopP::default() };
        let map = logits(setting, &file, &format!("{group}.logits"), |positions| Grid::new(1, positions))?;
        gap.join(&filter(&sampler, &map, &file.floats(name)?, name)?);
    }
    Ok(gap)
}

fn filter(sampler: &TopKTopP, map: &LogitMap, filtered: &[f32], name: &str) -> Result<Gap> {
    let classes = map.alphabet().classes;
    let mut gap = Gap::default();
    let removed: Vec<f32> =
        filtered.iter().map(|&value| if value == f32::NEG_INFINITY { HEAD_START } else { 1.0 }).collect();
    let tokens = integers(draw(sampler, map, &Given { race: &removed, gumbel: &[] })?.tokens)?;
    let rows = filtered.chunks(classes);
    if tokens.len() != rows.len() {
        return Err(
            nextscale_core::Error::shape(name, format!("{} tokens", rows.len()), &[tokens.len()]).into()
        );
    }
    // A token that is not a class at all is as wrong as one that the filter removes.
    let kept = |(token, row): &(&i64, &[f32])| {
        let class = usize::try_from(**token).ok().and_then(|class| row.get(class));
        class.is_some_and(|&value| value > f32::NEG_INFINITY)
    };
    let wrong = tokens.len() - tokens.iter().zip(rows.clone()).filter(kept).count();
    gap.add_counted(tokens.len(), wrong);

    let least: Vec<Vec<usize>> = rows.map(least).collect();
    for turn in 0..least.iter().map(Vec::len).max().unwrap_or(0) {
        let favoured: Vec<usize> = least.iter().map(|least| least[turn % least.len()]).collect();
        let mut noise = vec![1.0; filtered.len()];
        favoured.iter().enumerate().for_each(|(row, class)| noise[row * classes + class] = HEAD_START);
        let tokens = integers(draw(sampler, map, &Given { race: &noise, gumbel: &[] })?.tokens)?;
        let favoured: Vec<i64> = favoured.into_iter().map(|class| class as i64).collect();
        gap.add_integers(&tokens, &favoured, name)?;
    }
    Ok(gap)
}

/// The kept classes with the smallest logit; the largest value of all if none is kept.
fn least(row: &[f32]) -> Vec<usize> {
    let kept = row.iter().copied().filter(|value| *value > f32::NEG_INFINITY);
    let least = kept.fold(f32::INFINITY, f32::min);
    let found: Vec<usize> = (0..row.len()).filter(|&class| row[class] == least).collect();
    if found.is_empty() { vec![0] } else { found }
}

/// Draws by exponential races with recorded noise.
///
/// # Errors
/// As [`filters`].
pub fn races(setting: &Setting<'_>) -> Result<Gap> {
    let file = setting.fixtures.open("sampling.safetensors")?;
    let map = logits(setting, &file, "small.logits", |positions| Grid::new(1, positions))?;
    let sampler = TopKTopP { top_k: 20.into(), top_p: 0.9.into(), ..TopKTopP::default() };
    let noise = file.floats("race.exp_noise")?;
    let mut gap = Gap::default();
    let tokens = draw(&sampler, &map, &Given { race: &noise, gumbel: &[] })?.tokens;
    gap.add_tokens(&tokens, &file, "race.idx")?;
    Ok(gap)
}

/// The weights of `more_smooth` with recorded noise, and the tokens drawn with them.
///
/// # Errors
/// As [`filters`].
pub fn smoothing(setting: &Setting<'_>, kind: Kind) -> Result<(Gap, Gap)> {
    let (file, schedule) = (setting.fixtures.reference(kind)?, schedule()?);
    let sampler = TopKTopP { top_k: 20.into(), top_p: 0.9.into(), more_smooth: true, ..TopKTopP::default() };
    let (mut weights, mut tokens) = (Gap::default(), Gap::default());
    for k in 0..schedule.len() {
        let name = |what: &str| format!("smooth.s{k}.{what}");
        let map = logits(setting, &file, &name("logits_cfg"), |_| schedule.grid(k))?;
        let (race, gumbel) = (file.floats(&name("exp_noise"))?, file.floats(&name("exp_noise_gumbel"))?);
        let noise = Given { race: &race, gumbel: &gumbel };
        let moment = Moment { scale: k, schedule: &schedule, images: &[0, 1], noise: &noise };
        let draw = sampler.draw(&map, &moment)?;
        tokens.add_tokens(&draw.tokens, &file, &name("idx"))?;
        if let Some(found) = &draw.weights {
            weights.add(found, &file, &name("soft_weights"))?;
        }
    }
    Ok((weights, tokens))
}

/// Filters, draws, weights.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let (mut draws, mut weights) = (races(setting)?, Gap::default());
    for kind in Kind::ALL {
        let (smooth, drawn) = smoothing(setting, kind)?;
        weights.join(&smooth);
        draws.join(&drawn);
    }
    Ok(vec![
        setting.line("sampler, values that top-k and top-p keep", filters(setting)?),
        setting.line("sampler, draws with given noise", draws),
        setting.line("sampler, weights of more_smooth", weights),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_filter_that_keeps_one_class_more_or_less_is_seen() {
        let device = Device::flex();
        let values = [[[0.0_f32, 3.0, 1.0, 2.0, 1.0]]];
        let map = LogitMap::new(Tensor::<3>::from_data(values, &device), Grid::square(1), Alphabet::codes(5));
        let map = map.unwrap();
        let off = f32::NEG_INFINITY;
        let wrong = |top_k: usize, filtered: &[f32]| {
            let sampler = TopKTopP { top_k: top_k.into(), ..TopKTopP::default() };
            filter(&sampler, &map, filtered, "k").unwrap().differing
        };
        // The third largest has a tie, and both stay.
        let three = [off, 3.0, 1.0, 2.0, 1.0];
        assert_eq!(wrong(3, &three), 0);
        assert_eq!(wrong(5, &three), 1, "a class that upstream removes is kept");
        assert_eq!(wrong(2, &three), 2, "both ties are removed");
    }
}
