# SPDX-License-Identifier: MIT
"""What measuring costs, and whether what it foretells comes true: a section of run.py."""
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.request

from harness import Failed, median, ratio
from table import Row, rate

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "wrong_bottleneck.yaml"
TURNS = 7  # small differences: more turns than elsewhere
SCRAPES = 200
SERVED = """\
sources:
  fleet: {type: generate, keys: 1000, rate: unlimited, seed: 1}
stages:
  - filter: value > -40 and value < 125
  - normalize: {field: value, mean: 20, stddev: 5, as: z}
  - rolling: {field: value, window: 10, compute: [mean, stddev]}
sinks:
  none: {type: "null"}
run: {lanes: 1}
serve: {listen: 127.0.0.1:0}
"""


def percent(share):
    return f"{100 * share:+.1f} %"


def spent(command):
    """Runs it: (its output, the seconds of processor time that it took). What else the machine does takes processors
    from everybody, but does not make anybody's work more."""
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL) as process:
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(errors.decode().strip().splitlines()[0] if errors.strip() else f"exit {process.returncode}")
    return json.loads(output.strip().splitlines()[-1]), usage.ru_utime + usage.ru_stime


def in_turns(bench, cases):
    """As the bench's own, but more often: what is looked for is small."""
    kept, bench.runs = bench.runs, 2 if bench.quick else TURNS
    try:
        return bench.in_turns(cases)
    finally:
        bench.runs = kept


def cost_row(job, plain, measured, goal):
    """plain, measured: lists of (records per second, processor seconds), of runs that took turns."""
    for results in (plain, measured):
        if isinstance(results, Failed):
            return Row(job, f"failed: {results}", goal=f"≤ {goal:.0%}")
    work = ratio([m[1] for m in measured], [p[1] for p in plain]) - 1
    pace = ratio([p[0] for p in plain], [m[0] for m in measured]) - 1
    return Row(job, f"{percent(work)} processor time", f"{percent(pace)} time; without: "
               f"{rate(median([p[0] for p in plain]))}", goal=f"≤ {100 * goal:.0f} %", met=work <= goal,
               figures={"processor_seconds": [m[1] for m in measured], "beside": [p[1] for p in plain],
                        "overhead": work, "overhead_in_time": pace})


# ---- weir profile --------------------------------------------------------------------------------------------------


def profile_cost(bench):
    """Of the example with the fast method, where a record costs the least work, and so measuring weighs the most."""
    options = ("--limit", bench.records, "--set", "stages.rolling.method=incremental", "--json")

    def case(command, *more):
        def run():
            report, seconds = spent([bench.weir, command, EXAMPLE, *options, *more])
            return report["records_per_second"], seconds
        return run

    results = in_turns(bench, {"run": case("run", "--quiet"), "profile": case("profile")})
    return [cost_row("weir profile against weir run, the example with method: incremental", results["run"],
                     results["profile"], 0.02)]


def amdahl(bench):
    """Each stage is taken out of the example; the profile of all of it said what that would gain."""
    text = EXAMPLE.read_text(encoding="utf-8")
    lines = {name: next(line for line in text.splitlines() if line.startswith(f"  - {name}:"))
             for name in ("filter", "normalize", "rolling")}
    texts = {name: text.replace(line + "\n", "") for name, line in lines.items()} | {"all": text}
    # Without the normalizer there is no z to roll over.
    texts["normalize"] = texts["normalize"].replace("field: z, window", "field: value, window")

    def case(name):
        path = bench.data / f"amdahl-{name}.yaml"
        path.write_text(texts[name], encoding="utf-8")

        def run():
            limit = bench.records // 5
            profile = bench.run_json([bench.weir, "profile", path, "--json", "--limit", limit])
            report = bench.run_json([bench.weir, "run", path, "--json", "--quiet", "--limit", limit])
            return profile, report["records_per_second"]
        return run

    results = in_turns(bench, {name: case(name) for name in texts})
    rows = []
    for name in lines:
        job = f"Amdahl's bound for {name} against {name} taken out"
        if failure := next((r for r in results.values() if isinstance(r, Failed)), None):
            return [Row(job, f"failed: {failure}", goal="within 10 %")]
        foretold = [next(row for row in profile["rows"] if row["name"] == name and row["work"] == "process")
                    ["speedup_if_removed"] for profile, _ in results["all"]]
        # The pace that the critical thread's work allows: what others take of the processors is not in it.
        allowed = [without["bound_per_second"] / whole["bound_per_second"]
                   for (whole, _), (without, _) in zip(results["all"], results[name])]
        pace = ratio([r for _, r in results[name]], [r for _, r in results["all"]])
        off = ratio(allowed, foretold) - 1
        rows.append(Row(job, f"foretold {median(foretold):.2f} ×",
                        f"by its work {median(allowed):.2f} ×, by the clock {pace:.2f} ×", percent(off), "within 10 %",
                        abs(off) <= 0.1, {"foretold": foretold, "by_work": allowed, "by_clock": pace}))
    return rows


# ---- Metrics -------------------------------------------------------------------------------------------------------


class Served:
    """A run that serves, and who asks it `every` so often, while it lasts; every None: nobody does."""

    def __init__(self, bench, limit, every):
        path = bench.data / "served.yaml"
        path.write_text(SERVED, encoding="utf-8")
        self.command = [bench.weir, "run", path, "--json", "--limit", limit]
        self.every, self.took, self.bytes = every, [], 0

    def scrape(self, address, stop):
        time.sleep(0.3)  # it has to begin first
        while not stop.is_set() and len(self.took) < SCRAPES:
            begin = time.perf_counter()
            try:
                with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                    self.bytes = len(answer.read())
            except OSError:
                return
            self.took.append(time.perf_counter() - begin)
            stop.wait(self.every)

    def run(self):
        """(records per second, processor seconds)"""
        with subprocess.Popen([str(word) for word in self.command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL) as process:
            stop, asker, errors = threading.Event(), None, b""
            for line in process.stderr:  # all of it: the pipe must not fill up
                errors += line
                found = re.search(rb"http://(\S+)/metrics", line)
                if found and self.every is not None and not asker:
                    asker = threading.Thread(target=self.scrape, args=(found.group(1).decode(), stop))
                    asker.start()
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            stop.set()
            if asker:
                asker.join()
        if process.returncode != 0:
            raise Failed(errors.decode().strip().splitlines()[0])
        return (json.loads(output.strip().splitlines()[-1])["records_per_second"], usage.ru_utime + usage.ru_stime)


def metrics_cost(bench):
    limit = bench.records * 4
    results = in_turns(bench, {"alone": lambda: Served(bench, limit, None).run(),
                               "scraped": lambda: Served(bench, limit, 1).run()})
    rows = [cost_row("/metrics asked for each second, at full load", results["alone"], results["scraped"], 0.01)]
    served = Served(bench, limit * 2, 0.01)
    job = "/metrics answered, at full load: median"
    try:
        served.run()
    except Failed as failure:
        return rows + [Row(job, f"failed: {failure}", goal="≤ 5 ms")]
    took = sorted(served.took)
    middle = median(took)
    rows.append(Row(job, f"{middle * 1e3:.2f} ms", f"p99 {took[int(len(took) * 0.99)] * 1e3:.2f} ms, {len(took)} times, "
                    f"{served.bytes / 1024:.0f} KiB each", goal="≤ 5 ms", met=middle <= 5e-3, figures={"seconds": took}))
    return rows


def measuring(bench):
    return profile_cost(bench) + amdahl(bench) + metrics_cost(bench)
