//! Requests: redirects by hand, so that the token goes to its own server only, and what the Hub's headers say.

use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::address::{is_commit, is_part};
use crate::{Address, Environment, Error, Result, Token};

/// As in Python's library.
const REDIRECTS: usize = 10;

/// A server of repositories.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
}

/// What a server says of a file.
#[derive(Debug, Clone)]
pub(crate) enum Described {
    /// It has it.
    File { commit: String, etag: String, size: Option<u64> },
    /// The commit has no such file.
    NoFile { commit: String },
}

impl Described {
    pub fn commit(&self) -> &str {
        match self {
            Self::File { commit, .. } | Self::NoFile { commit } => commit,
        }
    }
}

/// No answer at all, in words.
pub(crate) struct Silence(pub String);

impl Client {
    pub fn new(environment: &Environment) -> Self {
        // The system's certificates, which an institution's proxy may have added its own to.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("nextscale/", env!("CARGO_PKG_VERSION")))
            // A hash is of the file, not of its compressed form, and ranges count its bytes.
            .accept_encoding("identity")
            .timeout_resolve(Some(environment.answer))
            .timeout_connect(Some(environment.answer))
            .timeout_recv_response(Some(environment.answer))
            .timeout_per_read(Some(environment.silence))
            .build();
        Self {
            agent: config.into(),
            endpoint: environment.endpoint.clone(),
            token: environment.token.clone(),
        }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The address of a file's bytes.
    fn url(&self, address: &Address) -> String {
        let revision = encoded(address.revision(), "");
        format!("{}/{}/resolve/{revision}/{}", self.endpoint, address.repo(), encoded(address.path(), "/"))
    }

    /// Asks for a file's commit, ETag and size.
    ///
    /// # Errors
    /// [`Silence`] without an answer; otherwise what the answer means.
    pub fn describe(&self, address: &Address) -> Result<Result<Described>, Silence> {
        let answer = self.send(&Method::HEAD, &self.url(address), None)?;
        Ok(self.read(address, &answer))
    }

    fn read(&self, address: &Address, answer: &Answer) -> Result<Described> {
        let unsound = |problem: &str| Error::NoHub {
            address: address.clone(),
            endpoint: self.endpoint.clone(),
            problem: problem.into(),
        };
        let Answer { told, response } = answer;
        let status = response.status();
        let commit = told.commit.clone().filter(|commit| is_commit(commit));
        if status == StatusCode::NOT_FOUND
            && let Some(commit) = commit
        {
            return Ok(Described::NoFile { commit });
        }
        if !(status.is_success() || status.is_redirection()) {
            return Err(self.refusal(address, response));
        }
        let commit = commit.ok_or_else(|| unsound("its answer states no commit (X-Repo-Commit)"))?;
        let etag = told.linked_etag.as_deref().or(told.etag.as_deref()).map(normalised);
        let etag = etag.ok_or_else(|| unsound("its answer has no ETag"))?;
        // It will be a file's name.
        if !is_part(etag) || etag.contains('/') || etag.starts_with('.') || etag.len() > 200 {
            return Err(unsound("its ETag cannot be a file's name"));
        }
        Ok(Described::File { commit, etag: etag.into(), size: told.linked_size.or(told.length) })
    }

    /// Asks for a file's bytes, from `start` on.
    ///
    /// # Errors
    /// [`Silence`] without an answer.
    pub fn get(&self, address: &Address, start: u64) -> Result<Response<Body>, Silence> {
        Ok(self.send(&Method::GET, &self.url(address), (start > 0).then_some(start))?.response)
    }

    /// What a status other than success means.
    pub fn refusal(&self, address: &Address, response: &Response<Body>) -> Error {
        let (address, endpoint) = (address.clone(), self.endpoint.clone());
        let code = text(response.headers(), "x-error-code");
        let missing = |missing, known| Error::Missing {
            address: address.clone(),
            endpoint: endpoint.clone(),
            missing,
            known,
        };
        match (response.status().as_u16(), code.as_deref()) {
            (404, Some("RevisionNotFound")) => missing("no such revision", false),
            (404, Some("EntryNotFound")) => missing("no such file at that revision", true),
            (404, _) => missing("no such repository, or no such file in it", false),
            (status @ (401 | 403), _) => {
                let token = self.token.as_ref().map(|token| token.from.clone());
                Error::Refused { address, endpoint, status, token }
            }
            (status, _) => Error::Status { address, endpoint, status },
        }
    }

    fn send(&self, method: &Method, url: &str, start: Option<u64>) -> Result<Answer, Silence> {
        let unsound = |what: &str| Silence(format!("{what} `{url}`"));
        let mut place: Uri = url.parse().map_err(|_| unsound("not an address:"))?;
        let home = origin(&place);
        let mut told = Told::default();
        for _ in 0..=REDIRECTS {
            let mut request = Request::builder().method(method).uri(&place);
            if let Some(start) = start {
                request = request.header(header::RANGE, format!("bytes={start}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| origin(&place) == home) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.value));
            }
            let request = request.body(()).map_err(|error| Silence(error.to_string()))?;
            let response = self.agent.run(request).map_err(|error| Silence(error.to_string()))?;
            told.hear(&response);
            let next = text(response.headers(), "location").filter(|_| response.status().is_redirection());
            let Some(next) = next else { return Ok(Answer { told, response }) };
            let next = joined(&place, &next).ok_or_else(|| unsound("an unusable redirect from"))?;
            // The Hub describes a large file in the answer that redirects to where its bytes are.
            let elsewhere = origin(&next) != home;
            if *method == Method::HEAD && told.describes_all(elsewhere) {
                return Ok(Answer { told, response });
            }
            place = next;
        }
        Err(unsound("too many redirects from"))
    }
}

struct Answer {
    told: Told,
    response: Response<Body>,
}

/// What the headers along a chain of redirects say.
#[derive(Debug, Default)]
struct Told {
    commit: Option<String>,
    linked_etag: Option<String>,
    etag: Option<String>,
    linked_size: Option<u64>,
    length: Option<u64>,
}

impl Told {
    /// The answer that names the commit counts; those that redirect to it, or from it to a file server, do
    /// not know the file or its ETag.
    fn hear(&mut self, response: &Response<Body>) {
        let headers = response.headers();
        let Some(commit) = text(headers, "x-repo-commit") else { return };
        let number = |name| text(headers, name).and_then(|text| text.parse().ok());
        *self = Self {
            commit: Some(commit),
            linked_etag: text(headers, "x-linked-etag"),
            etag: text(headers, "etag"),
            linked_size: number("x-linked-size"),
            // That of a redirect is of its own text.
            length: number("content-length").filter(|_| response.status().is_success()),
        };
    }

    fn describes_all(&self, elsewhere: bool) -> bool {
        self.commit.is_some() && (self.linked_etag.is_some() || (elsewhere && self.etag.is_some()))
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Without the marks of a weak or quoted ETag.
fn normalised(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// Scheme, host and port, which decide whether the token is sent.
fn origin(place: &Uri) -> (String, String, u16) {
    let scheme = place.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let default = if scheme == "http" { 80 } else { 443 };
    let host = place.host().unwrap_or_default().to_ascii_lowercase();
    (scheme, host, place.port_u16().unwrap_or(default))
}

/// A redirect's target, which may lack a host.
fn joined(from: &Uri, to: &str) -> Option<Uri> {
    let known = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    if let Some(rest) = to.strip_prefix("//") {
        return format!("{}://{rest}", from.scheme_str()?).parse().ok().filter(known);
    }
    if to.starts_with('/') {
        return format!("{}://{}{to}", from.scheme_str()?, from.authority()?).parse().ok().filter(known);
    }
    to.parse().ok().filter(known)
}

/// As a part of a URL; `kept` are letters that stay beside the unreserved ones.
fn encoded(text: &str, kept: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || kept.as_bytes().contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_s_server_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| origin(&a.parse().unwrap()) == origin(&b.parse().unwrap());
        assert!(same("https://huggingface.co/a", "https://HuggingFace.co:443/b"));
        assert!(!same("https://huggingface.co/a", "http://huggingface.co/a"));
        assert!(!same("https://huggingface.co/a", "https://cdn.huggingface.co/a"));
        assert!(!same("http://127.0.0.1:1/a", "http://127.0.0.1:2/a"));
    }

    #[test]
    fn redirects_are_joined() {
        let from: Uri = "https://h:1/a/b?c".parse().unwrap();
        let join = |to: &str| joined(&from, to).map(|uri| uri.to_string());
        assert_eq!(join("/x?y").as_deref(), Some("https://h:1/x?y"));
        assert_eq!(join("//cdn/x").as_deref(), Some("https://cdn/x"));
        assert_eq!(join("http://cdn/x").as_deref(), Some("http://cdn/x"));
        assert_eq!(join("file:///etc/passwd"), None);
        assert_eq!(join("x"), None);
    }

    #[test]
    fn parts_of_urls_are_encoded() {
        assert_eq!(encoded("refs/pr/1", ""), "refs%2Fpr%2F1");
        assert_eq!(encoded("a b/ü#.pth", "/"), "a%20b/%C3%BC%23.pth");
        assert_eq!((normalised("W/\"ab\""), normalised("\"ab\"")), ("ab", "ab"));
    }
}
