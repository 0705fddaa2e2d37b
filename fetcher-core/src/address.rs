//! Addresses as somebody wrote them: taken apart, encoded, and rid of credentials, in one place. Nothing of them is judged
//! or rewritten, which those who use them do by what they are for.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but what RFC 3986 (2.3) calls unreserved.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATHS: AsciiSet = RESERVED.remove(b'/');

/// `scheme://user-info@host:port/path`, or the form of scp that git knows, `user@host:path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressParts<'a> {
    /// As it is written; none in the form of scp.
    pub(crate) scheme: Option<&'a str>,
    /// What stands before the host: a user, perhaps with a password.
    pub(crate) user_info: Option<&'a str>,
    /// The host with its port, as written.
    pub(crate) authority: &'a str,
    /// All behind it: with its `/`, `?` or `#`, but without the `:` in the form of scp.
    pub(crate) rest: &'a str,
}

impl<'a> AddressParts<'a> {
    /// Takes an address with a scheme apart.
    pub(crate) fn of_url(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        Some(Self { scheme: Some(scheme), ..Self::of_authority(rest) })
    }

    /// The same for what stands behind a `://`.
    pub(crate) fn of_authority(text: &'a str) -> Self {
        let (written, rest) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
        let (user_info, authority) = with_user(written);
        Self { scheme: None, user_info, authority, rest }
    }

    /// Takes apart what git takes for a repository's address on another host.
    pub(crate) fn of_repository(url: &'a str) -> Option<Self> {
        if url.contains("://") {
            return Self::of_url(url);
        }
        let (written, rest) = url.split_once(':').filter(|(host, _)| !host.contains('/'))?;
        let (user_info, authority) = with_user(written);
        Some(Self { scheme: None, user_info, authority, rest })
    }

    /// The host without its port; an address of IPv6 keeps its brackets.
    pub(crate) fn host(&self) -> &'a str {
        self.port_at().map_or(self.authority, |at| &self.authority[..at])
    }

    /// The host as a resolver takes it: an address of IPv6 has no brackets.
    #[cfg(any(test, feature = "email", feature = "irc"))]
    pub(crate) fn bare_host(&self) -> &'a str {
        let host = self.host();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, where it is written as one.
    pub(crate) fn port(&self) -> Option<u16> {
        self.authority[self.port_at()? + 1..].parse().ok()
    }

    /// Where the host has its pages and interfaces: as written for `http` and `https`; for all else at the usual port, for
    /// the one that is written is another service's.
    #[cfg(any(test, feature = "forge", feature = "webhook"))]
    pub(crate) fn web_address(&self) -> String {
        match self.scheme {
            Some(scheme @ ("http" | "https")) => format!("{scheme}://{}", self.authority),
            _ => format!("https://{}", self.host()),
        }
    }

    /// What of the rest is the path.
    #[cfg(any(test, feature = "forge", feature = "webhook"))]
    pub(crate) fn path(&self) -> &'a str {
        self.rest.split(['?', '#']).next().unwrap_or_default()
    }

    fn port_at(&self) -> Option<usize> {
        self.authority.rfind(':').filter(|_| !self.authority.ends_with(']'))
    }
}

fn with_user(written: &str) -> (Option<&str>, &str) {
    written.rsplit_once('@').map_or((None, written), |(user, host)| (Some(user), host))
}

/// Text as one segment of a path, one value of a query, or a user or password (RFC 3986, 2.1).
pub(crate) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// The same for a path, whose slashes stay.
pub(crate) fn percent_encoded_path(path: &str) -> String {
    utf8_percent_encode(path, &RESERVED_IN_PATHS).to_string()
}

/// Undoes percent-encoding; what is no encoding stays as it is, as git and curl have it.
pub(crate) fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A text, a message of git's say, with what stands between scheme and host of every address in it taken out; the plain
/// user's name of an ssh address stays.
pub(crate) fn without_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let outside = |c: char| c.is_whitespace() || matches!(c, '/' | '\'' | '"' | '?' | '#');
        let (written, tail) = after.split_at(after.find(outside).unwrap_or(after.len()));
        let (user_info, host) = with_user(written);
        if let Some(user_info) = user_info.filter(|_| before.to_ascii_lowercase().ends_with("ssh://")) {
            clean.extend([user_info.split(':').next().unwrap_or_default(), "@"]);
        }
        clean.push_str(host);
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_apart_as_they_are_written() {
        let parts = AddressParts::of_url("https://me:p%40w@[::1]:8443/a/b?c=1#d").unwrap();
        assert_eq!((parts.scheme, parts.user_info), (Some("https"), Some("me:p%40w")));
        assert_eq!((parts.authority, parts.host(), parts.bare_host()), ("[::1]:8443", "[::1]", "::1"));
        assert_eq!((parts.port(), parts.rest, parts.path()), (Some(8443), "/a/b?c=1#d", "/a/b"));
        let parts = AddressParts::of_url("http://[fe80::1]").unwrap();
        assert_eq!((parts.host(), parts.port(), parts.rest), ("[fe80::1]", None, ""));
        let parts = AddressParts::of_repository("git@h.example.org:group/x.git").unwrap();
        assert_eq!((parts.scheme, parts.user_info, parts.host()), (None, Some("git"), "h.example.org"));
        assert_eq!((parts.port(), parts.path()), (None, "group/x.git"));
        let web = |url| AddressParts::of_repository(url).unwrap().web_address();
        assert_eq!(web("ssh://git@h:2222/a/b"), "https://h");
        assert_eq!([web("git@h:a/b"), web("http://me@h:3000/a/b")], ["https://h", "http://h:3000"]);
        assert_eq!(AddressParts::of_repository("/srv/a:b"), None);
        assert_eq!(AddressParts::of_url("git@h:x"), None);
        assert_eq!(AddressParts::of_authority("h:many/x").port(), None);
    }

    #[test]
    fn encoding_is_undone_by_decoding_and_nothing_else_is() {
        assert_eq!(percent_encoded("a b/ü~"), "a%20b%2F%C3%BC~");
        assert_eq!(percent_encoded_path("fix/#1"), "fix/%231");
        assert_eq!(percent_decoded(&percent_encoded("s@cret%41")), "s@cret%41");
        assert_eq!(percent_decoded("100%, %zz, %4"), "100%, %zz, %4");
    }

    #[test]
    fn no_address_in_a_text_keeps_credentials() {
        assert_eq!(
            without_credentials("fatal: 'https://u:p@h/x' and http://tok@h"),
            "fatal: 'https://h/x' and http://h"
        );
        assert_eq!(without_credentials("ssh://git@h/x, SSH://git:pw@h a@b:c"), "ssh://git@h/x, SSH://git@h a@b:c");
        assert_eq!(without_credentials("://@://"), "://://");
    }
}
