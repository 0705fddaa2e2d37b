//! Who may ask: bearer tokens from a file.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::Status;

use super::error::ServeError;
use super::reread::RereadResult;
use crate::cas::digest::Sha256Hash;

/// The fewest characters of a token: shorter ones are guessed.
const SHORTEST: usize = 16;

/// The tokens that are good at present. Only their digests are kept: nothing that is compared takes longer where more
/// of it is right, and nothing that is shown shows a token.
pub(super) struct AccessTokens {
    path: PathBuf,
    good: RwLock<HashSet<Sha256Hash>>,
}

impl AccessTokens {
    pub(super) fn read(path: &Path) -> Result<Self, ServeError> {
        let good = digests(path)?;
        if good.is_empty() {
            let message = "there is no token in it; write one a line".to_owned();
            return Err(ServeError::Tokens { path: path.to_owned(), message });
        }
        Ok(Self { path: path.to_owned(), good: RwLock::new(good) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file again. One that has no token any more, or is not there any more, revokes them all once it was seen
    /// to be so `before`: who writes it anew may empty or move it first.
    pub(super) fn read_again(&self, before: bool) -> Result<RereadResult, ServeError> {
        let good = digests(&self.path)?;
        let mut known = self.good.write().unwrap_or_else(PoisonError::into_inner);
        if *known == good {
            return Ok(RereadResult::Same);
        }
        let reading = match (good.is_empty(), before) {
            (true, false) => return Ok(RereadResult::Empty),
            (true, true) => RereadResult::Revoked,
            (false, _) => RereadResult::New,
        };
        *known = good;
        Ok(reading)
    }

    /// Refuses a request without a good token (RFC 6750, 2.1), and gives the digest of the one it has.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Sha256Hash, Status> {
        let refuse = |why: &str| Err(Status::unauthenticated(why));
        let Some(value) = headers.get(AUTHORIZATION) else {
            return refuse("a token is needed: set auth: access-token for this server");
        };
        let value = value.as_bytes();
        let token = value.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some((_, token)) = token else { return refuse("the authorization is no bearer token") };
        let token = Sha256Hash::of(token.trim_ascii());
        if self.good.read().unwrap_or_else(PoisonError::into_inner).contains(&token) {
            Ok(token)
        } else {
            refuse("the token is not known here")
        }
    }
}

/// One token a line; empty lines, and those that begin with `#`, are not. A file that is not there has none.
fn digests(path: &Path) -> Result<HashSet<Sha256Hash>, ServeError> {
    let error = |message: String| ServeError::Tokens { path: path.to_owned(), message };
    let text = match std::fs::read_to_string(path) {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|problem| error(problem.to_string()))?,
    };
    let mut good = HashSet::new();
    for (number, line) in text.lines().enumerate() {
        let token = line.trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        if token.len() < SHORTEST {
            return Err(error(format!("the token in line {} has fewer than {SHORTEST} characters", number + 1)));
        }
        good.insert(Sha256Hash::of(token.as_bytes()));
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn any_of_the_tokens_is_good_until_the_file_says_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        fs::write(&path, "# two\nfirst-token-of-all\n\n  second-token-of-all \n").unwrap();
        let tokens = AccessTokens::read(&path).unwrap();
        for good in ["Bearer first-token-of-all", "bearer second-token-of-all"] {
            assert!(tokens.check(&headers(good)).is_ok(), "{good}");
        }
        for bad in ["Bearer # two", "Bearer ", "Bearer", "Basic first-token-of-all", "", "Bearer first-token-of-al"] {
            assert_eq!(tokens.check(&headers(bad)).unwrap_err().code(), tonic::Code::Unauthenticated, "{bad}");
        }
        assert!(tokens.check(&HeaderMap::new()).is_err());
        fs::write(&path, "another-token-now\n").unwrap();
        assert_eq!(tokens.read_again(false).unwrap(), RereadResult::New);
        assert_eq!(tokens.read_again(false).unwrap(), RereadResult::Same);
        assert!(tokens.check(&headers("Bearer first-token-of-all")).is_err());
        fs::write(&path, "short\n").unwrap();
        let told = tokens.read_again(false).unwrap_err().to_string();
        assert!(!told.contains("short\n") && told.contains("tokens"), "{told}");
        assert!(tokens.check(&headers("Bearer another-token-now")).is_ok(), "what was read before stays");
    }

    #[test]
    fn a_file_without_tokens_revokes_them_and_lets_nobody_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let write = |text| fs::write(&path, text).unwrap();
        assert!(AccessTokens::read(&path).is_err(), "a server does not begin without");
        write("");
        assert!(AccessTokens::read(&path).is_err());
        write("the-only-token-of-all\n");
        let tokens = AccessTokens::read(&path).unwrap();
        let good = || tokens.check(&headers("Bearer the-only-token-of-all")).is_ok();
        for empty in [Some(""), Some("# none\n\n"), None] {
            match empty {
                Some(text) => write(text),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(tokens.read_again(false).unwrap(), RereadResult::Empty);
            assert!(good(), "it may be in the middle of being written");
            assert_eq!(tokens.read_again(true).unwrap(), RereadResult::Revoked);
            assert_eq!(tokens.read_again(true).unwrap(), RereadResult::Same, "and it is told once");
            assert!(!good() && tokens.check(&HeaderMap::new()).is_err() && tokens.check(&headers("Bearer ")).is_err());
            write("the-only-token-of-all\n");
            assert_eq!(tokens.read_again(false).unwrap(), RereadResult::New);
            assert!(good());
        }
    }
}
