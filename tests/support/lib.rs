//! What the integration tests share.
#![expect(clippy::missing_panics_doc, reason = "a helper of tests panics wherever a test would")]

pub mod alive;
pub mod browser;
pub mod bst;
pub mod cachedir;
pub mod canary;
pub mod casd;
pub mod client;
pub mod daemon;
pub mod fake;
pub mod fetcher;
pub mod fuzz;
pub mod git_fixture;
pub mod host;
pub mod hostile;
pub mod http;
pub mod http_git;
pub mod installed;
pub mod irc;
pub mod notified;
pub mod plain_runner;
pub mod project;
pub mod published;
pub mod rest_forge;
pub mod sample;
pub mod sasl;
pub mod scratch;
pub mod served;
pub mod sinks;
pub mod site;
pub mod smtp;
pub mod sshd;
pub mod tls;
pub mod track_log;
pub mod wheel;
