"""Measures commands for run.sh, and shows what was measured.

    measure.py run FILE NAME CASE COMMAND...   runs a command, and adds a line of JSON to the file
    measure.py show FILE                       prints a table of the file
    measure.py compare FILE                    prints the medians of what the file has several of
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time


def peak(pid, found):
    """Notes the process's own peak of resident memory, in kB, as long as it lives."""
    while True:
        try:
            with open(f"/proc/{pid}/status") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        found[0] = int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.01)


def run(file, name, case, command):
    found = [0]
    start = time.monotonic()
    child = subprocess.Popen(command)
    threading.Thread(target=peak, args=(child.pid, found), daemon=True).start()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{name}, {case}: exit status {child.returncode} of {' '.join(command)}")
    with open(file, "a") as out:
        measured = {"case": case, "of": name, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": found[0]}
        out.write(json.dumps(measured) + "\n")


def show(file):
    with open(file) as lines:
        measured = [json.loads(line) for line in lines]
    cases = list(dict.fromkeys(each["case"] for each in measured))
    print(f"{'':44}{'script':>20}{'bst-fetcher':>20}{'ratio':>8}{'own memory':>13}")
    print(f"{'':44}{'wall     cpu':>20}{'wall     cpu':>20}{'wall':>8}{'':>13}")
    for case in cases:
        script, ours = (next(e for e in measured if e["case"] == case and e["of"] == of) for of in ("script", "fetcher"))
        cells = "".join(f"{e['wall']:>9.2f} s{e['cpu']:>7.2f} s" for e in (script, ours))
        print(f"{case:44}{cells}{script['wall'] / ours['wall']:>8.2f}{ours['rss'] / 1024:>10.1f} MB")


def compare(file):
    """Prints the median of each name's runs, and their ratio to those of the case's first."""
    with open(file) as lines:
        measured = [json.loads(line) for line in lines]
    print(f"{'':44}{'median':>20}{'ratio':>8}")
    for case in dict.fromkeys(each["case"] for each in measured):
        of_case = [each for each in measured if each["case"] == case]
        first = None
        for of in dict.fromkeys(each["of"] for each in of_case):
            median = statistics.median(each["wall"] for each in of_case if each["of"] == of)
            first = first or median
            print(f"{case + ', ' + of:52}{median:>10.3f} s{median / first:>8.2f}")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
    elif sys.argv[1] == "compare":
        compare(sys.argv[2])
    else:
        show(sys.argv[2])
