//! What every kind of message looks like in every form.

use std::fmt::Write as _;

use super::super::sample;
use super::*;

/// Every message in one form, in one snapshot.
fn shown(form: impl Fn(&Notification) -> String) -> String {
    sample::all().iter().fold(String::new(), |mut out, (name, message)| {
        let _ = writeln!(out, "==== {name}\n{}\n", form(message).trim_end());
        out
    })
}

fn snapshot(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(env!("CARGO_PKG_VERSION"), "[version]");
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

fn json(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn lines() {
    snapshot("line", &shown(line));
}

#[test]
fn texts() {
    snapshot("text", &shown(text));
}

#[test]
fn mails() {
    let headers = |message: &Notification| {
        let mail = mail(message);
        format!("Subject: {}\nMessage-ID: {}\nReferences: {:?}", mail.subject, mail.message_id, mail.references)
    };
    snapshot("mail-headers", &shown(headers));
    snapshot("mail-html", &shown(|message| mail(message).html.replace("><", ">\n<")));
}

#[test]
fn webhooks() {
    snapshot("json", &shown(|message| json(&facts(message))));
    snapshot("matrix", &shown(|message| json(&matrix(message))));
    snapshot("slack", &shown(|message| json(&slack(message))));
    snapshot("discord", &shown(|message| json(&discord(message))));
    snapshot("ntfy", &shown(|message| json(&ntfy(message, "builds"))));
}

#[test]
fn nothing_breaks_out_of_its_line_or_page() {
    let message = sample::hostile();
    let control = |text: &str| text.chars().any(|c| c.is_control() || c == '\u{2028}');
    let mail = mail(&message);
    for line in [title(&message), line(&message), mail.subject, mail.message_id.clone(), mail.references[0].clone()] {
        assert!(!control(&line), "{line:?}");
    }
    assert!(mail.message_id.chars().all(|c| c.is_ascii_alphanumeric() || "<>@.-".contains(c)), "{}", mail.message_id);
    assert!(!mail.html.contains("<script>"), "{}", mail.html);
    assert!(irc_lines(&text(&message), 100).iter().all(|line| !control(line)));
    let html = matrix(&message)["formatted_body"].as_str().unwrap().to_owned();
    assert!(!html.contains("<script>"), "{html}");
    let slack = slack(&message)["text"].as_str().unwrap().to_owned();
    assert!(!slack.contains("<script>") && !slack.contains("<n>"), "{slack}");
}

#[test]
fn every_form_keeps_to_its_limit() {
    let mut message = sample::all().remove(0).1;
    let long = "ä🦀 ".repeat(5000);
    message.topics[0].failures[0].message.clone_from(&long);
    message.topics[0].failures[0].hint.clone_from(&long);
    message.topics[0].failures[0].element = Some(long.chars().take(900).collect::<String>().parse().unwrap());
    message.topics[0].log_end.clone_from(&long);
    assert!(title(&message).chars().count() <= LONGEST);
    assert!(discord(&message)["content"].as_str().unwrap().chars().count() <= 2000);
    assert!(ntfy(&message, "t")["message"].as_str().unwrap().len() <= 4096);
}

#[test]
fn long_lines_are_split_between_characters_and_lose_nothing() {
    let text = format!("[gnome (main)] {} end: https://example.org/{}", "wörter 語 🦀 ".repeat(60), "x".repeat(300));
    for most in [20, 57, 100, 400] {
        let lines = irc_lines(&text, most);
        assert!(lines.iter().all(|line| line.len() <= most && !line.is_empty()), "{most}: {lines:?}");
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeezed(&lines.concat()), squeezed(&text), "{most}");
    }
    assert_eq!(irc_lines("aaaa bbbb", 9), ["aaaa bbbb"]);
    assert_eq!(irc_lines("aaaa bbbb", 8), ["aaaa", "bbbb"]);
    assert_eq!(irc_lines("a bbbbbbbbbbbb", 8), ["a bbbbbb", "bbbbbb"]);
    assert_eq!(irc_lines("a bbbbbbbb", 8), ["a", "bbbbbbbb"]);
    assert!(irc_lines(" \r\n", 8).is_empty());
}

#[test]
fn addresses_of_ntfy_are_taken_apart() {
    let parts = NtfyTopic::parse("https://ntfy.example.org/base/builds/").unwrap();
    assert_eq!((parts.server.as_str(), parts.topic.as_str()), ("https://ntfy.example.org/base/", "builds"));
    assert_eq!(NtfyTopic::parse("https://ntfy.example.org"), None);
    assert_eq!(NtfyTopic::parse("https://ntfy.example.org/"), None);
}
