//! A configuration that cannot be used is told by the notifiers of the last good one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;

/// What the notifier was told since it was last asked: a title a line.
fn told(scratch: &Scratch) -> Vec<String> {
    let path = scratch.path("told");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_wrong_is_told_once_until_it_is_mended() {
    let scratch = Scratch::new();
    upstream(&scratch, &[]);
    let fake = FakeBst::new(&scratch, "");
    let script =
        scratch.write("tell", "#!/bin/sh\necho \"$BST_FETCHER_EVENT: $BST_FETCHER_TITLE\" >>told\ncat >>message\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("executable");
    scratch.write("token", "a-token-of-nobody");
    let project = "[[project]]\nurl = \"project\"\ntargets = [\"all.bst\"]\n";
    let notify = "[[notify]]\nkind = \"command\"\ncommand = [\"./tell\"]\n";
    let good = format!("{}\n{project}git = {{ token-file = \"token\" }}\n{notify}", fake.config());
    // Before the first good one nobody is known who could be told.
    let fetcher = Fetcher::new(&scratch).config(good.replace("targets", "target"));
    fetcher.run(&["run"]).expect(3);
    assert_eq!(told(&scratch), Vec::<String>::new());
    let fetcher = Fetcher::new(&scratch).config(&good);
    fetcher.run(&["run"]).expect(0);
    assert_eq!(told(&scratch), Vec::<String>::new());

    let text = fs::read_to_string(scratch.path("config.toml")).expect("the configuration");
    for broken in [text.replace("targets", "target"), text.replace("[[project]]", "[[project]")] {
        scratch.write("config.toml", broken);
        let ended = fetcher.run(&["run"]).expect(3);
        let news = told(&scratch);
        assert!(news.len() == 1 && news[0].starts_with("failure: "), "{news:?} {ended}");
        assert!(fs::read_to_string(scratch.path("message")).expect("a message").contains("config.toml:"));
        fetcher.run(&["run"]).expect(3);
        assert_eq!(told(&scratch), Vec::<String>::new(), "the same is not told with every run");
        // Others only look.
        fetcher.run(&["status"]).expect(3);
        fetcher.run(&["run", "--dry-run"]).expect(3);
        assert_eq!(told(&scratch), Vec::<String>::new());
        scratch.write("config.toml", &text);
        fetcher.run(&["run"]).expect(0);
        let news = told(&scratch);
        assert!(news.len() == 1 && news[0].starts_with("recovery: "), "{news:?}");
    }

    fs::remove_file(scratch.path("token")).expect("the token");
    fetcher.run(&["run"]).expect(3);
    assert_eq!(told(&scratch).len(), 1, "a file that it names");
    scratch.write("token", "a-token-of-nobody");
    fetcher.run(&["run"]).expect(0);
    assert_eq!(told(&scratch).len(), 1, "it is there again");
    fs::remove_file(scratch.path("config.toml")).expect("the configuration");
    fetcher.run(&["run"]).expect(3);
    assert_eq!(told(&scratch).len(), 1, "the file itself");
}
