# SPDX-License-Identifier: MIT
"""Running programs for run.py: weir, its peers and the limits, in turns, and the data they read."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
# Of the file: 66 bytes a record of NDJSON, half of that as CSV, twice as much for what is written from it.
BYTES_PER_RECORD = 66 * 4


class Failed(Exception):
    """A program that did not do its work; the text is its last line of complaint."""


class Bench:
    def __init__(self, build, quick, turns=None):
        self.build = pathlib.Path(build).resolve()
        self.weir = self.build / "weir"
        self.quick = quick
        self.runs = 1 if quick else 3
        self.turns = turns  # as the caller wishes, where the time is usually what says how many
        self.records = 1_000_000 if quick else 10_000_000
        self.data = self.build / "data"
        self.data.mkdir(exist_ok=True)
        # The last processor: the first one usually has more of the machine's own work to do.
        self.core = str(max(os.sched_getaffinity(0)))

    def say(self, words):
        if sys.stderr.isatty():
            print(f"\r\033[K{words[:100]}", end="", file=sys.stderr, flush=True)

    def program(self, name):
        path = self.build / "bench" / name
        if not path.exists():
            raise Failed(f"{name} is not built")
        return str(path)

    def run(self, command, one_core=False, stdin=subprocess.DEVNULL):
        """Its output; Failed if it fails. On one core, if so wished, always the same."""
        if one_core:
            command = ["taskset", "-c", self.core, *command]
        try:
            done = subprocess.run([str(word) for word in command], stdin=stdin, capture_output=True, text=True,
                                  check=False, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(str(error)) from error
        if done.returncode != 0:
            complaint = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise Failed(f"{pathlib.Path(str(command[3 if one_core else 0])).name}: {complaint[0]}")
        return done.stdout

    def run_json(self, command, one_core=False):
        return json.loads(self.run(command, one_core).strip().splitlines()[-1])

    def pipeline(self, text, *options, one_core=False, stdin=subprocess.DEVNULL):
        """The report of one run of weir. A failure, or records that are not accounted for, is an error."""
        path = self.data / "pipeline.yaml"
        path.write_text(text, encoding="utf-8")
        output = self.run([self.weir, "run", path, "--json", "--quiet", *options], one_core, stdin)
        report = json.loads(output.strip().splitlines()[-1])
        if report["unaccounted"] or report["records_refused"] or report["failure"]:
            raise Failed(f"weir: {report['failure'] or 'records were refused or lost'}")
        return report

    def in_turns(self, cases, once=()):
        """Runs all cases one after the other, as often as is right, so that whatever else the machine does is unfair to
        none. cases: name → function. Returns name → list of results; a case that failed has its Failed there.
        once: the names of those that take so long that one turn has to do."""
        results = {name: [] for name in cases}
        for turn in range(self.runs):
            for name, function in cases.items():
                if isinstance(results[name], Failed) or (turn and name in once):
                    continue
                self.say(f"{name} ({turn + 1} of {self.runs})")
                try:
                    results[name].append(function())
                except Failed as failure:
                    results[name] = failure
        return results

    def peers(self, *arguments):
        return self.run_json([PYTHON, HERE / "peers.py", *arguments], one_core=True)

    def records_file(self, form):
        """The path of the records as ndjson or csv; made at the first use."""
        path = self.data / f"records-{self.records}.{form}"
        if not path.exists():
            self.say(f"making {path}")
            needed = self.records * BYTES_PER_RECORD
            if shutil.disk_usage(self.data).free < 2 * needed:
                sys.exit(f"{self.data}: {2 * needed / 1e9:.0f} GB of free space are needed")
            partial = path.with_suffix(".partial")
            with open(partial, "wb") as out:
                subprocess.run([self.program("make_records"), form, str(self.records)], stdout=out, check=True)
            partial.rename(path)
        warm(path)
        return path


def warm(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def discard(*paths):
    for path in paths:
        pathlib.Path(path).unlink(missing_ok=True)


def median(values):
    return statistics.median(values)


def ratio(numerators, denominators):
    """Median of the ratios of each turn: what slowed one turn down slowed both."""
    return statistics.median(n / d for n, d in zip(numerators, denominators))


def busy_share():
    """How much of the machine others use, over a second of our doing nothing."""
    def ticks():
        with open("/proc/stat", encoding="ascii") as file:
            numbers = [int(number) for number in file.readline().split()[1:]]
        return sum(numbers), numbers[3] + numbers[4]

    total, idle = ticks()
    time.sleep(1)
    total_after, idle_after = ticks()
    return 1 - (idle_after - idle) / max(total_after - total, 1)


def git(*arguments):
    return subprocess.run(["git", "-C", HERE, *arguments], capture_output=True, text=True, check=False).stdout.strip()


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), os.uname().machine)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    commit = git("describe", "--always")
    if git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)docs"):  # tables go to docs/
        commit += "-dirty"
    return {"model": model, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory / 2**30),
            "kernel": os.uname().release, "busy": busy_share(), "commit": commit or None,
            "date": time.strftime("%Y-%m-%d")}
