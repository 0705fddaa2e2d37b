//! Indexes of `PyPI`'s form: which releases of a project there are (PEP 691, PEP 700).

use serde_json::Value;

use super::answer::UpstreamState;
use crate::names::digest;

/// The form that the plugin asks for.
pub(super) const ACCEPT: &str = "application/vnd.pypi.simple.v1+json";

/// The releases on a project's page: what of its files tells which of them is taken, and their order. None where it is no
/// such page.
pub(super) fn releases(page: &[u8]) -> Option<UpstreamState> {
    let page: Value = serde_json::from_slice(page).ok()?;
    let files = page.get("files")?.as_array()?;
    let (mut parts, mut latest) = (String::new(), None);
    for file in files {
        let word = |key: &str| file.get(key).and_then(Value::as_str).unwrap_or_default();
        let yanked = file.get("yanked").is_some_and(|yanked| !matches!(yanked, Value::Bool(false) | Value::Null));
        let sum = file.get("hashes").and_then(|hashes| hashes.get("sha256")).and_then(Value::as_str);
        for part in [word("filename"), word("url"), sum.unwrap_or_default(), if yanked { "yanked" } else { "" }] {
            parts.push_str(&digest(part.as_bytes()));
        }
        // Of one form, so that the order of texts is that of times.
        latest = latest.max(Some(word("upload-time")).filter(|time| is_time(time)).map(str::to_owned));
    }
    Some(UpstreamState::Releases { digest: digest(parts.as_bytes()), latest })
}

fn is_time(text: &str) -> bool {
    text.len() <= 40 && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(files: &str) -> UpstreamState {
        releases(format!("{{\"meta\": {{\"_last-serial\": 1}}, \"files\": [{files}]}}").as_bytes()).unwrap()
    }

    const OLD: &str = r#"{"filename": "a-1.tar.gz", "url": "https://h/a-1.tar.gz", "hashes": {"sha256": "11"}, "yanked": false, "upload-time": "2019-01-02T03:04:05.000000Z"}"#;
    const NEW: &str = r#"{"filename": "a-2.tar.gz", "url": "https://h/a-2.tar.gz", "hashes": {"sha256": "22"}, "yanked": false, "upload-time": "2020-01-02T03:04:05.000000Z"}"#;

    #[test]
    fn releases_are_known_by_their_files_and_whether_they_are_yanked() {
        let UpstreamState::Releases { digest: both, latest } = page(&format!("{NEW}, {OLD}")) else { panic!() };
        assert_eq!(latest.as_deref(), Some("2020-01-02T03:04:05.000000Z"));
        let other = |files: &str| {
            let UpstreamState::Releases { digest, .. } = page(files) else { panic!() };
            assert_ne!(digest, both, "{files}");
        };
        other(OLD);
        other(&format!("{}, {OLD}", NEW.replace("false", "\"a bug\"")));
        other(&format!("{}, {OLD}", NEW.replace("22", "33")));
        let size = NEW.replace("{\"filename", "{\"size\": 7, \"core-metadata\": true, \"filename");
        assert_eq!(page(&format!("{size}, {OLD}")), page(&format!("{NEW}, {OLD}")));
    }

    #[test]
    fn what_is_no_such_page_says_nothing() {
        for text in ["", "<html>", "[]", "{}", "{\"files\": {}}"] {
            assert_eq!(releases(text.as_bytes()), None, "{text}");
        }
        let odd = page("1, {\"filename\": []}, {\"upload-time\": \"now\"}");
        assert!(matches!(odd, UpstreamState::Releases { latest: None, .. }), "{odd:?}");
    }
}
