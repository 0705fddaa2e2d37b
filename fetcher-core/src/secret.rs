//! Secrets: values that reach no log, no report, no argument vector and no page.

mod forms;
mod gate;
mod parts;
mod set;
mod values;
mod watch;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use gate::Redact;
#[cfg(feature = "fetcher")]
pub(crate) use parts::names_a_secret;
pub use set::SecretSet;
use values::SecretValues;
use watch::WatchedFile;
pub use writer::RedactingWriter;

/// What stands where a secret stood.
const MASK: &str = "***";

/// A secret in a text.
#[derive(Debug, PartialEq, Eq)]
struct SecretSpan {
    /// Where what shows that it is one begins: the key before the value, say.
    from: usize,
    /// What is masked.
    part: Range<usize>,
}

/// A value that is never shown: its `Debug` form is `Secret(…)`, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret value. Line ends at its end are dropped, for that is how files with one secret look.
    pub fn new(value: impl Into<String>) -> Self {
        let mut value = value.into();
        value.truncate(value.trim_end_matches(['\n', '\r']).len());
        Self(value)
    }

    /// The value itself, for the one place that has to use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Masks secrets in text on its way to a log, a report, a page or a message. Clones share one set of tables.
///
/// Masked as `***` is what was given to it by value, and what it knows by form:
///
/// - *Values*, also where white space or line ends stand between their characters, percent-encoded in whole or in
///   part (either case, several times over), with the escapes of JSON and HTML, and inside base64 (`user:secret` of a
///   Basic header). A value shorter than [`Redactor::SHORTEST`] bytes is not masked: it would turn text into stars, and
///   it guards nothing. Values may come from files, which are read again when they change ([`Redactor::watching`]).
/// - *Forms*: the user and password of an address (the user alone of an `ssh://` one is left), `Authorization`,
///   `Bearer`, `Basic`, cookies and `…-TOKEN` headers, `password=`, `access_token=` and their like in queries,
///   configuration and JSON, tokens with a well-known beginning (GitHub, GitLab, AWS, Slack, npm, PyPI, …), web
///   tokens (JWT), and private keys in PEM.
///
/// ```
/// use fetcher_core::{Redactor, Secret};
/// let redactor = Redactor::new([Secret::new("s3cr3t value")]);
/// assert_eq!(redactor.redact("GET https://me:pw@host/?a=s3cr3t%20value"), "GET https://***@host/?a=***");
/// ```
#[derive(Clone, Default)]
pub struct Redactor(Arc<MaskTables>);

/// What all clones of a redactor share.
#[derive(Default)]
struct MaskTables {
    values: RwLock<Arc<SecretValues>>,
    files: Mutex<Vec<WatchedFile>>,
    /// Text that is no secret, whatever it is part of.
    public: Vec<String>,
    /// Whether there are files to look at.
    watches: bool,
}

impl Redactor {
    /// The fewest bytes of a value that is masked.
    pub const SHORTEST: usize = 4;

    /// A redactor that masks the given values beside what it knows by form.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self::watching(SecretSet { values: secrets.into_iter().collect(), ..SecretSet::default() })
    }

    /// A redactor that masks a set of secrets. Its files are read now, and again whenever they have changed: what they
    /// held before is masked too, for as long as the redactor lives. One that cannot be read is left out: whoever needs
    /// it will say so.
    pub fn watching(secrets: SecretSet) -> Self {
        let SecretSet { values, files, public } = secrets;
        let files: Vec<WatchedFile> = files.into_iter().map(WatchedFile::new).collect();
        let tables =
            MaskTables { watches: !files.is_empty(), files: Mutex::new(files), public, ..MaskTables::default() };
        tables.learn(values);
        tables.refresh();
        Self(Arc::new(tables))
    }

    /// A redactor that masks these values too.
    #[must_use]
    pub fn with(&self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        let values = self.0.values().secrets().iter().cloned().chain(secrets).collect();
        let files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner).iter().map(WatchedFile::path).collect();
        Self::watching(SecretSet { values, files, public: self.0.public.clone() })
    }

    /// The text with every secret masked.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The text with every known value masked, and whatever only looks like a secret left as it is.
    pub(crate) fn redact_values(&self, text: &str) -> String {
        let mut found = Vec::new();
        self.0.values().find(text.as_bytes(), &mut found);
        let mut redacted = Vec::with_capacity(text.len());
        mask(text.as_bytes(), &joined(found), &mut redacted);
        String::from_utf8_lossy(&redacted).into_owned()
    }

    /// The bytes, whatever their encoding, with every secret masked.
    pub fn redact_bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if text.len() > writer::WINDOW {
            let mut writer = self.writer(Vec::new());
            // Writing to memory cannot fail.
            let _ = writer.write_all(text);
            return Cow::Owned(writer.finish().unwrap_or_default());
        }
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut redacted = Vec::with_capacity(text.len());
        mask(text, &found, &mut redacted);
        Cow::Owned(redacted)
    }

    /// A writer that masks secrets in what is written through it, also where they lie across two writes, with bounded
    /// memory. For the output of children on its way to a log.
    pub fn writer<W: Write>(&self, inner: W) -> RedactingWriter<W> {
        RedactingWriter::new(self.clone(), inner)
    }

    /// Where secrets are in the text: in order, apart from each other.
    fn find(&self, text: &[u8]) -> Vec<SecretSpan> {
        let mut found = forms::find(text);
        self.0.values().find(text, &mut found);
        joined(found)
    }

    /// Where something begins that could be the beginning of a secret and go on in what follows the text, of which
    /// the first `lines` bytes are whole lines.
    fn unfinished(&self, text: &[u8], lines: usize) -> usize {
        forms::unfinished(&text[..lines]).min(self.0.values().unfinished(text))
    }
}

impl MaskTables {
    /// The values as they are at this moment.
    fn values(&self) -> Arc<SecretValues> {
        self.refresh();
        Arc::clone(&self.values.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again that have changed.
    fn refresh(&self) {
        if !self.watches {
            return;
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let read: Vec<Secret> = files.iter_mut().flat_map(WatchedFile::changed).collect();
        // With the files still locked: nobody goes on with the old values once a file was seen to have changed.
        self.learn(read);
    }

    fn learn(&self, secrets: Vec<Secret>) {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        let is_public = |secret: &Secret| self.public.iter().any(|text| text.contains(secret.expose()));
        let fresh = secrets.into_iter().filter(|secret| !is_public(secret) && !values.secrets().contains(secret));
        let fresh: Vec<Secret> = fresh.collect();
        if !fresh.is_empty() {
            let all = values.secrets().iter().cloned().chain(fresh).collect();
            *values = Arc::new(SecretValues::new(all));
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.0.values.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Redactor({} secrets)", values.secrets().len())
    }
}

/// In order, apart from each other.
fn joined(mut found: Vec<SecretSpan>) -> Vec<SecretSpan> {
    found.sort_unstable_by_key(|found| found.part.start);
    found.dedup_by(|next, found| {
        let joins = next.part.start <= found.part.end;
        if joins {
            found.from = found.from.min(next.from);
            found.part.end = found.part.end.max(next.part.end);
        }
        joins
    });
    found
}

/// Appends the text to `to` with what was found masked.
fn mask(text: &[u8], found: &[SecretSpan], to: &mut Vec<u8>) {
    let mut done = 0;
    for SecretSpan { part, .. } in found {
        to.extend_from_slice(&text[done..part.start]);
        to.extend_from_slice(MASK.as_bytes());
        done = part.end;
    }
    to.extend_from_slice(&text[done..]);
}

#[cfg(test)]
mod tests;
