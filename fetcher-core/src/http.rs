//! Clients of HTTP: what they trust, and by which proxy they go.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::address::AddressParts;
use crate::environment::Environment;
use crate::trust_store::TrustStore;

/// Why no client can be made.
#[derive(Debug, Error)]
#[error("{message}")]
pub(crate) struct ClientError {
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: &'static str,
}

/// A client for one address. It follows no redirects, and takes every status for an answer. It trusts the host's
/// authorities and those in `ca_file`, and goes by the proxy that `environment` names.
pub(crate) fn agent(url: &str, ca_file: Option<&Path>, environment: &Environment) -> Result<Agent, ClientError> {
    let own = TrustStore::of(environment).usable_certificates();
    let mut trusted: Vec<_> = own.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    if let Some(path) = ca_file {
        trusted.extend(certificates(path)?);
    }
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Ok(Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy(url, environment)?)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("bst-fetcher/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, ClientError> {
    let hint = "correct `ca-file`: a file with certificates in PEM";
    let text = fs::read(path)
        .map_err(|error| ClientError { message: format!("cannot read {}: {error}", path.display()), hint })?;
    let found: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if found.is_empty() {
        return Err(ClientError { message: format!("there is no certificate in {}", path.display()), hint });
    }
    Ok(found)
}

/// The proxy that the caller's environment names, as curl(1) understands it.
pub(crate) fn proxy(url: &str, environment: &Environment) -> Result<Option<Proxy>, ClientError> {
    let get = |name: &str| environment.get(name).and_then(|value| value.to_str());
    let either = |lower: &str, upper: &str| get(lower).or_else(|| get(upper));
    let parts = AddressParts::of_url(url);
    let bare = parts.map_or("", |parts| parts.host());
    let direct = either("no_proxy", "NO_PROXY").is_some_and(|list| {
        list.split(',').map(|entry| entry.trim().trim_start_matches('*').trim_start_matches('.')).any(|entry| {
            // `*` alone is everybody.
            (entry.is_empty() && list.contains('*')) || bare == entry || bare.ends_with(&format!(".{entry}"))
        })
    });
    let named = match parts.and_then(|parts| parts.scheme) {
        Some("https") => either("https_proxy", "HTTPS_PROXY"),
        // HTTP_PROXY in capitals may come from a request's header (CVE-2016-5385).
        _ => get("http_proxy"),
    };
    let named = named.or_else(|| either("all_proxy", "ALL_PROXY")).filter(|named| !direct && !named.is_empty());
    let wrong = |_| ClientError {
        message: "the proxy that the environment names is none that can be used".to_owned(),
        hint: "correct HTTPS_PROXY, http_proxy or ALL_PROXY",
    };
    named.map(Proxy::new).transpose().map_err(wrong)
}

/// Scheme and host of an address, the rest of which may be a secret.
pub(crate) fn host_of(url: &str) -> String {
    match AddressParts::of_url(url) {
        Some(AddressParts { scheme: Some(scheme), authority, .. }) => format!("{scheme}://{authority}"),
        _ => "another address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_the_environments() {
        let environment = Environment::from_iter([("https_proxy", "http://proxy:3128"), ("no_proxy", "local, .b.org")]);
        let by_proxy = |url| proxy(url, &environment).unwrap().is_some();
        assert!(by_proxy("https://me@hooks.example.org/services/x"));
        assert!(!by_proxy("https://a.b.org:8443/"));
        assert!(!by_proxy("https://local/"));
        assert!(!by_proxy("http://x.org/"));
        let none = Environment::from_iter([("https_proxy", "http://proxy:3128"), ("no_proxy", "*")]);
        assert!(proxy("https://x.org/", &none).unwrap().is_none());
    }

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        assert_eq!(host_of("https://me:pw@hooks.example.org/services/s3cret"), "https://hooks.example.org");
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = agent("https://h/", Some(file.path()), &Environment::default()).unwrap_err();
        assert!(error.message.contains("no certificate"), "{error}");
    }
}
