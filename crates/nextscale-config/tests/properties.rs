//! Agreement with the `ron` crate, and text to tree and back, over random values and damaged texts.

use std::collections::BTreeMap;

use nextscale_config::{Document, Node, Value};
use proptest::{prelude::*, strategy::ValueTree};
use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

/// A type with every shape that serde knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    whole: i64,
    large: u64,
    number: f64,
    single: f32,
    flag: bool,
    letter: char,
    text: String,
    option: Option<u8>,
    kinds: Vec<Kind>,
    map: BTreeMap<String, (i8, bool)>,
    wrapped: Wrapped,
    unit: (),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Nothing,
    One(f32),
    Two(i32, String),
    Named { left: i16, right: Option<Box<Kind>> },
    Many(Vec<Kind>),
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        Just(Kind::Nothing),
        prop::num::f32::NORMAL.prop_map(Kind::One),
        (any::<i32>(), any::<String>()).prop_map(|(number, text)| Kind::Two(number, text)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (any::<i16>(), prop::option::of(inner.clone().prop_map(Box::new)))
                .prop_map(|(left, right)| Kind::Named { left, right }),
            prop::collection::vec(inner, 0..3).prop_map(Kind::Many),
        ]
    })
}

fn sample() -> impl Strategy<Value = Sample> {
    let numbers = (any::<i64>(), any::<u64>(), prop::num::f64::NORMAL, prop::num::f32::NORMAL, any::<u32>());
    let rest = (
        any::<bool>(),
        any::<char>(),
        any::<String>(),
        any::<Option<u8>>(),
        prop::collection::vec(kind(), 0..3),
        prop::collection::btree_map(any::<String>(), any::<(i8, bool)>(), 0..3),
    );
    (numbers, rest).prop_map(
        |((whole, large, number, single, wrapped), (flag, letter, text, option, kinds, map))| Sample {
            whole,
            large,
            number,
            single,
            flag,
            letter,
            text,
            option,
            kinds,
            map,
            wrapped: Wrapped(wrapped),
            unit: (),
        },
    )
}

/// A tree as the `ron` crate sees it: without the names of structs and variants.
fn as_ron(node: &Node) -> ron::Value {
    match &node.value {
        Value::Unit => ron::Value::Unit,
        Value::Bool(value) => ron::Value::Bool(*value),
        Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
            (Ok(value), _) => ron::Value::Number(value.into()),
            (_, Ok(value)) => ron::Value::Number(value.into()),
            _ => panic!("out of ron's range: {value}"),
        },
        Value::Float(value) => ron::Value::Number((*value).into()),
        Value::Char(value) => ron::Value::Char(*value),
        Value::Str(text) => ron::Value::String(text.clone()),
        Value::Ident(name) if name == "None" => ron::Value::Option(None),
        Value::Ident(_) => ron::Value::Unit,
        Value::Tuple { name: Some(name), items } if name == "Some" && items.len() == 1 => {
            ron::Value::Option(Some(Box::new(as_ron(&items[0]))))
        }
        Value::List(items) | Value::Tuple { items, .. } => {
            ron::Value::Seq(items.iter().map(as_ron).collect())
        }
        Value::Map(entries) => {
            ron::Value::Map(entries.iter().map(|(key, value)| (as_ron(key), as_ron(value))).collect())
        }
        Value::Struct { fields, .. } => ron::Value::Map(
            fields
                .iter()
                .map(|field| (ron::Value::String(field.name.clone()), as_ron(&field.node)))
                .collect(),
        ),
    }
}

/// Numbers by value, because ron stores them in other widths.
fn same(a: &ron::Value, b: &ron::Value) -> bool {
    use ron::Value as R;
    match (a, b) {
        (R::Number(a), R::Number(b)) => {
            let (a, b) = (a.into_f64(), b.into_f64());
            a == b || (a.is_nan() && b.is_nan())
        }
        (R::Seq(a), R::Seq(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (R::Map(a), R::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|((ka, a), (kb, b))| same(ka, kb) && same(a, b))
        }
        // Bytes are numbers here.
        (R::Seq(items), R::Bytes(bytes)) => {
            items.len() == bytes.len()
                && items.iter().zip(bytes).all(|(item, byte)| same(item, &R::Number((*byte).into())))
        }
        // `( )` with a space is an empty tuple to ron, `()` is a unit; here both are `()`.
        (R::Unit, R::Seq(items)) | (R::Seq(items), R::Unit) => items.is_empty(),
        (R::Option(Some(a)), R::Option(Some(b))) => same(a, b),
        _ => a == b,
    }
}

/// The text with one character dropped, doubled or replaced, several times.
fn damaged() -> impl Strategy<Value = String> {
    let plain = r###"// a config
#![enable(implicit_some, unwrap_variant_newtypes)]
( model: Var(tokenizer: "v\u{e9}.pth", scales: [1, 2, (3, 4),], /* /* n */ */ groups: Some(32)),
  r#type: r#"raw "x""#, beta: -1.5e-3, list: [0x1F, 0b10, 1_000, .5, 5., inf, 'a', '\n', 3u8, 2f32],
  names: {"a": 1, 'b': (), 3: None}, rule: Sum(base: Conditional, rules: [Cfg(scale: Ramp(1.5)), Dse(), 1..2, ..=3, b"x", b'y', Some(a: 1, b: 2)]), flag: true )"###;
    let edits =
        prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(SIGNS)), 0..4);
    edits.prop_map(move |edits| {
        let mut chars: Vec<char> = plain.chars().collect();
        for (index, edit, sign) in edits {
            let at = index.index(chars.len());
            match edit {
                0 => drop(chars.remove(at)),
                1 => chars.insert(at, sign),
                _ => chars[at] = sign,
            }
        }
        chars.into_iter().collect()
    })
}

const SIGNS: &[char] = &[
    '(', ')', '[', ']', '{', '}', ',', ':', '"', '\'', '\\', '/', '*', '#', '!', '.', '-', '+', '_', '0',
    '9', 'a', 'e', 'f', 'r', 'u', 'x', ' ', '\n',
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_ron_writes_reads_the_same(value in sample(), names in any::<bool>(), implicit in any::<bool>()) {
        let mut pretty = PrettyConfig::new().struct_names(names);
        if implicit {
            pretty = pretty.extensions(ron::extensions::Extensions::all());
        }
        for text in [ron::ser::to_string_pretty(&value, pretty).unwrap(), ron::to_string(&value).unwrap()] {
            let node = Document::parse("a.ron", &text).unwrap();
            prop_assert_eq!(&node.decode::<Sample>().unwrap(), &value);
            let theirs: ron::Value = ron::from_str(&text).unwrap();
            prop_assert!(same(&as_ron(&node), &theirs), "{}", text);
        }
    }

    #[test]
    fn what_is_written_reads_back(value in sample()) {
        let tree = Node::from_serialize(&value).unwrap();
        let text = tree.to_ron_string();
        let again = Document::parse("b.ron", &text).unwrap();
        prop_assert_eq!(&again, &tree);
        prop_assert_eq!(again.to_ron_string(), text);
        prop_assert_eq!(again.hash(), tree.hash());
        prop_assert_eq!(&Document::parse("c.ron", &tree.to_string()).unwrap(), &tree);
        prop_assert_eq!(again.decode::<Sample>().unwrap(), value.clone());
        prop_assert_eq!(tree.decode::<Sample>().unwrap(), value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_ron_accepts_is_accepted_and_no_more(text in damaged()) {
        match (Document::parse("a.ron", &text), ron::from_str::<ron::Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert!(same(&as_ron(&ours), &theirs), "{}", text),
            (Ok(_), Err(error)) => prop_assert!(false, "ron refuses it, {}: {}", error, text),
            (Err(error), Ok(_)) => prop_assert!(error.message().ends_with("is given twice"), "{}: {}", error, text),
            (Err(_), Err(_)) => {}
        }
    }
}

/// The damage above must leave something to compare.
#[test]
fn the_undamaged_text_is_read_by_both() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut accepted = 0;
    for _ in 0..400 {
        let text = damaged().new_tree(&mut runner).unwrap().current();
        accepted += usize::from(
            Document::parse("a.ron", &text).is_ok() && ron::from_str::<ron::Value>(&text).is_ok(),
        );
    }
    assert!(accepted > 60, "{accepted} of 400");
}
