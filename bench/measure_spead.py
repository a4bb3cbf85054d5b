# SPDX-License-Identifier: MIT
"""What run.py measures of SPEAD. Others to compare with are commands in the environment, whose last number is Gb/s:

WEIR_BENCH_SPEAD         the sustainable rate of another sender and receiver; it is given WEIR_SPEAD_PACKET, _HEAP_SIZE,
                         _SEND_CPU and _RECV_CPU, as by weir spead bench --against
WEIR_BENCH_SPEAD_MEMORY  decoding in memory
"""
import json
import os
import re

from harness import Failed, median
from table import Row

PAIR, MEMORY = "WEIR_BENCH_SPEAD", "WEIR_BENCH_SPEAD_MEMORY"


def failed(job, failure, goal=""):
    return Row(job, f"failed: {failure}", goal=goal)


def gbps(value):
    return f"{value:.1f} Gb/s"


def sustainable(bench, packet, goal):
    job = f"SPEAD, sustainable rate over loopback, heaps of 4 MiB, packets of {packet} bytes"
    command = [bench.weir, "spead", "bench", "--json", "--quiet", "--packet", packet, "--runs", bench.runs]
    if bench.quick:
        command += ["--passes", 1, "--bytes", 2e8, "--seconds", 0.2]
    if os.environ.get(PAIR):
        command += ["--against", os.environ[PAIR]]
    try:
        report = bench.run_json(command)
        limit = bench.run_json([bench.program("udp_limit"), "--packet", packet, "--header", 72, "--bytes", 1000000000])
    except Failed as failure:
        return failed(job, failure, f"≥ {goal} ×")
    ours, other = report["sustainable_gbps"], next(iter(report["against"]), None)
    row = Row(job, gbps(ours), f"bare UDP, a flood: {gbps(limit['received_gbps'])}", goal=f"≥ {goal} × {PAIR}",
              figures={"gbps": report["runs"], "limit": limit})
    if other and other["ratio"]:
        row.beside = f"{gbps(other['gbps'])}; {row.beside}"
        row.ratio, row.met = f"{other['ratio']:.2f} ×", other["ratio"] >= goal
        row.figures["beside"] = other["runs"]
    return row


def other_memory(bench):
    """Gb/s of the other decoder; None: none is named."""
    command = os.environ.get(MEMORY)
    if not command:
        return None
    numbers = re.findall(r"\d+(?:\.\d+)?", bench.run(["sh", "-c", command], one_core=True))
    if not numbers:
        raise Failed(f"{MEMORY} has printed no number")
    return float(numbers[-1])


def memory(bench):
    job = "SPEAD, packets of 1472 bytes in the cache to heaps of 256 KiB, one core"
    results = bench.in_turns({
        "in memory": lambda: bench.run_json([bench.program("spead_decode")], one_core=True)["gbps"],
        "other": lambda: other_memory(bench),
    })
    ours, theirs = results["in memory"], results["other"]
    if isinstance(ours, Failed):
        return failed(job, ours)
    row = Row(job, gbps(median(ours)), goal=f"≥ 1.5 × {MEMORY}", figures={"gbps": ours})
    if not isinstance(theirs, Failed) and theirs[0]:
        times = median(ours) / median(theirs)
        row.beside, row.ratio, row.met = gbps(median(theirs)), f"{times:.2f} ×", times >= 1.5
    return row


def size_words(size):
    return f"{size // 1024} KiB" if size < 2**20 else f"{size // 2**20} MiB"


def tutorial_row(step, first):
    job = f"SPEAD, {step['step']}: heaps of {size_words(step['heap_size'])}, packets of {step['packet']} bytes"
    row = Row(job, f"{step['mb_per_second']} MB/s", figures=step)
    if step["wakeups"]:
        row.beside = f"{step['wakeups'] / step['heaps']:.2f} wake-ups a heap"
    if step.get("gain"):
        row.ratio = f"{step['gain']:.2f} ×"
        if step["step"].startswith("equal cost"):
            row.goal, row.met = "≥ 1.67 ×", step["gain"] >= 1.67
    elif first:
        row.ratio = f"{step['mb_per_second'] / first['mb_per_second']:.2f} ×"
    return row


def grid_row(steps):
    """Heaps of one size, with more and more of them in flight."""
    flights = ", ".join(str(step["in_flight"]) for step in steps)
    wakeups = ", ".join(f"{step['wakeups'] / step['heaps']:.2f}" for step in steps)
    return Row(f"SPEAD, heaps of {size_words(steps[0]['heap_size'])}, sending alone, {flights} in flight",
               ", ".join(str(step["mb_per_second"]) for step in steps) + " MB/s", f"{wakeups} wake-ups a heap",
               figures={"steps": steps})


def tutorial(bench):
    try:
        output = bench.run([bench.program("spead_tutorial"), 0.2 if bench.quick else 1])
    except Failed as failure:
        return [failed("SPEAD, the tutorial", failure)]
    steps = [json.loads(line) for line in output.splitlines()]
    grid = [step for step in steps if step["step"] == "in flight"]
    rows = [tutorial_row(step, steps[0] if 0 < i < 4 else None) for i, step in enumerate(steps) if step not in grid]
    for size in sorted({step["heap_size"] for step in grid}):
        rows.append(grid_row([step for step in grid if step["heap_size"] == size]))
    return rows


def spead(bench):
    return [sustainable(bench, 1472, 1.3), sustainable(bench, 8872, 2), memory(bench), *tutorial(bench)]


SECTIONS = {"spead": spead}
