//! Whose certificates are believed here.

use super::HostCheck;
use crate::environment::Environment;
use crate::trust_store::TrustStore;

/// Which authorities this program trusts, and whether there are any.
pub(super) fn authorities(environment: &Environment) -> HostCheck {
    let name = "certificates";
    let store = TrustStore::of(environment);
    let count = store.roots().len();
    match store {
        TrustStore::Named(variable, path) if count == 0 => HostCheck::fail(
            name,
            format!("{variable} names {}, in which no authority can be read", path.display()),
            format!(
                "correct {variable} where bst-fetcher is started: a file with certificates in PEM, which this user may read"
            ),
        ),
        TrustStore::Named(variable, path) => {
            HostCheck::ok(name, format!("{count} authorities of {}, named by {variable}", path.display()))
        }
        TrustStore::Host(path) => HostCheck::ok(name, format!("{count} authorities of {}", path.display())),
        TrustStore::Bundled => HostCheck::warn(
            name,
            format!(
                "this host has no file of authorities; the {count} that come with bst-fetcher are trusted by it alone"
            ),
            "git, bst and pip need those of the host: install ca-certificates",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetcher::host::CheckStatus;

    #[test]
    fn a_file_that_is_named_and_trusts_nobody_is_told() {
        let place = tempfile::tempdir().unwrap();
        let named = place.path().join("ca.pem");
        let environment = Environment::from_iter([("CURL_CA_BUNDLE", &named)]);
        let missing = authorities(&environment);
        assert_eq!(missing.level, CheckStatus::Fail);
        assert!(missing.found.contains("CURL_CA_BUNDLE") && missing.hint.contains("CURL_CA_BUNDLE"), "{missing}");
        let authority = rcgen::generate_simple_self_signed(["ca.example.org".to_owned()]).unwrap().cert.pem();
        std::fs::write(&named, authority).unwrap();
        assert_eq!(authorities(&environment).level, CheckStatus::Ok);
    }
}
