//! Requests: redirects by hand, so that the token goes to its own server only, and what the Hub's headers say.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt;
use ureq::{Agent, AgentBuilder, ErrorKind, Response};
use url::{Host, Url};

use crate::address::{is_commit, is_part};
use crate::{Address, Environment, Error, Result, Token};

/// As in Python's library.
const REDIRECTS: usize = 10;

/// A server of repositories.
pub(crate) struct Client {
    /// Around the proxy of the environment.
    direct: Agent,
    /// Through it, if there is one.
    usual: Agent,
    without_proxy: Vec<String>,
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
        let direct = agent(environment, false);
        let usual = agent(environment, true);
        let Environment { without_proxy, endpoint, token, .. } = environment.clone();
        Self { direct, usual, without_proxy, endpoint, token }
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
        let answer = self.send("HEAD", &self.url(address), None)?;
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
        if status == 404
            && let Some(commit) = commit
        {
            return Ok(Described::NoFile { commit });
        }
        if !(200..400).contains(&status) {
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
    pub fn get(&self, address: &Address, start: u64) -> Result<Response, Silence> {
        Ok(self.send("GET", &self.url(address), (start > 0).then_some(start))?.response)
    }

    /// What a status other than success means.
    pub fn refusal(&self, address: &Address, response: &Response) -> Error {
        let (address, endpoint) = (address.clone(), self.endpoint.clone());
        let code = response.header("x-error-code");
        let missing = |missing, known| Error::Missing {
            address: address.clone(),
            endpoint: endpoint.clone(),
            missing,
            known,
        };
        match (response.status(), code) {
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

    fn send(&self, method: &str, url: &str, start: Option<u64>) -> Result<Answer, Silence> {
        let unsound = |what: &str| Silence(format!("{what} `{url}`"));
        let mut place = Url::parse(url).map_err(|_| unsound("not an address:"))?;
        let home = place.origin();
        let mut told = Told::default();
        for _ in 0..=REDIRECTS {
            // A hash is of the file, not of its compressed form, and ranges count its bytes.
            let mut request =
                self.agent(&place).request_url(method, &place).set("Accept-Encoding", "identity");
            if let Some(start) = start {
                request = request.set("Range", &format!("bytes={start}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| place.origin() == home) {
                request = request.set("Authorization", &format!("Bearer {}", token.value));
            }
            let response = match request.call() {
                Ok(response) | Err(ureq::Error::Status(_, response)) => response,
                Err(ureq::Error::Transport(error)) => return Err(Silence(in_words(&error))),
            };
            told.hear(&response);
            let redirects = (300..400).contains(&response.status());
            let Some(next) = response.header("location").filter(|_| redirects) else {
                return Ok(Answer { told, response });
            };
            let next = place.join(next).ok().filter(|next| ["http", "https"].contains(&next.scheme()));
            let next = next.ok_or_else(|| unsound("an unusable redirect from"))?;
            // The Hub describes a large file in the answer that redirects to where its bytes are.
            let elsewhere = next.origin() != home;
            if method == "HEAD" && told.describes_all(elsewhere) {
                return Ok(Answer { told, response });
            }
            place = next;
        }
        Err(unsound("too many redirects from"))
    }

    fn agent(&self, place: &Url) -> &Agent {
        if around_proxy(place, &self.without_proxy) { &self.direct } else { &self.usual }
    }
}

fn agent(environment: &Environment, proxy: bool) -> Agent {
    let agent = AgentBuilder::new()
        .redirects(0)
        .user_agent(concat!("nextscale/", env!("CARGO_PKG_VERSION")))
        .try_proxy_from_env(proxy)
        .timeout_connect(environment.answer)
        .timeout_read(environment.silence.max(Duration::from_millis(1)))
        .timeout_write(environment.silence.max(Duration::from_millis(1)));
    // The system's certificates, to which an institution may have added its own; else those compiled in.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier);
    match tls {
        Ok(tls) => agent.tls_config(Arc::new(tls.with_no_client_auth())).build(),
        Err(_) => agent.build(),
    }
}

/// Whether a host is reached without a proxy: this machine, and those that `NO_PROXY` lists by name or end.
fn around_proxy(place: &Url, without: &[String]) -> bool {
    let own = match place.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => true,
    };
    let host = place.host_str().unwrap_or_default();
    let listed = |end: &String| {
        let end = end.trim_start_matches("*").trim_start_matches('.');
        host.strip_suffix(end).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    own || without.iter().any(|end| end == "*" || (!end.is_empty() && listed(end)))
}

fn in_words(error: &ureq::Transport) -> String {
    let detail = std::error::Error::source(error).map(ToString::to_string);
    let detail = detail.or_else(|| error.message().map(str::to_owned));
    match (error.kind(), detail) {
        (ErrorKind::Dns, _) => "its name is not known".into(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

struct Answer {
    told: Told,
    response: Response,
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
    fn hear(&mut self, response: &Response) {
        let text = |name| response.header(name).map(str::to_owned);
        let Some(commit) = text("x-repo-commit") else { return };
        let number = |name| text(name).and_then(|text: String| text.parse().ok());
        *self = Self {
            commit: Some(commit),
            linked_etag: text("x-linked-etag"),
            etag: text("etag"),
            linked_size: number("x-linked-size"),
            // That of a redirect is of its own text.
            length: number("content-length").filter(|_| response.status() < 300),
        };
    }

    fn describes_all(&self, elsewhere: bool) -> bool {
        self.commit.is_some() && (self.linked_etag.is_some() || (elsewhere && self.etag.is_some()))
    }
}

/// Without the marks of a weak or quoted ETag.
fn normalised(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
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
    fn a_proxy_is_left_out_where_the_environment_says_so() {
        let around = |url: &str, without: &str| {
            let without: Vec<_> = without.split(',').map(str::to_owned).collect();
            around_proxy(&Url::parse(url).unwrap(), &without)
        };
        assert!(
            around("http://127.0.0.1:80/", "")
                && around("http://localhost/", "")
                && around("http://[::1]/", "")
        );
        assert!(!around("https://huggingface.co/a", ""));
        assert!(around("https://huggingface.co/a", "*"));
        assert!(around("https://huggingface.co/a", "x.org,huggingface.co"));
        assert!(
            around("https://cdn.mirror.org/a", ".mirror.org")
                && around("https://mirror.org/a", ".mirror.org")
        );
        assert!(!around("https://notmirror.org/a", "mirror.org"));
    }

    #[test]
    fn parts_of_urls_are_encoded() {
        assert_eq!(encoded("refs/pr/1", ""), "refs%2Fpr%2F1");
        assert_eq!(encoded("a b/ü#.pth", "/"), "a%20b/%C3%BC%23.pth");
        assert_eq!((normalised("W/\"ab\""), normalised("\"ab\"")), ("ab", "ab"));
    }
}
