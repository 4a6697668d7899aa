//! What a command reads and where it writes: checked before the work, not after.

use std::path::{Path, PathBuf};

use crate::files::{visible_children, words_of_missing};

use super::Failure;

/// Whether a file could be written.
pub fn check_file(file: &Path) -> Result<(), Failure> {
    let shown = file.display();
    if file.is_dir() {
        return Err(Failure::Usage(miette::miette!(
            "{shown} is a folder; name a file in it, as in {shown}/NAME"
        )));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    Err(Failure::Usage(match in_the_way(folder) {
        Some(problem) => miette::miette!("{shown} cannot be written: {problem}"),
        None => miette::miette!("{shown} cannot be written: create its folder first"),
    }))
}

/// Whether a file that an option takes is there; `takes` says what the option takes.
pub fn check_given(file: &Path, takes: &str) -> Result<(), Failure> {
    let shown = file.display();
    if file.is_dir() {
        let inside = visible_children(file).unwrap_or_default().into_iter().filter(|path| path.is_file());
        let inside: Vec<_> = inside.map(|path| path.display().to_string()).collect();
        let help = match inside.len() {
            0 => format!("name a file in it, as in {shown}/NAME"),
            1..=5 => format!("in it: {}", inside.join(", ")),
            more => format!("in it: {}, and {} more files", inside[..5].join(", "), more - 5),
        };
        return Err(Failure::Usage(miette::miette!(help = help, "{takes}; {shown} is a folder")));
    }
    if !file.exists() {
        return Err(Failure::Usage(miette::miette!("{takes}; {}", words_of_missing(file))));
    }
    Ok(())
}

/// A folder that can be written or made, without a `.` at its end, under which no system makes one.
pub fn folder(folder: PathBuf) -> Result<PathBuf, Failure> {
    match in_the_way(&folder) {
        Some(problem) => Err(Failure::Usage(miette::miette!(
            help = "choose another folder with --out",
            "{} cannot be written: {problem}",
            folder.display()
        ))),
        None => Ok(folder.components().collect()),
    }
}

/// What is at a folder's place, or on the way to it, and is not a folder.
fn in_the_way(folder: &Path) -> Option<String> {
    let there = folder.ancestors().find(|path| path.symlink_metadata().is_ok())?;
    let shown = there.display();
    match there.metadata() {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(metadata) if metadata.is_file() => Some(format!("{shown} is a file, not a folder")),
        Ok(_) => Some(format!("{shown} is not a folder")),
        Err(error) if there.is_symlink() => Some(match there.read_link() {
            Ok(target) if error.kind() == std::io::ErrorKind::NotFound => {
                format!("{shown} is a link to {}, which is not there", target.display())
            }
            _ => format!("the link {shown} cannot be followed ({error})"),
        }),
        Err(error) => Some(format!("{shown} cannot be read ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_and_what_can_be_made_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::fs::create_dir(at("there")).unwrap();
        let words = |failure: Failure| match failure {
            Failure::Usage(report) => report.to_string(),
            other => panic!("{other:?}"),
        };
        let told = |found: Result<PathBuf, Failure>| words(found.unwrap_err());
        assert_eq!(folder(at("new/.")).unwrap(), at("new"));
        assert_eq!(folder(at("new/deeper")).unwrap(), at("new/deeper"));
        assert_eq!(folder("new".into()).unwrap(), Path::new("new"));
        assert_eq!(folder(at("there")).unwrap(), at("there"));
        assert!(told(folder(at("file"))).contains("file is a file, not a folder"));
        assert!(told(folder(at("file/below"))).contains("file is a file, not a folder"));
        #[cfg(unix)]
        {
            assert!(told(folder("/dev/null".into())).contains("/dev/null is not a folder"));
            std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
            assert!(told(folder(at("link"))).contains("nowhere, which is not there"));
            assert!(told(folder(at("link/below"))).contains("nowhere, which is not there"));
            std::os::unix::fs::symlink(at("there"), at("good")).unwrap();
            folder(at("good")).unwrap();
        }
        let told = |name: &str| words(check_file(&at(name)).unwrap_err());
        check_file(&at("there/a")).unwrap();
        check_file(&at("file")).unwrap();
        assert!(told("there").contains("there is a folder; name a file in it"));
        assert!(told("file/a").contains("file is a file, not a folder"));
        assert!(told("none/a").contains("create its folder first"));
    }
}
