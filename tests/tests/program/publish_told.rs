//! What people are told of requests, by mail: each thing once.

use fetcher_tests::published::{Publishing, requests};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::smtp::Smtp;

const A: &str = "1111111111111111111111111111111111111111";

fn both(a: &str, b: &str) -> String {
    format!("track_ref() {{ case $1 in a.bst) ref={a} ;; b.bst) ref={b} ;; esac; }}\n")
}

/// `publish` with a notifier of mail.
fn with_mail(server: &Smtp, publish: &str) -> String {
    format!(
        "{publish}\n[[notify]]\nkind = \"email\"\nserver = \"smtp://{}\"\nfrom = \"fetcher@example.org\"\n\
         to = [\"a@example.org\"]\ntimeout = \"10s\"\n",
        server.place()
    )
}

/// The texts of the mails since there were so many, in their order.
fn told(server: &Smtp, before: &mut usize) -> Vec<String> {
    let mails = server.mails();
    let texts = mails[*before..].iter().map(|mail| format!("{}\n{}", mail.header("Subject"), mail.text())).collect();
    *before = mails.len();
    texts
}

#[test]
fn paused_and_closed_requests_are_told_once_and_again_when_they_come_back() {
    let scratch = Scratch::new();
    let server = Smtp::start(&scratch, &[]);
    let publishing = Publishing::new(&scratch, &both(A, A));
    let publish = "mode = \"branch\"\nper = \"element\"\nbranch = \"up/{base}/{element}\"";
    let fetcher = publishing.fetcher(&with_mail(&server, publish), "");
    let mut mails = 0;
    fetcher.run(&["run"]).expect(0);
    assert_eq!(told(&server, &mut mails), [""; 0]);

    let human = publishing.repo.clone_of(&scratch, "human", "up/main/a.bst");
    human.write("elements/b.bst", "kind: manual\n");
    let commit = human.commit("Mend what the new version breaks");
    human.git(&["push", "--quiet", "origin", "up/main/a.bst"]);
    publishing.repo.git(&["update-ref", "-d", "refs/heads/up/main/b.bst"]);
    fetcher.run(&["run"]).expect(0);
    let mut now = requests(&fetcher);
    now.sort();
    assert_eq!(now, [("a.bst".to_owned(), "paused".to_owned()), ("b.bst".to_owned(), "closed".to_owned())]);
    let texts = told(&server, &mut mails).join("\n");
    for words in [
        &format!(
            "up/main/a.bst: {} on up/main/a.bst is not of this program: the branch is left alone",
            &commit.as_str()[..12]
        ),
        "merge or close the request; on-human-commits = \"stack\" or \"new\" goes on beside it",
        "up/main/b.bst: it was closed without being merged: the same is not proposed again",
        "open the request again",
    ] {
        let whole = texts.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(whole.contains(words), "{words}: {texts}");
    }
    fetcher.run(&["run"]).expect(0);
    assert_eq!(told(&server, &mut mails), [""; 0], "it is the same still");

    // The human's commit goes, and what was closed has moved on: nobody has to do anything. Then it is closed, too.
    human.git(&["push", "--quiet", "--force", "origin", "HEAD~:up/main/a.bst"]);
    publishing.fake.now(&both(A, &"2".repeat(40)));
    fetcher.run(&["run"]).expect(0);
    assert_eq!(told(&server, &mut mails), [""; 0]);
    publishing.repo.git(&["update-ref", "-d", "refs/heads/up/main/b.bst"]);
    fetcher.run(&["run"]).expect(0);
    let texts = told(&server, &mut mails).join("\n");
    assert!(texts.contains("closed without being merged") && !texts.contains("is not of this program"), "{texts}");
}

#[test]
fn a_moved_tag_is_told_with_both_refs() {
    let scratch = Scratch::new();
    let server = Smtp::start(&scratch, &[]);
    let tag = |id: &str| format!("v1-0-g{}", id.repeat(40));
    let publishing = Publishing::new(&scratch, &both(&tag("3"), A));
    let fetcher = publishing.fetcher(&with_mail(&server, "mode = \"commit\""), "");
    let mut mails = 0;
    fetcher.run(&["run"]).expect(0);
    publishing.fake.now(&both(&tag("4"), A));
    fetcher.run(&["run"]).expect(0);
    let texts = told(&server, &mut mails).join("\n");
    let whole = texts.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["a.bst", "the same tag names another commit now", &tag("3"), &tag("4")] {
        assert!(whole.contains(words), "{words}: {texts}");
    }
    fetcher.run(&["run"]).expect(0);
    assert_eq!(told(&server, &mut mails), [""; 0]);
}
