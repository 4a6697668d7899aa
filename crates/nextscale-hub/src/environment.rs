use std::fmt::{Debug, Formatter};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, Result};

/// Where the files come from if `HF_ENDPOINT` does not say.
const ENDPOINT: &str = "https://huggingface.co";

/// What the variables of Hugging Face's libraries say, with the defaults of Python's `huggingface_hub`.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The cache's folder: `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// The server: `HF_ENDPOINT`, without a slash at the end.
    pub endpoint: String,
    /// `HF_TOKEN`, else what the file `HF_HOME/token` or `HF_TOKEN_PATH` holds.
    pub token: Option<Token>,
    /// Whether the network must not be used: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// Hosts that are reached without a proxy: `NO_PROXY`.
    pub without_proxy: Vec<String>,
    /// The longest wait for a connection: `HF_HUB_ETAG_TIMEOUT`, 10 s.
    pub answer: Duration,
    /// The longest wait for an answer, or for more of a file: `HF_HUB_DOWNLOAD_TIMEOUT`, 10 s.
    pub silence: Duration,
    /// The first wait before another attempt, which doubles from one to the next.
    pub patience: Duration,
}

/// An access token, and where it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub(crate) value: String,
    pub(crate) from: String,
}

impl Debug for Token {
    /// Without the token itself.
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(from {})", self.from)
    }
}

impl Environment {
    /// That of this process.
    ///
    /// # Errors
    /// If a variable has a value that cannot be used.
    pub fn of_process() -> Result<Self> {
        Self::read(&|name| std::env::var(name).ok(), std::env::home_dir().as_deref())
    }

    /// From any variables; an empty one counts as unset.
    ///
    /// # Errors
    /// If one has a value that cannot be used, or there is no folder for the cache.
    pub fn read(get: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Result<Self> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| get(name).map(|value| expanded(value.trim(), &get, home));
        let hugging_face = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| home.map(|home| home.join(".cache/huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| hugging_face.as_ref().map(|folder| folder.join("hub")));
        let Some(cache) = cache else {
            let problem = "it is not set and there is no home folder: set it to the folder for downloads";
            return Err(Error::Variable { name: "HF_HOME", problem: problem.into() });
        };
        let endpoint = get("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into());
        let endpoint = endpoint.trim().trim_end_matches('/').to_owned();
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        if host.is_none_or(str::is_empty) {
            let problem = format!("`{endpoint}` is not the address of a server: write https://HOST");
            return Err(Error::Variable { name: "HF_ENDPOINT", problem });
        }
        let without = get("NO_PROXY").or_else(|| get("no_proxy")).unwrap_or_default();
        let offline = get("HF_HUB_OFFLINE").or_else(|| get("TRANSFORMERS_OFFLINE"));
        Ok(Self {
            cache: std::path::absolute(&cache).unwrap_or(cache),
            endpoint,
            token: token(&get, path("HF_TOKEN_PATH").or(hugging_face.map(|folder| folder.join("token")))),
            offline: offline.is_some_and(|value| is_true(&value)),
            without_proxy: without.split(',').map(|host| host.trim().to_ascii_lowercase()).collect(),
            answer: seconds("HF_HUB_ETAG_TIMEOUT", &get)?,
            silence: seconds("HF_HUB_DOWNLOAD_TIMEOUT", &get)?,
            patience: Duration::from_secs(1),
        })
    }
}

fn token(get: &dyn Fn(&str) -> Option<String>, file: Option<PathBuf>) -> Option<Token> {
    if get("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| is_true(&value)) {
        return None;
    }
    // A line feed, which copying adds, would end the header that carries the token.
    let clean = |value: String| value.replace(['\r', '\n'], "").trim().to_owned();
    let named = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter();
    let found = named.filter_map(|name| Some((clean(get(name)?), name.to_owned())));
    let on_disk = || {
        let file = file?;
        Some((clean(std::fs::read_to_string(&file).ok()?), file.display().to_string()))
    };
    let mut found = found.chain(std::iter::once_with(on_disk).flatten());
    found.find(|(value, _)| !value.is_empty()).map(|(value, from)| Token { value, from })
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.trim().to_ascii_uppercase().as_str())
}

fn seconds(name: &'static str, get: &dyn Fn(&str) -> Option<String>) -> Result<Duration> {
    let Some(value) = get(name) else { return Ok(Duration::from_secs(10)) };
    match value.trim().parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => {
            let problem = format!("`{value}` is not a number of seconds: write a whole number from 1 on");
            Err(Error::Variable { name, problem })
        }
    }
}

/// A path with `~` and `$NAME` at its front replaced, as shells and Python's library do.
fn expanded(path: &str, get: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> PathBuf {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let front = match first {
        "~" => home.map(Path::to_owned),
        _ => {
            let name = first.strip_prefix('$');
            let name = name.map(|name| name.trim_start_matches('{').trim_end_matches('}'));
            name.and_then(get).map(PathBuf::from)
        }
    };
    front.map_or_else(|| PathBuf::from(path), |front| front.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment> {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).into());
        Environment::read(&get, Some(Path::new("/home/ada")))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |variables: &[(&str, &str)]| read(variables).unwrap().cache;
        assert_eq!(cache(&[]), Path::new("/home/ada/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("XDG_CACHE_HOME", "/x")]), Path::new("/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "~/hf")]), Path::new("/home/ada/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "${WORK}/hf"), ("WORK", "/w")]), Path::new("/w/hf/hub"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/hf")]), Path::new("/old"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/old")]), Path::new("/c"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "")]), Path::new("/home/ada/.cache/huggingface/hub"));
    }

    #[test]
    fn a_token_comes_from_the_variable_or_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(read(&[("HF_HOME", home)]).unwrap().token, None);
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let filed = read(&[("HF_HOME", home)]).unwrap().token.unwrap();
        assert_eq!(filed.value, "hf_file");
        assert!(filed.from.ends_with("token"), "{filed:?}");
        let named = read(&[("HF_HOME", home), ("HF_TOKEN", " hf_variable\n")]).unwrap().token.unwrap();
        assert_eq!((named.value.as_str(), named.from.as_str()), ("hf_variable", "HF_TOKEN"));
        assert!(!format!("{named:?}").contains("hf_variable"));
        let hidden = read(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).unwrap();
        assert_eq!(hidden.token, None);
    }

    #[test]
    fn offline_is_told_by_python_s_words() {
        for (value, offline) in [("1", true), ("true", true), ("YES", true), ("0", false), ("no", false)] {
            assert_eq!(read(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, offline, "{value}");
        }
        assert!(read(&[("TRANSFORMERS_OFFLINE", "1")]).unwrap().offline);
    }

    #[test]
    fn a_value_that_cannot_be_used_is_told_with_its_variable() {
        assert_eq!(read(&[("HF_ENDPOINT", "http://m:1/")]).unwrap().endpoint, "http://m:1");
        for (name, value) in
            [("HF_ENDPOINT", "mirror"), ("HF_ENDPOINT", "https://"), ("HF_HUB_ETAG_TIMEOUT", "soon")]
        {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name) && error.is_usage(), "{error}");
        }
        assert!(Environment::read(&|_| None, None).is_err());
    }
}
