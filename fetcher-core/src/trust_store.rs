//! The authorities whose certificates are believed: those that this host trusts, as git and curl do, else those that come
//! with this program.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::environment::Environment;

/// Where distributions keep the authorities that they trust: Debian's, Fedora's, openSUSE's, Alpine's.
const USUAL: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The variables by which OpenSSL, curl and git are told of another file.
const VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];

/// Whose authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TrustStore {
    /// Those in the file that a variable of the environment names, and no others.
    Named(&'static str, PathBuf),
    /// Those in this host's own file.
    Host(PathBuf),
    /// Mozilla's, as they were when this program was built, for this host has none.
    Bundled,
}

impl TrustStore {
    /// What `environment` and this host say.
    pub(crate) fn of(environment: &Environment) -> Self {
        Self::among(environment, &USUAL)
    }

    fn among(environment: &Environment, usual: &[impl AsRef<Path>]) -> Self {
        let named = VARIABLES.iter().find_map(|name| Some((*name, environment.get(name)?)));
        if let Some((name, path)) = named {
            return Self::Named(name, path.into());
        }
        let usual = usual.iter().map(|path| Self::Host(path.as_ref().to_owned()));
        usual.into_iter().find(|store| !store.roots().is_empty()).unwrap_or(Self::Bundled)
    }

    /// The authorities, read now. A named file that cannot be read trusts nobody: every server is then refused, which
    /// is told.
    pub(crate) fn roots(&self) -> RootCertStore {
        roots(self.certificates())
    }

    /// The certificates of the authorities, of which those are left out that nothing could be verified with.
    #[cfg(any(feature = "email", feature = "forge", feature = "probe", feature = "webhook"))]
    pub(crate) fn usable_certificates(&self) -> Vec<CertificateDer<'static>> {
        let mut found = self.certificates();
        found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        found
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        match self {
            Self::Named(_, path) | Self::Host(path) => {
                rustls_native_certs::load_certs_from_paths(Some(path), None).certs
            }
            Self::Bundled => webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec(),
        }
    }
}

fn roots(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Distributions have some that rustls cannot use; the others hold.
    roots.add_parsable_certificates(certificates);
    roots
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn the_hosts_own_are_trusted_and_only_where_it_has_none_the_bundled_ones() {
        let place = tempfile::tempdir().unwrap();
        let (empty, own) = (place.path().join("empty.pem"), place.path().join("own.pem"));
        let authority = rcgen::generate_simple_self_signed(["ca.example.org".to_owned()]).unwrap().cert.pem();
        fs::write(&empty, "# nothing yet\n").unwrap();
        let none = Environment::empty();
        assert_eq!(TrustStore::among(&none, &[&place.path().join("missing"), &empty]), TrustStore::Bundled);
        assert!(TrustStore::Bundled.roots().len() > 50);
        fs::write(&own, &authority).unwrap();
        let found = TrustStore::among(&none, &[&empty, &own]);
        assert_eq!(found, TrustStore::Host(own.clone()));
        assert_eq!(found.certificates(), [CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()]);
    }

    #[test]
    fn what_a_variable_names_is_all_that_is_trusted() {
        let place = tempfile::tempdir().unwrap();
        let missing = place.path().join("missing.pem");
        let environment = Environment::from_iter([("SSL_CERT_FILE", &missing)]);
        let found = TrustStore::of(&environment);
        assert_eq!(found, TrustStore::Named("SSL_CERT_FILE", missing));
        assert!(found.roots().is_empty());
    }
}
