//! Every shipped config and every snippet of the documentation, read by `ron` and by this crate.

use nextscale_config::{Document, Node, Value};

mod shipped;

/// Calls for every node, outermost first.
fn each(node: &Node, call: &mut impl FnMut(&Node)) {
    call(node);
    match &node.value {
        Value::List(items) | Value::Tuple { items, .. } => items.iter().for_each(|item| each(item, call)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            each(key, call);
            each(value, call);
        }),
        Value::Struct { fields, .. } => fields.iter().for_each(|field| {
            let text = &field.node.source.text[field.span.clone()];
            assert_eq!(text.trim_start_matches("r#"), field.name);
            each(&field.node, call);
        }),
        _ => {}
    }
}

#[test]
fn each_part_of_a_config_stands_where_its_span_says() {
    for (name, text) in shipped::texts() {
        let tree = Document::parse(&name, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        ron::from_str::<ron::Value>(&text).unwrap();
        each(&tree, &mut |node| {
            let part = &text[node.span.clone()];
            assert_eq!(part.trim(), part, "{name}");
            assert_eq!(&Document::parse("part", part).unwrap(), node, "{name}: {part}");
        });
    }
}

#[test]
fn each_config_is_printed_as_the_same_config() {
    for (name, text) in shipped::texts() {
        let tree = Document::parse(&name, &text).unwrap();
        for printed in [tree.to_ron_string(), tree.to_string()] {
            let again = Document::parse("printed", &printed).unwrap();
            assert_eq!((again.hash(), &again), (tree.hash(), &tree), "{name}");
        }
    }
}

/// Run folders, cells of ablations and calibrations are found by these.
#[test]
fn hashes_stay_what_they_were() {
    let mut table = String::new();
    for (text, what) in [
        (include_str!("texts/ablation.ron"), "an ablation"),
        (include_str!("texts/training.ron"), "a training"),
        (include_str!("texts/kinds.ron"), "every kind of value"),
    ] {
        let tree = Document::parse("a.ron", text).unwrap();
        table += &format!("{} {what}\n", tree.hash());
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_tree_of_every_kind_of_value() {
    let tree = Document::parse("kinds.ron", include_str!("texts/kinds.ron")).unwrap();
    let mut table = String::new();
    each(&tree, &mut |node| {
        let part = node.source.text[node.span.clone()].lines().next().unwrap_or("");
        let kind = format!("{:?}", node.value);
        let kind: String = kind.chars().take_while(|c| c.is_alphabetic()).collect();
        table += &format!("{:>4}..{:<4} {kind:<7} {part}\n", node.span.start, node.span.end);
    });
    insta::assert_snapshot!(table);
}
