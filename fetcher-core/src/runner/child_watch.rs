//! Which process a child is, for whoever lets in that one alone.

use std::sync::{Arc, OnceLock};

use super::processes::{self, Process};

/// Where a runner says which process of this machine a child is, as soon as it has started it.
#[derive(Debug, Clone, Default)]
pub struct ChildWatch(Arc<OnceLock<StartedChild>>);

#[derive(Debug)]
struct StartedChild {
    id: i32,
    /// When it began; none where it is gone already.
    since: Option<u64>,
}

impl ChildWatch {
    /// Says it: the id of a child of this process that has not been waited for. Only the first one counts.
    pub fn started(&self, id: i32) {
        let since = Process::read(id).map(|process| process.started());
        // Whoever says it twice is wrong the second time.
        let _ = self.0.set(StartedChild { id, since });
    }

    /// Whether it was said.
    pub fn is_started(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether a process is the child, or descends from it; not where either has ended.
    pub fn has(&self, process: i32) -> bool {
        let Some(StartedChild { id, since: Some(since) }) = self.0.get() else { return false };
        processes::descends(process, *id, *since)
    }
}

/// Two are equal that are one.
impl PartialEq for ChildWatch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ChildWatch {}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_a_child_started_is_its_and_nothing_else_is() {
        let start = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        };
        // It says the id of what it started, and both end with its input.
        let mut child = start("sleep 600 >/dev/null & echo $!; exec 1>&-; cat >/dev/null; kill $!");
        let other = start("cat >/dev/null");
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let id = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let grandchild: i32 = said.trim().parse().unwrap();
        let watch = ChildWatch::default();
        assert!(!watch.is_started() && !watch.has(grandchild));
        watch.started(id(&child));
        watch.started(id(&other));
        assert!(watch.has(id(&child)) && watch.has(grandchild));
        let own = i32::try_from(std::process::id()).unwrap();
        for stranger in [id(&other), own, 1, 0, -1, i32::MAX] {
            assert!(!watch.has(stranger), "{stranger}");
        }
        for mut ended in [child, other] {
            drop(ended.stdin.take());
            ended.wait().unwrap();
        }
        assert!(!watch.has(grandchild));
    }
}
