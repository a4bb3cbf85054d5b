# SPDX-License-Identifier: MIT
"""What run.py measures of SPEAD. Others to compare with are commands in the environment; the last number that each
prints counts. Without them it runs as well, and says so:

WEIR_BENCH_SPEAD         Gb/s, the sustainable rate of another sender and receiver as they come, with the socket buffer
                         that they ask for by themselves; the command is given WEIR_SPEAD_PACKET, _HEAP_SIZE,
                         _SEND_CPU and _RECV_CPU, as by weir spead bench --against
WEIR_BENCH_SPEAD_BUFFER  the same with a receiver's socket buffer as large as weir's, 64 MiB, which net.core.rmem_max
                         has to allow: what then is left is not the buffer's doing
WEIR_BENCH_SPEAD_SOAK    % of the heaps that arrive at the rate WEIR_SPEAD_RATE (Gb/s) in WEIR_SPEAD_SECONDS; and those
WEIR_BENCH_SPEAD_SMALL   MB/s of heaps of 8 KiB, reused and batched, in packets of 8872 bytes, sent to the local port
                         WEIR_SPEAD_PORT, where nobody reads them
WEIR_BENCH_SPEAD_MEMORY  Gb/s, decoding in memory

All of it takes less than eight minutes. Turns of another pair may take more than that: then there are fewer of them,
of the pair as it comes just one, and the rows say how many; --turns N makes it N, however long that takes.
"""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

from harness import Failed, median, ratio
from table import Row

PAIR, BUFFER, SOAK, SMALL, MEMORY = (f"WEIR_BENCH_SPEAD{name}" for name in
                                     ("", "_BUFFER", "_SOAK", "_SMALL", "_MEMORY"))
TURNS, TURNS_SECONDS = 5, 100  # of the sustainable rate: so many, or as many as fit into the time
PASS_SECONDS = 0.3  # at least: more than a dozen times what a buffer of 64 MiB holds, at the rates that are of interest
SOAK_SHARE, SOAK_SECONDS, OTHER_SOAK_SECONDS = 0.9, {1472: 10, 8872: 60}, 8
LATE_SECONDS, LATE_SOAK_SECONDS = 230, 30  # where the turns of others took so long, a shorter soak has to do
HEAP = 4 << 20
SENDERS, SENDERS_HEAP, SENDERS_MAX_HEAPS = 64, 1 << 20, 4
SOL_UDP, UDP_GRO = 17, 104
RMEM_MAX = pathlib.Path("/proc/sys/net/core/rmem_max")
PORT, PIPELINE_TRIES = 27148, 8
PIPELINE = """\
sources:
  antenna: {type: spead, listen: "127.0.0.1:%d", heap_memory: 256MiB, stop: any}
sinks:
  none: {type: "null"}
run: {lanes: 1, memory: 512MiB}
"""


def failed(job, failure, goal=""):
    return Row(job, f"failed: {failure}", goal=goal)


def gbps(value):
    return f"{value:.1f} Gb/s"


def other(bench, name, one_core=False, **given):
    """The number that the command in the variable prints; None: there is none."""
    command = os.environ.get(name)
    if not command:
        return None
    words = [f"{key}={value}" for key, value in given.items()]
    numbers = re.findall(r"\d+(?:\.\d+)?", bench.run(["env", *words, "sh", "-c", command], one_core=one_core))
    if not numbers:
        raise Failed(f"{name} has printed no number")
    return float(numbers[-1])


def absent(name):
    return "" if os.environ.get(name) else f"nothing: {name} is not set"


# ---- The sustainable rate --------------------------------------------------------------------------------------------


def one_turn(bench, packet, as_it_comes):
    """Gb/s by name: weir, limit (received by the bare loop), PAIR and BUFFER where they are to be had."""
    command = [bench.weir, "spead", "bench", "--json", "--quiet", "--packet", packet, "--heap-size", HEAP]
    command += ["--passes", 1, "--bytes", 2e8, "--seconds", 0.2] if bench.quick else ["--seconds", PASS_SECONDS]
    others = [name for name in ((BUFFER, PAIR) if as_it_comes else (BUFFER,)) if os.environ.get(name)]
    for name in others:
        command += ["--against", os.environ[name]]
    report = bench.run_json(command)
    limit = bench.run_json([bench.program("udp_limit"), "--packet", packet, "--header", 72, "--bytes", 2000000000])
    rates = {name: against["gbps"] for name, against in zip(others, report["against"])}
    return {"weir": report["sustainable_gbps"], "limit": limit["received_gbps"], **rates}


def turns_of(bench, packet):
    turns, start, most = [], time.monotonic(), bench.turns or (1 if bench.quick else TURNS)
    while len(turns) < most:
        began = time.monotonic()
        bench.say(f"sustainable rate, packets of {packet} bytes ({len(turns) + 1} of {most})")
        turns.append(one_turn(bench, packet, not turns or bench.turns))
        now = time.monotonic()
        if not bench.turns and now - start + (now - began) > TURNS_SECONDS:
            break
    return turns


def turns_words(count):
    return f"median of {count} turns" if count > 1 else "one turn"


def beside_pair(name, job, turns, goal):
    """A row of the turns in which the pair of that name was measured too."""
    both = [turn for turn in turns if turn.get(name) is not None]
    ours, theirs = [turn["weir"] for turn in both or turns], [turn[name] for turn in both]
    row = Row(f"{job} ({turns_words(len(both or turns))})", gbps(median(ours)),
              absent(name) or "failed: no figure", goal=f"≥ {goal} ×" if goal else "", figures={"gbps": ours})
    if theirs:
        times = ratio(ours, theirs)
        row.beside, row.ratio, row.met = gbps(median(theirs)), f"{times:.2f} ×", times >= goal if goal else None
        row.figures["beside"] = theirs
    return row


def sustainable(bench, packet, goal, rates):
    """Three rows: beside another pair as it comes, with as large a buffer as ours, and beside the bare loop. The median
    goes into `rates`."""
    job = f"SPEAD, sustainable rate over loopback, heaps of 4 MiB, packets of {packet} bytes"
    try:
        turns = turns_of(bench, packet)
    except Failed as failure:
        return [failed(job, failure, f"≥ {goal} ×")]
    ours, limits = [turn["weir"] for turn in turns], [turn["limit"] for turn in turns]
    rates[packet] = median(ours)
    share, most = ratio(ours, limits), int(RMEM_MAX.read_text(encoding="utf-8")) >> 20
    bare = Row(f"the same beside bare UDP, GSO to GRO, whatever is lost ({turns_words(len(turns))})",
               gbps(median(ours)), gbps(median(limits)), f"{share:.2f} ×", "≥ 0.8 ×", share >= 0.8,
               {"gbps": ours, "beside": limits})
    return [beside_pair(PAIR, f"{job}: beside another pair as it comes, net.core.rmem_max {most} MiB", turns, goal),
            beside_pair(BUFFER, "the same beside it with a socket buffer as large as weir's", turns, None), bare]


def soak(bench, packet, rates, start):
    seconds = 1 if bench.quick else SOAK_SECONDS[packet]
    if not bench.turns and time.monotonic() - start > LATE_SECONDS:
        seconds = min(seconds, LATE_SOAK_SECONDS)
    job = f"SPEAD, heaps that arrive in {seconds} s at 90 % of that rate, packets of {packet} bytes"
    goal = "≥ 99.99 %, all accounted for"
    rate = SOAK_SHARE * rates[packet]
    bench.say(f"{rate:.1f} Gb/s for {seconds} s")
    try:
        report = bench.run_json([bench.weir, "spead", "bench", "--json", "--quiet", "--packet", packet, "--heap-size",
                                 HEAP, "--rate", rate, "--seconds", seconds])
        theirs = other(bench, SOAK, WEIR_SPEAD_RATE=rate, WEIR_SPEAD_SECONDS=min(seconds, OTHER_SOAK_SECONDS),
                       WEIR_SPEAD_PACKET=packet, WEIR_SPEAD_HEAP_SIZE=HEAP,
                       WEIR_SPEAD_SEND_CPU=0, WEIR_SPEAD_RECV_CPU=1)
    except Failed as failure:
        return failed(job, failure, goal)
    percent = 100 * report["heaps_received"] / report["heaps_sent"]
    beside = absent(SOAK) if theirs is None else f"{theirs:.3f} %"
    lost = report["heaps_sent"] - report["heaps_received"]
    if lost:
        beside += (f"; of {lost} heaps {report['heaps_incomplete']} incomplete, {report['heaps_shed']} shed, "
                   f"{report['heaps_unseen']} never seen; packets: {report['kernel_drops']} dropped by the kernel, "
                   f"{report['packets_bad']} bad, {report['packets_unexplained']} unexplained")
    met = percent >= 99.99 and report["packets_unexplained"] == 0 and (theirs is None or percent >= theirs)
    return Row(job, f"{percent:.3f} % at {gbps(report['gbps'])}", beside, "", goal, met, report)


def many_senders(bench, rates):
    """Two rows: losses of the lesser ones, and memory."""
    job = f"SPEAD, {SENDERS} senders at half that rate, one has half of it, heaps of 1 MiB, packets of 8872 bytes"
    try:
        report = bench.run_json([bench.weir, "spead", "bench", "--json", "--quiet", "--packet", 8872, "--heap-size",
                                 SENDERS_HEAP, "--max-heaps", SENDERS_MAX_HEAPS, "--senders", SENDERS, "--rate",
                                 rates[8872] / 2, "--seconds", 0.5 if bench.quick else 4])
    except Failed as failure:
        return [failed(job, failure, "0")]
    lost = report["other_heaps_lost"]
    rows = [Row(job, f"{lost} heaps of the others lost", f"{report['heaps_sent']} sent, {gbps(report['gbps'])}", "",
                "0", lost == 0, report)]
    # Memory is of whole pages, with a little room behind each heap.
    held, most = report["memory_peak"] / (SENDERS_HEAP + 4096), report["sources"] * SENDERS_MAX_HEAPS
    most += report["ring_heaps"] + 4
    rows.append(Row("SPEAD, heaps held at most, in memory, in that run", f"{held:.0f}",
                    "senders × max_heaps + ring + 4", "", f"≤ {most}", held <= most, {"memory": report["memory_peak"]}))
    return rows


# ---- A pipeline ------------------------------------------------------------------------------------------------------


def pipeline_at(bench, rate):
    """Whether all heaps but one become records of a pipeline on one processor, at a rate."""
    path = bench.data / "spead.yaml"
    path.write_text(PIPELINE % PORT, encoding="utf-8")
    heaps = int(rate * 1e9 / 8 * (0.3 if bench.quick else 1) / HEAP) + 2
    command = ["taskset", "-c", "1", bench.weir, "run", path, "--json", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            time.sleep(0.5)
            bench.run(["taskset", "-c", "0", bench.weir, "spead", "send", f"127.0.0.1:{PORT}", "--heaps", heaps,
                       "--heap-size", HEAP, "--packet", 8872, "--rate", rate, "--stops", 3, "--quiet"])
            try:
                output, errors = process.communicate(timeout=3)
            except subprocess.TimeoutExpired:  # the stop items were among what was lost
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=10)
        except subprocess.TimeoutExpired as error:
            raise Failed("weir run does not end") from error
        finally:
            process.kill()
    if not output.strip():
        raise Failed(errors.strip().splitlines()[0] if errors.strip() else "weir run has printed nothing")
    return json.loads(output.strip().splitlines()[-1])["records_stored"] + 1 >= heaps


def pipeline(bench, rates):
    job = "SPEAD, the source in a pipeline on one processor, beside the bare receiver, packets of 8872 bytes"
    rate = rates[8872]
    try:
        tries = 1
        while not pipeline_at(bench, rate):
            if tries == PIPELINE_TRIES:
                return Row(job, f"not even {gbps(rate)}", gbps(rates[8872]))
            rate, tries = rate * 0.85, tries + 1
    except Failed as failure:
        return failed(job, failure)
    return Row(job, gbps(rate), gbps(rates[8872]), f"{rate / rates[8872]:.2f} ×", figures={"gbps": rate})


# ---- Small heaps, memory ---------------------------------------------------------------------------------------------


def small(bench):
    """Two rows: filled before they are sent, as the other program does it, and filled by whoever sends them."""
    job = "SPEAD, heaps of 8 KiB, reused and batched, packets of 8872 bytes, sent where nobody reads"

    def tutorial_step(step):
        return lambda: bench.run_json([bench.program("spead_tutorial"), 0.5, step])["mb_per_second"]

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(SOL_UDP, UDP_GRO, 1)  # as the other program's own: nothing is cut on the sender's time
        sink.bind(("127.0.0.1", 0))
        results = bench.in_turns({
            "small": tutorial_step("small"),
            "late": tutorial_step("small-late"),
            "other": lambda: other(bench, SMALL, WEIR_SPEAD_PORT=sink.getsockname()[1]),
        })
    return [beside_other(f"{job}, {words}", results[name], results["other"], SMALL, lambda value: f"{value:.0f} MB/s",
                         goal) for name, words, goal in (
                             ("late", "filled while they are sent, by two threads", 1.5),
                             ("small", "filled by one thread and sent by another, as the other does", None))]


def memory(bench):
    """Two rows. The other one may take long, so it has one turn."""
    def decode(stream):
        return lambda: bench.run_json([bench.program("spead_decode"), 256 << 10, 1472, stream], one_core=True)["gbps"]

    places = {"in the cache": (512 << 10, 1.5), "in 1 GiB of memory": (1 << 30, None)}
    results = bench.in_turns({words: decode(stream) for words, (stream, _) in places.items()})
    try:
        theirs = [other(bench, MEMORY, one_core=True)] * bench.runs
    except Failed as failure:
        theirs = failure
    return [beside_other(f"SPEAD, packets of 1472 bytes {words} to heaps of 256 KiB, one core", results[words], theirs,
                         MEMORY, gbps, goal) for words, (_, goal) in places.items()]


def beside_other(job, ours, theirs, name, words, goal=1.5):
    row = Row(job, goal=f"≥ {goal} ×" if goal else "")
    if isinstance(ours, Failed):
        row.weir = f"failed: {ours}"
        return row
    row.weir, row.beside, row.figures = words(median(ours)), absent(name), {"runs": ours}
    if isinstance(theirs, Failed):
        row.beside = f"failed: {theirs}"
    elif None not in theirs:
        times = ratio(ours, theirs)
        row.beside, row.ratio, row.figures["beside"] = words(median(theirs)), f"{times:.2f} ×", theirs
        row.met = times >= goal if goal else None
    return row


# ---- The tutorial ----------------------------------------------------------------------------------------------------


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
    bench.say("the tutorial's steps")
    try:
        output = bench.run([bench.program("spead_tutorial"), 0.1 if bench.quick else 0.2])
    except Failed as failure:
        return [failed("SPEAD, the tutorial", failure)]
    steps = [json.loads(line) for line in output.splitlines()]
    grid = [step for step in steps if step["step"] == "in flight"]
    rows = [tutorial_row(step, steps[0] if 0 < i < 4 else None) for i, step in enumerate(steps) if step not in grid]
    for size in sorted({step["heap_size"] for step in grid}):
        rows.append(grid_row([step for step in grid if step["heap_size"] == size]))
    return rows


def say_what_is_absent():
    missing = [name for name in (PAIR, BUFFER, SOAK, SMALL, MEMORY) if not os.environ.get(name)]
    if missing:
        print(f"SPEAD: NOTHING TO COMPARE WITH for {len(missing)} of 5 figures that are relative to another program: "
              f"set {', '.join(missing)} (bench/measure_spead.py says to what)", file=sys.stderr)


def spead(bench):
    say_what_is_absent()
    rates, start = {}, time.monotonic()
    rows = [*sustainable(bench, 1472, 1.3, rates), *sustainable(bench, 8872, 2, rates)]
    rows += [soak(bench, packet, rates, start) for packet in SOAK_SECONDS if rates.get(packet)]
    if rates.get(8872):
        rows += [*many_senders(bench, rates), pipeline(bench, rates)]
    return [*rows, *small(bench), *memory(bench), *tutorial(bench)]


SECTIONS = {"spead": spead}
