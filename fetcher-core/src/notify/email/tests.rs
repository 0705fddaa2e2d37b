//! Mail as it goes out, without a server.

use super::super::sample::hostile;
use super::*;
use crate::cancel::Cancel;
use crate::environment::Environment;
use std::path::PathBuf;

fn email(server: &str) -> Email {
    Email {
        name: "team".to_owned(),
        wants: Wants::default(),
        config: EmailConfig {
            server: server.to_owned(),
            username: None,
            password_file: None,
            ca_file: None,
            from: "fetcher@example.org".to_owned(),
            to: vec!["ops@example.org".to_owned()],
        },
        host: NotifierHost {
            projects: std::collections::BTreeMap::new(),
            environment: Environment::empty(),
            owner: OsString::new(),
            directory: PathBuf::from("/"),
            cancel: Cancel::new(),
        },
    }
}

#[test]
fn no_message_adds_a_header_or_a_recipient() {
    let mail = email("smtp://h").mail(&hostile()).unwrap();
    let text = String::from_utf8(mail.formatted()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut names: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Auto-Submitted",
            "Content-Type",
            "Date",
            "From",
            "In-Reply-To",
            "MIME-Version",
            "Message-ID",
            "References",
            "Subject",
            "To",
            "X-BST-Fetcher-Event"
        ]
    );
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "RFC 5322, 2.1.1");
    assert!(!body.contains('\0') && !body.contains('\u{1b}'), "{body}");
    assert_eq!(mail.envelope().to().len(), 1);
}

#[test]
fn every_form_of_a_server_is_understood() {
    for server in ["smtp://h", "smtps://h:1465", "smtp+starttls://[::1]:25", "smtp://user@mail.example.org/"] {
        assert!(email(server).transport(Duration::from_secs(1), "a host").is_ok(), "{server}");
    }
}
