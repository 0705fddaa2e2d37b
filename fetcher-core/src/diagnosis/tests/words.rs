//! Words of many programs, beyond those of the recordings.

use super::*;

/// The words of a task's log under git's generic failure, or bst's own where they are marked with `!`.
const WORDS: &[(&str, FailureKind, &str)] = &[
    ("fatal: unable to access 'https://h/x/': Could not resolve host: h", FailureKind::Dns, "name"),
    ("fatal: unable to look up h (port 9418) (Temporary failure in name resolution)", FailureKind::Dns, "resolv.conf"),
    ("ssh: Could not resolve hostname h: Name or service not known", FailureKind::Dns, ""),
    (
        "fatal: unable to access 'https://h/x/': OpenSSL SSL_connect: Connection reset by peer in connection to h:443",
        FailureKind::Network,
        "",
    ),
    ("fatal: unable to access 'https://h/x/': gnutls_handshake() failed: Handshake failed", FailureKind::Tls, ""),
    ("fatal: unable to access 'https://h/x/': SSL certificate problem: certificate has expired", FailureKind::Tls, ""),
    (
        "fatal: unable to access 'https://h/x/': SSL certificate problem: unable to get local issuer certificate",
        FailureKind::Tls,
        "ca-certificates",
    ),
    (
        "error: RPC failed; curl 56 GnuTLS recv error (-110): The TLS connection was non-properly terminated.",
        FailureKind::Network,
        "",
    ),
    ("error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502", FailureKind::ServerError, ""),
    ("fetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF", FailureKind::Network, ""),
    ("fatal: unable to connect to h:\nh[0: 1.2.3.4]: errno=No route to host", FailureKind::Network, ""),
    ("ssh: connect to host h port 22: Connection timed out", FailureKind::Network, ""),
    ("kex_exchange_identification: Connection closed by remote host", FailureKind::Network, ""),
    ("fatal: Authentication failed for 'https://h/x.git/'", FailureKind::Unauthorised, "credential"),
    (
        "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://h/x'",
        FailureKind::Unauthorised,
        "",
    ),
    (
        "git@h: Permission denied (publickey,password).\nfatal: Could not read from remote repository.",
        FailureKind::Unauthorised,
        "ssh key",
    ),
    (
        "@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@\nHost key verification failed.",
        FailureKind::Unauthorised,
        "known hosts",
    ),
    ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", FailureKind::NotFound, ""),
    (
        "remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.",
        FailureKind::NotFound,
        "",
    ),
    ("fatal: remote error: access denied or repository not exported: /x.git", FailureKind::NotFound, ""),
    ("fatal: couldn't find remote ref refs/heads/gone", FailureKind::RefMissing, "track"),
    (
        "fatal: remote error: upload-pack: not our ref 0123456789012345678901234567890123456789",
        FailureKind::RefMissing,
        "",
    ),
    ("fatal: Remote branch gone not found in upstream origin", FailureKind::RefMissing, ""),
    ("error: pathspec 'gone' did not match any file(s) known to git", FailureKind::RefMissing, ""),
    ("fatal: write error: No space left on device\nfatal: index-pack failed", FailureKind::DiskFull, "space"),
    ("error: copy-fd: write returned: Disk quota exceeded", FailureKind::DiskFull, "quota"),
    ("error: cannot lock ref 'refs/heads/main': Unable to create '/x.lock': File exists.", FailureKind::Git, "lock"),
    ("fatal: detected dubious ownership in repository at '/x'", FailureKind::Permission, "safe.directory"),
    (
        "error: insufficient permission for adding an object to repository database ./objects",
        FailureKind::Permission,
        "",
    ),
    ("fatal: cannot create thread: Resource temporarily unavailable", FailureKind::HostResources, "limits"),
    ("git-lfs filter-process: git-lfs: command not found", FailureKind::HostToolMissing, "apt install git-lfs"),
    ("git: 'lfs' is not a git command. See 'git --help'.", FailureKind::HostToolMissing, "dnf install git-lfs"),
    ("git: 'remote-https' is not a git command. See 'git --help'.", FailureKind::HostToolMissing, "install git"),
    ("!Did not find 'frobnicate' in PATH: ['/bin']", FailureKind::HostToolMissing, "apt-file search bin/frobnicate"),
    ("!Did not find 'ostree' in PATH: ['/bin']", FailureKind::HostToolMissing, "dnf install ostree"),
    ("!Did not find 'quilt' in PATH: /bin", FailureKind::HostToolMissing, "apt install quilt"),
    ("!Did not find 'hg' in PATH: /bin", FailureKind::HostToolMissing, "mercurial"),
    (
        "!Failed to load source plugin 'git_repo': No module named 'dulwich'",
        FailureKind::PythonModuleMissing,
        "buildstream-plugins-community[git]",
    ),
    ("!Failed to load source plugin 'x': No module named 'yaml'", FailureKind::PythonModuleMissing, "PyYAML"),
    (
        "!Failed to load source plugin 'x': cannot import name 'b' from 'a' (/x/a.py)",
        FailureKind::PythonModuleMissing,
        "pin both",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: HTTP Error 429: Too Many Requests",
        FailureKind::RateLimited,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: HTTP Error 410: Gone",
        FailureKind::NotFound,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: HTTP Error 407: Proxy Authentication Required",
        FailureKind::Unauthorised,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: HTTP Error 418: I'm a teapot",
        FailureKind::NotFound,
        "does not take",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/404/checksum: timed out",
        FailureKind::Network,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: <urlopen error [Errno -3] Temporary failure in name resolution>",
        FailureKind::Dns,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring https://h/x: <urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1000)>",
        FailureKind::Tls,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring https://h/x: <urlopen error EOF occurred in violation of protocol (_ssl.c:1129)>",
        FailureKind::Network,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: Partial file 10/20",
        FailureKind::Network,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: Remote end closed connection without response",
        FailureKind::Network,
        "",
    ),
    (
        "!tar source at a.bst [line 3 column 2]: Error mirroring http://h/x: [Errno 13] Permission denied: '/c'",
        FailureKind::Permission,
        "",
    ),
    ("![Errno 24] Too many open files", FailureKind::HostResources, "LimitNOFILE"),
    (
        "!Failed to pull source: FetchDirectory failed with status DEADLINE_EXCEEDED: too slow",
        FailureKind::CacheUnreachable,
        "",
    ),
    ("!Failed to pull source: Failed to download blob 0123: 14", FailureKind::CacheUnreachable, ""),
    (
        "!Failed to push source: PushBlob failed with status UNAUTHENTICATED: token has expired",
        FailureKind::CacheDenied,
        "auth",
    ),
    ("!Failed to push source: PushBlob failed with status RESOURCE_EXHAUSTED: quota", FailureKind::CacheFull, ""),
    (
        "!Failed to push source: PushBlob failed with status UNIMPLEMENTED: no such service",
        FailureKind::CacheDenied,
        "instance-name",
    ),
    ("!requests.exceptions.HTTPError: 404 Client Error: Not Found for url: https://h/x", FailureKind::NotFound, ""),
    ("!expected ref '1' was not found in git repository: 'x'", FailureKind::RefMissing, ""),
    ("the flux capacitor is empty", FailureKind::Git, ""),
];

#[test]
fn words_are_understood() {
    for (words, kind, hint) in WORDS {
        let log = match words.strip_prefix('!') {
            Some(own) => failing("a.bst", own, "[00:00:00] START   a.bst: Track"),
            None => failing(
                "a.bst",
                "git source at a.bst [line 3 column 2]: Failed to fetch from remote git repository: https://h/x",
                words,
            ),
        };
        let found = found(&log, Exit::Status(255));
        assert_eq!(found.failures.len(), 1, "{words}");
        let failure = &found.failures[0];
        assert_eq!(failure.kind, *kind, "{words}\n{failure:#?}");
        assert!(failure.hint.contains(hint), "{words}: {}", failure.hint);
    }
}

#[test]
fn last_words_are_understood() {
    let last = [
        (
            "Error loading project: project.conf [line 3 column 0]: Unexpected key: x",
            FailureKind::ProjectInvalid,
            Actor::Project,
        ),
        (
            "Error instantiating platform: Did not find 'buildbox-run' in PATH: ['/bin']",
            FailureKind::HostToolMissing,
            Actor::Host,
        ),
        ("Timed out waiting for buildbox-casd to become ready", FailureKind::CasdDied, Actor::Nobody),
        ("bash: bst: command not found", FailureKind::BstMissing, Actor::Host),
        ("foo source at a.bst [line 3 column 2]: the moon is wrong", FailureKind::ProjectInvalid, Actor::Project),
        (
            "RecursionError: Dependency depth is too large. Maximum recursion depth exceeded.",
            FailureKind::ProjectInvalid,
            Actor::Project,
        ),
        (
            "Traceback (most recent call last):\n  File \"/x/bst\", line 8, in <module>\n    import x\nModuleNotFoundError: No module named 'pkg_resources'",
            FailureKind::PythonModuleMissing,
            Actor::Host,
        ),
        (
            "Traceback (most recent call last):\n  File \"/x/bst\", line 8, in <module>\n    x()\nKeyError: 'x'",
            FailureKind::Bug,
            Actor::Plugin,
        ),
    ];
    for (words, kind, actor) in last {
        let found = found(&format!("{words}\n"), Exit::Status(255));
        assert_eq!((found.failures[0].kind, found.failures[0].actor), (kind, actor), "{words}\n{found:#?}");
    }
}

#[test]
fn places_are_found() {
    let url = |text: &str| super::super::place::url(text);
    assert_eq!(url("Error mirroring https://u:p@h.org/x.tar: HTTP").as_deref(), Some("https://h.org/x.tar"));
    assert_eq!(url("from ssh://git:p@h.org/x.git").as_deref(), Some("ssh://git@h.org/x.git"));
    assert_eq!(url("https://h/ä' b").as_deref(), Some("https://h/ä"));
    assert_eq!(url("ä://x"), None);
    let place =
        super::super::place::provenance("Error loading project: /my projects/project.conf [line 7 column 2]: x")
            .unwrap();
    assert_eq!(place.file.unwrap().to_str(), Some("/my projects/project.conf"));
    assert_eq!((place.line, place.column), (Some(7), Some(2)));
    let place = super::super::place::provenance("tar source at sub.bst:a/b.bst [line 7 column 2]: x").unwrap();
    assert_eq!(place.file.unwrap().to_str(), Some("sub.bst:a/b.bst"));
}
