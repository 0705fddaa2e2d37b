//! The keys of `[[project.source-caches]]`, which are BuildStream's own.

use super::super::keys::{KeyDefault, TableDeclaration, ValueKind};
use super::key;

use KeyDefault::{Required as Must, Value, Words};

pub(super) static SOURCE_CACHE: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "url",
            ValueKind::Url(&["https", "http", "grpcs", "grpc", "unix"]),
            Must,
            "\"https://cache.example.org:11002\"",
            "The cache's address.",
        ),
        key("push", ValueKind::Bool, Value("false"), "true", "Whether sources are pushed to it."),
        key(
            "type",
            ValueKind::Word(&["all", "index", "storage"]),
            Words("`all`"),
            "\"index\"",
            "What the server is: the index, the storage, or both.",
        ),
        key(
            "instance-name",
            ValueKind::Text,
            Words("the empty name"),
            "\"main\"",
            "The name of the instance on the server.",
        ),
        key(
            "auth",
            ValueKind::Table(&AUTH),
            Value("{}"),
            "{ access-token = \"cache.token\" }",
            "How the server knows who asks, and how it is known itself.",
        ),
        key(
            "connection-config",
            ValueKind::Table(&CONNECTION),
            Value("{}"),
            "{ retry-limit = 5 }",
            "How the connection behaves.",
        ),
    ],
    ..TableDeclaration::EMPTY
};

static AUTH: TableDeclaration = TableDeclaration {
    keys: &[
        key(
            "server-cert",
            ValueKind::File,
            Words("the system's authorities"),
            "\"ca.crt\"",
            "The certificate that signs the server's, PEM.",
        ),
        key(
            "client-cert",
            ValueKind::File,
            Words("none"),
            "\"client.crt\"",
            "The client's certificate, PEM. It needs `client-key`.",
        ),
        key(
            "client-key",
            ValueKind::SecretFile,
            Words("none"),
            "\"client.key\"",
            "The private key to it, PEM. It needs `client-cert`.",
        ),
        key("access-token", ValueKind::SecretFile, Words("none"), "\"cache.token\"", "A file with a bearer token."),
        key(
            "access-token-reload-interval",
            ValueKind::Number(1, 1_000_000),
            Words("it is read once"),
            "60",
            "After how many minutes the token is read again.",
        ),
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
        key(
            "keepalive-time",
            ValueKind::Number(0, 1_000_000),
            Words("BuildStream's"),
            "180",
            "Seconds between signs of life.",
        ),
        key(
            "retry-limit",
            ValueKind::Number(0, 1000),
            Words("BuildStream's"),
            "5",
            "How many times a request is tried again; 0 is BuildStream's default too.",
        ),
        key(
            "retry-delay",
            ValueKind::Number(0, 1_000_000),
            Words("BuildStream's"),
            "500",
            "Milliseconds before the first retry.",
        ),
        key(
            "request-timeout",
            ValueKind::Number(0, 1_000_000),
            Words("BuildStream's"),
            "180",
            "Seconds that a request may take.",
        ),
    ],
    ..TableDeclaration::EMPTY
};
