//! Finding secrets by their form: what looks like a credential, whoever's it is.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::SecretSpan;

/// Every form; what its groups hold is masked. An alternative without a group is an exception to those below it.
///
/// The lengths and alphabets of tokens are those of their makers' documentation: [GitHub], [GitLab], [AWS], [Slack].
///
/// [GitHub]: https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
/// [GitLab]: https://docs.gitlab.com/security/tokens/#token-prefixes
/// [AWS]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
/// [Slack]: https://docs.slack.dev/authentication/tokens
const FORMS: &str = r#"
# Addresses. Where a key is the credential, the user is no secret.
  (?:ssh|sftp)://[a-z0-9._-]+@
| (?://|\\/\\/) ( [^\s/"<>\\]+ | [^\s/"<>\\@:]*:[0-9]*[^\s/"<>\\0-9][^\s/"<>\\]* \r?\n[\ \t]* [^\s/"<>\\]+ ) @
| %2f%2f ( (?:[^\s/&"<>%]|%(?:[0-13-35-9a-f][0-9a-f]|2[0-9a-e]|4[1-9a-f]))+ ) %40
| hooks\.slack\.com/(?:services|workflows|triggers)/([\w/-]+)
| discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/[0-9]+/([\w-]+)

# Headers. A value may go on, alone, on the next line.
| \bauthorization (?: ["']\s*[:=,]\s*b?["'] | [\ \t]*[:=][\ \t]*(?:\r?\n[\ \t]+)?["']? )
  (?:(?:basic|bearer|token|digest|negotiate|apikey)[\ \t]+)?
  ( [^\s"'][^\r\n"']* (?:\r?\n[\ \t]*[a-z0-9._~+/=-]{4,}\r?$)? )
| \b(?:set-)?cookie:[\ \t]*([^\r\n"']+)
| \bbearer[\ \t]+(?:authentication|authorization|credentials?|tokens?)\b
| \bbearer[\ \t]+["']?( [a-z0-9._~+/=-]{8,} (?:\r?\n[\ \t]*[a-z0-9._~+/=-]{4,}\r?$)? )
| \bbasic[\ \t]+( (?-i:[A-Za-z0-9+/_-]{6,}[0-9A-Z+/=][A-Za-z0-9+/_=-]*) (?:\r?\n[\ \t]*[a-z0-9+/_=-]{4,}\r?$)? )

# Keys and values: queries, variables, YAML, JSON, headers of tokens.
| (?: (?: passw(?:or)?d | passphrase | secret | [a-z0-9][-_]token | (?:access|auth|refresh|private)token
        | api[-_]?key | (?:secret|private)[-_](?:access[-_])?key | x-amz-(?:signature|credential)
      ) ["']? [\ \t]* (?: [:=] | => | %3d ) [\ \t]*
    | token[\ \t]*(?:=|%3d)[\ \t]*
    | [?&;](?:pwd|pass|sig|key)=
    | \blogin\s+\S+\s+password\s+
  )
  (?: b?"((?:[^"\\\r\n]|\\.)+)" | b?'([^'\r\n]+)' | \\"([^"\\\r\n]+) | ([^\s"'&<>\\]+) )

# Tokens that say what they are. Where the length is known, one may be cut by line ends.
| \b( gh[pousr]_ (?: (?:[a-z0-9](?:\r?\n[\ \t]*)?){35}[a-z0-9] | [a-z0-9]{4,} )
    | github_pat_ (?: (?:\w(?:\r?\n[\ \t]*)?){81}\w | \w{4,} )
    | gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|soat|imt|agent|ffct|wt)- (?: (?:[\w-](?:\r?\n[\ \t]*)?){19}[\w.-]+ | [\w.-]{4,} )
    | (?-i:(?:AKIA|ASIA) (?: (?:[A-Z0-9](?:\r?\n[\ \t]*)?){15}[A-Z0-9]+ | [A-Z0-9]{8,} ))
    | xox[a-z]-[\w-]{4,} | xapp-[\w-]{8,}
    | (?-i:[sr]k_(?:live|test)_\w{8,} | npm_\w{20,} | pypi-AgE\w[\w-]{16,} | dckr_[a-z]+_[\w-]{16,} | hf_\w{20,}
         | AIza[\w-]{30,} | ya29\.[\w-]{16,} | eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]+)? )
  )

# Private keys: the lines of base64 after the first, and the last one.
| ( -----BEGIN\ [A-Z0-9\ ]*PRIVATE\ KEY(?:\ BLOCK)?-----
    (?:(?:\s|\\[nr])*(?:proc-type|dek-info|version|comment):[^\r\n\\]*)*
    (?:(?:\s|\\[nr])*[a-z0-9+/]{16,}=*)*
    (?: (?:(?:\s|\\[nr])*[a-z0-9+/=]+)* (?:\s|\\[nr])* -----END\ [A-Z0-9\ ]*PRIVATE\ KEY(?:\ BLOCK)?-----
      | (?:\s|\\[nr])*[a-z0-9+/]+=*\z )? )
"#;

/// What may become one of the forms that reach over a line's end, at the end of a text.
const BEGINNINGS: &str = r#"
(?: //[^\s/"<>\\@:]*:[^\s/"<>\\]*
  | \b(?:proxy-)?authorization["']?[\ \t]*[:=]
  | \b(?: gh[pousr]_ | github_pat_ | gl[a-z]{2,5}- | AKIA | ASIA )[\w-]{0,90}
  | \b(?:bearer|basic)[\ \t]+[a-z0-9._~+/=-]{0,200}
) \s* \z
"#;

/// How far back a beginning is looked for.
const TAIL: usize = 1024;

static FORM: LazyLock<Regex> = LazyLock::new(|| compile(FORMS));
static BEGINNING: LazyLock<Regex> = LazyLock::new(|| compile(BEGINNINGS));

#[expect(clippy::unwrap_used, reason = "constants, which every test of redaction compiles")]
fn compile(pattern: &str) -> Regex {
    RegexBuilder::new(pattern)
        .ignore_whitespace(true)
        .case_insensitive(true)
        .multi_line(true)
        .unicode(false)
        .build()
        .unwrap()
}

/// The secrets in the text, in order.
pub(super) fn find(text: &[u8]) -> Vec<SecretSpan> {
    let groups = |form: Captures<'_>| {
        let from = form.get_match().start();
        form.iter().skip(1).flatten().map(|group| SecretSpan { from, part: group.range() }).collect::<Vec<_>>()
    };
    FORM.captures_iter(text).flat_map(groups).collect()
}

/// Where the end of the text begins that could be the beginning of a form that reaches over a line's end.
pub(super) fn unfinished(text: &[u8]) -> usize {
    // However many blanks there are at the end.
    let written = text.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    let from = written.saturating_sub(TAIL);
    BEGINNING.find(&text[from..]).map_or(text.len(), |found| from + found.start())
}
