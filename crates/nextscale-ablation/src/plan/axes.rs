//! Axes: values to sweep at any path of a config.

use nextscale_config::{Node, Value};
use nextscale_core::memory;

use crate::Result;

/// One axis of a sweep: a path and its values, or several paths that advance together.
#[derive(Debug, Clone)]
pub struct Axis {
    paths: Vec<(String, Vec<Node>)>,
}

/// One point of a sweep: a value for every path.
pub type Point = Vec<(String, Node)>;

impl Axis {
    /// Reads `{"path": [values]}`. Several paths in one map are paired: their lists, of equal length, advance
    /// together.
    ///
    /// # Errors
    /// If it is not such a map, or the lists are empty or differ in length.
    pub fn read(node: &Node) -> Result<Self> {
        let wanted = "write {\"guidance.beta\": [0.25, 0.5]}; several paths in one map are walked in step";
        let Value::Map(entries) = &node.value else {
            return Err(node.error("expected an axis").with_help(wanted).into());
        };
        let mut paths: Vec<(String, Vec<Node>)> = Vec::new();
        for (key, values) in entries {
            let path: String = key.decode()?;
            let Value::List(values) = &values.value else {
                return Err(values
                    .error(format!("the axis `{path}` needs a list of values"))
                    .with_help(wanted)
                    .into());
            };
            paths.push((path, values.clone()));
        }
        let Some(length) = paths.first().map(|(_, values)| values.len()).filter(|&length| length > 0) else {
            return Err(node.error("an axis without values").with_help(wanted).into());
        };
        if let Some((path, values)) = paths.iter().find(|(_, values)| values.len() != length) {
            let first = &paths[0].0;
            let message = format!(
                "`{path}` has {} values and `{first}`, which it is paired with, {length}",
                values.len()
            );
            let help = "paired lists are equally long; for all combinations, make two axes";
            return Err(node.error(message).with_help(help).into());
        }
        Ok(Self { paths })
    }

    /// Reads a list of axes.
    ///
    /// # Errors
    /// If it is not a list, or an axis is wrong.
    pub fn read_all(node: Option<&Node>) -> Result<Vec<Self>> {
        let Some(node) = node else { return Ok(Vec::new()) };
        match &node.value {
            Value::List(items) => items.iter().map(Self::read).collect(),
            _ => Err(node
                .error("expected a list of axes")
                .with_help("write [{\"guidance.beta\": [0.25, 0.5]}, ..]")
                .into()),
        }
    }

    fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let length = self.paths.first().map_or(0, |(_, values)| values.len());
        (0..length)
            .map(|i| self.paths.iter().map(|(path, values)| (path.clone(), values[i].clone())).collect())
    }
}

/// The least memory of a cell, in bytes.
const LISTED: u128 = 4096;

/// Refuses axes whose combinations could not be listed.
///
/// # Errors
/// At `node`, with their number.
pub(super) fn fits<'a>(axes: impl IntoIterator<Item = &'a Axis>, node: &Node) -> Result<()> {
    let values = |axis: &Axis| axis.paths.first().map_or(0, |(_, values)| values.len());
    let count = axes.into_iter().fold(1_u128, |count, axis| count.saturating_mul(values(axis) as u128));
    memory::check("axes", &format!("the list of {count} cells"), count.saturating_mul(LISTED))
        .map_err(|error| node.error(error.to_string()).with_help("give fewer axes or values").into())
}

/// Every combination of the axes' points, with the last axis fastest; a single empty point if there are no
/// axes.
pub fn product<'a>(axes: impl IntoIterator<Item = &'a Axis>) -> Vec<Point> {
    axes.into_iter().fold(vec![Vec::new()], |points, axis| {
        points
            .iter()
            .flat_map(|point| axis.points().map(move |more| point.iter().cloned().chain(more).collect()))
            .collect()
    })
}

/// A point in words: `beta = 0.5, top_p = 0.9`. A path is named by its last part if that is unambiguous.
pub fn label(point: &[(String, Node)]) -> String {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let name = |path: &str| {
        let short = last(path);
        if point.iter().filter(|(other, _)| last(other) == short).count() > 1 {
            path.to_owned()
        } else {
            short
        }
    };
    point.iter().map(|(path, value)| format!("{} = {value}", name(path))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn labels(text: &str) -> Vec<String> {
        let node = Document::parse("a.ron", text).unwrap();
        product(&Axis::read_all(Some(&node)).unwrap()).iter().map(|point| label(point)).collect()
    }

    #[test]
    fn axes_multiply_and_paths_of_one_axis_go_in_step() {
        assert_eq!(
            labels(r#"[{"guidance.beta": [0.25, 0.5]}, {"a.t": [1, 2], "b.t": [Zero, Dse()]}]"#),
            [
                "beta = 0.25, a.t = 1, b.t = Zero",
                "beta = 0.25, a.t = 2, b.t = Dse()",
                "beta = 0.5, a.t = 1, b.t = Zero",
                "beta = 0.5, a.t = 2, b.t = Dse()",
            ]
        );
        assert_eq!(labels("[]"), [""]);
    }

    #[test]
    fn what_is_no_axis_is_told_with_its_place() {
        for text in [
            "[{\"a\": []}]",
            "[{}]",
            "[{\"a\": 1}]",
            "3",
            "[[1]]",
            "[{\"a\": [1, 2], \"b\": [1]}]",
            "[{3: [1]}]",
        ] {
            let node = Document::parse("a.ron", text).unwrap();
            let crate::Error::Config(error) = Axis::read_all(Some(&node)).unwrap_err() else {
                panic!("{text}")
            };
            assert!(error.location().is_some(), "{text}");
        }
    }

    #[test]
    fn combinations_beyond_all_memory_are_not_listed() {
        let values = format!("{{\"a.t\": [{}]}}", "0, ".repeat(1000));
        let text = format!("[{}]", vec![values; 8].join(", "));
        let node = Document::parse("a.ron", &text).unwrap();
        let axes = Axis::read_all(Some(&node)).unwrap();
        let error = fits(&axes, &node).unwrap_err().to_string();
        assert!(error.contains("the list of 1000000000000000000000000 cells"), "{error}");
        fits(&axes[..1], &node).unwrap();
    }
}
