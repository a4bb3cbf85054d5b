#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/run.py BUILD_FOLDER [--quick] [--json] [--docs] [--only SECTION]...

One table: weir, its Python peers and the limits, measured in turns on this machine, against the goals. Three runs of
each; shown is the median, of ratios the median of the ratios. `make bench` builds what it needs and runs it.

--quick  1 M records instead of 10 M and one run: does it work?
--json   one JSON object on stdout instead of the table
--docs   writes the table into docs/benchmarks.md too
--only   jobs, store, kernels, keys, latency, memory, tasks, fleet, limit, sweep or spead; may be repeated
"""
import argparse
import json
import sys

import harness
import measure
import measure_async
import measure_spead
import measure_sweep
import table

SECTIONS = measure.SECTIONS | measure_async.SECTIONS | measure_sweep.SECTIONS | measure_spead.SECTIONS


def arguments():
    usage, text = __doc__.removeprefix("usage: ").split("\n", 1)
    parser = argparse.ArgumentParser(usage=usage, description=text,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    for flag in ("--quick", "--json", "--docs"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--only", action="append", choices=SECTIONS)
    return parser.parse_args()


def main():
    options = arguments()
    machine = harness.machine()
    bench = harness.Bench(options.build, options.quick)
    versions = bench.peers("versions")
    rows = []
    for name in options.only or SECTIONS:
        rows += SECTIONS[name](bench)
    bench.say("")
    words = f"{table.heading(machine, versions, options.quick)}\n\n{table.text(rows)}"
    if options.json:
        print(json.dumps({"machine": machine, "versions": versions, "quick": options.quick,
                          "rows": [vars(row) for row in rows]}, ensure_ascii=False))
    else:
        print(words)
    if options.docs:
        table.write_docs(harness.HERE.parent / "docs" / "benchmarks.md", words)
    return 0


sys.exit(main())
