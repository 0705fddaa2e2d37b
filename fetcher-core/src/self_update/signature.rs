//! Seeing by whom a commit is signed. What a signer may do is judged by the time of today, not by that which the commit
//! names, for whoever has an old key can write any date.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::clone::ConfigRepository;
use super::error::UpdateError;
use crate::git::{Git, GitError, GitFailure};
use crate::runner::{Exit, Invocation, RunnerError, output};
use crate::sanitize::strip_control;

const OPENPGP: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const SSH_SIGNATURE: &[u8] = b"-----BEGIN SSH SIGNATURE-----";
/// As many names of one key are tried.
const PRINCIPALS: usize = 100;

/// Sees that a commit is signed by one of the allowed signers; `signers` is the text of the file: lines as in git's
/// `gpg.ssh.allowedSignersFile` (ssh-keygen(1), "ALLOWED SIGNERS"), or armored OpenPGP public keys.
///
/// Only programs for signatures of this one form are let run, else a key of the user's own keyring would do.
pub(super) fn verify(clone: &ConfigRepository, git: &Git<'_>, commit: Oid, signers: &str) -> Result<(), UpdateError> {
    let failed = |error: std::io::Error| UpdateError::repository("write in", &clone.top, error);
    clone.desk.make().map_err(failed)?;
    let directory = tempfile::Builder::new().prefix("signers-").tempdir_in(clone.desk.path()).map_err(failed)?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let file = directory.path().join("signers");
    fs::write(&file, signers).map_err(failed)?;
    if signers.contains(OPENPGP) {
        import(git, directory.path(), &file)?;
        return openpgp(clone, git, commit, directory.path());
    }
    let Ok((signature, content)) = clone.repository.extract_signature(&commit, None) else {
        return Err(unsigned(clone, commit, ""));
    };
    if !signature.starts_with(SSH_SIGNATURE) {
        return Err(unsigned(clone, commit, "its signature is none of ssh's, as those of the allowed signers are"));
    }
    let ssh = SshVerifier { git, directory: directory.path(), content: &content };
    fs::write(ssh.file("signature"), &*signature).map_err(failed)?;
    match ssh.verify(clone.repository.path())? {
        Ok(()) => Ok(()),
        Err(said) => Err(unsigned(clone, commit, &said)),
    }
}

fn unsigned(clone: &ConfigRepository, commit: Oid, said: &str) -> UpdateError {
    let said = strip_control(said.trim().lines().next_back().unwrap_or_default());
    let reason = if said.is_empty() { "it has no signature".to_owned() } else { said };
    UpdateError::Unsigned { commit: clone.told(commit), reason }
}

/// Git has gpg say nothing good of a key or a signature that is past its time.
fn openpgp(clone: &ConfigRepository, git: &Git<'_>, commit: Oid, home: &Path) -> Result<(), UpdateError> {
    let settings = ["gpg.x509.program=false", "gpg.ssh.program=false", "gpg.minTrustLevel=undefined"];
    let commit_name = commit.to_string();
    let mut args: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting]).collect();
    args.extend(["verify-commit", &commit_name]);
    git.verify(clone.repository.path(), clone.desk.path(), Some(home), &args).map_err(|error| match error {
        GitError::Failed { failure, output, .. } if failure != GitFailure::Tool => unsigned(clone, commit, &output),
        error => error.into(),
    })
}

/// Signatures of ssh. `git verify-commit` would let `ssh-keygen` judge by the date that the commit names.
struct SshVerifier<'g> {
    git: &'g Git<'g>,
    /// Holds the `signers` and the `signature`.
    directory: &'g Path,
    /// What is signed.
    content: &'g [u8],
}

impl SshVerifier<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Verifies the signature; else what ssh says of it.
    fn verify(&self, repository: &Path) -> Result<Result<(), String>, UpdateError> {
        let arguments = |words: &[&str]| -> Vec<OsString> {
            let mut command: Vec<OsString> = words.iter().map(OsString::from).collect();
            command.extend(["-f".into(), self.file("signers").into(), "-s".into(), self.file("signature").into()]);
            command
        };
        let (found, principals) = self.run(&arguments(&["-Y", "find-principals"]))?;
        if !found {
            return Ok(Err(principals));
        }
        let revoked = self.revoked(repository);
        let mut last = String::new();
        for principal in principals.lines().take(PRINCIPALS) {
            let mut command = arguments(&["-Y", "verify", "-n", "git", "-I", principal]);
            command.extend(revoked.iter().flat_map(|file| [OsString::from("-r"), file.into()]));
            let (good, said) = self.run(&command)?;
            if good {
                return Ok(Ok(()));
            }
            last = said;
        }
        Ok(Err(last))
    }

    /// Lets `ssh-keygen` read what is signed; says whether it is content, and what it says.
    fn run(&self, arguments: &[OsString]) -> Result<(bool, String), UpdateError> {
        let command = [OsString::from("ssh-keygen")].into_iter().chain(arguments.iter().cloned()).collect();
        let input = Some(self.content.to_owned());
        let (exit, said) =
            run(self.git, self.directory, command, path(self.git).collect(), input).map_err(|error| {
                UpdateError::Signers { reason: format!("{error}; install ssh-keygen (Debian: openssh-client)") }
            })?;
        match exit {
            Exit::Cancelled => Err(GitError::Cancelled.into()),
            exit => Ok((exit.is_success(), said)),
        }
    }

    /// The user's own list of revoked keys, as git is told of it: it can only make less good.
    fn revoked(&self, repository: &Path) -> Option<String> {
        let names = ["HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];
        let own =
            names.iter().filter_map(|name| Some(((*name).into(), self.git.context.environment.get(name)?.to_owned())));
        let environment = path(self.git).chain(own).chain([("GIT_DIR".into(), repository.into())]).collect();
        let command = ["git", "config", "--type=path", "--get", "gpg.ssh.revocationFile"].map(OsString::from);
        let (exit, said) = run(self.git, self.directory, command.into(), environment, None).ok()?;
        Some(said.trim_end().to_owned()).filter(|file| exit.is_success() && !file.is_empty())
    }
}

/// The environment of a child that needs nothing but to be found.
fn path<'g>(git: &'g Git<'_>) -> impl Iterator<Item = (OsString, OsString)> + use<'g> {
    let path = git.context.environment.get("PATH").map(|path| ("PATH".into(), path.to_owned()));
    path.into_iter().chain([("LC_ALL".into(), "C".into())])
}

/// Runs a child in a directory of ours: how it ended, and the end of what it said.
fn run(
    git: &Git<'_>,
    directory: &Path,
    command: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    stdin: Option<Vec<u8>>,
) -> Result<(Exit, String), RunnerError> {
    let invocation = Invocation { stdin, ..Invocation::new(command, directory) };
    let invocation = invocation.environment(environment).timeout(git.timeout);
    let said = output(git.context.local_runner, &invocation, git.context.cancel, 64 << 10)?;
    Ok((said.exit, said.stdout.text().into_owned()))
}

/// Makes a home of OpenPGP's with the allowed keys and no others.
fn import(git: &Git<'_>, home: &Path, keys: &Path) -> Result<(), UpdateError> {
    let command = ["gpg", "--batch", "--quiet", "--no-autostart", "--import"].map(OsString::from);
    let command = command.into_iter().chain([keys.into()]).collect();
    let environment = path(git).chain([("GNUPGHOME".into(), home.into())]).collect();
    match run(git, home, command, environment, None) {
        Ok((exit, _)) if exit.is_success() => Ok(()),
        Ok((Exit::Cancelled, _)) => Err(GitError::Cancelled.into()),
        Ok((_, said)) => {
            let said = strip_control(&said).trim().replace('\n', ", ");
            Err(UpdateError::Signers { reason: format!("gpg cannot import the keys: {said}") })
        }
        Err(error) => Err(UpdateError::Signers { reason: format!("{error}; install gpg (Debian: gnupg)") }),
    }
}
