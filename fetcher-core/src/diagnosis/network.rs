//! "This host's network" or "that upstream": judged by what worked as well as by what failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::place::url;
use super::{Actor, Diagnosis, FailureKind};
use crate::address::AddressParts;
use crate::failure::{LineDiagnosis, phrases};
use crate::names::Stage;

/// How many hosts are remembered of each sort.
const MAX_HOSTS: usize = 10_000;

/// Which hosts of upstreams were reached, and which were not.
///
/// ```
/// use fetcher_core::diagnosis::{Actor, Diagnosis, FailureKind, Location, HostReachability, Retry};
/// let dead = |host: &str| {
///     let mut found = Diagnosis::new(FailureKind::Dns, "Could not resolve host", Retry::Yes, Actor::Upstream, "");
///     found.place = Location::of_url(format!("https://{host}/x.git"));
///     found
/// };
/// let mut network = HostReachability::default();
/// network.learn(&[dead("a.example"), dead("b.example")]);
/// assert!(network.is_offline());
/// network.reached("https://c.example/y.git");
/// assert!(!network.is_offline());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HostReachability {
    /// The hosts that answered, whatever the answer was, with how often that was seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reached: BTreeMap<String, u64>,
    /// The hosts that could not be reached, with how many failures say so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreached: BTreeMap<String, u64>,
    /// The proxy that is configured and does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyFailure>,
    /// The variable that names a proxy to this program, and is not passed on to `bst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_not_passed: Option<String>,
}

/// A proxy that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ProxyFailure {
    /// The variable that names it: `HTTPS_PROXY`, say.
    pub variable: String,
    /// Its address, without credentials.
    pub address: String,
    /// Why it cannot be used, in the system's words.
    pub reason: String,
}

/// What is told where no host at all was reached.
const OFFLINE_HINT: &str = "no upstream was reached, on whatever host: look at this host's network, name server, proxy, \
                            clock and certificates";

impl HostReachability {
    /// Notes that the host of an address answered. Text without an address, and a local one, says nothing.
    pub fn reached(&mut self, text: &str) {
        if let Some(host) = url(text).and_then(|url| upstream_host(&url)) {
            count(&mut self.reached, host, 1);
        }
    }

    /// Notes what failures tell of the hosts that they name.
    pub fn learn<'d>(&mut self, failures: impl IntoIterator<Item = &'d Diagnosis>) {
        for failure in failures {
            let Some(host) = failure.upstream() else { continue };
            if is_of_network(failure) {
                count(&mut self.unreached, host, 1);
            } else if is_answer(failure.kind) {
                count(&mut self.reached, host, 1);
            }
        }
    }

    /// Takes over what another one knows.
    pub fn merge(&mut self, other: &HostReachability) {
        for (host, times) in &other.reached {
            count(&mut self.reached, host.clone(), *times);
        }
        for (host, times) in &other.unreached {
            count(&mut self.unreached, host.clone(), *times);
        }
        self.proxy = self.proxy.take().or_else(|| other.proxy.clone());
        self.proxy_not_passed = self.proxy_not_passed.take().or_else(|| other.proxy_not_passed.clone());
    }

    /// Whether this host reaches no upstream at all: several hosts failed, and none answered. Where only one was tried,
    /// that cannot be told.
    pub fn is_offline(&self) -> bool {
        self.reached.is_empty() && self.unreached.len() > 1
    }

    /// Whether a failure is this host's: its proxy, or its network as a whole.
    pub fn is_of_this_host(&self, failure: &Diagnosis) -> bool {
        self.is_of_proxy(failure) || (self.is_offline() && is_of_network(failure))
    }

    /// Whether what failed goes through the proxy that does not answer.
    fn is_of_proxy(&self, failure: &Diagnosis) -> bool {
        let Some(proxy) = &self.proxy else { return false };
        let variable = proxy.variable.to_ascii_lowercase();
        let scheme = variable.strip_suffix("_proxy").unwrap_or_default();
        let url = failure.place.url.as_deref().and_then(AddressParts::of_url);
        let through = url.and_then(|parts| parts.scheme).is_none_or(|used| match scheme {
            "all" => matches!(used, "http" | "https" | "ftp"),
            scheme => used == scheme,
        });
        let answered = failure.upstream().is_some_and(|host| self.reached.contains_key(&host));
        is_unreachable(failure) && through && !answered
    }

    /// Gives a failure of the network to whom it belongs: this host, or the upstream.
    pub fn blame(&self, failure: &mut Diagnosis) {
        if let (true, Some(proxy)) = (self.is_of_proxy(failure), &self.proxy) {
            let ProxyFailure { variable, address, reason } = proxy;
            failure.actor = Actor::Host;
            failure.hint = format!(
                "the proxy {address} that {variable} names does not answer ({reason}): correct the variable, or see that \
                 the proxy is up"
            );
        } else if !is_of_network(failure) {
            // It is nobody's network.
        } else if self.is_offline() {
            failure.actor = Actor::Host;
            failure.hint = match &self.proxy_not_passed {
                Some(variable) => format!(
                    "{variable} is set for this program and not passed to bst: name it in `pass-environment` of \
                     `[buildstream]`, if this host reaches others by that proxy alone"
                ),
                None => OFFLINE_HINT.to_owned(),
            };
        } else if failure.actor == Actor::Host && !self.reached.is_empty() && failure.upstream().is_some() {
            let LineDiagnosis { actor, hint, .. } = LineDiagnosis::of(failure.kind);
            failure.actor = actor;
            failure.hint = hint.into_owned();
        }
    }
}

impl Diagnosis {
    /// The host of upstreams that it is about, with its port where that is written; none where the failure names no
    /// address, or one on this machine's file system, or is a source cache's.
    pub fn upstream(&self) -> Option<String> {
        let cache = matches!(
            self.kind,
            FailureKind::CacheUnreachable
                | FailureKind::CacheDenied
                | FailureKind::CacheFull
                | FailureKind::CacheWrong
                | FailureKind::PushIncomplete
                | FailureKind::NoPushRemote
        );
        self.place.url.as_deref().filter(|_| !cache).and_then(upstream_host)
    }
}

/// The host of an address (`https://host/…`, or `user@host:path` as ssh has it), in lower case; none of a local one.
pub fn upstream_host(url: &str) -> Option<String> {
    let local = url.starts_with('/') || url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    let host = AddressParts::of_repository(url).filter(|_| !local)?.authority;
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Whether it says that a host could not be reached, in a way that may be either side's.
fn is_of_network(failure: &Diagnosis) -> bool {
    is_unreachable(failure) && !names_proxy(&failure.message)
}

/// The same, or that a proxy failed.
fn is_unreachable(failure: &Diagnosis) -> bool {
    // A certificate that this host does not trust is already known to be this host's.
    let of_tls = failure.kind == FailureKind::Tls && (failure.actor == Actor::Upstream || failure.hint == OFFLINE_HINT);
    let unreachable = matches!(failure.kind, FailureKind::Dns | FailureKind::Network) || of_tls;
    unreachable
        && !matches!(failure.stage, Some(Stage::Push | Stage::Publish | Stage::Verify))
        && !failure.hides_reason()
}

/// Whether a host that says this was reached.
fn is_answer(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::RefMissing
            | FailureKind::Checksum
            | FailureKind::ChecksumChanged
            | FailureKind::NotFound
            | FailureKind::Unauthorised
            | FailureKind::RateLimited
            | FailureKind::ServerError
    )
}

/// Whether a program's words say that it is a proxy that fails. Addresses may have the word in them.
fn names_proxy(message: &str) -> bool {
    let words = message.split_whitespace().filter(|word| !word.contains("://") && !word.contains('.'));
    phrases::is_of_proxy(&words.collect::<Vec<_>>().join(" ").to_ascii_lowercase())
}

fn count(hosts: &mut BTreeMap<String, u64>, host: String, times: u64) {
    if hosts.len() < MAX_HOSTS || hosts.contains_key(&host) {
        *hosts.entry(host).or_default() += times;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{Location, Retry};

    fn failure(kind: FailureKind, message: &str, url: &str) -> Diagnosis {
        let place = Location::of_url(url);
        Diagnosis::new(kind, message, Retry::Yes, Actor::Upstream, "wait").with_place(place)
    }

    #[test]
    fn hosts_are_found_in_addresses_of_every_form() {
        let hosts =
            ["https://me@Git.example.org:8443/x?y", "ssh://git@h/x", "git@h:a/b", "git://h/x"].map(upstream_host);
        let expected = ["git.example.org:8443", "h", "h", "h"].map(|host| Some(host.to_owned()));
        assert_eq!(hosts, expected);
        assert!(["file:///x", "/srv/x", "", "https://"].iter().all(|url| upstream_host(url).is_none()));
    }

    #[test]
    fn what_says_nothing_of_the_network_is_not_learned() {
        let mut network = HostReachability::default();
        network.learn(&[
            failure(
                FailureKind::Network,
                "git_repo source at a.bst [line 3 column 2]: Failed to track https://a.example/x",
                "https://a.example/x",
            ),
            failure(FailureKind::Network, "ProxyError('Unable to connect to proxy')", "https://b.example/x"),
            failure(FailureKind::CacheUnreachable, "no answer", "https://cache.example:11001"),
            failure(FailureKind::Unknown, "something", "https://c.example/x"),
        ]);
        assert_eq!(network, HostReachability::default());
        // A host's name may have the word in it.
        network.learn(&[failure(
            FailureKind::Dns,
            "Could not resolve host: proxy.golang.org",
            "https://proxy.golang.org/x",
        )]);
        assert_eq!(network.unreached.len(), 1);
    }

    #[test]
    fn a_dead_proxy_is_blamed_for_what_goes_through_it_alone() {
        let mut network = HostReachability::default();
        let mut through = failure(FailureKind::Network, "refused", "https://a.example/x");
        let mut beside = failure(FailureKind::Network, "refused", "http://b.example/x");
        network.reached("http://c.example/");
        network.learn([&through, &beside]);
        network.proxy = Some(ProxyFailure {
            variable: "https_proxy".to_owned(),
            address: "http://p:1".to_owned(),
            reason: "refused".to_owned(),
        });
        network.blame(&mut through);
        network.blame(&mut beside);
        assert_eq!((through.actor, beside.actor), (Actor::Host, Actor::Upstream));
        assert!(through.hint.contains("http://p:1") && through.hint.contains("https_proxy"), "{}", through.hint);
    }
}
