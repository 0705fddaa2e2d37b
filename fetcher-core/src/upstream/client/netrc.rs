//! `~/.netrc`: credentials by host, as git, curl and BuildStream's plugins have them.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::environment::Environment;
use crate::secret::Secret;

/// What is read of such a file, at most.
const LARGEST: u64 = 1 << 20;

/// Credentials by host, for basic authentication.
#[derive(Debug, Default)]
pub(super) struct NetrcCredentials(HashMap<String, Secret>);

impl NetrcCredentials {
    /// What the file says that `NETRC` names, or that is in the home directory. One that is not there, or cannot be
    /// read, holds nothing: the upstream then says that it wants credentials.
    pub(super) fn of(environment: &Environment) -> Self {
        let home = || environment.get("HOME").map(|home| PathBuf::from(home).join(".netrc"));
        let Some(path) = environment.get("NETRC").map(PathBuf::from).or_else(home) else { return Self::default() };
        let fits = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
        let text = if fits { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut found = HashMap::new();
        let (mut host, mut login, mut password) = (None, None, None);
        // A macro goes on to the next empty line, and there is no quoting in the original.
        let mut in_macro = false;
        let mut words = Vec::new();
        for line in text.lines() {
            if in_macro {
                in_macro = !line.trim().is_empty();
            } else if line.trim_start().starts_with("macdef") {
                in_macro = true;
            } else if !line.trim_start().starts_with('#') {
                words.extend(line.split_whitespace());
            }
        }
        let mut enter = |host: Option<&str>, login: Option<&str>, password: Option<&str>| {
            if let (Some(host), Some(login)) = (host, login) {
                let basic = STANDARD.encode(format!("{login}:{}", password.unwrap_or_default()));
                // The first entry of a host counts.
                found.entry(host.to_ascii_lowercase()).or_insert_with(|| Secret::new(format!("Basic {basic}")));
            }
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word {
                "machine" => {
                    enter(host.take(), login.take(), password.take());
                    host = words.next();
                }
                // It would be sent to whatever host a project names.
                "default" => enter(host.take(), login.take(), password.take()),
                "login" => login = words.next(),
                "password" => password = words.next(),
                "account" => drop(words.next()),
                _ => {}
            }
        }
        enter(host, login, password);
        Self(found)
    }

    /// The value of `Authorization` for a host, without its port.
    pub(super) fn authorization(&self, host: &str) -> Option<&Secret> {
        self.0.get(&host.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_by_host() {
        let text = "# mine\nmachine git.example.org login me password s3cret\nmacdef x\n machine evil login a\n\n\
            machine other.example\n  login you\n  account x\n  password pw\ndefault login anybody password all\n";
        let netrc = NetrcCredentials::parse(text);
        let basic = |host: &str| netrc.authorization(host).map(|secret| secret.expose().to_owned());
        assert_eq!(basic("Git.example.org").as_deref(), Some("Basic bWU6czNjcmV0"));
        assert_eq!(basic("other.example").as_deref(), Some("Basic eW91OnB3"));
        assert_eq!(basic("evil"), None);
        assert_eq!(basic("elsewhere.example"), None);
        assert!(!format!("{netrc:?}").contains("bWU6"));
    }
}
