# SPDX-License-Identifier: MIT
"""weir sweep: its rate beside wrk's against the same server, what it adds to a response, whether it finds the right
concurrency on the real clock, and the concurrency trap."""
import concurrent.futures
import contextlib
import json
import os
import random
import re
import shutil
import subprocess

from harness import Failed, median
from measure_async import failed, simulated
from table import Row, microseconds

CONNECTIONS = 2000
SPOTS = 10
TOGETHER = 3  # servers swept at the same time: they mostly wait


def per_second(rate):
    return f"{rate:,.0f}/s"


@contextlib.contextmanager
def trivial(bench):
    """The server that does as little as it can, on the first processor; yields its URL."""
    command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), bench.program("trivial_server")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.stdin.close()
            process.wait(timeout=20)


def sweep(bench, url, *options, one_core=False):
    output = bench.run([bench.weir, "sweep", url, "--json", "--quiet", *options], one_core)
    return json.loads(output)


def wrk(bench, url, connections, seconds):
    output = bench.run(["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", url], one_core=True)
    if errors := re.search(r"Socket errors:.*", output):
        raise Failed(f"wrk: {errors[0]}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", output)[1])


# ---- Speed ----------------------------------------------------------------------------------------------------------


def speed(bench):
    seconds = 1 if bench.quick else 4
    job = f"sweep, one core, {CONNECTIONS:,} connections to a trivial server"
    with trivial(bench) as url:
        cases = {"weir": lambda: sweep(bench, url, "-c", CONNECTIONS, "-d", f"{seconds}s", "--repeats", "1",
                                       one_core=True)["levels"][0]["throughput_per_second"]}
        if shutil.which("wrk"):
            cases["wrk"] = lambda: wrk(bench, url, CONNECTIONS, seconds)
        results = bench.in_turns(cases)
        added = bench.in_turns({"added": lambda: sweep(bench, url, "-c", "1", "-d", "1s", one_core=True)})["added"]
    ours, theirs = results["weir"], results.get("wrk")
    if isinstance(ours, Failed):
        return [failed(job, ours, "≥ 0.6 × wrk's")]
    row = Row(job, per_second(median(ours)), goal="≥ 0.6 × wrk's", figures={"rates": ours})
    if theirs and not isinstance(theirs, Failed):
        ratio = median([a / b for a, b in zip(ours, theirs)])
        row.beside, row.ratio, row.met = f"wrk {per_second(median(theirs))}", f"{ratio:.2f} ×", ratio >= 0.6
    rows = [row]
    if not isinstance(added, Failed):
        # All of it, the server's time included: what is added can only be less.
        p50 = median([report["levels"][0]["response_seconds"]["p50"] for report in added])
        rows.append(Row("sweep, concurrency 1: a whole response, server and all", microseconds(p50),
                        goal="≤ 50 µs", met=p50 <= 50e-6))
    return rows


# ---- Truth ----------------------------------------------------------------------------------------------------------


def spots(bench):
    """The knee of a server is where all its workers are busy."""
    chance = random.Random(1)

    def find(server):
        workers, service = server
        bench.say(f"sweet spot of {workers} workers")
        with simulated(bench, "server", "--workers", str(workers), "--service", f"{service}ms") as address:
            spot = sweep(bench, f"http://{address}/", "--auto", "-d", "500ms", "--warmup", "200ms")["sweet_spot"]
        return workers, spot["concurrency"] if spot else 0

    servers = [(chance.randint(5, 60), chance.randint(10, 50)) for _ in range(3 if bench.quick else SPOTS)]
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        found = list(pool.map(find, servers))
    right = sum(abs(spot - workers) <= 0.1 * workers for workers, spot in found)
    return [Row(f"sweep --auto, the true concurrency within 10 %, {len(found)} servers", f"{right} of {len(found)}",
                goal="9 of 10", met=right >= 0.9 * len(found), figures={"workers_and_spots": found})]


def percentiles(bench):
    """A server whose latencies are known: uniform between 20 and 60 ms."""
    with simulated(bench, "server", "--workers", "200", "--service", "40ms", "--distribution", "uniform", "--jitter",
                   "20ms") as address:
        level = sweep(bench, f"http://{address}/", "-c", "50", "-d", "3s")["levels"][0]
    truth = {"p50": 0.040, "p90": 0.056, "p99": 0.0596}
    worst = max(abs(level["response_seconds"][name] / value - 1) for name, value in truth.items())
    return [Row("sweep, p50, p90 and p99 of a known distribution: largest error", f"{worst:.1%}", goal="≤ 5 %",
                met=worst <= 0.05, figures=level["response_seconds"])]


def trap(bench):
    """Bursts on a server that is overloaded from 1,000 on: what anchors call the concurrency trap."""
    with simulated(bench, "server", "--workers", "125", "--service", "2.4s", "--distribution", "lognormal", "--jitter",
                   "200ms", "--timeout", "11s", "--queue", "515") as address:
        report = sweep(bench, f"http://{address}/", "--once", "-c", "1,500,1000,2000", "--repeats", "1", "--timeout",
                       "30s", "--keep-going")
    rows = []
    for level in report["levels"]:
        rows.append(Row(f"sweep --once, burst of {level['concurrency']:,}: raw; good",
                        f"{level['throughput_per_second']:.3g}/s", f"{level['goodput_per_second']:.3g}/s",
                        f"{level['success_ratio']:.1%}"))
    spot = report["sweet_spot"]
    rows[1].goal, rows[1].met = "the level to use", bool(spot) and spot["concurrency"] == 500
    return rows


def section(bench):
    def rows_of(part):
        try:
            return part(bench)
        except Failed as failure:
            return [failed(f"sweep: {part.__name__}", failure)]

    rows = rows_of(speed) + rows_of(percentiles)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # bursts are over at once; their server then works for long
        bursts = pool.submit(rows_of, trap)
        rows += rows_of(spots)
        return rows + bursts.result()


SECTIONS = {"sweep": section}
