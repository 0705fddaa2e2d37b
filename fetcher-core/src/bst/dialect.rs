//! The argument vectors of BuildStream's releases.
//!
//! Which words a release understands is decided by what `bst --version` prints, never by `--help`, which crashes in
//! some releases with newer versions of Click.

use crate::bst::version::Version;
use crate::config::{Deps, OnError};

/// The command line that a release of bst understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
pub enum Action {
    /// Look for new refs upstream.
    Track,
    /// Get the sources into the local cache.
    Fetch,
    /// Get the sources into the local cache and push them to the remote ones: bst's push has a fetch queue of its own.
    Push,
}

/// The elements that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elements {
    /// Their names; none for the project's default targets.
    pub targets: Vec<String>,
    /// Which of their dependencies.
    pub deps: Deps,
    /// Those left out.
    pub except: Vec<String>,
}

/// What stands before the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global<'a> {
    /// The generated `buildstream.conf`.
    pub config: &'a str,
    /// What to do when an element fails.
    pub on_error: OnError,
    /// The project's options.
    pub options: Vec<(&'a str, &'a str)>,
}

impl Dialect {
    /// The dialect of a release.
    pub fn of(version: &Version) -> Self {
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
        global: &Global<'_>,
        action: Action,
        elements: &Elements,
        cross_junctions: bool,
    ) -> Vec<String> {
        let mut arguments = before_command(global);
        arguments.extend(self.command(action).iter().map(|&word| word.to_owned()));
        if let Some(deps) = self.deps(action, elements.deps) {
            arguments.extend(["--deps".to_owned(), deps.to_owned()]);
        }
        if cross_junctions && action == Action::Track {
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
    pub fn show_arguments(self, global: &Global<'_>, elements: &Elements, format: &str) -> Vec<String> {
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

    fn command(self, action: Action) -> &'static [&'static str] {
        match (self, action) {
            (Dialect::One, Action::Track) => &["track"],
            (Dialect::One, Action::Fetch | Action::Push) => &["fetch"],
            (_, Action::Track) => &["source", "track"],
            (_, Action::Fetch) => &["source", "fetch"],
            (_, Action::Push) => &["source", "push"],
        }
    }

    /// The value of `--deps`; none where the command has no such option.
    fn deps(self, action: Action, deps: Deps) -> Option<&'static str> {
        match (self, action, deps) {
            (Dialect::Pre193, Action::Push, _) => None,
            // Track and fetch of 1.x and 1.91 know `none` and `all` alone.
            (Dialect::One | Dialect::Pre191, _, Deps::Build | Deps::Run) => Some("all"),
            _ => Some(words(deps)),
        }
    }
}

/// What stands between `bst` and the command.
fn before_command(global: &Global<'_>) -> Vec<String> {
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

fn words(deps: Deps) -> &'static str {
    match deps {
        Deps::None => "none",
        Deps::Build => "build",
        Deps::Run => "run",
        Deps::All => "all",
    }
}
