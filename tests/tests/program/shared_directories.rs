//! Two configurations that share directories: neither is refused, and neither removes what the other needs.

use std::fs;
use std::process::{Child, Stdio};

use fetcher_tests::alive::alive;
use fetcher_tests::fake::{FakeBst, upstream};
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::scratch::Scratch;
use fetcher_tests::waiting;

struct World {
    scratch: Scratch,
    fake: FakeBst,
}

impl World {
    /// Two upstreams, `project` with a branch `other`, and `second`.
    fn new() -> Self {
        let scratch = Scratch::new();
        let fake = FakeBst::new(&scratch, "");
        upstream(&scratch, &["other"]);
        let second = scratch.repo("second");
        second.write("project.conf", "name: second\nmin-version: 2.0\nelement-path: elements\n");
        second
            .write("elements/a.bst", "kind: import\nsources:\n- kind: git\n  url: up:a\n  track: main\n  ref: aaaa\n");
        second.write("elements/b.bst", "kind: stack\n");
        second.commit("A project");
        Self { scratch, fake }
    }

    /// The program with a configuration of this name.
    fn fetcher(&self, name: &str, state: &str, projects: &str) -> Fetcher<'_> {
        self.keeping(name, state, "30d", projects)
    }

    fn keeping(&self, name: &str, state: &str, keep: &str, projects: &str) -> Fetcher<'_> {
        let root = self.scratch.root().display();
        let text = format!(
            "[fetcher]\nstate-dir = \"{root}/{state}\"\ncache-dir = \"{root}/cache\"\nmin-free-space = \"1M\"\n\
             keep-runs = \"{keep}\"\n{}\n[defaults]\nretries = 0\n{projects}\n",
            self.fake.config()
        );
        self.scratch.write(name, text);
        Fetcher::new(&self.scratch).using(name)
    }

    fn there(&self, name: &str) -> bool {
        self.scratch.path(name).exists()
    }
}

fn project(url: &str) -> String {
    format!("[[project]]\nurl = \"{url}\"\n")
}

fn start(fetcher: &Fetcher<'_>, arguments: &[&str]) -> Child {
    let mut command = fetcher.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// The branches that a configuration's `status` shows.
fn shown(fetcher: &Fetcher<'_>) -> Vec<String> {
    let status = fetcher.status();
    let name = |branch: &serde_json::Value| {
        format!("{}/{}", branch["project"].as_str().unwrap_or("?"), branch["branch"].as_str().unwrap_or("?"))
    };
    status["branches"].as_array().expect("branches").iter().map(name).collect()
}

#[test]
fn a_cache_that_another_configuration_works_in_is_waited_for() {
    let world = World::new();
    world.fake.now(
        "before() { case $command:$PWD in
            fetch:*/checkouts/project/*) : >$scenario/there; while [ ! -e $scenario/go ]; do sleep 0.05; done
        esac; }",
    );
    let (a, b) = (
        world.fetcher("a.toml", "state-a", &project("project")),
        world.fetcher("b.toml", "state-b", &project("second")),
    );
    let mut working = start(&a, &["run"]);
    waiting::for_file(&world.fake.path("there"));
    let refused = b.run(&["run"]).expect(75);
    assert!(
        refused.stderr().contains("cache/lock") && refused.stderr().contains(&working.id().to_string()),
        "{refused}"
    );
    b.run(&["gc"]).expect(75);
    assert!(world.there("cache/checkouts/project/main/tree"), "it was removed while somebody worked in it");
    let mut waiting = start(&b, &["run", "--lock-wait", "2m"]);
    fs::write(world.fake.path("go"), "").expect("a sign");
    assert!(working.wait().expect("its end").success());
    assert!(waiting.wait().expect("its end").success());
    assert_eq!((shown(&a), shown(&b)), (vec!["project/main".to_owned()], vec!["second/main".to_owned()]));
    let mirrors = ["project", "second"].map(|name| world.scratch.mirror(name));
    for kept in ["checkouts/project", "checkouts/second"].into_iter().chain(mirrors.iter().map(String::as_str)) {
        assert!(world.there(&format!("cache/{kept}")), "{kept}");
    }
}

#[test]
fn what_a_killed_run_of_another_configuration_left_in_the_cache_is_ended() {
    let world = World::new();
    world.fake.now("before() { [ $command != fetch ] || { leave_behind 600; : >$scenario/there; sleep 600; }; }");
    let (a, b) = (
        // In a sandbox nothing would outlive the program.
        world.fetcher("a.toml", "state-a", &(project("project") + "sandbox = { mode = \"off\" }\n")),
        world.fetcher("b.toml", "state-b", &project("second")),
    );
    let mut killed = start(&a, &["run"]);
    waiting::for_file(&world.fake.path("there"));
    killed.kill().and_then(|()| killed.wait()).expect("its end");
    assert!(!alive(world.scratch.root()).is_empty(), "what it started is still there");
    world.fake.now("");
    b.run(&["run"]).expect(0);
    assert_eq!(alive(world.scratch.root()), Vec::<String>::new());
}

#[test]
fn two_configurations_in_the_same_directories_keep_their_memories() {
    let world = World::new();
    world.fake.now("fails() { [ $1 = a.bst ] && text='HTTP Error 404: Not Found'; }");
    let notify = "[[notify]]\nkind = \"command\"\ncommand = [\"sh\", \"-c\", \"cat >>told\"]\n";
    let a = world.fetcher("a.toml", "state", &(project("project") + notify));
    let b = world.fetcher("b.toml", "state", &(project("second") + notify));
    for _ in 0..3 {
        a.run(&["run"]).expect(1);
        b.run(&["run"]).expect(1);
    }
    let told = fs::read_to_string(world.scratch.path("told")).expect("what was told");
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<_> = told.iter().map(|message| (&message["event"], &message["project"])).collect();
    assert_eq!(told.len(), 2, "each failure is told once: {told:?}");
    assert_eq!(shown(&a), ["project/main", "second/main"]);
    assert_eq!(shown(&b), ["second/main", "project/main"]);
    let state = a.status();
    assert!(
        state["branches"].as_array().expect("branches").iter().all(|b| b["consecutive-failures"] == 3),
        "{state:#}"
    );
}

#[test]
fn branches_of_one_project_in_two_configurations_are_kept_beside_each_other() {
    let world = World::new();
    let a = world.fetcher("a.toml", "state", &project("project"));
    let b = world.fetcher("b.toml", "state", &(project("project") + "branches = [\"other\"]\n"));
    for _ in 0..2 {
        a.run(&["run"]).expect(0);
        b.run(&["run"]).expect(0);
    }
    assert_eq!(shown(&a), ["project/main", "project/other"]);
    for branch in ["main", "other"] {
        assert!(world.there(&format!("cache/checkouts/project/{branch}/tree")), "{branch}");
    }
    // What is gone upstream is of use to nobody.
    assert!(
        std::process::Command::new("git")
            .args(["branch", "-D", "other"])
            .current_dir(world.scratch.path("project"))
            .envs(world.scratch.environment())
            .output()
            .expect("git")
            .status
            .success()
    );
    a.run(&["run"]).expect(0);
    assert!(!world.there("cache/checkouts/project/other"));
    assert_eq!(shown(&a), ["project/main"]);
}

#[test]
fn what_is_no_longer_named_is_not_shown_and_goes_after_its_time() {
    let world = World::new();
    let both = project("project") + &project("second");
    let a = world.fetcher("a.toml", "state", &both);
    a.run(&["run"]).expect(0);
    assert_eq!(shown(&a), ["project/main", "second/main"]);
    let a = world.fetcher("a.toml", "state", &project("project"));
    a.run(&["run"]).expect(0);
    assert_eq!(shown(&a), ["project/main"]);
    let mirror = format!("cache/{}", world.scratch.mirror("second"));
    let kept = [&*mirror, "cache/checkouts/second", "state/branches/second"];
    assert!(kept.iter().all(|name| world.there(name)), "a run has named it lately");
    // A renamed file is ordinary.
    fs::rename(world.scratch.path("a.toml"), world.scratch.path("c.toml")).expect("a rename");
    let c = world.keeping("c.toml", "state", "1s", &project("project"));
    c.run(&["run"]).expect(0);
    assert_eq!(shown(&c), ["project/main"]);
    assert!(kept.iter().all(|name| world.there(name)), "the other configuration keeps it for 30 days");
    for file in ["state/usage.json", "cache/usage.json"] {
        let path = world.scratch.path(file);
        let text = fs::read_to_string(&path).expect("the record");
        fs::write(&path, text.replace("2592000", "0")).expect("the record");
    }
    c.run(&["gc"]).expect(0);
    assert!(kept.iter().all(|name| !world.there(name)), "nobody needs it any more");
    c.run(&["run"]).expect(0);
}

#[test]
fn what_an_older_release_left_has_its_time_too() {
    let world = World::new();
    world.scratch.write("cache/mirrors/older/HEAD", "");
    let a = world.fetcher("a.toml", "state", &project("project"));
    a.run(&["run"]).expect(0);
    assert!(world.there("cache/mirrors/older/HEAD"));
    let a = world.keeping("a.toml", "state", "1ms", &project("project"));
    a.run(&["run"]).expect(0);
    a.run(&["run"]).expect(0);
    a.run(&["run"]).expect(0);
}

#[test]
fn one_directory_for_both_is_locked_once() {
    let world = World::new();
    let root = world.scratch.root().display();
    let text = format!(
        "[fetcher]\nstate-dir = \"{root}/one\"\ncache-dir = \"{root}/one\"\nmin-free-space = \"1M\"\n{}\n{}",
        world.fake.config(),
        project("project")
    );
    world.scratch.write("a.toml", text);
    Fetcher::new(&world.scratch).using("a.toml").run(&["run"]).expect(0);
}
