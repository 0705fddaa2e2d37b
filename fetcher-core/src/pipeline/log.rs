//! A stage's log: redacted on its way to the disk, and bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::secret::{RedactingWriter, Redactor};

/// What a log may grow to, in bytes. A child that writes more than this has nothing to say that matters.
const LARGEST: u64 = 256 << 20;

/// A log file that is open for more.
pub(crate) struct Log {
    file: Option<RedactingWriter<BufWriter<File>>>,
    written: u64,
}

impl Log {
    /// Opens a log for what is added to its end.
    pub(crate) fn open(path: &Path, redactor: &Redactor) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self { file: Some(redactor.writer(BufWriter::new(file))), written })
    }

    /// No log at all.
    pub(crate) fn none() -> Self {
        Self { file: None, written: 0 }
    }

    /// Adds to the log. What no longer fits is dropped, and the log says so once. A log that cannot be written ends
    /// there: the stage goes on, for its report does not depend on it.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let left = usize::try_from(LARGEST.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let fits = &bytes[..bytes.len().min(left)];
        let mut result = file.write_all(fits);
        self.written += fits.len() as u64;
        if fits.len() < bytes.len() {
            result = result.and_then(|()| file.write_all(b"\n[the log is cut here: it grew too large]\n"));
            self.close();
        }
        if result.is_err() {
            self.file = None;
        }
    }

    fn close(&mut self) {
        if let Some(file) = self.file.take() {
            let _ = file.finish().and_then(|mut file| file.flush());
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}
