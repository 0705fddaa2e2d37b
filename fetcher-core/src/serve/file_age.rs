//! Whether a file's state tells all of it, and how old it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::file_state::FileState;

/// How long a kernel's clock may stand still: what is written twice within that may show one time.
const TICK: Duration = Duration::from_millis(100);

/// The same where a file system keeps whole seconds.
const COARSE_TICK: Duration = Duration::from_secs(2);

impl FileState {
    /// Whether a further change would show: not within the tick of the clock in which the last one was made. What is
    /// read of a file before that may be out of date without its state telling.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let tick = if self.changed.1 == 0 { COARSE_TICK } else { TICK };
        let changed = time(self.changed);
        changed.is_some_and(|changed| now.duration_since(changed).is_ok_and(|age| age > tick))
    }

    /// How long ago the file was modified; none where that is in the future.
    pub(crate) fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(time(self.modified).unwrap_or(UNIX_EPOCH)).ok()
    }
}

fn time((seconds, nanoseconds): (i64, i64)) -> Option<SystemTime> {
    let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
    Some(UNIX_EPOCH + seconds + Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_settled_once_the_clock_has_gone_on() {
        let at = |nanoseconds| FileState { inode: 1, size: 1, modified: (5, 0), changed: (1000, nanoseconds) };
        let now = |milliseconds| UNIX_EPOCH + Duration::from_millis(milliseconds);
        let whole: Vec<_> = [999_000, 1_000_000, 1_001_999, 1_002_001].map(|ms| at(0).is_settled(now(ms))).into();
        assert_eq!(whole, [false, false, false, true]);
        assert_eq!([1_000_100, 1_000_102].map(|ms| at(1_000_000).is_settled(now(ms))), [false, true]);
        assert_eq!(at(0).age(now(7000)), Some(Duration::from_secs(2)));
        assert_eq!(at(0).age(now(4000)), None);
    }
}
