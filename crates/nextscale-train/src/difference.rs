//! Differences between two settings.

use serde_json::Value;

/// A place where two trees differ, with both values.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference<'a> {
    /// Names from the root, separated by dots.
    pub at: String,
    /// The first tree's value; null if it has none.
    pub first: &'a Value,
    /// The second tree's value; null if it has none.
    pub second: &'a Value,
}

/// All places where two trees differ.
pub fn differences<'a>(first: &'a Value, second: &'a Value) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    collect("", first, second, &mut found);
    found
}

fn collect<'a>(at: &str, first: &'a Value, second: &'a Value, found: &mut Vec<Difference<'a>>) {
    match (first, second) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let [first, second] = [left, right].map(|tree| tree.get(key).unwrap_or(&Value::Null));
                collect(&at, first, second, found);
            }
        }
        _ if first == second => {}
        _ => found.push(Difference { at: at.to_owned(), first, second }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_is_told_once() {
        let (first, second) = (
            json!({"a": 1, "b": {"c": 2, "d": 3}, "gone": 4}),
            json!({"a": 1, "b": {"c": 5, "d": 3}, "new": {"e": 6}}),
        );
        let told: Vec<String> = differences(&first, &second)
            .into_iter()
            .map(|difference| format!("{} {} {}", difference.at, difference.first, difference.second))
            .collect();
        assert_eq!(told, ["b.c 2 5", "gone 4 null", r#"new null {"e":6}"#]);
        assert_eq!(differences(&first, &first), []);
    }
}
