# SPDX-License-Identifier: MIT
"""Threads change nothing: the same records come out, bit for bit, for any number of lanes and any size of batch; and
whatever is dropped on the way is counted."""
import json
import random

import pytest

RECORDS = 20000


def write_records(path, seed):
    """Keys of very different frequency, fields that are null or absent, values that hurt, lines that are no record."""
    draw = random.Random(seed)
    bad = 0
    with open(path, "w", encoding="utf-8") as out:
        for n in range(RECORDS):
            if draw.random() < 0.002:
                out.write('{"ts": "no end\n')
                bad += 1
                continue
            record = {"ts": 1732147200 + n * 0.25, "sensor": f"s{int(draw.paretovariate(0.6)) % 300}",
                      "line": draw.choice("abcde"), "value": round(draw.gauss(20, 5), 3), "seq": n}
            if draw.random() < 0.02:
                record["value"] = draw.choice([None, 1e9 + draw.random() * 1e-3, -0.0, 5e-324, 1e300])
            if draw.random() < 0.01:
                del record["value"]
            out.write(json.dumps(record) + "\n")
    return bad


PIPELINE = """
    sources:
      file:
        type: file
        path: records.ndjson
        key: sensor
        time: ts
        fields: {ts: time, sensor: symbol, line: symbol, value: f64, seq: i64}
    stages:
      - filter: value > -40 or value is null
      - normalize: {field: value, running: true, as: z}
      - rolling: {field: value, window: 50, compute: [count, mean, stddev, min, max, first, delta]}
      - derive: {spread: value_max - value_min, tail: "normal_tail(value, value_mean, 5)"}
      - rolling: {field: z, window: 7, by: line, compute: [mean, var], lag: true, as: line_z}
    sinks:
      out: {type: file, path: out.ndjson}
    run: {lanes: %s, batch: %s}
"""


def outcome(pipeline, tmp_path, lanes, batch, *args):
    report = pipeline(PIPELINE % (lanes, batch), args=args)
    lines = (tmp_path / "out.ndjson").read_bytes().splitlines()
    counts = {name: report[name] for name in ("records_in", "records_stored", "records_filtered", "records_refused",
                                              "records_dropped")}
    return sorted(lines, key=lambda line: json.loads(line)["seq"]), counts


@pytest.mark.threads
@pytest.mark.parametrize("seed", [1, 2])
def test_any_number_of_lanes_and_any_batch(pipeline, tmp_path, seed):
    bad = write_records(tmp_path / "records.ndjson", seed)
    expected = outcome(pipeline, tmp_path, 1, "auto")
    assert len(expected[0]) > RECORDS * 0.9
    assert expected[1]["records_refused"] == bad
    for lanes, batch in ((2, "auto"), (4, "auto"), (1, 1000), (2, 333), (4, 61), (3, 4096)):
        assert outcome(pipeline, tmp_path, lanes, batch) == expected, (lanes, batch)


@pytest.mark.threads
def test_the_simulated_run_gives_the_same(pipeline, tmp_path):
    write_records(tmp_path / "records.ndjson", 3)
    expected = outcome(pipeline, tmp_path, 2, "auto")
    for seed in range(3):
        assert outcome(pipeline, tmp_path, 3, 500, "--simulated", "--seed", seed) == expected, seed


# Lanes share a batch's columns in front of stages that look at their own rows only; copies go to `derive`.
SHARED = """
    sources:
      file:
        type: file
        path: records.%s
        format: %s
        key: sensor
        time: ts
        fields: {ts: time, sensor: symbol, line: symbol, value: f64, seq: i64}
    stages:
      - filter: %s
      - rolling: {field: value, window: 10, compute: [mean, stddev]}
      - normalize: {field: value, mean: 20, stddev: 5, as: z}
      - rolling: {field: z, window: 7, by: line, compute: [sum, max], as: line_z}
      - filter: seq != 7
      - rolling: {field: value, window: 5, by: seq, compute: [mean], as: odd}
    sinks:
      out: {type: file, path: out.ndjson}
    run: {lanes: %s, batch: %s}
"""


@pytest.mark.threads
@pytest.mark.parametrize("kept", ["value > -40 or value is null", "value > 22"])
def test_lanes_that_share_columns(pipeline, tmp_path, kept):
    write_records(tmp_path / "records.ndjson", 5)
    pipeline("""
    sources:
      file: {type: file, path: records.ndjson, key: sensor, time: ts,
             fields: {ts: time, sensor: symbol, line: symbol, value: f64, seq: i64}}
    sinks:
      out: {type: file, path: records.frame, format: frame}
    run: {lanes: 1}
""")
    def lines(form, lanes, batch):
        report = pipeline(SHARED % (form, form, kept, lanes, batch))
        assert report["unaccounted"] == 0
        return (tmp_path / "out.ndjson").read_bytes()

    expected = lines("ndjson", 1, "auto")
    assert expected.count(b"\n") > RECORDS / 5
    for form, lanes, batch in (("ndjson", 3, 1000), ("frame", 2, "auto"), ("frame", 4, "auto"), ("frame", 5, "auto")):
        assert lines(form, lanes, batch) == expected, (form, lanes, batch)


BRANCHES = """
    sources:
      fleet: {type: generate, keys: 50, count: 60000, rate: unlimited, seed: 3, start: "2024-11-21T00:00:00Z"}
    stages:
      - rolling: {field: value, window: 10, compute: [mean]}
      - filter: {name: high, when: value > 22}
    sinks:
      all: {type: "null", from: rolling}
      some: {type: file, path: some.ndjson, from: high, when_full: %s, queue: 64KiB}
    run: {lanes: 3, memory: 32MiB}
"""


@pytest.mark.threads
@pytest.mark.parametrize("policy", ["block", "drop_newest", "drop_oldest"])
def test_branches_and_policies(pipeline, tmp_path, policy):
    report = pipeline(BRANCHES % policy)
    assert report["records_in"] == 60000
    lines = (tmp_path / "some.ndjson").read_bytes().splitlines()
    assert all(json.loads(line)["value"] > 22 for line in lines)
    if policy == "block":
        assert report["records_dropped"] == 0
        assert report["records_stored"] == 60000
        assert report["records_out"] == 60000 + len(lines)
