"""Measures what the sandbox costs a bst, for sandbox.sh: the same run of many a bst that costs nothing, without a sandbox, in
bubblewrap with Landlock, and in Landlock alone, in turn.

    sandbox.py FETCHER FAKE-BST DIRECTORY
"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

BRANCHES = 40
ROUNDS = 7

fetcher, bst, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
home = work / "home"
for directory in [home, work / "scenario", work / "programs"]:
    directory.mkdir()
# Everything that is in PATH but bubblewrap: the first of a name counts.
for directory in os.environ["PATH"].split(":"):
    for entry in pathlib.Path(directory).iterdir() if os.path.isdir(directory) else []:
        link = work / "programs" / entry.name
        if entry.name != "bwrap" and not os.path.lexists(link):
            link.symlink_to(entry)
environment = {"HOME": str(home), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "LANG": "C.UTF-8"}
for role in ["AUTHOR", "COMMITTER"]:
    environment |= {f"GIT_{role}_NAME": "Bench", f"GIT_{role}_EMAIL": "bench@example.org"}


def git(*arguments):
    subprocess.run(["git", *arguments], cwd=work / "up", env=environment, check=True, stdout=subprocess.DEVNULL)


(work / "up" / "elements").mkdir(parents=True)
(work / "up" / "project.conf").write_text("name: bench\nmin-version: 2.0\nelement-path: elements\n")
(work / "up" / "elements" / "a.bst").write_text("kind: stack\n")
git("init", "--quiet", "--initial-branch", "main")
git("add", ".")
git("commit", "--quiet", "--message", "A project")
for number in range(BRANCHES - 1):
    git("branch", f"b{number}")


def run(mode, path):
    state, cache = work / "state", work / "cache"
    (work / "config.toml").write_text(f"""
[fetcher]
state-dir = "{state}"
cache-dir = "{cache}"
min-free-space = "1M"
jobs = 1
[sandbox]
mode = "{mode}"
write = ["{work}/scenario"]
[buildstream]
command = ["{bst}", "--scenario", "{work}/scenario"]
[[project]]
name = "bench"
url = "{work}/up"
branches = ["*"]
verify = false
""")
    calls = work / "scenario" / "calls"
    calls.unlink(missing_ok=True)
    start = time.monotonic()
    command = [fetcher, "--config", work / "config.toml", "--quiet", "run"]
    subprocess.run(command, env={**environment, "PATH": path}, check=True)
    wall = time.monotonic() - start
    count = len(calls.read_text().splitlines())
    shutil.rmtree(state)
    shutil.rmtree(cache)
    return wall, count


kinds = {
    "no sandbox": ("off", os.environ["PATH"]),
    "bubblewrap and Landlock": ("required", os.environ["PATH"]),
    "Landlock alone": ("required", str(work / "programs")),
}
walls = {name: [] for name in kinds}
calls = 0
for _ in range(ROUNDS):
    for name, (mode, path) in kinds.items():
        wall, calls = run(mode, path)
        walls[name].append(wall)
median = {name: statistics.median(measured) for name, measured in walls.items()}
print(f"{calls} bsts a run, {ROUNDS} runs of each, medians")
for name, wall in median.items():
    more = (wall - median["no sandbox"]) / calls * 1000
    print(f"{name:28}{wall:8.2f} s{more:+8.1f} ms a bst")
