use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, SeqAccess, Visitor},
};

use crate::{ConfigError, Document, NumberOr};

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    Document::parse("a.ron", text).unwrap().decode()
}

fn ok<T: DeserializeOwned>(text: &str) -> T {
    decode(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    seed: u64,
    scale: f32,
    name: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Rule {
    Conditional,
    Cfg(Settings),
    Pair(u8, f64),
    Box { top: i32 },
    Labels(Vec<u32>),
    At((u8, u8)),
    Deep(Box<Rule>),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapper(u32);

#[derive(Debug, PartialEq, Deserialize)]
struct Marker;

#[test]
fn structs_with_and_without_their_name() {
    let expected = Settings { seed: 3, scale: 2.0, name: None };
    for text in ["(seed: 3, scale: 2)", "Settings(seed: 3, scale: 2.0,)", "(scale: 2., seed: 3, name: None)"]
    {
        assert_eq!(ok::<Settings>(text), expected, "{text}");
    }
    for text in ["()", "Settings()"] {
        assert_eq!(ok::<Settings>(text), Settings::default(), "{text}");
    }
    for text in ["Settings", "Other(seed: 3)", "Other", "(3, 2)", "3", "[]", "{\"seed\": 3}"] {
        assert!(decode::<Settings>(text).is_err(), "{text}");
    }
}

#[test]
fn options_need_no_some() {
    for text in ["(name: \"x\")", "(name: Some(\"x\"))"] {
        assert_eq!(ok::<Settings>(text).name.as_deref(), Some("x"), "{text}");
    }
    assert_eq!(ok::<Option<u8>>("None"), None);
    assert_eq!(ok::<Option<Rule>>("Conditional"), Some(Rule::Conditional));
}

#[test]
fn variants_of_every_kind() {
    let settings = |seed| Settings { seed, ..Settings::default() };
    for (text, expected) in [
        ("Conditional", Rule::Conditional),
        ("Cfg(seed: 1)", Rule::Cfg(settings(1))),
        ("Cfg((seed: 1))", Rule::Cfg(settings(1))),
        ("Cfg()", Rule::Cfg(settings(0))),
        ("Pair(1, 2)", Rule::Pair(1, 2.0)),
        ("Box(top: -3)", Rule::Box { top: -3 }),
        ("Labels([1, 2])", Rule::Labels(vec![1, 2])),
        ("Labels([])", Rule::Labels(vec![])),
        ("At((1, 2))", Rule::At((1, 2))),
        ("At(1, 2)", Rule::At((1, 2))),
        ("Deep(Cfg(seed: 1))", Rule::Deep(Box::new(Rule::Cfg(settings(1))))),
        ("Deep(Conditional)", Rule::Deep(Box::new(Rule::Conditional))),
    ] {
        assert_eq!(ok::<Rule>(text), expected, "{text}");
    }
    for text in [
        "Conditional()",
        "Conditional(1)",
        "Cfg",
        "Cfg(Settings(seed: 1))",
        "Pair(1)",
        "Pair(1, 2, 3)",
        "Pair",
        "Box",
        "Box(1)",
        "Labels(1)",
        "\"Cfg\"",
        "cfg",
        "(seed: 1)",
        "7",
    ] {
        assert!(decode::<Rule>(text).is_err(), "{text}");
    }
}

#[test]
fn small_shapes() {
    for text in ["7", "Wrapper(7)", "(7)"] {
        assert_eq!(ok::<Wrapper>(text), Wrapper(7), "{text}");
    }
    assert_eq!(ok::<Marker>("Marker"), Marker);
    assert_eq!(ok::<Marker>("()"), Marker);
    assert_eq!(ok::<[f32; 2]>("(1, 2)"), [1.0, 2.0]);
    assert_eq!(ok::<(u8, char)>("(1, 'x')"), (1, 'x'));
    assert_eq!(ok::<BTreeMap<String, u8>>("{\"a\": 1}")["a"], 1);
    assert_eq!(ok::<i128>("-170141183460469231731687303715884105728"), i128::MIN);
    assert!(decode::<Marker>("(a: 1)").is_err());
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (text, message) in [
        ("300", "expected a whole number from 0 to 255, found the number 300"),
        ("-1", "expected a whole number, 0 or more, found the number -1"),
        ("1.5", "expected a whole number, found the number 1.5"),
        ("\"1\"", "expected a whole number, found the string \"1\""),
    ] {
        assert_eq!(decode::<u8>(text).unwrap_err().to_string(), message);
    }
    assert_eq!(decode::<u8>("3.0").unwrap_err().help_text(), Some("write 3, without a point"));
    assert_eq!(
        decode::<Vec<i16>>("[1, 40_000, 50000]").unwrap_err().message(),
        "expected a whole number from -32768 to 32767, found the number 40000"
    );
    assert_eq!(ok::<f32>("inf"), f32::INFINITY);
}

/// What ron refuses, with the suggested correction.
#[test]
fn what_is_refused_is_told_with_the_remedy() {
    let mut table = String::new();
    let mut row = |text: &str, error: ConfigError| {
        let (_, line, column) = error.location().unwrap();
        let help = error.help_text().map_or(String::new(), |help| format!("  ({help})"));
        table += &format!("{text:<24} {line}:{column} {error}{help}\n");
    };
    for text in [
        "Settings",
        "(3, 2)",
        "3",
        "[]",
        "{\"seed\": 3}",
        "Other(seed: 3)",
        "Other",
        "(seed: 1.5)",
        "(name: x)",
    ] {
        row(text, decode::<Settings>(text).unwrap_err());
    }
    for text in [
        "Conditional()",
        "Conditional(1)",
        "Cfg",
        "Pair",
        "Pair(1)",
        "Pair(1, 2, 3)",
        "Box",
        "Box(1)",
        "Box(top: a)",
        "Labels(1)",
        "Labels([1, x])",
        "At([1, 2])",
        "At((1, 2, 3))",
        "Deep(Cfg(seed: true))",
        "Deep(Sgs(x: 1))",
        "\"Cfg\"",
        "cfg",
        "(seed: 1)",
        "7",
    ] {
        row(text, decode::<Rule>(text).unwrap_err());
    }
    row("[1, 2]", decode::<(f32, f32)>("[1, 2]").unwrap_err());
    row("(a: 1)", decode::<BTreeMap<String, u8>>("(a: 1)").unwrap_err());
    row("{\"a\": [()]}", decode::<BTreeMap<String, Vec<u8>>>("{\"a\": [()]}").unwrap_err());
    row("(x, 1)", decode::<(bool, char)>("(x, 1)").unwrap_err());
    row("(true, 1)", decode::<(bool, char)>("(true, 1)").unwrap_err());
    insta::assert_snapshot!(table);
}

#[test]
fn fields_are_checked_without_deny_unknown_fields() {
    let error = decode::<Rule>("Cfg(sead: 1)").unwrap_err();
    assert_eq!(error.message(), "unknown field `sead`");
    assert_eq!(error.help_text(), Some("did you mean `seed`? allowed: `seed`, `scale`, `name`"));
    assert_eq!(error.location(), Some(("a.ron", 1, 5)));
    let error = decode::<Vec<Rule>>("[Conditional, Box(top: 1, lid: (2, [3]))]").unwrap_err();
    assert_eq!(error.to_string(), "[1]: unknown field `lid`");
    assert_eq!(error.location(), Some(("a.ron", 1, 27)));
}

#[test]
fn the_path_leads_to_the_fault() {
    type Many = BTreeMap<String, Vec<Settings>>;
    let error = decode::<Many>("{\"runs\": [(), (seed: \"x\")]}").unwrap_err();
    assert_eq!(error.to_string(), "runs[1].seed: expected a whole number, found the string \"x\"");
    assert_eq!(error.location(), Some(("a.ron", 1, 22)));
}

/// A number, or a schedule by name, as strengths over scales are written.
#[derive(Debug, PartialEq)]
enum Strength {
    Number(f64),
    Named(Named),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
enum Named {
    Off,
    Ramp(f64),
    Linear { from: f64, to: f64 },
    During(u8, Box<Strength>),
}

impl<'de> Deserialize<'de> for Strength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NumberOr::deserialize(deserializer)? {
            NumberOr::Number(value) => Self::Number(value),
            NumberOr::Other(named) => Self::Named(named),
        })
    }
}

/// A side, or two, as grids are written.
#[derive(Debug, PartialEq)]
struct Grid(u64, u64);

impl<'de> Deserialize<'de> for Grid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sides;
        impl<'de> Visitor<'de> for Sides {
            type Value = Grid;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a side, or (height, width)")
            }

            fn visit_u64<E>(self, side: u64) -> Result<Grid, E> {
                Ok(Grid(side, side))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Grid, A::Error> {
                let mut side =
                    || seq.next_element()?.ok_or_else(|| serde::de::Error::invalid_length(1, &self));
                Ok(Grid(side()?, side()?))
            }
        }
        deserializer.deserialize_any(Sides)
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(f64),
    Grid(u32, u32),
    Named(Named),
}

#[test]
fn a_number_or_a_name() {
    for (text, expected) in [
        ("0.5", Strength::Number(0.5)),
        ("2", Strength::Number(2.0)),
        ("Off", Strength::Named(Named::Off)),
        ("Ramp(2)", Strength::Named(Named::Ramp(2.0))),
        ("Linear(from: 0, to: 1)", Strength::Named(Named::Linear { from: 0.0, to: 1.0 })),
        ("-inf", Strength::Number(f64::NEG_INFINITY)),
        ("During(3, 2)", Strength::Named(Named::During(3, Box::new(Strength::Number(2.0))))),
    ] {
        assert_eq!(ok::<Strength>(text), expected, "{text}");
        assert_eq!(ok::<Option<Strength>>(&format!("Some({text})")), Some(ok(text)));
        assert_eq!(ok::<(Strength, u8)>(&format!("({text}, 2)")), (ok(text), 2));
    }
    for (text, message, column) in [
        ("Linaer(from: 0, to: 1)", "unknown name `Linaer`", 1),
        ("Linear(from: 0, too: 1)", "unknown field `too`", 17),
        ("Linear(from: \"x\", to: 1)", "from: expected a number, found the string \"x\"", 14),
        ("During(1, Linear(from: 1, too: 2))", "[1]: unknown field `too`", 27),
        (
            "During(1, During(300, 1))",
            "[1][0]: expected a whole number from 0 to 255, found the number 300",
            18,
        ),
        ("[1]", "expected a number or a name, found a list of 1", 1),
        ("\"1\"", "expected a number or a name, found the string \"1\"", 1),
    ] {
        let error = decode::<Strength>(text).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.location(), Some(("a.ron", 1, column)), "{text}");
    }
}

#[test]
fn a_type_that_reads_any_value() {
    assert_eq!(ok::<Vec<Grid>>("[1, (2, 3), [4, 5]]"), [Grid(1, 1), Grid(2, 3), Grid(4, 5)]);
    assert_eq!(ok::<Option<Grid>>("Some((2, 3))"), Some(Grid(2, 3)));
    for (text, message, column) in [
        ("[1, x]", "[1]: expected a side, or (height, width), found the name `x`", 5),
        ("[1, \"x\"]", "[1]: expected a side, or (height, width), found the string \"x\"", 5),
        ("[1, (2, y)]", "[1][1]: expected a whole number, found the name `y`", 9),
        ("[1, (2)]", "[1]: expected a side, or (height, width), found a tuple of 1", 5),
        ("[1, (2, 3, 4)]", "[1]: expected 2 items, `(..)`, found a tuple of 3", 5),
    ] {
        let error = decode::<Vec<Grid>>(text).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.location(), Some(("a.ron", 1, column)), "{text}");
    }
}

#[test]
fn serdes_untagged_enums() {
    for (text, expected) in [
        ("0.5", Untagged::Number(0.5)),
        ("(2, 3)", Untagged::Grid(2, 3)),
        ("Off", Untagged::Named(Named::Off)),
        ("Ramp(2)", Untagged::Named(Named::Ramp(2.0))),
        ("Linear(from: 0, to: 1)", Untagged::Named(Named::Linear { from: 0.0, to: 1.0 })),
    ] {
        assert_eq!(ok::<Untagged>(text), expected, "{text}");
    }
    assert_eq!(decode::<Untagged>("true").unwrap_err().location(), Some(("a.ron", 1, 1)));
}
