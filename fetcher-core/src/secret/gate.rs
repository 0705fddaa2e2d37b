//! The gate that everything passes which is written or sent.

use std::path::PathBuf;

use super::Redactor;
use crate::sanitize::strip_control;

/// What passes the gate on its way to a file, a page, a message or a caller's screen.
///
/// Whatever is made of text that others wrote (a child's output, a server's answer) has this trait; it is taken apart by
/// the names of its fields, so that a field which is added later cannot be forgotten. Text is masked and loses what is
/// not meant to be read: an escape sequence in the middle of a secret would hide it. Names of projects, variants and
/// branches pass as they are. What has passed once comes out of a second time as it went in.
///
/// ```
/// use fetcher_core::{Redact as _, Redactor, Secret};
///
/// let redactor = Redactor::new([Secret::new("t0ken-of-ours")]);
/// assert_eq!("got t0ken-\u{1b}[0mof-ours".to_owned().redacted(&redactor), "got ***");
/// ```
pub trait Redact: Sized {
    /// The same with every secret masked.
    #[must_use]
    fn redacted(self, redactor: &Redactor) -> Self;
}

impl Redact for String {
    fn redacted(self, redactor: &Redactor) -> Self {
        redactor.redact(&strip_control(&self)).into_owned()
    }
}

impl Redact for PathBuf {
    fn redacted(self, redactor: &Redactor) -> Self {
        let text = self.to_string_lossy().into_owned();
        let masked = text.clone().redacted(redactor);
        if masked == text { self } else { masked.into() }
    }
}

impl<T: Redact> Redact for Option<T> {
    fn redacted(self, redactor: &Redactor) -> Self {
        self.map(|inner| inner.redacted(redactor))
    }
}

impl<T: Redact> Redact for Vec<T> {
    fn redacted(self, redactor: &Redactor) -> Self {
        self.into_iter().map(|inner| inner.redacted(redactor)).collect()
    }
}
