use std::path::Path;

use super::*;
use crate::Value;

fn parse(text: &str) -> Value {
    match Document::parse("a.ron", text) {
        Ok(node) => node.value,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn plain(text: &str) -> String {
    Document::parse("a.ron", text).unwrap().to_string()
}

#[test]
fn a_document_has_spans_into_its_text() {
    let text = "// head\n(a: Cfg(scale: 1.5), /* x /* y */ */ r#b : [1, -2 // z\n], c: Dse /* d */ (\n),)";
    let node = Document::parse("a.ron", text).unwrap();
    let Value::Struct { name: None, fields } = &node.value else { panic!("{node:?}") };
    let found: Vec<_> =
        fields.iter().map(|field| (&text[field.span.clone()], &text[field.node.span.clone()])).collect();
    assert_eq!(
        found,
        [("a", "Cfg(scale: 1.5)"), ("r#b", "[1, -2 // z\n]"), ("c", "Dse /* d */ (\n)")],
        "{node}"
    );
    assert_eq!(&text[node.span], &text[8..]);
}

#[test]
fn every_scalar_ends_where_it_ends() {
    for scalar in [
        "1",
        "-0x1F",
        "+1_0.5e-3",
        ".5",
        "5.",
        "12u8",
        "2f32",
        "inf",
        "-NaN",
        "true",
        "'x'",
        r"'\''",
        r"'\u{e9}'",
        "'é'",
        "\"é\"",
        r#""a\"b\\""#,
        "r\"x\"",
        "r##\"a\"#b\"##",
        "b\"x\\xff\"",
        "br#\"y\"#",
        "b'z'",
        "1..2",
        "1..=2",
        "..",
        "3..",
        "..=4",
        "None",
        "()",
        "r#a.b",
        "Ünï",
    ] {
        let text = format!("(/**/ {scalar} /**/ , a)");
        let node = Document::parse("a.ron", &text).unwrap();
        let Value::Tuple { items, .. } = &node.value else { panic!("{node:?}") };
        assert_eq!(&text[items[0].span.clone()], scalar);
        assert_eq!(&text[items[1].span.clone()], "a", "{scalar}");
    }
}

#[test]
fn names_are_kept() {
    assert_eq!(parse("Conditional"), Value::Ident("Conditional".into()));
    assert_eq!(parse("Dse()"), Value::Tuple { name: Some("Dse".into()), items: vec![] });
    assert_eq!(parse("r#type"), Value::Ident("type".into()));
    assert_eq!(parse("r#true"), Value::Ident("true".into()));
    assert_eq!(parse("()"), Value::Unit);
    assert_eq!(parse("( )"), Value::Unit);
    assert!(matches!(parse("Cfg (scale: 1)"), Value::Struct { name: Some(name), .. } if name == "Cfg"));
    assert_eq!(plain("Some(3)"), "Some(3)");
    assert_eq!(plain("Name /* a */ ( // b\n x /* c */ : 1)"), "Name(x: 1)");
    assert_eq!(plain("inf_(NaN_: truer)"), "inf_(NaN_: truer)");
}

#[test]
fn numbers() {
    for (text, expected) in [
        ("0", 0),
        ("+7", 7),
        ("1_000", 1000),
        ("0b1_01", 5),
        ("0o17", 15),
        ("-0x10", -16),
        ("0x1fu8", 31),
        ("123456789012345678", 123456789012345678),
        ("1234567890123456789", 1234567890123456789),
        ("18446744073709551615", u64::MAX.into()),
        ("170141183460469231731687303715884105727", i128::MAX),
        ("-170141183460469231731687303715884105728", i128::MIN),
    ] {
        assert_eq!(parse(text), Value::Int(expected), "{text}");
    }
    for (text, expected) in [
        (".5", 0.5),
        ("5.", 5.0),
        ("0.1", 0.1),
        ("-1e3", -1000.0),
        ("1E-2", 0.01),
        ("1_0.2_5", 10.25),
        ("1f32", 1.0),
        ("-inf", f64::NEG_INFINITY),
        // Beyond 128 bits, as in ron.
        ("340282366920938463463374607431768211456", 2f64.powi(128)),
        ("170141183460469231731687303715884105728", 2f64.powi(127)),
    ] {
        assert_eq!(parse(text), Value::Float(expected), "{text}");
    }
    assert!(matches!(parse("NaN"), Value::Float(x) if x.is_nan()));
    assert!(matches!(parse("-0.0"), Value::Float(x) if x == 0.0 && x.is_sign_negative()));
}

#[test]
fn strings_and_characters() {
    for (text, expected) in [
        (r#""a\n\t\\\"\'\0é""#, "a\n\t\\\"'\0é"),
        (r#""\x41\u{e9}\xc3\xa9""#, "Aéé"),
        ("\"one \\\n    two\"", "one two"),
        ("\"two\nlines\"", "two\nlines"),
        (r###"r#"C:\dir "x""#"###, r#"C:\dir "x""#),
    ] {
        assert_eq!(parse(text), Value::Str(expected.into()), "{text}");
    }
    for (text, c) in [("'x'", 'x'), (r"'\n'", '\n'), ("'é'", 'é'), (r"'\''", '\''), ("'''", '\'')] {
        assert_eq!(parse(text), Value::Char(c), "{text}");
    }
}

#[test]
fn bytes_are_numbers_and_ranges_are_structs() {
    assert_eq!(plain("b\"az\""), "[97, 122]");
    assert_eq!(plain("b'a'"), "97");
    for (text, expected) in [
        ("1..2", "Range(start: 1, end: 2)"),
        ("1.5..=2.0", "RangeInclusive(start: 1.5, end: 2.0)"),
        ("-inf..", "RangeFrom(start: -inf)"),
        ("..2", "RangeTo(end: 2)"),
        ("..=2", "RangeToInclusive(end: 2)"),
        ("..", "RangeFull"),
    ] {
        assert_eq!(plain(text), expected);
    }
    let range = |text: &str| Document::parse("a.ron", text).unwrap().decode::<std::ops::Range<u8>>();
    assert_eq!(range("1..4").unwrap(), 1..4);
    assert_eq!(range("1..=4").unwrap_err().message(), "expected `Range(..)`, found `RangeInclusive(..)`");
    assert_eq!(range("1..400").unwrap_err().location(), Some(("a.ron", 1, 4)));
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let node = Document::parse("a.ron", "\u{feff}(a: 1)").unwrap();
    assert_eq!((node.span.clone(), node.source.text.as_str()), (0..6, "(a: 1)"));
    let error = Document::parse("a.ron", "\u{feff}(a 1)").unwrap_err();
    assert_eq!(error.location(), Some(("a.ron", 1, 4)));
    assert!(Document::parse("a.ron", "(a: \u{feff}1)").is_err());
}

#[test]
fn only_names_are_names() {
    for (text, expected) in [
        ("a", true),
        ("a_1", true),
        ("a-b.c", true),
        ("true", true),
        ("é", true),
        ("", false),
        ("a b", false),
        ("a:", false),
        ("\"", false),
    ] {
        assert_eq!(is_name(text), expected, "{text}");
    }
}

#[test]
fn maps_keep_their_order() {
    let Value::Map(entries) = parse("{\"b\": 1, \"a\": 2,}") else { panic!() };
    assert_eq!(entries[0].0.value, Value::Str("b".into()));
}

#[test]
fn attributes_are_read_by_ron() {
    for text in [
        "#![enable(implicit_some)]\n7",
        "#![enable(unwrap_newtypes, explicit_struct_names,)] #![type = \"x\"] 7",
        "// first\n# ! [ schema = r\"y\" ] 7",
    ] {
        assert_eq!(parse(text), Value::Int(7), "{text}");
    }
    let unwrap = |text: &str| plain(&format!("#![enable(unwrap_variant_newtypes)] {text}"));
    for (text, expected) in [
        ("(Some(a: 1, b: [2]), 3)", "(Some((a: 1, b: [2])), 3)"),
        ("(Some(A(1), 2), 3)", "(Some((A(1), 2)), 3)"),
        ("(Some(A(1)), 3)", "(Some(A(1)), 3)"),
        ("(Some(A(x: 1),), 3)", "(Some(A(x: 1)), 3)"),
        ("(Some((1, 2)), 3)", "(Some((1, 2)), 3)"),
        ("(Some(), 3)", "(Some(()), 3)"),
        ("(Some(Some(a: 1)), 3)", "(Some(Some((a: 1))), 3)"),
    ] {
        assert_eq!(unwrap(text), expected, "{text}");
    }
}

#[test]
fn the_first_fault_is_shown() {
    let mut table = String::new();
    for text in [
        "",
        "(a: 1",
        "(a:",
        "{\"a\"",
        "[1, (2]",
        "(a 1)",
        "(a: 1 b: 2)",
        "(a: 1, 2)",
        "(1, a: 2)",
        "[1,,2]",
        "Some",
        "Some()",
        "(x: Some(1, 2))",
        "Some(a: 1)",
        "None()",
        "{1}",
        "{1: 2, 1: 3}",
        "(a: 1, a: 2)",
        "1 2",
        "Name)",
        "(,)",
        "{\"a\" 1}",
        "(a:)",
        "(a: €)",
        "(a: b/c)",
        "(a: 1) /",
        "(a: /* 1)",
        "(/**/ a: 1, /* /* */",
        "(a: \"x)",
        "(a: \"x\\",
        "(a: 'xy')",
        "(a: '",
        r#"("\q")"#,
        r#"("\xff")"#,
        r#"("\u{110000}")"#,
        "(1x)",
        "(0xg)",
        "(a: 0.7x, b: 1)",
        "(1.2.3)",
        "(-)",
        "(300u8)",
        "(-foo)",
        "(a.b: 1)",
        "(a: b.c)",
        "(a: café.au)",
        "(a: truer.b)",
        "[été.b(1)]",
        "(+x: 1)",
        "#![enable(implicit_som)] 7",
        "#![enabel(x)] 7",
        "#![enable(implicit_some) 7",
        "(a: @)",
        "(r#: 1)",
        "r##x",
    ] {
        let error = Document::parse("a.ron", text).unwrap_err();
        // An empty text has no place to point at.
        let (_, line, column) = error.location().unwrap_or(("", 0, 0));
        let help = error.help_text().map_or(String::new(), |help| format!("  ({help})"));
        table += &format!("{text:<28} {line}:{column} {}{help}\n", error.message());
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_missing_file_is_named() {
    let error = Document::read(Path::new("/no/such.ron")).unwrap_err();
    assert!(error.to_string().contains("/no/such.ron"), "{error}");
}
