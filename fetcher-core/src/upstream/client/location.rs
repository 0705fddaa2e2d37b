//! Addresses of HTTP: taken apart, and where a redirect leads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::address::{AddressParts, percent_decoded};
use crate::secret::Secret;

/// No address is longer.
const LONGEST: usize = 8 << 10;

/// An address of HTTP, without credentials and without what is behind a `#`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpLocation {
    /// `https` or `http`.
    scheme: &'static str,
    /// The host, with its port if it is not the usual one.
    authority: String,
    /// All behind it, from the slash on.
    path: String,
}

impl HttpLocation {
    /// Takes an address apart, with the `Authorization` that its user and password make.
    pub(crate) fn parse(url: &str) -> Option<(Self, Option<Secret>)> {
        let fine = url.len() <= LONGEST && !url.contains(|c: char| c.is_control() || c.is_whitespace());
        let parts = AddressParts::of_url(url).filter(|_| fine)?;
        let (scheme, usual) = match parts.scheme?.to_ascii_lowercase().as_str() {
            "https" => ("https", ":443"),
            "http" => ("http", ":80"),
            _ => return None,
        };
        let (user, path) = (parts.user_info, parts.rest.split('#').next().unwrap_or_default());
        let host = parts.authority.to_ascii_lowercase();
        let authority = host.strip_suffix(usual).unwrap_or(&host).to_owned();
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if authority.is_empty() || !authority.chars().all(is_host) || user.is_some_and(|user| user.contains('\\')) {
            // Browsers take `\` for `/`, others do not: so that nobody takes another host for it, it is none.
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let basic = user.map(|user| {
            let user = if user.contains(':') { percent_decoded(user) } else { format!("{}:", percent_decoded(user)) };
            Secret::new(format!("Basic {}", STANDARD.encode(user)))
        });
        Some((Self { scheme, authority, path }, basic))
    }

    /// Where a `Location` in an answer from here leads; none where no answer may lead there.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        let location = location.trim();
        let Self { scheme, authority, path } = self;
        let absolute = if location.contains("://") {
            location.to_owned()
        } else if let Some(rest) = location.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else {
            let path = path.split('?').next().unwrap_or_default();
            let directory = &path[..=path.rfind('/')?];
            format!("{scheme}://{authority}{directory}{location}")
        };
        // Credentials in an answer are nobody's.
        Self::parse(&absolute).map(|(location, _)| location)
    }

    /// The whole address.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }

    /// The same without what is behind a `?`, where servers put signatures and times.
    pub(crate) fn without_query(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme, self.authority)
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone.
    pub(crate) fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.scheme == "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_http_alone() {
        let (here, basic) = HttpLocation::parse("https://me:p%40w@H.org:443/a/b?c#d").unwrap();
        assert_eq!((here.url().as_str(), here.host()), ("https://h.org/a/b?c", "h.org"));
        assert_eq!(basic.unwrap().expose(), &format!("Basic {}", STANDARD.encode("me:p@w")));
        for (location, expected) in [
            ("https://x.org:8443/y", Some("https://x.org:8443/y")),
            ("//x.org/y", Some("https://x.org/y")),
            ("/y", Some("https://h.org/y")),
            ("y?z", Some("https://h.org/a/y?z")),
            ("https://u:p@x.org/", Some("https://x.org/")),
            ("file:///etc/passwd", None),
            ("ftp://x.org/", None),
            ("https:///x", None),
            ("https://x.org\\@y.org/", None),
            ("https://a b/", None),
            ("https://x.org/\r\nSet-Cookie: a", None),
        ] {
            assert_eq!(here.join(location).map(|to| to.url()).as_deref(), expected, "{location}");
        }
        assert_eq!(HttpLocation::parse(&format!("https://h/{}", "x".repeat(LONGEST))), None);
    }
}
