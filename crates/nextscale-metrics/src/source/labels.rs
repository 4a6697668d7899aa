//! The classes of images, if known.

use std::path::{Path, PathBuf};

use nextscale_config::{Conditions, ConfigError, Document, Item};
use nextscale_files::run::CONFIG;

use super::ImageList;
use super::npz::NpzImages;
use crate::{Error, Result};

pub(super) fn of_run(root: &Path, images: u64, classes: &[String]) -> Result<Vec<u16>> {
    let path = root.join(CONFIG);
    let unusable =
        |error: ConfigError| Error::source(&path, format!("does not say what its images show: {error}"));
    let tree = Document::read(&path).map_err(unusable)?;
    let node = tree.get("condition").map_err(unusable)?;
    let indices: Vec<u64> = match Conditions::read(node).map_err(unusable)? {
        // Unusable integers are reported like labels beyond the classes.
        Conditions::Labels(labels) => {
            labels.iter().map(|label| u64::try_from(label.value).unwrap_or(u64::MAX)).collect()
        }
        Conditions::Names(names) => {
            let label = |name: &Item<'_, String>| Ok(u64::from(named(&path, &name.value, classes)?));
            names.iter().map(label).collect::<Result<_>>()?
        }
        Conditions::PerClass(count) => (0..images).map(|image| image / count as u64).collect(),
        Conditions::Prompts { texts, .. } => {
            let label = |text: &Item<'_, String>| Ok(u64::from(told(&path, &text.value, classes)?));
            texts.iter().map(label).collect::<Result<_>>()?
        }
        Conditions::PromptFile { .. } => {
            let problem =
                "its images are of texts in a file; give the run's own folder, whose config has them";
            return Err(Error::source(root, problem));
        }
        Conditions::Null(_) => {
            return Err(Error::source(
                root,
                "its images have no class (`condition: Null`); a probe or classifier needs classes",
            ));
        }
    };
    if indices.len() as u64 != images {
        let problem = format!("lists {} images, and there are {images}", indices.len());
        return Err(Error::source(&path, problem));
    }
    indices.into_iter().map(|label| index(&path, label, classes)).collect()
}

pub(super) fn of_npz(images: &NpzImages, classes: &[String]) -> Result<Vec<u16>> {
    let path = images.path();
    let Some(labels) = images.labels()? else {
        return Err(Error::source(
            path,
            "has no labels: add them as integers `arr_1`, one per image, or give a run folder or folders by class",
        ));
    };
    let label = |label: i64| index(path, u64::try_from(label).unwrap_or(u64::MAX), classes);
    labels.into_iter().map(label).collect()
}

pub(super) fn of_folders(folder: &Path, files: &[PathBuf], classes: &[String]) -> Result<Vec<u16>> {
    let label = |file: &PathBuf| {
        let class = file.parent().filter(|class| *class != folder).ok_or_else(|| {
            Error::source(
                folder,
                "does not say what its images show; give folders of images by class, a run folder, or an .npz file with \
                 labels (`arr_1`)",
            )
        })?;
        self::class(class, &class.file_name().unwrap_or_default().to_string_lossy(), classes)
    };
    files.iter().map(label).collect()
}

pub(super) fn of_list(path: &Path, list: &dyn ImageList, classes: &[String]) -> Result<Vec<u16>> {
    let Some(names) = list.classes() else {
        return Err(Error::source(path, "does not say what its images show"));
    };
    names.iter().map(|name| shown(path, name, classes)).collect()
}

/// The class with this name, or with this index in digits; errors name `path`.
fn class(path: &Path, name: &str, classes: &[String]) -> Result<u16> {
    match name.parse() {
        Ok(label) if !classes.iter().any(|class| class == name) => index(path, label, classes),
        _ => named(path, name, classes),
    }
}

/// The class that an image shows: its name or an index in digits, or the one class that a prompt names.
pub(crate) fn shown(path: &Path, shows: &str, classes: &[String]) -> Result<u16> {
    class(path, shows, classes).or_else(|error| told(path, shows, classes).map_err(|_| error))
}

fn index(path: &Path, label: u64, classes: &[String]) -> Result<u16> {
    let fits = |label: &u16| usize::from(*label) < classes.len();
    u16::try_from(label).ok().filter(fits).ok_or_else(|| {
        let count = classes.len();
        Error::source(
            path,
            format!("has a label beyond the {count} classes, 0 to {}", count.saturating_sub(1)),
        )
    })
}

fn named(path: &Path, name: &str, classes: &[String]) -> Result<u16> {
    let at = classes.iter().position(|class| class == name).and_then(|at| u16::try_from(at).ok());
    at.ok_or_else(|| {
        Error::source(path, format!("`{name}` is not one of the classes: {}", classes.join(", ")))
    })
}

/// Synonyms of CIFAR-10's classes, as in generated captions.
const ALSO: [(&str, &str); 2] = [("automobile", "car"), ("airplane", "plane")];

/// The only class that a text names, ignoring case.
fn told(path: &Path, text: &str, classes: &[String]) -> Result<u16> {
    let words = |text: &str| -> Vec<String> {
        text.to_lowercase().split(|c: char| !c.is_alphanumeric()).map(String::from).collect()
    };
    let said = words(text);
    let says = |name: &str| {
        let name = words(name);
        said.windows(name.len()).any(|part| part == name)
    };
    let names = |class: &&String| {
        says(class) || ALSO.iter().any(|(name, also)| *name == class.as_str() && says(also))
    };
    let found: Vec<&String> = classes.iter().filter(names).collect();
    match found[..] {
        [class] => named(path, class, classes),
        _ => {
            let found = match found.len() {
                0 => "none".to_owned(),
                _ => found.into_iter().map(String::as_str).collect::<Vec<_>>().join(" and "),
            };
            let problem = format!(
                "its prompt {text:?} names {found} of the probe's classes, and a probe needs one: {}",
                classes.join(", ")
            );
            Err(Error::source(path, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ImageSource;
    use crate::testing::{add_array, picture};

    fn classes() -> Vec<String> {
        ["cat", "dog", "ship"].map(String::from).to_vec()
    }

    fn labels(path: &Path) -> Result<Vec<u16>> {
        ImageSource::open(path)?.labels(&classes())
    }

    fn say(path: &Path) -> String {
        labels(path).unwrap_err().to_string()
    }

    #[test]
    fn folders_are_called_as_classes_or_by_their_indices() {
        let root = tempfile::tempdir().unwrap();
        let put = |class: &str, file: &str| {
            std::fs::create_dir_all(root.path().join(class)).unwrap();
            picture(0, 2, 2).save(root.path().join(class).join(file)).unwrap();
        };
        put("ship", "0.png");
        put("cat", "0.png");
        put("cat", "1.png");
        assert_eq!(labels(root.path()).unwrap(), [0, 0, 2]);
        put("01", "0.png");
        assert_eq!(labels(root.path()).unwrap(), [1, 0, 0, 2]);
        put("cow", "0.png");
        assert!(say(root.path()).contains("`cow` is not one of the classes: cat, dog, ship"));
        assert!(say(&root.path().join("cat")).contains("does not say what its images show"));
        put("3", "0.png");
        assert!(say(root.path()).contains("3 has a label beyond the 3 classes, 0 to 2"));
    }

    #[test]
    fn a_list_names_its_classes() {
        let list = || std::sync::Arc::new(crate::source::list::tests::Few::of(&[picture(0, 2, 2)]));
        let source = ImageSource::of_list(list(), None).unwrap();
        assert_eq!(source.labels(&classes()).unwrap(), [1]);
        let of = |shows: &str| shown(Path::new("x"), shows, &classes());
        assert_eq!((of("a photo of a ship").unwrap(), of("1").unwrap()), (2, 1));
        assert!(of("a dog and a cat").unwrap_err().to_string().contains("`a dog and a cat`"));
        let error = source.labels(&["cow".into()]).unwrap_err().to_string();
        assert!(error.contains("a few: `dog` is not one of the classes: cow"), "{error}");
    }

    #[test]
    fn arrays_have_labels_as_integers() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        let write = |add: &dyn Fn(&mut crate::testing::Writer)| {
            let mut writer = npyz::npz::NpzWriter::create(&path).unwrap();
            add_array(&mut writer, "arr_0", &[2, 1, 1, 3], &[0_u8; 6]);
            add(&mut writer);
        };
        write(&|writer| add_array(writer, "arr_1", &[2], &[2_i64, 0]));
        assert_eq!(labels(&path).unwrap(), [2, 0]);
        write(&|writer| add_array(writer, "arr_1", &[2], &[1_u8, 0]));
        assert_eq!(labels(&path).unwrap(), [1, 0]);
        write(&|_| {});
        assert!(say(&path).contains("a.npz has no labels"));
        write(&|writer| add_array(writer, "arr_1", &[2], &[-1_i32, 0]));
        assert!(say(&path).contains("beyond the 3 classes"));
        write(&|writer| add_array(writer, "arr_1", &[1], &[0_i64]));
        assert!(say(&path).contains("`arr_1` has shape [1], expected one label per image, [2]"));
        write(&|writer| add_array(writer, "arr_1", &[2], &[0.0_f32, 1.0]));
        assert!(say(&path).contains("`arr_1` is stored as <f4"));
    }

    #[test]
    fn a_run_says_it_in_its_config() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("cfg")).unwrap();
        for i in 0..3 {
            picture(i, 2, 2).save(root.path().join(format!("cfg/{i}.png"))).unwrap();
        }
        let manifest = r#"{"config":"c0ffee","folders":["cfg"],"images":3}"#;
        std::fs::write(root.path().join("manifest.json"), manifest).unwrap();
        let with = |condition: &str| {
            std::fs::write(root.path().join(CONFIG), format!("(model: Any, condition: {condition})"))
                .unwrap();
            let of_run = labels(root.path());
            assert_eq!(of_run.as_ref().ok(), labels(&root.path().join("cfg")).as_ref().ok(), "{condition}");
            of_run.map_err(|error| error.to_string())
        };
        assert_eq!(with("PerClass(1)").unwrap(), [0, 1, 2]);
        assert_eq!(with("Labels([2, 0, 2])").unwrap(), [2, 0, 2]);
        assert_eq!(with("Names([\"dog\", \"cat\", \"ship\"])").unwrap(), [1, 0, 2]);
        let texts = |last: &str| with(&format!("Prompts([\"a red Dog.\", \"cat\", \"{last}\"])"));
        assert_eq!(texts("a photo of a ship at sea").unwrap(), [1, 0, 2]);
        let cars = ["automobile", "ship"].map(String::from);
        let of_car = |text: &str| told(Path::new("x"), text, &cars);
        assert_eq!((of_car("a red car").unwrap(), of_car("an Automobile").unwrap()), (0, 0));
        assert!(of_car("a cart").is_err());
        assert!(
            texts("ships").unwrap_err().contains("its prompt \"ships\" names none of the probe's classes")
        );
        assert!(texts("a cat, a dog").unwrap_err().contains("names cat and dog of the probe's classes"));
        for (condition, told) in [
            ("Null(3)", "have no class"),
            ("Null", "have no class"),
            ("Prompts(file: \"x.txt\")", "texts in a file"),
            ("Labels([1])", "lists 1 images, and there are 3"),
            ("Labels([0, 1, 3])", "config.ron has a label beyond"),
            ("Names([\"cow\", \"cat\", \"cat\"])", "`cow` is not one of the classes"),
            ("Other", "config.ron does not say what its images show"),
        ] {
            let error = with(condition).unwrap_err();
            assert!(error.contains(told), "{condition}: {error}");
        }
    }
}
