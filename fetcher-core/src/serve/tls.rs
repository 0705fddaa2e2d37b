//! TLS: the server's certificate, and those of clients.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::ServeTls;

use super::error::ServeError;

/// Reads the files.
pub(super) fn read(files: &ServeTls) -> Result<Arc<ServerConfig>, ServeError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |message: String| ServeError::Tls { path: path.clone(), message }
    };
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| at(&files.key)(error.to_string()))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| at(&files.cert)(error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| at(path)(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| at(path)(error.to_string()))?)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| at(&files.key)(error.to_string()));
    let mut config = config?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let error = |message: String| ServeError::Tls { path: path.to_owned(), message };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|problem| error(problem.to_string()))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|problem| error(problem.to_string()))?;
    if certificates.is_empty() {
        return Err(error("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}
