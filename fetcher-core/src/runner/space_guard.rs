//! Stopping a child for a reason of the caller's, above all that the disk runs full.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::{Exit, Invocation, OutputStream, Runner, RunnerError};
use crate::cancel::Cancel;
use crate::free_space::FreeSpace;

/// How often it is looked whether there is a reason. What writes a gigabyte a second writes 50 MB meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Lets another runner run children, and stops them (or does not start them) while there is too little space.
#[derive(Debug)]
pub struct SpaceGuard<'a> {
    runner: &'a dyn Runner,
    space: &'a FreeSpace,
}

impl<'a> SpaceGuard<'a> {
    /// Guards `space` while `runner` runs something.
    pub fn new(runner: &'a dyn Runner, space: &'a FreeSpace) -> Self {
        Self { runner, space }
    }
}

impl Runner for SpaceGuard<'_> {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        let (exit, shortage) = run_until(self.runner, invocation, cancel, output, &|| self.space.shortage());
        let stopped = shortage.map(|shortage| Exit::NoSpace { free: shortage.free, wanted: shortage.wanted });
        stopped.map_or(exit, Ok)
    }

    fn hides_files(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        self.runner.hides_files(invocation, cancel)
    }

    fn is_local(&self) -> bool {
        self.runner.is_local()
    }

    fn confines_network(&self, invocation: &Invocation, cancel: &Cancel) -> bool {
        self.runner.confines_network(invocation, cancel)
    }
}

/// Runs a child until it ends, is cancelled, or `reason` gives a reason to stop it. Where it was stopped for the
/// reason, that is given too.
pub(crate) fn run_until<R: Send>(
    runner: &dyn Runner,
    invocation: &Invocation,
    cancel: &Cancel,
    output: &mut dyn FnMut(OutputStream, &[u8]),
    reason: &(dyn Fn() -> Option<R> + Sync),
) -> (Result<Exit, RunnerError>, Option<R>) {
    if let (false, Some(reason)) = (cancel.is_cancelled(), reason()) {
        return (Ok(Exit::Cancelled), Some(reason));
    }
    let stop = Cancel::new();
    let (exit, reason) = thread::scope(|scope| {
        let (ended, end) = channel::<()>();
        let told = stop.clone();
        let watch = move || {
            while end.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let found = if cancel.is_cancelled() { Some(None) } else { reason().map(Some) };
                if let Some(found) = found {
                    told.cancel();
                    return found;
                }
            }
            None
        };
        let watcher = scope.spawn(watch);
        let exit = runner.run(invocation, &stop, output);
        drop(ended);
        // It has nothing that panics; did it, nothing would have been stopped for its sake.
        (exit, watcher.join().ok().flatten())
    });
    // What ended by itself in the same moment did end by itself.
    let stopped = matches!(exit, Ok(Exit::Cancelled));
    (exit, reason.filter(|_| stopped))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::runner::LocalRunner;

    fn shell(script: &str, directory: &Path) -> Invocation {
        let environment = BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]);
        let timeout = Duration::from_secs(60);
        Invocation::new(["/bin/sh", "-c", script], directory).environment(environment).timeout(timeout)
    }

    #[test]
    fn nothing_is_started_where_there_is_too_little_space() {
        let directory = tempfile::tempdir().unwrap();
        let space = FreeSpace::new([directory.path().to_owned()], u64::MAX);
        let runner = LocalRunner::default();
        let guard = SpaceGuard::new(&runner, &space);
        let exit = guard.run(&shell(": >started", directory.path()), &Cancel::new(), &mut |_, _| {}).unwrap();
        assert!(matches!(exit, Exit::NoSpace { wanted: u64::MAX, .. }), "{exit:?}");
        assert!(!directory.path().join("started").exists());
        let plenty = FreeSpace::new([directory.path().to_owned()], 0);
        let guard = SpaceGuard::new(&runner, &plenty);
        let exit = guard.run(&shell("exit 7", directory.path()), &Cancel::new(), &mut |_, _| {}).unwrap();
        assert_eq!(exit, Exit::Status(7));
    }

    #[test]
    fn what_gives_a_reason_while_it_runs_is_stopped_and_a_cancel_is_a_cancel() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("written");
        let reason = || fs::metadata(&file).ok().map(|found| found.len());
        let invocation = shell("echo much >written; sleep 60", directory.path());
        let runner = LocalRunner::default();
        let (exit, reason) = run_until(&runner, &invocation, &Cancel::new(), &mut |_, _| {}, &reason);
        assert_eq!((exit.unwrap(), reason), (Exit::Cancelled, Some(5)));

        let cancel = Cancel::new();
        let invocation = shell("echo now; sleep 60", directory.path());
        let handle = cancel.clone();
        let (exit, reason) = run_until(&runner, &invocation, &cancel, &mut |_, _| handle.cancel(), &|| None::<()>);
        assert_eq!((exit.unwrap(), reason), (Exit::Cancelled, None));
    }
}
