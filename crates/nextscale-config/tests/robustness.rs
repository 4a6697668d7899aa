//! Hostile and damaged configs give an error with a place, quickly and in few lines.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::Path,
    time::{Duration, Instant},
};

use miette::{GraphicalReportHandler, GraphicalTheme};
use nextscale_config::{ConfigError, Document, Node, Value};

mod shipped;

fn render(error: &ConfigError) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none()).render_report(&mut text, error).unwrap();
    text
}

/// A small generator written here, so that the texts never change.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// The text with a few bytes flipped, pieces deleted or doubled, and tokens swapped.
fn mutated(text: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(12)).min(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = b"()[]{},:\"'\\/*#!.-+_09aefrux \n"[random.below(28)],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let mut words: Vec<&[u8]> =
                    bytes.chunk_by(|a, b| a.is_ascii_alphanumeric() == b.is_ascii_alphanumeric()).collect();
                let (a, b) = (random.below(words.len()), random.below(words.len()));
                words.swap(a, b);
                bytes = words.concat();
            }
        }
        // An empty text has no place to point at.
        if bytes.is_empty() {
            bytes.push(b' ');
        }
    }
    bytes
}

#[test]
fn ten_thousand_damaged_configs() {
    let texts = shipped::texts();
    let mut random = Random(14);
    let (mut whole, mut refused) = (0, 0);
    for round in 0..10_000 {
        let (name, text) = &texts[round % texts.len()];
        let bytes = mutated(text, &mut random);
        let text = String::from_utf8_lossy(&bytes);
        match Document::parse(name, &text) {
            Ok(tree) => {
                whole += 1;
                let again = Document::parse("again", &tree.to_ron_string()).unwrap();
                assert_eq!(again.hash(), tree.hash(), "{text}");
                tree.decode::<BTreeMap<String, f64>>().ok();
                tree.clone().assign("guidance.beta=0.4").ok();
            }
            Err(error) => {
                refused += 1;
                let (_, line, _) = error.location().unwrap_or_else(|| panic!("{error}: {text}"));
                assert!(line <= text.lines().count() + 1, "{error}: {text}");
                assert!(render(&error).len() < 10_000, "{error}: {text}");
            }
        }
        // As the value of an override, too.
        Node::from_serialize(&()).unwrap().assign(&format!("a={text}")).ok();
    }
    assert!(whole > 1000 && refused > 1000, "{whole} read, {refused} refused");
}

#[test]
fn a_hundred_thousand_brackets() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{1:", "}"), ("A(", ")"), ("(a:", ")"), ("Some(", ")"), ("/*", "*/")]
    {
        for text in [open.repeat(100_000), open.repeat(100_000) + "1" + &close.repeat(100_000)] {
            let is_comment = open == "/*";
            let error = Document::parse("deep.ron", &text).unwrap_err();
            let mut tree = Document::parse("a.ron", "(a: 1)").unwrap();
            let set = tree.assign(&format!("a={text}")).unwrap_err();
            for error in [error, set] {
                if is_comment {
                    assert!(render(&error).len() < 2000, "{error}");
                } else {
                    assert_eq!(error.message(), "values are nested more than 128 deep");
                    let (_, _, column) = error.location().unwrap();
                    assert!((127 * open.len()..130 * open.len() + 3).contains(&column), "{open} {column}");
                }
            }
            assert_eq!(tree, Document::parse("a.ron", "(a: 1)").unwrap());
        }
    }
}

#[test]
fn overrides_cannot_nest_deeper_either() {
    let mut tree = Document::parse("a.ron", "(a: 1)").unwrap();
    let deep = "[".repeat(100) + &"]".repeat(100);
    tree.assign(&format!("a={deep}")).unwrap();
    let path = format!("a{}", "[0]".repeat(99));
    // The innermost list is empty; the one around it holds it.
    let error = tree.assign(&format!("{path}={deep}")).unwrap_err();
    assert_eq!(error.message(), "this would nest values more than 128 deep");
    tree.assign(&format!("{path}=[1]")).unwrap();
}

/// Each is short, but together they are deep.
#[test]
fn many_overrides_cannot_nest_deeper_either() {
    for (first, step, value) in
        [("(a: 0)", "[0]", "[0]"), ("(a: 0)", ".x", "A(x: 0)"), ("(a: 0)", ".x", "A((x: 0))")]
    {
        let mut tree = Document::parse("a.ron", first).unwrap();
        let mut path = "a".to_owned();
        let refused = (0..200).find_map(|_| {
            let error = tree.assign(&format!("{path}={value}")).err();
            path.push_str(step);
            error
        });
        assert_eq!(refused.unwrap().message(), "this would nest values more than 128 deep");
        assert_eq!(Document::parse("again", &tree.to_ron_string()).unwrap(), tree);
    }
}

/// A newtype has no step in a path.
#[test]
fn newtypes_count_as_levels() {
    let chain = format!("{}(x: 0){}", "A(".repeat(100), ")".repeat(100));
    let mut tree = Document::parse("a.ron", &format!("(a: {chain})")).unwrap();
    let error = tree.assign(&format!("a.x={chain}")).unwrap_err();
    assert_eq!(error.message(), "this would nest values more than 128 deep");
    tree.assign("a.x=A((x: 1))").unwrap();
    assert_eq!(tree.get("a.x.x").unwrap().decode::<u8>().unwrap(), 1);
}

#[test]
fn an_error_on_a_long_line_shows_an_excerpt() {
    let filler = "name: 12345, ".repeat(10 << 16);
    assert!(filler.len() > 8 << 20);
    let numbers = "1, ".repeat(100);
    for text in [
        format!("(list: [{numbers} @ {filler}])"),
        format!("(list: \"{filler}\" x)"),
        format!("([{}] @)", "1234567, ".repeat(1 << 20)),
        format!("(list: \"{filler}"),
        format!("/* {filler}"),
        format!("({}: 1, a a)", "n".repeat(10 << 20)),
        format!("({} 1)", "n".repeat(10 << 20)),
        format!("({}x)", "1".repeat(10 << 20)),
        format!("#![enable({})]", "n".repeat(10 << 20)),
    ] {
        let start = Instant::now();
        let error = Document::parse("long.ron", &text).unwrap_err();
        let report = render(&error);
        assert!(report.contains("long.ron:1:"), "{report}");
        assert!(report.len() < 3000, "{} {}", report.len(), &report[..3000]);
        assert!(format!("{error:?}").len() < 3000);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[test]
fn two_places_far_apart_have_an_excerpt_each() {
    let text = format!(
        "(first: 1, {} first: 2)",
        (0..40_000).fold(String::new(), |mut text, i| {
            write!(text, "f{i}: {i}, ").unwrap();
            text
        })
    );
    let report = render(&Document::parse("wide.ron", &text).unwrap_err());
    assert!(report.contains("the first time") && report.contains("the second time"), "{report}");
    assert!(report.len() < 4000, "{}", report.len());
}

#[test]
fn long_values_and_names_are_cut_in_messages() {
    let long = "x".repeat(1 << 20);
    let tree = Document::parse("a.ron", &format!("(seed: \"{long}\")")).unwrap();
    for error in [
        tree.decode::<BTreeMap<String, u8>>().unwrap_err(),
        Document::parse("a.ron", &format!("(seed: {long})"))
            .unwrap()
            .decode::<BTreeMap<String, u8>>()
            .unwrap_err(),
        tree.get(&long).unwrap_err(),
        tree.clone().assign(&long).unwrap_err(),
        tree.clone().assign(&format!("{long}.{long}=3")).unwrap_err(),
        tree.get("seed").unwrap().variant().unwrap_err(),
        Document::parse("a.ron", &format!("{long}(a: 1)"))
            .unwrap()
            .variant()
            .unwrap()
            .unknown("rule", ["Cfg"]),
    ] {
        assert!(render(&error).len() < 3000, "{}", render(&error).len());
    }
}

#[test]
fn many_names_are_found_at_once() {
    let start = Instant::now();
    let mut fields = String::from("(");
    let mut entries = String::from("{");
    for i in 0..100_000 {
        write!(fields, "field_{i}: {i}, ").unwrap();
        write!(entries, "\"key {i}\": {i}, ").unwrap();
    }
    for text in [fields.clone() + ")", entries.clone() + "}"] {
        let tree = Document::parse("many.ron", &text).unwrap();
        match &tree.value {
            Value::Map(_) => assert_eq!(tree.decode::<BTreeMap<String, u32>>().unwrap().len(), 100_000),
            _ => assert_eq!(tree.fields().unwrap().take::<u32>("field_99999").unwrap(), 99_999),
        }
        let unread = tree.fields().and_then(|fields| fields.finish());
        assert!(unread.is_err());
        assert_eq!(Document::parse("again", &tree.to_ron_string()).unwrap().hash(), tree.hash());
        let slip = if text.starts_with('(') { "feild_1" } else { "kye 1" };
        let report = render(&tree.get(slip).unwrap_err());
        assert!(
            report.contains("did you mean") && report.contains("99950 more") && report.len() < 8000,
            "{report}"
        );
    }
    for text in [fields + "field_5: 1)", entries + "\"key 5\": 1}"] {
        let error = Document::parse("many.ron", &text).unwrap_err();
        assert!(error.message().ends_with("is given twice"), "{error}");
    }
    let variants: String = (0..20_000).fold(String::new(), |mut text, i| {
        write!(text, "(\"v{i}\", Ssg(base: Cfg(scale: {i}), prior: Dse())), ").unwrap();
        text
    });
    let tree = Document::parse("many.ron", &format!("(variants: [{variants}])")).unwrap();
    let Value::List(items) = &tree.get("variants").unwrap().value else { panic!() };
    assert_eq!(items.len(), 20_000);
    assert_eq!(tree.get("variants[19999].1.base.scale").unwrap().decode::<f64>().unwrap(), 19_999.0);
    // A quadratic step here would take minutes.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-text.ron");
    std::fs::write(&path, [b'(', 0xff, b')']).unwrap();
    assert!(Document::read(&path).unwrap_err().message().ends_with("is not UTF-8 text at byte 1"));
}

#[test]
fn an_empty_file_is_named() {
    for (name, text) in [("empty.ron", ""), ("blank.ron", "\u{feff} \n\t\n")] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        let error = Document::read(&path).unwrap_err();
        assert!(error.message().ends_with(&format!("{name} is empty")), "{error}");
    }
}
