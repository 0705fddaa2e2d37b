//! What all pages have in common: head, style, the way back, and how a failure is shown.

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::format;
use crate::diagnosis::{Diagnosis, Retry};
use crate::links::PageAddress;
use crate::report::{IssueGroup, Outcome};
use crate::sanitize::strip_control;

const STYLE: &str = include_str!("style.css");

/// Nothing but the page itself, its one style and its icon: a page that somebody got markup into could still neither
/// run nor load anything.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = base64(&Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'")
});

/// A whole page.
///
/// `above` are the pages between the first page and this one, with their names. `health` colours the icon.
pub(super) fn page(
    address: &PageAddress,
    title: &str,
    above: &[(PageAddress, &str)],
    health: Outcome,
    body: &Markup,
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(*POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                meta name="generator" content={ "bst-fetcher " (env!("CARGO_PKG_VERSION")) };
                title { (title) }
                link rel="icon" href=(icon(health));
                link rel="alternate" type="application/atom+xml" title="Failures and recoveries"
                    href=(PageAddress::feed().from(address));
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.top {
                    nav aria-label="Breadcrumb" {
                        a.brand href=(PageAddress::index().from(address)) { "bst-fetcher" }
                        @for (parent, name) in above {
                            " / " a href=(parent.from(address)) { (name) }
                        }
                    }
                    a href=(PageAddress::feed().from(address)) { "Feed" }
                }
                main { (body) }
                footer {
                    "Times are UTC. Made by bst-fetcher " (env!("CARGO_PKG_VERSION")) ". For programs: "
                    a href=(PageAddress::status().from(address)) { "status.json" } "."
                }
            }
        }
    };
    // The last net: no control character gets out, wherever it came from.
    strip_control(&page.into_string())
}

/// How many failures of one stage are shown in full.
const SHOWN: usize = 50;

/// Failures, each explained; a great many only up to a limit.
pub(super) fn diagnoses<'a>(failures: impl IntoIterator<Item = &'a Diagnosis>) -> Markup {
    let failures: Vec<&Diagnosis> = failures.into_iter().collect();
    html! {
        @for failure in failures.iter().take(SHOWN) {
            article.card.diagnosis {
                h3 {
                    (format::kind(failure.kind)) @if let Some(element) = &failure.element { ": " code { (element) } }
                    @if failure.allowed { " (allowed to fail)" }
                }
                (explained(failure))
            }
        }
        @if failures.len() > SHOWN {
            p { "And " (format::counted((failures.len() - SHOWN) as u64, "more failure", "more failures")) ", see the log." }
        }
    }
}

/// Up to so many failures are each explained; more of them by their causes.
const EACH: usize = 5;
/// How many elements of a cause are listed.
const LISTED: usize = 5000;

/// Failures and findings: a few each explained, many by their causes, with the elements of each behind it.
pub(super) fn problems<'a>(failures: impl IntoIterator<Item = &'a Diagnosis>, issues: &[IssueGroup]) -> Markup {
    let failures: Vec<&Diagnosis> = failures.into_iter().collect();
    if failures.len() <= EACH {
        return diagnoses(failures);
    }
    html! {
        @for issue in issues.iter().take(SHOWN) { (cause(issue)) }
        @if issues.len() > SHOWN {
            p { "And " (format::counted((issues.len() - SHOWN) as u64, "more cause", "more causes")) ", see the log." }
        }
    }
}

/// One cause of many failures.
fn cause(issue: &IssueGroup) -> Markup {
    html! {
        article.card.diagnosis {
            h3 { (format::kind(issue.kind)) ": " (issue.headline()) }
            pre.brief tabindex="0" { (issue.message) }
            dl {
                dt { "Who must act" } dd { strong { (issue.actor) } }
                dt { "What to do" } dd { (issue.hint) }
                @if issue.upstreams.len() > 1 { dt { "Where" } dd { (issue.some_upstreams(20)) } }
            }
            @if issue.element_count > 1 {
                details {
                    summary { (format::counted(issue.element_count as u64, "element", "elements")) }
                    ul { @for element in issue.elements.iter().take(LISTED) { li { code { (element) } } } }
                    @if issue.element_count > LISTED { p { "And " (issue.element_count - LISTED) " more." } }
                }
            }
        }
    }
}

/// The body of a failure's explanation.
pub(super) fn explained(failure: &Diagnosis) -> Markup {
    let place = &failure.place;
    let retry = match failure.retry {
        Retry::No => "no use: the same will fail in the same way",
        Retry::Once => "worth one more try",
        Retry::Yes => "may well help",
    };
    html! {
        pre tabindex="0" { (failure.message) }
        dl {
            dt { "Who must act" } dd { strong { (failure.actor) } }
            dt { "What to do" } dd { (failure.hint) }
            @if let Some(file) = &place.file {
                dt { "Where" }
                dd {
                    code { (file.display()) }
                    @if let Some(line) = place.line { ", line " (line) }
                    @if let Some(column) = place.column { ", column " (column) }
                }
            }
            @if let Some(url) = &place.url { dt { "Address" } dd { code { (url) } } }
            @if let Some(stage) = failure.stage { dt { "Stage" } dd { (stage) } }
            dt { "Trying again" } dd { (retry) }
        }
    }
}

/// The icon of a page, which says in a browser's tab how things are.
fn icon(health: Outcome) -> String {
    let (colour, sign) = match health {
        Outcome::Skipped | Outcome::Ok => ("1a7f37", "M8 17l6 6 10-13"),
        Outcome::Partial => ("b26a00", "M16 8v10M16 22v2"),
        Outcome::Failed => ("c4201c", "M10 10l12 12M22 10l-12 12"),
        Outcome::Interrupted => ("6b4fbb", "M11 11h10v10h-10z"),
    };
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' \
         rx='8' fill='%23{colour}'/%3E%3Cpath d='{sign}' fill='none' stroke='%23fff' stroke-width='4'/%3E%3C/svg%3E"
    )
}

/// Base64 (RFC 4648) of a digest.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at > group.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let encoded = ["f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    /// The relative luminance of `#rrggbb`, as WCAG 2.2 defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn every_colour_of_text_has_the_contrast_of_wcag_aa_in_light_and_dark() {
        let (light, dark) = STYLE.split_once("@media (prefers-color-scheme:dark)").unwrap();
        for theme in [light, dark.split_once('}').unwrap().0] {
            let colour = |name: &str| {
                let at = theme.find(&format!("--{name}:")).unwrap() + name.len() + 3;
                luminance(&theme[at..at + 7])
            };
            for text in ["ink", "dim", "link", "ok", "partial", "failed", "interrupted", "skipped"] {
                for ground in ["bg", "card", "mark"] {
                    let (a, b) = (colour(text), colour(ground));
                    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
                }
            }
        }
    }
}
