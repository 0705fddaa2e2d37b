//! A client with empty caches and no way to any upstream: what it gets, everybody gets.
//!
//! That its bst ends well proves nothing, for it stages local sources without any cache. What counts is that it says of the
//! key of each element's sources that they came from a cache.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Pipeline;
use super::cache_gateway::CacheGateway;
use super::log::StageLog;
use super::prover::{KeyAnswer, ProofTarget, SourceProver};
use super::stage_runner::{StageRequest, StageRunner};
use crate::address::AddressParts;
use crate::bst::conf::merge;
use crate::bst::dialect::BstAction;
use crate::cancel::Cancel;
use crate::config::SourceCacheConfig;
use crate::names::{ElementName, SourceKey, Stage};
use crate::runner::{ChildNetwork, RELAY_PORT};
use crate::state::DoneElement;

/// The name of its configuration.
const CONF: &str = "client.conf";
/// The name of the socket by which it gets out of a network of its own.
const SOCKET: &str = "caches";

/// How a client is kept from upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ClientIsolation {
    /// It has a network of its own, which leads to the caches alone.
    Network,
    /// git has no protocol, and proxies lead nowhere: what obeys neither gets through.
    #[default]
    Environment,
}

impl ClientIsolation {
    /// In words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            ClientIsolation::Network => "a network of its own, which leads to the caches alone",
            ClientIsolation::Environment => "its environment (git's protocols, proxies)",
        }
    }
}

/// Gives a client of this host what is in its own cache, where nothing is pushed.
pub trait LocalCacheServing: std::fmt::Debug + Sync {
    /// Serves it, until what this gives is dropped.
    ///
    /// # Errors
    /// In words, why that cannot be done.
    fn serve(&self) -> Result<LocalSourceCache, String>;
}

/// The cache of this host as clients on it reach it.
#[non_exhaustive]
pub struct LocalSourceCache {
    cache: SourceCacheConfig,
    _server: Box<dyn Send>,
}

impl std::fmt::Debug for LocalSourceCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSourceCache").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl LocalSourceCache {
    /// At this address as long as `server` is not dropped.
    pub fn new(url: String, server: impl Send + 'static) -> Self {
        Self { cache: SourceCacheConfig { url, ..SourceCacheConfig::default() }, _server: Box::new(server) }
    }
}

/// The caches that a client fetches from.
pub(super) struct ClientCaches {
    caches: Vec<SourceCacheConfig>,
    _server: Option<LocalSourceCache>,
}

impl Pipeline<'_> {
    /// Those that are pushed to; else that of this host, for as long as what this gives is kept.
    ///
    /// # Errors
    /// In words, why it cannot be had.
    pub(super) fn client_caches(&self, target: &ProofTarget) -> Result<ClientCaches, String> {
        match (target, self.local_cache) {
            (ProofTarget::Remote(caches), _) => Ok(ClientCaches { caches: caches.clone(), _server: None }),
            (ProofTarget::Local, Some(local)) => {
                let served = local.serve()?;
                Ok(ClientCaches { caches: vec![served.cache.clone()], _server: Some(served) })
            }
            (ProofTarget::Local, None) => {
                Err("nothing is pushed, and nothing serves the local cache, so that there is none to fetch from"
                    .to_owned())
            }
        }
    }
}
/// What part of all a first client fetches.
const FIRST_SHARE: u32 = 10;
/// The name of bst's log.
const LOG: &str = "client";
/// A port on loopback where nobody listens (discard).
const NOWHERE: &str = "http://127.0.0.1:9";

/// What a client got.
#[derive(Debug, Default)]
pub(super) struct ClientResult {
    /// The elements whose sources came from a cache.
    pub(super) fetched: BTreeSet<ElementName>,
    /// The others, with what bst said.
    pub(super) missing: BTreeMap<ElementName, String>,
    /// How it was kept from upstreams.
    pub(super) isolation: ClientIsolation,
    /// Seconds that it took.
    pub(super) seconds: f64,
}

impl ClientResult {
    /// What was done, in words.
    pub(super) fn told(&self) -> String {
        let all = self.fetched.len() + self.missing.len();
        format!(
            "a client with empty caches, kept from upstreams by {}, fetched {} of {all} elements",
            self.isolation.as_str(),
            self.fetched.len()
        )
    }
}

/// The elements that are next, with their keys: as many as keep the pace at which all of them are tried within some time,
/// those first that were never tried, or longest ago.
pub(super) fn share(
    proved: &BTreeSet<ElementName>,
    known: &BTreeMap<ElementName, DoneElement>,
    now: Timestamp,
    every: Duration,
) -> BTreeMap<ElementName, SourceKey> {
    let mut all: Vec<_> = proved.iter().filter_map(|element| Some((element, known.get(element)?))).collect();
    all.sort_by_key(|(element, known)| (known.fetched_by_client, *element));
    let last = all.iter().filter_map(|(_, known)| known.fetched_by_client).max();
    let since = last.map_or(every / FIRST_SHARE, |last| now.duration_since(last).unsigned_abs());
    let part = (since.as_secs_f64() / every.as_secs_f64().max(1.0)).min(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a length")]
    #[expect(clippy::cast_precision_loss, reason = "no project has 2^52 elements")]
    let count = (all.len() as f64 * part).ceil() as usize;
    let due =
        |known: &DoneElement| known.fetched_by_client.is_none_or(|at| now.duration_since(at).unsigned_abs() >= every);
    // What is due goes in any case, up to the share; and whoever has nothing due waits.
    let next = all.into_iter().filter(|(_, known)| due(known)).take(count);
    next.filter_map(|(element, known)| Some((element.clone(), known.key.clone()?))).collect()
}

impl StageRunner<'_, '_> {
    /// Lets a client fetch elements whose sources have these keys.
    ///
    /// # Errors
    /// In words, why there could be no such client.
    pub(super) fn clean_client(
        &mut self,
        keys: &BTreeMap<ElementName, SourceKey>,
        caches: &ClientCaches,
    ) -> Result<ClientResult, String> {
        let caches = &caches.caches;
        let began = Instant::now();
        // Among the mirrors, where there is space, where bst may write, and where nobody else is at work.
        let home = self.pipeline.directories.sourcedir.join("clean-client");
        let failed = |error: std::io::Error| format!("cannot use {}: {error}", home.display());
        remove(&home).map_err(failed)?;
        fs::create_dir_all(&home).map_err(failed)?;
        let conf = self.client_conf(&home, caches);
        self.write_conf(CONF, conf).map_err(failed)?;
        let mut log = StageLog::open(&self.log_path(LOG), self.context.redactor).unwrap_or_else(|_| StageLog::none());
        let until = began + self.pipeline.project.timeout;
        self.conf_name = CONF;
        let gateway = self.gateway(caches)?;
        self.more_environment = cut_off(caches, gateway.is_some());
        let (mut pulled, mut said) = (BTreeSet::new(), BTreeMap::new());
        for names in self.in_order(keys.keys()) {
            let request = StageRequest::named(names);
            let attempt = self.attempt(Stage::Verify, BstAction::Fetch, &request.elements, &mut log, until);
            pulled.extend(attempt.pulled_keys);
            for failure in attempt.failures {
                let of = failure.element.clone();
                said.entry(of).or_insert(failure.message);
            }
        }
        self.conf_name = super::stage_runner::CONF;
        self.more_environment.clear();
        self.network = ChildNetwork::Host;
        // Its casd takes what a cache gives, whatever that is.
        let whole = whole(&home.join("cache"), &pulled, self.pipeline.project.timeout, self.context.cancel);
        remove(&home).map_err(failed)?;
        if pulled.is_empty() && gateway.as_ref().is_some_and(|gateway| gateway.reached() == 0) {
            return Err(format!(
                "it did not find its way to the caches: {}",
                said.into_values().next().unwrap_or_default()
            ));
        }
        let isolation = if gateway.is_some() { ClientIsolation::Network } else { ClientIsolation::Environment };
        let mut result = ClientResult { isolation, seconds: began.elapsed().as_secs_f64(), ..ClientResult::default() };
        for (element, key) in keys {
            if pulled.contains(key) && whole.contains(key) {
                result.fetched.insert(element.clone());
            } else if pulled.contains(key) {
                let why = "what the cache gave is not what its digests say";
                result.missing.insert(element.clone(), why.to_owned());
            } else {
                let why = said.get(&Some(element.clone())).or(said.get(&None));
                let why = why.map_or("no cache gave them", String::as_str);
                result.missing.insert(element.clone(), why.to_owned());
            }
        }
        Ok(result)
    }

    /// Gives the client a network of its own with a way to the caches, where this host's runner has such; else nothing.
    fn gateway(&mut self, caches: &[SourceCacheConfig]) -> Result<Option<CacheGateway>, String> {
        let socket = self.pipeline.directories.temporary.join(SOCKET);
        self.network = ChildNetwork::Relayed(socket.clone());
        let (turn, invocation) = self.invocation(Vec::new(), Instant::now());
        drop(turn);
        if !self.context.runner.confines_network(&invocation, self.context.cancel) {
            self.network = ChildNetwork::Host;
            return Ok(None);
        }
        let opened = CacheGateway::open(&socket, caches);
        opened.map(Some).map_err(|error| format!("no way to the caches can be had at {}: {error}", socket.display()))
    }

    /// Commands in which elements can be named: nothing behind a junction can be loaded before it is there, and bst asks
    /// no cache for a junction that it meets while it loads.
    fn in_order<'e>(&self, elements: impl Iterator<Item = &'e ElementName>) -> Vec<BTreeSet<ElementName>> {
        let (junctions, others): (BTreeSet<_>, BTreeSet<_>) =
            elements.cloned().partition(|element| self.junctions.contains(element));
        // Those that others lie behind come first, wanted or not.
        let leading = others.iter().chain(&junctions).flat_map(ElementName::junctions).collect::<BTreeSet<_>>();
        let mut ordered: Vec<ElementName> = junctions.union(&leading).cloned().collect();
        ordered.sort_by_key(|junction| (junction.junctions().count(), junction.clone()));
        let mut commands: Vec<_> = ordered.into_iter().map(|junction| BTreeSet::from([junction])).collect();
        commands.extend(Some(others).filter(|others| !others.is_empty()));
        commands
    }

    fn client_conf(&self, home: &Path, caches: &[SourceCacheConfig]) -> String {
        let mut config = self.pipeline.project.buildstream.config.clone();
        config.remove("cache");
        // What is missing is missing at once.
        if let Value::Object(own) = json!({ "scheduler": { "network-retries": 0 } }) {
            merge(&mut config, &own);
        }
        let caches: Vec<_> = caches.iter().map(|cache| SourceCacheConfig { push: false, ..cache.clone() }).collect();
        self.conf_with(&home.join("cache"), &home.join("sources"), &self.task_logs(), &caches, &config)
    }
}

/// Those of the keys all of whose blobs are in the client's cache and are what their digests say.
fn whole(cachedir: &Path, keys: &BTreeSet<SourceKey>, timeout: Duration, cancel: &Cancel) -> BTreeSet<SourceKey> {
    let mut prover = SourceProver::new(ProofTarget::Local, cachedir, timeout).reading_contents(true);
    // What could not be asked is not answered.
    let _ = prover.ask(keys, cancel);
    keys.iter().filter(|key| prover.answer(key) == Some(&KeyAnswer::Proved)).cloned().collect()
}

/// Variables that let what obeys them reach the caches and nothing else: git, and all that obeys proxies. In a network of
/// its own gRPC alone has a proxy.
fn cut_off(caches: &[SourceCacheConfig], has_gateway: bool) -> BTreeMap<OsString, OsString> {
    let hosts = caches.iter().filter_map(|cache| Some(AddressParts::of_url(&cache.url)?.host().to_owned()));
    let hosts: BTreeSet<String> = hosts.collect();
    let mut variables = BTreeMap::from([
        ("GIT_ALLOW_PROTOCOL".into(), "none".into()),
        ("no_proxy".into(), OsString::new()),
        ("NO_PROXY".into(), OsString::new()),
        if has_gateway {
            ("grpc_proxy".into(), format!("http://127.0.0.1:{RELAY_PORT}").into())
        } else {
            ("no_grpc_proxy".into(), hosts.into_iter().collect::<Vec<_>>().join(",").into())
        },
    ]);
    for name in ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy"] {
        variables.insert(name.into(), NOWHERE.into());
        variables.insert(name.to_uppercase().into(), NOWHERE.into());
    }
    variables
}

/// Removes a directory with all that is in it; casd leaves directories that nobody may write to.
fn remove(directory: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(by_client: Option<&str>) -> DoneElement {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        DoneElement {
            inputs: "x".to_owned(),
            at: at("2026-01-01T00:00:00Z"),
            key: Some("0".repeat(64).parse().unwrap()),
            proved: Some(at("2026-01-01T00:00:00Z")),
            fetched_by_client: by_client.map(at),
        }
    }

    #[test]
    fn all_elements_have_their_turn_within_the_time() {
        let names: BTreeSet<ElementName> = (0..100).map(|n| format!("e{n:02}.bst").parse().unwrap()).collect();
        let mut known: BTreeMap<ElementName, DoneElement> =
            names.iter().map(|name| (name.clone(), done(None))).collect();
        let (week, hour) = (Duration::from_hours(7 * 24), jiff::Span::new().hours(1));
        let mut now: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        assert_eq!(share(&names, &known, now, week).len(), 10, "a first share");
        for _ in 0..(7 * 24 + 24) {
            for name in share(&names, &known, now, week).keys() {
                known.get_mut(name).unwrap().fetched_by_client = Some(now);
            }
            now = now.checked_add(hour).unwrap();
        }
        let oldest = known.values().map(|known| known.fetched_by_client.unwrap()).min().unwrap();
        assert!(now.duration_since(oldest).as_hours() <= 8 * 24, "{oldest} at {now}");
        // Nothing is due before its time.
        for known in known.values_mut() {
            known.fetched_by_client = Some(now);
        }
        assert!(share(&names, &known, now, week).is_empty());
        // What nobody knows a key of cannot be seen to be pulled.
        for known in known.values_mut() {
            (known.fetched_by_client, known.key) = (None, None);
        }
        assert!(share(&names, &known, now, week).is_empty());
    }

    #[test]
    fn the_caches_hosts_alone_are_reached_directly() {
        let cache = |url: &str| SourceCacheConfig { url: url.to_owned(), ..SourceCacheConfig::default() };
        let caches = [cache("https://cache.example.org:11002/x"), cache("http://[::1]:9"), cache("http://plain")];
        let variables = cut_off(&caches, true);
        assert_eq!(variables[&OsString::from("grpc_proxy")], "http://127.0.0.1:3128");
        assert!(!variables.contains_key(&OsString::from("no_grpc_proxy")));
        let variables = cut_off(&caches, false);
        assert_eq!(variables[&OsString::from("no_grpc_proxy")], "[::1],cache.example.org,plain");
        assert_eq!(variables[&OsString::from("HTTPS_PROXY")], NOWHERE);
    }
}
