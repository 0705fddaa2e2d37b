//! Finding and ending everything that a child process started, however far it went.
//!
//! A process group is not enough: BuildStream's `buildbox-casd` has a group of its own, and each of its gits a session
//! of its own. So every child gets a cookie in its environment, which its descendants inherit, and which Linux shows
//! in `/proc/PID/environ` for as long as they live. Those that cleaned their environment are found by descent.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal, test_kill_process,
};

#[cfg(not(target_os = "linux"))]
compile_error!("fetcher-core finds its children's descendants in Linux's /proc, and runs nowhere else");

/// The variable that marks a child and all that it starts.
pub const MARKER_VAR: &str = "BST_FETCHER_COOKIE";

/// How long what was asked to end by SIGTERM has for it.
const TERMINATE_GRACE: Duration = Duration::from_secs(5);
/// How long the kernel has to remove what was killed.
const KILL_GRACE: Duration = Duration::from_secs(10);
/// A time in which no machine goes round all process ids.
const SCAN_INTERVAL: Duration = Duration::from_millis(100);

/// How many looks in a row have to find nothing before nothing is believed to be there.
const EMPTY_LOOKS: usize = 3;
/// The time between two of those. The kernel takes a few microseconds to put one program in another's place.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
/// How many looks are taken at most, for a program that was started without any environment has none for ever.
const MAX_LOOKS: usize = 50;

/// SIGTERM, then SIGKILL: the way in which everything ends that did not end by itself.
pub(super) const TERM_THEN_KILL: [(Signal, Duration); 2] =
    [(Signal::TERM, TERMINATE_GRACE), (Signal::KILL, KILL_GRACE)];
/// SIGKILL alone.
pub(super) const KILL: [(Signal, Duration); 1] = [(Signal::KILL, KILL_GRACE)];

/// Ends what an earlier program with this owner left running when it was killed, and returns how many processes that
/// were. See [`LocalRunner::new`](super::LocalRunner::new) for what an owner is.
///
/// Call it only while no other program with this owner can be running, as under the lock of the state directory.
/// This process and its ancestors are spared, even if they were started by such a child themselves. An empty owner has
/// no leftovers, for nobody knows whose they are.
///
/// # Errors
/// When `/proc` cannot be read, or something outlives SIGKILL.
pub fn clear_leftovers(owner: &OsStr) -> io::Result<usize> {
    if owner.is_empty() {
        return Ok(0);
    }
    let mut tree = ProcessTree::of_owner(owner);
    match tree.clear(&TERM_THEN_KILL, &mut sleep)? {
        ClearResult::All => Ok(tree.known.len()),
        ClearResult::Not(processes) => Err(io::Error::other(format!(
            "processes {processes:?} of a killed run cannot be stopped: \
             look at what they wait for (`ps -o stat,wchan,args -p PID`)"
        ))),
    }
}

/// Whether a process other than this one and its ancestors names a path, or one below it, among its arguments, or works
/// in it.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn any_names(path: &Path) -> io::Result<bool> {
    let all = all_processes(0)?;
    let spared = ancestors(&all);
    let needle = path.as_os_str().as_bytes();
    let names = |id: &i32| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        arguments.windows(needle.len()).any(|window| window == needle)
            || fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|directory| directory.starts_with(path))
    };
    Ok(all
        .values()
        .filter(|process| !process.ended)
        .map(|process| process.id)
        .filter(|id| !spared.contains(id))
        .any(|id| names(&id)))
}

/// The most steps from a process to what it descends from.
const MAX_DESCENT: usize = 1000;
/// How often descent is looked at again where a process on the way ended meanwhile.
const DESCENT_LOOKS: usize = 5;

/// Whether a process is this one, which began then, or descends from it.
pub(super) fn descends(process: i32, from: i32, since: u64) -> bool {
    for _ in 0..DESCENT_LOOKS {
        let mut id = process;
        for step in 0..MAX_DESCENT {
            match Process::read(id) {
                Some(found) if id == from => return found.started == since,
                Some(found) => id = found.parent,
                None if step == 0 => return false,
                // Its children have another parent now.
                None => break,
            }
            if id <= 1 {
                return false;
            }
        }
    }
    false
}

/// The processes that this thread may signal and that have not ended, without this program itself; none where that cannot
/// be known.
pub(super) fn reached_by_this_thread() -> Vec<i32> {
    let is_reached = |process: &&Process| {
        !process.ended
            && process.id != getpid().as_raw_pid()
            && Pid::from_raw(process.id).is_some_and(|pid| test_kill_process(pid).is_ok())
    };
    all_processes(0).unwrap_or_default().values().filter(is_reached).map(|process| process.id).collect()
}

/// Passes the time between two looks where there is no output to take.
#[expect(clippy::unnecessary_wraps, reason = "one of the two ways to pass the time can fail")]
pub(super) fn sleep(pause: Duration) -> io::Result<()> {
    thread::sleep(pause);
    Ok(())
}

/// Whether everything has ended.
pub(super) enum ClearResult {
    /// Nothing runs any more.
    All,
    /// These outlive SIGKILL.
    Not(Vec<i32>),
}

/// A set of processes that belong together.
#[derive(Debug)]
pub(super) struct ProcessTree {
    origin: MemberMark,
    /// Every process that was ever seen in it: its start time by its id.
    known: BTreeMap<i32, u64>,
    /// Whether there was a process at the last look that may be one of it, and did not show its environment.
    unclear: bool,
    /// Whether the kernel ends all of it with the child: it has a process namespace of its own (`pid_namespaces(7)`).
    contained: bool,
}

/// What makes a process part of a tree, apart from being a member's child.
#[derive(Debug)]
enum MemberMark {
    /// It carries this cookie, or it is in the process group or the session of this process, which began then.
    Child { cookie: OsString, root: i32, since: u64, start: Instant },
    /// Its cookie begins like this.
    Owner(OsString),
}

impl ProcessTree {
    /// What descends from one child, which has not been reaped yet.
    pub(super) fn of_child(cookie: OsString, child: Pid, contained: bool) -> Self {
        let root = child.as_raw_pid();
        let since = Process::read(root).map_or(0, |process| process.started);
        Self {
            origin: MemberMark::Child { cookie, root, since, start: Instant::now() },
            known: BTreeMap::new(),
            unclear: false,
            contained,
        }
    }

    fn of_owner(owner: &OsStr) -> Self {
        let mut prefix = owner.to_owned();
        prefix.push("|");
        Self { origin: MemberMark::Owner(prefix), known: BTreeMap::new(), unclear: false, contained: false }
    }

    /// Sends each signal in turn to all that is alive, until nothing is, and gives each its time. `wait` passes the
    /// time between two looks.
    pub(super) fn clear(
        &mut self,
        steps: &[(Signal, Duration)],
        wait: &mut dyn FnMut(Duration) -> io::Result<()>,
    ) -> io::Result<ClearResult> {
        let mut alive = self.sure_members(wait)?;
        for &(signal, grace) in steps {
            let until = Instant::now() + grace;
            let mut told = BTreeSet::new();
            let mut pause = Duration::from_millis(1);
            while !alive.is_empty() && Instant::now() < until {
                for process in &alive {
                    if told.insert((process.id, process.started)) {
                        process.signal(signal);
                    }
                }
                wait(pause)?;
                pause = (pause * 2).min(Duration::from_millis(50));
                alive = self.sure_members(wait)?;
            }
        }
        Ok(if alive.is_empty() {
            ClearResult::All
        } else {
            ClearResult::Not(alive.iter().map(|process| process.id).collect())
        })
    }

    /// Looks for all that is alive until several looks in a row find nothing. One is not enough: while a process
    /// becomes another program its environment is empty, and one that is born during a look may be missing from it. Where
    /// the kernel has ended everything already, one look only waits for what it is still taking away.
    fn sure_members(&mut self, wait: &mut dyn FnMut(Duration) -> io::Result<()>) -> io::Result<Vec<Process>> {
        let mut empty = 0;
        for look in 0..MAX_LOOKS {
            if look > 0 {
                wait(LOOK_PAUSE)?;
            }
            let members = self.members()?;
            if !members.is_empty() {
                return Ok(members);
            }
            empty = if self.unclear && !self.contained { 0 } else { empty + 1 };
            if empty == if self.contained { 1 } else { EMPTY_LOOKS } {
                break;
            }
        }
        Ok(Vec::new())
    }

    /// Looks now for all that is alive, and remembers it.
    pub(super) fn members(&mut self) -> io::Result<Vec<Process>> {
        let all = all_processes(self.lowest_id())?;
        let spared = ancestors(&all);
        let mut members = BTreeSet::new();
        self.unclear = false;
        for process in all.values().filter(|process| !spared.contains(&process.id)) {
            match self.has_by_itself(process) {
                Some(true) => drop(members.insert(process.id)),
                Some(false) => {}
                None => self.unclear = true,
            }
        }
        loop {
            let children: Vec<i32> = all
                .values()
                .filter(|process| members.contains(&process.parent) && !members.contains(&process.id))
                .map(|process| process.id)
                .filter(|id| !spared.contains(id))
                .collect();
            if children.is_empty() {
                break;
            }
            members.extend(children);
        }
        let members: Vec<Process> =
            all.into_values().filter(|process| members.contains(&process.id) && !process.ended).collect();
        self.known.extend(members.iter().map(|process| (process.id, process.started)));
        Ok(members)
    }

    /// The lowest process id that a member can have. Ids are given in turn (`/proc/loadavg` shows the last one), so
    /// what a child began that lived for a moment has higher ones than itself. To look at those alone makes a short
    /// child cheap on a machine where much runs.
    fn lowest_id(&self) -> i32 {
        let MemberMark::Child { root, start, .. } = &self.origin else { return 0 };
        let last = || fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().last()?.parse().ok();
        if start.elapsed() < SCAN_INTERVAL && last().is_some_and(|last: i32| last >= *root) { *root } else { 0 }
    }

    /// Whether a process belongs to it whatever its parent is; none where that does not show now.
    fn has_by_itself(&self, process: &Process) -> Option<bool> {
        if self.known.get(&process.id) == Some(&process.started) {
            return Some(true);
        }
        match &self.origin {
            MemberMark::Child { since, .. } if process.started < *since => Some(false),
            MemberMark::Child { root, .. } if process.group == *root || process.session == *root => Some(true),
            MemberMark::Child { cookie, .. } => process.has_cookie(|found| found == cookie.as_bytes()),
            MemberMark::Owner(prefix) => process.has_cookie(|found| found.starts_with(prefix.as_bytes())),
        }
    }
}

/// This process, its parent, and so on.
fn ancestors(all: &BTreeMap<i32, Process>) -> BTreeSet<i32> {
    let mut ancestors = BTreeSet::new();
    let mut id = getpid().as_raw_pid();
    while ancestors.insert(id) {
        match all.get(&id) {
            Some(process) => id = process.parent,
            None => break,
        }
    }
    ancestors
}

fn all_processes(lowest_id: i32) -> io::Result<BTreeMap<i32, Process>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()).filter(|id| *id >= lowest_id) else { continue };
        // One that has just ended is not there any more.
        if let Some(process) = Process::read(id) {
            all.insert(id, process);
        }
    }
    Ok(all)
}

/// What `/proc/PID/stat` says of a process (proc(5)).
#[derive(Debug)]
pub(super) struct Process {
    id: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// In clock ticks since the machine's start: with the id, who it is, for ids are used again.
    started: u64,
    /// Whether it has ended and only waits to be reaped.
    ended: bool,
}

impl Process {
    pub(super) fn read(id: i32) -> Option<Self> {
        let mut buffer = [0; 1024];
        let length = fs::File::open(format!("/proc/{id}/stat")).ok()?.read(&mut buffer).ok()?;
        Self::parse(id, &buffer[..length])
    }

    /// The second field is the program's name in parentheses, and may hold anything, parentheses too.
    fn parse(id: i32, stat: &[u8]) -> Option<Self> {
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let mut fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace();
        Some(Self {
            id,
            ended: matches!(fields.next()?, "Z" | "X" | "x"),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            started: fields.nth(15)?.parse().ok()?,
        })
    }

    /// Its process id.
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    /// When it began, in clock ticks since the machine's start.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// Its process group.
    pub(super) fn group(&self) -> i32 {
        self.group
    }

    /// Its process id in the innermost process namespace that it is in, where that is not the one of `/proc`.
    pub(super) fn id_inside(&self) -> Option<i32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        ids.split_ascii_whitespace().skip(1).last()?.parse().ok()
    }

    /// Whether it has a session of its own, where no terminal's or group's interrupt reaches it.
    pub(super) fn leads_session(&self) -> bool {
        self.session == self.id
    }

    /// Whether the cookie in its environment, where this user may read that, is such a one. A process that becomes
    /// another program has no environment for a moment, so that of an empty one nothing is known.
    fn has_cookie(&self, is_it: impl FnOnce(&[u8]) -> bool) -> Option<bool> {
        let Ok(environment) = fs::read(format!("/proc/{}/environ", self.id)) else { return Some(false) };
        if environment.is_empty() {
            return if self.ended || self.is_of_kernel() { Some(false) } else { None };
        }
        let mut variables = environment.split(|&byte| byte == 0);
        let cookie = variables.find_map(|variable| variable.strip_prefix(MARKER_VAR.as_bytes())?.strip_prefix(b"="));
        Some(cookie.is_some_and(is_it))
    }

    /// Whether it is one of the kernel's own, whose parent is `kthreadd`.
    fn is_of_kernel(&self) -> bool {
        self.id == 2 || self.parent == 2
    }

    /// Sends it a signal. That it has ended since is no error, and that it is another user's cannot be helped.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.id) else { return };
        let handle = pidfd_open(pid, PidfdFlags::empty());
        // The id may have gone to another process before the handle was there, but not after.
        if Self::read(self.id).is_none_or(|now| now.started != self.started) {
            return;
        }
        let _ = match handle {
            Ok(handle) => pidfd_send_signal(handle, signal),
            // A kernel before 5.3, or a sandbox that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => kill_process(pid, signal),
            Err(error) => Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_hold_anything() {
        let stat = b"42 (a) Z 1 (b c) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 6 7";
        let process = Process::parse(42, stat).expect("it has all fields");
        assert_eq!((process.parent, process.group, process.session), (7, 8, 9));
        assert_eq!((process.started, process.ended), (12345, false));
        assert!(Process::parse(42, b"42 (cut off) S 7").is_none());
    }

    #[test]
    fn this_process_and_whoever_started_it_are_spared() {
        let all = all_processes(0).expect("/proc is there");
        let ancestors = ancestors(&all);
        let parent = all[&getpid().as_raw_pid()].parent;
        assert!(ancestors.contains(&parent) && ancestors.contains(&getpid().as_raw_pid()));
    }
}
