//! Tokens of a GitHub App's installation: asked for with a web token that the App's key has signed.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::{ForgeError, ForgeErrorKind};
use crate::config::GitHubApp;
use crate::secret::Secret;

/// A token lasts an hour; it is made anew this many seconds before.
const MARGIN: i64 = 300;

/// What gives tokens of an App's installation.
pub(super) struct AppToken {
    id: u64,
    installation: u64,
    key: PathBuf,
    /// The last one, with when it was made.
    last: Mutex<Option<(Secret, Timestamp)>>,
}

impl fmt::Debug for AppToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppToken").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AppToken {
    pub(super) fn new(app: &GitHubApp) -> Self {
        let GitHubApp { id, installation, private_key } = app;
        Self { id: *id, installation: *installation, key: private_key.clone(), last: Mutex::new(None) }
    }

    /// A token; `ask` posts to a path with a bearer token and gives the answer.
    pub(super) fn token(
        &self,
        ask: impl FnOnce(&str, &Secret) -> Result<Value, ForgeError>,
    ) -> Result<Secret, ForgeError> {
        let now = Timestamp::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, made)) = &*last
            && now.as_second() - made.as_second() < 3600 - MARGIN
        {
            return Ok(token.clone());
        }
        let wrong = |message: String| ForgeError {
            forge: "GitHub".to_owned(),
            kind: ForgeErrorKind::Configuration,
            message: format!("the App's private key {}: {message}", self.key.display()),
        };
        let jwt = self.web_token(now).map_err(wrong)?;
        let answer = ask(&format!("/app/installations/{}/access_tokens", self.installation), &jwt)?;
        let token = answer.get("token").and_then(Value::as_str).ok_or_else(|| ForgeError {
            forge: "GitHub".to_owned(),
            kind: ForgeErrorKind::Broken,
            message: "its answer has no token".to_owned(),
        })?;
        let token = Secret::new(token);
        *last = Some((token.clone(), now));
        Ok(token)
    }

    /// A web token (RFC 7519) that says which App asks, signed with RS256.
    fn web_token(&self, now: Timestamp) -> Result<Secret, String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        // Clocks differ: it is valid from a minute ago.
        let from = now.as_second() - 60;
        let claims = json!({ "iat": from, "exp": from + 600, "iss": self.id.to_string() });
        let content = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
        let text = fs::read_to_string(&self.key).map_err(|error| error.to_string())?;
        let key = key_pair(&text)?;
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), content.as_bytes(), &mut signature)
            .map_err(|_| "it does not sign".to_owned())?;
        Ok(Secret::new(format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// The key in a file in PEM: PKCS#1, as GitHub gives it, or PKCS#8.
fn key_pair(text: &str) -> Result<RsaKeyPair, String> {
    let begin = text.lines().find(|line| line.starts_with("-----BEGIN ")).ok_or("it is not in PEM")?;
    let lines = text.lines().skip_while(|line| !line.starts_with("-----BEGIN ")).skip(1);
    let base64: String = lines.take_while(|line| !line.starts_with("-----END ")).map(str::trim).collect();
    let der = STANDARD.decode(base64).map_err(|_| "it is not in PEM".to_owned())?;
    let pair =
        if begin.contains("RSA PRIVATE KEY") { RsaKeyPair::from_der(&der) } else { RsaKeyPair::from_pkcs8(&der) };
    pair.map_err(|error| format!("it is no RSA key that can be used: {error}"))
}
