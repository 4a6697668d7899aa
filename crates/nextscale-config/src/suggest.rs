//! "Did you mean": the nearest of the names that are allowed.

/// The name most like `given`, if one is like enough to be a slip of the hand.
pub(crate) fn nearest<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = given.to_lowercase();
    allowed
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The help under an unknown name: the nearest one, then all of them.
pub(crate) fn help<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let list: Vec<String> = allowed.clone().into_iter().map(|name| format!("`{name}`")).collect();
    let list = if list.is_empty() {
        "nothing is allowed here".into()
    } else {
        format!("allowed: {}", list.join(", "))
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
        assert_eq!(nearest("top_n", ["top_k", "seed"]), Some("top_k"));
        assert_eq!(nearest("xyz", ["Nearest", "Bilinear"]), None);
    }

    #[test]
    fn help_lists_what_is_allowed() {
        assert_eq!(help("sed", ["seed", "batch"]), "did you mean `seed`? allowed: `seed`, `batch`");
        assert_eq!(help("zzz", []), "nothing is allowed here");
    }
}
