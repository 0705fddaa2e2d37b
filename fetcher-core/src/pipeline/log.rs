//! A stage's log: redacted on its way to the disk, and bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::secret::{RedactingWriter, Redactor};

/// What a log may grow to, in bytes. A child that writes more than this has nothing to say that matters.
const LARGEST: u64 = 256 << 20;

/// A log file that is open for more.
pub(crate) struct StageLog {
    file: Option<RedactingWriter<BufWriter<File>>>,
    written: u64,
    /// The first thing that went wrong with it.
    failure: Option<io::Error>,
}

impl StageLog {
    /// Opens a log for what is added to its end.
    pub(crate) fn open(path: &Path, redactor: &Redactor) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self { file: Some(redactor.writer(BufWriter::new(file))), written, failure: None })
    }

    /// No log at all.
    pub(crate) fn none() -> Self {
        Self { file: None, written: 0, failure: None }
    }

    /// Adds to the log. What no longer fits is dropped, and the log says so once. A log that cannot be written ends
    /// there, which [`StageLog::finish`] tells: the stage goes on, for its report does not depend on it.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let left = usize::try_from(LARGEST.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let fits = &bytes[..bytes.len().min(left)];
        let mut result = file.write_all(fits);
        self.written += fits.len() as u64;
        let is_cut = fits.len() < bytes.len();
        if is_cut {
            result = result.and_then(|()| file.write_all(b"\n[the log is cut here: it grew too large]\n"));
        }
        if let Err(error) = result {
            self.file = None;
            self.failure = Some(error);
        } else if is_cut {
            self.close();
        }
    }

    /// Ends the log.
    ///
    /// # Errors
    /// When not all of it could be written.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.close();
        self.failure.take().map_or(Ok(()), Err)
    }

    fn close(&mut self) {
        let Some(file) = self.file.take() else { return };
        if let Err(error) = file.finish().and_then(|mut file| file.flush()) {
            self.failure.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_cannot_be_written_says_so_at_its_end() {
        let mut log = StageLog::open(Path::new("/dev/full"), &Redactor::default()).unwrap();
        log.write(b"a line\n");
        assert_eq!(log.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(StageLog::none().finish().is_ok());
    }
}
