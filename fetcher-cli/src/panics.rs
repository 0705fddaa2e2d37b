//! A panic of a run, caught so that those who are to be told hear of it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use crate::say;

/// Shows panics like everything else: in their message may be anybody's text.
pub(crate) fn are_shown_harmless() {
    panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        say(&format!("thread '{}' {info}", thread.name().unwrap_or("<unnamed>")));
        // As RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            say(&format!("stack backtrace:\n{backtrace}"));
        }
    }));
}

/// Does the work; gives the message of the panic that ended it, if one did, on whichever thread it was.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let first = Arc::new(Mutex::new(None));
    let (noted, usual) = (Arc::clone(&first), Arc::new(panic::take_hook()));
    let shown = Arc::clone(&usual);
    panic::set_hook(Box::new(move |info| {
        noted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| info.to_string());
        shown(info);
    }));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(Box::new(move |info| usual(info)));
    done.map_err(|_| {
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| "it said nothing".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_panic_is_the_one_that_is_told() {
        assert_eq!(caught(|| 7), Ok(7));
        let told = caught(|| {
            std::thread::scope(|scope| drop(scope.spawn(|| assert_eq!(1, 2, "on another thread"))));
        });
        let told = told.unwrap_err();
        assert!(told.contains("on another thread") && told.contains("panics.rs"), "{told}");
    }
}
