//! Signatures of commits, by ssh-keygen or gpg: the key is a file, and its name is all that is in an argument.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::PublicationError;
use crate::git::Git;
use crate::runner::{Exit, Invocation, output};

/// As many bytes of what a program says are kept.
const MAX_SAID: usize = 64 << 10;
const OPENPGP: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// Signs what it is given with a key.
pub(super) struct CommitSigner<'s> {
    git: Git<'s>,
    /// A directory of ours, which nobody else can read.
    directory: PathBuf,
    key: SigningKey,
    /// Seconds: the moment that an OpenPGP signature names, so that the same commit gets the same one.
    date: i64,
}

enum SigningKey {
    Ssh(PathBuf),
    OpenPgp,
}

impl<'s> CommitSigner<'s> {
    /// A signer with the key in a file, which works in a directory.
    pub(super) fn new(git: Git<'s>, directory: PathBuf, key: &Path, date: i64) -> Result<Self, PublicationError> {
        let failed = |reason: String| PublicationError::Signing { reason };
        let io = |error: std::io::Error| PublicationError::Signing { reason: format!("{}: {error}", key.display()) };
        fs::create_dir_all(&directory).map_err(io)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).map_err(io)?;
        let is_openpgp = fs::read(key).map(|text| String::from_utf8_lossy(&text).contains(OPENPGP)).map_err(io)?;
        let kind = if is_openpgp { SigningKey::OpenPgp } else { SigningKey::Ssh(key.to_owned()) };
        let mut signer = Self { git, directory, key: kind, date };
        if is_openpgp {
            let key = key.to_str().ok_or_else(|| failed("the key's path is not UTF-8".to_owned()))?;
            signer.run(&["gpg", "--batch", "--quiet", "--import", "--", key])?;
            let keys = signer.run(&["gpg", "--batch", "--quiet", "--list-secret-keys", "--with-colons"])?;
            let made = keys.lines().filter(|line| line.starts_with("sec:") || line.starts_with("ssb:"));
            let made = made.filter_map(|line| line.split(':').nth(5)?.parse::<i64>().ok()).max();
            // A signature that is older than its key is none.
            signer.date = made.map_or(date, |made| made.max(date));
        }
        Ok(signer)
    }

    /// The signature of a commit.
    pub(super) fn sign(&self, content: &str) -> Result<String, PublicationError> {
        let (file, signature) = (self.directory.join("content"), self.directory.join("content.sig"));
        let io = |error: std::io::Error| PublicationError::Signing { reason: error.to_string() };
        fs::write(&file, content).map_err(io)?;
        match fs::remove_file(&signature) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
        match &self.key {
            SigningKey::Ssh(key) => {
                let key = key
                    .to_str()
                    .ok_or_else(|| PublicationError::Signing { reason: "the key's path is not UTF-8".to_owned() })?;
                self.run(&["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", key, "content"])?;
            }
            SigningKey::OpenPgp => {
                let date = format!("{}!", self.date);
                let fixed = ["--faked-system-time", &date, "--ignore-time-conflict"];
                let gpg = ["gpg", "--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""];
                let sign = ["--armor", "--detach-sign", "--output", "content.sig", "content"];
                self.run(&[&gpg[..], &fixed, &sign].concat())?;
            }
        }
        fs::read_to_string(&signature).map_err(io)
    }

    /// Runs a program in the directory. An agent of gpg's ends with it: it is a child of ours.
    fn run(&self, command: &[&str]) -> Result<String, PublicationError> {
        let mut environment = self.git.signing_environment();
        environment.insert("GNUPGHOME".into(), self.directory.clone().into());
        let invocation = Invocation::new(command.iter().copied(), &self.directory)
            .environment(environment)
            .timeout(self.git.timeout.min(std::time::Duration::from_secs(60)));
        let context = self.git.context;
        let ended = output(context.local_runner, &invocation, context.cancel, MAX_SAID);
        let program = command.first().copied().unwrap_or_default();
        let ended = ended.map(|ended| (ended.exit, ended.stdout.text().into_owned()));
        match ended {
            Ok((Exit::Status(0), said)) => Ok(said),
            Ok((Exit::Cancelled, _)) => Err(crate::git::GitError::Cancelled.into()),
            Ok((_, said)) => {
                let said = crate::sanitize::strip_control(&said);
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
                Err(PublicationError::Signing { reason: format!("{program}: {last}") })
            }
            Err(error) => Err(PublicationError::Signing { reason: error.to_string() }),
        }
    }
}
