//! What is said of files: that they are not there, or what is wrong with them.

use std::io::ErrorKind;
use std::path::Path;

/// `path`, if what the system said is that nothing is there.
pub fn missing<'a>(path: &'a Path, error: &std::io::Error) -> Option<&'a Path> {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory).then_some(path)
}

/// The words for a path that leads nowhere: the first part of it that is not there, and where it was looked for.
pub fn words_of_missing(path: &Path) -> String {
    let absent = path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists()).last();
    let absent = absent.unwrap_or(path);
    let name = absent.file_name().unwrap_or(absent.as_os_str()).to_string_lossy();
    let place = match absent.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && folder != Path::new(".") => {
            folder.display().to_string()
        }
        _ => "the current folder".into(),
    };
    // A part above the last is a folder; the last is usually a file if its name has an ending.
    match (absent == path, absent.extension().is_some()) {
        (true, true) => format!("there is no file `{name}` in {place}"),
        (true, false) => format!("there is no file or folder `{name}` in {place}"),
        (false, _) => format!("there is no folder `{name}` in {place}, so no {}", path.display()),
    }
}

/// What is wrong with a file, as a sentence: `a.txt is text`, `a.png: the image ends early`.
pub fn sentence(path: &Path, problem: &str) -> String {
    // The file is the subject.
    const VERBS: [&str; 9] = ["is", "has", "holds", "lacks", "does", "says", "changed", "names", "ends"];
    let colon = if problem.split(' ').next().is_some_and(|word| VERBS.contains(&word)) { "" } else { ":" };
    format!("{}{colon} {problem}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let words = |path: &str| words_of_missing(&folder.path().join(path));
        assert_eq!(words("a.pth"), format!("there is no file `a.pth` in {root}"));
        assert_eq!(words("a"), format!("there is no file or folder `a` in {root}"));
        let inside = format!("there is no folder `models.d` in {root}, so no {root}/models.d/llm/a.pth");
        assert_eq!(words("models.d/llm/a.pth"), inside);
        let here = words_of_missing(Path::new("nowhere-at-all.ron"));
        assert_eq!(here, "there is no file `nowhere-at-all.ron` in the current folder");
    }

    #[test]
    fn only_what_is_not_there_is_missing() {
        let path = Path::new("a.pth");
        assert_eq!(missing(path, &ErrorKind::NotFound.into()), Some(path));
        assert_eq!(missing(path, &ErrorKind::PermissionDenied.into()), None);
    }

    #[test]
    fn a_problem_that_begins_with_a_verb_needs_no_colon() {
        let path = Path::new("a.png");
        assert_eq!(sentence(path, "is text"), "a.png is text");
        assert_eq!(sentence(path, "the image ends early"), "a.png: the image ends early");
    }
}
