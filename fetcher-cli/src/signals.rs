//! SIGINT, SIGTERM and SIGHUP stop a run in order; the second one ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use fetcher_core::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The signal that came first; 0 while none did.
#[derive(Debug, Clone, Default)]
pub(crate) struct CaughtSignal(Arc<AtomicI32>);

impl CaughtSignal {
    /// The exit status that tells of the signal, if one came.
    pub(crate) fn status(&self) -> Option<u8> {
        let signal = self.0.load(Ordering::SeqCst);
        (signal != 0).then(|| u8::try_from(128 + signal).unwrap_or(u8::MAX))
    }
}

/// Lets the signals use `cancel`.
pub(crate) fn listen(cancel: Cancel) -> io::Result<CaughtSignal> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let caught = CaughtSignal::default();
    let told = caught.clone();
    thread::spawn(move || {
        for signal in signals.forever() {
            if told.0.swap(signal, Ordering::SeqCst) != 0 {
                // Else the first signal's end comes.
                let _ = emulate_default_handler(signal);
            }
            cancel.cancel();
        }
    });
    Ok(caught)
}
