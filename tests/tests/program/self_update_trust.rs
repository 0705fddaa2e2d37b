//! Only what the allowed signers signed is taken: real signatures of ssh and of OpenPGP.

use std::fs;
use std::path::PathBuf;
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

    let site = Site::new();
    let broken = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nno key\n-----END PGP PUBLIC KEY BLOCK-----\n";
    let (_, key) = ssh_key(&site, "key");
    let site = trusting(broken, site);
    push(&site, &trusted(&site, OTHER), &key, "Signed by nobody who is allowed");
    let ended = site.run().expect(1);
    assert!(ended.stderr().contains("the allowed signers are not known"), "{ended}");
    assert_eq!(site.branches(), ["main"]);
}

#[test]
fn signers_that_are_in_the_work_tree_alone_are_not_believed() {
    let site = Site::new();
    let (public, key) = ssh_key(&site, "key");
    site.repo.write(".gitignore", "signers\n");
    site.push(&site.config(""), "A configuration");
    let site = site.set_up();
    fs::write(site.path("signers"), format!("a@example.org {public}")).unwrap();
    site.push(&trusted(&site, ""), "Trust a file of the host's");
    site.run().expect(0);
    push(&site, &trusted(&site, OTHER), &key, "Signed");
    let ended = site.run().expect(1);
    assert!(ended.stderr().contains("it is in the repository's work tree and not in the commit"), "{ended}");
    assert_eq!(site.branches(), ["main"]);
}

#[test]
fn signers_outside_of_the_repository_count_as_they_are() {
    let site = Site::new();
    let (public, key) = ssh_key(&site, "key");
    let file = site.scratch.write("own-signers", format!("a@example.org {public}"));
    let trust = |more: &str| site.config(&format!("{more}\n[self-update]\nallowed-signers = \"{}\"\n", file.display()));
    site.push(&trust(""), "Trust");
    site.init_from(&site.repo.url()).expect(0);
    let before = site.cloned().tip("HEAD");
    push(&site, &trust(OTHER), &[], "Not signed");
    refused(&site, &before);
    let signed = push(&site, &trust(OTHER), &key, "Signed");
    taken(&site, &signed, "other");
}

/// A host whose configuration is signed, the key, and its last commit.
fn signed_host() -> (Site, Vec<String>, CommitId) {
    let site = Site::new();
    let (public, key) = ssh_key(&site, "key");
    site.repo.write("hosts/a.toml", &trusted(&site, "").replace("\"signers\"", "\"../signers\""));
    site.repo.write("scripts/tell", "#!/bin/sh\n");
    site.repo.write(".gitignore", "*.token\n");
    let site = trusting(&format!("a@example.org {public}"), site);
    let before = site.cloned().tip("HEAD");
    (site, key, before)
}

/// Nothing uses what was changed on the host; the next run puts back what was signed, and tells it.
#[track_caller]
fn put_back(site: &Site, before: &CommitId, case: &str) {
    for command in [&["check"][..], &["status"], &["run", "--no-self-update"]] {
        let ended = site.fetcher().run(command);
        assert_eq!(ended.status(), 3, "{case}: {ended}");
        assert!(ended.stderr().contains("have to be signed, and files were changed here"), "{case}: {ended}");
    }
    let ended = site.run();
    assert_eq!(ended.status(), 1, "{case}: {ended}");
    assert!(ended.stderr().contains("they are kept as refs/bst-fetcher/kept/"), "{case}: {ended}");
    assert_eq!(site.branches(), ["main"], "{case}");
    assert_eq!(site.cloned().tip("HEAD"), *before, "{case}");
    assert_eq!(site.cloned().git(&["status", "--porcelain"]), "", "{case}");
    site.run().expect(0);
}

#[test]
fn files_that_were_changed_on_the_host_are_not_used_unsigned() {
    let (site, _, before) = signed_host();
    let (other, _) = ssh_key(&site, "stranger");
    let other_config = trusted(&site, OTHER);
    let write = |name: &str, text: &str| fs::write(site.path(name), text).unwrap();
    let cases: [(&str, &dyn Fn()); 8] = [
        ("the configuration", &|| write("config.toml", &other_config)),
        ("self-update turned off", &|| {
            write("config.toml", &site.config("branches = [\"other\"]\n[self-update]\nenabled = false\n"));
        }),
        ("the signers", &|| write("signers", &format!("x@example.org {other}"))),
        ("a script", &|| write("scripts/tell", "#!/bin/sh\nrm -rf ~\n")),
        ("its mode", &|| {
            fs::set_permissions(site.path("scripts/tell"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        }),
        ("a link in its place", &|| {
            let elsewhere = site.scratch.write("elsewhere", "#!/bin/sh\n");
            fs::remove_file(site.path("scripts/tell")).unwrap();
            std::os::unix::fs::symlink(elsewhere, site.path("scripts/tell")).unwrap();
        }),
        ("a commit", &|| {
            site.cloned().write("config.toml", &other_config);
            site.cloned().commit("On the host");
        }),
        ("a file that is gone", &|| fs::remove_file(site.path("scripts/tell")).unwrap()),
    ];
    for (case, change) in cases {
        change();
        put_back(&site, &before, case);
    }
    // What is in no commit is this host's own.
    write("own.token", "hushhush\n");
    site.run().expect(0);
    assert_eq!(site.read("own.token"), "hushhush\n");
}

#[test]
fn what_git_was_told_not_to_look_at_is_looked_at() {
    let (site, _, before) = signed_host();
    site.cloned().git(&["update-index", "--assume-unchanged", "config.toml"]);
    fs::write(site.path("config.toml"), trusted(&site, OTHER)).unwrap();
    let ended = site.fetcher().run(&["check"]).expect(3);
    assert!(ended.stderr().contains("files were changed here"), "{ended}");
    site.run();
    assert_eq!(site.branches(), ["main"]);
    assert_eq!(site.cloned().tip("HEAD"), before);
    site.run().expect(0);
}

#[test]
fn a_link_out_of_the_work_tree_leads_to_nothing_that_is_not_signed() {
    let site = Site::new();
    let (public, _) = ssh_key(&site, "key");
    site.repo.write("hosts/a.toml", &trusted(&site, "").replace("\"signers\"", "\"../signers\""));
    site.repo.write("signers", &format!("a@example.org {public}"));
    site.repo.commit("A host's");
    site.fetcher().run(&["init", "--from", &site.repo.url(), "--path", "hosts/a.toml"]).expect(0);
    let before = site.cloned().tip("HEAD");
    site.run().expect(0);
    site.scratch.write("evil/a.toml", site.config(OTHER));
    fs::remove_dir_all(site.path("hosts")).unwrap();
    std::os::unix::fs::symlink(site.scratch.path("evil"), site.path("hosts")).unwrap();
    put_back(&site, &before, "a link");
}

#[test]
fn stranger_signers_on_the_host_let_nothing_in() {
    let (site, key, before) = signed_host();
    let (other, stranger) = ssh_key(&site, "stranger");
    fs::write(site.path("signers"), format!("x@example.org {other}")).unwrap();
    push(&site, &trusted(&site, OTHER), &stranger, "Signed by a stranger");
    refused(&site, &before);
    // A commit that is here already, too.
    site.cloned().git(&["fetch", "--quiet", "origin"]);
    site.cloned().git(&["reset", "--quiet", "--hard", "origin/main"]);
    refused(&site, &before);
    let signed = push(&site, &trusted(&site, OTHER), &key, "Signed");
    taken(&site, &signed, "other");
}

#[test]
fn a_key_past_its_time_signs_nothing_whatever_date_the_commit_has() {
    // Every commit of these tests says that it was made on the first of January 2026.
    let site = Site::new();
    let (public, key) = ssh_key(&site, "key");
    let (good_public, good) = ssh_key(&site, "good");
    let signers = format!(
        "a@example.org valid-before=\"20260601\" {public}b@example.org valid-before=\"29990101\" {good_public}"
    );
    let site = trusting(&signers, site);
    let before = site.cloned().tip("HEAD");
    push(&site, &trusted(&site, OTHER), &key, "Signed with an old key");
    // Git itself finds it good.
    let file = format!("gpg.ssh.allowedSignersFile={}", site.path("signers").display());
    site.repo.git(&["-c", &file, "verify-commit", "HEAD"]);
    refused(&site, &before);
    let signed = push(&site, &trusted(&site, OTHER), &good, "Signed with another");
    taken(&site, &signed, "other");
}

#[test]
fn an_openpgp_key_past_its_time_signs_nothing_either() {
    let site = Site::new();
    let gpg = Gpg::new(&site);
    let time = ["--faked-system-time", "20260101T000000"];
    let arguments =
        [&time[..], &["--passphrase", "", "--quick-gen-key", "a@example.org", "ed25519", "sign", "30d"]].concat();
    gpg.gpg(&arguments);
    let public = gpg.gpg(&["--armor", "--export", "a@example.org"]);
    let script = site.scratch.write("old-gpg", "#!/bin/sh\nexec gpg --faked-system-time 20260102T000000 \"$@\"\n");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let key = ["gpg.format=openpgp", "user.signingKey=a@example.org", &format!("gpg.program={}", script.display())];
    let site = trusting(&public, site);
    let before = site.cloned().tip("HEAD");
    push(&site, &trusted(&site, OTHER), &key.map(str::to_owned), "Signed with an old key");
    refused(&site, &before);
}

#[test]
fn a_key_that_the_user_knows_to_be_revoked_signs_nothing() {
    let (site, key, before) = signed_host();
    let revoked = site.scratch.path("key.pub");
    site.scratch.write("home/.gitconfig", format!("[gpg \"ssh\"]\nrevocationFile = {}\n", revoked.display()));
    push(&site, &trusted(&site, OTHER), &key, "Signed");
    refused(&site, &before);
}
