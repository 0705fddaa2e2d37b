//! Seeing by whom a commit is signed, as git does it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use git2::Oid;

use super::clone::Clone;
use super::error::UpdateError;
use crate::git::{Failure, Git, GitError};
use crate::runner::Invocation;

const OPENPGP: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Sees that a commit is signed by one of the allowed signers; `signers` is the text of the file: lines as in git's
/// `gpg.ssh.allowedSignersFile` (ssh-keygen(1), "ALLOWED SIGNERS"), or armored OpenPGP public keys.
///
/// Only programs for signatures of this one form are let run, else a key of the user's own keyring would do.
pub(super) fn verify(clone: &Clone, git: &Git<'_>, commit: Oid, signers: &str) -> Result<(), UpdateError> {
    let failed = |error: std::io::Error| UpdateError::repository("write in", &clone.top, error);
    clone.desk.make().map_err(failed)?;
    let directory = tempfile::Builder::new().prefix("signers-").tempdir_in(clone.desk.path()).map_err(failed)?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let file = directory.path().join("signers");
    fs::write(&file, signers).map_err(failed)?;
    let mut settings = vec!["gpg.x509.program=false".to_owned()];
    let mut home = None;
    if signers.contains(OPENPGP) {
        import(git, directory.path(), &file)?;
        settings.extend(["gpg.ssh.program=false", "gpg.minTrustLevel=undefined"].map(str::to_owned));
        home = Some(directory.path());
    } else {
        settings.push(format!("gpg.ssh.allowedSignersFile={}", file.display()));
        // Without it a good signature by a key that nobody named would do.
        settings.push("gpg.minTrustLevel=fully".to_owned());
        settings.extend(["gpg.program=false", "gpg.openpgp.program=false"].map(str::to_owned));
    }
    let commit_name = commit.to_string();
    let mut args: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting.as_str()]).collect();
    args.extend(["verify-commit", &commit_name]);
    git.verify(clone.repository.path(), clone.desk.path(), home, &args).map_err(|error| match error {
        GitError::Failed { failure, output, .. } if failure != Failure::Tool => {
            let said = output.trim().lines().next_back().unwrap_or_default();
            let reason = if said.is_empty() { "it has no signature".to_owned() } else { said.to_owned() };
            UpdateError::Unsigned { commit: clone.told(commit), reason }
        }
        error => error.into(),
    })
}

/// Makes a home of OpenPGP's with the allowed keys and no others.
fn import(git: &Git<'_>, home: &Path, keys: &Path) -> Result<(), UpdateError> {
    let command = ["gpg", "--batch", "--quiet", "--no-autostart", "--import"].map(OsString::from);
    let path = git.environment.get("PATH").map(|path| ("PATH".into(), path.to_owned()));
    let invocation = Invocation {
        command: command.into_iter().chain([keys.into()]).collect(),
        directory: home.to_owned(),
        environment: path
            .into_iter()
            .chain([("GNUPGHOME".into(), home.into()), ("LC_ALL".into(), "C".into())])
            .collect(),
        timeout: git.timeout,
    };
    let mut output = Vec::new();
    let exit = git.runner.run(&invocation, git.cancel, &mut |piece| output.extend_from_slice(piece));
    match exit {
        Ok(exit) if exit.is_success() => Ok(()),
        Ok(_) => {
            let said = String::from_utf8_lossy(&output).trim().replace('\n', ", ");
            Err(UpdateError::Signers { reason: format!("gpg cannot import the keys: {said}") })
        }
        Err(error) => Err(UpdateError::Signers { reason: format!("{error}; install gpg (Debian: gnupg)") }),
    }
}
