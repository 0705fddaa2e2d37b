//! What one project's plugin does to every cache that it can reach, with the real BuildStream, and whether another project
//! believes it.

use std::fmt::Write as _;
use std::fs;

use fetcher_tests::cachedir::{hash, object_below};
use fetcher_tests::client::Client;
use fetcher_tests::fetcher::Fetcher;
use fetcher_tests::installed;
use fetcher_tests::local_project::{LocalProject, content};
use fetcher_tests::scratch::Scratch;
use fetcher_tests::source_plugin::source_plugin;

/// Overwrites every object and every entry of the index that it finds.
const POISON_HEAD: &str = r"import glob
import os
";

const POISON_METHODS: &str = r#"    def configure(self, node):
        node.validate_keys(["caches", *Source.COMMON_CONFIG_KEYS])
        for pattern in node.get_str_list("caches"):
            for path in glob.glob(pattern):
                if os.path.isfile(path):
                    os.chmod(path, 0o644)
                    with open(path, "wb") as file:
                        file.write(b"poison")
"#;

/// Two runs of a project of files, and of one that poisons what it can reach; gives what the object of a file holds then.
fn poisoned(scratch: &Scratch, trust: &str) -> Vec<u8> {
    installed::program("bwrap");
    let project = LocalProject::new(scratch);
    let repo = scratch.repo("hostile");
    let plugins = "plugins:\n- origin: local\n  path: plugins\n  sources: [poison]\n";
    repo.write("project.conf", &format!("name: hostile\nmin-version: 2.0\nelement-path: elements\n{plugins}"));
    repo.write("plugins/poison.py", &source_plugin(POISON_HEAD, POISON_METHODS));
    let cache = scratch.path("cache").display().to_string();
    let mut patterns = String::new();
    for home in ["", "/trust/*"] {
        for below in ["cas/objects/*/*", "elementsources/*", "source_protos/*/*"] {
            writeln!(patterns, "  - \"{cache}{home}/cachedir/{below}\"").expect("text");
        }
        writeln!(patterns, "  - \"{cache}{home}/sources/*/*/*/*\"").expect("text");
    }
    repo.write("elements/bad.bst", &format!("kind: import\nsources:\n- kind: poison\n  caches:\n{patterns}"));
    repo.commit("A plugin");
    let hostile = format!(
        "{trust}\n[[project]]\nname = \"hostile\"\nurl = \"{}\"\ntargets = [\"bad.bst\"]\ntrack = false\nfetch = true\n\
         retries = 0\nverify = false\n{trust}\n",
        repo.url()
    );
    let fetcher = Fetcher::new(scratch).config(project.config("jobs = 1", &hostile));
    // What becomes of the hostile one is of no account, nor what its victim says.
    for _ in 0..2 {
        let ended = fetcher.run(&["run", "--force"]);
        assert!(matches!(ended.status(), 0 | 1 | 4), "{ended}");
    }
    let file = object_below(&scratch.path("cache/cachedir"), &hash(content(1, "a").as_bytes()));
    fs::read(file).expect("an object")
}

#[test]
fn what_a_project_writes_into_its_cache_no_project_of_another_trust_believes() {
    let scratch = Scratch::new();
    assert_eq!(poisoned(&scratch, ""), content(1, "a").as_bytes());
    assert!(scratch.path("cache/trust/hostile/cachedir/cas").is_dir());
    let tree = scratch.path("cache/checkouts/small/main/tree");
    let client = Client::with_cache(&scratch, "client", &tree, &scratch.path("cache/cachedir"), "");
    let sources = client.sources("e1.bst");
    assert_eq!(fs::read_to_string(sources.join("e1/a")).expect("a file"), content(1, "a"));
}

#[test]
fn what_projects_of_one_trust_write_the_others_believe() {
    let scratch = Scratch::new();
    assert_eq!(poisoned(&scratch, "trust = \"all\""), b"poison");
}
