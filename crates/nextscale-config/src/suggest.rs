//! "Did you mean": the nearest allowed name. Names come from files, so their length and number are bounded
//! before they are compared or shown.

use std::borrow::Cow;

/// A longer name is not a misspelling of an allowed one.
const LONGEST: usize = 100;

/// How many names are compared.
const COMPARED: usize = 1000;

/// How many names are listed.
const LISTED: usize = 50;

/// A text for a message: only its beginning if it is long.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &text[..end]).into(),
        None => text.into(),
    }
}

/// The name most similar to `given`, if it is similar enough for a misspelling: the same beginning, or few
/// letters different.
pub(crate) fn nearest<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST {
        return None;
    }
    let wanted = given.to_lowercase();
    allowed
        .into_iter()
        .take(COMPARED)
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (name, name.to_lowercase()))
        .map(|(name, lower)| {
            (strsim::jaro_winkler(&wanted, &lower), strsim::osa_distance(&wanted, &lower), name)
        })
        .filter(|(likeness, slips, name)| *likeness >= 0.8 || *slips <= name.len() / 3)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, _, name)| name)
}

/// The help for an unknown name: the nearest one, then all of them after `lead`.
pub(crate) fn help<'a>(
    given: &str,
    lead: &str,
    allowed: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let list = list(lead, allowed.clone());
    match nearest(given, allowed) {
        Some(name) => format!("did you mean `{name}`? {list}"),
        None => list,
    }
}

/// All names after `lead`, up to the limit.
pub(crate) fn list<'a>(lead: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = allowed.into_iter();
    let list: Vec<String> = names.by_ref().take(LISTED).map(|name| format!("`{}`", cut(name))).collect();
    match (list.is_empty(), names.count()) {
        (true, _) => "nothing is allowed here".into(),
        (false, 0) => format!("{lead}: {}", list.join(", ")),
        (false, more) => format!("{lead}: {} and {more} more", list.join(", ")),
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
