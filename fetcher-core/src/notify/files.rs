//! What notifiers read from files when they need it.

use std::fs;
use std::path::Path;

use super::error::{DeliveryErrorKind, NotifyError};
use crate::secret::Secret;

/// The secret in a file: its first line.
pub(super) fn secret(path: &Path) -> Result<Secret, NotifyError> {
    let hint = "put the secret into the file's first line, and make it readable for the user that runs this";
    let failed = |what: String| {
        NotifyError::new(DeliveryErrorKind::Setup, format!("cannot use the file {}: {what}", path.display()), hint)
    };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    match text.lines().next().map(str::trim) {
        None | Some("") => Err(failed("its first line is empty".to_owned())),
        Some(line) => Ok(Secret::new(line)),
    }
}

/// The address that `url` or `url-file` gives.
#[cfg(feature = "webhook")]
pub(super) fn address(url: Option<&Secret>, file: Option<&Path>) -> Result<Secret, NotifyError> {
    match (url, file) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(path)) => secret(path),
        (None, None) => {
            let hint = "give it `url`, or `url-file`";
            Err(NotifyError::new(DeliveryErrorKind::Setup, "it has no address to send to", hint))
        }
    }
}

/// The certificates in a file, as it is: PEM.
#[cfg(any(feature = "email", feature = "irc"))]
pub(super) fn pem(path: &Path) -> Result<Vec<u8>, NotifyError> {
    let hint = "correct `ca-file`: a file with certificates in PEM, which this user may read";
    fs::read(path).map_err(|error| {
        NotifyError::new(DeliveryErrorKind::Setup, format!("cannot read the ca-file {}: {error}", path.display()), hint)
    })
}
