#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/run.py BUILD_FOLDER [--quick] [--json] [--docs] [--turns N] [--only WHAT]...

Tables: weir, its peers and the limits, measured in turns on this machine, against the goals. Each figure is the median
of several runs, of ratios the median of the ratios. `make bench` builds what it needs and runs it.

--quick  1 M records instead of 10 M and one run: does it work?
--json   one JSON object on stdout instead of the tables
--docs   writes each table into docs/benchmarks.md too, once it is whole; not with --quick, nor sections of a table
--only   a table: {tables};
         or sections of them: {sections}; may be repeated
--turns  of SPEAD's sustainable rate: so many, however long they take
--all    all tables; without --only and --all it is the first
"""
import argparse
import json
import sys
import time

import harness
import measure
import measure_async
import measure_spead
import measure_sweep
import measuring
import table

TABLES = {"analytics": measure.SECTIONS, "async": measure_async.SECTIONS,
          "measuring": measure_sweep.SECTIONS | {"costs": measuring.measuring}, "spead": measure_spead.SECTIONS}
SECTIONS = {name: section for table_ in TABLES.values() for name, section in table_.items()}


def arguments():
    sections = [name for name in SECTIONS if name not in TABLES]
    words = __doc__.format(tables=", ".join(TABLES), sections=", ".join(sections))
    usage, text = words.removeprefix("usage: ").split("\n", 1)
    parser = argparse.ArgumentParser(usage=usage, description=text,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    for flag in ("--quick", "--json", "--docs", "--all"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--turns", type=int)
    parser.add_argument("--only", action="append", choices=[*TABLES, *sections])
    options = parser.parse_args()
    if options.docs and options.quick:
        parser.error("--docs is for figures that count, and those of --quick do not: leave out one of them")
    parts = [name for name, _, whole in wanted(options) if not whole]
    if options.docs and parts:
        parser.error(f"--docs is for whole tables, and of {', '.join(parts)} not all is asked for: --only {parts[0]}")
    return options


def command():
    """How this run would be asked for again."""
    given = " ".join(sys.argv[2:])
    return f"make bench BENCH_OPTIONS='{given}'" if given else "make bench"


def wanted(options):
    """The tables to make, each with its sections and whether these are all it has."""
    asked = list(TABLES) if options.all else options.only or list(TABLES)[:1]
    for name, sections in TABLES.items():
        chosen = {key: value for key, value in sections.items() if name in asked or key in asked}
        if chosen:
            yield name, chosen, len(chosen) == len(sections)


def main():
    options = arguments()
    machine = harness.machine()
    bench = harness.Bench(options.build, options.quick, options.turns)
    versions = bench.peers("versions")
    rows = []
    for name, sections, whole in wanted(options):
        began = time.monotonic()
        made = [row for section in sections.values() for row in section(bench)]
        rows += made
        bench.say("")
        heading = table.heading(machine, versions, options.quick, command(), time.monotonic() - began)
        words = f"{heading}\n\n{table.text(made)}"
        if not options.json:
            print(words, end="\n\n", flush=True)
        if options.docs and whole:
            table.write_docs(harness.HERE.parent / "docs" / "benchmarks.md", name, words)
    if options.json:
        print(json.dumps({"machine": machine, "versions": versions, "quick": options.quick,
                          "rows": [vars(row) for row in rows]}, ensure_ascii=False))
    return 0


sys.exit(main())
