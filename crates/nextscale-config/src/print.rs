//! Tree to text: RON that parses to the same tree, is deterministic, and is pleasant to read. Numbers,
//! characters and strings are written by `ron`; brackets, names and line breaks are chosen here.

use ron::{Serializer, ser::PrettyConfig};
use serde::Serialize;

use crate::{Node, Value, parse::is_keyword};

/// The maximum length of lines, if the values allow it.
const WIDTH: usize = 100;

impl Node {
    /// This value as RON over several lines, with all names, ending in a newline.
    pub fn to_ron_string(&self) -> String {
        let mut text = String::new();
        // The outermost struct always has one line per field.
        match &self.value {
            Value::Struct { .. } => broken(self, 0, &mut text),
            _ => pretty(self, 0, 0, &mut text),
        }
        text.push('\n');
        text
    }
}

impl std::fmt::Display for Node {
    /// The value as RON on one line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        flat(self, &mut text);
        f.write_str(&text)
    }
}

/// The contents of brackets.
pub(crate) struct Group<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) open: char,
    pub(crate) close: char,
    pub(crate) parts: Vec<(Lead<'a>, &'a Node)>,
}

/// What precedes a part of a group.
#[derive(Clone, Copy)]
pub(crate) enum Lead<'a> {
    Item(usize),
    Field(&'a str),
    Key(&'a Node),
}

impl<'a> Group<'a> {
    /// A node as a group, if it is one.
    pub(crate) fn of(node: &'a Node) -> Option<Self> {
        let items =
            |items: &'a [Node]| items.iter().enumerate().map(|(i, item)| (Lead::Item(i), item)).collect();
        let (name, open, close, parts) = match &node.value {
            Value::List(list) => (None, '[', ']', items(list)),
            Value::Tuple { name, items: list } => (name.as_deref(), '(', ')', items(list)),
            Value::Struct { name, fields } => {
                let fields = fields.iter().map(|field| (Lead::Field(&field.name), &field.node));
                (name.as_deref(), '(', ')', fields.collect())
            }
            Value::Map(entries) => {
                (None, '{', '}', entries.iter().map(|(key, value)| (Lead::Key(key), value)).collect())
            }
            _ => return None,
        };
        Some(Self { name, open, close, parts })
    }
}

/// Writes a node that begins at `column`, on one line if it fits before a comma.
fn pretty(node: &Node, indent: usize, column: usize, out: &mut String) {
    let start = out.len();
    flat(node, out);
    if column + (out.len() - start) + 1 > WIDTH {
        out.truncate(start);
        broken(node, indent, out);
    }
}

/// Writes a node with one line per item, or with lines full of numbers.
fn broken(node: &Node, indent: usize, out: &mut String) {
    let Some(group) = Group::of(node) else { return scalar(node, out) };
    let numbers = matches!(&node.value, Value::List(items) if items.iter().all(is_number));
    let inner = indent + 4;
    begin(&group, out);
    let mut column = WIDTH;
    for (lead, value) in &group.parts {
        let before = out.len();
        if numbers {
            flat(value, out);
            let length = out.len() - before;
            if column + 2 + length > WIDTH {
                out.insert_str(before, &new_line(inner));
                column = inner + length + 1;
            } else {
                out.insert(before, ' ');
                column += length + 2;
            }
        } else {
            out.push_str(&new_line(inner));
            let start = out.len();
            push_lead(*lead, out);
            pretty(value, inner, inner + out.len() - start, out);
        }
        out.push(',');
    }
    out.push_str(&new_line(indent));
    out.push(group.close);
}

fn new_line(indent: usize) -> String {
    format!("\n{:indent$}", "")
}

fn is_number(node: &Node) -> bool {
    matches!(node.value, Value::Int(_) | Value::Float(_))
}

fn flat(node: &Node, out: &mut String) {
    let Some(group) = Group::of(node) else { return scalar(node, out) };
    begin(&group, out);
    for (index, (lead, value)) in group.parts.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push_lead(*lead, out);
        flat(value, out);
    }
    if group.parts.len() == 1 && matches!(node.value, Value::Tuple { name: None, .. }) {
        out.push(',');
    }
    out.push(group.close);
}

/// The name and the bracket of a group.
pub(crate) fn begin(group: &Group<'_>, out: &mut String) {
    if let Some(name) = group.name {
        push_name(name, true, out);
    }
    out.push(group.open);
}

/// The text before a value: `name: `, or `key: `.
fn push_lead(lead: Lead<'_>, out: &mut String) {
    match lead {
        Lead::Item(_) => return,
        Lead::Field(name) => push_name(name, false, out),
        Lead::Key(key) => flat(key, out),
    }
    out.push_str(": ");
}

/// A value that is not a group.
pub(crate) fn scalar(node: &Node, out: &mut String) {
    match &node.value {
        Value::Bool(value) => by_ron(value, true, out),
        Value::Int(value) => by_ron(value, true, out),
        Value::Float(value) => by_ron(value, true, out),
        Value::Char(value) => by_ron(value, true, out),
        // Escapes only where necessary: ron would escape apostrophes too.
        Value::Str(text) => {
            by_ron(text, text.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')), out);
        }
        Value::Ident(name) => push_name(name, true, out),
        _ => out.push_str("()"),
    }
}

fn by_ron<T: Serialize>(value: &T, escaped: bool, out: &mut String) {
    let config = PrettyConfig::new().escape_strings(escaped);
    // Neither a scalar nor writing to a string can fail.
    Serializer::new(out, Some(config)).and_then(|mut ron| value.serialize(&mut ron)).ok();
}

/// A name, written `r#name` if the plain one would be read as something else.
pub(crate) fn push_name(name: &str, as_value: bool, out: &mut String) {
    let plain = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if !plain || (as_value && is_keyword(name)) {
        out.push_str("r#");
    }
    out.push_str(name);
}

#[cfg(test)]
mod tests {
    use crate::Document;

    #[test]
    fn a_config_is_laid_out_for_reading() {
        let text = r#"(model:Var(tokenizer:"vae_ch160v4096z32.pth",backbone:"var_d16.pth",scales:[1,2,3,4,(5,6)],norm_groups:32),
            condition: Labels([207]), guidance: Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: 0.5), seed: 0x10)"#;
        insta::assert_snapshot!(Document::parse("a.ron", text).unwrap().to_ron_string(), @r#"
    (
        model: Var(
            tokenizer: "vae_ch160v4096z32.pth",
            backbone: "var_d16.pth",
            scales: [1, 2, 3, 4, (5, 6)],
            norm_groups: 32,
        ),
        condition: Labels([207]),
        guidance: Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: 0.5),
        seed: 16,
    )
    "#);
    }

    #[test]
    fn long_rows_of_numbers_are_filled() {
        let numbers: Vec<u32> = (100..140).collect();
        let text = format!("(labels: {numbers:?})");
        insta::assert_snapshot!(Document::parse("a.ron", &text).unwrap().to_ron_string(), @r#"
    (
        labels: [
            100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117,
            118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135,
            136, 137, 138, 139,
        ],
    )
    "#);
    }

    #[test]
    fn odd_values_read_back() {
        let text = r###"[1.0, 1e300, inf, -inf, r#true, "a\"\\\n\u{7}é", '\'', (1,), A(1), r#a-b, {"k": ()}, -0.0]"###;
        let node = Document::parse("a.ron", text).unwrap();
        assert_eq!(Document::parse("b.ron", &node.to_ron_string()).unwrap(), node);
        assert_eq!(
            node.to_string(),
            r#"[1.0, 1e300, inf, -inf, r#true, "a\"\\\n\u{7}é", '\'', (1,), A(1), r#a-b, {"k": ()}, -0.0]"#
        );
    }
}
