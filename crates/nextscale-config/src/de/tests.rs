use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{ConfigError, Document};

fn decode<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, ConfigError> {
    Document::parse("a.ron", text).unwrap().decode()
}

fn ok<T: for<'a> Deserialize<'a>>(text: &str) -> T {
    decode(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
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
    for text in ["()", "Settings()", "Settings"] {
        assert_eq!(ok::<Settings>(text), Settings::default(), "{text}");
    }
    for text in ["Other(seed: 3)", "Other", "(3, 2)", "3", "[]", "{\"seed\": 3}"] {
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
        ("Conditional()", Rule::Conditional),
        ("Cfg(seed: 1)", Rule::Cfg(settings(1))),
        ("Cfg((seed: 1))", Rule::Cfg(settings(1))),
        ("Cfg(Settings(seed: 1))", Rule::Cfg(settings(1))),
        ("Cfg", Rule::Cfg(settings(0))),
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
        "Conditional(1)",
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
    assert_eq!(ok::<Wrapper>("7"), Wrapper(7));
    assert_eq!(ok::<Wrapper>("Wrapper(7)"), Wrapper(7));
    assert_eq!(ok::<Wrapper>("(7)"), Wrapper(7));
    assert_eq!(ok::<Marker>("Marker"), Marker);
    assert_eq!(ok::<Marker>("()"), Marker);
    assert_eq!(ok::<[f32; 2]>("[1, 2]"), [1.0, 2.0]);
    assert_eq!(ok::<(u8, char)>("(1, 'x')"), (1, 'x'));
    assert_eq!(ok::<BTreeMap<String, u8>>("{\"a\": 1}")["a"], 1);
    assert_eq!(ok::<BTreeMap<String, u8>>("(a: 1)")["a"], 1);
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
    assert!(decode::<f32>("1e300").is_err());
    assert_eq!(ok::<f32>("inf"), f32::INFINITY);
}

#[test]
fn fields_are_checked_without_deny_unknown_fields() {
    let error = decode::<Rule>("Cfg(sead: 1)").unwrap_err();
    assert_eq!(error.message(), "unknown field `sead`");
    assert_eq!(error.help_text(), Some("did you mean `seed`? allowed: `seed`, `scale`, `name`"));
    assert_eq!(error.location(), Some(("a.ron", 1, 5)));
}

#[test]
fn the_path_leads_to_the_fault() {
    type Many = BTreeMap<String, Vec<Settings>>;
    let error = decode::<Many>("{\"runs\": [(), (seed: \"x\")]}").unwrap_err();
    assert_eq!(error.to_string(), "runs[1].seed: expected a whole number, found the string \"x\"");
    assert_eq!(error.location(), Some(("a.ron", 1, 22)));
}

/// A number, or a schedule by name: as strengths over scales are written.
#[derive(Debug, PartialEq)]
enum Strength {
    Number(f64),
    Named(Named),
}

#[derive(Debug, PartialEq, Deserialize)]
enum Named {
    Off,
    Ramp(f64),
    Linear { from: f64, to: f64 },
}

impl<'de> Deserialize<'de> for Strength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Strength;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or a schedule")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Strength, E> {
                Ok(Strength::Number(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Strength, E> {
                Ok(Strength::Number(value as f64))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Strength, E> {
                Named::deserialize(name.into_deserializer()).map(Strength::Named)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Strength, A::Error> {
                Named::deserialize(MapAccessDeserializer::new(map)).map(Strength::Named)
            }
        }
        deserializer.deserialize_any(Either)
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
        ("Off()", Strength::Named(Named::Off)),
        ("Ramp(2)", Strength::Named(Named::Ramp(2.0))),
        ("Linear(from: 0, to: 1)", Strength::Named(Named::Linear { from: 0.0, to: 1.0 })),
    ] {
        assert_eq!(ok::<Strength>(text), expected, "{text}");
    }
    for (text, message, column) in [
        ("Linaer(from: 0, to: 1)", "unknown name `Linaer`", 1),
        ("Linear(from: 0, too: 1)", "unknown field `too`", 17),
        ("Linear(from: \"x\", to: 1)", "from: expected a number, found the string \"x\"", 14),
        ("[1]", "expected a number or a schedule, found a list of 1", 1),
    ] {
        let error = decode::<Strength>(text).unwrap_err();
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
