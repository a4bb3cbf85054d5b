# SPDX-License-Identifier: MIT
"""What run.py measures: each function makes the rows of one section of the table."""
import itertools
import os
import re
import subprocess
import threading

from harness import Failed, discard, median, ratio
from table import Row, microseconds, nanoseconds, rate

MIB = 2**20
SOURCE = """\
sources:
  file: {type: file, path: "%s", format: %s, key: sensor}
"""
STAGES = """\
stages:
  - filter: value > -40 and value < 125
  - normalize: {field: value, mean: 20, stddev: 5, as: z}
  - rolling: {field: value, window: 10, compute: [mean, stddev]}
"""
NULL = """\
sinks:
  none: {type: "null"}
"""
RUN = """\
run: {lanes: %d, memory: 96MiB}
"""
GENERATE = """\
sources:
  fleet: {type: generate, keys: %d, rate: %s, seed: 1}
"""
# Goals in M/s and ns are those of the machine on which these were measured. A slower one has goals as much slower.
REFERENCE_LIMIT = 27e6  # records a second that libsimdjson reads on one core
REFERENCE_MEAN_STDDEV = 4.3  # ns a value that bottleneck's mean and std take together
TO_FILE = 6e6  # goal, records a second
FRAME_FORMATS = ("frames", "frame", "binary", "weir")


def failed(job, failure, goal=""):
    words = str(failure)
    return Row(job, "not built" if words.endswith("not built") else f"failed: {words}", goal=goal)


def column(reports, key="records_per_second"):
    return [report[key] for report in reports]


# ---- The NDJSON job, and the same from other formats --------------------------------------------------------------


def frame_file(bench):
    """The records as binary frames, and the name of their format; None, None while there is no such format."""
    words = bench.run([bench.weir, "explain", "file"])
    form = next((form for form in FRAME_FORMATS if re.search(rf"^  format .*\b{form}\b", words, re.M)), None)
    if not form:
        return None, None
    path = bench.data / f"records-{bench.records}.{form}"
    if not path.exists():
        source = SOURCE % (bench.records_file("ndjson"), "ndjson")
        sink = f'sinks:\n  copy: {{type: file, path: "{path}", format: {form}}}\n'
        try:
            bench.pipeline(source + sink)
        except Failed:
            discard(path)
            raise
    return path, form


def job_cases(bench):
    """name → function, for each format on one core and on two. Names: format and number of cores."""
    files = {form: (bench.records_file(form), form) for form in ("ndjson", "csv")}
    try:
        files["frames"] = frame_file(bench)
    except Failed:
        files["frames"] = None, None
    cases = {}
    for name, (path, form) in files.items():
        for cores in (1, 2):
            if path and cores <= len(os.sched_getaffinity(0)):
                text = SOURCE % (path, form) + STAGES + NULL + RUN % cores
                cases[name, cores] = lambda text=text, cores=cores: bench.pipeline(text, one_core=cores == 1)
    return cases


def job_row(results, form, cores, beside, goal):
    """beside: the case to divide by, and its name in the table."""
    names = {"ndjson": "NDJSON", "csv": "CSV", "frames": "binary frames"}
    job = f"{names[form]} → filter → normalize → rolling → null, {'one core' if cores == 1 else 'two cores'}"
    other, other_name = beside
    goal_words = f"≥ {goal} ×"
    ours, theirs = results.get((form, cores)), results.get(other)
    if ours is None:
        return Row(job, "not built", goal=goal_words)
    if isinstance(ours, Failed):
        return failed(job, ours, goal_words)
    rates = column(ours)
    row = Row(job, rate(median(rates)), goal=goal_words, figures={"records_per_second": rates})
    if theirs and not isinstance(theirs, Failed):
        times = ratio(rates, column(theirs))
        row.beside = f"{other_name} {rate(median(column(theirs)))}"
        row.ratio, row.met = f"{times:.2f} ×", times >= goal
        row.figures |= {"beside": column(theirs), "ratio": times}
    return row


def jobs(bench):
    cases = job_cases(bench)
    ndjson = bench.records_file("ndjson")
    cases["limit"] = lambda: bench.run_json([bench.program("ndjson_limit"), ndjson], one_core=True)
    cases["python"] = lambda: bench.peers("loop", ndjson, min(bench.records, 1_000_000))
    results = bench.in_turns(cases)
    limit = "limit", "libsimdjson, one core:"
    rows = [job_row(results, "ndjson", 1, limit, 0.45), job_row(results, "ndjson", 2, limit, 0.74)]
    for form, goal in (("csv", 1.2), ("frames", 5)):
        rows += [job_row(results, form, cores, (("ndjson", cores), "NDJSON"), goal) for cores in (1, 2)]
    python, ours = results["python"], results["ndjson", 1]
    if not isinstance(python, Failed) and not isinstance(ours, Failed):
        times = ratio(column(ours), column(python))
        rows.append(Row("NDJSON job against a plain Python loop, sum(window), one core", rate(median(column(ours))),
                        f"Python, records in memory: {rate(median(column(python)))}", f"{times:.1f} ×",
                        figures={"beside": column(python), "ratio": times}))
    return rows


# ---- Into a file, into SQLite --------------------------------------------------------------------------------------


def store(bench):
    source = SOURCE % (bench.records_file("ndjson"), "ndjson")
    out, database, bare = bench.data / "out.ndjson", bench.data / "out.db", bench.data / "bare.db"
    few = bench.records // 5
    to_file = source + STAGES + f'sinks:\n  out: {{type: file, path: "{out}"}}\n' + RUN % 2
    to_sqlite = f'sinks:\n  out: {{type: sqlite, path: "{database}", if_exists: replace}}\n' + RUN % 2
    four = "  - select: [ts, sensor, value, seq]\n"

    def into(text, *options):
        discard(out, database, f"{database}-wal", f"{database}-shm")
        report = bench.pipeline(text, *options)
        discard(out, database, f"{database}-wal", f"{database}-shm")
        return report

    def bare_loop():
        report = bench.run_json([bench.program("sqlite_limit"), bare, few])
        discard(bare, f"{bare}-wal", f"{bare}-shm")
        return report

    results = bench.in_turns({
        "file": lambda: into(to_file),
        "limit": lambda: bench.run_json([bench.program("ndjson_limit"), bench.records_file("ndjson")], one_core=True),
        "sqlite": lambda: into(source + STAGES + four + to_sqlite, "--limit", few),
        "sqlite loop": bare_loop,
        "sqlite, all columns": lambda: into(source + STAGES + to_sqlite, "--limit", few),
    })
    rows = []
    jobs_goals = {"file": ("NDJSON → … → NDJSON file, two cores", f"≥ {TO_FILE / 1e6:.0f} M/s"),
                  "sqlite": ("NDJSON → … → SQLite, its four columns", "≥ 0.8 ×"),
                  "sqlite, all columns": ("NDJSON → … → SQLite, all seven columns", "")}
    for name, (job, goal) in jobs_goals.items():
        ours = results[name]
        if isinstance(ours, Failed):
            rows.append(failed(job, ours, goal))
            continue
        rates = column(ours)
        row = Row(job, rate(median(rates)), goal=goal, figures={"records_per_second": rates})
        if name == "file":
            row.met = median(rates) >= TO_FILE
            if not isinstance(results["limit"], Failed):
                limit = column(results["limit"])
                here = TO_FILE * min(1, median(limit) / REFERENCE_LIMIT)
                row.beside = f"libsimdjson, one core: {rate(median(limit))}"
                row.ratio, row.met = f"{ratio(rates, limit):.2f} ×", median(rates) >= here
                row.goal += f"; here {here / 1e6:.2f}"
                row.figures |= {"beside": limit, "scaled_goal": here}
        elif name == "sqlite" and not isinstance(results["sqlite loop"], Failed):
            loop = column(results["sqlite loop"])
            times = ratio(rates, loop)
            row.beside, row.ratio = f"bare prepared insert {rate(median(loop))}", f"{times:.2f} ×"
            row.met = times >= 0.8
            row.figures |= {"beside": loop, "ratio": times}
        rows.append(row)
    return rows


# ---- Kernels -------------------------------------------------------------------------------------------------------


def rolling_lines(words):
    """What rolling_speed prints → (statistics, keys, window): (ns, bytes a key)"""
    found = re.findall(r"^(\S.*?)\s+keys\s+(\d+)\s+window\s+(\d+)\s+([\d.]+) ns a value\s+(\d+) bytes", words, re.M)
    return {(what, int(keys), int(window)): (float(ns), int(size)) for what, keys, window, ns, size in found}


def our_kernels(bench):
    figures = {key: ns for key, (ns, _) in rolling_lines(bench.run([bench.program("rolling_speed")], True)).items()}
    words = bench.run([bench.program("expr_speed")], True)
    found = re.search(r"^value > -40 and value < 125\s+([\d.]+) ns", words, re.M)
    if found:
        figures["filter"] = float(found[1])
    words = bench.run([bench.program("normalize_speed")], True)
    figures["normalize"] = float(re.search(r"([\d.]+) ns", words)[1])
    if ("median", 1, 1000) not in figures:
        figures |= median_in_pipeline(bench)
    return figures


def median_in_pipeline(bench):
    """The median's time as the report has it; nothing while there is no such statistic."""
    if not re.search(r"\bmedian\b", bench.run([bench.weir, "explain", "rolling"])):
        return {}
    stage = "stages:\n  - rolling: {field: value, window: 1000, compute: [median]}\n"
    report = bench.pipeline(GENERATE % (1, "unlimited") + stage + NULL + RUN % 1, "--limit", bench.records // 5)
    busy = next(part["busy_seconds"] for part in report["parts"] if part["type"] == "rolling")
    return {("median", 1, 1000): busy / report["records_in"] * 1e9}


def slowness(theirs, window):
    """How many times slower than the reference machine this one computes; 1 where it is not, or nobody can tell."""
    names = f"bottleneck mean {window}", f"bottleneck std {window}"
    if not theirs or any(name not in turn for turn in theirs for name in names):
        return 1
    return max(1, median([sum(turn[name] for name in names) for turn in theirs]) / REFERENCE_MEAN_STDDEV)


def kernel_row(job, ours, theirs, key, peer, goal=None):
    """goal: ns on the reference machine; without one the peer's time. peer: names of figures to be added up."""
    goal_words = f"≤ {goal} ns" if goal else f"≤ {peer[0].split()[0]}'s"
    if any(key not in turn for turn in ours):
        return Row(job, "not built", goal=goal_words)
    times = [turn[key] for turn in ours]
    row = Row(job, nanoseconds(median(times)), goal=goal_words, figures={"ns": times})
    if theirs and all(name in turn for turn in theirs for name in peer):
        others = [sum(turn[name] for name in peer) for turn in theirs]
        share = ratio(times, others)
        label = " + ".join(" ".join(name.split()[:-1] if name[-1].isdigit() else name.split()[:1]) for name in peer)
        row.beside, row.ratio = f"{label} {nanoseconds(median(others))}", f"{share:.2f} ×"
        row.figures |= {"beside": others, "ratio": share}
        row.met = share <= 1 if goal is None else None
    if goal is not None:
        here = goal * slowness(theirs, key[2])
        row.met = median(times) <= here
        row.goal += f"; here {here:.1f}" if here > goal else ""
        row.figures |= {"scaled_goal": here}
    return row


def kernels(bench):
    results = bench.in_turns({"kernels": lambda: our_kernels(bench),
                              "Python's kernels": lambda: bench.peers("kernels", bench.records)})
    ours, theirs = results["kernels"], results["Python's kernels"]
    if isinstance(ours, Failed):
        return [failed("kernels", ours)]
    theirs = None if isinstance(theirs, Failed) else theirs
    rows = []
    for window in (10, 10000):
        rows.append(kernel_row(f"rolling mean + stddev, no key, window {window:,}", ours, theirs,
                               ("mean, stddev", 1, window),
                               (f"bottleneck mean {window}", f"bottleneck std {window}"), 3))
    for window in (10, 10000):
        rows.append(kernel_row(f"rolling mean + stddev, 1000 keys, window {window:,}", ours, theirs,
                               ("mean, stddev", 1000, window), (f"pandas keyed mean {window}",), 12))
    for window in (10, 10000):
        rows.append(kernel_row(f"rolling max, no key, window {window:,}", ours, theirs, ("max", 1, window),
                               (f"bottleneck max {window}",)))
    rows.append(kernel_row("rolling median, no key, window 1,000", ours, theirs, ("median", 1, 1000),
                           ("bottleneck median 1000",)))
    for name in ("filter", "normalize"):
        rows.append(kernel_row(f"{name}, four in ten kept" if name == "filter" else name, ours, theirs, name,
                               (f"numpy {name}",)))
    return rows


# ---- Keys ----------------------------------------------------------------------------------------------------------


def keys(bench):
    many, few = 1_000_000, 1000
    stage = "stages:\n  - rolling: {field: value, window: 10, compute: [mean, stddev]}\n"
    run = "run: {lanes: 1, memory: 1GiB}\n"
    limit = 4_000_000 if bench.quick else 12_000_000  # several records for each of the keys

    def pipeline(count):
        return bench.pipeline(GENERATE % (count, "unlimited") + stage + NULL + run, "--limit", limit)

    def kernel():
        return rolling_lines(bench.run([bench.program("rolling_speed")], True))

    results = bench.in_turns({"few": lambda: pipeline(few), "many": lambda: pipeline(many), "kernel": kernel})
    job = "a million keys, rolling(10: mean, stddev)"
    if failure := next((r for r in results.values() if isinstance(r, Failed)), None):
        return [failed(job, failure, "≤ 4 ×")]
    rows = []
    ns = {count: [turn[("mean, stddev", count, 10)][0] for turn in results["kernel"]] for count in (few, many)}
    busy = {count: [next(part["busy_seconds"] for part in report["parts"] if part["type"] == "rolling") / limit * 1e9
                    for report in results[name]] for name, count in (("few", few), ("many", many))}
    for where, times in (("kernel", ns), ("stage in a pipeline", busy)):
        share = ratio(times[many], times[few])
        rows.append(Row(f"{job}, {where}", nanoseconds(median(times[many])),
                        f"1000 keys {nanoseconds(median(times[few]))}", f"{share:.2f} ×", "≤ 4 ×", share <= 4,
                        {"ns": times[many], "beside": times[few], "ratio": share}))
    taken = [(a["memory_budget"]["peak"] - b["memory_budget"]["peak"]) / (many - few)
             for a, b in zip(results["many"], results["few"])]
    state = results["kernel"][0][("mean, stddev", many, 10)][1]
    rows.append(Row("bytes a key, its name included", f"{median(taken):.0f} B", f"state of the kernel {state} B", "",
                    "≤ 200 B", median(taken) <= 200, {"bytes": taken}))
    return rows


# ---- Latency -------------------------------------------------------------------------------------------------------


def latency(bench):
    seconds = "1s" if bench.quick else "3s"
    batches = ("1", "50", "4096", "auto")

    def at(pace, batch):
        options = () if batch == "auto" else ("--set", f"run.batch={batch}")
        return lambda: bench.pipeline(GENERATE % (1000, pace) + NULL, "--duration", seconds, *options)

    results = bench.in_turns({(pace, batch): at(pace, batch)
                              for batch, pace in itertools.product(batches, ("10000/s", "unlimited"))})
    if failure := next((r for r in results.values() if isinstance(r, Failed)), None):
        return [failed("latency", failure)]
    quantiles = {batch: {q: [report["latency_seconds"][q] for report in results["10000/s", batch]]
                         for q in ("p50", "p99")} for batch in batches}
    rates = {batch: column(results["unlimited", batch]) for batch in batches}
    rows = [Row(f"generate 10,000/s → null, default settings, latency {q}", microseconds(median(quantiles["auto"][q])),
                goal=words, met=median(quantiles["auto"][q]) <= most, figures={"seconds": quantiles["auto"][q]})
            for q, words, most in (("p50", "≤ 100 µs", 100e-6), ("p99", "≤ 1 ms", 1e-3))]
    best = max(batches[:-1], key=lambda batch: median(rates[batch]))
    for batch in batches:
        share = ratio(rates[batch], rates[best])
        adaptive = batch == "auto"
        rows.append(Row(f"batch {'adaptive' if adaptive else batch}: at full load; latency at 10,000/s",
                        rate(median(rates[batch])),
                        f"p50 {microseconds(median(quantiles[batch]['p50']))}, "
                        f"p99 {microseconds(median(quantiles[batch]['p99']))}",
                        f"{share:.2f} ×", "≥ 0.90 × of the best fixed batch" if adaptive else "",
                        share >= 0.9 if adaptive else None,
                        {"records_per_second": rates[batch], "latency": quantiles[batch], "ratio": share}))
    return rows


# ---- Memory --------------------------------------------------------------------------------------------------------


def through_pipe(bench, path, times):
    """The file so many times, one after the other, through a pipe into weir."""
    read, write = os.pipe()

    def feed():
        with os.fdopen(write, "wb", buffering=0) as pipe:
            try:
                for _ in range(times):
                    subprocess.run(["cat", path], stdout=pipe, stderr=subprocess.DEVNULL, check=False)
            except OSError:
                pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        with os.fdopen(read, "rb", buffering=0) as pipe:
            return bench.pipeline(SOURCE % ("-", "ndjson") + STAGES + NULL + RUN % 2, stdin=pipe)
    finally:
        feeder.join()


def memory(bench):
    path = bench.records_file("ndjson")
    text = SOURCE % (path, "ndjson") + STAGES + NULL + RUN % 2
    cases = [(bench.records // 10, "", lambda: bench.pipeline(text, "--limit", bench.records // 10)),
             (bench.records, "", lambda: bench.pipeline(text)),
             (bench.records * 10, " through a pipe", lambda: through_pipe(bench, path, 10))]
    rows = []
    for records, how, function in cases:
        job = f"peak memory at memory: 96MiB, {records / 1e6:g} M records{how}"
        bench.say(job)
        try:
            report = function()
        except Failed as failure:
            rows.append(failed(job, failure, "≤ 128 MiB"))
            continue
        peak, all_read = report["peak_memory_bytes"], report["records_in"] >= records
        rows.append(Row(job, f"{peak / MIB:.0f} MiB" if all_read else f"only {report['records_in']:,} records",
                        rate(report["records_per_second"]), goal="≤ 128 MiB", met=all_read and peak <= 128 * MIB,
                        figures={"bytes": peak, "records_per_second": report["records_per_second"]}))
    return rows


SECTIONS = {"jobs": jobs, "store": store, "kernels": kernels, "keys": keys, "latency": latency, "memory": memory}
