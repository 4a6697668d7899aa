//! What a person sees after common mistakes.

use miette::{GraphicalReportHandler, GraphicalTheme};
use nextscale_config::{ConfigError, Document, Node};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Config {
    model: Model,
    guidance: Guidance,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    batch: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
enum Model {
    Shipped(String),
    Var { backbone: String, scales: Vec<u32> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
enum Guidance {
    Conditional,
    Cfg { scale: f64 },
    Ssg { base: Box<Guidance>, beta: f64 },
}

fn render(error: &ConfigError) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .with_width(100)
        .render_report(&mut text, error)
        .unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The report on a config of which only the middle changes.
fn report(guidance: &str) -> String {
    report_on(&format!("// A study.\n(\n    model: Shipped(\"cifar10\"),\n    {guidance}\n)\n"))
}

fn report_on(text: &str) -> String {
    match Document::parse("study.ron", text).and_then(|tree| tree.decode::<Config>()) {
        Ok(_) => panic!("nothing is wrong with it"),
        Err(error) => render(&error),
    }
}

fn tree() -> Node {
    Document::parse("study.ron", "(model: Shipped(\"cifar10\"), guidance: Cfg(scale: 1.5))").unwrap()
}

#[test]
fn unknown_field() {
    insta::assert_snapshot!(report("guidance: Cfg(sacle: 1.5),"), @r#"
     x guidance: unknown field `sacle`
      ,-[study.ron:4:19]
    3 |     model: Shipped("cifar10"),
    4 |     guidance: Cfg(sacle: 1.5),
      :                   ^^^^^
    5 | )
      `----
     help: did you mean `scale`? allowed: `scale`
    "#);
}

#[test]
fn missing_field() {
    insta::assert_snapshot!(report("guidance: Ssg(\n        base: Conditional,\n    ),"), @r#"
     x guidance: missing field `beta`
      ,-[study.ron:4:15]
    3 |     model: Shipped("cifar10"),
    4 |     guidance: Ssg(
      :               ^^^^
    5 |         base: Conditional,
      `----
     help: add `beta: ..` here
    "#);
}

#[test]
fn unknown_variant() {
    insta::assert_snapshot!(report("guidance: Ssg(base: Conditonal, beta: 1),"), @r#"
     x guidance.base: unknown name `Conditonal`
      ,-[study.ron:4:25]
    3 |     model: Shipped("cifar10"),
    4 |     guidance: Ssg(base: Conditonal, beta: 1),
      :                         ^^^^^^^^^^
    5 | )
      `----
     help: did you mean `Conditional`? allowed: `Conditional`, `Cfg`, `Ssg`
    "#);
}

#[test]
fn wrong_type() {
    insta::assert_snapshot!(report("guidance: Cfg(scale: \"1.5\"),"), @r#"
     x guidance.scale: expected a number, found the string "1.5"
      ,-[study.ron:4:26]
    3 |     model: Shipped("cifar10"),
    4 |     guidance: Cfg(scale: "1.5"),
      :                          ^^^^^
    5 | )
      `----
    "#);
}

#[test]
fn out_of_range() {
    insta::assert_snapshot!(report("guidance: Conditional, batch: 256,"), @r#"
     x batch: expected a whole number from 0 to 255, found the number 256
      ,-[study.ron:4:35]
    3 |     model: Shipped("cifar10"),
    4 |     guidance: Conditional, batch: 256,
      :                                   ^^^
    5 | )
      `----
    "#);
}

#[test]
fn float_for_an_integer() {
    insta::assert_snapshot!(report("guidance: Conditional, seed: 1.0,"), @r#"
     x seed: expected a whole number, found the number 1.0
      ,-[study.ron:4:34]
    3 |     model: Shipped("cifar10"),
    4 |     guidance: Conditional, seed: 1.0,
      :                                  ^^^
    5 | )
      `----
     help: write 1, without a point
    "#);
}

#[test]
fn text_without_quotes() {
    insta::assert_snapshot!(report_on("(\n    model: Shipped(cifar10),\n    guidance: Conditional,\n)"), @r#"
     x model: expected a string, found the name `cifar10`
      ,-[study.ron:2:20]
    1 | (
    2 |     model: Shipped(cifar10),
      :                    ^^^^^^^
    3 |     guidance: Conditional,
      `----
     help: put it between quotes: "cifar10"
    "#);
}

#[test]
fn name_in_quotes() {
    insta::assert_snapshot!(report("guidance: \"Conditional\","), @r#"
     x guidance: expected a name, found the string "Conditional"
      ,-[study.ron:4:15]
    3 |     model: Shipped("cifar10"),
    4 |     guidance: "Conditional",
      :               ^^^^^^^^^^^^^
    5 | )
      `----
     help: write it without quotes: Conditional
    "#);
}

#[test]
fn field_given_twice() {
    insta::assert_snapshot!(report("guidance: Conditional,\n    seed: 1,\n    seed: 2,"), @r#"
     x the field `seed` is given twice
      ,-[study.ron:5:5]
    4 |     guidance: Conditional,
    5 |     seed: 1,
      :     ^^|^
      :       `-- the first time
    6 |     seed: 2,
      :     ^^|^
      :       `-- the second time
    7 | )
      `----
     help: remove one of the two
    "#);
}

#[test]
fn bracket_never_closed() {
    insta::assert_snapshot!(report("guidance: Cfg(scale: 1.5,"), @r#"
     x this bracket is never closed
      ,-[study.ron:2:1]
    1 | // A study.
    2 | (
      : ^
    3 |     model: Shipped("cifar10"),
      `----
     help: a `)` is missing
    "#);
}

#[test]
fn comma_missing() {
    insta::assert_snapshot!(report("guidance: Conditional\n    seed: 1,"), @r#"
     x expected `,` or `)`, found `seed`
      ,-[study.ron:5:5]
    4 |     guidance: Conditional
    5 |     seed: 1,
      :     ^^^^
    6 | )
      `----
     help: is a comma missing before it?
    "#);
}

#[test]
fn string_never_closed() {
    insta::assert_snapshot!(report_on("(\n    model: Shipped('cifar10'),\n)"), @r#"
     x a character is one letter between `'`
      ,-[study.ron:2:20]
    1 | (
    2 |     model: Shipped('cifar10'),
      :                    ^^^^^^^^
    3 | )
      `----
     help: a text goes between double quotes, "like this"
    "#);
    insta::assert_snapshot!(report_on("(\n    model: Shipped(\"cifar10),\n)"), @r#"
     x this string is never closed
      ,-[study.ron:2:20]
    1 | (
    2 |     model: Shipped("cifar10),
      :                    ^^^^^^^^^^
    3 | )
      `----
    "#);
}

#[test]
fn item_of_a_list() {
    insta::assert_snapshot!(
        report_on("(\n    model: Var(backbone: \"d16.pth\", scales: [1, 2, -3]),\n    guidance: Conditional,\n)"),
        @r#"
     x model.scales[2]: expected a whole number, 0 or more, found the number -3
      ,-[study.ron:2:52]
    1 | (
    2 |     model: Var(backbone: "d16.pth", scales: [1, 2, -3]),
      :                                                    ^^
    3 |     guidance: Conditional,
      `----
    "#
    );
}

#[test]
fn override_of_an_unknown_field() {
    let mut tree = tree();
    tree.assign("guidance.scalee=3").unwrap();
    insta::assert_snapshot!(render(&tree.decode::<Config>().err().unwrap()), @r#"
     x guidance: unknown field `scalee`
      ,-[--set:1:10]
    1 | guidance.scalee=3
      :          ^^^^^^
      `----
     help: did you mean `scale`? allowed: `scale`
    "#);
}

#[test]
fn override_whose_path_leads_nowhere() {
    insta::assert_snapshot!(render(&tree().assign("guidnce.scale=3").unwrap_err()), @r#"
     x `guidnce.scale` leads nowhere: there is no `guidnce` here
      ,-[--set:1:1]
    1 | guidnce.scale=3
      : ^^^^^^^
      `----
     help: did you mean `guidance`? given here: `model`, `guidance`
    "#);
    insta::assert_snapshot!(render(&tree().assign("guidance.base.scale=3").unwrap_err()), @r#"
     x `guidance.base.scale` leads nowhere: there is no `base` in `Cfg`
      ,-[--set:1:10]
    1 | guidance.base.scale=3
      :          ^^^^
      `----
     help: given here: `scale`
    "#);
}

#[test]
fn override_of_a_field_that_is_further_in() {
    let mut tree = tree();
    tree.assign("scale=0.3").unwrap();
    insta::assert_snapshot!(render(&tree.decode::<Config>().err().unwrap()), @r#"
     x unknown field `scale`
      ,-[--set:1:1]
    1 | scale=0.3
      : ^^^^^
      `----
     help: did you mean `guidance.scale`? allowed: `model`, `guidance`, `seed`, `batch`
    "#);
}

#[test]
fn override_of_a_field_that_may_be_further_in() {
    let mut tree = tree();
    tree.assign("beta=0.3").unwrap();
    let error = tree.decode::<Config>().err().unwrap();
    let help = "set a field inside one of these by its path, `FIELD.beta`; \
                allowed: `model`, `guidance`, `seed`, `batch`";
    assert_eq!(error.help_text(), Some(help));
}

#[test]
fn a_field_that_serde_would_ignore() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Lax {
        #[serde(default)]
        layers: Vec<Lax>,
    }
    let tree = Document::parse("lax.ron", "(layers: [(), (layers: [], depth: 3)])").unwrap();
    insta::assert_snapshot!(render(&tree.decode::<Lax>().err().unwrap()), @r#"
     x layers[1]: unknown field `depth`
      ,-[lax.ron:1:28]
    1 | (layers: [(), (layers: [], depth: 3)])
      :                            ^^^^^
      `----
    "#);
}

#[test]
fn override_that_is_not_ron() {
    insta::assert_snapshot!(render(&tree().assign("guidance=Cfg(scale=3)").unwrap_err()), @r#"
     x expected `,` or `)`, found `=`
      ,-[--set:1:19]
    1 | guidance=Cfg(scale=3)
      :                   ^
      `----
    "#);
}
