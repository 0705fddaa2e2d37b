//! Waiting for what comes, instead of for a time.

use std::fmt::Display;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take on a machine that does a lot else: what takes longer never ends.
pub const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until something is so.
#[track_caller]
pub fn until(what: impl Display, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "it never came to be so: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until a file is there.
#[track_caller]
pub fn for_file(path: &Path) {
    until(path.display(), || path.exists());
}

/// Waits until somebody listens at a socket: its file is there before that.
#[track_caller]
pub fn for_socket(path: &Path) {
    until(path.display(), || UnixStream::connect(path).is_ok());
}

/// Waits until a process has a file open.
#[track_caller]
pub fn for_open_file(process: u32, path: &Path) {
    let files = format!("/proc/{process}/fd");
    until(format_args!("process {process} opens {}", path.display()), || {
        let open = std::fs::read_dir(&files).into_iter().flatten().flatten();
        open.into_iter().any(|file| std::fs::read_link(file.path()).is_ok_and(|open| open == path))
    });
}
