//! What is configured for the server of the local cache.

use std::path::PathBuf;

use super::declare::{FromConfigTable, config_table};
use super::keys::KeyDefault::{Required as Must, Value, Words};
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};

pub(super) static SERVE: TableDeclaration = TableDeclaration { keys: ServeConfig::KEYS, ..TableDeclaration::EMPTY };

static TLS: TableDeclaration = TableDeclaration { keys: ServeTls::KEYS, ..TableDeclaration::EMPTY };

config_table! {
    /// `[serve]`: the server of the local cache.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ServeConfig {
        /// The address and port to listen on.
        listen: String = KeyDeclaration::new("listen", ValueKind::Listen, Value("\"127.0.0.1:11001\""), "\"127.0.0.1:11002\"");
        /// The `cachedir` of BuildStream that is served.
        cachedir: Option<PathBuf> = KeyDeclaration::new("cachedir", ValueKind::Path, Words("the fetcher's own"), "\"/home/me/.cache/buildstream\"");
        /// Files for TLS.
        tls: Option<ServeTls> = KeyDeclaration::new("tls", ValueKind::Table(&TLS), Words("no encryption"), "{ cert = \"server.crt\", key = \"server.key\" }");
        /// A file of bearer tokens, one a line, read again when it changes.
        access_tokens: Option<PathBuf> = KeyDeclaration::new("access-tokens", ValueKind::SecretFile, Words("nobody needs a token"), "\"tokens\"");
        /// The address and port on which the server's metrics are offered to Prometheus.
        metrics_listen: Option<String> = KeyDeclaration::new("metrics-listen", ValueKind::Listen, Words("no metrics over HTTP"), "\"127.0.0.1:9464\"");
        /// The instance names that are answered beside the empty one; none for any.
        instance_names: Vec<String> = KeyDeclaration::new("instance-names", ValueKind::List(&ValueKind::Text, 0), Value("[]"), "[\"main\"]");
        /// How many connections are open at once; further ones are closed at once.
        max_connections: usize = KeyDeclaration::new("max-connections", ValueKind::Number(1, 100_000), Value("256"), "1000");
        /// How many requests of one connection are answered at once.
        max_streams: u32 = KeyDeclaration::new("max-streams", ValueKind::Number(1, 10_000), Value("128"), "32");
        /// How many requests a second of one client's address are answered; 0 for as many as come. What comes faster
        /// is made to wait, and refused after two seconds.
        max_requests_per_second: u32 = KeyDeclaration::new("max-requests-per-second", ValueKind::Number(0, 1_000_000), Value("10000"), "500");
    }
}

config_table! {
    /// `[serve] tls`: PEM files.
    #[derive(Debug, Clone, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ServeTls {
        /// The server's certificate chain, PEM.
        cert: PathBuf = KeyDeclaration::new("cert", ValueKind::File, Must, "\"server.crt\"");
        /// The private key to it, PEM.
        key: PathBuf = KeyDeclaration::new("key", ValueKind::SecretFile, Must, "\"server.key\"");
        /// Who signs the clients' certificates, which are then required, PEM.
        client_ca: Option<PathBuf> = KeyDeclaration::new("client-ca", ValueKind::File, Words("clients need no certificate"), "\"clients.crt\"");
    }
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
