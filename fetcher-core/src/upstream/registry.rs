//! Registries of images: what a tag stands for, without pulling it.

use super::answer::{ProbeCost, ProbeDoubt, UpstreamState};
use super::client::{HttpFailure, HttpLocation, HttpReply, ProbeClient, UpstreamRequest};
use super::web::status_failure;
use crate::address::percent_encoded;
use crate::diagnosis::FailureKind;

/// The forms of a manifest, those for several machines first.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// What a server of tokens may say.
const LARGEST_TOKEN: u64 = 64 << 10;

/// Asks what a tag stands for.
pub(super) fn manifest(
    client: &ProbeClient,
    (registry, image, tag): (&str, &str, &str),
    cost: &mut ProbeCost,
) -> Result<(UpstreamState, HttpReply), HttpFailure> {
    let is_word = |text: &str| {
        !text.is_empty()
            && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
    };
    if !is_word(image) || !is_word(tag) || tag.contains('/') {
        return Err(HttpFailure::new(
            FailureKind::NotFound,
            ProbeDoubt::Unsupported,
            "not the name of an image and a tag",
        ));
    }
    let url = format!("{}/v2/{image}/manifests/{tag}", registry.trim_end_matches('/'));
    let mut reply = head(client, &url, None, cost)?;
    if reply.status == 401 {
        let challenge = reply.header("www-authenticate").and_then(Challenge::parse);
        if let Some(challenge) = challenge.filter(|challenge| challenge.may_be_asked_by(&reply.location)) {
            let token = token(client, &challenge, &reply.location, cost)?;
            reply = head(client, &url, Some(&token), cost)?;
        }
    }
    if reply.status != 200 {
        return Err(status_failure(reply.status, &reply));
    }
    let digest = reply.header("docker-content-digest").filter(|digest| is_digest(digest)).map(str::to_owned);
    let missing =
        || HttpFailure::new(FailureKind::ServerError, ProbeDoubt::NoValidator, "the registry tells no digest");
    Ok((UpstreamState::Manifest { digest: digest.ok_or_else(missing)? }, reply))
}

fn head(client: &ProbeClient, url: &str, token: Option<&str>, cost: &mut ProbeCost) -> Result<HttpReply, HttpFailure> {
    let mut headers = vec![("accept", ACCEPT.to_owned())];
    headers.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
    client.send(url, &UpstreamRequest { method: "HEAD", ..UpstreamRequest::get(headers, 0) }, cost)
}

fn is_digest(text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.split_once(':')
        .is_some_and(|(kind, digits)| matches!((kind, digits.len()), ("sha256", 64) | ("sha512", 128)) && hex(digits))
}

/// Where a registry has who asks get a token: `Bearer realm="…",service="…",scope="…"`.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: HttpLocation,
    parameters: Vec<(&'static str, String)>,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let rest = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "))?;
        let value = |name: &str| {
            let begin = rest.find(&format!("{name}=\""))? + name.len() + 2;
            rest[begin..].split('"').next()
        };
        let (realm, _) = HttpLocation::parse(value("realm")?)?;
        let parameter = |name| Some((name, value(name)?.to_owned()));
        let parameters = ["service", "scope"].into_iter().filter_map(parameter).collect();
        Some(Self { realm, parameters })
    }

    /// Whether a registry may send there: encrypted, or to itself.
    fn may_be_asked_by(&self, registry: &HttpLocation) -> bool {
        self.realm.authority() == registry.authority() || self.realm.is_encrypted()
    }
}

fn token(
    client: &ProbeClient,
    challenge: &Challenge,
    registry: &HttpLocation,
    cost: &mut ProbeCost,
) -> Result<String, HttpFailure> {
    let mut url = challenge.realm.url();
    for (name, value) in &challenge.parameters {
        let separator = if url.contains('?') { '&' } else { '?' };
        url.push(separator);
        url.push_str(name);
        url.push('=');
        url.push_str(&percent_encoded(value));
    }
    let request = UpstreamRequest { sent_by: Some(registry), ..UpstreamRequest::get(Vec::new(), LARGEST_TOKEN) };
    let reply = client.send(&url, &request, cost)?;
    let answer: Option<serde_json::Value> = serde_json::from_slice(&reply.body).ok();
    let word = |name| answer.as_ref()?.get(name)?.as_str();
    let token = word("token").or_else(|| word("access_token"));
    let usable = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
    usable
        .map(str::to_owned)
        .ok_or_else(|| HttpFailure::new(FailureKind::Unauthorised, ProbeDoubt::Denied, "no token was given"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_and_leads_nowhere_else() {
        let header = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/debian:pull\"";
        let challenge = Challenge::parse(header).unwrap();
        assert_eq!(challenge.realm.url(), "https://auth.docker.io/token");
        assert_eq!(challenge.parameters[1].1, "repository:library/debian:pull");
        let registry = HttpLocation::parse("https://registry-1.docker.io/v2/").unwrap().0;
        assert!(challenge.may_be_asked_by(&registry));
        let plain = Challenge::parse("Bearer realm=\"http://127.0.0.1/token\"").unwrap();
        assert!(!plain.may_be_asked_by(&registry));
        assert_eq!(Challenge::parse("Bearer realm=\"file:///etc/passwd\""), None);
        assert_eq!(Challenge::parse("Basic realm=\"x\""), None);
    }

    #[test]
    fn a_digest_is_one() {
        assert!(is_digest(&format!("sha256:{}", "a".repeat(64))));
        assert!(!is_digest("sha256:xyz") && !is_digest(&format!("md5:{}", "a".repeat(32))));
    }
}
