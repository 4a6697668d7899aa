use super::*;
use crate::Error;
use nextscale_config::Document;

/// An ablation of the tiny model with random weights.
pub(crate) fn read(rest: &str) -> Result<Ablation> {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var");
    let text = format!(
        "(base: (
            model: Var(tokenizer: \"{fixtures}/vae.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", norm_groups: 4),
            condition: PerClass(1), guidance: Cfg(scale: 1.5)),\n{rest})"
    );
    let mut node = Document::parse("a.ron", &text)?;
    Ablation::quicken(&mut node)?;
    Ablation::from_node(&node, Path::new(""), &Registry::standard(), &Judges::standard())
}

const SSG: &str = r#"(name: "ssg", set: {"guidance": Ssg(base: Cfg(scale: 1.5), prior: Dse(), beta: 0.5)}"#;

#[test]
fn variants_and_axes_make_cells() {
    let text = format!(
        r#"variants: [(name: "none"), (name: "sharp", pixels: Unsharp(0.5)), {SSG}, axes: [{{"guidance.beta": [0.25, 0.5]}}])],
        axes: [{{"sampling": [TopKTopP(), TopKTopP(top_k: 9)]}}],
        baseline: "none, sampling = TopKTopP()", seeds: [1, 2], samples: 1000, quick: {{"samples": 7}}"#
    );
    let ablation = read(&text).unwrap();
    let names: Vec<&str> = ablation.cells.iter().map(|cell| cell.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "none, sampling = TopKTopP()",
            "none, sampling = TopKTopP(top_k: 9)",
            "sharp, sampling = TopKTopP()",
            "sharp, sampling = TopKTopP(top_k: 9)",
            "ssg, beta = 0.25, sampling = TopKTopP()",
            "ssg, beta = 0.25, sampling = TopKTopP(top_k: 9)",
            "ssg, beta = 0.5, sampling = TopKTopP()",
            "ssg, beta = 0.5, sampling = TopKTopP(top_k: 9)",
        ]
    );
    assert_eq!((ablation.samples, ablation.baseline), (7, 0));
    // A filter on pixels changes no generated image; everything else does.
    let ids: Vec<String> = ablation.cells.iter().map(|cell| cell.id("cpu")).collect();
    assert_eq!(ids[0], ids[2]);
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 6);
    assert_ne!(ids[0], ablation.cells[0].id("cuda"));
    // Programs whose results may differ in the last digit do not mix.
    let under = |version: &str| ablation.cells[0].id_under("cpu", version);
    assert_eq!(ids[0], under(&nextscale_pipeline::version::words()));
    let versions = ["0.1.0, results 1", "0.1.0, results 2", "0.2.0, results 1"].map(under);
    assert!((0..3).all(|i| (0..i).all(|j| versions[i] != versions[j])), "{versions:?}");
    assert_eq!(ablation.cells[4].settings[0], ("guidance.beta".into(), "0.25".into()));
}

#[test]
fn a_variant_tunes_its_own_strength_beside_the_common_axes() {
    let rest = r#"seeds: [1], samples: 9, baseline: "none""#;
    let tune =
        r#"tune: (axes: [{"sampling.temperature": [0.7, 1.0]}], seeds: [100], samples: 9, by: "Mean")"#;
    let variants = format!(r#"variants: [(name: "none"), {SSG}, tune: [{{"guidance.beta": [0.25, 0.5]}}])]"#);
    let ablation = read(&format!("{variants}, {tune}, {rest}")).unwrap();
    let common = &ablation.tune.as_ref().unwrap().axes;
    let points = |cell: &Cell| product(cell.tune.iter().chain(common)).len();
    assert_eq!(ablation.cells.iter().map(points).collect::<Vec<_>>(), [2, 4]);
    // A cell keeps its own tuning axes at every point.
    let point = &product(&ablation.cells[1].tune)[0];
    let at = ablation.cells[1].with(point, Path::new(""), &Registry::standard()).unwrap();
    assert_eq!((at.said("guidance.beta"), at.tune.len()), ("Constant(0.25)".into(), 1));
    let error = read(&format!("{variants}, {rest}")).err().unwrap().to_string();
    assert!(error.contains("but the ablation has none"), "{error}");
}

#[test]
fn mistakes_are_told_with_place_and_remedy() {
    let rest = r#"baseline: "none", seeds: [1], samples: 9"#;
    let mistakes = [
        r#"variants: [(name: "none")], baseline: "non", seeds: [1], samples: 9"#.into(),
        format!(r#"variants: [(name: "none"), (name: "none")], {rest}"#),
        format!(r#"variants: [(name: "none", set: {{"guidance.betta": 1}})], {rest}"#),
        format!(r#"variants: [(name: "none", set: {{"seed": 1}})], {rest}"#),
        format!(r#"variants: [(name: "none", pixel: Unsharp(1))], {rest}"#),
        format!(r#"variants: [(name: "none")], axes: [{{"guidance.scale": []}}], {rest}"#),
        format!(r#"variants: [(name: "none")], measure: [Pixels], {rest}"#),
        r#"variants: [(name: "none")], baseline: "none", seeds: [1, 1], samples: 9"#.into(),
        r#"variants: [(name: "none")], baseline: "none", seeds: [1], samples: 1"#.into(),
        format!(
            r#"variants: [(name: "none")], tune: (axes: [{{"sampling": [Argmax]}}], seeds: [1], samples: 9, by: "x"), {rest}"#
        ),
    ];
    let told: Vec<String> = mistakes
        .iter()
        .map(|text| match read(text).err() {
            Some(Error::Config(error)) | Some(Error::Pipeline(nextscale_pipeline::Error::Config(error))) => {
                let (_, line, column) = error.location().unwrap();
                format!("{text}\n  {line}:{column}: {error}\n  {}", error.help_text().unwrap_or("-"))
            }
            other => panic!("{text}: {other:?}"),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}
