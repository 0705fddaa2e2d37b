//! Requests to upstreams over HTTP: connections that are kept, redirects within bounds, credentials by host.

mod addresses;
mod certificate;
mod location;
mod netrc;
mod tls;

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};

use addresses::{AddressBook, GuardedResolver, Nearness, TOO_NEAR};
pub(super) use location::HttpLocation;
use netrc::NetrcCredentials;
use tls::{CertificateEnds, TlsConnector};

use super::answer::{ProbeCost, ProbeDoubt};
use crate::diagnosis::FailureKind;
use crate::environment::Environment;
use crate::failure::phrases::services;
use crate::http;
use crate::secret::Secret;
use crate::trust_store::TrustStore;

/// As git names itself, since forges that let no scrapers in let git in; and who it really is.
const USER_AGENT: &str = concat!("git/2.47.0 (bst-fetcher/", env!("CARGO_PKG_VERSION"), ")");

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 6;
/// How much of an answer is read that is an error, in bytes.
const LARGEST_ERROR: u64 = 16 << 10;
/// What each connection reads and writes at once, in bytes. An answer's headers have to fit, of which 64 KiB are allowed.
const READ_BUFFER: usize = 72 << 10;
const WRITE_BUFFER: usize = 32 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What asks servers of HTTP for a run.
pub(super) struct ProbeClient {
    environment: Environment,
    netrc: NetrcCredentials,
    book: AddressBook,
    ends: CertificateEnds,
    tls: TlsConnector,
    per_host: usize,
    /// By the proxy, and how near an address may be.
    agents: Mutex<HashMap<(Option<String>, Nearness), Agent>>,
}

/// What is asked.
pub(super) struct UpstreamRequest<'r> {
    pub(super) method: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: &'r [u8],
    /// How much of the answer's body is read; what is longer is no answer. None to read nothing of it.
    pub(super) largest: Option<u64>,
    /// Whether the body may begin so; one that may not is no answer, and is read no further.
    pub(super) begins: Option<fn(&[u8]) -> bool>,
    /// Whether redirects are followed.
    pub(super) follow: bool,
    /// Who sent here: then it may be no nearer to this host than they are.
    pub(super) sent_by: Option<&'r HttpLocation>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Who answered, redirects followed.
    pub(super) location: HttpLocation,
    /// Where it moved for good: the end of the permanent redirects that it began with.
    pub(super) moved: Option<HttpLocation>,
}

/// Why nothing was answered.
#[derive(Debug)]
pub(super) struct HttpFailure {
    pub(super) kind: FailureKind,
    pub(super) doubt: ProbeDoubt,
    pub(super) message: String,
}

impl UpstreamRequest<'_> {
    /// A GET of no more than `largest` bytes, which follows no redirect.
    pub(super) fn get(headers: Vec<(&'static str, String)>, largest: u64) -> Self {
        Self { method: "GET", headers, body: b"", largest: Some(largest), begins: None, follow: false, sent_by: None }
    }
}

impl HttpFailure {
    pub(super) fn new(kind: FailureKind, doubt: ProbeDoubt, message: impl Into<String>) -> Self {
        Self { kind, doubt, message: message.into() }
    }
}

impl HttpReply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }
}

impl ProbeClient {
    /// A client for one run, with at most so many connections to a host that are kept.
    pub(super) fn new(environment: &Environment, per_host: usize) -> Result<Self, HttpFailure> {
        let ends = CertificateEnds::default();
        let failed = |error: rustls::Error| HttpFailure::new(FailureKind::Tls, ProbeDoubt::Failed, error.to_string());
        let tls = TlsConnector::new(TrustStore::of(environment).roots(), Arc::clone(&ends)).map_err(failed)?;
        let (environment, netrc) = (environment.clone(), NetrcCredentials::of(environment));
        Ok(Self { environment, netrc, book: AddressBook::default(), ends, tls, per_host, agents: Mutex::default() })
    }

    /// When the certificate of the host of an address ends, where one was seen.
    pub(super) fn certificate_end(&self, location: &HttpLocation) -> Option<Timestamp> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(location.host()).copied()
    }

    /// Breaks off all requests, for good.
    pub(super) fn shut_down(&self) {
        for (_, agent) in self.agents.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            agent.shutdown();
        }
    }

    /// Asks, and follows redirects: to HTTP alone, and to no address that is nearer to this host than the first.
    pub(super) fn send(
        &self,
        url: &str,
        request: &UpstreamRequest<'_>,
        cost: &mut ProbeCost,
    ) -> Result<HttpReply, HttpFailure> {
        let unusable =
            || HttpFailure::new(FailureKind::ServerError, ProbeDoubt::Unsupported, "the address is not one of HTTP");
        let (first, own) = HttpLocation::parse(url).ok_or_else(unusable)?;
        let mut location = first.clone();
        let (mut moved, mut permanently) = (None, true);
        let nearness = |who: &HttpLocation| self.book.nearness(who.authority()).unwrap_or(Nearness::Public);
        let mut least = request.sent_by.map_or(Nearness::Loopback, nearness);
        for _ in 0..=MAX_REDIRECTS {
            let own = own.as_ref().filter(|_| location.authority() == first.authority());
            let mut reply = self.once(&location, own, least, request, cost)?;
            let is_redirect = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
            if !is_redirect || !request.follow {
                reply.moved = moved;
                return Ok(reply);
            }
            let to = reply.header("location").and_then(|to| location.join(to));
            let Some(to) = to.filter(|to| to.is_encrypted() || !location.is_encrypted()) else {
                let message = "the answer leads to where no answer may lead";
                return Err(HttpFailure::new(FailureKind::ServerError, ProbeDoubt::ForbiddenRedirect, message));
            };
            permanently &= matches!(reply.status, 301 | 308);
            if permanently {
                moved = Some(to.clone());
            }
            least = least.max(nearness(&first));
            location = to;
        }
        let message = "the server sends from one address to another without end";
        Err(HttpFailure::new(FailureKind::ServerError, ProbeDoubt::Malformed, message))
    }

    /// One request; tried once more where a kept connection had been closed in the meantime.
    fn once(
        &self,
        location: &HttpLocation,
        own: Option<&Secret>,
        least: Nearness,
        request: &UpstreamRequest<'_>,
        cost: &mut ProbeCost,
    ) -> Result<HttpReply, HttpFailure> {
        let agent = self.agent(&location.url(), least)?;
        let began = Instant::now();
        let mut tried = self.exchange(&agent, location, own, request, cost);
        if let Err(ureq::Error::Io(error)) = &tried
            && is_closed(error)
        {
            tried = self.exchange(&agent, location, own, request, cost);
        }
        cost.seconds += began.elapsed().as_secs_f64();
        tried.map_err(|error| explained(&error, location))
    }

    fn exchange(
        &self,
        agent: &Agent,
        location: &HttpLocation,
        own: Option<&Secret>,
        asked: &UpstreamRequest<'_>,
        cost: &mut ProbeCost,
    ) -> Result<HttpReply, ureq::Error> {
        let mut request = Request::builder().method(asked.method).uri(location.url());
        for (name, value) in &asked.headers {
            request = request.header(*name, value);
        }
        let is_told = asked.headers.iter().any(|(name, _)| *name == "authorization");
        if !is_told && let Some(credentials) = own.or_else(|| self.netrc.authorization(location.host())) {
            request = request.header("authorization", credentials.expose());
        }
        cost.requests += 1;
        let mut response = if asked.method == "POST" {
            agent.run(request.body(asked.body).map_err(ureq::Error::Http)?)?
        } else {
            agent.run(request.body(()).map_err(ureq::Error::Http)?)?
        };
        let headers = std::mem::take(response.headers_mut());
        let lengths = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        cost.bytes += lengths.sum::<usize>() as u64;
        let is_ok = response.status().as_u16() == 200;
        let body = match asked.largest {
            None => Vec::new(),
            Some(largest) if is_ok => body_of(&mut response.body_mut().as_reader(), largest, asked.begins, cost)?,
            // What an error says in many words is read so that the connection can be kept.
            Some(_) => body_of(&mut response.body_mut().as_reader(), LARGEST_ERROR, None, cost).unwrap_or_default(),
        };
        Ok(HttpReply { status: response.status().as_u16(), headers, body, location: location.clone(), moved: None })
    }

    fn agent(&self, url: &str, least: Nearness) -> Result<Agent, HttpFailure> {
        let failed =
            |error: http::ClientError| HttpFailure::new(FailureKind::Configuration, ProbeDoubt::Failed, error.message);
        let proxy = http::proxy(url, &self.environment).map_err(failed)?;
        let key = (proxy.as_ref().map(|proxy| format!("{proxy:?}")), least);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = agents.entry(key).or_insert_with(|| {
            // The proxy is where the configuration of this host says, and who looks names up.
            let least = if proxy.is_some() { Nearness::Loopback } else { least };
            let config = Agent::config_builder()
                // There may be hundreds of connections, and answers are short.
                .input_buffer_size(READ_BUFFER)
                .output_buffer_size(WRITE_BUFFER)
                .proxy(proxy)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(USER_AGENT)
                .max_idle_connections(512)
                .max_idle_connections_per_host(self.per_host)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_resolve(Some(CONNECT_TIMEOUT))
                .timeout_global(Some(REQUEST_TIMEOUT))
                .build();
            let connector =
                ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(self.tls.clone());
            let resolver = GuardedResolver { book: self.book.clone(), least, inner: DefaultResolver::default() };
            Agent::with_parts(config, connector, resolver)
        });
        Ok(agent.clone())
    }
}

/// Reads a body within bounds.
fn body_of(
    reader: &mut dyn Read,
    largest: u64,
    begins: Option<fn(&[u8]) -> bool>,
    cost: &mut ProbeCost,
) -> Result<Vec<u8>, ureq::Error> {
    let mut body = Vec::new();
    let mut piece = vec![0; 32 << 10];
    loop {
        let read = reader.read(&mut piece)?;
        if read == 0 {
            return Ok(body);
        }
        cost.bytes += read as u64;
        body.extend_from_slice(&piece[..read]);
        if body.len() as u64 > largest || begins.is_some_and(|begins| !begins(&body)) {
            return Err(ureq::Error::BodyExceedsLimit(largest));
        }
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// What such an error means. Nothing in it is a server's word but what rustls says of its certificate.
fn explained(error: &ureq::Error, location: &HttpLocation) -> HttpFailure {
    let host = location.authority();
    let failed = |kind, what: &str| HttpFailure::new(kind, ProbeDoubt::Failed, format!("{host}: {what}"));
    match error {
        ureq::Error::HostNotFound => failed(FailureKind::Dns, "the host's name cannot be resolved"),
        ureq::Error::Io(io) if services::is_unresolved(io) => {
            failed(FailureKind::Dns, &format!("the host's name cannot be resolved: {io}"))
        }
        ureq::Error::Io(io) if services::is_untrusted(io) => failed(FailureKind::Tls, &io.to_string()),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => failed(FailureKind::Tls, &error.to_string()),
        ureq::Error::Timeout(_) => failed(FailureKind::TimeOut, "no answer in time"),
        ureq::Error::Other(other) if other.to_string() == TOO_NEAR => {
            HttpFailure::new(FailureKind::ServerError, ProbeDoubt::ForbiddenRedirect, format!("{host}: {TOO_NEAR}"))
        }
        ureq::Error::BodyExceedsLimit(_)
        | ureq::Error::LargeResponseHeader(..)
        | ureq::Error::Protocol(_)
        | ureq::Error::Http(_) => {
            HttpFailure::new(FailureKind::ServerError, ProbeDoubt::Malformed, format!("{host}: {error}"))
        }
        _ => failed(FailureKind::Network, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_leads_nearer_than_its_server() {
        let client = ProbeClient::new(&Environment::empty(), 2).unwrap();
        let near = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = near.local_addr().unwrap().port();
        let (far, _) = HttpLocation::parse("http://far.example/").unwrap();
        let request = UpstreamRequest { sent_by: Some(&far), ..UpstreamRequest::get(Vec::new(), 100) };
        for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"] {
            let mut cost = ProbeCost::default();
            let failure = client.send(&format!("http://{host}:{port}/x"), &request, &mut cost).unwrap_err();
            assert_eq!(failure.doubt, ProbeDoubt::ForbiddenRedirect, "{host}: {failure:?}");
        }
        near.set_nonblocking(true).unwrap();
        assert!(near.accept().is_err(), "somebody connected");
    }
}
