# SPDX-License-Identifier: MIT
"""Windows of event time against naive models, over random streams that are out of order: any number of lanes and any
size of batch give the same, bit for bit."""
import functools
import json
import math
import random
from fractions import Fraction

import pytest
from layouts import LAYOUTS, counted, counters, run_layouts

SECOND = 1_000_000_000
START = 1_700_000_000  # s


class Stream:
    """Records whose times wander back by up to `disorder` seconds, and now and then by more. Values are multiples of
    1/64, of which sums, means and extremes are exact."""

    def __init__(self, seed, count=6000, keys=7, disorder=8.0, outliers=0.01, step=0.25):
        draw = random.Random(seed)
        self.records = []
        for n in range(count):
            back = draw.random() * disorder
            if draw.random() < outliers:
                back += draw.random() * 60
            jump = 40 if draw.random() < 0.002 else 0
            time = START + n * step + jump - back
            record = {"ts": round(time * 4) / 4, "key": f"k{int(draw.paretovariate(0.7)) % keys}",
                      "site": draw.choice("ab"), "value": draw.randrange(-3200, 3200) / 64,
                      "whole": draw.randrange(100), "seq": n}
            if draw.random() < 0.03:
                record["value"] = None
            if draw.random() < 0.002:
                record["ts"] = None
            self.records.append(record)

    def write(self, path):
        path.write_text("".join(json.dumps(record) + "\n" for record in self.records), encoding="utf-8")


def watermarks(records, delay):
    """Each record with the event time as it comes: the newest time so far less the delay."""
    mark = -math.inf
    for record in records:
        if record["ts"] is not None:
            mark = max(mark, record["ts"] - delay)
        yield record, mark


class Window:
    def __init__(self, start, end):
        self.start, self.end, self.values, self.closed = start, end, [], False

    def add(self, record):
        self.values.append((record["ts"], len(self.values), record))

    def take(self, other):
        self.end = max(self.end, other.end)
        self.values += other.values


def windows_model(records, delay, lateness, by, every=None, window=None, gap=None, lates=None):
    """{(key, start, end): records}, late, without time. Late records are appended to `lates`."""
    opened, done, late, timeless = {}, {}, 0, 0
    for record, mark in watermarks(records, delay):
        if record["ts"] is None:
            timeless += 1
            continue
        key, time, taken = tuple(record[column] for column in by), record["ts"], False
        mine = opened.setdefault(key, [])
        for one in [one for one in mine if one.end + lateness <= mark]:
            done[key, one.start, one.end] = [value[2] for value in one.values]
            mine.remove(one)
        if gap is None:
            start = math.floor(time / every) * every
            while start + window > time:
                if start + window + lateness > mark:
                    taken = True
                    found = [one for one in mine if one.start == start]
                    if not found:
                        found = [Window(start, start + window)]
                        mine += found
                    found[0].add(record)
                start -= every
        elif time + gap + lateness > mark:
            taken = True
            touched = sorted((one for one in mine if one.start < time + gap and one.end > time), key=lambda w: w.start)
            one = touched[0] if touched else Window(time, time + gap)
            for other in touched[1:]:
                one.take(other)
                mine.remove(other)
            if not touched:
                mine.append(one)
            one.start, one.end = min(one.start, time), max(one.end, time + gap)
            one.add(record)
        late += not taken
        if not taken and lates is not None:
            lates.append(record)
    for key, rest in opened.items():
        for one in rest:
            done[key, one.start, one.end] = [value[2] for value in one.values]
    return done, late, timeless


def statistics_model(records, field, ddof):
    pairs = [(record["ts"], n, Fraction(record[field])) for n, record in enumerate(records)
             if record[field] is not None]
    values = [pair[2] for pair in pairs]
    made = dict.fromkeys(ALL)
    made.update(count=len(values), sum=sum(values, Fraction(0)), distinct=len(set(values)))
    if values:
        first, last = min(pairs)[2], max(pairs)[2]
        mean = made["sum"] / len(values)
        made.update(mean=mean, min=min(values), max=max(values), first=first, last=last, delta=last - first,
                    range=max(values) - min(values))
        ordered = sorted(float(value) for value in values)
        made.update({name: quantile(ordered, rank) for name, rank in QUANTILES.items()})
        if len(values) > ddof:
            made["var"] = sum((value - mean) ** 2 for value in values) / (len(values) - ddof)
            made["stddev"] = math.sqrt(made["var"])
            if made["var"]:
                made["zscore"] = float(last - mean) / made["stddev"]
        if min(pairs)[0] < max(pairs)[0]:
            times = [Fraction(pair[0]) for pair in pairs]
            made["rate"] = float(last - first) / (max(pairs)[0] - min(pairs)[0])
            mean_time = sum(times) / len(times)
            made["slope"] = sum((time - mean_time) * (value - mean) for time, value in zip(times, values)) / \
                sum((time - mean_time) ** 2 for time in times)
    return made


def quantile(ordered, rank):
    """As numpy's default, with its rounding: a bit-for-bit matter."""
    place = rank * (len(ordered) - 1)
    below = math.floor(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return low if place == below else low + (high - low) * (place - below)


def equal(got, want, exact=True):
    if got is None or want is None:
        return got is None and want is None
    return got == float(want) if exact else math.isclose(got, float(want), rel_tol=1e-12, abs_tol=1e-12)


QUANTILES = {"median": 0.5, "p90": 0.9, "p5": 0.05, "p999": 0.999, "p00": 0.0}
ALL = ["count", "sum", "mean", "var", "stddev", "min", "max", "first", "last", "delta", "range", "rate", "slope",
       "zscore", "distinct", *QUANTILES]
ROUNDED = ("var", "stddev", "slope", "zscore")  # the others are exact
SOURCE = """
    sources:
      file:
        type: file
        path: records.ndjson
        key: key
        time: ts
        watermark: %ss
        fields: {ts: time, key: symbol, site: %s, value: f64, whole: i64, seq: i64}
"""
REST = """
    sinks:
      out: {type: file, path: out.ndjson}
    run: {lanes: %s, batch: %s}
"""
run_layouts = functools.partial(run_layouts, rest=REST)


def read_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def seconds(text):
    """A time as it is written, in seconds; exact to a quarter."""
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


KINDS = [
    dict(every=5, window=5), dict(every=2, window=10), dict(every=3, window=7), dict(gap=3), dict(gap=0.5),
]


def option_text(kind):
    if "gap" in kind:
        return "gap: %dms" % (kind["gap"] * 1000)
    if kind["every"] == kind["window"]:
        return "every: %ds" % kind["every"]
    return "every: %ds, window: %ds" % (kind["every"], kind["window"])


@pytest.mark.threads
@pytest.mark.parametrize("delay,lateness,by", [(8, 0, ["key"]), (2, 0, ["key"]), (2, 4, ["key", "site"]),
                                               (0, 0, ["site", "whole", "key"])])
@pytest.mark.parametrize("kind", KINDS, ids=option_text)
def test_aggregate(pipeline, tmp_path, kind, delay, lateness, by):
    seed = hash((delay, lateness, len(by), option_text(kind) == "gap: 3000ms")) % 1000
    stream = Stream(seed)
    stream.write(tmp_path / "records.ndjson")
    ddof = seed % 2
    config = SOURCE % (delay, "text" if lateness else "symbol") + f"""
    stages:
      - aggregate: {{field: [value, whole], {option_text(kind)}, compute: [{", ".join(ALL)}], ddof: {ddof},
                    allowed_lateness: {lateness}s{"" if by == ["key"] else ", by: [" + ", ".join(by) + "]"}}}
"""
    rows, report = run_layouts(pipeline, tmp_path, config, LAYOUTS[:5])
    want, late, timeless = windows_model(stream.records, delay, lateness, by, **kind)
    got = {(tuple(row[column] for column in by), seconds(row["window_start"]), seconds(row["window_end"])): row
           for row in rows}
    assert len(got) == len(rows), seed
    assert set(got) == set(want), seed
    for key, row in got.items():
        for field in ("value", "whole"):
            model = statistics_model(want[key], field, ddof)
            for name in ALL:
                assert equal(row[f"{field}_{name}"], model[name], name not in ROUNDED), (seed, key, name)
    assert counted(report, "late records") == late
    assert counted(report, "no time") == timeless
    assert report["records_refused"] == late + timeless
    assert report["records_filtered"] == len(stream.records) - late - timeless
    assert late > 0 or delay == 8


def run_values(pipeline, tmp_path, values, options):
    """values: (time, value) of one key. {window_start: (count, median, distinct)} and the counters, the same for any
    layout."""
    (tmp_path / "records.ndjson").write_text("".join(
        json.dumps({"ts": START + time, "key": "a", "site": "a", "value": value, "whole": 1, "seq": n}) + "\n"
        for n, (time, value) in enumerate(values)))
    rows, report = run_layouts(pipeline, tmp_path, SOURCE % (30, "symbol") + f"""
    stages:
      - aggregate: {{field: value, {options}}}
""", LAYOUTS[:4])
    assert report["records_filtered"] + report["records_refused"] == len(values)
    return {seconds(row["window_start"]) - START: tuple(row.get("value_" + name) for name in
                                                        ("count", "median", "distinct")) for row in rows}, report


OVER = "too many values in a window"


@pytest.mark.threads
def test_values_of_a_window_have_a_limit(pipeline, weir, tmp_path):
    """60 values in ten seconds, where 50 are allowed: the last find no room, but in those windows that have some."""
    values = [(n // 6 + n % 6 / 8, n) for n in range(60)] + [(5, None)]
    options = "compute: [count, median, distinct], max_values: 50"
    rows, report = run_values(pipeline, tmp_path, values, "every: 10s, " + options)
    assert rows == {0: (50, 24.5, 50)}
    assert counted(report, OVER) == report["records_refused"] == 10
    (tmp_path / "a.yaml").write_text(SOURCE % (0, "symbol") + f"""
    stages:
      - aggregate: {{field: value, every: 10s, {options}}}
""" + REST % (1, "auto"))
    assert "raise max_values" in weir("run", "a.yaml", status=0).stderr
    rows, report = run_values(pipeline, tmp_path, values, "every: 5s, window: 10s, " + options)
    assert rows == {-5: (30, 14.5, 30), 0: (50, 24.5, 50), 5: (30, 44.5, 30)}
    assert counted(report, "records missing in one of their windows") == 10 and report["records_refused"] == 0


@pytest.mark.threads
def test_sessions_grow_together_only_if_their_values_have_room(pipeline, tmp_path):
    early, late = [(n / 8, n) for n in range(20)], [(7 + n / 8, 100 + n) for n in range(20)]
    between = [(4.75, 50)]
    for most, want, refused in ((41, {0: (41, 50, 41)}, 0), (40, {0: (20, 9.5, 20), 7: (20, 109.5, 20)}, 1)):
        rows, report = run_values(pipeline, tmp_path, early + late + between,
                                  f"gap: 3s, compute: [count, median, distinct], max_values: {most}")
        assert rows == want
        assert counted(report, OVER) == report["records_refused"] == refused


@pytest.mark.threads
def test_distinct_alone_keeps_different_values_only(pipeline, tmp_path):
    values = [(n / 512, (n * n) % 100 - 0.0) for n in range(4096)] + [(8, -0.0)]
    different = {value for _, value in values}
    rows, report = run_values(pipeline, tmp_path, values,
                              f"every: 10s, compute: [count, distinct], max_values: {len(different) + 4}")
    assert rows == {0: (4097, None, len(different))} and report["records_refused"] == 0
    rows, report = run_values(pipeline, tmp_path, values, "every: 10s, compute: [count, distinct], max_values: 8")
    first = list(dict.fromkeys(value for _, value in values))[:8]
    known = sum(value in first for _, value in values)
    assert rows == {0: (known, None, 8)} and counted(report, OVER) == 4097 - known


@pytest.mark.threads
def test_windows_that_end_together_are_in_the_order_of_their_first_records(pipeline, tmp_path):
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for n in range(6000):
            out.write('{"ts": %d, "key": "k%d", "value": %d}\n' % (1732147200 + n // 50, n * 7 % 97, n))
    want = []
    for start in range(0, 120, 10):
        want += dict.fromkeys(f"k{n * 7 % 97}" for n in range(start * 50, (start + 10) * 50))
    for lanes in (1, 2, 4):
        pipeline("""
            sources: {in: {type: file, path: in.ndjson, key: key}}
            stages: [{aggregate: {field: value, every: 10s, compute: [first]}}]
            sinks: {out: {type: file, path: out.ndjson}}
            run: {lanes: %d}
        """ % lanes)
        with open(tmp_path / "out.ndjson", encoding="utf-8") as lines:
            assert [json.loads(line)["key"] for line in lines] == want, lanes



@pytest.mark.threads
@pytest.mark.parametrize("by", [["key"], ["key", "site"]])
def test_late_records_have_a_way_of_their_own(pipeline, tmp_path, by):
    stream = Stream(11, outliers=0.05)
    stream.write(tmp_path / "records.ndjson")
    config = SOURCE % (1, "text") + f"""
    stages:
      - aggregate: {{field: value, every: 5s, compute: [count, sum], late: late, by: [{", ".join(by)}]}}
      - filter: {{when: "whole < 50 or whole >= 50", from: late}}
"""
    rows, report = run_layouts(pipeline, tmp_path, config, LAYOUTS[:5])
    lates = []
    _, late, timeless = windows_model(stream.records, 1, 0, by, every=5, window=5, lates=lates)
    want = sorted((record["seq"], record["key"], record["site"], record["value"]) for record in lates)
    assert sorted(((row["seq"], row["key"], row["site"], row["value"]) for row in rows), key=repr) == \
        sorted(want, key=repr)
    assert late > 100 and counted(report, "late records") == late == report["records_stored"]
    assert report["records_refused"] == timeless
    assert report["records_filtered"] == len(stream.records) - late - timeless


@pytest.mark.parametrize("stages,words", [
    ("[{aggregate: {every: 1m, compute: count, late: late}}]", 'nothing reads from the side output "late"'),
    ("[{aggregate: {every: 1m, compute: count, late: file}}]", 'a source is called "file" already'),
    ("[{aggregate: {every: 1m, compute: count, late: la te}}]", "cannot be a name"),
    ("[{aggregate: {every: 1m, compute: count, late: late}}, {filter: {when: seq > 1, from: lste}}]",
     'did you mean "late"'),
    ("[{aggregate: {every: 1m, compute: count, late: late}}, {filter: {when: sqe > 1, from: late}}]",
     'did you mean "seq"'),
])
def test_mistakes_with_late(weir, tmp_path, stages, words):
    Stream(1, count=3).write(tmp_path / "records.ndjson")
    (tmp_path / "a.yaml").write_text(SOURCE % (0, "symbol") + f"    stages: {stages}\n" + REST % (1, "auto"))
    assert words in weir("check", "a.yaml", status=2).stderr


# ---- alert ----------------------------------------------------------------------------------------------------------


def alerts_model(records, delay, above, clear, duration, missing, most=None, period=None):
    """[(time, key, state, value)], in any order."""
    keys, made = {}, []

    def raise_it(key, mine, time, value):
        raises = mine["raises"]
        mine["held"] = bool(most) and len(raises) >= most and time - raises[-most] < period
        if not mine["held"]:
            raises.append(time)
            made.append((time, key, "raised", value))

    def clear_it(key, mine, time, value):
        if not mine["held"]:
            made.append((time, key, "cleared", value))
        mine["held"] = False

    for record, mark in watermarks(records, delay):
        for key, mine in keys.items():
            if not mine["missing"] and mine["newest"] > -math.inf and mark >= mine["newest"] + missing:
                mine["missing"] = True
                if not mine["raised"]:
                    raise_it(key, mine, mine["newest"] + missing, None)
        key, time, value = record["key"], record["ts"], record["value"]
        mine = keys.setdefault(key, dict(newest=-math.inf, missing=False, raised=False, since=None, held=False,
                                         raises=[]))
        if time is None or value is None or time < mine["newest"]:
            continue
        mine["newest"] = time
        if mine["missing"] and not mine["raised"]:
            clear_it(key, mine, time, value)
        mine["missing"] = False
        if mine["raised"]:
            if value <= clear:
                mine["raised"] = False
                clear_it(key, mine, time, value)
        elif value > above:
            mine["since"] = time if mine["since"] is None else mine["since"]
            if time - mine["since"] >= duration:
                mine["raised"], mine["since"] = True, None
                raise_it(key, mine, time, value)
        else:
            mine["since"] = None
    return made


@pytest.mark.threads
@pytest.mark.parametrize("seed,duration,most", [(1, 0, None), (2, 1, None), (3, 0, 2)])
def test_alert(pipeline, tmp_path, seed, duration, most):
    stream = Stream(seed, keys=12, disorder=2)
    stream.write(tmp_path / "records.ndjson")
    limit = f", at_most: {most}/30s" if most else ""
    config = SOURCE % (1, "symbol") + f"""
    stages:
      - alert: {{field: value, above: 20, clear: -10.5, for: {duration}s, missing: 6s{limit}}}
"""
    rows, report = run_layouts(pipeline, tmp_path, config)
    want = alerts_model(stream.records, 1, 20, -10.5, duration, 6, most, 30)
    got = [(seconds(row["ts"]), row["key"], row["state"], row["value"]) for row in rows]
    assert sorted(got, key=repr) == sorted(want, key=repr), seed
    assert {row["state"] for row in rows} == {"raised", "cleared"} and len(rows) > 50
    assert {row["alert"] for row in rows} == {"alert"}
    assert any("no data for" in row["reason"] for row in rows)
    assert bool(counted(report, "alerts held back")) == bool(most)


def test_alert_by_condition(pipeline, tmp_path):
    values = [1, 9, 9, 4, 9, 1, None, 9, 2]
    (tmp_path / "records.ndjson").write_text("".join(
        json.dumps({"ts": START + n, "key": "a", "value": value}) + "\n" for n, value in enumerate(values)))
    for stage, want in (("alert: value > 8", [1, 3, 4, 5, 7, 8]),
                        ("alert: {when: value > 8, clear_when: value < 2}", [1, 5, 7]),
                        ("alert: {when: value > 8, for: 1s}", [2, 3])):
        pipeline(SOURCE % (0, "symbol") + f"    stages:\n      - {stage}\n" + REST % (1, "auto"))
        rows = read_rows(tmp_path / "out.ndjson")
        assert [seconds(row["ts"]) - START for row in rows] == want, stage
        assert [row["state"] for row in rows] == (["raised", "cleared"] * 9)[:len(want)], stage


@pytest.mark.parametrize("stage,words", [
    ("alert: {field: value, above: 1, clear: 2}", "clear is higher than above"),
    ("alert: {field: value, above: 5, below: 6}", "below is higher than above"),
    ("rolling: {field: value, window: 10, most: 5, compute: mean}", "most is for a window of time"),
    ("normalize: {field: value, method: robust, window: 10, most: 5}", "most is for a window of time"),
    ("rolling: {field: value, window: 10, by: zzz, compute: mean}", 'to group by; there are: ts, key, site'),
    ("aggregate: {every: 1m, compute: count, by: [zzz]}", "[zzz]}\n" + " " * 52 + "^~~"),
    ("alert: {field: value}", "say when"),
    ("alert: {above: 1}", "need field"),
    ("alert: {field: value, above: 1, at_most: often}", "1/10m"),
    ("alert: {field: vlaue, above: 1}", 'did you mean "value"'),
    ("aggregate: {field: value, every: 1m, gap: 3s, compute: mean}", "windows are given by"),
    ("aggregate: {field: value, compute: mean}", "windows are given by"),
    ("aggregate: {every: 1m, compute: mean}", "say of which field"),
    ("aggregate: {field: value, every: 1m, compute: maen}", 'did you mean "mean"'),
    ("aggregate: {field: value, every: 1m, compute: medain}", 'did you mean "median"'),
    ("aggregate: {field: value, every: 1m, compute: p9x}", "up to 8 like p90"),
    ("aggregate: {field: value, every: 1m, compute: ewma}", "the stage rolling has it"),
    ("aggregate: {every: 1m, compute: median}", "say of which field"),
    ("aggregate: {field: value, every: 1m, compute: median, max_values: 0}", "max_values"),
    ("aggregate: {field: value, every: 1m, window: 1s, compute: mean}", "shorter than every"),
    ("aggregate: {field: value, every: 1ms, window: 1h, compute: mean}", "windows of a key could be open"),
    ("aggregate: {field: value, every: 1m, compute: mean, by: [key, sit]}", 'did you mean "site"'),
])
def test_mistakes(weir, tmp_path, stage, words):
    Stream(1, count=3).write(tmp_path / "records.ndjson")
    (tmp_path / "a.yaml").write_text(SOURCE % (0, "symbol") + f"    stages:\n      - {stage}\n" + REST % (1, "auto"))
    outcome = weir("run", "a.yaml", status=2)
    assert words in outcome.stderr


def test_windows_need_a_time(weir, tmp_path):
    Stream(1, count=3).write(tmp_path / "records.ndjson")
    text = (SOURCE % (0, "symbol")).replace("        time: ts\n", "").replace("ts: time", "ts: f64")
    (tmp_path / "a.yaml").write_text(text + "    stages:\n      - aggregate: {every: 1m, compute: count}\n" +
                                     REST % (1, "auto"))
    assert "give the source time: COLUMN" in weir("run", "a.yaml", status=2).stderr


LABELLED = [("2013-12-10 06:25", "2013-12-12 05:35"), ("2013-12-15 17:50", "2013-12-17 17:00"),
            ("2014-01-27 14:20", "2014-01-29 13:30"), ("2014-02-07 14:55", "2014-02-09 14:05")]


def test_the_known_failures_raise_alerts_and_nothing_else_does(weir, tmp_path, data):
    """tests/data/README.md lists the windows."""
    text = (data.parent.parent / "examples" / "alerts.yaml").read_text()
    (tmp_path / "alerts.yaml").write_text(text.replace("tests/data", str(data)))
    outcome = weir("run", "alerts.yaml", status=0)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    raised = [seconds(row["timestamp"]) for row in rows if row["state"] == "raised"]
    cleared = [seconds(row["timestamp"]) for row in rows if row["state"] == "cleared"]
    assert len(raised) == len(cleared) == len(LABELLED)
    for time, after, (start, end) in zip(raised, cleared, LABELLED):
        assert seconds(start + "Z") <= time <= seconds(end + "Z")
        assert time < after < seconds(end + "Z") + 24 * 3600  # the mean of a day takes a day to recover


# ---- throttle, sample, dedup ----------------------------------------------------------------------------------------


def by_seq(stage, pipeline, tmp_path, site="symbol", layouts=LAYOUTS):
    rows, report = run_layouts(pipeline, tmp_path, SOURCE % (0, site) + f"    stages:\n      - {stage}\n", layouts)
    return sorted(row["seq"] for row in rows), report


@pytest.mark.threads
@pytest.mark.parametrize("most,per", [(1, 3), (4, 10)])
def test_throttle(pipeline, tmp_path, most, per):
    stream = Stream(11)
    stream.write(tmp_path / "records.ndjson")
    passed, want = {}, []
    for record in stream.records:
        time = -1e12 if record["ts"] is None else record["ts"]
        mine = passed.setdefault((record["key"], record["site"]), [])
        if len(mine) < most or time - mine[-most] >= per:
            mine.append(time)
            want.append(record["seq"])
    got, _ = by_seq(f"throttle: {{most: {most}, per: {per}s, by: [key, site]}}", pipeline, tmp_path, "text")
    assert got == want


@pytest.mark.threads
def test_sample(pipeline, tmp_path):
    stream = Stream(12)
    stream.write(tmp_path / "records.ndjson")
    seen, want = {}, []
    for record in stream.records:
        n = seen[record["key"]] = seen.get(record["key"], -1) + 1
        if n % 10 == 0:
            want.append(record["seq"])
    assert by_seq("sample: 10", pipeline, tmp_path)[0] == want
    some, _ = by_seq("sample: {probability: 0.25, seed: 5}", pipeline, tmp_path)
    others, _ = by_seq("sample: {probability: 0.25, seed: 6}", pipeline, tmp_path)
    for taken in (some, others):
        assert abs(len(taken) - 1500) < 5 * math.sqrt(6000 * 0.25 * 0.75)
    assert some != others
    assert by_seq("sample: {probability: 1}", pipeline, tmp_path)[0] == list(range(6000))


@pytest.mark.threads
@pytest.mark.parametrize("by,remember,window", [(None, 64, None), (["key", "value", "site"], 8, None),
                                                (["whole"], 64, 5), (["site", "whole"], 20, 30)])
def test_dedup(pipeline, tmp_path, by, remember, window):
    stream = Stream(13, disorder=4)
    for record in stream.records:
        record["value"] = record["value"] and round(record["value"] / 10)
    stream.write(tmp_path / "records.ndjson")
    columns, keys, want = by or ["key", "ts"], {}, []
    for record in stream.records:
        remembered = keys.setdefault(record[columns[0]], {})
        what = tuple(record[column] for column in columns)
        time = -1e12 if record["ts"] is None else record["ts"]
        if what in remembered and (not window or abs(time - remembered[what]) < window):
            continue
        if what not in remembered and len(remembered) == remember:
            del remembered[next(iter(remembered))]
        remembered[what] = time
        want.append(record["seq"])
    options = f"remember: {remember}" + (f", by: [{', '.join(by)}]" if by else "")
    options += f", window: {window}s" if window else ""
    got, report = by_seq(f"dedup: {{{options}}}", pipeline, tmp_path, "text")
    assert got == want
    assert 0 < counted(report, "duplicates") == len(stream.records) - len(want)


# ---- fill -----------------------------------------------------------------------------------------------------------


def fill_model(records, method, every, limit):
    """(key, time, value, seq) in order of arrival."""
    keys, made = {}, []
    for record in records:
        key, time, value = record["key"], record["ts"], record["value"]
        mine = keys.get(key)
        if time is None or (mine and time < mine["time"]):
            made.append((key, time, value, record["seq"]))
            continue
        if mine is None:
            mine = keys[key] = dict(time=time, last=None)
        count = math.floor((time - mine["time"]) / every + 0.5) - 1 if every else 0
        for n in range(1, count + 1 if count <= limit else 0):
            when, put = mine["time"] + n * every, None
            if method == "forward" and mine["last"]:
                put = mine["last"][1]
            made.append((key, when, put, None))
        mine["time"] = time
        if value is not None:
            mine["last"] = (time, value)
        elif method == "forward" and mine["last"]:
            value = mine["last"][1]
        made.append((key, time, value, record["seq"]))
    return made


@pytest.mark.threads
@pytest.mark.parametrize("method,every,limit", [("forward", None, 100), ("forward", 2, 100), ("none", 0.5, 3)])
def test_fill(pipeline, tmp_path, method, every, limit):
    stream = Stream(14, disorder=0.5)
    for record in stream.records:
        record["value"] = None if record["whole"] < 20 else record["value"]
    stream.write(tmp_path / "records.ndjson")
    often = f", every: {int(every * 1000)}ms, limit: {limit}" if every else ""
    rows, report = run_layouts(pipeline, tmp_path, SOURCE % (0, "text") + f"""
    stages:
      - fill: {{field: value, method: {method}{often}}}
""")
    want = fill_model(stream.records, method, every, limit)
    got = [(row["key"], row["ts"] and seconds(row["ts"]), row["value"], row["seq"]) for row in rows]
    assert len(got) == len(want)
    for key in {record["key"] for record in stream.records}:
        assert [row for row in got if row[0] == key] == [row for row in want if row[0] == key], key
    assert counted(report, "records put in") == len(want) - len(stream.records)
    assert not every or len(want) > len(stream.records) + 100


# ---- Several sources ----


@pytest.mark.parametrize("windows", ["every: 10s", "every: 5s, window: 15s", "gap: 4s"])
def test_a_source_that_is_ahead_loses_nothing(pipeline, tmp_path, windows):
    """Windows of two files are those of one with the records of both, also where one file is days ahead of the other:
    what cannot be closed yet stays open, or the file waits."""
    days = {"a": START, "b": START, "c": START + 2 * 86400}
    for name, begin in days.items():
        with open(tmp_path / f"{name}.csv", "w", encoding="utf-8") as file:
            file.write("ts,key,value\n")
            for n in range(3000):
                file.write(f"{begin + 3 * n + n // 50 * 5},{'a' if name == 'c' else name},{n % 97}\n")
    rows = [row for name in "abc" for row in (tmp_path / f"{name}.csv").read_text().splitlines()[1:]]
    (tmp_path / "all.csv").write_text("ts,key,value\n" + "".join(row + "\n" for row in sorted(rows)))

    def run(sources):
        lines = "\n".join(f"              {name}: {{type: file, path: {name}.csv, time: ts, key: key}}"
                          for name in sources)
        report = pipeline(f"""
            sources:
{lines}
            stages:
              - aggregate: {{field: value, {windows}, compute: [count, sum, median]}}
            sinks: {{out: {{type: file, path: out.ndjson}}}}
            run: {{memory: 64MiB, lanes: 2}}
        """)
        assert report["records_refused"] == 0 and counted(report, "late records") == 0
        return sorted((tmp_path / "out.ndjson").read_text().splitlines())

    expected = run(["all"])
    assert len(expected) > 100
    assert run(["a", "b", "c"]) == expected
    assert run(["c", "b", "a"]) == expected
