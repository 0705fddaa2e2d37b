//! Configurations.

use std::path::Path;

use fetcher_core::config::{Config, FileLookup, FileStatus, starter};
use fetcher_core::{Environment, Redactor};
use fetcher_tests::fuzz::{Target, fixtures};

/// Every file is there.
struct AllThere;

impl FileLookup for AllThere {
    fn look(&self, _: &Path) -> std::io::Result<FileStatus> {
        Ok(FileStatus::new(true, false))
    }

    fn read(&self, _: &Path) -> std::io::Result<String> {
        Ok("buildstream==2.8.1\n".to_owned())
    }
}

#[test]
fn a_configuration_is_good_or_every_problem_has_its_line() {
    let environment = Environment::from_iter([("HOME", "/home/me"), ("A_TOKEN", "hunter2hunter2"), ("NAME", "x")]);
    let words = [
        "[[project]]\n",
        "url = 'https://h/x.git'\n",
        "[defaults]\n",
        "[[notify]]\nkind = 'webhook'\n",
        "${A_TOKEN}",
        "${NAME}",
        "$$",
        "${",
        "= {",
        "}",
        "[",
        "]",
        "\"",
        "'''",
        "\n",
        "https://u:p@h/",
        "\u{feff}",
        "#",
        "1e999",
        "9223372036854775808",
        "1979-05-27",
        "true",
        ".",
    ];
    let mut corpus = fixtures("configs", 9);
    corpus.extend(
        fixtures("configs/complete", 20).into_iter().filter(|text| text.starts_with(b"[") || text.starts_with(b"#")),
    );
    corpus.push(starter().as_bytes().to_vec());
    let target = Target { name: "configuration", corpus, words: &words, largest: 20_000 };
    let parse = |text: &str| Config::parse(text, Path::new("/conf/config.toml"), &AllThere, &environment);
    target.run(|input, _| {
        let text = String::from_utf8_lossy(input);
        match parse(&text) {
            Err(error) => {
                assert!(!error.problems.is_empty());
                let lines = text.split('\n').count();
                for problem in &error.problems {
                    assert!(problem.line <= lines && !problem.message.is_empty(), "{problem}");
                    assert!(!problem.to_string().contains("hunter2hunter2"), "{problem}");
                }
            }
            Ok(config) => {
                let shown = config.show();
                assert!(!shown.contains("hunter2hunter2"), "{shown}");
                // What is masked means something else.
                if !shown.contains("***") {
                    let again = parse(&shown).unwrap_or_else(|error| panic!("{shown}\n{error}"));
                    assert_eq!(again.projects, config.projects, "{shown}");
                }
                drop(Redactor::watching(config.secrets(&environment)));
            }
        }
    });
}
