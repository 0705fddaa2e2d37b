//! Who may ask: bearer tokens from a file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::Status;

use super::error::ServeError;
use crate::cas::digest::Hash;

/// The fewest characters of a token: shorter ones are guessed.
const SHORTEST: usize = 16;

/// The tokens that are good at present. Only their digests are kept: nothing that is compared takes longer where more
/// of it is right, and nothing that is shown shows a token.
pub(super) struct Tokens {
    path: PathBuf,
    good: RwLock<HashSet<Hash>>,
}

impl Tokens {
    pub(super) fn read(path: &Path) -> Result<Self, ServeError> {
        Ok(Self { path: path.to_owned(), good: RwLock::new(digests(path)?) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read_again(&self) -> Result<(), ServeError> {
        let good = digests(&self.path)?;
        *self.good.write().unwrap_or_else(PoisonError::into_inner) = good;
        Ok(())
    }

    /// Refuses a request without a good token (RFC 6750, 2.1).
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Status> {
        let refuse = |why: &str| Err(Status::unauthenticated(why));
        let Some(value) = headers.get(AUTHORIZATION) else {
            return refuse("a token is needed: set auth: access-token for this server");
        };
        let value = value.as_bytes();
        let token = value.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some((_, token)) = token else { return refuse("the authorization is no bearer token") };
        if self.good.read().unwrap_or_else(PoisonError::into_inner).contains(&Hash::of(token.trim_ascii())) {
            Ok(())
        } else {
            refuse("the token is not known here")
        }
    }
}

/// One token a line; empty lines, and those that begin with `#`, are not.
fn digests(path: &Path) -> Result<HashSet<Hash>, ServeError> {
    let error = |message: String| ServeError::Tokens { path: path.to_owned(), message };
    let text = std::fs::read_to_string(path).map_err(|problem| error(problem.to_string()))?;
    let mut good = HashSet::new();
    for (number, line) in text.lines().enumerate() {
        let token = line.trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        if token.len() < SHORTEST {
            return Err(error(format!("the token in line {} has fewer than {SHORTEST} characters", number + 1)));
        }
        good.insert(Hash::of(token.as_bytes()));
    }
    if good.is_empty() {
        return Err(error("there is no token in it; write one a line".to_owned()));
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
        let tokens = Tokens::read(&path).unwrap();
        for good in ["Bearer first-token-of-all", "bearer second-token-of-all"] {
            assert!(tokens.check(&headers(good)).is_ok(), "{good}");
        }
        for bad in ["Bearer # two", "Bearer ", "Bearer", "Basic first-token-of-all", "", "Bearer first-token-of-al"] {
            assert_eq!(tokens.check(&headers(bad)).unwrap_err().code(), tonic::Code::Unauthenticated, "{bad}");
        }
        assert!(tokens.check(&HeaderMap::new()).is_err());
        fs::write(&path, "another-token-now\n").unwrap();
        tokens.read_again().unwrap();
        assert!(tokens.check(&headers("Bearer first-token-of-all")).is_err());
        for bad in ["", "# none\n", "short\n"] {
            fs::write(&path, bad).unwrap();
            let told = tokens.read_again().unwrap_err().to_string();
            assert!(!told.contains("short\n") && told.contains("tokens"), "{told}");
            assert!(tokens.check(&headers("Bearer another-token-now")).is_ok(), "what was read before stays");
        }
    }
}
