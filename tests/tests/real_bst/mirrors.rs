//! Whether mirrors have what elements are pinned to, by projects that the real bst has listed: git over HTTP and git://,
//! files behind nginx, and mirrors that are not there.

use std::fs;

use fetcher_tests::bst;
use fetcher_tests::daemon::{Daemon, nginx};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::git_fixture::Repo;
use fetcher_tests::host::DeadPort;
use fetcher_tests::http_git::{HttpGit, Manner};
use fetcher_tests::scratch::Scratch;
use serde_json::Value;

/// A project with sources of two aliases, and mirrors of both in every form.
struct Mirrored {
    scratch: Scratch,
    config: String,
    upstream: Repo,
    /// The commit that the elements are pinned to, which is no tip.
    pinned: String,
    /// The addresses of: mirrors by HTTP, by git:// and by dumb HTTP, the files' mirror, and nobody's.
    urls: [String; 5],
    _servers: (Vec<Daemon>, HttpGit, DeadPort),
}

impl Mirrored {
    fn new() -> Self {
        let scratch = Scratch::new();
        let upstream = scratch.repo("up/tool");
        upstream.write("file", "first\n");
        let pinned = upstream.commit("first").to_string();
        upstream.write("file", "second\n");
        upstream.commit("second");
        // One mirror has everything, one lags behind and one has another repository of that name.
        let clone = |to: &str| {
            let to = scratch.path(to);
            fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
            upstream.git(&["clone", "--quiet", "--bare", ".", &to.display().to_string()]);
        };
        clone("whole/tool");
        clone("dumb/tool");
        let other = scratch.repo("other/tool");
        other.write("file", "another\n");
        other.commit("another");
        let at = scratch.path("dumb/tool").display().to_string();
        upstream.git(&["--git-dir", &at, "update-server-info"]);
        scratch.write("files/x.txt", "content\n");
        scratch.write("files/y.txt", "content\n");
        scratch.write("file-mirror/web/x.txt", "other content\n");
        let root = |name: &str| format!("root {};", scratch.path(name).display());
        let up = Daemon::git(&scratch.path("up"));
        let other = Daemon::git(&scratch.path("other"));
        let dumb = Daemon::files(&scratch.path("dumb"));
        let files = nginx(&scratch.path("nginx-a"), &root("files"));
        let mirrored = nginx(&scratch.path("nginx-b"), &root("file-mirror"));
        let whole = HttpGit::start(&scratch.path("whole"), Manner::Open);
        let dead = DeadPort::new();
        let urls = [whole.url.clone(), other.url().into(), dumb.url().into(), mirrored.url().into(), dead.url()];
        let project = scratch.repo("project");
        let conf = format!(
            "name: example\nmin-version: 2.2\nelement-path: elements\naliases:\n  up: {}/\n  web: {}/\n  lone: {}/\nplugins:\n\
             - origin: pip\n  package-name: buildstream-plugins\n  sources: [git]\n- origin: pip\n  package-name: \
             buildstream-plugins-community\n  sources: [git_repo]\n  source-mirrors: [simple_mirror]\nmirrors:\n- name: whole\n  aliases:\n    up:\n    - {}/\n- \
             name: plugged\n  kind: simple_mirror\n  config:\n    url: {}/{{alias}}\n    aliases: [web]\n- name: other\n  kind: default\n  aliases:\n    up:\n    - {}/\n- name: dumb\n  \
             aliases:\n    up: ['{}/']\n- name: dead\n  aliases:\n    up: ['{dead}/']\n    web: ['{dead}/']\n",
            up.url(),
            files.url(),
            files.url(),
            urls[0],
            urls[3],
            urls[1],
            urls[2],
            dead = urls[4]
        );
        project.write("project.conf", &conf);
        let sum = "434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53";
        let git = |kind: &str| {
            format!("kind: import\nsources:\n- kind: {kind}\n  url: up:tool\n  track: main\n  ref: {pinned}\n")
        };
        let file = |url: &str| format!("kind: import\nsources:\n- kind: remote\n  url: {url}\n  ref: {sum}\n");
        project.write("elements/git.bst", &git("git"));
        project.write("elements/repo.bst", &git("git_repo"));
        project.write("elements/x.bst", &file("web:x.txt"));
        project.write("elements/y.bst", &file("web:y.txt"));
        project.write("elements/lone.bst", &file("lone:x.txt"));
        project.commit("A project");
        let config = format!(
            "[buildstream]\ncommand = ['{}']\nconfig = {{ fetch = {{ source = \"aliases\" }} }}\n[[project]]\nname = \"example\"\n\
             url = \"{}\"\nretries = 0\nrefs = [\"committed\"]\n",
            bst::bst().display(),
            project.url()
        );
        let servers = (vec![up, other, dumb, files, mirrored], whole, dead);
        Self { scratch, config, upstream, pinned, urls, _servers: servers }
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher::new(&self.scratch).config(self.config.clone())
    }

    fn asked(&self) -> Value {
        self.fetcher().run(&["rot", "--mirrors", "--json"]).expect(0).json()
    }
}

/// The check of a mirror of an alias.
fn check<'v>(shown: &'v Value, mirror: Option<&str>, alias: &str) -> &'v Value {
    let mirrors = shown["mirrors"].as_array().expect("mirrors");
    let found = mirrors.iter().find(|check| check["mirror"].as_str() == mirror && check["alias"] == alias);
    found.unwrap_or_else(|| panic!("{mirror:?} {alias}: {shown:#}"))
}

fn counts(check: &Value) -> [usize; 5] {
    let number = |key: &str| usize::try_from(check[key].as_u64().expect(key)).expect("small");
    let length = |key: &str| check[key].as_array().expect(key).len();
    [number("sources"), number("held"), length("lacking"), length("untold"), number("unanswered")]
}

#[test]
fn each_mirror_is_asked_for_what_is_pinned_and_says_what_it_lacks() {
    let site = Mirrored::new();
    let ended = site.fetcher().run(&["rot", "--mirrors"]).expect(2);
    assert!(ended.stderr().contains("nothing is listed yet"), "{}", ended.stderr());
    site.fetcher().run(&["run"]).expect(0);
    let shown = site.asked();
    // Two elements with the same commit are one question.
    assert_eq!(counts(check(&shown, None, "up")), [1, 1, 0, 0, 0], "{shown:#}");
    assert_eq!(
        counts(check(&shown, Some("whole"), "up")),
        [1, 1, 0, 0, 0],
        "no tip, and there all the same: {shown:#}"
    );
    assert_eq!(counts(check(&shown, Some("other"), "up")), [1, 0, 1, 0, 0], "{shown:#}");
    assert_eq!(counts(check(&shown, Some("dumb"), "up")), [1, 0, 0, 1, 0], "{shown:#}");
    assert_eq!(counts(check(&shown, Some("dead"), "up")), [1, 0, 0, 0, 1], "{shown:#}");
    assert_eq!(counts(check(&shown, None, "web")), [2, 2, 0, 0, 0], "{shown:#}");
    assert_eq!(counts(check(&shown, Some("plugged"), "web")), [2, 0, 2, 0, 0], "{shown:#}");
    let lacking = &check(&shown, Some("other"), "up")["lacking"][0];
    assert_eq!(
        (&lacking["version"], &lacking["url"]),
        (&site.pinned.clone().into(), &format!("{}/tool", site.urls[1]).into())
    );
    let users: Vec<_> =
        lacking["users"].as_array().expect("users").iter().map(|user| user["element"].clone()).collect();
    assert_eq!(users, ["git.bst", "repo.bst"], "{lacking:#}");
    let files = check(&shown, Some("plugged"), "web")["lacking"].as_array().expect("files").clone();
    let messages: Vec<_> = files.iter().map(|gap| gap["message"].as_str().expect("a message")).collect();
    assert!(
        messages[0].starts_with("it has 14 bytes there, and http") && messages[0].ends_with("has 8"),
        "{messages:?}"
    );
    assert!(messages[1].ends_with("y.txt answers 404"), "{messages:?}");
    // What is wrong with a host is said once, whatever was asked of it.
    let failing = shown["failing"].as_array().expect("hosts");
    assert_eq!((failing.len(), &failing[0]["sources"]), (1, &3.into()), "{failing:#?}");
    assert_eq!(shown["not-looked-at"]["sources whose alias has no mirror"], 1, "{shown:#}");
    assert!(shown["requests"].as_u64() < Some(25), "{shown:#}");

    let text = site.fetcher().run(&["rot", "--mirrors", "example"]).expect(0).stdout();
    for part in [
        "example: mirror whole of up (http://127.0.0.1:",
        "has 0 of 1, 1 lacking\n",
        "    example (main): repo.bst, elements/repo.bst:4\n",
        "  does not tell of ",
        "gave no answer to 3 questions: ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // At a tip a listing tells of it.
    site.upstream.git(&["--git-dir", &site.scratch.path("dumb/tool").display().to_string(), "tag", "t", &site.pinned]);
    site.upstream.git(&["--git-dir", &site.scratch.path("dumb/tool").display().to_string(), "update-server-info"]);
    assert_eq!(counts(check(&site.asked(), Some("dumb"), "up")), [1, 1, 0, 0, 0]);
}

#[test]
fn mirrors_of_the_configuration_take_the_place_of_the_projects() {
    let mut site = Mirrored::new();
    site.fetcher().run(&["run"]).expect(0);
    let own = format!("mirrors = [{{ name = \"mine\", aliases = {{ up = [\"{}/\"] }} }}]", site.urls[0]);
    let before = "config = { fetch";
    site.config = site.config.replace(before, &format!("config = {{ projects = {{ example = {{ {own} }} }}, fetch"));
    let shown = site.asked();
    let names: Vec<_> =
        shown["mirrors"].as_array().expect("mirrors").iter().map(|check| check["mirror"].clone()).collect();
    assert_eq!(names, [Value::Null, "mine".into()], "{shown:#}");
    assert_eq!(counts(check(&shown, Some("mine"), "up")), [1, 1, 0, 0, 0], "{shown:#}");
    assert_eq!(shown["not-looked-at"]["sources whose alias has no mirror"], 3, "{shown:#}");
}
