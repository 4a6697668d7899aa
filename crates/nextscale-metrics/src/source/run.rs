//! Run folders: their images and config.

use std::path::{Path, PathBuf};

use nextscale_files::run::{Contents, MANIFEST};

use crate::{Error, Result};

/// The images of one rule of a run.
pub(super) struct RunImages {
    /// The run's own folder.
    pub root: PathBuf,
    pub folder: PathBuf,
    pub config: String,
    pub images: u64,
}

/// The run whose folder this is, or which has this rule's folder; `None` if it is neither.
pub(super) fn find(path: &Path) -> Result<Option<RunImages>> {
    // `path/..` resolves links and `.`, where the last part of the path may not be the folder's name.
    let whole = path.canonicalize().map_err(Error::io("read", path))?;
    if let Some(manifest) = read(&whole)? {
        let [folder] = manifest.folders.as_slice() else {
            let each: Vec<_> =
                manifest.folders.iter().map(|name| path.join(name).display().to_string()).collect();
            let problem = format!("is a run of several rules; name one of {}", each.join(", "));
            return Err(Error::source(path, problem));
        };
        let folder = path.join(folder);
        return Ok(Some(RunImages {
            root: path.into(),
            folder,
            config: manifest.config,
            images: manifest.images,
        }));
    }
    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else { return Ok(None) };
    let manifest = read(parent)?.filter(|manifest| manifest.folders.iter().any(|folder| **folder == *name));
    Ok(manifest.map(|manifest| RunImages {
        root: parent.into(),
        folder: path.into(),
        config: manifest.config,
        images: manifest.images,
    }))
}

fn read(folder: &Path) -> Result<Option<Contents>> {
    Contents::read(folder).map_err(Error::io("read", folder.join(MANIFEST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ImageSource;
    use crate::testing::picture;

    #[test]
    fn a_run_tells_its_config_and_which_images_are_its() {
        let root = tempfile::tempdir().unwrap();
        let write = |folders: &str, images: u64| {
            let text = format!(r#"{{"format":1,"config":"c0ffee","folders":{folders},"images":{images}}}"#);
            std::fs::write(root.path().join(MANIFEST), text).unwrap();
        };
        for name in ["none", "ssg"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
            picture(0, 2, 2).save(root.path().join(name).join("0.png")).unwrap();
        }
        picture(0, 9, 9).save(root.path().join("grid.png")).unwrap();
        write(r#"["none","ssg"]"#, 1);
        let error = ImageSource::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("several rules") && error.contains("/ssg"), "{error}");
        let one = ImageSource::open(&root.path().join("ssg")).unwrap();
        assert_eq!((one.config(), one.count()), (Some("c0ffee"), 1));
        write(r#"["none"]"#, 1);
        assert_eq!(ImageSource::open(root.path()).unwrap().size(), [2, 2]);
        assert_eq!(ImageSource::open(&root.path().join("ssg")).unwrap().config(), None);
        write(r#"["none"]"#, 3);
        let error = ImageSource::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("holds 1 of its 3 images"), "{error}");
        std::fs::write(root.path().join(MANIFEST), r#"{"name":"a web page"}"#).unwrap();
        std::fs::remove_file(root.path().join("grid.png")).unwrap();
        assert_eq!(ImageSource::open(root.path()).unwrap().count(), 2);
    }
}
