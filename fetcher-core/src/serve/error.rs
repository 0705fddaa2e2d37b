//! Why a server cannot begin.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a server cannot begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// There is no cache to serve.
    #[error(
        "{path}: there is no directory; name the `cachedir` of a BuildStream there, or let bst run once to make one"
    )]
    NoCache {
        /// The directory.
        path: PathBuf,
    },
    /// The address is none.
    #[error("{address}: {message}; write it like 127.0.0.1:11001 or [::1]:11001")]
    Address {
        /// What was written.
        address: String,
        /// What is wrong.
        message: String,
    },
    /// It is not possible to listen there.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The file with the tokens cannot be used.
    #[error("{path}: {message}")]
    Tokens {
        /// The file.
        path: PathBuf,
        /// Why, without any of its content.
        message: String,
    },
    /// A certificate or key cannot be used.
    #[error("{path}: {message}; write PEM files under [serve] tls")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why, without any of its content.
        message: String,
    },
    /// The threads of the server cannot be started.
    #[error("cannot start the server's threads: {0}")]
    Runtime(io::Error),
}
