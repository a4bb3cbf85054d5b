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
TURNS_LARGE = 5  # of what is not as small
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


def in_turns(bench, cases, turns=TURNS):
    """As the bench's own, but more often: what is looked for is small."""
    kept, bench.runs = bench.runs, 2 if bench.quick else turns
    try:
        return bench.in_turns(cases)
    finally:
        bench.runs = kept


def cost_row(job, results, share, goal):
    """results: of "without" and "with", which took turns: lists of (records per second, processor seconds). The least
    of each counts: whatever else runs makes work slower, never faster. share: of a processor, as it was measured where
    there was little else to do."""
    without, measured = results["without"], results["with"]
    goal_words = f"≤ {100 * goal:.0f} %"
    if failure := next((r for r in (without, measured, share) if isinstance(r, Failed)), None):
        return Row(job, f"failed: {failure}", goal=goal_words)
    work = min(seconds for _, seconds in measured) / min(seconds for _, seconds in without) - 1
    pace = max(pace for pace, _ in without) / max(pace for pace, _ in measured) - 1
    return Row(job, f"{100 * median(share):.2f} % of a processor",
               f"at full load {percent(work)} work, {percent(pace)} time", goal=goal_words,
               met=median(share) <= goal and min(work, pace) <= goal,
               figures={"share": share, "processor_seconds": [s for _, s in measured],
                        "beside": [s for _, s in without], "work": work, "time": pace})


# ---- weir profile --------------------------------------------------------------------------------------------------


def profile_cost(bench):
    """Of the example with the fast method, where a record costs the least work, and so measuring weighs the most."""
    def case(command, *options):
        def run():
            report, seconds = spent([bench.weir, command, EXAMPLE, "--json", *options])
            return report["records_per_second"], seconds
        return run

    fast = ("--set", "stages.rolling.method=incremental", "--limit", bench.records // 4)
    slow = ("--set", "sources.machine.rate=1000/s", "--duration", "3s")
    full = in_turns(bench, {"without": case("run", "--quiet", *fast), "with": case("profile", *fast)})
    idle = bench.in_turns({"without": case("run", "--quiet", *slow), "with": case("profile", *slow)})
    failure = next((r for r in idle.values() if isinstance(r, Failed)), None)
    share = failure or [(m[1] - w[1]) / 3 for w, m in zip(idle["without"], idle["with"])]
    return [cost_row("weir profile against weir run, the example with method: incremental", full, share, 0.02)]


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
            limit = 1_000_000 if bench.quick else 2_000_000
            profile = bench.run_json([bench.weir, "profile", path, "--json", "--limit", limit])
            report = bench.run_json([bench.weir, "run", path, "--json", "--quiet", "--limit", limit])
            return profile, report["records_per_second"]
        return run

    results = in_turns(bench, {name: case(name) for name in texts}, TURNS_LARGE)
    rows = []
    for name in lines:
        job = f"Amdahl's bound for {name} against {name} taken out"
        if failure := next((r for r in results.values() if isinstance(r, Failed)), None):
            return [Row(job, f"failed: {failure}", goal="within 10 %")]
        # The pace that the critical thread's work allows, and of all turns the one that was disturbed the least:
        # what others take of the processors is not in it, what they take of the caches is.
        whole, without = (max((profile for profile, _ in results[case]), key=lambda p: p["bound_per_second"])
                          for case in ("all", name))
        foretold = next(row for row in whole["rows"] if row["name"] == name and row["work"] == "process")[
            "speedup_if_removed"]
        allowed = without["bound_per_second"] / whole["bound_per_second"]
        pace = ratio([r for _, r in results[name]], [r for _, r in results["all"]])
        off = allowed / foretold - 1
        rows.append(Row(job, f"foretold {foretold:.2f} ×",
                        f"by its work {allowed:.2f} ×, by the clock {pace:.2f} ×", percent(off), "within 10 %",
                        abs(off) <= 0.1, {"foretold": foretold, "by_work": allowed, "by_clock": pace}))
    return rows


# ---- Metrics -------------------------------------------------------------------------------------------------------


def ask(address, every, most, stop):
    """Scrapes: (seconds that each took, bytes of the last)."""
    took, size = [], 0
    while len(took) < most and not stop.is_set():
        begin = time.perf_counter()
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                size = len(answer.read())
        except OSError:
            break
        took.append(time.perf_counter() - begin)
        stop.wait(every)
    return took, size


def serve(bench, options, every=None, most=SCRAPES):
    """A run that serves, asked each `every` seconds while it lasts: (records per second, processor seconds, what ask
    says)."""
    path = bench.data / "served.yaml"
    path.write_text(SERVED, encoding="utf-8")
    found, stop, asked, errors = None, threading.Event(), ([], 0), b""
    with subprocess.Popen([str(word) for word in (bench.weir, "run", path, "--json", *options)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        for line in process.stderr:
            errors += line
            found = re.search(rb"http://(\S+)/metrics", line)
            if found:
                break
        drain = threading.Thread(target=process.stderr.read)  # the pipe must not fill up
        drain.start()
        output = []
        reader = threading.Thread(target=lambda: (output.append(process.stdout.read()), stop.set()))
        reader.start()
        if found and every is not None:
            time.sleep(0.2)  # it has to begin first
            asked = ask(found.group(1).decode(), every, most, stop)
        reader.join()
        drain.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed((errors.decode().strip().splitlines() or ["weir failed"])[0])
    report = json.loads(output[0].strip().splitlines()[-1])
    return report["records_per_second"], usage.ru_utime + usage.ru_stime, asked


def metrics_cost(bench):
    full, slow = ("--limit", bench.records * 3), ("--set", "sources.fleet.rate=1000/s", "--duration", "3s")
    results = in_turns(bench, {"without": lambda: serve(bench, full)[:2], "with": lambda: serve(bench, full, 1)[:2]})
    idle = bench.in_turns({"without": lambda: serve(bench, slow), "with": lambda: serve(bench, slow, 0.01)})
    failure = next((r for r in idle.values() if isinstance(r, Failed)), None)
    share = failure or [(m[1] - w[1]) / len(m[2][0]) for w, m in zip(idle["without"], idle["with"])]
    rows = [cost_row("/metrics asked for each second", results, share, 0.01)]
    job = "/metrics answered, at full load: median"
    try:
        took, size = serve(bench, ("--duration", "3s"), 0.005)[2]
        if not took:
            raise Failed("nothing was answered")
    except Failed as failed:
        return rows + [Row(job, f"failed: {failed}", goal="≤ 5 ms")]
    middle = median(took)
    rows.append(Row(job, f"{middle * 1e3:.2f} ms", f"p99 {sorted(took)[int(len(took) * 0.99)] * 1e3:.2f} ms, "
                    f"{len(took)} times, {size / 1024:.0f} KiB each", goal="≤ 5 ms", met=middle <= 5e-3,
                    figures={"seconds": took}))
    return rows


def measuring(bench):
    return profile_cost(bench) + amdahl(bench) + metrics_cost(bench)
