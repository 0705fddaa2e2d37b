//! Setting a host up from its configuration's repository.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::checkout::CheckoutPlan;
use super::clone::{ConfigRepository, FollowedBranch};
use super::{SelfUpdate, UpdateError, commit_check};
use crate::config::{Config, ConfigError, UserConfigDirectory, choose_file};
use crate::git::{Git, GitAccess, GitError, RemoteRepository};
use crate::runner::LocalRunner;
use crate::secret::Secret;

/// A host that was set up.
#[derive(Debug)]
#[non_exhaustive]
pub struct Initialized {
    /// Where the clone is.
    pub repository: PathBuf,
    /// The configuration file inside it.
    pub file: PathBuf,
    /// Where it was cloned from, without credentials.
    pub url: String,
    /// What is missing on this host before it runs: files and variables that the configuration names. Nothing where it
    /// is ready.
    pub missing: Option<ConfigError>,
}

/// Why a host was not set up. Nothing is left of the attempt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is a clone already.
    #[error("{0:?} is there already, and stays as it is; move it away first")]
    There(PathBuf),
    /// The repository cannot be cloned.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The clone cannot be checked out.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// It holds no good configuration for this host.
    #[error("{0}\nnothing was set up: mend this in the repository, or choose another file with --path")]
    Config(#[from] ConfigError),
    /// A file cannot be written.
    #[error("cannot write {path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl SelfUpdate<'_> {
    /// Clones a configuration's repository to where the other commands look for it, checks it, and chooses this host's
    /// file. A user and password in the address are kept in a file of the clone's git directory that only this user can
    /// read; they are in no argument vector.
    ///
    /// # Errors
    /// When it cannot be cloned, or the configuration is wrong in a way that nothing on this host could mend.
    pub fn init(
        &self,
        url: &str,
        branch: Option<&str>,
        path: Option<&Path>,
        home: &UserConfigDirectory,
        host: &str,
    ) -> Result<Initialized, InitError> {
        let repository = home.repository();
        if repository.symlink_metadata().is_ok() {
            return Err(InitError::There(repository));
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| InitError::Io { path, source }
        };
        let local = Path::new(url);
        let url = if url.contains(':') || local.is_absolute() || !local.exists() {
            url.to_owned()
        } else {
            local.canonicalize().map_err(failed(local))?.display().to_string()
        };
        let remote = RemoteRepository::new(&url, &GitAccess::default())?;
        fs::create_dir_all(home.directory()).map_err(failed(home.directory()))?;
        // Beside its place, so that a failure leaves nothing in the way.
        let temporary = tempfile::Builder::new().prefix(".repository-").tempdir_in(home.directory());
        let temporary = temporary.map_err(failed(home.directory()))?;
        let place = temporary.path().join("clone");
        let runner = LocalRunner::new(temporary.path());
        let git = Git::new(self.context.local_runner(&runner), self.timeout);
        git.clone_to(&remote, &place, branch)?;
        keep_credentials(&place, &repository, &remote)?;
        let clone = ConfigRepository::open(place.clone(), PathBuf::new())?;
        let upstream = clone.upstream(&crate::config::SelfUpdateConfig::default())?;
        self.first(&clone, upstream.as_ref())?;
        clone.desk.make_hosts().map_err(failed(clone.desk.path()))?;
        let file = choose_file(&place, path, host)?;
        let missing = self.check(&place, &file)?;
        drop(clone);
        fs::rename(&place, &repository).map_err(failed(&repository))?;
        if let Err(source) = home.use_file(&file) {
            let _ = fs::remove_dir_all(&repository);
            return Err(InitError::Io { path: home.file(), source });
        }
        Ok(Initialized { repository, file, url: remote.url().as_str().to_owned(), missing })
    }

    /// The first checkout.
    fn first(&self, clone: &ConfigRepository, upstream: Option<&FollowedBranch>) -> Result<(), UpdateError> {
        let Some(head) = clone.head() else {
            let source = io::Error::other("the repository is empty");
            return Err(UpdateError::repository("check out", &clone.top, source));
        };
        let first =
            CheckoutPlan::of(clone, head, None, self.context.cancel).and_then(|plan| plan.first(self.context.cancel));
        first.map_err(|error| match error {
            UpdateError::Refused { reason, .. } => UpdateError::repository("check out", &clone.top, reason),
            UpdateError::Hindered { source, .. } => UpdateError::repository("check out", &clone.top, source),
            error => error,
        })?;
        clone.take(head, upstream).map_err(clone.failed("check out a commit in"))
    }

    /// Sees what is wrong: an error where it is wrong anywhere, else what only this host lacks.
    fn check(&self, top: &Path, file: &Path) -> Result<Option<ConfigError>, InitError> {
        let clone = ConfigRepository::open(top.to_owned(), file.to_owned())?;
        let Err(problems) = Config::load(top.join(file), self.context.environment) else { return Ok(None) };
        let head = clone.head();
        match head.and_then(|head| commit_check::anywhere(&clone, head, self.context.environment)) {
            Some(_) => Ok(Some(problems)),
            None => Err(problems.into()),
        }
    }
}

/// Lets git find the user and password that were in the address, in a file that nobody else can read.
fn keep_credentials(place: &Path, repository: &Path, remote: &RemoteRepository) -> Result<(), InitError> {
    let Some((origin, line)) = remote.stored_credential() else { return Ok(()) };
    let desk = place.join(".git/bst-fetcher");
    let file = desk.join("credentials");
    let failed = |source| InitError::Io { path: file.clone(), source };
    fs::create_dir_all(&desk).map_err(failed)?;
    fs::write(&file, "").map_err(failed)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::write(&file, Secret::expose(&line)).map_err(failed)?;
    let set = || {
        let mut config = git2::Config::open(&place.join(".git/config"))?;
        let stored = repository.join(".git/bst-fetcher/credentials");
        let quoted = stored.display().to_string().replace('\'', r"'\''");
        config.set_str(&format!("credential.{origin}.helper"), &format!("store --file='{quoted}'"))
    };
    set().map_err(|error| UpdateError::repository("write the configuration of", place, error).into())
}
