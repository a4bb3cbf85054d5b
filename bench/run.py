#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/run.py WEIR [RECORDS]

Speed of weir on this machine: NDJSON from a file through filter, normalize and rolling by 1000 keys to null, with one
lane and two; and the latency of 10,000 generated records per second. Each case runs three times after one to warm up;
the median is shown. The input (about 66 bytes a record) is made in a temporary folder.
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

PIPELINE = """\
sources:
  file: {type: file, path: "%s", key: sensor}
stages:
  - filter: value > -40 and value < 125
  - normalize: {field: value, mean: 20, stddev: 5, as: z}
  - rolling: {field: value, window: 10, compute: [mean, stddev]}
sinks:
  none: {type: "null"}
run: {lanes: %d, memory: 96MiB}
"""
LATENCY = """\
sources:
  fleet: {type: generate, keys: 1000, rate: 10000/s, seed: 1}
sinks:
  none: {type: "null"}
"""


def write_records(path, count):
    draw = random.Random(1)
    with open(path, "w", encoding="ascii") as out:
        for begin in range(0, count, 100_000):
            out.write("".join(
                '{"ts":%.3f,"sensor":"s%d","value":%.3f,"seq":%d}\n'
                % (1732147200 + n * 0.001, draw.randrange(1000), draw.gauss(20, 5), n)
                for n in range(begin, min(begin + 100_000, count))))


def run(weir, folder, text, *args):
    path = folder / "bench.yaml"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([weir, "run", path, "--json", "--quiet", *args], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=600)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def median_run(key, *args):
    run(*args)
    return sorted((run(*args) for _ in range(3)), key=lambda report: key(report) or 0.0)[1]


def main():
    weir = str(pathlib.Path(sys.argv[1]).resolve())
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4_000_000
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as name:
        folder = pathlib.Path(name)
        write_records(folder / "records.ndjson", count)
        print(f"{count:,} NDJSON records → filter → normalize → rolling(10) by 1000 keys → null, memory: 96MiB")
        for lanes in (1, 2):
            report = median_run(lambda r: r["records_per_second"], weir, folder,
                                PIPELINE % (folder / "records.ndjson", lanes))
            print(f"  {lanes} lane{'s' * (lanes > 1)}: {report['records_per_second'] / 1e6:6.2f} M records/s, "
                  f"peak memory {report['peak_memory_bytes'] / 2**20:.0f} MiB")
        print("generate 10,000 records/s → null, default settings, 5 s")
        report = median_run(lambda r: r["latency_seconds"]["p99"], weir, folder, LATENCY, "--limit", "50000")
        latency = report["latency_seconds"]
        print("  latency " + ", ".join(f"{q} {latency[q] * 1e6:.0f} µs" for q in ("p50", "p99", "max")))
    return 0


sys.exit(main())
