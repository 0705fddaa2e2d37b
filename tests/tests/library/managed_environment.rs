//! Managed environments, with the real Python and pip. A small package stands for BuildStream where its content does
//! not matter, so that no index is asked.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetcher_core::bst::environment::{
    BstEnvironments, DEFAULT_REQUIREMENTS, EnvironmentError, EnvironmentSpec, InstalledBst, PipFailure, prune,
};
use fetcher_core::runner::{OutputStream, RunnerError, SandboxMode, SandboxOptions, Sandboxed, WithSandbox, processes};
use fetcher_core::{Cancel, Environment, Exit, Invocation, LocalRunner, ProjectName, RunContext, Runner};
use fetcher_tests::wheel::{sdist, wheel};

/// A Python that makes environments in no time: they all use one pip.
const FAST_PYTHON: &str = r#"#!/bin/sh
if [ "$2" != venv ]; then exec python3 "$@"; fi
python3 -m venv --without-pip "$3" && for place in "$3"/lib/python*/site-packages; do echo "PIP" > "$place/pip.pth"; done
"#;

/// A directory with a pip, made once.
fn shared_pip() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools");
    fs::create_dir_all(&tools).expect("make target/test-tools");
    let lock = fs::File::create(tools.join("pip.lock")).expect("make the lock");
    lock.lock().expect("take the lock");
    let (venv, done) = (tools.join("pip"), tools.join("pip/.complete"));
    if !done.exists() {
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv).status();
        assert!(made.expect("python3 starts").success());
        fs::write(&done, "").expect("mark it complete");
    }
    let mut versions = fs::read_dir(venv.join("lib")).expect("list lib").flatten();
    let version = versions.find(|entry| entry.file_name().to_string_lossy().starts_with("python"));
    let packages = version.expect("a version of Python").path().join("site-packages");
    packages.canonicalize().expect("it has packages")
}

struct Host {
    place: tempfile::TempDir,
    cancel: Cancel,
}

impl Host {
    fn new() -> Self {
        let place = fetcher_tests::host::temporary("m-");
        for version in ["2.8.1", "2.8.0"] {
            wheel(place.path(), version, &format!("print('{version}')"));
        }
        let python = place.path().join("python");
        fs::write(&python, FAST_PYTHON.replace("PIP", &shared_pip().display().to_string())).expect("write it");
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("make it executable");
        Self { place, cancel: Cancel::new() }
    }

    fn python(&self) -> String {
        self.place.path().join("python").display().to_string()
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("environments")
    }

    fn with<T>(&self, work: impl FnOnce(&BstEnvironments<'_>) -> T) -> T {
        let mut environment = Environment::of_this_process();
        environment.set("PIP_NO_INDEX", "1");
        // Both would send the packages elsewhere.
        environment.set("PIP_USER", "1");
        environment.set("PIP_TARGET", "/nowhere");
        work(&BstEnvironments::new(&self.directory(), RunContext::new(&environment, &self.cancel), &[]))
    }

    fn ensure(&self, requirements: &str) -> Result<InstalledBst, EnvironmentError> {
        let recipe = EnvironmentSpec { requirements, directory: self.place.path(), python: &self.python() };
        self.with(|environments| environments.ensure(recipe, &mut |_| {}))
    }

    /// How many environments there are, whole ones or not.
    fn count(&self) -> usize {
        let entries = fs::read_dir(self.directory()).expect("the directory is there").flatten();
        entries.filter(|entry| entry.path().join(".in-use").exists()).count()
    }
}

fn requirement(version: &str) -> String {
    format!("./buildstream-{version}-py3-none-any.whl\n")
}

fn project(name: &str) -> ProjectName {
    name.parse().expect("a project's name")
}

#[test]
fn one_is_made_once_and_again_when_it_is_broken() {
    let host = Host::new();
    let first = host.ensure(&requirement("2.8.1")).unwrap();
    assert_eq!(first.version.to_string(), "2.8.1");
    let second = host.ensure(&requirement("2.8.1")).unwrap();
    assert_eq!((&second.bst, host.count()), (&first.bst, 1));

    fs::write(&first.bst, "#!/bin/sh\nexit 1\n").unwrap();
    let third = host.ensure(&requirement("2.8.1")).unwrap();
    assert!(third.bst != first.bst && first.bst.exists(), "whoever uses the old one keeps it");
    assert_eq!(third.version.to_string(), "2.8.1");
}

/// A sandbox in which a script in Python's place does not find what it needs.
#[derive(Debug)]
struct HidesFrom<'a> {
    script: &'a str,
    runner: LocalRunner,
}

impl Runner for HidesFrom<'_> {
    fn run(
        &self,
        invocation: &Invocation,
        cancel: &Cancel,
        output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<Exit, RunnerError> {
        if invocation.command[0] == self.script && invocation.sandbox.mode != SandboxMode::Off {
            return Ok(Exit::Status(127));
        }
        self.runner.run(invocation, cancel, output)
    }
}

#[test]
fn a_script_in_pythons_place_that_does_not_run_in_a_sandbox_leads_to_python() {
    let host = Host::new();
    let script = host.place.path().join("shim").display().to_string();
    let text = format!(
        "#!/bin/sh\nPYTHON={}\nif [ \"$1\" = -I ]; then echo $PYTHON; else exec $PYTHON \"$@\"; fi\n",
        host.python()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut environment = Environment::of_this_process();
    environment.set("PIP_NO_INDEX", "1");
    let (directory, runner) = (host.directory(), HidesFrom { script: &script, runner: LocalRunner::default() });
    let confined = SandboxOptions::default();
    let runner = WithSandbox::new(&runner, &confined);
    let environments =
        BstEnvironments::new(&directory, RunContext::new(&environment, &host.cancel).runner(&runner), &[]);
    let requirements = &requirement("2.8.1");
    let recipe = EnvironmentSpec { requirements, directory: host.place.path(), python: &script };
    let made = environments.ensure(recipe, &mut |_| {}).unwrap();
    assert_eq!(made.version.to_string(), "2.8.1");
}

/// pip keeps what it builds in its cache, which is in the home, of which a sandbox shows nothing. `/tmp` is a file system of
/// its own in there, so that the home is elsewhere.
#[test]
fn what_has_to_be_built_is_built_in_a_sandbox() {
    fetcher_tests::installed::program("bwrap");
    let host = Host::new();
    let links = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    sdist(links.path(), "2.8.1", "print('2.8.1')");
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut environment = Environment::of_this_process();
    environment.set("PIP_NO_INDEX", "1");
    environment.set("HOME", home.path());
    environment.set("PIP_FIND_LINKS", links.path());
    let directory = host.directory();
    let runner = Sandboxed::new(LocalRunner::default(), host.place.path().join("sandbox"));
    let mut confined = SandboxOptions::default();
    confined.read = vec![shared_pip()];
    let runner = WithSandbox::new(&runner, &confined);
    let environments =
        BstEnvironments::new(&directory, RunContext::new(&environment, &host.cancel).runner(&runner), &[]);
    let requirements = "buildstream==2.8.1\n";
    let recipe = EnvironmentSpec { requirements, directory: host.place.path(), python: &host.python() };
    let mut said = Vec::new();
    let made = environments.ensure(recipe, &mut |bytes| said.extend_from_slice(bytes));
    let made = made.unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&said)));
    assert_eq!(made.version.to_string(), "2.8.1");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "what is written into a home goes with the sandbox");
}

#[test]
fn a_changed_included_file_makes_another_one() {
    let host = Host::new();
    let file = host.place.path().join("requirements.txt");
    fs::write(&file, requirement("2.8.1")).unwrap();
    let before = host.ensure("-r requirements.txt").unwrap();
    fs::write(&file, requirement("2.8.0")).unwrap();
    let after = host.ensure("-r requirements.txt").unwrap();
    assert_eq!((before.version.to_string(), after.version.to_string()), ("2.8.1".into(), "2.8.0".into()));
    assert!(before.bst.exists());
}

#[test]
fn the_last_good_one_serves_when_new_requirements_fail() {
    let host = Host::new();
    let (mine, other) = (project("mine"), project("other"));
    let good = host.ensure(&requirement("2.8.1")).unwrap();
    host.with(|environments| environments.remember(&mine, &good)).unwrap();

    let error = host.ensure("buildstream==99.0").unwrap_err();
    assert!(matches!(error, EnvironmentError::Failed { trouble: PipFailure::NoSuchPackage, .. }), "{error}");
    assert!(error.to_string().contains("buildstream==99.0"), "{error}");
    assert_eq!(host.count(), 1);
    let last = host.with(|environments| environments.last_good(&mine)).expect("it is there");
    assert_eq!(last.bst, good.bst);
    assert!(host.with(|environments| environments.last_good(&other)).is_none());
}

#[test]
fn what_nobody_needs_is_removed_and_nothing_else() {
    let host = Host::new();
    let keep = [project("mine"), project("gone")];
    let mine = host.ensure(&requirement("2.8.1")).unwrap();
    let gone = host.ensure(&requirement("2.8.0")).unwrap();
    host.with(|environments| environments.remember(&keep[0], &mine)).unwrap();
    host.with(|environments| environments.remember(&keep[1], &gone)).unwrap();
    let killed = host.directory().join("0123-killed");
    fs::create_dir_all(killed.join("lib")).unwrap();
    let projects = BTreeSet::from([keep[0].clone()]);

    assert_eq!(prune(&host.directory(), &projects, Duration::ZERO).unwrap(), [killed], "one is in use");
    let path = gone.bst.clone();
    drop((mine, gone));
    let removed = prune(&host.directory(), &projects, Duration::ZERO).unwrap();
    assert!(removed.len() == 1 && path.starts_with(&removed[0]), "{removed:?}");
    assert_eq!(prune(&host.directory(), &projects, Duration::ZERO).unwrap(), Vec::<PathBuf>::new());
    assert!(host.with(|environments| environments.last_good(&keep[0])).is_some());
    assert!(host.with(|environments| environments.last_good(&keep[1])).is_none());
    assert_eq!(prune(&host.place.path().join("nothing"), &projects, Duration::ZERO).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn several_at_once_make_one() {
    let host = Host::new();
    let paths: BTreeSet<PathBuf> = thread::scope(|scope| {
        let users: Vec<_> = (0..4).map(|_| scope.spawn(|| host.ensure(&requirement("2.8.1")).unwrap().bst)).collect();
        users.into_iter().map(|user| user.join().unwrap()).collect()
    });
    assert_eq!((paths.len(), host.count()), (1, 1));
}

#[test]
fn failures_say_what_is_the_matter() {
    let host = Host::new();
    let recipe = EnvironmentSpec { requirements: "", directory: host.place.path(), python: "python-that-is-not-there" };
    let error = host.with(|environments| environments.ensure(recipe, &mut |_| {})).unwrap_err();
    assert!(error.to_string().contains("python-that-is-not-there"), "{error}");
    let error = host.ensure("-r missing.txt").unwrap_err();
    assert!(matches!(error, EnvironmentError::Requirements { .. }), "{error}");
    let error = host.ensure("build stream").unwrap_err();
    assert!(matches!(error, EnvironmentError::Failed { trouble: PipFailure::Requirements, .. }), "{error}");
    let error = host.ensure("# nothing at all").unwrap_err();
    assert!(matches!(error, EnvironmentError::NoBst(_)), "{error}");

    host.cancel.cancel();
    let error = host.ensure(&requirement("2.8.1")).unwrap_err();
    assert!(matches!(error, EnvironmentError::Stopped { exit: Exit::Cancelled, .. }), "{error}");
    assert_eq!(host.count(), 0);
}

/// What the next test runs in a process of its own: it makes the environment of the host whose directory is named.
#[test]
fn make_one_to_be_killed() {
    let Some(place) = std::env::var_os("TEST_KILLED_PLACE") else { return };
    let environment: Environment = Environment::of_this_process();
    let (place, runner, cancel) = (Path::new(&place), LocalRunner::new(&place), Cancel::new());
    let directory = place.join("environments");
    let environments = BstEnvironments::new(&directory, RunContext::new(&environment, &cancel).runner(&runner), &[]);
    let recipe = EnvironmentSpec {
        requirements: &requirement("2.8.1"),
        directory: place,
        python: &place.join("python").display().to_string(),
    };
    environments.ensure(recipe, &mut |_| {}).unwrap();
}

#[test]
fn killed_at_any_instant_it_is_there_whole_or_not_at_all() {
    let host = Host::new();
    let place = host.place.path().canonicalize().unwrap();
    let start = Instant::now();
    let make = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "managed_environment::make_one_to_be_killed"]);
        command.env("TEST_KILLED_PLACE", &place).env("PIP_NO_INDEX", "1").stdout(Stdio::null()).spawn().unwrap()
    };
    assert!(make().wait().unwrap().success());
    let whole = start.elapsed();
    for part in 1..=6 {
        // One that was killed early left none.
        let _ = fs::remove_dir_all(host.directory());
        let mut child = make();
        thread::sleep(whole * part / 6);
        child.kill().unwrap();
        child.wait().unwrap();
        processes::clear_leftovers(place.as_os_str()).unwrap();
        let links: Vec<_> = fs::read_dir(host.directory().join("by-key")).into_iter().flatten().flatten().collect();
        for link in links {
            let bst = link.path().join("bin/bst");
            assert_eq!(Command::new(bst).output().unwrap().stdout, b"2.8.1\n", "killed at {part}/6");
        }
        prune(&host.directory(), &BTreeSet::new(), Duration::ZERO).unwrap();
        let left: Vec<_> = fs::read_dir(host.directory()).into_iter().flatten().flatten().collect();
        assert!(left.iter().all(|entry| !entry.path().join("bin").exists()), "killed at {part}/6: {left:?}");
    }
    assert_eq!(host.ensure(&requirement("2.8.1")).unwrap().version.to_string(), "2.8.1");
}

/// The one test that asks the package index. What it installs is kept under `target` for the next time.
#[test]
fn the_default_requirements_work_without_bubblewrap() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools/environments");
    fs::create_dir_all(&directory).unwrap();
    let directory = directory.canonicalize().unwrap();
    let (environment, cancel) = (Environment::of_this_process(), Cancel::new());
    let environments = BstEnvironments::new(&directory, RunContext::new(&environment, &cancel), &[]);
    let recipe = EnvironmentSpec { requirements: DEFAULT_REQUIREMENTS, directory: &directory, python: "python3" };
    let installed = environments.ensure(recipe, &mut |_| {}).unwrap();
    assert_eq!(installed.version.to_string(), "2.8.1");
    every_plugin_loads(&installed.bst);

    let place = fetcher_tests::host::temporary("m-");
    let file = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    file("project.conf", "name: tiny\nmin-version: 2.0\n");
    file("a.txt", "content\n");
    file("a.bst", "kind: import\nsources:\n- kind: local\n  path: a.txt\n");
    let caches = ["cache", "source", "log"].map(|name| format!("{name}dir: {}\n", place.path().join(name).display()));
    file("buildstream.conf", &caches.concat());
    // A PATH without any program, bubblewrap too.
    let tools = place.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let mut bst = Command::new(&installed.bst);
    bst.args(["-c", "buildstream.conf", "--no-interactive", "source", "fetch", "a.bst"]).current_dir(place.path());
    let output = bst.env("PATH", &tools).env("HOME", place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Imports every source plugin of BuildStream's own packages of plugins: no module of theirs is missing.
#[track_caller]
fn every_plugin_loads(bst: &Path) {
    let script = "\
import importlib, pkgutil
import buildstream_plugins.sources, buildstream_plugins_community.sources
for package in buildstream_plugins.sources, buildstream_plugins_community.sources:
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    assert len(names) > 5, names
    for name in names:
        importlib.import_module(package.__name__ + '.' + name)
";
    let output = Command::new(bst.with_file_name("python")).args(["-c", script]).output().expect("its Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
