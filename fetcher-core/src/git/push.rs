//! What a push is asked to do, and what became of it.

use super::error::{GitError, GitFailure};
use crate::failure::{PushRefusal, phrases};
use crate::names::CommitId;

/// A reference to change in a push.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushUpdate {
    /// The reference's full name: `refs/heads/x`, `refs/for/main`.
    pub reference: String,
    /// The commit that it is to be; none to remove it.
    pub to: Option<CommitId>,
    /// What it has to be for that.
    pub lease: PushLease,
}

/// What a reference has to be for a push to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushLease {
    /// It only goes forward.
    Forward,
    /// There is none yet.
    Absent,
    /// It is at this commit.
    At(CommitId),
}

/// A push that was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// Whether anything changed; not where the other side had it all.
    pub changed: bool,
    /// What the other side said: the lines that git marks with `remote:`.
    pub remote: Vec<String>,
}

/// A push that did not work.
#[derive(Debug)]
#[non_exhaustive]
pub enum PushFailure {
    /// It did not come so far that anything was refused: the network, credentials, this machine.
    Git(GitError),
    /// It was refused.
    Refused {
        /// Why.
        refusal: PushRefusal,
        /// The words of git and of the other side that say it.
        message: String,
    },
}

/// As many bytes of what is said are told.
const MAX_MESSAGE: usize = 2000;

/// What the lines of a push say, which git took for a success or not.
pub(super) fn outcome(
    statuses: &str,
    said: &str,
    failure: Option<GitFailure>,
    url: &str,
) -> Result<Pushed, PushFailure> {
    let lines: Vec<&str> = statuses.lines().filter(|line| line.contains('\t')).collect();
    let remote: Vec<String> = said
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("remote:"))
        .map(|line| line.trim().to_owned())
        .collect();
    let refused: Vec<&str> = lines.iter().filter(|line| line.starts_with('!')).copied().collect();
    if failure.is_none() && refused.is_empty() {
        let changed = lines.iter().any(|line| !line.starts_with('='));
        return Ok(Pushed { changed, remote });
    }
    let all = format!("{}\n{said}", refused.join("\n"));
    let refusal = phrases::of_push(&all.replace(url, ""));
    match (refusal, failure) {
        (None, Some(failure)) if refused.is_empty() => Err(PushFailure::Git(GitError::Failed {
            action: "push to",
            url: url.to_owned(),
            failure,
            output: said.to_owned(),
        })),
        (refusal, _) => {
            let refusal = refusal.unwrap_or(PushRefusal::Unknown);
            Err(PushFailure::Refused { refusal, message: message(&refused, &remote) })
        }
    }
}

/// The words that say most: what the other side said, and git's line.
fn message(refused: &[&str], remote: &[String]) -> String {
    let told = remote.iter().map(String::as_str).filter(|line| line.chars().any(char::is_alphanumeric));
    let statuses = refused.iter().filter_map(|line| line.rsplit('\t').next());
    let mut message = told.chain(statuses).collect::<Vec<_>>().join("\n");
    while message.len() > MAX_MESSAGE {
        message.pop();
    }
    if message.is_empty() { "git does not say why".to_owned() } else { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(statuses: &str, said: &str) -> Option<PushRefusal> {
        match outcome(statuses, said, Some(GitFailure::Unknown), "https://h/x") {
            Err(PushFailure::Refused { refusal, .. }) => Some(refusal),
            Ok(_) | Err(PushFailure::Git(_)) => None,
        }
    }

    #[test]
    fn refusals_are_told_apart_by_the_words_of_forges() {
        let rejected = |why: &str| format!("To /x\n!\tabc:refs/heads/y\t[rejected] ({why})\nDone\n");
        let declined = rejected("pre-receive hook declined");
        for (statuses, said, expected) in [
            (rejected("stale info"), "", PushRefusal::Stale),
            (rejected("fetch first"), "", PushRefusal::Stale),
            (
                declined.clone(),
                "remote: GitLab: You are not allowed to push code to protected branches on this project.",
                PushRefusal::Protected,
            ),
            (declined.clone(), "remote: error: GH006: Protected branch update failed", PushRefusal::Protected),
            (declined.clone(), "remote: GitLab: Commit message does not follow the pattern 'x'", PushRefusal::Rules),
            (declined.clone(), "remote: error: GH001: Large files detected.", PushRefusal::TooLarge),
            (declined, "remote: no", PushRefusal::Rules),
            (String::new(), "remote: Permission to a/b.git denied to c.\nfatal: x", PushRefusal::Denied),
            (rejected("no new changes"), "", PushRefusal::NothingNew),
            (
                rejected("failed to update ref"),
                "remote: error: cannot lock ref 'refs/heads/a': is at 1 but expected 2",
                PushRefusal::Stale,
            ),
            (
                rejected("failed to update ref"),
                "remote: error: cannot lock ref 'refs/heads/a': reference already exists",
                PushRefusal::Stale,
            ),
            (
                rejected("failed to update ref"),
                "remote: error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create",
                PushRefusal::NameTaken,
            ),
        ] {
            assert_eq!(refusal(&statuses, said), Some(expected), "{statuses} {said}");
        }
        assert_eq!(refusal("", "fatal: unable to access 'https://h/x': Could not resolve host"), None);
    }

    #[test]
    fn what_was_there_already_is_no_change() {
        let pushed = outcome("To /x\n=\ta:refs/heads/y\t[up to date]\nDone\n", "remote: \nremote: hi\n", None, "/x");
        let pushed = pushed.unwrap();
        assert!(!pushed.changed && pushed.remote == ["", "hi"], "{pushed:?}");
    }
}
