//! What is configured for the server of the local cache.

use std::path::PathBuf;

/// `[serve]`: the server of the local cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// `listen`: address and port.
    pub listen: String,
    /// `cachedir`; none for the fetcher's own.
    pub cachedir: Option<PathBuf>,
    /// `tls`.
    pub tls: Option<ServeTls>,
    /// `access-tokens`: a file, one token a line.
    pub access_tokens: Option<PathBuf>,
    /// `metrics-listen`: address and port of the metrics over HTTP.
    pub metrics_listen: Option<String>,
    /// `instance-names` that are answered beside the empty one; empty for any.
    pub instance_names: Vec<String>,
    /// `max-connections`: how many are open at once.
    pub max_connections: usize,
    /// `max-streams`: how many requests of one connection are answered at once.
    pub max_streams: u32,
    /// `max-requests-per-second` of one client's address; 0 for as many as come.
    pub max_requests_per_second: u32,
}

/// `[serve] tls`: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeTls {
    /// `cert`: the server's certificate chain.
    pub cert: PathBuf,
    /// `key`: its private key.
    pub key: PathBuf,
    /// `client-ca`: who signs the clients' certificates, which are then required.
    pub client_ca: Option<PathBuf>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:11001".to_owned(),
            cachedir: None,
            tls: None,
            access_tokens: None,
            metrics_listen: None,
            instance_names: Vec::new(),
            max_connections: 256,
            max_streams: 128,
            max_requests_per_second: 10_000,
        }
    }
}
