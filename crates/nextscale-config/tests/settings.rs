//! Kinds with settings of every form: reading, recording, describing and refusing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nextscale_config::settings::{self, Description, Entry, Fallback, Kind, Names, Reader, schema};
use nextscale_config::{ConfigError, Document};
use nextscale_macros::Settings;

trait Shape: std::fmt::Debug + Send + Sync {}

impl Kind for dyn Shape {
    const NAME: &'static str = "shape";
    const SCHEMA: &'static str = "Shape";
}

/// A point.
#[derive(Debug, Settings)]
struct Point;
impl Shape for Point {}

/// A disc of a radius.
///
/// Not told.
#[derive(Debug, Settings)]
#[setting(example = "Disc(radius: 1.0)", check = Self::is_visible)]
#[allow(dead_code)] // Debug shows them
struct Disc {
    /// How far it reaches, above 0.
    #[setting(check = positive)]
    radius: f64,
    /// How dark it is.
    #[setting(default = 0.5)]
    ink: f64,
}
impl Shape for Disc {}

fn positive(&radius: &f64) -> Result<(), String> {
    if radius > 0.0 { Ok(()) } else { Err(format!("{radius} is not above 0")) }
}

impl Disc {
    fn is_visible(&self) -> Result<(), &'static str> {
        if self.ink > 0.0 { Ok(()) } else { Err("without ink nobody sees it") }
    }
}

/// Several shapes over each other, and what they lie on.
#[derive(Debug, Settings)]
#[setting(example = "Pile(of: [Point], on: \"a.png\")")]
#[allow(dead_code)]
struct Pile {
    /// The shapes.
    of: Vec<Arc<dyn Shape>>,
    /// What they lie on.
    on: PathBuf,
    /// What is seen through them.
    through: Option<PathBuf>,
    /// The shape on top.
    #[setting(default = "Disc(radius: 2.0)")]
    top: Arc<dyn Shape>,
    /// The one at the bottom.
    bottom: Option<Arc<dyn Shape>>,
    /// Its name.
    name: Option<String>,
}
impl Shape for Pile {}

#[derive(Debug)]
struct Named(#[allow(dead_code)] String);
impl Shape for Named {}

impl settings::Settings for Named {
    fn description() -> Description {
        let about = "One that somebody named.";
        Description { name: "Named", about, example: "Named(\"a\")", settings: Vec::new(), also: Vec::new() }
    }

    fn read(reader: &mut Reader<'_>) -> settings::Result<Self> {
        let name: String = reader.item()?;
        reader.measured_on("c0ffee", name.clone(), "name another");
        Ok(Self(name))
    }
}

fn names() -> Names {
    let mut names = Names::new().in_folder(Path::new("/data"));
    names.add::<dyn Shape>(Entry::of(|shape: Point| Arc::new(shape) as _));
    names.add::<dyn Shape>(Entry::of(|shape: Disc| Arc::new(shape) as _));
    names.add::<dyn Shape>(Entry::of(|shape: Pile| Arc::new(shape) as _));
    names.add::<dyn Shape>(Entry::of(|shape: Named| Arc::new(shape) as _));
    names
}

fn resolved(text: &str) -> Result<String, ConfigError> {
    let built = names().build::<dyn Shape>(&Document::parse("a.ron", text)?)?;
    Ok(built.resolved.to_string())
}

#[test]
fn what_is_left_out_is_written_down() {
    let cases = [
        ("Point", "Point"),
        ("Point()", "Point"),
        ("Disc(radius: 2)", "Disc(radius: 2.0, ink: 0.5)"),
        (
            "Pile(of: [Point, Disc(radius: 1)], on: \"a.png\")",
            "Pile(of: [Point, Disc(radius: 1.0, ink: 0.5)], on: \"/data/a.png\", top: Disc(radius: 2.0, ink: 0.5))",
        ),
        (
            "Pile(of: [], on: \"/a.png\", through: \"b.png\", top: Point, bottom: Point, name: Some(\"p\"))",
            "Pile(of: [], on: \"/a.png\", through: \"/data/b.png\", top: Point, bottom: Point, name: \"p\")",
        ),
        (
            "Pile(of: [], on: \"/a.png\", through: None, top: Named(\"b\"), bottom: None, name: None)",
            "Pile(of: [], on: \"/a.png\", top: Named(\"b\"))",
        ),
    ];
    for (text, expected) in cases {
        let found = resolved(text).unwrap();
        let flat = found.split_whitespace().collect::<Vec<_>>().join(" ");
        let flat = flat.replace("( ", "(").replace(", )", ")").replace("[ ", "[").replace(", ]", "]");
        assert_eq!(flat, expected);
        assert_eq!(resolved(&found).unwrap(), found, "{text}");
    }
}

#[test]
fn what_does_not_fit_is_told_at_its_place() {
    let cases = [
        ("Dot", 1, "unknown shape `Dot`"),
        ("Point(3)", 1, "expected named fields"),
        ("Point(size: 3)", 7, "unknown field `size` of `Point`"),
        ("Disc(ink: 1)", 1, "missing field `radius` of `Disc`"),
        ("Disc(radius: 0, ink: 1)", 14, "radius: 0 is not above 0"),
        ("Disc(radius: 1, ink: 0)", 1, "without ink nobody sees it"),
        ("Pile(of: Point, on: \"a\")", 10, "expected a list of shapes"),
        ("Pile(of: [], on: \"a\", top: Disc(radius: -1))", 41, "radius: -1 is not above 0"),
        ("Named(name: \"a\")", 1, "expected a string"),
    ];
    for (text, column, expected) in cases {
        let error = resolved(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert_eq!(error.location().map(|(_, _, column)| column), Some(column), "{text}: {error}");
    }
}

#[test]
fn items_are_shown_with_the_names_they_lack() {
    for (text, help) in [
        ("Disc(3.0)", "write Disc(radius: 3.0)"),
        ("Disc(3, 0.5)", "write Disc(radius: 3, ink: 0.5)"),
        ("Disc(1, 2, 3)", "allowed: `radius`, `ink`"),
        ("Point(3)", "write Point, which has no settings"),
        ("Pile([Point])", "write Pile(of: [Point])"),
    ] {
        assert_eq!(resolved(text).unwrap_err().help_text(), Some(help), "{text}");
    }
}

#[test]
fn what_an_override_makes_wrong_is_shown_in_it() {
    for (set, column, message) in [
        ("ink=0", 5, "without ink nobody sees it"),
        ("radius=-1", 8, "radius: -1 is not above 0"),
        ("radius=big", 8, "radius: expected a number, found the name `big`"),
    ] {
        let mut node = Document::parse("a.ron", "Disc(radius: 1.0)").unwrap();
        node.assign(set).unwrap();
        let error = names().build::<dyn Shape>(&node).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.location()), (message, Some(("--set", 1, column))));
    }
}

#[test]
fn what_was_measured_on_a_model_is_refused_with_another() {
    let text = "Pile(of: [Named(\"b\")], on: \"/a.png\", top: Named(\"a\"))";
    let built = names().build::<dyn Shape>(&Document::parse("a.ron", text).unwrap()).unwrap();
    assert_eq!(built.measured.len(), 2);
    built.measured[0].check("c0ffee").unwrap();
    let error = built.measured[1].check("decaf").unwrap_err();
    assert!(error.to_string().contains("a was measured on the model with the weights c0ffee"), "{error}");
    assert_eq!(error.location().map(|(_, _, column)| column), Some(43));
}

#[test]
fn a_description_is_what_the_struct_says() {
    let names = names();
    let described = |name: &str| {
        let entries = names.entries::<dyn Shape>();
        entries.iter().find(|entry| entry.description.name == name).unwrap().description.clone()
    };
    let (point, disc, pile) = (described("Point"), described("Disc"), described("Pile"));
    assert_eq!((point.example, point.stands_alone()), ("Point", true));
    assert_eq!((disc.about, disc.phrase().as_str()), ("A disc of a radius.", "a disc of a radius"));
    let fallbacks: Vec<&Fallback> = disc.settings.iter().map(|setting| &setting.fallback).collect();
    assert_eq!(fallbacks, [&Fallback::MustBeGiven, &Fallback::Value("0.5".into())]);
    assert!(!disc.stands_alone());
    let optional = pile.settings.iter().filter(|setting| setting.fallback == Fallback::Nothing);
    assert_eq!(optional.map(|setting| setting.name).collect::<Vec<_>>(), ["through", "bottom", "name"]);
    let schema = schema::kind::<dyn Shape>(&names, &mut schema::generator());
    assert_eq!(schema["oneOf"][0]["const"], "Point");
    let fields = &schema["oneOf"][2]["properties"]["Pile"];
    assert_eq!(fields["required"], serde_json::json!(["of", "on"]));
    assert_eq!(fields["properties"]["of"]["items"]["$ref"], "#/$defs/Shape");
    assert_eq!(fields["properties"]["top"]["default"], serde_json::json!({ "Disc": { "radius": 2.0 } }));
}

#[test]
fn a_later_thing_replaces_the_one_of_its_name() {
    let mut names = names();
    names.add::<dyn Shape>(Entry::value("Point", "Another.", Arc::new(Point)));
    assert_eq!(names.entries::<dyn Shape>().len(), 4);
    assert_eq!(names.entries::<dyn Shape>()[0].description.about, "Another.");
}
