//! Tree to text: RON that parses to the same tree, the same for the same tree, pleasant to read.

use crate::{Field, Node, Value, parse::is_keyword};

/// Lines are kept this short where the values allow it.
const WIDTH: usize = 100;

impl Node {
    /// This value as RON over several lines, with all names, ending in a newline.
    pub fn to_ron_string(&self) -> String {
        let mut text = String::new();
        // The outermost struct always has a line for each field.
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

/// Writes a node that begins at `column`, on one line if it fits before a comma.
fn pretty(node: &Node, indent: usize, column: usize, out: &mut String) {
    let start = out.len();
    flat(node, out);
    if column + (out.len() - start) + 1 > WIDTH {
        out.truncate(start);
        broken(node, indent, out);
    }
}

/// Writes a node with one line for each thing it holds.
fn broken(node: &Node, indent: usize, out: &mut String) {
    let inner = indent + 4;
    match &node.value {
        Value::List(items) if items.iter().all(is_number) => filled(items, indent, out),
        Value::List(items) => {
            lines('[', ']', indent, items, out, |item, out| pretty(item, inner, inner, out))
        }
        Value::Tuple { name, items } => {
            if let Some(name) = name {
                push_name(name, true, out);
            }
            lines('(', ')', indent, items, out, |item, out| pretty(item, inner, inner, out));
        }
        Value::Struct { name, fields } => {
            if let Some(name) = name {
                push_name(name, true, out);
            }
            lines('(', ')', indent, fields, out, |field: &Field, out| {
                let start = out.len();
                push_name(&field.name, false, out);
                out.push_str(": ");
                pretty(&field.node, inner, inner + out.len() - start, out);
            });
        }
        Value::Map(entries) => lines('{', '}', indent, entries, out, |(key, value), out| {
            let start = out.len();
            flat(key, out);
            out.push_str(": ");
            pretty(value, inner, inner + out.len() - start, out);
        }),
        _ => flat(node, out),
    }
}

fn lines<T>(
    open: char,
    close: char,
    indent: usize,
    items: &[T],
    out: &mut String,
    write: impl Fn(&T, &mut String),
) {
    out.push(open);
    for item in items {
        new_line(indent + 4, out);
        write(item, out);
        out.push(',');
    }
    new_line(indent, out);
    out.push(close);
}

/// Numbers one after another, as many to a line as fit.
fn filled(items: &[Node], indent: usize, out: &mut String) {
    out.push('[');
    let mut column = WIDTH;
    for item in items {
        let text = item.to_string();
        if column + 2 + text.len() > WIDTH {
            new_line(indent + 4, out);
            column = indent + 4;
        } else {
            out.push(' ');
            column += 1;
        }
        column += text.len() + 1;
        out.push_str(&text);
        out.push(',');
    }
    new_line(indent, out);
    out.push(']');
}

fn new_line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn is_number(node: &Node) -> bool {
    matches!(node.value, Value::Int(_) | Value::Float(_))
}

fn flat(node: &Node, out: &mut String) {
    match &node.value {
        Value::Unit => out.push_str("()"),
        Value::Bool(value) => out.push_str(&value.to_string()),
        Value::Int(value) => out.push_str(&value.to_string()),
        // `{:?}` is the shortest text that reads back as the same number, and always has a point or an exponent.
        Value::Float(value) => out.push_str(&format!("{value:?}")),
        Value::Char(value) => quoted('\'', &value.to_string(), out),
        Value::Str(text) => quoted('"', text, out),
        Value::Ident(name) => push_name(name, true, out),
        Value::List(items) => between("[", "]", items, out, flat),
        Value::Tuple { name: None, items } if items.len() == 1 => between("(", ",)", items, out, flat),
        Value::Tuple { name, items } => {
            if let Some(name) = name {
                push_name(name, true, out);
            }
            between("(", ")", items, out, flat);
        }
        Value::Struct { name, fields } => {
            if let Some(name) = name {
                push_name(name, true, out);
            }
            between("(", ")", fields, out, |field, out| {
                push_name(&field.name, false, out);
                out.push_str(": ");
                flat(&field.node, out);
            });
        }
        Value::Map(entries) => between("{", "}", entries, out, |(key, value), out| {
            flat(key, out);
            out.push_str(": ");
            flat(value, out);
        }),
    }
}

fn between<T>(open: &str, close: &str, items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
    out.push_str(close);
}

/// A name, as `r#name` where the plain one would be read as something else.
fn push_name(name: &str, as_value: bool, out: &mut String) {
    let plain = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if !plain || (as_value && is_keyword(name)) {
        out.push_str("r#");
    }
    out.push_str(name);
}

fn quoted(quote: char, text: &str, out: &mut String) {
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push(quote);
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
