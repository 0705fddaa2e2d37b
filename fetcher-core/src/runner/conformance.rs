//! Whether a [`Runner`] keeps its contract, for the tests of whoever writes one.

mod checks;
mod trial;

use std::fmt;
use std::path::Path;

use super::Runner;
use checks::CHECKS;
use trial::Trial;

/// A rule of the contract that a runner does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContractBreach {
    /// The rule.
    pub rule: &'static str,
    /// What was seen instead.
    pub seen: String,
}

impl fmt::Display for ContractBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.seen)
    }
}

impl std::error::Error for ContractBreach {}

/// Tries the whole contract of [`Runner`] on one, and gives the rules that it does not keep: none, if all is well.
///
/// `directory` is one that the runner's other side has under the same path, empty and to be written; it is left as it comes
/// to be. `search` is the `PATH` of the other side, on which there are `sh` and the usual small programs. It takes half a
/// minute as a rule.
///
/// ```
/// use fetcher_core::LocalRunner;
/// use fetcher_core::runner::conformance;
///
/// let directory = tempfile::tempdir()?;
/// let breaches = conformance::check(&LocalRunner::default(), directory.path(), "/usr/bin:/bin");
/// assert_eq!(breaches, []);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn check(runner: &dyn Runner, directory: &Path, search: &str) -> Vec<ContractBreach> {
    let broken = CHECKS.iter().enumerate().filter_map(|(number, (rule, check))| {
        let trial = Trial::new(runner, directory.join(number.to_string()), search);
        let seen = trial.and_then(|trial| check(&trial)).err()?;
        Some(ContractBreach { rule, seen })
    });
    broken.collect()
}
