//! What is configured for source caches, with BuildStream's own keys. Those of `auth` and `connection-config` are handed on
//! to it as they are.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::declare::{FromConfigTable as _, config_table};
use super::keys::KeyDefault::{Required as Must, Value, Words};
use super::keys::{KeyDeclaration, TableDeclaration, ValueKind};

pub(super) static SOURCE_CACHE: TableDeclaration =
    TableDeclaration { keys: SourceCacheConfig::KEYS, ..TableDeclaration::EMPTY };

config_table! {
    /// One `[[project.source-caches]]`, with BuildStream's own keys.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct SourceCacheConfig {
        /// The cache's address.
        url: String = KeyDeclaration::new("url", ValueKind::Url(&["https", "http", "grpcs", "grpc", "unix"]), Must, "\"https://cache.example.org:11002\"");
        /// Whether sources are pushed to it.
        push: bool = KeyDeclaration::new("push", ValueKind::Bool, Value("false"), "true");
        /// What the server is: the index, the storage, or both.
        kind: Option<String> = KeyDeclaration::new("type", ValueKind::Word(&["all", "index", "storage"]), Words("`all`"), "\"index\"");
        /// The name of the instance on the server.
        instance_name: Option<String> = KeyDeclaration::new("instance-name", ValueKind::Text, Words("the empty name"), "\"main\"");
        /// How the server knows who asks, and how it is known itself.
        auth: BTreeMap<String, Json> = KeyDeclaration::new("auth", ValueKind::Table(&AUTH), Value("{}"), "{ access-token = \"cache.token\" }");
        /// How the connection behaves.
        connection_config: BTreeMap<String, Json> = KeyDeclaration::new("connection-config", ValueKind::Table(&CONNECTION), Value("{}"), "{ retry-limit = 5 }");
    }
}

impl SourceCacheConfig {
    /// A cache that is read from, of which nothing is said but its address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

static AUTH: TableDeclaration = TableDeclaration {
    keys: &[
        KeyDeclaration::new("server-cert", ValueKind::File, Words("the system's authorities"), "\"ca.crt\"")
            .documented("The certificate that signs the server's, PEM."),
        KeyDeclaration::new("client-cert", ValueKind::File, Words("none"), "\"client.crt\"")
            .documented("The client's certificate, PEM. It needs `client-key`."),
        KeyDeclaration::new("client-key", ValueKind::SecretFile, Words("none"), "\"client.key\"")
            .documented("The private key to it, PEM. It needs `client-cert`."),
        KeyDeclaration::new("access-token", ValueKind::SecretFile, Words("none"), "\"cache.token\"")
            .documented("A file with a bearer token."),
        KeyDeclaration::new(
            "access-token-reload-interval",
            ValueKind::Number(1, 1_000_000),
            Words("it is read once"),
            "60",
        )
        .documented("After how many minutes the token is read again."),
    ],
    needs: &[
        ("client-cert", "client-key"),
        ("client-key", "client-cert"),
        ("access-token-reload-interval", "access-token"),
    ],
    ..TableDeclaration::EMPTY
};

static CONNECTION: TableDeclaration = TableDeclaration {
    keys: &[
        KeyDeclaration::new("keepalive-time", ValueKind::Number(0, 1_000_000), Words("BuildStream's"), "180")
            .documented("Seconds between signs of life."),
        KeyDeclaration::new("retry-limit", ValueKind::Number(0, 1000), Words("BuildStream's"), "5")
            .documented("How many times a request is tried again; 0 is BuildStream's default too."),
        KeyDeclaration::new("retry-delay", ValueKind::Number(0, 1_000_000), Words("BuildStream's"), "500")
            .documented("Milliseconds before the first retry."),
        KeyDeclaration::new("request-timeout", ValueKind::Number(0, 1_000_000), Words("BuildStream's"), "180")
            .documented("Seconds that a request may take."),
    ],
    ..TableDeclaration::EMPTY
};
