use std::path::Path;

use crate::{Error, Result};

/// The prompts of a text file, one per line; an empty line is the empty text. The last line may lack a
/// newline.
///
/// # Errors
/// If the file cannot be read or has no lines, or a line is not UTF-8; the message has its number.
pub fn read_prompts(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    let bytes =
        std::fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
    let refuse = |detail: String| Error::PromptFile { path: path.into(), detail };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        refuse(format!("line {line} is not UTF-8; save the file as UTF-8 text"))
    })?;
    // Some editors add a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let prompts: Vec<String> = text.lines().map(String::from).collect();
    if prompts.is_empty() {
        return Err(refuse("it has no lines; write one prompt per line".into()));
    }
    Ok(prompts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_prompts_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.txt");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_prompts(&path)
        };
        assert_eq!(
            read("\u{feff}a truck\r\n\nein Schäfchen".as_bytes()).unwrap(),
            ["a truck", "", "ein Schäfchen"]
        );
        assert_eq!(read(b"a\n").unwrap(), ["a"]);
        let error = read(b"a truck\na ship\nein Sch\xe4fchen\n").unwrap_err().to_string();
        assert!(error.contains("prompts.txt: line 3 is not UTF-8"), "{error}");
        assert!(read(b"").unwrap_err().to_string().contains("no line"));
        let error = read_prompts(folder.path().join("none.txt")).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("none.txt"), "{error}");
    }
}
