//! The names of measures.

/// The names of measures. "FID" and its relatives mean Inception features; the same distance on other
/// features has other values and carries its network's name.
pub(crate) struct Names {
    pub frechet: String,
    pub spatial: String,
    pub kernel: String,
    pub score: String,
    pub probe: String,
    pub suffix: String,
}

impl Names {
    pub fn of(net: &str) -> Self {
        let suffix = match net {
            "inception" => String::new(),
            "lite0" => "-Lite0".into(),
            other => format!("-{other}"),
        };
        let own = |inception: &str, other: &str| {
            if suffix.is_empty() { inception.into() } else { format!("{other}{suffix}") }
        };
        Self {
            frechet: own("FID", "FD"),
            spatial: own("sFID", "sFD"),
            kernel: own("KID", "KID"),
            score: own("IS", "IS"),
            probe: format!("Probe accuracy{suffix}"),
            suffix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fid_is_of_inception_features_alone() {
        let of = |net: &str| {
            let names = Names::of(net);
            [names.frechet, names.spatial, names.kernel, names.score, names.suffix]
        };
        assert_eq!(of("inception"), ["FID", "sFID", "KID", "IS", ""]);
        assert_eq!(of("lite0"), ["FD-Lite0", "sFD-Lite0", "KID-Lite0", "IS-Lite0", "-Lite0"]);
        assert_eq!(of("dino")[0], "FD-dino");
        assert_eq!(Names::of("lite0").probe, "Probe accuracy-Lite0");
    }
}
