//! Secrets gathered from all over, before there is a redactor.

use std::path::PathBuf;

use super::{Secret, parts};

/// Secrets to be masked: values, and files that hold some. [`Redactor::watching`](super::Redactor::watching) makes a
/// redactor of it, and [`Config::secrets`](crate::Config::secrets) gathers those of a configuration.
///
/// ```
/// use fetcher_core::{Redactor, Secret, SecretSet};
///
/// let mut secrets = SecretSet::default();
/// secrets.address(&Secret::new("https://hooks.example.org/in/Zm9vYmFy?key=deadbeef"));
/// let redactor = Redactor::watching(secrets);
/// assert_eq!(redactor.redact("no hook Zm9vYmFy with deadbeef"), "no hook *** with ***");
/// ```
#[derive(Debug, Clone, Default)]
pub struct SecretSet {
    pub(super) values: Vec<Secret>,
    pub(super) files: Vec<PathBuf>,
    pub(super) public: Vec<String>,
}

impl SecretSet {
    /// Adds a value.
    pub fn value(&mut self, secret: Secret) {
        self.values.push(secret);
    }

    /// Adds what a file holds: each line of it; of a line that is an address what is secret in such a one
    /// ([`SecretSet::address`]); of a private key in PEM the key. It is read when a redactor is made, and again when it
    /// has changed: the first 256 KiB of it.
    pub fn file(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        if !self.files.contains(&path) {
            self.files.push(path);
        }
    }

    /// Adds an address that is a secret itself, as those of webhooks are: the whole of it, its user and password, its
    /// path, each part of the path and each value in its query that is not a word of routes (`services`, `webhooks`, …)
    /// or shorter than 8 bytes.
    pub fn address(&mut self, address: &Secret) {
        self.values.extend(parts::of_address(address.expose()));
    }

    /// Adds the credentials of each address in a text (`https://user:password@host`); the text itself is no secret.
    pub fn text(&mut self, text: &str) {
        self.values.extend(parts::credentials(text));
    }

    /// Adds a header of HTTP: its value, and each word of 8 bytes in it. Headers that say how a body is written
    /// (`Content-Type`, `Accept`, …) are none.
    pub fn header(&mut self, name: &str, value: &Secret) {
        self.values.extend(parts::of_header(name, value.expose()));
    }

    /// Adds an environment variable whose value is handed to programs of others. The whole value is masked, unless it is
    /// harmless: of an address only the credentials count, and nothing where it is shorter than 8 bytes, a number, a
    /// path that is there, or a variable known to be no secret (`HOME`, `LANG`, `TERM`, …). Where the variable's name
    /// says that it is a secret (`…TOKEN…`, `…PASSWORD…`, `…KEY…`), any value but the commonest words is one.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.values.extend(parts::of_variable(name, value));
    }

    /// Says that a text is public: what is part of it is never masked. So a project's name stays readable although a
    /// variable has it as its value.
    pub fn public(&mut self, text: impl Into<String>) {
        self.public.push(text.into());
    }
}
