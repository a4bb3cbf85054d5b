# SPDX-License-Identifier: MIT
"""The engine under odd conditions: graphs drawn at random, hardly any memory, many sources."""
import random
import re

import pytest

TIME = re.compile(rb'"ts":"[^"]*",?')
STATISTICS = ["count", "sum", "mean", "var", "stddev", "min", "max", "first", "last", "delta"]


def draw_stage(draw, number, from_name):
    """A stage named s<number> that reads from from_name; only columns that every record has are used."""
    name = f"s{number}"
    head = f"name: {name}, from: {from_name}"
    kind = draw.choice(["filter", "derive", "normalize", "rolling", "rolling", "by"])
    if kind == "filter":
        when = draw.choice(["value > 19", "value < 23 or value is null", "abs(value - 20) < 2", "value > 1000"])
        return name, f"filter: {{{head}, when: {when}}}"
    if kind == "derive":
        return name, f"derive: {{{head}, columns: {{d{number}: value * {draw.randint(2, 9)} - 1 / (value + 0.5)}}}}"
    if kind == "normalize":
        return name, f"normalize: {{{head}, field: value, running: true, as: z{number}}}"
    statistics = ", ".join(draw.sample(STATISTICS, 3))
    by = f", by: {draw.choice(['sensor', 'group'])}" if kind == "by" else ""
    return name, (f"rolling: {{{head}, field: value, window: {draw.randint(1, 40)}, compute: [{statistics}]{by}, "
                  f"lag: {draw.choice(['true', 'false'])}, as: r{number}}}")


def draw_graph(seed):
    """A tree of stages behind one source, and a file for each of its leaves and some of its nodes."""
    draw = random.Random(seed)
    count, keys = draw.randint(1, 12000), draw.choice([1, 3, 50, 2000])
    lines = ["sources:",
             f"  generate: {{type: generate, rate: unlimited, count: {count}, keys: {keys}, noise: 1, seed: {seed}}}",
             "stages:", "  - derive: {name: s0, columns: {group: 'if(value > 20, 1, 0)'}}"]
    names, read = ["s0"], set()
    for number in range(1, draw.randint(2, 8)):
        source = draw.choice(names[-3:])
        read.add(source)
        name, text = draw_stage(draw, number, source)
        lines.append(f"  - {text}")
        names.append(name)
    sinks = [name for name in names if name not in read or draw.random() < 0.3]
    lines.append("sinks:")
    lines += [f"  to_{name}: {{type: file, path: {name}.ndjson, from: {name}}}" for name in sinks]
    return "\n".join(lines) + "\n", sinks, count


def outcome(pipeline, tmp_path, text, sinks, lanes, batch, *args):
    report = pipeline(text + f"run: {{lanes: {lanes}, batch: {batch}, memory: 32MiB}}\n", args=args)
    # Only the time of a record is of the run's own clock; the rest must be the same to the last bit.
    made = {name: sorted(TIME.sub(b"", (tmp_path / f"{name}.ndjson").read_bytes()).splitlines()) for name in sinks}
    ends = {name: report[name] for name in ("records_in", "records_stored", "records_filtered", "records_refused")}
    return made, ends


@pytest.mark.threads
@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_give_the_same_for_any_lanes_and_batches(pipeline, tmp_path, seed):
    text, sinks, count = draw_graph(seed)
    draw = random.Random(-1 - seed)
    expected = outcome(pipeline, tmp_path, text, sinks, 1, "auto")
    assert expected[1]["records_in"] == count and expected[1]["records_refused"] == 0, text
    for lanes in (1, 2, 4):
        batch = draw.choice([1, 2, 7, 64, 500, 5000]) if count < 2000 else draw.choice([37, 400, 1000, 5000])
        assert outcome(pipeline, tmp_path, text, sinks, lanes, batch) == expected, (text, lanes, batch)
    assert outcome(pipeline, tmp_path, text, sinks, 3, 600, "--simulated") == expected, text


def write_wide(path, columns, rows):
    """A byte or two for each value: what is decoded is many times as large."""
    with open(path, "w", encoding="ascii") as out:
        out.write("t,k," + ",".join(f"c{i}" for i in range(columns)) + "\n")
        for row in range(rows):
            out.write(f"{row},s{row % 5},1,2,3" + "," * (columns - 3) + "\n")


@pytest.mark.threads
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_wide_records_and_hardly_any_memory(pipeline, tmp_path, lanes):
    write_wide(tmp_path / "wide.csv", 1000, 4000)
    report = pipeline(f"""
        sources: {{in: {{type: file, path: wide.csv, key: k, time: t}}}}
        stages:
          - derive: {{z: c0 + c1}}
          - rolling: {{field: c2, window: 10, compute: [mean]}}
        sinks: {{out: {{type: file, path: out.csv, format: csv}}}}
        run: {{memory: 16MiB, lanes: {lanes}}}
    """)
    assert report["records_stored"] == 4000
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == 4001


@pytest.mark.threads
def test_many_sources_and_hardly_any_memory(pipeline, tmp_path):
    names = [f"g{i}" for i in range(60)]
    sources = "".join(f"  {name}: {{type: generate, rate: unlimited, count: 5000}}\n" for name in names)
    report = pipeline(f"sources:\n{sources}"
                      f"stages:\n  - derive: {{name: d, columns: {{z: value + 1}}, from: [{', '.join(names)}]}}\n"
                      "  - rolling: {field: value, window: 10, compute: [mean]}\n"
                      "sinks: {out: {type: file, path: out.csv, format: csv}}\nrun: {memory: 16MiB, lanes: 2}\n")
    assert report["records_stored"] == report["records_in"] == 300000
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == 300001


@pytest.mark.threads
def test_a_limit_ends_the_sources_that_wait(pipeline):
    report = pipeline("""
        sources:
          fast: {type: generate, rate: unlimited}
          slow: {type: generate, rate: 0.001/s}
        stages: [{derive: {name: d, columns: {z: value + 1}, from: [fast, slow]}}]
        sinks: {out: {type: "null"}}
    """, args=["--limit", "5000"], timeout=20)
    assert report["records_in"] == report["records_stored"] == 5000


def test_batches_grow(pipeline):
    """A source that makes batches itself begins with small ones, and they grow while there is memory for them. (Not at
    once: on the simulated clock it fills the queue before a lane can see how large they become.)"""
    report = pipeline("""
        sources: {in: {type: generate, keys: 10, rate: unlimited, count: 1000000}}
        stages: [{filter: value is not null}]
        sinks: {out: {type: "null"}}
    """, args=["--simulated"])
    assert 1000000 / 4096 < report["edges"][0]["batches"] < 5000
