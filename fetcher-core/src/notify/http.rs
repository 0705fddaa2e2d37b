//! One HTTP request, tried again where that may help.

use std::io::Read as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::error::{DeliveryErrorKind, NotifyError};
use super::message::shortened;
use crate::address::AddressParts;
use crate::environment::Environment;
use crate::failure::phrases::services;
use crate::http::{self, host_of};

/// How long the first wait between two tries is, where the server names no time; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// A request whose address may be a secret: no error shows more of it than scheme and host.
pub(super) struct HttpRequest<'a> {
    pub(super) method: HttpMethod,
    pub(super) url: &'a str,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: &'a [u8],
    pub(super) ca_file: Option<&'a Path>,
    pub(super) environment: &'a Environment,
    pub(super) timeout: Duration,
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpMethod {
    Get,
    Post,
    Put,
}

/// What came of one try.
enum DeliveryAttempt {
    Done,
    /// It may be taken later: when the server says so, if it does.
    Later(Option<Duration>, NotifyError),
    Never(NotifyError),
}

impl HttpRequest<'_> {
    /// Sends it until it is taken, refused for good, or its time is over.
    pub(super) fn send(&self) -> Result<(), NotifyError> {
        let until = Instant::now() + self.timeout;
        let mut pause = PAUSE;
        loop {
            let (wait, error) = match self.once(until.saturating_duration_since(Instant::now()))? {
                DeliveryAttempt::Done => return Ok(()),
                DeliveryAttempt::Never(error) => return Err(error),
                DeliveryAttempt::Later(wait, error) => (wait.unwrap_or(pause), error),
            };
            if wait >= until.saturating_duration_since(Instant::now()) {
                return Err(error);
            }
            thread::sleep(wait);
            pause *= 2;
        }
    }

    fn once(&self, left: Duration) -> Result<DeliveryAttempt, NotifyError> {
        let agent = http::agent(self.url, self.ca_file, self.environment)
            .map_err(|error| NotifyError::new(DeliveryErrorKind::Setup, error.message, error.hint))?;
        let method = match self.method {
            HttpMethod::Get => ureq::http::Method::GET,
            HttpMethod::Post => ureq::http::Method::POST,
            HttpMethod::Put => ureq::http::Method::PUT,
        };
        let mut request = ureq::http::Request::builder().method(method).uri(self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let left = left.max(Duration::from_millis(1));
        let answer = request
            .body(self.body)
            .map_err(ureq::Error::from)
            .and_then(|request| agent.run(agent.configure_request(request).timeout_global(Some(left)).build()));
        match answer {
            Ok(mut response) => {
                let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
                let (after, location) =
                    (header("retry-after").map(str::to_owned), header("location").map(str::to_owned));
                let mut body = Vec::new();
                // As much of it as comes: it only explains the status.
                let _ = response.body_mut().as_reader().take(2048).read_to_end(&mut body);
                let body = String::from_utf8_lossy(&body).into_owned();
                Ok(self.answer(response.status().as_u16(), after.as_deref(), location.as_deref(), &body))
            }
            Err(error) => Ok(self.failure(&error)),
        }
    }

    fn answer(&self, status: u16, after: Option<&str>, location: Option<&str>, body: &str) -> DeliveryAttempt {
        let said = self.masked(shortened(body.trim(), 300).as_ref());
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        let error =
            |fault, hint: &str| NotifyError::new(fault, format!("{} answers {status}{said}", self.host()), hint);
        match status {
            200..=299 => DeliveryAttempt::Done,
            300..=399 => {
                let to = location.map(|to| format!(" to {}", host_of(to))).unwrap_or_default();
                let message =
                    format!("{} redirects{to} ({status}), and a message is sent to no other address", self.host());
                DeliveryAttempt::Never(NotifyError::new(
                    DeliveryErrorKind::Denied,
                    message,
                    "put the address itself into `url`",
                ))
            }
            408 | 425 | 429 | 500..=599 => {
                let wait = after.and_then(retry_after).or_else(|| matrix_wait(body));
                DeliveryAttempt::Later(
                    wait,
                    error(DeliveryErrorKind::Unreachable, "the next run tries again; see whether the server is well"),
                )
            }
            401 | 403 => DeliveryAttempt::Never(error(
                DeliveryErrorKind::Denied,
                "give it the right `url`, `headers`, token or key",
            )),
            404 | 410 => DeliveryAttempt::Never(error(
                DeliveryErrorKind::Denied,
                "the address is not there (any more): correct `url`",
            )),
            _ => DeliveryAttempt::Never(error(
                DeliveryErrorKind::Refused,
                "see what the server wants: `format`, or another `template`",
            )),
        }
    }

    fn failure(&self, error: &ureq::Error) -> DeliveryAttempt {
        let failed = |fault, what: &str, hint: &str| {
            let message = format!("cannot reach {}: {}", self.host(), self.masked(what));
            NotifyError::new(fault, message, hint)
        };
        let unreachable = "see whether the server is up and this host may reach it; a proxy is named by HTTPS_PROXY";
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                let message = "the address or a header is not what HTTP allows";
                DeliveryAttempt::Never(NotifyError::new(
                    DeliveryErrorKind::Setup,
                    message,
                    "correct `url`, `url-file` or `headers`",
                ))
            }
            ureq::Error::InvalidProxyUrl => {
                let hint = "correct HTTPS_PROXY or HTTP_PROXY";
                DeliveryAttempt::Never(failed(DeliveryErrorKind::Setup, "the proxy's address is none", hint))
            }
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
                DeliveryAttempt::Never(Self::untrusted(&failed, &error.to_string()))
            }
            // The TLS of a connection under way fails as I/O.
            ureq::Error::Io(io) if services::is_untrusted(io) => {
                DeliveryAttempt::Never(Self::untrusted(&failed, &error.to_string()))
            }
            ureq::Error::Timeout(_) => {
                let what = format!("no answer in {:?}", self.timeout);
                DeliveryAttempt::Later(None, failed(DeliveryErrorKind::Unreachable, &what, unreachable))
            }
            _ => DeliveryAttempt::Later(None, failed(DeliveryErrorKind::Unreachable, &error.to_string(), unreachable)),
        }
    }

    fn untrusted(failed: &dyn Fn(DeliveryErrorKind, &str, &str) -> NotifyError, what: &str) -> NotifyError {
        failed(
            DeliveryErrorKind::Denied,
            what,
            "the server's certificate is not trusted: name its authority with `ca-file`",
        )
    }

    fn host(&self) -> String {
        host_of(self.url)
    }

    /// What a server says with every part of the address masked that may be a secret.
    fn masked(&self, text: &str) -> String {
        const SHORTEST: usize = 8;
        let secret = AddressParts::of_url(self.url).map_or("", |parts| parts.rest);
        let parts = secret.split(['/', '?', '&', '=', '#']).filter(|part| part.len() >= SHORTEST);
        parts.fold(text.replace(self.url, "***"), |text, part| text.replace(part, "***"))
    }
}

/// `Retry-After`: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
}

/// Matrix names the time in its JSON (client-server API, `M_LIMIT_EXCEEDED`).
fn matrix_wait(body: &str) -> Option<Duration> {
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    json.get("retry_after_ms")?.as_u64().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Sat, 06 Nov 2094 08:49:37 GMT").is_some_and(|wait| wait > Duration::from_secs(3600)));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn no_part_of_a_secret_address_is_repeated() {
        let environment = Environment::default();
        let request = |url| HttpRequest {
            method: HttpMethod::Post,
            url,
            headers: Vec::new(),
            body: b"",
            ca_file: None,
            environment: &environment,
            timeout: Duration::from_secs(1),
        };
        let secret = request("https://me@hooks.example.org/services/T00000000/B1/XXXXsecretXXXX?key=verysecret");
        let masked = secret.masked("no service /services/T00000000/B1/XXXXsecretXXXX?key=verysecret");
        assert_eq!(masked, "no service /***/***/B1/***?key=***");
        assert_eq!(secret.host(), "https://hooks.example.org");
    }
}
