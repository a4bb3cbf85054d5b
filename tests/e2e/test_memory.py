# SPDX-License-Identifier: MIT
"""The smallest memory that a run may have holds any pipeline: turns wait for room, records are not refused for want of
it. What can never fit says so."""
import datetime
import json

import pytest

from conftest import SLOWNESS

SMALLEST = "16MiB"


def write_readings(path, count, sensors=50):
    with open(path, "w", encoding="utf-8") as out:
        for n in range(count):
            out.write('{"ts": %d, "sensor": "s%d", "value": %d}\n' % (1732147200 + n, n % sensors, n % 1000))


def long_pipeline(stages, keyed, sink, lanes, extra=""):
    lines = ["sources: {in: {type: file, path: in.ndjson, key: sensor}}", "stages:"]
    for n in range(stages):
        if keyed and n == stages // 2:
            lines.append("  - rolling: {field: value, window: 5, compute: [sum]}")
        lines.append(f"  - derive: {{name: d{n}, v{n}: value + {n}}}")
    lines.append(f"sinks: {{out: {sink}}}")
    lines.append(f"run: {{lanes: {lanes}, memory: {SMALLEST}{extra}}}")
    return "\n".join(lines)


@pytest.mark.threads
@pytest.mark.parametrize("lanes, keyed, count", [(1, False, 14000), (4, True, 7000)])
def test_two_hundred_stages_in_the_least_memory(pipeline, tmp_path, lanes, keyed, count):
    write_readings(tmp_path / "in.ndjson", count)
    report = pipeline(long_pipeline(200, keyed, "{type: file, path: out.ndjson}", lanes))
    assert report["records_in"] == report["records_stored"] == count
    with open(tmp_path / "out.ndjson", encoding="utf-8") as out:
        lines = out.read().splitlines()
    assert len(lines) == count
    for n in (0, 100, count - 1):
        record = json.loads(lines[n])
        assert [record[f"v{i}"] for i in (0, 99, 199)] == [n % 1000 + i for i in (0, 99, 199)]


@pytest.mark.threads
@pytest.mark.parametrize("stage", ["rolling: {name: s%d, field: value, window: 3, compute: [sum], as: m}",
                                   "derive: {c%d: 'clamp(value, 1, 9) + 1'}", "filter: {name: s%d, when: value >= 0}"])
def test_hundreds_of_stages_on_each_lane(pipeline, tmp_path, stage):
    """What stages are made of is little, and so is what each of them keeps for a few keys: none is refused."""
    count, stages = 2000, 300
    write_readings(tmp_path / "in.ndjson", count)
    report = pipeline("\n".join(["sources: {in: {type: file, path: in.ndjson, key: sensor}}", "stages:"] +
                                [f"  - {stage % n}" for n in range(stages)] +
                                ["sinks: {out: {type: 'null'}}", f"run: {{lanes: 4, memory: {SMALLEST}}}"]))
    assert report["records_stored"] == count
    if SLOWNESS == 1:  # sanitizers take memory of their own
        assert report["peak_memory_bytes"] <= (16 + 32) << 20


def test_memory_that_is_there_is_used(pipeline, tmp_path):
    """Blocks are as large as they are useful, not as small as they could be."""
    count = 100000
    with open(tmp_path / "in.csv", "w", encoding="utf-8") as out:
        out.write("ts,sensor,value\n")
        out.writelines(f"{1732147200 + n // 100},s{n % 100},{n % 1000}\n" for n in range(count))
    size = (tmp_path / "in.csv").stat().st_size
    report = pipeline("""
        sources: {in: {type: file, path: in.csv, key: sensor}}
        stages:
          - filter: value >= 0
          - normalize: {field: value, mean: 20, stddev: 5, as: z}
          - rolling: {field: value, window: 10, compute: [mean, stddev]}
        sinks: {out: {type: "null"}}
        run: {lanes: 2, memory: 96MiB}
    """, args=["--simulated"])  # else blocks are also smaller where records take long
    assert report["records_stored"] == count
    # 16 blocks: the first are small, as nothing is known yet
    assert report["edges"][0]["batches"] <= 16 + size // 200000


FIELDS = ", ".join(f"f{n}: f64" for n in range(120))


@pytest.mark.parametrize("batch", ["", ", batch: 50000"])
def test_short_lines_that_become_rows_of_many_columns(pipeline, tmp_path, batch):
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        out.write('{"f1": 1, "note": "%s"}\n' % ("x" * 60) * 10000)
        out.write("{}\n" * 30000)
    report = pipeline("""
        sources: {in: {type: file, path: in.ndjson, fields: {%s}}}
        sinks: {out: {type: "null"}}
        run: {lanes: 1, memory: 16MiB%s}
    """ % (FIELDS, batch))
    assert report["records_stored"] == 40000


def test_a_block_that_can_never_be_decoded_ends_the_run(pipeline, tmp_path):
    """Where the ends of records cannot be told without decoding, a block is not cut into pieces."""
    with open(tmp_path / "in.csv", "w", encoding="utf-8") as out:
        out.write(",".join(f"f{n}" for n in range(120)) + "\n")
        out.write('"1"\n' * 30000)
    config = """
        sources: {in: {type: file, path: in.csv}}
        sinks: {out: {type: "null"}}
        run: {lanes: 1, memory: 16MiB, batch: %d}
    """
    report = pipeline(config % 50000, status=1)
    words = report["outcome"].stderr
    assert "in.csv:2: out of memory" in words and "`memory: 16MiB`" in words, words
    assert "run: {memory: ...}" in words and "run: {batch: ...}" in words, words
    assert report["records_refused"] == 0
    report = pipeline(config % 64)
    assert report["records_stored"] == 30000


@pytest.mark.threads
def test_state_takes_all_there_is_before_every_lane_has_decoded(pipeline, tmp_path):
    """Keys beyond the limit are refused, and nothing else stands still for it."""
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        out.writelines('{"ts": %d, "sensor": %d, "a": %d}\n' % (1732147200 + n // 1000, n, n) for n in range(40000))
    report = pipeline("""
        sources: {in: {type: file, path: in.ndjson, key: sensor, fields: {ts: time, sensor: i64, a: f64}}}
        stages: [{aggregate: {field: a, every: 600s, compute: [mean]}}]
        sinks: {out: {type: file, path: out.ndjson}}
        run: {lanes: 4, memory: 16MiB}
    """)
    assert report["records_in"] == 40000
    assert 0 < report["records_refused"] < 40000
    with open(tmp_path / "out.ndjson", encoding="utf-8") as out:
        assert len(out.readlines()) == 40000 - report["records_refused"]


@pytest.mark.threads
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("statistic", ["distinct", "median"])
def test_values_of_windows_stay_within_the_memory(pipeline, tmp_path, statistic, lanes):
    """Windows that overlap a hundredfold. Of different values each keeps its own: what there is no memory for is
    refused or missing, and counted; once they have closed there is room again. Values for a median they keep together,
    and all fit."""
    burst, between, calm, hops = 30000, 4000, 500, 100
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for n in range(burst):
            out.write('{"ts": %d, "sensor": "s%d", "a": %d}\n' % (1732147200, n % 5, n))
        for n in range(between):
            out.write('{"ts": %d, "sensor": "s%d", "a": null}\n' % (1732147350, n % 5))
        for n in range(calm):
            out.write('{"ts": %d, "sensor": "s%d", "a": %d}\n' % (1732147500, n % 5, n))
    report = pipeline("""
        sources: {in: {type: file, path: in.ndjson, key: sensor}}
        stages: [{aggregate: {field: a, every: 1s, window: %ds, compute: [count, %s]}}]
        sinks: {out: {type: file, path: out.ndjson}}
        run: {lanes: %d, memory: 16MiB, batch: 200}
    """ % (hops, statistic, lanes))
    counters = {entry["what"]: entry["number"] for entry in report["counters"]}
    missing, refused = counters.get("records missing in one of their windows", 0), report["records_refused"]
    assert (missing > 0) == (statistic == "distinct")
    assert statistic == "distinct" or refused == 0
    assert refused == counters.get("no memory for values of windows", 0)
    assert report["records_filtered"] == burst + between + calm - refused
    with open(tmp_path / "out.ndjson", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    late = [row for row in rows if row["window_start"] > "2024-11-21T00:03"]
    assert sum(row["a_count"] for row in rows) == (burst + calm - refused) * hops - missing
    if lanes == 1:  # else another lane may not have come so far
        assert {(row["sensor"], row["a_count"], row[f"a_{statistic}"]) for row in late} == \
            {(f"s{n}", calm // 5, calm // 5 if statistic == "distinct" else n + 5 * (calm // 5 - 1) / 2)
             for n in range(5)}
        assert len(late) == 5 * hops


@pytest.mark.threads
@pytest.mark.parametrize("lanes", [1, 3])
def test_many_windows_that_close_at_once(pipeline, tmp_path, lanes):
    """More than there is memory for in one go: they come in pieces, and all of them."""
    keys, hops = 1200, 60
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for n in range(keys):
            out.write('{"ts": %d, "sensor": "s%d", "a": %d, "b": %d}\n' % (1732147200 + n % 3, n, n, -n))
            out.write('{"ts": %d, "sensor": "s%d", "a": %d, "b": %d}\n' % (1732147203, n, n + 2, n))
    report = pipeline("""
        sources: {in: {type: file, path: in.ndjson, key: sensor, watermark: 10s}}
        stages:
          - aggregate: {field: [a, b], every: 1s, window: %ds,
                        compute: [count, sum, mean, var, stddev, min, max, first, last, delta, range]}
          - select: [window_start, sensor, a_count, a_sum, a_max]
        sinks: {out: {type: file, path: out.csv}}
        run: {lanes: %d, memory: 40MiB}
    """ % (hops, lanes))
    assert report["records_refused"] == 0
    expected = {}
    for n in range(keys):
        for ts, a in ((n % 3, n), (3, n + 2)):
            for start in range(ts - hops + 1, ts + 1):
                expected.setdefault((f"s{n}", start), []).append(a)
    base, starts = datetime.datetime(2024, 11, 21, tzinfo=datetime.timezone.utc), []
    with open(tmp_path / "out.csv", encoding="utf-8") as lines:
        assert next(lines) == "window_start,sensor,a_count,a_sum,a_max\n"
        for line in lines:
            text, sensor, *numbers = line.rstrip("\n").split(",")
            start = int((datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) - base).total_seconds())
            values = expected.pop((sensor, start))
            assert [float(number) for number in numbers] == [len(values), sum(values), max(values)]
            starts.append(start)
    assert not expected
    assert starts == sorted(starts)


def write_two(folder, count):
    """Two files of one kind, one of which is years behind the other."""
    for name, first, step in (("behind", 1600000000, 1), ("ahead", 1700000000, 10)):
        with open(folder / f"{name}.csv", "w", encoding="utf-8") as out:
            out.write("time,key,value\n")
            out.writelines(f"{first + n * step},s{n % 500},{n % 97}\n" for n in range(count))


TWO = """
    sources:
      a: {type: file, path: %s.csv, time: time, key: key, fields: {time: time, key: symbol, value: f64}}
      b: {type: file, path: %s.csv, time: time, key: key, fields: {time: time, key: symbol, value: f64}}
    stages: [%s]
    sinks: {out: {type: "null"}}
    run: {lanes: 1, memory: %s}
"""


@pytest.mark.parametrize("names", [("ahead", "behind"), ("behind", "ahead")])
def test_what_waits_for_a_slower_source_does_not_keep_it_from_its_room(pipeline, tmp_path, names):
    write_two(tmp_path, 150000)
    wide = ", ".join(f"v{n}: value + {n}" for n in range(60))
    report = pipeline(TWO % (*names, "{derive: {from: [a, b], %s}}, {aggregate: {field: value, every: 1h, "
                             "compute: [mean]}}" % wide, SMALLEST))
    assert report["records_in"] == 300000


def test_one_source_after_the_other_where_the_first_waits_for_the_second(weir, tmp_path):
    write_two(tmp_path, 150000)
    (tmp_path / "p.yaml").write_text(TWO % ("ahead", "behind", "{join: {from: [a, b], tolerance: 1s}}", SMALLEST))
    both = weir("compare", "p.yaml", "--json", status=0).json()
    assert both["sequential"]["records"] == both["concurrent"]["records"] == 300000
