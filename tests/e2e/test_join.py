# SPDX-License-Identifier: MIT
"""join against a naive model, over random streams that are out of order: any number of lanes, any size of batch and any
arrival give the same, bit for bit."""
import functools
import json
import math
import random

import pytest
from layouts import LAYOUTS, counted, counters, run_layouts

START = 1_700_000_000  # s


def stream(seed, count, step, disorder, keys=5, outliers=0.01):
    """Times are multiples of 1/4 s, so that equal ones and equal distances are common."""
    draw = random.Random(seed)
    records = []
    for n in range(count):
        back = draw.random() * disorder + (draw.random() * 60 if draw.random() < outliers else 0)
        key = f"k{int(draw.paretovariate(0.8)) % keys}"
        records.append({"ts": None if draw.random() < 0.003 else round((START + n * step - back) * 4) / 4,
                        "key": None if draw.random() < 0.01 else key, "site": draw.choice("ab"),
                        "value": draw.randrange(1000) / 8 if draw.random() < 0.95 else None, "seq": n,
                        "note": draw.choice(["", "x", "a longer text of some kind", None])})
    return records


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def on_time(records, delay, lateness):
    """What a stage that goes by the source's own watermark takes in, and what it finds late."""
    mark, taken, late = -math.inf, [], []
    for record in records:
        if record["ts"] is None:
            continue
        mark = max(mark, record["ts"] - delay)
        (late if record["ts"] < mark - lateness else taken).append(record)
    return taken, late


def join_model(left, right, tolerance, direction, on=("key",)):
    """[(left, right or None)]"""
    pairs = []
    for one in left:
        near = [other for other in right if all(one[c] == other[c] and one[c] is not None for c in on)
                and abs(other["ts"] - one["ts"]) <= tolerance]
        if direction == "backward":
            near = [other for other in near if other["ts"] <= one["ts"]]
        if direction == "forward":
            near = [other for other in near if other["ts"] >= one["ts"]]
        near.sort(key=lambda other: (abs(other["ts"] - one["ts"]), other["ts"], -other["seq"]))
        pairs.append((one, near[0] if near else None))
    return pairs


SOURCES = """
    sources:
      one: {type: file, path: one.ndjson, key: key, time: ts, watermark: %(delay)ss,
            fields: {ts: time, key: symbol, site: symbol, value: f64, seq: i64, note: text}}
      two: {type: file, path: two.ndjson, key: key, time: ts, watermark: %(delay)ss,
            fields: {ts: time, key: %(type)s, site: text, value: f64, seq: i64, note: text}}
"""
REST = """
    sinks:
      out: {type: file, path: out.ndjson, time_format: epoch_s}
    run: {lanes: %s, batch: %s}
"""
run_layouts = functools.partial(run_layouts, rest=REST)


def as_row(one, other, skip=("key",)):
    row = dict(one)
    for name in ("ts", "key", "site", "value", "seq", "note"):
        if name not in skip:
            row[name + "_right"] = other[name] if other else None
    return row


def canonical(rows):
    return sorted(json.dumps({name: float(value) if isinstance(value, int) else value for name, value in row.items()},
                             sort_keys=True) for row in rows)


@pytest.mark.threads
@pytest.mark.parametrize("direction,tolerance,delay,lateness,on,keytype", [
    ("nearest", 1, 8, 0, ["key"], "symbol"),
    ("nearest", 0.5, 2, 0, ["key"], "text"),
    ("backward", 3, 2, 4, ["key", "site"], "text"),
    ("forward", 2, 0, 0, ["site", "key"], "symbol"),
    ("nearest", 0, 4, 1, ["key"], "symbol"),
])
def test_join(pipeline, tmp_path, direction, tolerance, delay, lateness, on, keytype):
    left, right = stream(tolerance * 10 + delay, 2500, 0.25, 8), stream(delay + 77, 1500, 0.4, 8)
    write(tmp_path / "one.ndjson", left)
    write(tmp_path / "two.ndjson", right)
    columns = "" if on == ["key"] else f", on: [{', '.join(on)}]"
    config = SOURCES % {"delay": delay, "type": keytype} + f"""
    stages:
      - join: {{from: [one, two], tolerance: {int(tolerance * 1000)}ms, direction: {direction},
                allowed_lateness: {lateness}s{columns}}}
"""
    rows, report = run_layouts(pipeline, tmp_path, config)
    taken, late = on_time(left, delay, lateness)
    others, late_others = on_time(right, delay, lateness)
    pairs = join_model(taken, others, tolerance, direction, on)
    want = [as_row(one, other, on) for one, other in pairs]
    assert canonical(rows) == canonical(want)
    assert counted(report, "late records") == len(late) + len(late_others)
    assert counted(report, "records unmatched") == sum(other is None for _, other in pairs)
    assert 0 < sum(other is not None for _, other in pairs) < len(pairs)
    assert delay == 8 or (late and late_others)


def test_left_alone_drop_and_names(pipeline, tmp_path):
    left, right = stream(1, 300, 1, 0, outliers=0), stream(2, 200, 1.5, 0, outliers=0)
    write(tmp_path / "one.ndjson", left)
    write(tmp_path / "two.ndjson", right)
    config = SOURCES % {"delay": 1, "type": "symbol"} + """
    stages:
      - join: {from: [one, two], tolerance: 500ms, unmatched: drop, columns: [value, ts], prefix: p_}
"""
    rows, _ = run_layouts(pipeline, tmp_path, config, LAYOUTS[:2])
    pairs = join_model(*(on_time(records, 1, 0)[0] for records in (left, right)), 0.5, "nearest")
    assert canonical(rows) == canonical(
        [{**one, "p_value": other["value"], "p_ts": other["ts"]} for one, other in pairs if other])
    (tmp_path / "two.ndjson").write_text('{"ts": 1, "key": "a"}\n')
    rows, _ = run_layouts(pipeline, tmp_path, config.replace("drop", "keep"), LAYOUTS[:2])
    assert len(rows) == len(on_time(left, 1, 0)[0]) and all(row["p_value"] is None for row in rows)


def test_in_order_of_time(pipeline, tmp_path):
    """Of one lane, what comes out is in order of time, whatever the order it came in."""
    left, right = stream(5, 1000, 0.25, 8), stream(6, 1000, 0.25, 8)
    write(tmp_path / "one.ndjson", left)
    write(tmp_path / "two.ndjson", right)
    pipeline(SOURCES % {"delay": 9, "type": "symbol"} + """
    stages:
      - join: {from: [one, two], tolerance: 1s}
""" + REST % (1, 50))
    times = [json.loads(line)["ts"] for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert times == sorted(times) and len(times) > 900


@pytest.mark.threads
def test_two_ways_of_one_source_meet(pipeline, tmp_path):
    """Readings with the mean of the minute before: one way is through windows, which come out at their end."""
    left = stream(9, 3000, 0.25, 1, outliers=0)
    write(tmp_path / "one.ndjson", left)
    config = """
    sources:
      one: {type: file, path: one.ndjson, key: key, time: ts, watermark: 2s,
            fields: {ts: time, key: symbol, site: symbol, value: f64, seq: i64, note: text}}
    stages:
      - aggregate: {field: value, every: 10s, compute: [count, max], stamp: end}
      - join: {from: [one, aggregate], tolerance: 10s, direction: backward, columns: [value_count, value_max]}
"""
    rows, report = run_layouts(pipeline, tmp_path, config)
    taken = [record for record in left if record["ts"] is not None]
    windows = {}
    for record in taken:
        windows.setdefault((record["key"], math.floor(record["ts"] / 10) * 10 + 10), []).append(record["value"])
    want = []
    for one in taken:
        end = math.floor(one["ts"] / 10) * 10
        values = windows.get((one["key"], end)) if one["key"] is not None else None
        if values is None and one["ts"] == end and one["key"] is not None:
            values = windows.get((one["key"], end - 10)) if (one["key"], end - 10) in windows else None
        known = [value for value in values if value is not None] if values else None
        want.append({**one, "value_count": None if values is None else len(known),
                     "value_max": max(known) if known else None})
    assert canonical(rows) == canonical(want)
    assert counted(report, "late records") == 0


@pytest.mark.threads
def test_late_records_of_both_sides(pipeline, tmp_path):
    left, right = stream(21, 1500, 0.25, 8), stream(22, 1500, 0.25, 8)
    write(tmp_path / "one.ndjson", left)
    write(tmp_path / "two.ndjson", right)
    config = SOURCES % {"delay": 1, "type": "symbol"} + """
    stages:
      - join: {from: [one, two], tolerance: 1s, late: late}
      - filter: {when: seq >= 0, from: late}
    sinks:
      rest: {type: "null", from: join}
      out: {type: file, path: out.ndjson, time_format: epoch_s, from: filter}
    run: {lanes: %s, batch: %s}
"""
    want = canonical(on_time(left, 1, 0)[1] + on_time(right, 1, 0)[1])
    for lanes, batch in LAYOUTS[:4]:
        pipeline(config % (lanes, batch))
        assert canonical([json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]) == want


@pytest.mark.threads
def test_one_side_far_ahead_is_held_back(pipeline, tmp_path):
    """Two files read at full speed, one with ten times as many records in the same time: all are not to be kept in
    memory until the other has caught up."""
    def lines(count, step, name):
        with open(tmp_path / name, "w", encoding="utf-8") as file:
            for n in range(count):
                file.write('{"ts": %.3f, "key": "k%d", "site": "a", "value": %d, "seq": %d, "note": "%s"}\n'
                           % (START + n * step, n // 5 % 5, n % 97, n, "n" * 40))
    lines(300_000, 0.01, "one.ndjson")
    lines(30_000, 0.1, "two.ndjson")
    for left, right, rows in (("one", "two", 300_000), ("two", "one", 30_000)):
        for lanes in (1, 2):
            report = pipeline(SOURCES % {"delay": 0, "type": "symbol"} + f"""
    stages:
      - join: {{from: [{left}, {right}], tolerance: 5s}}
      - filter: seq_right is not null
    sinks: {{out: {{type: "null"}}}}
    run: {{memory: 16MiB, lanes: {lanes}}}
""", timeout=120)
            assert report["records_refused"] == 0, (left, lanes)
            assert report["records_out"] == rows, (left, lanes)


@pytest.mark.parametrize("stage,words", [
    ("join: {from: one, tolerance: 1s}", "reads from 2 parts"),
    ("join: {tolerance: 1s, from: [one, two, one]}", "named twice"),
    ("join: {from: [one, two]}", "tolerance"),
    ("join: {from: [one, two], tolerance: 1s, on: kye}", 'did you mean "key"'),
    ("join: {from: [one, two], tolerance: 1s, on: seq, columns: vlaue}", 'did you mean "value"'),
    ("join: {from: [one, two], tolerance: 1s, suffix: ''}", 'two columns called "ts"'),
    ("join: {from: [one, two], tolerance: 1s, columns: [value, value]}", "listed twice"),
    ("join: {from: [one, two], tolerance: 1s, late: one}", 'is called "one" already'),
])
def test_mistakes(weir, tmp_path, stage, words):
    for name in ("one", "two"):
        write(tmp_path / f"{name}.ndjson", stream(1, 3, 1, 0))
    (tmp_path / "a.yaml").write_text(SOURCES % {"delay": 0, "type": "symbol"} + f"    stages:\n      - {stage}\n" +
                                     REST % (1, "auto"))
    assert words in weir("check", "a.yaml", status=2).stderr


def test_keys_of_other_types(weir, tmp_path):
    for name in ("one", "two"):
        write(tmp_path / f"{name}.ndjson", stream(1, 3, 1, 0))
    text = (SOURCES % {"delay": 0, "type": "symbol"}).replace("seq: i64, note: text}}\n      two",
                                                              "seq: f64, note: text}}\n      two")
    (tmp_path / "a.yaml").write_text(text + "    stages:\n      - join: {from: [one, two], tolerance: 1s, on: seq}\n" +
                                     REST % (1, "auto"))
    assert "is f64 on the left" in weir("check", "a.yaml", status=2).stderr
