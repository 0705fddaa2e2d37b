//! Which processes of a test are still there.

use std::fs;
use std::path::Path;

/// Processes that have the directory in their environment or their command line.
pub fn alive(directory: &Path) -> Vec<String> {
    let needle = directory.to_str().expect("a path of characters").as_bytes();
    let holds =
        |path: &Path| fs::read(path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle));
    let processes = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    let ours = processes.filter(|process| holds(&process.join("environ")) || holds(&process.join("cmdline")));
    let living =
        ours.filter(|process| fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z ")));
    living.map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " ")).collect()
}
