use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::writer::WINDOW;
use super::*;

const VALUE: &str = "s3cr3t/Väl ue+%41\"x";

fn redactor() -> Redactor {
    Redactor::new([Secret::new("deadbeef-cafe"), Secret::new(VALUE), Secret::new("abc"), Secret::new("")])
}

fn encode(text: &str, upper: bool) -> String {
    let escape = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { escape(b) }).collect()
}

/// Through the writer in pieces of this size.
fn streamed(redactor: &Redactor, text: &[u8], size: usize) -> Vec<u8> {
    let mut writer = redactor.writer(Vec::new());
    for piece in text.chunks(size) {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn values_are_masked_in_every_guise() {
    let redactor = redactor();
    let lines = VALUE.replace("cr3", "c\r\n    r3");
    let twice = encode(&encode(VALUE, true), true);
    let json = serde_json::to_string(VALUE).unwrap();
    for guise in [VALUE, &lines, &encode(VALUE, true), &encode(VALUE, false), &twice, &json[1..json.len() - 1]] {
        assert_eq!(redactor.redact(&format!("<{guise}>")), "<***>", "{guise}");
    }
    assert_eq!(redactor.redact("dead\nbeef-\n\tcafe deadbeef-cafedeadbeef-cafe"), "*** ***");
    assert_eq!(redactor.redact("100%deadbeef-cafe"), "100%***");
    for user in ["", "u", "us", "user"] {
        for text in [STANDARD.encode(format!("{user}:{VALUE}")), URL_SAFE.encode(format!("{user}:{VALUE}:x"))] {
            assert_eq!(redactor.redact(&format!("x {text} y")), "x *** y", "{user}");
        }
    }
}

#[test]
fn what_is_no_secret_stays() {
    let redactor = redactor();
    for text in [
        "abc",
        "dead beef-cafe",
        "",
        "100% of 5%2",
        "fetch https://example.org/a@b c@d.org",
        "git@github.com:a/b.git",
        "ssh://git@example.org/x",
        "Basic authentication failed",
        "Bearer authentication",
        "Unexpected token: x",
        "HTTP Basic: Access denied",
        "password-file is not there",
        "authorization failed",
        "a token of respect",
        "the secret garden",
        "-----BEGIN CERTIFICATE-----",
        "fatal: could not read Password for 'https://example.org'",
    ] {
        assert_eq!(redactor.redact(text), text);
    }
}

#[test]
fn forms_are_masked() {
    let key = format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}-----END OPENSSH PRIVATE KEY-----",
        "b3Bl/nNz+C1rZXkt\n".repeat(9)
    );
    let cut = format!("ghp_{}\n  {}", "a1".repeat(10), "b2".repeat(8));
    for (text, masked) in [
        ("https://user:p@ss@host/x", "https://***@host/x"),
        ("git clone 'https://token@host'", "git clone 'https://***@host'"),
        ("//token@host", "//***@host"),
        ("https://user:pa\n    ssword@host/", "https://***@host/"),
        ("u=https%3A%2F%2Fuser%3Apass%40host%2Fx%40y", "u=https%3A%2F%2F***%40host%2Fx%40y"),
        ("ssh://user:pass@host", "ssh://***@host"),
        ("> Authorization: Basic dTpw", "> Authorization: Basic ***"),
        ("-H \"Authorization: Bearer xyz\" https://h", "-H \"Authorization: Bearer ***\" https://h"),
        ("{\"authorization\": \"token abc def\", \"a\": 1}", "{\"authorization\": \"token ***\", \"a\": 1}"),
        ("Proxy-Authorization: xyz\nDate: today", "Proxy-Authorization: ***\nDate: today"),
        ("Authorization: Bearer abcdef\n    ghijkl\nx", "Authorization: Bearer ***\nx"),
        ("a bearer abcdefghij b", "a bearer *** b"),
        ("got Basic dXNlcjpwYXNz.", "got Basic ***."),
        ("PRIVATE-TOKEN: x1y2", "PRIVATE-TOKEN: ***"),
        ("'JOB-TOKEN': 'x1y2'", "'JOB-TOKEN': '***'"),
        ("Set-Cookie: a=b; c=d", "Set-Cookie: ***"),
        ("/?a=1&access_token=x&b=2", "/?a=1&access_token=***&b=2"),
        ("/?private_token=x&password=y", "/?private_token=***&password=***"),
        ("password: \"a b\\\" c\" d", "password: \"***\" d"),
        ("CI_JOB_TOKEN=x y", "CI_JOB_TOKEN=*** y"),
        ("token%3Dabc", "token%3D***"),
        ("machine h login u password p", "machine h login u password ***"),
        ("a glpat-abcdefghij_1234567-z.", "a ***"),
        ("ghp_abcd, github_pat_11AB_cd, AKIAIOSFODNN7EXAMPLE", "***, ***, ***"),
        ("xoxb-1234-abc (eyJhbGciOiJI.eyJzdWIiOiIx.c2ln)", "*** (***)"),
        ("https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/services/***"),
        (&format!("{key}\nafter"), "***\nafter"),
        (&key.replace('\n', "\\n"), "***"),
        (&key[..100], "***"),
        (&cut, "***"),
    ] {
        assert_eq!(Redactor::default().redact(text), masked, "{text}");
        assert_eq!(Redactor::default().redact(masked), masked, "again");
    }
}

#[test]
fn a_stream_comes_out_as_the_whole_does() {
    let redactor = redactor();
    let mut text = Vec::new();
    for part in [
        "one\n",
        VALUE,
        "\ndead\nbeef\n-cafe\nhttps://user:pa\nss@host/ x\n",
        "Authorization: Bearer abcdefgh\n",
        "-----BEGIN RSA PRIVATE KEY-----\n",
        &"QUJDREVGR0hJSktMTU5PUFFS\n".repeat(5),
        "-----END RSA PRIVATE KEY-----\n",
        "ghp_",
        &"0a".repeat(10),
        "\n",
        &"b1".repeat(8),
        "\nd",
        "eadbeef-caf\n\n\ne",
        "last deadbeef-",
    ] {
        text.extend_from_slice(part.as_bytes());
    }
    let whole = redactor.redact_bytes(&text).into_owned();
    let shown = String::from_utf8_lossy(&whole);
    assert!(!shown.contains("QUJD") && !shown.contains("b1b1") && !shown.contains("ss@"), "{shown}");
    for size in 1..text.len() {
        assert_eq!(String::from_utf8_lossy(&streamed(&redactor, &text, size)), shown, "pieces of {size}");
    }
}

#[test]
fn lines_are_passed_on_as_they_end() {
    let mut writer = redactor().writer(Vec::new());
    writer.write_all(b"one\ntwo https://example.org/x\nthr").unwrap();
    assert_eq!(writer.inner, b"one\ntwo https://example.org/x\n");
    writer.write_all(b"ee\ndead").unwrap();
    assert_eq!(writer.inner, b"one\ntwo https://example.org/x\nthree\n");
}

#[test]
fn lines_without_end_and_bytes_of_any_kind_are_bounded() {
    let redactor = redactor();
    let mut line = vec![0xff; 3 * writer::WINDOW];
    for at in (1000..line.len() - 100).step_by(7777) {
        line[at..at + 13].copy_from_slice(b"deadbeef-cafe");
    }
    for size in [999, 4096, writer::WINDOW, line.len()] {
        let masked = streamed(&redactor, &line, size);
        assert!(!masked.windows(8).any(|part| part == b"deadbeef"), "pieces of {size}");
        assert_eq!(masked.len(), line.len() - 10 * (line.len() - 1100).div_ceil(7777));
    }
    let endless = [b"a\npassword=".as_slice(), &vec![b'x'; 5 * writer::WINDOW], b" y\nz"].concat();
    let mut writer = redactor.writer(Vec::new());
    for piece in endless.chunks(1000) {
        writer.write_all(piece).unwrap();
        assert!(writer.held.len() <= 3 * writer::WINDOW);
    }
    assert_eq!(writer.finish().unwrap(), b"a\npassword=***\nz");
}

#[test]
fn a_long_value_is_masked_whole() {
    let value: String = (0..2000).flat_map(|n| [n.to_string(), "é\n".to_owned()]).collect();
    let redactor = Redactor::new([Secret::new(value.clone())]);
    let masked = redactor.redact(&value).into_owned();
    assert!(masked.chars().all(|c| "*\n".contains(c)), "{masked}");
    let file = Redactor::new([Secret::new("x".repeat(1_000_000))]);
    assert_eq!(file.redact(&"x".repeat(1000)), "***");
}

#[test]
fn nothing_shows_a_secret_by_debugging() {
    assert_eq!(format!("{:?}", redactor()), "Redactor(4 secrets)");
    assert_eq!(format!("{:?}", Secret::new("x")), "Secret(…)");
}

#[test]
fn a_value_with_any_number_of_blanks_in_it_is_masked_in_a_stream_too() {
    let blanks = [" ".repeat(5_000), "\n".repeat(140_000), " %20\t\r\n".repeat(20_000)];
    for blank in &blanks {
        for secret in [format!("first half{blank}second half"), "firsthalfsecondhalf".to_owned()] {
            let redactor = Redactor::new([Secret::new(secret)]);
            let printed = format!(
                "before\nfirst{}half{blank}second{0}half\nafter\n",
                if blank.contains('\n') { "\n" } else { " " }
            );
            for size in [4_096, 1 << 20] {
                let shown = String::from_utf8(streamed(&redactor, printed.as_bytes(), size)).unwrap();
                let masked = !shown.contains("first") && !shown.contains("half") && shown.contains("***");
                // Without a line's end among them, blanks part words.
                let parted = !blank.contains('\n') && redactor.redact("first half second half").contains("half");
                assert!(masked || parted, "{} in pieces of {size}: {:?}", blank.len(), &shown[..shown.len().min(99)]);
                assert!(shown.starts_with("before\n") && shown.ends_with("after\n"), "in pieces of {size}");
            }
        }
    }
}

#[test]
fn endless_blanks_and_escapes_take_bounded_memory() {
    let redactor = Redactor::new([Secret::new("deadbeef-cafe")]);
    for filling in [" ", "\n", "\u{1b}[1m", "%25", "Bearer abcdefgh\n ", "\r"] {
        let mut writer = redactor.writer(Vec::new());
        writer.write_all(b"dead").unwrap();
        for _ in 0..5 {
            writer.write_all(filling.repeat(100_000 / filling.len()).as_bytes()).unwrap();
            writer.inner.clear();
            assert!(writer.held.len() <= 4 * WINDOW, "{filling:?}: {}", writer.held.len());
        }
    }
}

#[test]
fn a_terminals_sequences_hide_no_value() {
    let redactor = Redactor::new([Secret::new("deadbeef-cafe"), Secret::new("12345678")]);
    for text in [
        "dead\u{1b}[31;1mbeef\u{1b}[0m-cafe",
        "\u{1b}[12345678",
        "\u{1b}[1m12345678\u{1b}[0m",
        "de%61d\u{1b}[Kbeef-cafe",
    ] {
        let masked = redactor.redact(text);
        assert!(masked.contains("***") && !masked.contains("beef") && !masked.contains("345"), "{masked:?}");
        for size in 1..text.len() {
            assert_eq!(streamed(&redactor, text.as_bytes(), size), masked.as_bytes(), "pieces of {size}");
        }
    }
}

#[test]
fn what_a_file_held_and_holds_is_masked_for_as_long_as_the_redactor_lives() {
    let directory = tempfile::tempdir().unwrap();
    let (token, address) = (directory.path().join("token"), directory.path().join("hook.url"));
    std::fs::write(&token, "first-token\n").unwrap();
    std::fs::write(&address, "https://u:p4ssword@hooks.example.org/in/path-of-it?key=query-of-it\n").unwrap();
    let mut secrets = SecretSet::default();
    secrets.file(&token);
    secrets.file(&address);
    secrets.public("a text with public-token in it");
    let redactor = Redactor::watching(secrets);
    let clone = redactor.with([Secret::new("one more")]);
    let mut stream = redactor.writer(Vec::new());
    for value in ["second-token", "third-token", "public-token"] {
        std::fs::write(&token, value).unwrap();
        writeln!(stream, "{value} first-token").unwrap();
        let expected = if value == "public-token" { "public-token ***" } else { "*** ***" };
        assert_eq!(redactor.redact(&format!("{value} first-token")), expected);
        assert_eq!(clone.redact(&format!("{value} first-token one more")), format!("{expected} ***"));
    }
    let stream = String::from_utf8(stream.finish().unwrap()).unwrap();
    assert_eq!(stream, "*** ***\n*** ***\npublic-token ***\n");
    assert_eq!(redactor.redact("second-token third-token"), "*** ***", "what it held before");
    for part in ["p4ssword", "path-of-it", "query-of-it", "in/path-of-it"] {
        assert_eq!(redactor.redact(&format!("<{part}>")), "<***>");
    }
    assert_eq!(redactor.redact("hooks.example.org"), "hooks.example.org");
}
