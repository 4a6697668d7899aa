//! The hash of a config's meaning.

use nextscale_files::sha256;

use crate::{Node, Value};

impl Node {
    /// The SHA-256 of the config's meaning in hex: 64 digits.
    ///
    /// It ignores comments, layout, the order of fields and map entries, and spelling: `0x10` and `16`; `1`
    /// and `1.0`, which decode alike wherever both are allowed; `Dse` and `Dse()`; `x` and `Some(x)`. It
    /// depends on the order of lists, on names, and on whether a default is written out: hash the resolved
    /// config, not the file.
    pub fn hash(&self) -> String {
        sha256(identity(self))
    }
}

/// A byte string that two nodes share exactly if they mean the same.
pub(crate) fn identity(node: &Node) -> Vec<u8> {
    let mut bytes = Vec::new();
    canonical(node, &mut bytes);
    bytes
}

/// Appends a byte string that two nodes share exactly if they mean the same. Lengths come first, so that
/// neighbours cannot be confused.
fn canonical(node: &Node, out: &mut Vec<u8>) {
    match &node.value {
        Value::Unit => out.push(b'u'),
        Value::Bool(value) => out.extend([b'b', u8::from(*value)]),
        Value::Int(value) => integer(*value, out),
        // Integers that f64 represents exactly; -0.0 is not 0.
        Value::Float(value)
            if value.fract() == 0.0 && value.abs() <= 2f64.powi(53) && !is_minus_zero(*value) =>
        {
            integer(*value as i128, out);
        }
        Value::Float(value) if value.is_nan() => out.push(b'n'),
        Value::Float(value) => {
            out.push(b'f');
            out.extend(value.to_bits().to_le_bytes());
        }
        Value::Char(value) => text(b'c', &value.to_string(), out),
        Value::Str(value) => text(b's', value, out),
        Value::Ident(name) => {
            text(b'(', name, out);
            length(0, out);
        }
        Value::List(items) => {
            out.push(b'[');
            all(items, out);
        }
        Value::Tuple { name: Some(name), items } if name == "Some" && is_plain_some(items) => {
            canonical(&items[0], out)
        }
        Value::Tuple { name, items } => {
            text(b'(', name.as_deref().unwrap_or(""), out);
            all(items, out);
        }
        Value::Struct { name, fields } => {
            text(b'{', name.as_deref().unwrap_or(""), out);
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|a, b| a.name.cmp(&b.name));
            length(sorted.len(), out);
            for field in sorted {
                text(b'.', &field.name, out);
                canonical(&field.node, out);
            }
        }
        Value::Map(entries) => {
            out.push(b'm');
            let mut sorted: Vec<Vec<u8>> = entries
                .iter()
                .map(|(key, value)| {
                    let mut entry = Vec::new();
                    canonical(key, &mut entry);
                    canonical(value, &mut entry);
                    entry
                })
                .collect();
            sorted.sort();
            length(sorted.len(), out);
            out.extend(sorted.into_iter().flatten());
        }
    }
}

/// `Some(None)` and `Some(Some(x))` mean something other than `None` and `Some(x)`.
fn is_plain_some(items: &[Node]) -> bool {
    matches!(items, [item] if !matches!(item.name(), Some("None" | "Some")))
}

fn is_minus_zero(value: f64) -> bool {
    value == 0.0 && value.is_sign_negative()
}

fn integer(value: i128, out: &mut Vec<u8>) {
    out.push(b'i');
    out.extend(value.to_le_bytes());
}

fn text(tag: u8, value: &str, out: &mut Vec<u8>) {
    out.push(tag);
    length(value.len(), out);
    out.extend(value.as_bytes());
}

fn all(items: &[Node], out: &mut Vec<u8>) {
    length(items.len(), out);
    for item in items {
        canonical(item, out);
    }
}

fn length(value: usize, out: &mut Vec<u8>) {
    out.extend((value as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use crate::Document;

    fn hash(text: &str) -> String {
        Document::parse("a.ron", text).unwrap().hash()
    }

    #[test]
    fn spelling_does_not_matter() {
        for (a, b) in [
            ("(a: 1, b: 2)", "( /* x */ b: 2,\n a: 1, )"),
            ("16", "0x1_0"),
            ("1", "1.0"),
            ("Dse", "Dse()"),
            ("3", "Some(3)"),
            ("{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}"),
            ("\"a\"", "r#\"a\"#"),
        ] {
            assert_eq!(hash(a), hash(b), "{a} and {b}");
        }
        assert_eq!(hash("()").len(), 64);
    }

    #[test]
    fn meaning_does() {
        let texts = [
            "(a: 1)",
            "(a: 2)",
            "(b: 1)",
            "A(a: 1)",
            "[1, 2]",
            "[2, 1]",
            "(1, 2)",
            "1.5",
            "\"1\"",
            "'1'",
            "A",
            "\"A\"",
            "A(1)",
            "A(A)",
            "true",
            "()",
            "None",
            "Some(None)",
            "-0.0",
            "0",
            "NaN",
            "inf",
            "[]",
            "[[]]",
            "{}",
            "{1: 2}",
            "[\"ab\", \"c\"]",
            "[\"a\", \"bc\"]",
            "(a: (), b: 1)",
            "9007199254740993",
            "9007199254740992",
        ];
        for (i, a) in texts.iter().enumerate() {
            for b in &texts[i + 1..] {
                assert_ne!(hash(a), hash(b), "{a} and {b}");
            }
        }
    }

    #[test]
    fn the_hash_stays_what_it_was() {
        insta::assert_snapshot!(hash("(seed: 1, guidance: Cfg(scale: 1.5))"), @"3e998ff91bb652a86c27f9348df95e57b80983fcfc42a795cf499941613e040b");
    }
}
