//! The redactor: nothing that is secret passes, however it comes.

use std::io::Write as _;

use fetcher_core::{Redactor, Secret};
use fetcher_tests::canary::percent_encoded;
use fetcher_tests::fuzz::{Random, Target, fixtures};

const ALPHABETS: [&str; 4] = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "0123456789abcdef-",
    "aA1 +/%&\"'<>\\=:@.~",
    "äß€ \t%41+",
];

/// A secret of some sort; what marks one has no place in it.
fn secret(random: &mut Random) -> String {
    let alphabet: Vec<char> = random.pick(&ALPHABETS).chars().collect();
    let length = *random.pick(&[4, 5, 8, 16, 20, 24, 40, 40, 256, 257, 700]);
    (0..length).map(|_| *random.pick(&alphabet)).collect()
}

/// The secret as it may be printed.
fn guise(secret: &str, random: &mut Random) -> String {
    let blank = random.pick(&["\n", "\r\n    ", "\n\n\n\t", "\u{1b}[0m\n"]);
    let cut = (0..=secret.len() / 2).rev().find(|at| secret.is_char_boundary(*at)).unwrap_or_default();
    let (first, second) = secret.split_at(cut);
    match random.below(12) {
        0 => format!("{first}{blank}{second}"),
        1 => percent_encoded(secret.as_bytes()),
        2 => serde_json::Value::from(secret).to_string(),
        3 => format!("{first}{}{second}", blank.repeat(*random.pick(&[3, 30, 300, 3_000, 20_000]))),
        _ => secret.to_owned(),
    }
}

/// Nothing but what counts: blanks stand anywhere.
fn solid(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| *byte > b' ' && *byte != 0x7f).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn no_secret_passes_in_any_pieces() {
    let words = [
        "https://u:p@h/",
        "Bearer abcdefgh",
        "\n",
        " ",
        "%25",
        "\u{1b}[",
        "-----BEGIN PRIVATE KEY-----\n",
        "password=",
        "//",
        "@",
    ];
    let corpus = fixtures("bst-logs", 6);
    let target = Target { name: "redactor", corpus, words: &words, largest: 4_000 };
    target.run(|input, random| {
        let secrets: Vec<String> = (0..=random.below(3)).map(|_| secret(random)).collect();
        let redactor = Redactor::new(secrets.iter().map(Secret::new));
        let mut text = input.to_vec();
        for _ in 0..random.below(5) {
            let (at, secret) = (random.below(text.len() + 1), random.pick(&secrets).clone());
            let guise = guise(&secret, random);
            drop(text.splice(at..at, guise.into_bytes()));
        }
        // Not so many that it takes long.
        let longest = 1 + text.len() / 200 + random.below(text.len());
        let pieces = random.pieces(&text, longest);
        let mut writer = redactor.writer(Vec::new());
        for piece in &pieces {
            writer.write_all(piece).expect("memory");
        }
        let streamed = writer.finish().expect("memory");
        let whole = redactor.redact_bytes(&text);
        if text.len() <= 64 << 10 {
            assert!(streamed == *whole, "{} pieces make a difference", pieces.len());
        }
        for secret in &secrets {
            // One with blanks is known without them.
            let known = solid(secret.as_bytes());
            if secret.len() < Redactor::SHORTEST || known.len() < Redactor::SHORTEST {
                continue;
            }
            assert!(!contains(&streamed, secret.as_bytes()), "{secret:?} passed");
            assert!(!contains(&whole, secret.as_bytes()), "{secret:?} passed whole");
        }
    });
}
