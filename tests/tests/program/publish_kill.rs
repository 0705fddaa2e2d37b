//! Killed at any step, or two hosts at once: never two requests, never a lost commit.

use std::fs;
use std::process::Stdio;
use std::thread;

use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::published::{Publishing, statuses};
use fetcher_tests::rest_forge::{RestForge, Vendor};
use fetcher_tests::scratch::Scratch;

const BRANCH: &str = "bst-fetcher/main";
const TOKEN: &str = "s3cr3t-forge-token";

fn moved(digit: char) -> String {
    format!("track_ref() {{ [ $1 != a.bst ] || ref={}; }}\n", digit.to_string().repeat(40))
}

fn fetcher<'s>(scratch: &'s Scratch, publishing: &Publishing<'s>, rest: &RestForge) -> Fetcher<'s> {
    let token = scratch.write("forge.token", format!("{TOKEN}\n"));
    fs::set_permissions(token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    let text = format!(
        "mode = \"merge-request\"\nforge = \"github\"\napi-url = \"{}\"\ntoken-file = \"forge.token\"\n",
        rest.url
    );
    publishing.fetcher(&text, "")
}

/// Runs it, to be killed at a step of the other side; gives whether it was.
fn killed(publishing: &Publishing<'_>, rest: &RestForge, fetcher: &Fetcher<'_>, step: &str) -> bool {
    let mut child = fetcher.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let pid = child.id();
    let hook = format!("#!/bin/sh\ncat >/dev/null\nkill -9 {pid}\n");
    match step {
        "pre-receive" | "post-receive" => publishing.repo.hook(step, &hook),
        step => rest.change(|state| state.kills = Some((step.to_owned(), pid))),
    }
    let ended = child.wait().expect("it ends");
    for hook in ["pre-receive", "post-receive"] {
        match fs::remove_file(publishing.repo.path().join("hooks").join(hook)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            Ok(()) | Err(_) => {}
        }
    }
    rest.change(|state| state.kills = None);
    std::os::unix::process::ExitStatusExt::signal(&ended) == Some(9)
}

#[test]
fn whoever_is_killed_at_any_step_leaves_one_request_and_every_commit() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    let rest = RestForge::start(Vendor::GitHub, TOKEN);
    let fetcher = fetcher(&scratch, &publishing, &rest);
    let mut kills = 0;
    // A request is made.
    for step in ["GET", "pre-receive", "post-receive", "POST"] {
        kills += usize::from(killed(&publishing, &rest, &fetcher, step));
        assert!(rest.requests().len() <= 1, "{step}: {:?}", rest.requests());
    }
    // A push that it is killed over may be whole on the other side, so that the next run makes the request, and nothing is
    // left to be killed over.
    assert!(kills >= 2, "{kills}");
    fetcher.run(&["run"]);
    fetcher.run(&["run"]).expect(0);
    assert_eq!((statuses(&fetcher), rest.requests().len()), (vec!["open".to_owned()], 1));
    assert!(publishing.element(BRANCH, "a").contains(&"1".repeat(40)));

    // It is brought up to date.
    for (step, digit) in [("pre-receive", '2'), ("post-receive", '3'), ("PATCH", '4')] {
        publishing.fake.now(&moved(digit));
        assert!(killed(&publishing, &rest, &fetcher, step), "{step}");
        fetcher.run(&["run"]);
        fetcher.run(&["run"]).expect(0);
        assert_eq!((statuses(&fetcher), rest.requests().len()), (vec!["open".to_owned()], 1), "{step}");
        assert!(publishing.element(BRANCH, "a").contains(&digit.to_string().repeat(40)), "{step}");
        assert!(rest.requests()[0].body.contains(&format!("`{}`", digit.to_string().repeat(12))), "{step}");
    }
}

#[test]
fn two_hosts_at_once_make_one_request_and_lose_nobodys_commit() {
    let scratch = Scratch::new();
    let publishing = Publishing::new(&scratch, &moved('1'));
    let rest = RestForge::start(Vendor::GitHub, TOKEN);
    let one = fetcher(&scratch, &publishing, &rest);
    let root = scratch.root().display().to_string();
    let text = fs::read_to_string(scratch.path("config.toml")).expect("a text");
    let text = text.replace(&format!("{root}/state"), &format!("{root}/state2"));
    scratch.write("other.toml", text.replace(&format!("{root}/cache"), &format!("{root}/cache2")));
    let other = Fetcher::new(&scratch).using("other.toml");
    for digit in ['1', '2', '3'] {
        publishing.fake.now(&moved(digit));
        thread::scope(|scope| {
            let both = [&one, &other].map(|host| scope.spawn(move || host.run(&["run"])));
            for ended in both {
                let ended = ended.join().expect("a host");
                assert_eq!(ended.status(), 0, "{ended}");
            }
        });
        assert_eq!(rest.requests().len(), 1, "{:?}", rest.requests());
        assert!(publishing.element(BRANCH, "a").contains(&digit.to_string().repeat(40)));
    }
    // One of them sees an older upstream, and a human has worked meanwhile: neither overwrites that.
    let human = publishing.repo.clone_of(&scratch, "human", BRANCH);
    human.write("README", "mine\n");
    human.commit("Mine");
    human.git(&["push", "--quiet", "origin", BRANCH]);
    publishing.fake.now(&moved('4'));
    thread::scope(|scope| {
        for ended in [&one, &other].map(|host| scope.spawn(move || host.run(&["run"]))) {
            assert_eq!(ended.join().expect("a host").status(), 0);
        }
    });
    assert_eq!(publishing.repo.tip(BRANCH), Some(human.git(&["rev-parse", "HEAD"])));
}
