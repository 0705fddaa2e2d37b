//! Addresses of git repositories: which are allowed, what in them is secret, and what a relative one means.

use std::fmt;

use super::error::GitError;
use crate::address::{AddressParts, percent_decoded, without_credentials};
use crate::names::digest;
use crate::secret::Secret;

/// An address of a git repository that may be asked. What was secret in it is kept apart: its text, which goes to
/// git's argument vector and into reports, holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    text: String,
    scheme: UrlScheme,
    user: Option<String>,
    password: Option<Secret>,
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlScheme {
    /// `http://` and `https://`.
    Http,
    /// `ssh://` and its like.
    Ssh,
    /// `user@host:path`.
    Scp,
    /// `git://`.
    Git,
    /// `file://`.
    File,
    /// An absolute path.
    Path,
}

impl RemoteUrl {
    /// Takes an address apart: `https://`, `http://`, `ssh://`, `git://`, `file://`, `[user@]host:path`, or an
    /// absolute path. User and password in an `http` address leave its text, for argument vectors can be read by
    /// everybody on the machine.
    ///
    /// # Errors
    /// [`GitError::Url`] where git must not be given such an address: remote helpers (`ext::`), unknown schemes, an
    /// address or host that begins with `-`, control characters, relative paths, a password where git has no use
    /// for one.
    pub fn parse(url: &str) -> Result<Self, GitError> {
        let refuse = |reason| Err(GitError::Url { url: without_credentials(url), reason });
        if url.is_empty() {
            return refuse("it is empty");
        }
        if url.starts_with('-') {
            return refuse("it begins with '-'");
        }
        if url.chars().any(char::is_control) {
            return refuse("it holds a control character");
        }
        let plain = |scheme| Self { text: url.to_owned(), scheme, user: None, password: None };
        if url.starts_with('/') {
            return Ok(plain(UrlScheme::Path));
        }
        if let Some(parts) = AddressParts::of_url(url) {
            return match parts.scheme.unwrap_or_default().to_ascii_lowercase().as_str() {
                "file" if parts.authority.is_empty() && parts.rest.starts_with('/') => Ok(plain(UrlScheme::File)),
                "file" => refuse("a file:// address needs an absolute path"),
                "http" | "https" => Self::http(url, parts),
                "ssh" | "git+ssh" | "ssh+git" => Self::with_host(plain(UrlScheme::Ssh), parts),
                "git" => Self::with_host(plain(UrlScheme::Git), parts),
                _ => refuse("its scheme is not https, http, ssh, git or file"),
            };
        }
        match url.split_once(':') {
            Some((_, path)) if path.starts_with(':') => refuse("remote helpers (NAME::…) are not allowed"),
            Some((host, path)) if !host.contains('/') && !host.is_empty() && !path.is_empty() => {
                if AddressParts::of_authority(host).authority.starts_with('-') || path.starts_with('-') {
                    return refuse("its host or path begins with '-'");
                }
                Ok(plain(UrlScheme::Scp))
            }
            _ => refuse("it is neither an address with a scheme, nor host:path, nor an absolute path"),
        }
    }

    fn http(url: &str, parts: AddressParts<'_>) -> Result<Self, GitError> {
        let AddressParts { scheme, user_info, authority: host, rest } = parts;
        if host.is_empty() || host.starts_with('-') {
            return Err(GitError::Url {
                url: without_credentials(url),
                reason: "it has no host, or one that begins with '-'",
            });
        }
        let (user, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
            None => (None, None),
            Some((user, "")) => (Some(percent_decoded(user)), None),
            Some((user, password)) => (Some(percent_decoded(user)), Some(Secret::new(percent_decoded(password)))),
        };
        let held = [user.as_deref(), password.as_ref().map(Secret::expose)];
        if held.into_iter().flatten().any(|text| text.contains(['\n', '\r', '\0'])) {
            return Err(GitError::Url {
                url: without_credentials(url),
                reason: "its user or password holds a line end",
            });
        }
        Ok(Self {
            text: format!("{}://{host}{rest}", scheme.unwrap_or_default()),
            scheme: UrlScheme::Http,
            user,
            password,
        })
    }

    fn with_host(self, parts: AddressParts<'_>) -> Result<Self, GitError> {
        let refuse = |reason| Err(GitError::Url { url: without_credentials(&self.text), reason });
        if parts.authority.is_empty() || parts.authority.starts_with('-') || parts.rest.starts_with("/-") {
            return refuse("it has no host, or its host or path begins with '-'");
        }
        if parts.user_info.is_some_and(|user| user.contains(':')) {
            return refuse("git has no use for a password in an ssh:// or git:// address; use a key");
        }
        Ok(self)
    }

    /// The address as git gets it and as reports show it: without user and password for `http`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address in a form that is the same for addresses that differ in nothing but case of scheme and host, a port
    /// that is the scheme's own, or a slash at the end. What only a server knows to be the same stays apart.
    pub(crate) fn normalised(&self) -> String {
        let trimmed = |path: &str| path.trim_end_matches('/').to_owned();
        let Some(parts) = AddressParts::of_url(&self.text) else { return trimmed(&self.text) };
        let scheme = parts.scheme.unwrap_or_default().to_ascii_lowercase();
        let user = parts.user_info.unwrap_or_default();
        let host = parts.authority.to_ascii_lowercase();
        let own_port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            "git" => ":9418",
            "ssh" | "git+ssh" | "ssh+git" => ":22",
            _ => "",
        };
        let host = host.strip_suffix(own_port).unwrap_or(&host);
        let at = if user.is_empty() { "" } else { "@" };
        format!("{scheme}://{user}{at}{host}{}", trimmed(parts.rest))
    }

    /// The last part of the path without `.git`, for people.
    fn last_part(&self) -> &str {
        let path = self.text.trim_end_matches('/');
        let last = path.rsplit(['/', ':']).next().unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }

    /// A file name for what is kept of the repository: other addresses, and other ways to be let in, have another one.
    /// No project's name has an `@` in it.
    pub(super) fn slug(&self, access: &str) -> String {
        const LONGEST: usize = 64;
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String = self.last_part().chars().filter(plain).take(LONGEST).collect();
        let name = name.trim_start_matches('.');
        let parts = [&self.normalised(), self.user().unwrap_or_default(), access];
        let digest = digest(parts.map(|part| digest(part.as_bytes())).concat().as_bytes());
        format!("{name}@{}", &digest[..16])
    }

    /// The user that an `http` address named.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password that an `http` address held.
    pub(super) fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Scheme and host with port of an `http` address: to whom its credentials may be sent.
    pub(super) fn origin(&self) -> Option<&str> {
        let start = self.text.find("://")? + 3;
        let end = self.text[start..].find(['/', '?', '#']).map_or(self.text.len(), |at| start + at);
        (self.scheme == UrlScheme::Http).then(|| &self.text[..end])
    }

    /// Whether the repository lies on this machine's own file system.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.scheme, UrlScheme::File | UrlScheme::Path)
    }

    /// Whether it is reached by ssh.
    pub(super) fn is_ssh(&self) -> bool {
        matches!(self.scheme, UrlScheme::Ssh | UrlScheme::Scp)
    }

    /// What a submodule's address means in a repository that came from here: `./` and `../` are relative to this
    /// address, as `git submodule` has it, and never lead above its host.
    ///
    /// # Errors
    /// As for [`RemoteUrl::parse`].
    pub(super) fn join(&self, url: &str) -> Result<Self, GitError> {
        if !url.starts_with("./") && !url.starts_with("../") {
            return Self::parse(url);
        }
        let fixed = self.fixed_part();
        let trimmed = self.text.trim_end_matches('/').len().max(fixed);
        let (mut base, mut rest) = (&self.text[..trimmed], url);
        let mut separator = "/";
        loop {
            if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else if let Some(after) = rest.strip_prefix("../") {
                rest = after;
                (base, separator) = match base.get(fixed..).and_then(|path| path.rfind('/')).map(|at| at + fixed) {
                    Some(at) => (&base[..at], "/"),
                    None if self.scheme == UrlScheme::Scp && separator == "/" => (&base[..fixed - 1], ":"),
                    None => {
                        return Err(GitError::Url {
                            url: without_credentials(url),
                            reason: "it leads above its host or root",
                        });
                    }
                };
            } else {
                break;
            }
        }
        let mut joined = Self::parse(&format!("{base}{separator}{}", rest.trim_end_matches('/')))?;
        joined.user.clone_from(&self.user);
        joined.password.clone_from(&self.password);
        Ok(joined)
    }

    /// The length of what `../` cannot take away: scheme and host, or the root.
    fn fixed_part(&self) -> usize {
        match self.scheme {
            UrlScheme::Path => 0,
            UrlScheme::Scp => self.text.find(':').map_or(0, |at| at + 1),
            UrlScheme::Http | UrlScheme::Ssh | UrlScheme::Git | UrlScheme::File => {
                let start = self.text.find("://").map_or(0, |at| at + 3);
                self.text[start..].find('/').map_or(self.text.len(), |at| start + at)
            }
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> RemoteUrl {
        RemoteUrl::parse(url).unwrap()
    }

    #[test]
    fn addresses_that_could_run_something_are_refused() {
        for bad in [
            "",
            "-u",
            "--upload-pack=x",
            "ext::sh -c id",
            "fd::17",
            "ext://x/y",
            "ssh://-oProxyCommand=id/x",
            "ssh://u@-x/y",
            "-oProxyCommand=id:x",
            "u@-o:x",
            "h:-x",
            "ssh://h/-x",
            "https://",
            "https:///x",
            "relative/path",
            "../x",
            "file://host/x",
            "a\nb",
            "https://h/a\nb",
            "https://u:a%0ab@h/x",
            "ssh://u:p@h/x",
            "ftp://h/x",
        ] {
            assert!(RemoteUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn credentials_leave_the_text_of_an_address() {
        let url = parse("https://me:s%40cret@example.org:8443/a/b.git");
        assert_eq!(url.as_str(), "https://example.org:8443/a/b.git");
        assert_eq!((url.user(), url.password().map(Secret::expose)), (Some("me"), Some("s@cret")));
        assert_eq!(url.origin(), Some("https://example.org:8443"));
        assert_eq!(parse("git@h:a/b").as_str(), "git@h:a/b");
        assert_eq!(parse("ssh://git@h:2222/a").origin(), None);
        assert!(!format!("{url:?}").contains("s@cret"));
    }

    #[test]
    fn addresses_of_one_repository_have_one_form() {
        let same = |one: &str, other: &str| parse(one).normalised() == parse(other).normalised();
        assert!(same("https://H.example.org:443/a/b/", "https://h.example.org/a/b"));
        assert!(same("ssh://git@h:22/a", "SSH://git@H/a") && same("/srv/a/", "/srv/a") && same("git@h:a/", "git@h:a"));
        for (one, other) in [
            ("https://h/a", "https://h/A"),
            ("https://h/a", "http://h/a"),
            ("https://h:8443/a", "https://h/a"),
            ("ssh://git@h/a", "ssh://me@h/a"),
            ("https://h/a", "https://h/a.git"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_slug_is_a_file_name_whatever_the_address_is() {
        for url in ["https://h/..", "https://h/", "https://h/a b%2f", "git@h:x/y.git", "/", "https://h/.git"] {
            let slug = parse(url).slug("");
            assert!(!slug.contains('/') && !slug.starts_with('.') && slug.contains('@'), "{url} {slug}");
        }
        assert!(parse("git@h:x/y.git").slug("").starts_with("y@"));
        assert_ne!(parse("https://me@h/a").slug(""), parse("https://h/a").slug(""), "users may see different things");
        assert_ne!(parse("https://h/a").slug("key"), parse("https://h/a").slug(""));
    }

    #[test]
    fn relative_addresses_resolve_as_git_resolves_them() {
        let join = |base: &str, url: &str| parse(base).join(url).map(|url| url.as_str().to_owned()).ok();
        // git's own expectations: t/t0060-path-utils.sh, test_submodule_relative_url
        for (base, url, expected) in [
            ("file:///tmp/repo", "../subrepo", "file:///tmp/subrepo"),
            ("helper.example:foo/bar", "../subrepo", "helper.example:foo/subrepo"),
            ("ssh://hostname/repo", "../subrepo", "ssh://hostname/subrepo"),
            ("ssh://hostname:22/repo", "../subrepo", "ssh://hostname:22/subrepo"),
            ("user@host:path/to/repo", "../subrepo", "user@host:path/to/subrepo"),
            ("user@host:repo", "../subrepo", "user@host:subrepo"),
            ("user@host:repo", "./sub", "user@host:repo/sub"),
            ("/srv/super.git/", "../a/../b/", "/srv/a/../b"),
            ("/srv/git/super.git", "./sub", "/srv/git/super.git/sub"),
            ("https://h/group/super.git", "../../other/sub.git", "https://h/other/sub.git"),
            ("https://h/super", "https://other/x", "https://other/x"),
        ] {
            assert_eq!(join(base, url).as_deref(), Some(expected), "{base} {url}");
        }
        for (base, url) in
            [("https://h/a", "../../x"), ("user@host:repo", "../../x"), ("/a", "../../x"), ("https://h/a", "ext::id")]
        {
            assert_eq!(join(base, url), None, "{base} {url}");
        }
    }
}
