//! How a repository is reached: keys, tokens, and the environment that hands them to git and to nobody else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::GitError;
use super::url::RemoteUrl;
use crate::address::percent_encoded;
use crate::environment::Environment;
use crate::field_text::documented_struct;
use crate::secret::Secret;

documented_struct! {
    /// With which credentials a project's repository and its submodules are reached.
    ///
    /// The token is the first line of its file. It is sent to the host of the project's own address and to no other, and for
    /// no other repository than `credentials_for` says. Where `known_hosts` is given no other file of host keys counts; an
    /// unknown host is refused either way. Without `username` the address's own serves, else `oauth2` where there is a token.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct GitAccess {
        /// A private key for ssh.
        pub ssh_key: Option<PathBuf>,
        /// The keys of the hosts that are reached over ssh.
        pub known_hosts: Option<PathBuf>,
        /// A file with the password or token for https.
        pub token_file: Option<PathBuf>,
        /// How the addresses of submodules begin that the token and the key are for too. Whoever can push a branch
        /// can name any repository as a submodule, and read what these credentials give.
        pub credentials_for: Vec<String>,
        /// The user name for https.
        pub username: Option<String>,
    }
}

/// A repository to ask: its address, and what reaches it.
#[derive(Debug, Clone)]
pub struct RemoteRepository {
    url: RemoteUrl,
    ssh: String,
    credential: Option<HostCredential>,
    local_allowed: bool,
    project: Arc<ProjectAccess>,
}

/// What a project's own repository is reached with, for those of its submodules that it is for as well.
#[derive(Debug)]
struct ProjectAccess {
    url: String,
    /// The command for ssh with the project's key, and without.
    ssh: [String; 2],
    has_key: bool,
    credential: Option<HostCredential>,
    credentials_for: Vec<String>,
}

impl ProjectAccess {
    /// Whether the project's credentials are for this address. One that means another than it says is none of them.
    fn is_for(&self, url: &str) -> bool {
        let begins = |with: &String| {
            url.strip_prefix(with.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || with.ends_with(['/', ':']))
        };
        let lower = url.to_ascii_lowercase();
        let is_plain =
            !["/../", "/./", "%2e", "%2f", "\\"].iter().any(|part| lower.contains(part)) && !lower.ends_with("/..");
        is_plain && (url == self.url || self.credentials_for.iter().any(begins))
    }
}

/// A user and password for one scheme and host.
#[derive(Debug, Clone)]
struct HostCredential {
    origin: String,
    user: String,
    password: Secret,
}

/// Answers git's question for a user and password from the environment. It is a constant: nothing secret is in it.
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$BST_FETCHER_GIT_USER" "$BST_FETCHER_GIT_PASSWORD"; }; f"#;

/// What of the caller's environment a git child sees: where programs and homes are, agents, proxies, certificates,
/// and where git's own configuration lies. All else of git's (`GIT_DIR`, `GIT_TRACE`, …) would change what it does.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "LD_LIBRARY_PATH",
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
];

impl RemoteRepository {
    /// A repository at an address, with the credentials for it.
    ///
    /// # Errors
    /// When the address is none that git may be given ([`RemoteUrl::parse`]), or a file that `access` names cannot be
    /// read or is empty.
    pub fn new(url: &str, access: &GitAccess) -> Result<Self, GitError> {
        let url = RemoteUrl::parse(url)?;
        let token = access.token_file.as_deref().map(token).transpose()?;
        let credential = HostCredential::new(&url, access.username.as_deref(), token);
        let ssh = ssh_command(access)?;
        let without_key = ssh_command(&GitAccess { ssh_key: None, ..access.clone() })?;
        let project = ProjectAccess {
            url: url.as_str().to_owned(),
            ssh: [ssh.clone(), without_key],
            has_key: access.ssh_key.is_some(),
            credential: credential.clone(),
            credentials_for: access.credentials_for.clone(),
        };
        Ok(Self { ssh, credential, local_allowed: url.is_local(), url, project: Arc::new(project) })
    }

    /// A file name for a mirror of the repository at an address that is reached in this way: the same for all who reach
    /// the same repository in the same way. It follows from where credentials are, and not from what they are.
    ///
    /// # Errors
    /// When the address is none that git may be given ([`RemoteUrl::parse`]).
    pub fn slug(url: &str, access: &GitAccess) -> Result<String, GitError> {
        let GitAccess { ssh_key, known_hosts, token_file, username, credentials_for } = access;
        let way = format!("{:?}", (ssh_key, known_hosts, token_file, username, credentials_for));
        let nothing = *access == GitAccess::default();
        Ok(RemoteUrl::parse(url)?.slug(if nothing { "" } else { &way }))
    }

    /// The same repository, reached with this user and password where its address is one of https or http.
    #[must_use]
    pub(crate) fn with_credential(self, user: &str, password: Secret) -> Self {
        let credential = HostCredential::new(&self.url, Some(user), Some(password));
        Self { credential: credential.or(self.credential), ..self }
    }

    /// A submodule of a repository that came from here. Credentials stay with the repositories they are for; a path on this
    /// machine is allowed only where this repository is on it too.
    pub(super) fn submodule(&self, url: &str) -> Result<Self, GitError> {
        let url = self.url.join(url)?;
        let own = HostCredential::new(&url, None, None);
        let project = Arc::clone(&self.project);
        let [with_key, without_key] = &project.ssh;
        let is_for = project.is_for(url.as_str());
        Ok(Self {
            ssh: if is_for { with_key } else { without_key }.clone(),
            credential: own.or_else(|| project.credential.clone().filter(|_| is_for)),
            local_allowed: self.local_allowed && self.url.is_local(),
            url,
            project,
        })
    }

    /// Whether the project has credentials that this repository did not get.
    pub(super) fn withholds(&self) -> bool {
        let has = self.project.has_key || self.project.credential.is_some();
        has && !self.project.is_for(self.url.as_str())
    }

    /// What its mirror is known by. What only a project's credentials got is for no other project.
    pub(super) fn mirror_key(&self) -> String {
        let project = &self.project;
        let private = (project.has_key || project.credential.is_some()) && project.is_for(self.url.as_str());
        if private { format!("{}\n{}", self.url.as_str(), project.url) } else { self.url.as_str().to_owned() }
    }

    /// The address.
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// For whom the credentials of the address are, and they themselves as a line for git's `credential-store`.
    pub(crate) fn stored_credential(&self) -> Option<(&str, Secret)> {
        let HostCredential { origin, user, password } = self.credential.as_ref()?;
        let (scheme, host) = origin.split_once("://")?;
        let line = format!("{scheme}://{}:{}@{host}\n", percent_encoded(user), percent_encoded(password.expose()));
        Some((origin, Secret::new(line)))
    }

    /// What must not be seen in anything git writes.
    pub(super) fn secret(&self) -> Option<Secret> {
        self.credential.as_ref().map(|credential| credential.password.clone())
    }

    /// The whole environment of a git child that asks this repository.
    pub(super) fn environment(&self, caller: &Environment) -> BTreeMap<OsString, OsString> {
        self.pushing_environment(caller, &[])
    }

    /// The same for one that pushes with these options.
    pub(super) fn pushing_environment(&self, caller: &Environment, options: &[String]) -> BTreeMap<OsString, OsString> {
        let mut environment = local_environment(caller);
        let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
        set("GIT_ALLOW_PROTOCOL", if self.local_allowed { "https:http:ssh:git:file" } else { "https:http:ssh:git" });
        set("GIT_SSH_COMMAND", &self.ssh);
        set("GIT_SSH_VARIANT", "ssh");
        // A server that still counts sends a byte a second: only one that is dead falls below it.
        let mut settings = vec![("http.lowSpeedLimit".to_owned(), "1"), ("http.lowSpeedTime".to_owned(), "120")];
        if let Some(credential) = &self.credential {
            set("BST_FETCHER_GIT_USER", &credential.user);
            set("BST_FETCHER_GIT_PASSWORD", credential.password.expose());
            // The first, empty, forgets every helper that the user's configuration has for this host.
            settings.push((format!("credential.{}.helper", credential.origin), ""));
            settings.push((format!("credential.{}.helper", credential.origin), HELPER));
        }
        settings.extend(options.iter().map(|option| ("push.pushOption".to_owned(), option.as_str())));
        set("GIT_CONFIG_COUNT", &settings.len().to_string());
        for (at, (key, value)) in settings.iter().enumerate() {
            set(&format!("GIT_CONFIG_KEY_{at}"), key);
            set(&format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        environment
    }
}

impl HostCredential {
    fn new(url: &RemoteUrl, user: Option<&str>, token: Option<Secret>) -> Option<Self> {
        let password = token.or_else(|| url.password().cloned());
        if password.is_none() && url.user().is_none() {
            return None;
        }
        let user = user.or(url.user()).unwrap_or("oauth2").to_owned();
        // A user without a password is how some hosts take a token.
        Some(Self { origin: url.origin()?.to_owned(), user, password: password.unwrap_or_else(|| Secret::new("")) })
    }
}

/// The environment of a git child that asks nobody.
pub(super) fn local_environment(caller: &Environment) -> BTreeMap<OsString, OsString> {
    let passed = PASSED.iter().filter_map(|name| Some((OsString::from(name), caller.get(name)?.to_owned())));
    let mut environment: BTreeMap<_, _> = passed.collect();
    for (name, value) in [
        ("LC_ALL", "C"),
        ("GIT_TERMINAL_PROMPT", "0"),
        // Set but empty, so that git looks no further for a program that asks somebody.
        ("GIT_ASKPASS", ""),
        ("GIT_OPTIONAL_LOCKS", "0"),
    ] {
        environment.insert(name.into(), value.into());
    }
    environment
}

fn token(path: &Path) -> Result<Secret, GitError> {
    let refuse = |reason: String| GitError::Credentials { what: "the token file", path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    match text.lines().next().map(str::trim) {
        None | Some("") => Err(refuse("its first line is empty; it should hold the token".to_owned())),
        Some(token) => Ok(Secret::new(token)),
    }
}

/// The command line, for `sh`, that git runs for ssh: it never asks, and never takes a host key that is not known.
fn ssh_command(access: &GitAccess) -> Result<String, GitError> {
    let mut command =
        "ssh -a -x -o BatchMode=yes -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o ConnectTimeout=30 \
        -o ServerAliveInterval=30 -o ServerAliveCountMax=4"
            .to_owned();
    let mut add = |what, path: &Path, form: &dyn Fn(&str) -> String| {
        let refuse = |reason: String| GitError::Credentials { what, path: path.to_owned(), reason };
        fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
        let text = path.to_str().filter(|text| text.starts_with('/') && !text.contains(['$', '"', '\n']));
        // ssh expands `%` in every path.
        let text = text.ok_or_else(|| refuse("ssh needs an absolute path without '$' and '\"'".to_owned()))?;
        command.push_str(&form(&text.replace('%', "%%")));
        Ok::<_, GitError>(())
    };
    if let Some(path) = &access.known_hosts {
        // ssh splits this option's value at spaces, so it has to be quoted for ssh and again for the shell.
        add("the known-hosts file", path, &|path| {
            format!(" -o GlobalKnownHostsFile=/dev/null -o {}", quote(&format!("UserKnownHostsFile=\"{path}\"")))
        })?;
    }
    if let Some(path) = &access.ssh_key {
        add("the ssh key", path, &|path| format!(" -o IdentitiesOnly=yes -i {}", quote(path)))?;
    }
    Ok(command)
}

/// The text as one word of a shell's command line.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_file() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "s3cret\r\n").unwrap();
        file
    }

    fn value<'a>(environment: &'a BTreeMap<OsString, OsString>, name: &str) -> &'a str {
        environment.get(std::ffi::OsStr::new(name)).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn credentials_are_only_for_the_projects_own_address_and_those_that_it_says() {
        let file = token_file();
        let path = || Some(file.path().to_owned());
        let access = GitAccess { token_file: path(), ssh_key: path(), ..GitAccess::default() };
        let access = GitAccess { credentials_for: vec!["https://example.org:8443/group/".to_owned()], ..access };
        let remote = RemoteRepository::new("https://example.org:8443/a/b.git", &access).unwrap();
        for (url, is_for) in [
            ("../b.git", true),
            ("../c.git", false),
            ("https://example.org:8443/group/x.git", true),
            ("../../group/deep/x.git", true),
            ("https://example.org:8443/group/../a/private.git", false),
            ("https://example.org:8443/group/%2E%2e/a/private.git", false),
            ("https://example.org:8443/group-of-others/x.git", false),
            ("https://example.org/group/x.git", false),
            ("git@example.org:a/b.git", false),
        ] {
            let submodule = remote.submodule(url).unwrap();
            let environment = submodule.environment(&Environment::empty());
            assert_eq!(environment.contains_key(std::ffi::OsStr::new("BST_FETCHER_GIT_PASSWORD")), is_for, "{url}");
            assert_eq!(value(&environment, "GIT_SSH_COMMAND").contains(" -i "), is_for, "{url}");
            assert_eq!(submodule.withholds(), !is_for, "{url}");
            assert_ne!(submodule.mirror_key() == submodule.url().as_str(), is_for, "{url}");
        }
        {
            let environment = remote.environment(&Environment::empty());
            let helpers: Vec<_> = environment.iter().filter(|(_, v)| v.to_str().unwrap().contains("helper")).collect();
            assert_eq!(helpers.len(), 2);
            assert!(helpers.iter().all(|(_, v)| v.to_str() == Some("credential.https://example.org:8443.helper")));
            assert_eq!(value(&environment, "BST_FETCHER_GIT_USER"), "oauth2");
            assert_eq!(value(&environment, "BST_FETCHER_GIT_PASSWORD"), "s3cret");
        }
    }

    #[test]
    fn a_local_path_is_for_submodules_of_local_repositories_alone() {
        let access = GitAccess::default();
        let allowed = |remote: &RemoteRepository| {
            value(&remote.environment(&Environment::empty()), "GIT_ALLOW_PROTOCOL").contains("file")
        };
        let far = RemoteRepository::new("https://h/x", &access).unwrap();
        assert!(!allowed(&far));
        assert!(!allowed(&far.submodule("/srv/x").unwrap()));
        assert!(!allowed(&far.submodule("/srv/x").unwrap().submodule("../y").unwrap()));
        let near = RemoteRepository::new("/srv/a", &access).unwrap();
        assert!(allowed(&near.submodule("../b").unwrap()));
        assert!(!allowed(&near.submodule("https://h/x").unwrap().submodule("/srv/y").unwrap()));
    }

    #[test]
    fn git_sees_only_what_it_needs() {
        let caller: Environment =
            [("PATH", "/bin"), ("GIT_DIR", "/x"), ("AWS_SECRET", "y"), ("GIT_SSH_COMMAND", "evil")]
                .into_iter()
                .collect();
        let environment = RemoteRepository::new("https://h/x", &GitAccess::default()).unwrap().environment(&caller);
        assert_eq!(value(&environment, "PATH"), "/bin");
        assert!(!environment.contains_key(std::ffi::OsStr::new("GIT_DIR")));
        assert!(!environment.contains_key(std::ffi::OsStr::new("AWS_SECRET")));
        assert!(value(&environment, "GIT_SSH_COMMAND").starts_with("ssh "));
    }

    #[test]
    fn credentials_that_cannot_be_used_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path(), Path::new("/nowhere/token")] {
            let access = GitAccess { token_file: Some(path.to_owned()), ..GitAccess::default() };
            let error = RemoteRepository::new("https://h/x", &access).unwrap_err().to_string();
            assert!(error.contains("the token file") && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
