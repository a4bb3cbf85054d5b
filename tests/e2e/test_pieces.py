# SPDX-License-Identifier: MIT
"""Stages that make much of one record emit it in pieces, for which there is memory: as much as comes, in the same order
whatever the lanes, and nothing is refused for want of room."""
import hashlib
import json

import pytest

from conftest import SLOWNESS

MEMORY = 16 << 20

lanes = pytest.mark.parametrize("lanes", [1, 3])
pytestmark = pytest.mark.threads


def check(report):
    assert report["records_refused"] == 0
    assert report["memory_budget"]["peak"] <= report["memory_budget"]["limit"] == MEMORY
    if SLOWNESS == 1:  # sanitizers take memory of their own
        assert report["peak_memory_bytes"] <= MEMORY + (32 << 20)


def digest(path):
    with open(path, "rb") as content:
        data = content.read()
    return data.count(b"\n"), hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("method", ["forward", "linear", "none"])
def test_long_gaps(pipeline, tmp_path, method):
    """Two dozen records become 180,000: a hundred times what there is memory for."""
    seen = set()
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for n in range(6):
            for key in range(4):
                out.write('{"ts": %d, "sensor": "s%d", "value": %d}\n' % (1732147200 + n * 9000 + key, key, n))
    expected = 4 * (5 * 9000 + 1)
    for number, (count, batch) in enumerate([(1, ""), (3, ""), (2, ", batch: 5")]):
        report = pipeline("""
            sources: {in: {type: file, path: in.ndjson, key: sensor}}
            stages: [{fill: {field: value, every: 1s, limit: 10000, method: %s}}]
            sinks: {out: {type: file, path: out.csv}}
            run: {lanes: %d, memory: 16MiB%s}
        """ % (method, count, batch))
        check(report)
        rows, content = digest(tmp_path / "out.csv")
        assert rows == expected + 1
        seen.add(content)
    assert len(seen) == 1
    key, times = "s2", []
    with open(tmp_path / "out.csv", encoding="utf-8") as text:
        header = next(text).rstrip("\n").split(",")
        for line in text:
            row = dict(zip(header, line.rstrip("\n").split(",")))
            if row["sensor"] != key:
                continue
            times.append(row["ts"])
            n, step = divmod(len(times) - 1, 9000)
            value = {"forward": n, "linear": n + step / 9000, "none": n if not step else None}[method]
            assert row["value"] == "" if value is None else float(row["value"]) == pytest.approx(value)
    assert len(times) == 5 * 9000 + 1 and times == sorted(times)


@lanes
def test_one_record_meets_a_thousand(pipeline, tmp_path, lanes):
    """A hundred thousand left records wait for the end; of each key a thousand meet the same record."""
    per_key, keys = 1000, 40
    with open(tmp_path / "left.ndjson", "w", encoding="utf-8") as out:
        for n in range(per_key):
            out.writelines('{"ts": %d, "sensor": "s%d", "n": %d}\n' % (1732147200 + n // 10, key, n)
                           for key in range(keys))
    with open(tmp_path / "right.ndjson", "w", encoding="utf-8") as out:
        out.writelines('{"ts": 1732147250, "sensor": "s%d", "note": "%s"}\n' % (key, f"note {key} " * 8)
                       for key in range(keys))
    report = pipeline("""
        sources:
          left: {type: file, path: left.ndjson, key: sensor, watermark: 1h}
          right: {type: file, path: right.ndjson, key: sensor, watermark: 1h}
        stages: [{join: {from: [left, right], tolerance: 10m}}]
        sinks: {out: {type: file, path: out.csv}}
        run: {lanes: %d, memory: 16MiB}
    """ % lanes)
    check(report)
    with open(tmp_path / "out.csv", encoding="utf-8") as text:
        header = next(text).rstrip("\n").split(",")
        rows = [dict(zip(header, line.rstrip("\n").split(","))) for line in text]
    assert len(rows) == per_key * keys
    assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)
    for key in range(keys):
        mine = [row for row in rows if row["sensor"] == f"s{key}"]
        assert [float(row["n"]) for row in mine] == list(range(per_key))
        assert {row["note"] for row in mine} == {f"note {key} " * 8}


@lanes
def test_an_array_of_four_mebibytes(pipeline, tmp_path, lanes):
    samples = 4 << 20
    report = pipeline("""
        sources:
          digitiser: {type: adc, sample_rate: 1e6, samples: %d, count: 1, speed: 0, start: "2024-11-21T00:00:00Z"}
        stages:
          - unpack: {field: samples, sample_rate: 1e6}
          - aggregate: {field: index, every: 1h, compute: [count, sum, min, max]}
        sinks: {out: {type: file, path: out.ndjson}}
        run: {lanes: %d, memory: 16MiB}
    """ % (samples, lanes))
    check(report)
    with open(tmp_path / "out.ndjson", encoding="utf-8") as text:
        (row,) = [json.loads(line) for line in text]
    assert [row[f"index_{name}"] for name in ("count", "sum", "min", "max")] == \
        [samples, samples * (samples - 1) // 2, 0, samples - 1]


def test_pieces_of_pieces(pipeline, tmp_path):
    """Samples of several records, spread anew by their number and filled up, so that lanes have pieces of pieces."""
    seen = set()
    for lanes in (1, 3):
        report = pipeline("""
            sources:
              digitiser: {type: adc, sample_rate: 1e3, samples: 4000, antennas: 2, count: 3, speed: 0, seed: 5,
                          start: "2024-11-21T00:00:00Z"}
            stages:
              - unpack: {field: samples, sample_rate: 1e3}
              - derive: {name: lot, lot: index %% 7}
              - fill: {by: [lot], every: 1ms, method: none}
            sinks: {out: {type: file, path: out.csv}}
            run: {lanes: %d, memory: 16MiB}
        """ % lanes)
        check(report)
        rows = {}
        with open(tmp_path / "out.csv", encoding="utf-8") as text:
            header = next(text).rstrip("\n").split(",")
            for line in text:
                row = dict(zip(header, line.rstrip("\n").split(",")))
                rows.setdefault(row["lot"], []).append(line)
        assert len(rows) == 7
        seen.add(hashlib.sha256("".join("".join(rows[lot]) for lot in sorted(rows)).encode()).hexdigest())
    assert len(seen) == 1


def test_pieces_of_what_time_lets_go(pipeline, tmp_path):
    """Windows that end let go of batches, and filling the gaps between those takes several pieces each: also the last
    ones come out, and before anything later."""
    keys, gap, seen = 400, 120, set()
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for n in range(3):
            for second in range(2):
                out.writelines('{"ts": %d, "sensor": "s%d", "value": %d}\n'
                               % (1732147200 + n * gap * 60 + second, key, n) for key in range(keys))
    for count in (1, 2, 3):
        report = pipeline("""
            sources: {in: {type: file, path: in.ndjson, key: sensor}}
            stages:
              - aggregate: {field: value, every: 1m, by: sensor, compute: [mean]}
              - fill: {field: value_mean, every: 1m, by: sensor, limit: 1000}
            sinks: {out: {type: file, path: out.csv}}
            run: {lanes: %d, memory: 16MiB}
        """ % count)
        check(report)
        rows, content = digest(tmp_path / "out.csv")
        assert rows == 1 + keys * (2 * gap + 1)
        seen.add(content)
    assert len(seen) == 1


def test_pieces_of_two_sources(pipeline, tmp_path):
    """With little memory: whose turn is between two pieces does not wait for the other source's, which waits for it."""
    keys, gap = 3000, 30
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for n in range(3):
            out.writelines('{"ts": %d, "sensor": "s%d", "value": %d}\n' % (1732147200 + n * gap * 60, key, n)
                           for key in range(keys))
    report = pipeline("""
        sources:
          one: {type: file, path: in.ndjson, key: sensor}
          two: {type: file, path: in.ndjson, key: sensor}
        stages: [{fill: {from: [one, two], field: value, every: 1m}}]
        sinks: {out: {type: file, path: out.csv}}
        run: {lanes: 3, memory: 16MiB, batch: 4000}
    """)
    assert report["records_in"] == report["records_stored"] == 6 * keys
