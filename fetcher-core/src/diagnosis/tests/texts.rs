//! Neighbours of what people post: texts of requests, urllib3, ssl, dulwich, gRPC, git, curl, git-lfs, pip, cargo, ostree, docker,
//! casd, of Pythons that do not fit, of runners of CI, and of what must raise no alarm.

use std::env;

use super::*;

/// What was checked by hand: a line a text, as [`brief`] writes them.
const WANTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/diagnosis/tests/texts.txt");

#[test]
fn the_neighbours_of_what_people_post_are_read_right() {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/failure-texts"));
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    paths.sort();
    let mut told = String::new();
    for path in &paths {
        let failures = diagnose(None, None, &mut fs::read(path).unwrap().as_slice()).unwrap();
        let _ = writeln!(told, "{}{}", path.file_stem().unwrap().to_string_lossy(), brief(&failures));
    }
    assert!(paths.len() > 200, "{} texts", paths.len());
    if env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        fs::write(WANTED, told).unwrap();
        return;
    }
    let wanted = fs::read_to_string(WANTED).unwrap();
    for (told, wanted) in told.lines().zip(wanted.lines()) {
        assert_eq!(told, wanted);
    }
    assert_eq!(told.lines().count(), wanted.lines().count());
}
