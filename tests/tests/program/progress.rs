//! What a terminal shows while a run goes on, and what `--log-format json` tells of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use fetcher_tests::fetcher::Fetcher;

use super::fake_bst_memory::World;

/// Lines of a shell that wait until the terminal shows `$1`, for a minute at most.
const SHOWN: &str =
    "shown() { n=0; until grep -q \"$1\" TYPESCRIPT; do n=$((n + 1)); [ $n -lt 600 ] || return 1; sleep 0.1; done; }";

/// What a terminal of 200 columns shows of a run, however that ends.
fn watched(world: &World, fetcher: &Fetcher<'_>) -> String {
    let inner = fetcher.command(&["run"]);
    let words = [inner.get_program()].into_iter().chain(inner.get_args());
    let quoted: Vec<_> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let line = format!("stty cols 200; {}", quoted.join(" "));
    let typescript = world.fake.path("typescript");
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--command", &line]).arg(&typescript);
    command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir(world.scratch.root()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    assert!(command.status().expect("script").success());
    String::from_utf8_lossy(&fs::read(typescript).expect("what was shown")).into_owned()
}

fn shown(world: &World) -> String {
    SHOWN.replace("TYPESCRIPT", &format!("'{}'", world.fake.path("typescript").display()))
}

#[test]
fn no_bar_is_full_before_there_is_anything_to_count() {
    let world = World::new(&[]);
    let shown = shown(&world);
    // Each phase goes on once it was seen.
    let waits = "case $command in show) shown 'listing elements' ;; track) shown 'main) track' ;; esac";
    world
        .fake
        .now(&format!("{shown}\nbefore() {{ {waits} || exit 9; }}\nfails() {{ shown '0/3' || exit 9; return 1; }}"));
    let fetcher = world.fetcher("");
    let seen = watched(&world, &fetcher);
    assert_eq!(fetcher.report()["outcome"], "ok", "{}", seen.escape_debug());
    assert!(!seen.contains("0/0"), "{}", seen.escape_debug());
}

#[test]
fn installing_buildstream_is_said_while_it_is_done() {
    let world = World::new(&[]);
    // A Python that makes no environment before the terminal says what it is about, and none then.
    let text = format!(
        "#!/bin/sh\n{}\n[ \"$2\" = venv ] || exec python3 \"$@\"\nshown 'installing BuildStream' || exit 9\nexit 7\n",
        shown(&world)
    );
    let python = world.scratch.write("python", text);
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("a program");
    let more = "[project.buildstream]\nrequirements = [\"buildstream==0\"]\npython = \"./python\"\n";
    let fetcher = world.fetcher(&more.replace("./python", &python.display().to_string()));
    let inner = watched(&world, &fetcher);
    assert!(inner.contains("installing BuildStream") && !inner.contains("0/0"), "{}", inner.escape_debug());
    let failure = fetcher.report()["branches"][0]["stages"][0]["failures"][0].clone();
    assert_eq!(failure["kind"], "environment", "{failure:#}");
}

#[test]
fn machines_are_told_what_goes_on() {
    let world = World::new(&[]);
    let fetcher = world.configured("publish-dir = \"site\"", "");
    let ended = fetcher.run(&["run", "--log-format", "json"]).expect(0);
    let lines: Vec<serde_json::Value> =
        ended.stderr().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let activities: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "activity")
        .map(|line| {
            (line["activity"].as_str().expect("a name"), line["project"].is_string(), line["branch"].is_string())
        })
        .collect();
    let expected = [
        ("listing-branches", true, false),
        ("fetching-repository", true, false),
        ("preparing-build-stream", true, true),
        ("listing-elements", true, true),
        ("cleaning-up", false, false),
        ("publishing", false, false),
        ("notifying", false, false),
    ];
    assert_eq!(activities, expected, "{ended}");
}

#[test]
fn twice_verbose_shows_each_child_with_its_time_and_end() {
    let world = World::new(&[]);
    let fetcher = world.fetcher("");
    let said = fetcher.run(&["run", "-vv"]).expect(0).stderr();
    let of = |words: &str| {
        let lines: Vec<_> = said.lines().filter(|line| line.contains(words)).map(str::to_owned).collect();
        assert!(!lines.is_empty(), "{words}: {said}");
        lines
    };
    for line in of("source push") {
        assert!(line.contains(" s, ") && line.contains(", Status(0)"), "{line}");
        assert!(line.contains("fake-bst/bst") && !line.contains("bwrap"), "the command as it was meant: {line}");
    }
    of("--version");
    of("git ");
    assert!(
        !world.fetcher("").run(&["run", "-v"]).expect(0).stderr().contains("Status(0)"),
        "only where it is asked for"
    );
}
