//! The rows of judges that use a network's features, computed once for all judges on the same
//! network.

use nextscale_metrics::{FeatureNet, Features, ImageBatch};

use super::Rows;
use crate::Result;
use crate::images::Images;

/// One row per image: pooled features, then spatial ones and logits if the network has them.
pub(super) fn look(net: &dyn FeatureNet, images: &Images) -> Result<Rows> {
    let batch = ImageBatch::new(images.height, images.width, images.pixels.clone())?;
    let features = net.extract(&batch)?;
    let width = net.dims() + net.spatial_dims().unwrap_or(0) + net.classes().unwrap_or(0);
    let mut values = Vec::with_capacity(features.count * width);
    let part = |of: &Option<Vec<f32>>, image: usize| -> Vec<f32> {
        let Some(of) = of else { return Vec::new() };
        let each = of.len() / features.count.max(1);
        of[image * each..][..each].to_vec()
    };
    for image in 0..features.count {
        values.extend_from_slice(&features.pooled[image * features.dims..][..features.dims]);
        values.extend(part(&features.spatial, image));
        values.extend(part(&features.logits, image));
    }
    Rows::new(width, values)
}

/// Rows, split into their parts.
pub(super) fn features(net: &dyn FeatureNet, rows: &Rows) -> Features {
    let (dims, spatial) = (net.dims(), net.spatial_dims().unwrap_or(0));
    let part = |from: usize, to: usize| -> Vec<f32> {
        rows.values.chunks(rows.width).flat_map(|row| row[from..to].iter().copied()).collect()
    };
    Features {
        count: rows.count(),
        dims,
        pooled: part(0, dims),
        spatial: net.spatial_dims().map(|_| part(dims, dims + spatial)),
        logits: net.classes().map(|_| part(dims + spatial, rows.width)),
    }
}
