//! A panic of a run, caught so that those who are to be told hear of it. What it says passes the gate that masks secrets,
//! for a panic repeats whatever it stumbled over.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use fetcher_core::Redact as _;
use fetcher_core::Redactor;

use crate::eprint_line;

/// Shows panics like everything else: in their message may be anybody's text.
pub(crate) fn are_shown_harmless() {
    panic::set_hook(Box::new(|info| eprint_line(&shown(&info.to_string()))));
}

/// Does the work; gives the message of the panic that ended it, if one did, on whichever thread it was.
pub(crate) fn caught<T>(redactor: &Redactor, work: impl FnOnce() -> T) -> Result<T, String> {
    let first = Arc::new(Mutex::new(None));
    let (noted, redactor) = (Arc::clone(&first), redactor.clone());
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let told = info.to_string().redacted(&redactor);
        eprint_line(&shown(&told));
        noted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(told);
    }));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(usual);
    done.map_err(|_| {
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| "it said nothing".to_owned())
    })
}

/// A panic as the standard library shows it.
fn shown(told: &str) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        BacktraceStatus::Captured => format!("\n{trace}"),
        _ => "\nnote: run with `RUST_BACKTRACE=1` to see where it came from".to_owned(),
    };
    format!("thread '{name}' {told}{trace}")
}

#[cfg(test)]
mod tests {
    use fetcher_core::Secret;

    use super::*;

    #[test]
    fn the_first_panic_is_the_one_that_is_told_without_its_secrets() {
        let redactor = Redactor::new([Secret::new("t0ken-of-ours")]);
        assert_eq!(caught(&redactor, || 7), Ok(7));
        let told = caught(&redactor, || {
            std::thread::scope(|scope| drop(scope.spawn(|| assert_eq!(1, 2, "on another thread, t0ken-of-ours"))));
        });
        let told = told.unwrap_err();
        assert!(told.contains("on another thread, ***") && told.contains("panics.rs"), "{told}");
    }
}
