# SPDX-License-Identifier: MIT
"""fill with method: linear against a naive model that has all records of a key at once."""
import json
import math
import random

import pytest

KEYS = 6
EPOCH = 1732147200


def readings(seed, count, late):
    """In the order of time but for a few; two fields that are often null."""
    draw = random.Random(seed)
    time, records = 0, []
    for n in range(count):
        time += draw.choice([0, 1, 1, 1, 2, 5])
        late_by = draw.randrange(1, 30) if draw.random() < late else 0
        records.append({"ts": EPOCH + time - late_by, "sensor": f"s{draw.randrange(KEYS)}", "seq": n,
                        "value": None if draw.random() < 0.4 else draw.uniform(-10, 10),
                        "steps": None if draw.random() < 0.4 else draw.randrange(-50, 50)})
    return records


def to_nearest(value):
    return int(math.floor(abs(value) + 0.5)) * (1 if value >= 0 else -1)


def model_key(records, limit, within, every):
    """What comes out of one key: in time, and late."""
    line, passed = [], []
    for record in records:
        if line and record["ts"] < line[-1]["ts"]:
            passed.append(dict(record))
            continue
        if line and every:
            gap = record["ts"] - line[-1]["ts"]
            missing = gap // every + (gap % every >= every - gap % every) - 1
            if 0 < missing <= limit:
                begin = line[-1]["ts"]
                for i in range(1, missing + 1):
                    line.append({"ts": begin + i * every, "sensor": record["sensor"], "seq": None, "value": None,
                                 "steps": None})
        line.append(dict(record))
    for field in ("value", "steps"):
        values = [(entry["ts"], entry[field]) for entry in line]
        known = [i for i, (_, value) in enumerate(values) if value is not None]
        for a, b in zip(known, known[1:]):
            if b - a - 1 > limit:
                continue
            for i in range(a + 1, b):
                if within and values[b][0] - values[i][0] > within:
                    continue
                length = values[b][0] - values[a][0]
                part = (values[i][0] - values[a][0]) / length if length else 0.0
                value = (1 - part) * values[a][1] + part * values[b][1]
                line[i][field] = to_nearest(value) if field == "steps" else value
    return line, passed


@pytest.mark.parametrize("seed, lanes, batch, options, late", [
    (1, 1, 4096, {}, 0.05),
    (2, 2, 3, {"limit": 3}, 0.05),
    (3, 3, 50, {"every": 4, "limit": 8}, 0.05),
    (4, 2, 7, {"within": 20}, 0),
    (5, 1, 64, {"every": 3, "within": 12, "limit": 6}, 0),
])
def test_fill_linear_as_a_naive_model(pipeline, tmp_path, seed, lanes, batch, options, late):
    records = readings(seed, 1200, late)
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        out.writelines(json.dumps(record) + "\n" for record in records)
    extra = "".join(f", {name}: {value}{'' if name == 'limit' else 's'}" for name, value in options.items())
    report = pipeline("""
        sources:
          in: {type: file, path: in.ndjson, key: sensor,
               fields: {ts: time, sensor: symbol, seq: i64, value: f64, steps: i64}}
        stages:
          - fill: {field: [value, steps], method: linear%s}
        sinks: {out: {type: file, path: out.ndjson}}
        run: {lanes: %d, batch: %d}
    """ % (extra, lanes, batch))
    assert report["records_in"] == len(records)
    with open(tmp_path / "out.ndjson", encoding="utf-8") as lines:
        got = [json.loads(line) for line in lines]
    for key in range(KEYS):
        mine = [record for record in records if record["sensor"] == f"s{key}"]
        line, passed = model_key(mine, options.get("limit", 100), options.get("within"), options.get("every"))
        late_ones = {record["seq"] for record in passed}
        out = [record for record in got if record["sensor"] == f"s{key}"]
        in_time = [record for record in out if record["seq"] not in late_ones]
        assert [record["seq"] for record in in_time] == [record["seq"] for record in line]
        for given, expected in zip(in_time, line):
            assert (given["value"], given["steps"]) == (expected["value"], expected["steps"]), (seed, given, expected)
        by_seq = {r["seq"]: r for r in out}
        for record in passed:
            got_late = by_seq[record["seq"]]
            assert (got_late["value"], got_late["steps"]) == (record["value"], record["steps"])
