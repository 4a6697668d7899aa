use std::fmt::{Display, Formatter};

use crate::{Error, Result};

/// How the address of a file begins.
pub const SCHEME: &str = "hf://";
/// The revision of an address without one.
const MAIN: &str = "main";

/// A file or folder of a model repository: `hf://OWNER/NAME[@REVISION]/PATH`, as Python's `huggingface_hub`
/// writes it.
///
/// A path that is empty or ends in `/` means a folder of weights.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    repo: String,
    revision: String,
    path: String,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is not one, with what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::Address { given: text.into(), problem };
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Err(wrong(format!("it does not begin with {SCHEME}")));
        };
        let mut parts = rest.splitn(3, '/');
        let (owner, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let path = parts.next().unwrap_or_default();
        let (name, revision) = match name.split_once('@') {
            // A slash within a revision is written as in a URL.
            Some((name, revision)) => (name, revision.replace("%2F", "/").replace("%2f", "/")),
            None => (name, MAIN.to_owned()),
        };
        Self::build(format!("{owner}/{name}"), revision, path.to_owned(), &wrong)
    }

    /// The address of `path` in `repo`, at a branch, tag or commit; `main` without one.
    ///
    /// # Errors
    /// If a part cannot be one, with what is wrong.
    pub fn new(repo: &str, revision: Option<&str>, path: &str) -> Result<Self> {
        let wrong = |problem: String| Error::Address { given: format!("{SCHEME}{repo}/{path}"), problem };
        Self::build(repo.into(), revision.unwrap_or(MAIN).into(), path.into(), &wrong)
    }

    fn build(repo: String, revision: String, path: String, wrong: &dyn Fn(String) -> Error) -> Result<Self> {
        let names: Vec<&str> = repo.split('/').collect();
        if names.len() != 2 || !names.iter().all(|name| is_name(name)) {
            return Err(wrong(format!("`{repo}` is not the name of a repository; write OWNER/NAME")));
        }
        // All parts become parts of paths in the cache.
        if !revision.split('/').all(is_part) {
            return Err(wrong(format!("`{revision}` is not a branch, tag or commit")));
        }
        let within = path.strip_suffix('/').unwrap_or(&path);
        if !within.is_empty() && !within.split('/').all(is_part) {
            return Err(wrong(format!("`{path}` is not the path of a file in a repository")));
        }
        Ok(Self { repo, revision, path })
    }

    /// `OWNER/NAME`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// A branch, a tag, or a commit of 40 hexadecimal digits.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The path in the repository.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is a folder of weights.
    pub fn is_folder(&self) -> bool {
        self.path.is_empty() || self.path.ends_with('/')
    }

    /// The commit, if the revision is one.
    pub fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(self.revision.as_str())
    }

    /// The same at another revision.
    #[must_use]
    pub fn at(&self, revision: &str) -> Self {
        Self { revision: revision.into(), ..self.clone() }
    }

    /// The file of this name in a folder, or beside a file.
    #[must_use]
    pub(crate) fn beside(&self, name: &str) -> Self {
        let folder = self.path.rfind('/').map_or("", |end| &self.path[..=end]);
        Self { path: format!("{folder}{name}"), ..self.clone() }
    }

    /// For messages: `var_d16.pth of FoundationVision/var`, with the revision unless it is `main`.
    pub fn words(&self) -> String {
        let path = if self.path.is_empty() { "the weights" } else { &self.path };
        let at = if self.revision == MAIN { String::new() } else { format!(" at {}", self.revision) };
        format!("{path} of {}{at}", self.repo)
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { repo, revision, path } = self;
        match revision.as_str() {
            MAIN => write!(f, "{SCHEME}{repo}/{path}"),
            _ => write!(f, "{SCHEME}{repo}@{}/{path}", revision.replace('/', "%2F")),
        }
    }
}

/// Whether this is the hash of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether this is one component of a relative path, on every system.
pub(crate) fn is_part(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !"\\:*?\"<>|".contains(c);
    !text.is_empty() && text != "." && text != ".." && text.len() <= 255 && text.chars().all(plain)
}

/// Whether this is the name of an owner or a repository. Two minus signs separate names in the cache.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.len() <= 96
        && text.chars().all(plain)
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && !text.contains("--")
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        let commit = "6d0ee6598a42f75079aa79e58b012b57b284c91b";
        let cases = [
            "hf://FoundationVision/var/var_d16.pth".to_owned(),
            format!("hf://FoundationVision/var@{commit}/var_d16.pth"),
            "hf://a/b@refs%2Fpr%2F1/folder/x.bin".to_owned(),
            "hf://google/flan-t5-xl/".to_owned(),
            "hf://a/b/folder/".to_owned(),
        ];
        for text in cases {
            assert_eq!(Address::parse(&text).unwrap().to_string(), text);
        }
        let address = Address::parse("hf://google/flan-t5-xl").unwrap();
        assert!(address.is_folder() && address.revision() == "main" && address.commit().is_none());
        let pinned = Address::parse(&format!("hf://a/b@{commit}/c/d.pth")).unwrap();
        assert_eq!((pinned.commit(), pinned.path()), (Some(commit), "c/d.pth"));
        assert_eq!(pinned.beside("e").path(), "c/e");
        assert_eq!(Address::parse("hf://a/b/d").unwrap().beside("e").path(), "e");
        assert_eq!(Address::parse("hf://a/b/c/").unwrap().beside("e").path(), "c/e");
    }

    #[test]
    fn what_could_lead_out_of_the_cache_is_refused() {
        let cases = [
            "var_d16.pth",
            "hf://var_d16.pth",
            "hf:///b/c",
            "hf://a--b/c/d",
            "hf://../b/c",
            "hf://a/b/../c",
            "hf://a/b/c//d",
            "hf://a/b/c\\d",
            "hf://a/b/\0",
            "hf://a/b@/c",
            "hf://a/b@..%2F..%2Fx/c",
            "hf://a/b c/d",
        ];
        for text in cases {
            let error = Address::parse(text).unwrap_err();
            assert!(matches!(error, Error::Address { .. }) && error.is_usage(), "{text}: {error}");
        }
    }
}
