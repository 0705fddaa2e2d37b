//! What a clean checkout needs before bst: run once for each tip and command, kept, and put back.

use std::fs;

use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::installed;
use fetcher_tests::waiting;
use serde_json::{Value, json};

use super::fake_bst_memory::World;

/// A bst that loads the project only where keys are, and that notes them.
const NEEDS_KEYS: &str = "before() {
    [ $command != version ] || return 0
    [ -f files/keys/db.key ] || { echo 'Error loading project: files/keys/db.key: not found' >&2; exit 255; }
    read -r seen <files/keys/db.key
    printf '%s\\n' \"$seen\" >>\"$scenario/keys\"
}";

/// Makes keys that are others each time, as a file that git ignores, and counts.
const GENERATE: &str = r#"#!/bin/sh
set -e
echo "generating in $PWD"
mkdir -p files/keys
echo "key-$$-$(date +%N)" >files/keys/db.key
echo made >>"$COUNT"
"#;

struct Prepared {
    world: World,
}

impl Prepared {
    fn new(script: &str) -> Self {
        let world = World::new(&[]);
        world.fake.now(NEEDS_KEYS);
        world.repo.write("generate", script);
        world.repo.write(".gitignore", "files/keys\n");
        world.repo.commit("Keys");
        Self { world }
    }

    fn fetcher(&self, more: &str) -> Fetcher<'_> {
        self.configured("[\"/bin/sh\", \"./generate\"]", more)
    }

    fn configured(&self, prepare: &str, more: &str) -> Fetcher<'_> {
        let pass = "buildstream = { pass-environment = [\"COUNT\"] }";
        let count = self.world.fake.path("count").display().to_string();
        let own = self.world.fake.command();
        let pass = pass.replace("{ ", &format!("{{ command = {own}, "));
        self.world.fetcher(&format!("prepare = {prepare}\n{pass}\n{more}")).env("COUNT", count)
    }

    /// How often it was run.
    fn count(&self) -> usize {
        fs::read_to_string(self.world.fake.path("count")).unwrap_or_default().lines().count()
    }

    /// The different keys that bst saw.
    fn keys(&self) -> Vec<String> {
        let text = fs::read_to_string(self.world.fake.path("keys")).unwrap_or_default();
        let mut keys: Vec<_> = text.lines().map(str::to_owned).collect();
        keys.dedup();
        keys
    }
}

fn prepare_stage(report: &Value) -> &Value {
    let stage = &report["branches"][0]["stages"][1];
    assert_eq!(stage["stage"], "prepare", "{report:#}");
    stage
}

#[test]
fn it_is_run_once_for_each_tip_and_command_and_what_it_made_is_kept() {
    let prepared = Prepared::new(GENERATE);
    let (world, fetcher) = (&prepared.world, prepared.fetcher(""));
    assert_eq!(world.asked(&fetcher, &["run"]), ["push", "track"]);
    let report = fetcher.report();
    let stage = prepare_stage(&report);
    assert_eq!(
        (&stage["outcome"], &stage["attempts"], &stage["log"]),
        (&"ok".into(), &1.into(), &"project/main/prepare.log".into())
    );
    let logs = fetcher.run(&["logs", "project/main", "prepare"]).expect(0).stdout();
    assert!(logs.contains("$ /bin/sh ./generate\ngenerating in "), "{logs}");

    assert_eq!(world.asked(&fetcher, &["run"]), ["track"], "the same keys are no news");
    let report = fetcher.report();
    let stage = prepare_stage(&report);
    assert_eq!(stage["outcome"], "skipped");
    assert!(stage["skipped"].as_str().is_some_and(|why| why.contains("was put back")), "{stage:#}");
    assert_eq!((prepared.count(), prepared.keys().len()), (1, 1));
    assert_eq!(world.fake.listings(), [], "they count among the inputs, and are the same");

    assert_eq!(world.asked(&fetcher, &["run", "--force"]), ["push", "track"]);
    assert_eq!((prepared.count(), prepared.keys().len()), (2, 2), "unless it is asked for");

    world.repo.write("README", "Another tip\n");
    world.repo.commit("Another tip");
    world.asked(&fetcher, &["run"]);
    assert_eq!((prepared.count(), world.fake.listings().len()), (3, 1), "another tip");
    let fetcher = prepared.configured("[\"/bin/sh\", \"./generate\", \"again\"]", "");
    world.asked(&fetcher, &["run"]);
    assert_eq!(prepared.count(), 4, "another command");
    assert_eq!(world.fake.listings().len(), 1, "other keys are another project");
    let kept = fs::read_dir(world.scratch.path("cache/checkouts/project/main/prepared")).expect("what is kept");
    assert_eq!(kept.count(), 1, "what was made of others is gone");
}

#[test]
fn what_fails_is_told_with_its_command_and_words_and_bst_is_not_begun() {
    let prepared = Prepared::new("echo 'openssl: \u{1b}[31mnot found' >&2\nexit 7\n");
    let (world, fetcher) = (&prepared.world, prepared.fetcher(""));
    world.fake.forget();
    let told = fetcher.run(&["run"]).expect(4).to_string();
    assert_eq!(world.fake.every_call(), []);
    assert!(
        told.contains("`/bin/sh ./generate` (prepare) ended with exit status 7") && told.contains("openssl: not found"),
        "{told}"
    );
    assert!(told.contains("project/main/prepare.log"), "{told}");
    let report = fetcher.report();
    let stage = prepare_stage(&report);
    let failure = &stage["failures"][0];
    assert_eq!((&failure["kind"], &failure["actor"]), (&"prepare-failed".into(), &"host".into()), "{failure:#}");
    assert_eq!(report["branches"][0]["outcome"], "failed");
    assert_eq!(stage["outcome"], "failed");
    // What failed is run again.
    world.repo.write("generate", GENERATE);
    world.repo.commit("Mended");
    world.asked(&fetcher, &["run"]);
    assert_eq!(prepared.count(), 1);
}

#[test]
fn a_program_that_is_not_there_and_one_that_hangs_are_told() {
    let prepared = Prepared::new("sleep 600\n");
    let kind = |fetcher: &Fetcher<'_>| {
        fetcher.run(&["run"]).expect(4);
        let report = fetcher.report();
        let failure = prepare_stage(&report)["failures"][0].clone();
        (
            failure["kind"].as_str().expect("a kind").to_owned(),
            failure["message"].as_str().expect("a message").to_owned(),
        )
    };
    let (name, message) = kind(&prepared.configured("[\"./no-such\"]", ""));
    assert_eq!(name, "prepare-failed");
    assert!(message.starts_with("`./no-such` (prepare) cannot be started"), "{message}");
    let (name, message) = kind(&prepared.fetcher("timeout = \"1s\""));
    assert_eq!(
        (name.as_str(), message.as_str()),
        ("time-out", "`/bin/sh ./generate` (prepare) was stopped after 1 s (`timeout`)")
    );
}

#[test]
fn refs_that_it_wrote_are_not_what_tracking_found() {
    let script = format!(
        "{GENERATE}printf 'kind: import\\nsources:\\n- kind: git\\n  url: up:g\\n  track: main\\n  ref: {0}\\n' >elements/made.bst\n\
         sed -i s/{1}/{2}/ elements/a.bst\n",
        "1".repeat(40),
        "a".repeat(40),
        "2".repeat(40)
    );
    let prepared = Prepared::new(&script);
    let world = &prepared.world;
    let fetcher = prepared.fetcher("");
    for expected in [&["push", "track"][..], &["track"]] {
        assert_eq!(world.asked(&fetcher, &["run"]), expected);
        assert_eq!(fetcher.report()["branches"][0]["changes"], json!([]));
    }
    world.fake.now(&format!("{NEEDS_KEYS}\ntrack_ref() {{ [ $1 != made.bst ] || ref={}; }}", "3".repeat(40)));
    world.asked(&fetcher, &["run"]);
    let changes = fetcher.report()["branches"][0]["changes"].clone();
    assert_eq!(changes.as_array().map(Vec::len), Some(1), "{changes:#}");
    assert_eq!(
        (&changes[0]["element"], &changes[0]["old"]),
        (&"made.bst".into(), &"1".repeat(40).into()),
        "{changes:#}"
    );
}

#[test]
fn what_leads_out_of_the_checkout_is_left_alone() {
    let prepared = Prepared::new(&format!(
        "{GENERATE}ln -s \"$OUTSIDE\" files/out\necho theirs >files/out/theirs\nmkfifo files/fifo\n"
    ));
    let world = &prepared.world;
    let outside = world.fake.path("outside");
    fs::create_dir_all(&outside).expect("a directory");
    let pass = prepared.fetcher("");
    let text = fs::read_to_string(world.scratch.path("config.toml")).expect("the configuration");
    world.scratch.write("config.toml", text.replace("\"COUNT\"", "\"COUNT\", \"OUTSIDE\""));
    let fetcher = pass.env("OUTSIDE", outside.display());
    fetcher.run(&["run"]).expect(4);
    let failure = prepare_stage(&fetcher.report())["failures"][0].clone();
    let message = failure["message"].as_str().expect("a message");
    assert!(message.contains("files/fifo is neither file nor link"), "{message}");
    world.repo.write("generate", &format!("{GENERATE}ln -s \"$OUTSIDE\" files/out\necho theirs >files/out/theirs\n"));
    world.repo.commit("Without the FIFO");
    world.asked(&fetcher, &["run"]);
    fs::write(outside.join("theirs"), "changed since").expect("a file");
    world.asked(&fetcher, &["run"]);
    assert_eq!(fs::read_to_string(outside.join("theirs")).expect("their file"), "changed since");
    let link = world.scratch.path("cache/checkouts/project/main/tree/files/out");
    assert_eq!(fs::read_link(link).expect("the link, put back as a link"), outside);
}

#[test]
fn a_kill_while_it_runs_costs_nothing_but_another_try() {
    let slow = format!("{GENERATE}[ ! -e \"$COUNT.hang\" ] || {{ touch \"$COUNT.hangs\"; sleep 600; }}\n");
    let prepared = Prepared::new(&slow);
    let (world, fetcher) = (&prepared.world, prepared.fetcher(""));
    world.asked(&fetcher, &["run"]);
    fs::write(world.fake.path("count.hang"), "").expect("a file");
    let mut child = fetcher.command(&["run", "--force"]).spawn().expect("the program");
    let hangs = world.fake.path("count.hangs");
    waiting::until("it hangs", || {
        assert!(child.try_wait().expect("its state").is_none(), "it ended");
        hangs.exists()
    });
    child.kill().expect("a kill");
    child.wait().expect("its end");
    fs::remove_file(world.fake.path("count.hang")).expect("the file");
    let before = prepared.keys();
    assert_eq!(world.asked(&fetcher, &["run"]), ["track"], "what was made first is still there");
    assert_eq!((prepared.count(), prepared.keys()), (2, before));
}

#[test]
fn git_finds_the_commit_in_the_sandbox() {
    installed::program("bwrap");
    // It fails, and the run with it, where git finds none.
    let script = "#!/bin/sh\nset -e\ngit log -1 --format=%s >subject\ngit describe --always >>subject\n";
    let prepared = Prepared::new(script);
    prepared.world.fake.now(
        "before() {
            [ $command != version ] || return 0
            git log -1 --format=%s >$scenario/subject 2>&1
        }",
    );
    let fetcher = prepared.fetcher("sandbox = { mode = \"required\" }");
    fetcher.run(&["run"]).expect(0);
    let said = fs::read_to_string(prepared.world.fake.path("subject")).expect("what git said");
    assert_eq!(said, "Keys\n");
}

#[test]
fn what_it_runs_sees_nothing_of_the_fetchers() {
    installed::program("bwrap");
    let script =
        "#!/bin/sh\nfor path in $SECRETS; do cat \"$path\" && echo seen; done >>files/keys/db.key 2>&1\ntrue\n";
    for (sandbox, seen) in [("required", false), ("off", true)] {
        let prepared = Prepared::new(script);
        let scratch = &prepared.world.scratch;
        let secrets = ["token", "home/.netrc", "config.toml", "state/note"]
            .map(|name| scratch.write(name, "for the fetcher alone\n").display().to_string());
        let prepare =
            format!("[\"/bin/sh\", \"-c\", \"mkdir -p files/keys; SECRETS='{}' sh ./generate\"]", secrets.join(" "));
        let fetcher = prepared.configured(&prepare, &format!("sandbox = {{ mode = \"{sandbox}\" }}"));
        fetcher.run(&["run"]).expect(0);
        let tree = scratch.path("cache/checkouts/project/main/tree/files/keys/db.key");
        let text = fs::read_to_string(tree).expect("what it made");
        assert_eq!(text.matches("seen").count(), if seen { secrets.len() } else { 0 }, "{sandbox}: {text}");
        assert_eq!(text.matches("No such file").count(), if seen { 0 } else { secrets.len() }, "{sandbox}: {text}");
    }
}
