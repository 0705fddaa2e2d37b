//! Files with secrets, read again when they change.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Secret, parts};

/// How much of a file is looked for, in bytes.
const LARGEST: u64 = 256 * 1024;

/// Two changes within this time may leave a file with the same stamp, on a file system that keeps seconds: until it is
/// over, the file is read each time.
const UNSETTLED: Duration = Duration::from_secs(2);

/// The fewest characters of a line of a private key: shorter ones are the end of one, or no key.
const KEY_LINE: usize = 16;

/// A file, and what it was like when it was read.
pub(super) struct WatchedFile {
    path: PathBuf,
    /// None where it has to be read.
    read: Option<FileStamp>,
}

/// What changes when a file does.
#[derive(PartialEq, Eq)]
struct FileStamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl WatchedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: None }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// What the file holds, if it may have changed since it was read.
    pub(super) fn changed(&mut self) -> Vec<Secret> {
        // A FIFO would be waited for without end, a device read without end.
        let Some(found) = fs::metadata(&self.path).ok().filter(fs::Metadata::is_file) else {
            self.read = None;
            return Vec::new();
        };
        let stamp = FileStamp {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        };
        if self.read.as_ref() == Some(&stamp) {
            return Vec::new();
        }
        let Some(content) = content(&self.path) else {
            self.read = None;
            return Vec::new();
        };
        self.read = is_settled(&found).then_some(stamp);
        secrets(&String::from_utf8_lossy(&content))
    }
}

fn content(path: &Path) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path).ok()?.take(LARGEST).read_to_end(&mut content).ok()?;
    Some(content)
}

fn is_settled(found: &fs::Metadata) -> bool {
    let latest = found.mtime().max(found.ctime());
    let latest = UNIX_EPOCH + Duration::from_secs(u64::try_from(latest).unwrap_or_default());
    SystemTime::now().duration_since(latest).is_ok_and(|age| age > UNSETTLED)
}

/// The passwords in a text like that of a netrc(5).
fn netrc_passwords(text: &str) -> impl Iterator<Item = Secret> {
    let words = text.split_whitespace();
    words.clone().zip(words.skip(1)).filter(|(key, _)| *key == "password").map(|(_, password)| Secret::new(password))
}

/// The secrets in a file's text.
fn secrets(text: &str) -> Vec<Secret> {
    if text.contains("-----BEGIN ") {
        return private_keys(text);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .flat_map(|line| if line.contains("://") { parts::of_address(line) } else { vec![Secret::new(line)] })
        .chain(netrc_passwords(text))
        .collect()
}

/// The lines of the private keys in a PEM text. Certificates beside them are no secret.
fn private_keys(text: &str) -> Vec<Secret> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----") {
            inside = line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY");
        } else if inside && line.len() >= KEY_LINE && !line.contains(':') {
            found.push(Secret::new(line));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_not_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let mut file = WatchedFile::new(path.clone());
        assert_eq!(file.changed(), []);
        for value in ["first-token", "other-token", "third-token"] {
            fs::write(&path, value).unwrap();
            assert_eq!(file.changed(), [Secret::new(value)], "written within one tick of the clock, with one size");
        }
        let old = File::options().write(true).open(&path).unwrap();
        old.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert_eq!(file.changed(), [Secret::new("third-token")]);
        fs::remove_file(&path).unwrap();
        assert_eq!(file.changed(), []);
    }

    #[test]
    fn of_a_key_only_the_key_is_secret() {
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
        let text = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{line}\nab==\n-----END PRIVATE KEY-----\n",
            line.replace("MII", "CER")
        );
        assert_eq!(secrets(&text), [Secret::new(line)]);
    }
}
