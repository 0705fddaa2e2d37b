//! Only what the allowed signers signed is taken: real signatures of ssh and of OpenPGP.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fetcher_core::CommitId;
use fetcher_tests::git_fixture::hermetic;
use fetcher_tests::installed;
use fetcher_tests::site::Site;

const OTHER: &str = "branches = [\"other\"]";
const TRUST: &str = "[self-update]\nallowed-signers = \"signers\"\n";

/// Commits a configuration, signed as git's settings say.
fn push(site: &Site, config: &str, settings: &[String], message: &str) -> CommitId {
    site.repo.write("config.toml", config);
    site.repo.git(&["add", "--all"]);
    let mut args: Vec<&str> = settings.iter().flat_map(|setting| ["-c", setting.as_str()]).collect();
    args.extend(["commit", "--quiet", "--allow-empty", "--message", message]);
    if !settings.is_empty() {
        args.push("--gpg-sign");
    }
    site.repo.git(&args);
    site.repo.tip("HEAD")
}

/// A key of ssh's: its public part, and the settings to sign with it.
fn ssh_key(site: &Site, name: &str) -> (String, Vec<String>) {
    let path = site.scratch.path(name);
    let mut command = Command::new("ssh-keygen");
    let made = command.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&path).status();
    assert!(made.expect("ssh-keygen").success());
    let public = fs::read_to_string(path.with_extension("pub")).expect("a public key");
    (public, vec!["gpg.format=ssh".to_owned(), format!("user.signingKey={}.pub", path.display())])
}

/// A home of gpg's in the user's home directory, without an agent that outlives the test.
struct Gpg(PathBuf);

impl Gpg {
    fn new(site: &Site) -> Self {
        installed::program("gpg");
        let home = site.scratch.path("home/.gnupg");
        fs::create_dir_all(&home).expect("a home");
        fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("permissions");
        Self(site.scratch.root().to_owned())
    }

    fn gpg(&self, args: &[&str]) -> String {
        let mut command = Command::new("gpg");
        let output = command.arg("--batch").args(args).env_clear().envs(hermetic(&self.0)).output().expect("gpg");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A key: its public part, and the settings to sign with it.
    fn key(&self, mail: &str) -> (String, Vec<String>) {
        self.gpg(&["--passphrase", "", "--quick-gen-key", mail, "ed25519", "sign", "never"]);
        let settings = vec!["gpg.format=openpgp".to_owned(), format!("user.signingKey={mail}")];
        (self.gpg(&["--armor", "--export", mail]), settings)
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env_clear().envs(hermetic(&self.0)).status();
    }
}

/// A host that trusts only who is in the file, which is part of the configuration that it was set up with.
fn trusting(signers: &str, site: Site) -> Site {
    site.repo.write("signers", signers);
    site.push(&site.config(TRUST), "Trust");
    site.set_up()
}

#[track_caller]
fn refused(site: &Site, before: &CommitId) {
    let ended = site.run().expect(1);
    assert!(ended.stderr().contains("is not signed by one of the allowed signers"), "{ended}");
    assert_eq!(site.cloned().tip("HEAD"), *before);
    assert_eq!(site.branches(), ["main"]);
}

#[track_caller]
fn taken(site: &Site, commit: &CommitId, branch: &str) {
    site.run().expect(0);
    assert_eq!(site.cloned().tip("HEAD"), *commit);
    assert_eq!(site.branches(), [branch]);
}

fn trusted(site: &Site, more: &str) -> String {
    site.config(&format!("{more}\n{TRUST}"))
}

#[test]
fn ssh_signatures() {
    let site = Site::new();
    let (public, key) = ssh_key(&site, "key");
    let (_, stranger) = ssh_key(&site, "stranger");
    let gpg = Gpg::new(&site);
    let (_, openpgp) = gpg.key("a@example.org");
    let site = trusting(&format!("a@example.org namespaces=\"git\" {public}"), site);
    let before = site.cloned().tip("HEAD");

    push(&site, &trusted(&site, OTHER), &[], "Not signed");
    refused(&site, &before);
    push(&site, &trusted(&site, OTHER), &stranger, "Signed by a stranger");
    refused(&site, &before);
    // Git would find this one good, for the key is in the user's own keyring.
    push(&site, &trusted(&site, OTHER), &openpgp, "Signed by another sort of key");
    refused(&site, &before);
    // What would turn it off does not count until it is signed itself; nor does a new list of signers.
    push(&site, &site.config(OTHER), &[], "No trust");
    refused(&site, &before);
    site.repo.write("signers", &fs::read_to_string(site.scratch.path("stranger.pub")).unwrap());
    push(&site, &trusted(&site, OTHER), &stranger, "Trust me");
    refused(&site, &before);
    site.repo.write("signers", &format!("a@example.org {public}"));
    let signed = push(&site, &trusted(&site, OTHER), &key, "Signed");
    taken(&site, &signed, "other");

    let off = push(&site, &site.config(""), &key, "No trust, signed");
    taken(&site, &off, "main");
    let free = push(&site, &site.config(OTHER), &[], "Free");
    taken(&site, &free, "other");
}

#[test]
fn openpgp_signatures() {
    let site = Site::new();
    let gpg = Gpg::new(&site);
    let (public, key) = gpg.key("a@example.org");
    let (_, stranger) = gpg.key("stranger@example.org");
    let (ssh_public, ssh) = ssh_key(&site, "key");
    // The user's own allowed signers do not count.
    let own = site.scratch.write("own_signers", format!("a@example.org {ssh_public}"));
    site.scratch.write("home/.gitconfig", format!("[gpg \"ssh\"]\nallowedSignersFile = {}\n", own.display()));
    let site = trusting(&public, site);
    let before = site.cloned().tip("HEAD");

    push(&site, &trusted(&site, OTHER), &[], "Not signed");
    refused(&site, &before);
    push(&site, &trusted(&site, OTHER), &stranger, "Signed by a stranger");
    refused(&site, &before);
    push(&site, &trusted(&site, OTHER), &ssh, "Signed by another sort of key");
    refused(&site, &before);
    let signed = push(&site, &trusted(&site, OTHER), &key, "Signed");
    taken(&site, &signed, "other");
}

#[test]
fn where_the_signers_cannot_be_known_nothing_is_taken() {
    let site = Site::new();
    let (_, key) = ssh_key(&site, "key");
    let site = trusting("", site);
    let before = site.cloned().tip("HEAD");
    push(&site, &trusted(&site, OTHER), &key, "Signed by nobody who is allowed");
    refused(&site, &before);
    let broken = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nno key\n-----END PGP PUBLIC KEY BLOCK-----\n";
    fs::write(site.path("signers"), broken).unwrap();
    let ended = site.run().expect(1);
    assert!(ended.stderr().contains("the allowed signers are not known"), "{ended}");
    // A broken configuration on the host does not turn it off.
    for name in ["signers", "config.toml"] {
        fs::remove_file(site.path(name)).unwrap();
    }
    assert!(Path::exists(&site.path(".git")));
    refused(&site, &before);
}
