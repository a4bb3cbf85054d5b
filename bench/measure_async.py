# SPDX-License-Identifier: MIT
"""What waiting costs: tasks beside asyncio, and a fleet of HTTP sensors beside aiohttp and a bare epoll loop, all of
them against one server (weir simulate fleet); neighbours of broken sensors; the adaptive limit; a simulated day."""
import collections
import contextlib
import csv
import datetime
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import time

from harness import HERE, PYTHON, Failed, discard, median
from table import Row, nanoseconds

SLEEPERS = 100_000
KIB = 1024
# `values` without the time that the server says: that of a record is then when its answer was there.
FLEET = """\
sources:
  fleet: {{type: http, url: "http://{address}/sensor/{{0..{last}}}", every: 0s, spread: 0, timeout: {timeout}, \
retries: 0, count: {count}, values: {{value: /value}}}}
sinks:
  out: {{type: file, path: {path}}}
"""


def milliseconds(ms):
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.1f} ms"


def failed(job, failure, goal=""):
    return Row(job, f"failed: {failure}", goal=goal)


@contextlib.contextmanager
def simulated(bench, *arguments):
    """A peer that runs as long as the block, on another core than those who ask it; yields host:port."""
    others = ",".join(str(core) for core in os.sched_getaffinity(0) if str(core) != str(bench.core))
    apart = ["taskset", "-c", others] if others else []
    with subprocess.Popen([*apart, bench.weir, "simulate", *arguments, "--listen", "127.0.0.1:0"],
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
            if not found:
                raise Failed(f"weir simulate {arguments[0]} does not listen")
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)


# ---- Tasks ----------------------------------------------------------------------------------------------------------


def tasks(bench):
    results = bench.in_turns({
        "tasks": lambda: bench.run_json([bench.program("async_tasks"), SLEEPERS, 3], one_core=True),
        "asyncio": lambda: bench.run_json([PYTHON, HERE / "async_peers.py", "tasks", SLEEPERS], one_core=True)},
        once={"asyncio"})
    ours, theirs = results["tasks"], results["asyncio"]
    if isinstance(ours, Failed):
        return [failed("tasks", ours)]
    peer = None if isinstance(theirs, Failed) else theirs
    rows = []

    def add(job, key, goal, goal_words, show, of=lambda run, key: run[key]):
        value = median([of(run, key) for run in ours])
        row = Row(job, show(value), goal=goal_words, met=value <= goal, figures={key: value})
        if peer:
            beside = median([of(run, key) for run in peer])
            row.beside, row.ratio = f"asyncio {show(beside)}", f"{value / beside:.3f} ×"
            row.figures["beside"] = beside
        rows.append(row)

    add("task switch", "switch_ns", 15, "≤ 15 ns", nanoseconds)
    add("task spawned and collected, warm", "spawn_ns", 150, "≤ 150 ns", nanoseconds)
    add("item through a channel, one loop", "channel_ns", 30, "≤ 30 ns", nanoseconds)
    add("100,000 tasks sleep 100 ms, from the second cycle", "cycles_ms", 130, "≤ 130 ms", milliseconds,
        lambda run, key: median(run[key][1:]))
    add("resident, each of them", "sleeper_bytes", 8 * KIB, "≤ 8 KiB", lambda size: f"{size / KIB:.1f} KiB")
    return rows


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def read_fleet(bench, address, sensors, count, *options, timeout="10s"):
    """The report, and seconds from each answer of a sensor to its next, a list by sensor."""
    out = bench.data / "fleet.csv"
    discard(out)
    report = bench.pipeline(FLEET.format(address=address, last=sensors - 1, timeout=timeout, count=count,
                                         path=json.dumps(str(out))), *options, one_core=True)
    times = collections.defaultdict(list)
    with open(out, encoding="utf-8") as file:
        for record in csv.DictReader(file):
            times[record["sensor"]].append(datetime.datetime.fromisoformat(record["ts"]))
    discard(out)
    return report, [[(later - earlier).total_seconds() for earlier, later in itertools.pairwise(sorted(its))]
                    for its in times.values()]


def our_cycle(bench, address, sensors, cycles):
    """Milliseconds from a sensor's first answer, whose connection is new, to its last, on average over sensors, by
    cycle. And how much more was resident than with one sensor, by sensor."""
    alone, _ = read_fleet(bench, address, 1, cycles + 1)
    report, spans = read_fleet(bench, address, sensors, cycles + 1)
    if len(spans) != sensors or any(len(its) != cycles for its in spans):
        raise Failed("weir: a sensor did not answer each time")
    return {"cycle": sum(map(sum, spans)) / sensors / cycles * 1e3,
            "bytes": (report["peak_memory_bytes"] - alone["peak_memory_bytes"]) / (sensors - 1)}


def their_cycle(bench, command):
    return bench.run_json(command, one_core=True)["cycle_ms"]


def fleet_of(bench, sensors, goal):
    cycles = 5 if bench.quick else 10
    with simulated(bench, "fleet", "--sensors", str(sensors), "--latency", "100ms") as address:
        where = [*address.split(":"), sensors]
        results = bench.in_turns({
            f"weir, {sensors} sensors": lambda: our_cycle(bench, address, sensors, cycles),
            "epoll": lambda: their_cycle(bench, [bench.program("http_epoll"), *where, cycles]),
            "aiohttp": lambda: their_cycle(bench, [PYTHON, HERE / "async_peers.py", "http", *where, 2])},
            once={"aiohttp"})
    ours, epoll, aiohttp = results.values()
    job = f"{sensors:,} HTTP sensors that answer after 100 ms, a cycle"
    if isinstance(ours, Failed):
        return [failed(job, ours, f"≤ {goal} ms")]
    cycle, size = median([run["cycle"] for run in ours]), median([run["bytes"] for run in ours])
    row = Row(job, milliseconds(cycle), goal=f"≤ {goal} ms", met=cycle <= goal, figures={"cycle_ms": cycle})
    beside = {name: median(peer) for name, peer in (("bare epoll", epoll), ("aiohttp", aiohttp))
              if not isinstance(peer, Failed)}
    row.beside = ", ".join(f"{name} {milliseconds(value)}" for name, value in beside.items())
    row.figures |= beside
    if "bare epoll" in beside:
        row.ratio = f"{cycle / beside['bare epoll']:.2f} ×"
    return [row, Row(f"{sensors:,} HTTP sensors: resident, each", f"{size / KIB:.1f} KiB", goal="≤ 20 KiB",
                     met=size <= 20 * KIB, figures={"bytes": size})]


def neighbours(bench):
    """What answers, answers as if nobody else were broken."""
    job, goal = "1,000 sensors, 16 of them hang, reset or talk garbage: p99 of the others' cycles", "+ ≤ 5 % or 2 ms"
    broken = ("--set", "sensor=0", "--set", "mode=hang", "--set", "sensor=1..10", "--set", "mode=reset",
              "--set", "sensor=11..15", "--set", "mode=garbage")

    def p99(answering, *settings):
        with simulated(bench, "fleet", "--sensors", "1000", "--latency", "100ms", *settings) as address:
            _, spans = read_fleet(bench, address, 1000, 0, "--duration", "3s" if bench.quick else "6s", timeout="2s")
        if len(spans) != answering:
            raise Failed(f"{len(spans)} sensors answered, not {answering}")
        return statistics.quantiles(itertools.chain(*spans), n=100)[98] * 1e3

    results = bench.in_turns({"all are well": lambda: p99(1000), "16 are broken": lambda: p99(984, *broken)})
    well, ill = results.values()
    for result in (well, ill):
        if isinstance(result, Failed):
            return [failed(job, result, goal)]
    before, after = median(well), median(ill)
    return [Row(job, milliseconds(after), f"all are well: {milliseconds(before)}", f"{after / before:.3f} ×", goal,
                after <= max(before * 1.05, before + 2), {"well_ms": before, "ill_ms": after})]


def limit(bench):
    """The adaptive limit beside fixed ones, of which the best at each capacity counts."""
    settle, measure = ("2", "2") if bench.quick else ("10", "3")
    figures = {}
    with simulated(bench, "server", "--workers", "50", "--service", "50ms", "--timeout", "1s") as address:
        program = [bench.program("http_limit"), f"http://{address}/"]
        for how in ("adaptive", "25", "50", "75", "100"):
            bench.say(f"limit {how}")
            wait = settle if how == "adaptive" else "1"
            figures[how] = bench.run_json([*program, how, wait, measure], one_core=True)["phases"]
    rows = []
    for phase, workers in enumerate((50, 25, 100)):
        ours = figures["adaptive"][phase]
        best = max(runs[phase]["good_per_second"] for how, runs in figures.items() if how != "adaptive")
        share = ours["good_per_second"] / best
        rows.append(Row(f"adaptive limit, {workers} workers × 50 ms, {settle} s after they were changed",
                        f"{ours['good_per_second']:.0f}/s, {ours['success']:.2%} good, limit {ours['limit']}",
                        f"best fixed limit {best:.0f}/s", f"{share:.2f} ×", "≥ 99.5 % good, ≥ 0.90 ×",
                        ours["success"] >= 0.995 and share >= 0.9, {"phase": ours, "best": best}))
    return rows


def fleet(bench):
    rows = []
    for sensors, goal in ((1000, 115), (5000, 180), (10_000, 250)):
        rows += fleet_of(bench, sensors, goal)
    return rows + neighbours(bench)


def limits(bench):
    try:
        return limit(bench)
    except Failed as failure:
        return [failed("adaptive limit", failure)]


# ---- Simulated ------------------------------------------------------------------------------------------------------

DAY = """\
sources:
  fleet: {type: http, url: "http://plant.example/sensor/{0..99}", every: 60s, timeout: 2s}
sinks:
  none: {type: "null"}
"""
# One hangs, three reset, one talks garbage, all fail and stall now and then, and every half hour nobody listens.
FAULTS = ("sensor=0", "mode=hang", "sensor=1..3", "mode=reset", "sensor=4", "mode=garbage", "fail=0.01", "stall=0.001",
          "stall_time=30s", "restart_every=30min", "down=30s")


def day(bench):
    job, goal = "24 simulated hours of 100 sensors with faults, read every minute", "≤ 10 s, all accounted for"
    faults = [word for fault in FAULTS for word in ("--fleet", fault)]

    def run():
        began = time.monotonic()
        report = bench.pipeline(DAY, "--simulated", "--seed", "7", "--duration", "24h", *faults)
        took = time.monotonic() - began
        facts = {fact["name"]: fact.get("value") for fact in report["facts"]}
        if report["records_stored"] != facts["answers"]:
            raise Failed(f"{facts['answers']} answers, but {report['records_stored']} records")
        return took, facts

    runs = bench.in_turns({"a day": run})["a day"]
    if isinstance(runs, Failed):
        return [failed(job, runs, goal)]
    took, facts = median([run[0] for run in runs]), runs[0][1]
    return [Row(job, f"{took:.1f} s", f"{facts['answers']:,.0f} answers, {facts['failed']:,.0f} readings failed",
                goal=goal, met=took <= 10, figures={"seconds": took})]


SECTIONS = {"tasks": tasks, "fleet": fleet, "limit": limits, "day": day}
