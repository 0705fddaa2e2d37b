//! How near an address is, and names looked up once: no answer of a server leads nearer to this host than the server is.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How near an address is to this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Nearness {
    /// This host itself.
    Loopback,
    /// The next cable; clouds tell their secrets there.
    LinkLocal,
    /// A private network.
    Private,
    /// The rest of the world.
    Public,
}

impl Nearness {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) if v4.is_loopback() || v4.is_unspecified() || v4.octets()[0] == 0 => Self::Loopback,
            IpAddr::V4(v4) if v4.is_link_local() => Self::LinkLocal,
            // 100.64.0.0/10 is for the networks of providers (RFC 6598).
            IpAddr::V4(v4) if v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64) => {
                Self::Private
            }
            IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => Self::Loopback,
            IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => Self::LinkLocal,
            IpAddr::V6(v6) if v6.segments()[0] & 0xfe00 == 0xfc00 => Self::Private,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::Public,
        }
    }

    fn of_all(addresses: &[SocketAddr]) -> Option<Self> {
        addresses.iter().map(|address| Self::of(address.ip())).min()
    }
}

/// The addresses of hosts, each looked up once.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressBook(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl AddressBook {
    /// How near a host is that was looked up; none where it was not, since a proxy does that.
    pub(super) fn nearness(&self, authority: &str) -> Option<Nearness> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.get(authority).and_then(|addresses| Nearness::of_all(addresses))
    }
}

/// Looks names up, and gives no address that is nearer than it may be.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub(super) book: AddressBook,
    /// What may not be gone below.
    pub(super) least: Nearness,
    pub(super) inner: DefaultResolver,
}

/// What such an error says: it is told apart by it.
pub(super) const TOO_NEAR: &str = "the address is nearer to this host than the server that names it";

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let key = uri.authority().map_or("", |authority| authority.as_str());
        let known = self.book.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let addresses = if let Some(addresses) = known {
            addresses
        } else {
            let found = self.inner.resolve(uri, config, timeout)?.to_vec();
            self.book.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), found.clone());
            found
        };
        if Nearness::of_all(&addresses).is_none_or(|nearness| nearness < self.least) {
            return Err(ureq::Error::Other(TOO_NEAR.into()));
        }
        let mut resolved = self.empty();
        for address in addresses {
            resolved.push(address);
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form_are_as_near_as_they_are() {
        let nearness = |text: &str| Nearness::of(text.parse().unwrap());
        for (address, expected) in [
            ("127.9.9.9", Nearness::Loopback),
            ("0.0.0.0", Nearness::Loopback),
            ("::1", Nearness::Loopback),
            ("::ffff:127.0.0.1", Nearness::Loopback),
            ("169.254.169.254", Nearness::LinkLocal),
            ("fe80::1", Nearness::LinkLocal),
            ("10.0.0.1", Nearness::Private),
            ("192.168.1.1", Nearness::Private),
            ("100.64.0.1", Nearness::Private),
            ("fd00::1", Nearness::Private),
            ("::ffff:10.1.1.1", Nearness::Private),
            ("93.184.216.34", Nearness::Public),
            ("2001:db8::1", Nearness::Public),
        ] {
            assert_eq!(nearness(address), expected, "{address}");
        }
    }
}
