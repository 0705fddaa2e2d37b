//! What ran, for who listens: an event of `tracing` at each child's end.

use std::time::Instant;

use super::{Exit, Invocation, RunnerError};

/// Runs a child, and says at its end what it was, how long it took and how it ended: an event of the level `DEBUG` and
/// the target `fetcher_core::runner`. What listens has to mask secrets; there are none in commands as a rule.
pub(super) fn traced(
    invocation: &Invocation,
    run: impl FnOnce() -> Result<Exit, RunnerError>,
) -> Result<Exit, RunnerError> {
    let began = Instant::now();
    let ended = run();
    let seconds = began.elapsed().as_secs_f64();
    let directory = invocation.directory.display();
    match &ended {
        Ok(exit) => tracing::debug!(
            target: "fetcher_core::runner", command = %shown(invocation), %directory, seconds, ?exit, "child ended"
        ),
        Err(error) => tracing::debug!(
            target: "fetcher_core::runner", command = %shown(invocation), %directory, seconds, %error, "child not run"
        ),
    }
    ended
}

/// A command for people to read, which need not be one for a shell.
fn shown(invocation: &Invocation) -> String {
    let words = invocation.command.iter().map(|word| {
        let word = word.to_string_lossy();
        if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\'') {
            format!("{word:?}")
        } else {
            word.into_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
