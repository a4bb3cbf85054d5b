# SPDX-License-Identifier: MIT
"""Branches of one source that come together: in the order of the source again, whatever the lanes and batches, also
where they have different columns."""
import json
import random

import pytest

RECORDS = 1500
PIPELINE = """
    sources: {in: {type: file, path: in.ndjson, key: sensor}}
    stages:
      - filter: {name: big, from: in, when: value >= 5}
      - derive: {name: more, from: big, twice: value * 2}
      - filter: {name: small, from: in, when: value < 7}
      - rolling: {name: counted, from: [more, small], field: value, window: 4, compute: [sum]}
      - derive: {name: plain, from: [more, small], next: value + 1}
      - rolling: {name: behind, from: plain, field: next, window: 4, compute: [sum]}
    sinks:
      a: {type: file, path: counted.ndjson, from: counted}
      b: {type: file, path: plain.ndjson, from: plain}
      c: {type: file, path: both.ndjson, from: [more, small]}
      d: {type: file, path: behind.ndjson, from: behind}
    run: {lanes: %d, batch: %d}
"""


def model(readings):
    """Each record by each way that it can go, `more` before `small`."""
    both, windows = [], {}
    for ts, sensor, value in readings:
        head = {"ts": ts, "sensor": sensor, "value": value}
        if value >= 5:
            both.append({**head, "twice": value * 2})
        if value < 7:
            both.append(head)
    counted = []
    for record in both:
        window = windows.setdefault(record["sensor"], [])
        window.append(record["value"])
        counted.append({**record, "value_sum": sum(window[-4:])})
    plain = [{**record, "next": record["value"] + 1} for record in both]
    behind = [{**record, "next": record["value"] + 1, "next_sum": seen["value_sum"] + min(4, n)}
              for record, seen, n in zip(both, counted, numbers(both))]
    return {"counted": counted, "plain": plain, "both": both, "behind": behind}


def numbers(records):
    seen = {}
    for record in records:
        seen[record["sensor"]] = seen.get(record["sensor"], 0) + 1
        yield seen[record["sensor"]]


@pytest.mark.threads
@pytest.mark.parametrize("lanes, batch", [(1, 4096), (1, 5), (3, 97)])
def test_ways_with_different_columns_keep_the_order(pipeline, tmp_path, lanes, batch):
    draw = random.Random(7)
    readings = [(n, f"s{draw.randrange(5)}", draw.randrange(10)) for n in range(RECORDS)]
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for ts, sensor, value in readings:
            out.write(json.dumps({"ts": 1732147200 + ts, "sensor": sensor, "value": value}) + "\n")
    report = pipeline(PIPELINE % (lanes, batch))
    assert report["records_in"] == RECORDS
    for name, expected in model(readings).items():
        with open(tmp_path / f"{name}.ndjson", encoding="utf-8") as lines:
            got = [json.loads(line) for line in lines]
        for record in got:
            del record["ts"]
        for record in expected:
            record.pop("ts", None)
        assert got == expected, name
