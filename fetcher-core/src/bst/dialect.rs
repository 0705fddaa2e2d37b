//! The argument vectors of BuildStream's releases.
//!
//! Which words a release understands is decided by what `bst --version` prints, never by `--help`, which crashes in
//! some releases with newer versions of Click.

use crate::bst::version::BstVersion;
use crate::config::{DependencyScope, OnError};

/// The command line that a release of bst understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// 1.x: `bst track`, `bst fetch`; sources cannot be pushed.
    One,
    /// 1.91 and 1.92: `bst source track`, `bst source fetch`; sources cannot be pushed.
    Pre191,
    /// 1.93 and 1.94: `bst source push` without `--deps`.
    Pre193,
    /// 1.95 and later.
    Two,
}

/// What a command is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BstAction {
    /// Look for new refs upstream.
    Track,
    /// Get the sources into the local cache.
    Fetch,
    /// Get the sources into the local cache and push them to the remote ones: bst's push has a fetch queue of its own.
    Push,
}

/// The elements that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElementSelection {
    /// Their names; none for the project's default targets.
    pub targets: Vec<String>,
    /// Which of their dependencies.
    pub deps: DependencyScope,
    /// Those left out.
    pub except: Vec<String>,
}

/// What stands before the command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlobalOptions<'a> {
    /// The generated `buildstream.conf`.
    pub config: &'a str,
    /// What to do when an element fails.
    pub on_error: OnError,
    /// The project's options.
    pub options: Vec<(&'a str, &'a str)>,
}

impl Dialect {
    /// The dialect of a release.
    pub fn of(version: &BstVersion) -> Self {
        match (version.major, version.minor) {
            (0, _) | (1, 0..=90) => Dialect::One,
            (1, 91 | 92) => Dialect::Pre191,
            (1, 93 | 94) => Dialect::Pre193,
            _ => Dialect::Two,
        }
    }

    /// Whether the release can push sources.
    pub fn can_push(self) -> bool {
        match self {
            Dialect::One | Dialect::Pre191 => false,
            Dialect::Pre193 | Dialect::Two => true,
        }
    }

    /// Whether naming no target means the project's default targets; else it means nothing at all.
    pub fn has_default_targets(self) -> bool {
        match self {
            Dialect::One => false,
            Dialect::Pre191 | Dialect::Pre193 | Dialect::Two => true,
        }
    }

    /// Everything behind `bst` on its command line.
    pub fn arguments(
        self,
        global: &GlobalOptions<'_>,
        action: BstAction,
        elements: &ElementSelection,
        cross_junctions: bool,
    ) -> Vec<String> {
        let mut arguments = before_command(global);
        arguments.extend(self.command(action).iter().map(|&word| word.to_owned()));
        if let Some(deps) = self.deps(action, elements.deps) {
            arguments.extend(["--deps".to_owned(), deps.to_owned()]);
        }
        if cross_junctions && action == BstAction::Track {
            arguments.push("--cross-junctions".to_owned());
        }
        for element in &elements.except {
            arguments.extend(["--except".to_owned(), element.clone()]);
        }
        if !elements.targets.is_empty() {
            arguments.push("--".to_owned());
            arguments.extend(elements.targets.iter().cloned());
        }
        arguments
    }

    /// `bst show`, which prints something for each element.
    pub fn show_arguments(self, global: &GlobalOptions<'_>, elements: &ElementSelection, format: &str) -> Vec<String> {
        let mut arguments = before_command(global);
        arguments.extend(["show", "--deps", words(elements.deps), "--format", format].map(str::to_owned));
        for element in &elements.except {
            arguments.extend(["--except".to_owned(), element.clone()]);
        }
        if !elements.targets.is_empty() {
            arguments.push("--".to_owned());
            arguments.extend(elements.targets.iter().cloned());
        }
        arguments
    }

    fn command(self, action: BstAction) -> &'static [&'static str] {
        match (self, action) {
            (Dialect::One, BstAction::Track) => &["track"],
            (Dialect::One, BstAction::Fetch | BstAction::Push) => &["fetch"],
            (_, BstAction::Track) => &["source", "track"],
            (_, BstAction::Fetch) => &["source", "fetch"],
            (_, BstAction::Push) => &["source", "push"],
        }
    }

    /// The value of `--deps`; none where the command has no such option.
    fn deps(self, action: BstAction, deps: DependencyScope) -> Option<&'static str> {
        match (self, action, deps) {
            (Dialect::Pre193, BstAction::Push, _) => None,
            // Track and fetch of 1.x and 1.91 know `none` and `all` alone.
            (Dialect::One | Dialect::Pre191, _, DependencyScope::Build | DependencyScope::Run) => Some("all"),
            _ => Some(words(deps)),
        }
    }
}

/// The command line of any command, in the caller's own words: all releases have the same before it.
pub(crate) fn any_arguments(global: &GlobalOptions<'_>, command: impl IntoIterator<Item = String>) -> Vec<String> {
    before_command(global).into_iter().chain(command).collect()
}

/// What stands between `bst` and the command.
fn before_command(global: &GlobalOptions<'_>) -> Vec<String> {
    let on_error = match global.on_error {
        OnError::Continue => "continue",
        OnError::Quit => "quit",
        OnError::Terminate => "terminate",
    };
    let mut arguments: Vec<String> =
        ["--no-interactive", "--no-colors", "-c", global.config, "--on-error", on_error].map(str::to_owned).into();
    for (name, value) in &global.options {
        arguments.extend(["-o", name, value].map(str::to_owned));
    }
    arguments
}

fn words(deps: DependencyScope) -> &'static str {
    match deps {
        DependencyScope::None => "none",
        DependencyScope::Build => "build",
        DependencyScope::Run => "run",
        DependencyScope::All => "all",
    }
}
