//! "Did you mean": the nearest of the names that are allowed.

/// The name most like `given`, if one is like enough to be a slip of the hand: the same beginning, or few letters off.
pub(crate) fn nearest<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = given.to_lowercase();
    allowed
        .into_iter()
        .map(|name| (name, name.to_lowercase()))
        .map(|(name, lower)| {
            (strsim::jaro_winkler(&wanted, &lower), strsim::osa_distance(&wanted, &lower), name)
        })
        .filter(|(likeness, slips, name)| *likeness >= 0.8 || *slips <= name.len() / 3)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, _, name)| name)
}

/// The help under an unknown name: the nearest one, then all of them after `lead`.
pub(crate) fn help<'a>(
    given: &str,
    lead: &str,
    allowed: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let list: Vec<String> = allowed.clone().into_iter().map(|name| format!("`{name}`")).collect();
    let list = if list.is_empty() {
        "nothing is allowed here".into()
    } else {
        format!("{lead}: {}", list.join(", "))
    };
    match nearest(given, allowed) {
        Some(name) => format!("did you mean `{name}`? {list}"),
        None => list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        assert_eq!(nearest("Bilinaer", ["Nearest", "Bilinear", "Bicubic"]), Some("Bilinear"));
        assert_eq!(nearest("bilinear", ["Nearest", "Bilinear", "Bicubic"]), Some("Bilinear"));
        assert_eq!(nearest("Sgs", ["Cfg", "Ssg"]), Some("Ssg"));
        assert_eq!(nearest("top_n", ["top_k", "seed"]), Some("top_k"));
        assert_eq!(nearest("xyz", ["Nearest", "Bilinear"]), None);
    }

    #[test]
    fn help_lists_what_is_allowed() {
        assert_eq!(
            help("sed", "allowed", ["seed", "batch"]),
            "did you mean `seed`? allowed: `seed`, `batch`"
        );
        assert_eq!(help("zzz", "allowed", []), "nothing is allowed here");
    }
}
