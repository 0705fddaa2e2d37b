//! The server from its configuration to its end.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::asset::v1::fetch_server::FetchServer;
use bazel_remote_apis::build::bazel::remote::execution::v2::capabilities_server::CapabilitiesServer;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_server::ContentAddressableStorageServer;
use bazel_remote_apis::google::bytestream::byte_stream_server::ByteStreamServer;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::cancel::Cancel;
use crate::config::ServeConfig;

use super::assets::AssetService;
use super::bytestream::ByteStreamService;
use super::cache::{ServedCache, ServedDirectory};
use super::call_context::CallContext;
use super::capabilities::CapabilitiesService;
use super::cas::CasService;
use super::client_connection::{MemoryPools, THREADS};
use super::connection_slots::ConnectionSlots;
use super::connections::ConnectionListener;
use super::counters::ServeCounters;
use super::error::ServeError;
use super::event::{ServeEvent, ServeEventSink};
use super::metrics_page;
use super::rate_limit::RateLimiter;
use super::reload::FileReloader;
use super::request_guard::RequestGuard;
use super::resource::InstanceNames;
use super::tls::TlsReloader;
use super::tokens::AccessTokens;

/// The descriptors of what is served, for reflection; `descriptors/make.py` makes the file.
const DESCRIPTORS: &[u8] = include_bytes!("descriptors/services.bin");

/// How many threads there are for what blocks: what is asked for shares some, and those that read pieces of what is being
/// sent find others.
const BLOCKING: usize = THREADS + 32;

/// The services that clients ask for.
const SERVICES: [&str; 4] = [
    <FetchServer<AssetService> as NamedService>::NAME,
    <CapabilitiesServer<CapabilitiesService> as NamedService>::NAME,
    <ContentAddressableStorageServer<CasService> as NamedService>::NAME,
    <ByteStreamServer<ByteStreamService> as NamedService>::NAME,
];

/// A server that does not listen yet.
pub struct CacheServer {
    config: ServeConfig,
    directories: Vec<ServedDirectory>,
    tls: Option<Arc<TlsReloader>>,
    tokens: Option<Arc<AccessTokens>>,
    listener: Option<TcpListener>,
    metrics_listener: Option<TcpListener>,
    drain: Duration,
    events: ServeEventSink,
}

impl std::fmt::Debug for CacheServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheServer").field("directories", &self.directories).finish_non_exhaustive()
    }
}

impl CacheServer {
    /// A server for one cache; [`ServeConfig::cachedir`] is not looked at.
    ///
    /// # Errors
    /// When there is no such directory, or certificates, keys or tokens cannot be read.
    pub fn new(config: &ServeConfig, cachedir: &Path) -> Result<Self, ServeError> {
        if !cachedir.is_dir() {
            return Err(ServeError::NoCache { path: cachedir.to_owned() });
        }
        Self::for_all(config, vec![ServedDirectory { cachedir: cachedir.to_owned(), instances: Vec::new() }])
    }

    /// A server for several caches: those of all trusts ([`CacheLayout::caches`](crate::state::CacheLayout::caches)).
    ///
    /// # Errors
    /// When certificates, keys or tokens cannot be read.
    pub fn for_all(config: &ServeConfig, directories: Vec<ServedDirectory>) -> Result<Self, ServeError> {
        let tls = config.tls.as_ref().map(TlsReloader::read).transpose()?;
        let tokens = config.access_tokens.as_deref().map(AccessTokens::read).transpose()?;
        Ok(Self {
            config: config.clone(),
            directories,
            tls: tls.map(Arc::new),
            tokens: tokens.map(Arc::new),
            listener: None,
            metrics_listener: None,
            drain: Duration::from_secs(30),
            events: Arc::new(|_| {}),
        })
    }

    /// Tells this function what happens. It is called from many threads, and should not take long.
    #[must_use]
    pub fn events(mut self, sink: impl Fn(ServeEvent) + Send + Sync + 'static) -> Self {
        self.events = Arc::new(sink);
        self
    }

    /// Takes connections from this socket, which listens already, instead of from `listen`: systemd hands one over.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The same for the metrics, instead of `metrics-listen`.
    #[must_use]
    pub fn metrics_listener(mut self, listener: TcpListener) -> Self {
        self.metrics_listener = Some(listener);
        self
    }

    /// How long answers under way may take once the server is asked to end; 30 seconds if nothing is said.
    #[must_use]
    pub fn drain(mut self, patience: Duration) -> Self {
        self.drain = patience;
        self
    }

    /// Listens. From now on clients can connect; they are answered from [`BoundServer::run`] on.
    ///
    /// # Errors
    /// When an address is wrong, or listening there is not possible.
    pub fn bind(mut self) -> Result<BoundServer, ServeError> {
        let listener = match self.listener.take() {
            Some(listener) => listener,
            None => listen(&self.config.listen)?,
        };
        let metrics = match (self.metrics_listener.take(), &self.config.metrics_listen) {
            (Some(listener), _) => Some(listener),
            (None, Some(address)) => Some(listen(address)?),
            (None, None) => None,
        };
        let address = prepared(&listener)?;
        let metrics_address = metrics.as_ref().map(prepared).transpose()?;
        Ok(BoundServer { server: self, listener, metrics, address, metrics_address })
    }

    /// What is worth a thought about who can reach the server.
    fn warnings(&self, address: IpAddr) -> Vec<String> {
        let mut warnings = Vec::new();
        for ServedDirectory { cachedir, .. } in &self.directories {
            if !cachedir.join("cas").is_dir() {
                let path = cachedir.display();
                warnings.push(format!(
                    "{path} has no cas directory: either bst did not run with it yet, or it is no cachedir"
                ));
            }
        }
        if address.to_canonical().is_loopback() {
            return warnings;
        }
        let tls = self.tls.is_some();
        if !tls && self.tokens.is_some() {
            warnings.push("tokens travel unencrypted to an address that is not loopback; set [serve] tls".to_owned());
        } else if !tls {
            warnings.push(
                "everybody who reaches this address can read the cache, unencrypted; set [serve] tls, and access-tokens \
                 or tls.client-ca"
                    .to_owned(),
            );
        } else if self.tokens.is_none() && self.config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_none()) {
            warnings.push(
                "everybody who reaches this address can read the cache; set [serve] access-tokens or tls.client-ca"
                    .to_owned(),
            );
        }
        warnings
    }
}

fn listen(address: &str) -> Result<TcpListener, ServeError> {
    // Names are looked up too: `localhost:11001`.
    TcpListener::bind(address).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidInput => {
            ServeError::Address { address: address.to_owned(), message: source.to_string() }
        }
        _ => ServeError::Listen { address: address.to_owned(), source },
    })
}

fn prepared(listener: &TcpListener) -> Result<SocketAddr, ServeError> {
    let error = |source| ServeError::Listen { address: "the socket that was handed over".to_owned(), source };
    listener.set_nonblocking(true).map_err(error)?;
    listener.local_addr().map_err(error)
}

/// A server that listens.
pub struct BoundServer {
    server: CacheServer,
    listener: TcpListener,
    metrics: Option<TcpListener>,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
}

impl std::fmt::Debug for BoundServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl BoundServer {
    /// Where clients find it: with the real port where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where Prometheus finds the metrics, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Answers clients on threads of its own until somebody uses the handle; then lets answers under way end.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn run(self, cancel: &Cancel) -> Result<(), ServeError> {
        let cores = thread::available_parallelism().map_or(2, NonZeroUsize::get);
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(cores.min(8)).max_blocking_threads(BLOCKING).thread_name("serve").enable_all();
        let runtime = builder.build().map_err(ServeError::Runtime)?;
        let over = AtomicBool::new(false);
        let (stop, stopped) = watch::channel(false);
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    if cancel.wait(Duration::from_millis(200)) {
                        let _ = stop.send(true);
                        return;
                    }
                }
            });
            let result = self.serve(&runtime, stopped);
            over.store(true, SeqCst);
            result
        });
        // A digest of something large may be under way; nobody waits for it.
        runtime.shutdown_background();
        result
    }

    fn serve(self, runtime: &Runtime, mut stopped: watch::Receiver<bool>) -> Result<(), ServeError> {
        let Self { server, listener, metrics, address, metrics_address } = self;
        let counters = Arc::new(ServeCounters::default());
        let events = counting(server.events.clone(), Arc::clone(&counters));
        let _inside = runtime.enter();
        let listening = |source| ServeError::Listen { address: address.to_string(), source };
        let listener = tokio::net::TcpListener::from_std(listener).map_err(listening)?;
        let metrics = metrics.map(tokio::net::TcpListener::from_std).transpose().map_err(listening)?;
        for message in server.warnings(address.ip()) {
            events(ServeEvent::Warning { message });
        }
        let cache = Arc::new(ServedCache::new(&server.directories, Arc::clone(&events)));
        let reading = Arc::clone(&cache);
        runtime.spawn_blocking(move || reading.read_index());
        let instances = InstanceNames::new(instance_names(&server.config, &server.directories));
        let (routes, health) = routes(&CallContext::new(cache, instances, Arc::clone(&counters)));
        runtime.block_on(set_health(&health, ServingStatus::Serving));
        let (tokens, tls) = (server.tokens.clone(), server.tls.clone());
        runtime.spawn(FileReloader { tokens, tls, events: Arc::clone(&events) }.watch());
        let pools = Arc::new(MemoryPools::new());
        if let Some((listener, address)) = metrics.zip(metrics_address) {
            runtime.spawn(metrics_page::serve(listener, Arc::clone(&counters), Arc::clone(&pools)));
            events(ServeEvent::MetricsListening { address });
        }
        let guard = RequestGuard::new(routes, server.tokens, Arc::clone(&counters), Arc::clone(&events));
        let door = Arc::new(ConnectionListener {
            guard: Arc::new(guard),
            buckets: RateLimiter::new(server.config.max_requests_per_second),
            tls: server.tls,
            pools,
            places: ConnectionSlots::new(server.config.max_connections),
            max_streams: server.config.max_streams,
            counters,
            events: Arc::clone(&events),
        });
        let tls = door.tls.is_some();
        let mut served = server.directories.into_iter().map(|directory| directory.cachedir);
        let cachedir = served.next().unwrap_or_default();
        events(ServeEvent::Listening { address, cachedir, beside: served.collect(), tls });
        let watched = stopped.clone();
        runtime.spawn(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            set_health(&health, ServingStatus::NotServing).await;
        });
        let cut_off = runtime.block_on(door.serve(listener, watched, server.drain));
        events(ServeEvent::Stopped { cut_off });
        Ok(())
    }
}

/// The names that are answered: where only some are, also those of the caches.
fn instance_names(config: &ServeConfig, directories: &[ServedDirectory]) -> Vec<String> {
    let mut names = config.instance_names.clone();
    if !names.is_empty() {
        names.extend(directories.iter().flat_map(|directory| directory.instances.iter().cloned()));
    }
    names
}

/// A sink that counts before it tells.
fn counting(sink: ServeEventSink, counters: Arc<ServeCounters>) -> ServeEventSink {
    Arc::new(move |event| {
        if matches!(event, ServeEvent::Corrupt { .. }) {
            counters.corrupt();
        }
        sink(event);
    })
}

fn routes(calls: &CallContext) -> (Routes, HealthReporter) {
    let (health, health_service) = tonic_health::server::health_reporter();
    let mut routes = Routes::new(FetchServer::new(AssetService(calls.clone())))
        .add_service(CapabilitiesServer::new(CapabilitiesService(calls.clone())))
        .add_service(ContentAddressableStorageServer::new(CasService(calls.clone())))
        .add_service(ByteStreamServer::new(ByteStreamService(calls.clone())))
        .add_service(health_service);
    // Older tools ask the one, newer the other.
    let reflection = || {
        let mut builder = tonic_reflection::server::Builder::configure();
        for name in SERVICES {
            builder = builder.with_service_name(name);
        }
        builder
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health")
    };
    // The descriptors are part of the program: a test sees that they are good.
    if let Ok(service) = reflection().build_v1() {
        routes = routes.add_service(service);
    }
    if let Ok(service) = reflection().build_v1alpha() {
        routes = routes.add_service(service);
    }
    (routes.prepare(), health)
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, status).await;
    }
}
