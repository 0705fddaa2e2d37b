//! Tests of reading whole configurations.

use std::fs;
use std::io;
use std::process::Command;

use super::*;
use crate::secret::Redactor;

mod keys;
mod publish;
mod schema;
mod secrets;
mod show;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/configs");

fn environment() -> Environment {
    Environment::from_iter([("HOME", "/home/me"), ("HOOK_TOKEN", "hunter2hunter2"), ("SERIES", "24.08")])
}

/// Every file is there; `requirements.txt` has a text.
pub(super) struct AllThere;

impl FileLookup for AllThere {
    fn look(&self, _: &Path) -> io::Result<FileStatus> {
        Ok(FileStatus { is_file: true, open_to_all: false })
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Ok("buildstream==2.8.1\n".to_owned())
    }
}

/// The text as logs of this configuration have it.
fn masks(config: &Config, text: &str) -> String {
    Redactor::watching(config.secrets(&environment())).redact(text).into_owned()
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/conf/config.toml"), &AllThere, &environment())
}

fn project(keys: &str) -> Result<Config, ConfigError> {
    parse(&format!("[[project]]\nurl = \"https://example.org/x.git\"\n{keys}\n"))
}

#[test]
fn the_complete_configuration_is_read() {
    let config = Config::load(format!("{FIXTURES}/complete/config.toml"), &environment()).unwrap();
    assert_eq!(config.projects[0].branches, ["master", "release/*"]);
    assert_eq!(config.notify.len(), 5);
    assert_eq!(config.projects[0].buildstream.config["scheduler"]["fetchers"], 32);
    assert_eq!(config.projects[0].buildstream.config["projects"]["freedesktop-sdk"]["default-mirror"], "local");
}

#[test]
fn a_minimal_configuration_has_the_defaults() {
    let config = Config::load(format!("{FIXTURES}/minimal.toml"), &environment()).unwrap();
    assert_eq!(config.projects[0].name.as_str(), "freedesktop-sdk");
    assert_eq!(config.projects[0].buildstream.tool, BuildStreamTool::Default { python: "python3".to_owned() });
    assert_eq!(config.keep_runs, Duration::from_secs(30 * 86400));
    assert_eq!(config.min_free_space, 1 << 30);
    assert_eq!(config.serve, ServeConfig::default());
    assert_eq!(config.state_dir, Path::new("/home/me/.local/state/bst-fetcher"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn the_starter_is_right_also_with_everything_in_it() {
    assert!(parse(starter()).unwrap().warnings.is_empty());
    // What is commented out, but for the prose.
    let keys = |line: &str| line.contains(" = ") || line.trim_start_matches("# ").starts_with('[');
    let all: String = starter()
        .lines()
        .map(|line| if keys(line) { line.trim_start_matches("# ") } else { "" }.to_owned() + "\n")
        .collect();
    let config = parse(&all).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((config.notify.len(), config.projects[0].source_caches.len()), (1, 1));
}

#[test]
fn every_problem_is_told_at_once() {
    let text = fs::read_to_string(format!("{FIXTURES}/bad.toml")).unwrap();
    let error = Config::parse(&text, Path::new("/nowhere/bad.toml"), &DiskFiles, &Environment::empty()).unwrap_err();
    insta::assert_snapshot!(error.to_string());
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn what_is_not_toml_is_told_line_by_line() {
    let error = parse("[fetcher\njobs = 2\n[[project]]\nurl = 'x\nname = \"a\"\nname = \"b\"\n").unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let text =
        format!("[[project]]\nurl = \"x\"\nconfig = {{ a = {}1{} }}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&text).unwrap_err().to_string().contains("not TOML"));
}

#[test]
fn files_that_are_none_are_refused_without_reading_them() {
    let dir = tempfile::tempdir().unwrap();
    let load = |name: &str| Config::load(dir.path().join(name), &environment()).unwrap_err().to_string();
    assert!(load("").contains("not an ordinary file; name the file in it"));
    assert!(load("none.toml").contains("bst-fetcher init"));
    assert!(Command::new("mkfifo").arg(dir.path().join("fifo")).status().unwrap().success());
    assert!(load("fifo").contains("not an ordinary file"));
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
    assert!(load("loop").contains("it cannot be read"));
    fs::File::create(dir.path().join("large")).unwrap().set_len(1 << 30).unwrap();
    assert!(load("large").contains("larger than 4 MiB"));
    fs::write(dir.path().join("latin1"), b"[fetcher]\n# caf\xe9\n").unwrap();
    assert!(load("latin1").contains("line 2 is not UTF-8"));
    fs::write(dir.path().join("binary"), [0_u8; 100]).unwrap();
    assert!(load("binary").contains("not TOML"));
}

#[test]
fn a_problem_has_its_line_and_column_in_characters() {
    let error = parse("[[project]]\r\nurl = \"x\"\r\noptions = { a = \"ü\", \"ü b\" = 1 }\r\n").unwrap_err();
    let [problem] = &error.problems[..] else { panic!("{error}") };
    assert_eq!((problem.line, problem.column), (3, 22));
    assert_eq!(problem.key, "project \"x\": options.\"ü b\"");
}

#[test]
fn variables_come_from_the_environment_handed_in() {
    let config = project("branches = ['release/${SERIES}', 'a$$b', '$c']\ngit.username = '${HOOK_TOKEN}'").unwrap();
    assert_eq!(config.projects[0].branches, ["release/24.08", "a$b", "$c"]);
    assert_eq!(masks(&config, "got hunter2hunter2"), "got ***");
    let error = project("branches = ['${NONE}']").unwrap_err().to_string();
    assert!(error.contains("project \"x\": branches: the environment variable NONE is not set"), "{error}");
}

#[test]
fn durations_and_sizes_are_those_of_the_manual() {
    for (text, seconds) in [("90s", 90), ("15m", 900), ("2h 30m", 9000), ("2h30m", 9000), ("30d", 2_592_000)] {
        let config = project(&format!("timeout = \"{text}\"")).unwrap();
        assert_eq!(config.projects[0].timeout.as_secs(), seconds, "{text}");
    }
    for bad in ["", "90", "1y", "2 months", "-1h", "1h ago", "tomorrow", "9999999999999d"] {
        assert!(project(&format!("timeout = \"{bad}\"")).is_err(), "{bad}");
    }
    for (text, bytes) in [("\"10G\"", 10 << 30), ("\"512\"", 512), ("4096", 4096), ("\"2T\"", 2 << 40), ("0", 0)] {
        let config = project(&format!("[fetcher]\nmin-free-space = {text}")).unwrap();
        assert_eq!(config.min_free_space, bytes, "{text}");
    }
    for bad in ["\"10GB\"", "\"G\"", "\"-1G\"", "-1", "\"99999999999T\"", "\"1.5G\"", "1.5"] {
        assert!(project(&format!("[fetcher]\nmin-free-space = {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn a_repository_is_an_address_or_a_path() {
    let url =
        |url: &str| parse(&format!("[[project]]\nname = \"p\"\nurl = '{url}'")).map(|c| c.projects[0].url.clone());
    for good in ["https://a.b/c", "http://a", "ssh://git@a:22/c", "git://a/b", "file:///a", "git@a.b:c/d.git", "a:b"] {
        assert_eq!(url(good).unwrap(), good);
    }
    assert_eq!(url("../a.git").unwrap(), "/conf/../a.git");
    assert_eq!(url("./a:b").unwrap(), "/conf/a:b");
    assert_eq!(url("~/a").unwrap(), "/home/me/a");
    for bad in [
        "ext::sh -c x",
        "a::b",
        "ftp://a/b",
        "https://",
        "https://u:p@a/b",
        "ssh://-oProxyCommand=x/y",
        "ssh://a:pw@b/c",
        "-x",
        "git@-x:y",
        "https://a b/c",
        "https://a:99999/",
        "",
    ] {
        assert!(url(bad).is_err(), "{bad}");
    }
}

#[test]
fn defaults_lie_under_each_project_and_buildstream_under_both() {
    let config = parse(
        "[buildstream]\nrequirements = ['general']\nconfig = { a = { x = 1, y = 1, z = 1 } }\n\
         [defaults]\nbranches = ['a', 'b']\noptions = { one = true, two = 2 }\nconfig = { a = { y = 2, z = 2 } }\n\
         buildstream.requirements = 'requirements.txt'\ngit.username = 'u'\n\
         [[project]]\nurl = 'one'\n\
         [[project]]\nurl = 'two'\nbranches = []\noptions = { two = 3, flags = ['x', 'y'] }\ngit.token-file = 't'\n\
         config.a.z = 3\nbuildstream.command = ['bst1']\n",
    )
    .unwrap();
    let [one, two] = &config.projects[..] else { panic!() };
    assert_eq!(one.branches, ["a", "b"]);
    assert!(two.branches.is_empty());
    let options: Vec<_> = two.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(options, ["flags=x,y", "one=True", "two=3"]);
    assert_eq!(two.git.username.as_deref(), Some("u"));
    assert_eq!(two.git.token_file.as_deref(), Some(Path::new("/conf/t")));
    assert_eq!(serde_json::to_string(&two.buildstream.config).unwrap(), r#"{"a":{"x":1,"y":2,"z":3}}"#);
    assert_eq!(two.buildstream.tool, BuildStreamTool::Command(vec!["bst1".to_owned()]));
    let requirements = "buildstream==2.8.1\n".to_owned();
    let python = "python3".to_owned();
    assert_eq!(one.buildstream.tool, BuildStreamTool::Requirements { requirements, python, directory: "/conf".into() });
}

#[test]
fn paths_are_relative_to_where_the_file_really_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("real")).unwrap();
    let token = dir.path().join("real/token");
    fs::write(&token, "hunter2\n").unwrap();
    fs::set_permissions(token, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(dir.path().join("real/c.toml"), "[[project]]\nurl = 'x'\ngit.token-file = 'token'\n").unwrap();
    std::os::unix::fs::symlink("real/c.toml", dir.path().join("link.toml")).unwrap();
    let config = Config::load(dir.path().join("link.toml"), &environment()).unwrap();
    assert_eq!(config.projects[0].git.token_file, Some(fs::canonicalize(dir.path()).unwrap().join("real/token")));
    assert_eq!(masks(&config, "got hunter2"), "got ***");
    let warnings: Vec<String> = config.warnings.iter().map(ConfigProblem::to_string).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("everybody on this host can read"), "{warnings:?}");
}

#[test]
fn notifiers_are_numbered_and_their_patterns_looked_at() {
    let hook =
        "[[notify]]\nkind = 'webhook'\nurl = 'https://h/x'\nheaders = { Authorization = 'Bearer ${HOOK_TOKEN}' }\n";
    let config = project(&format!("{hook}{hook}projects = ['none*']\n")).unwrap();
    let names: Vec<_> = config.notify.iter().map(|notifier| notifier.name.as_str()).collect();
    assert_eq!(names, ["webhook", "webhook-2"]);
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(masks(&config, "got hunter2hunter2"), "got ***");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn directories_follow_the_environment() {
    let text = "[[project]]\nurl = 'x'\n";
    let dirs = |variables: &[(&str, &str)]| {
        let environment: Environment = variables.iter().copied().collect();
        Config::parse(text, Path::new("/c.toml"), &AllThere, &environment).map(|config| config.state_dir)
    };
    assert_eq!(
        dirs(&[("HOME", "/h"), ("STATE_DIRECTORY", "/s:/t"), ("CACHE_DIRECTORY", "/c")]).unwrap(),
        Path::new("/s")
    );
    assert_eq!(dirs(&[("HOME", "/h"), ("XDG_STATE_HOME", "/x")]).unwrap(), Path::new("/x/bst-fetcher"));
    assert_eq!(dirs(&[("HOME", "/h"), ("XDG_STATE_HOME", "x")]).unwrap(), Path::new("/h/.local/state/bst-fetcher"));
    assert!(dirs(&[]).unwrap_err().to_string().contains("set fetcher.state-dir, or HOME"));
}

#[test]
fn a_configuration_made_in_code_is_what_a_file_means_that_says_no_more() {
    let environment = Environment::from_iter([("HOME", "/home/me")]);
    let made = Config::new(&environment).unwrap().project(ProjectConfig::new("https://example.org/a/b.git").unwrap());
    let text = "[[project]]\nurl = 'https://example.org/a/b.git'\n";
    let read = Config::parse(text, Path::new("/etc/x.toml"), &DiskFiles, &environment).unwrap();
    assert_eq!(made.projects, read.projects);
    let shown = |config: &Config| {
        format!(
            "{:#?}",
            Config {
                path: PathBuf::new(),
                digest: String::new(),
                effective: value::ConfigTable::new(),
                ..config.clone()
            }
        )
    };
    assert_eq!(shown(&made), shown(&read));
    assert!(Config::new(&Environment::from_iter([("USER", "me")])).is_err());
    for bad in ["", "ftp://x/y.git", "--upload-pack=x", "a\nb"] {
        assert!(ProjectConfig::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn holds_and_prepare_are_checked() {
    let hold = |until: &str| project(&format!("[[project.hold]]\nelement = 'a*'\nreason = 'x'\nuntil = {until}"));
    let config = hold("2027-02-28").unwrap();
    assert_eq!(config.projects[0].holds[0].until.map(|until| until.to_string()).as_deref(), Some("2027-02-28"));
    for (until, message) in [
        ("'2027-02-28'", "write it without quotes"),
        ("2027-02-28T10:00:00Z", "write a date alone"),
        ("10:00:00", "write a date alone"),
        ("3", "has to be a date"),
    ] {
        let error = hold(until).unwrap_err().to_string();
        assert!(error.contains(message), "{until}: {error}");
    }
    assert!(project("[[project.hold]]\nelement = 'a*'").unwrap_err().to_string().contains("reason"));
    // A program of the checkout, which is not there yet.
    let config = project("prepare = ['./generate', 'x y']\nselect = { urls = ['gnome:*'] }").unwrap();
    assert_eq!(config.projects[0].prepare, ["./generate", "x y"]);
    assert!(!config.projects[0].select.is_everything() && config.projects[0].holds.is_empty());
    for wrong in
        ["prepare = 'make'", "prepare = [3]", "prepare = ['']", "prepare = [\"a\\u0000\"]", "select = { url = [] }"]
    {
        assert!(project(wrong).is_err(), "{wrong}");
    }
}
