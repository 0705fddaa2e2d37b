//! TLS: the server's certificate, and those of clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::ServeTls;

use super::error::ServeError;
use super::reread::RereadResult;
use crate::cas::digest::Sha256Hash;

/// The files, and what is in force of them.
pub(super) struct TlsReloader {
    files: ServeTls,
    current: RwLock<TlsInForce>,
}

struct TlsInForce {
    /// The digest of the files' contents.
    digest: Sha256Hash,
    /// None where no client's certificate can be good.
    config: Option<Arc<ServerConfig>>,
}

impl TlsReloader {
    pub(super) fn read(files: &ServeTls) -> Result<Self, ServeError> {
        let contents = TlsFiles::read(files)?;
        let current = TlsInForce { digest: contents.digest(), config: contents.config(files)? };
        if let (None, Some(path)) = (&current.config, &files.client_ca) {
            return Err(at(path, "there is no certificate in it"));
        }
        Ok(Self { files: files.clone(), current: RwLock::new(current) })
    }

    /// What new connections are let in with; none where nobody is.
    pub(super) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let ServeTls { cert, key, client_ca } = &self.files;
        [Some(cert), Some(key), client_ca.as_ref()].into_iter().flatten().cloned().collect()
    }

    /// Reads the files again. Where those who sign clients' certificates are gone, nobody is let in any more, once that
    /// was so `before`: who writes the file anew may empty or move it first.
    pub(super) fn read_again(&self, before: bool) -> Result<RereadResult, ServeError> {
        let contents = TlsFiles::read(&self.files)?;
        let digest = contents.digest();
        if self.current.read().unwrap_or_else(PoisonError::into_inner).digest == digest {
            return Ok(RereadResult::Same);
        }
        let config = contents.config(&self.files)?;
        let reading = match (config.is_none(), before) {
            (true, false) => return Ok(RereadResult::Empty),
            (true, true) => RereadResult::Revoked,
            (false, _) => RereadResult::New,
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = TlsInForce { digest, config };
        Ok(reading)
    }
}

/// What is in the files.
struct TlsFiles {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl TlsFiles {
    fn read(files: &ServeTls) -> Result<Self, ServeError> {
        let read = |path: &PathBuf| fs::read(path).map_err(|problem| at(path, &problem));
        let client_ca = files.client_ca.as_ref().map(|path| match fs::read(path) {
            // Nobody's signature is good then.
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(|problem| at(path, &problem)),
        });
        Ok(Self { cert: read(&files.cert)?, key: read(&files.key)?, client_ca: client_ca.transpose()? })
    }

    fn digest(&self) -> Sha256Hash {
        let parts =
            [&self.cert, &self.key, self.client_ca.as_ref().unwrap_or(&Vec::new())].map(|part| Sha256Hash::of(part));
        Sha256Hash::of(format!("{parts:?}").as_bytes())
    }

    /// None where clients have to have certificates that nobody signs.
    fn config(&self, files: &ServeTls) -> Result<Option<Arc<ServerConfig>>, ServeError> {
        let chain = certificates(&files.cert, &self.cert)?;
        if chain.is_empty() {
            return Err(at(&files.cert, "there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| at(&files.key, &error))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| at(&files.cert, &error))?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, self.client_ca.as_deref().unwrap_or_default())? {
                    roots.add(certificate).map_err(|error| at(path, &error))?;
                }
                if roots.is_empty() {
                    return Ok(None);
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| at(path, &error))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| at(&files.key, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Arc::new(config)))
    }
}

fn at(path: &Path, problem: &(impl ToString + ?Sized)) -> ServeError {
    ServeError::Tls { path: path.to_owned(), message: problem.to_string() }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| at(path, &error))
}
