# SPDX-License-Identifier: MIT
"""rolling and normalize against a reference in exact fractions, row by row, through the whole program."""
import csv
import json
import math
import random
from collections import defaultdict
from fractions import Fraction

import pytest

WINDOW = 288  # a day of the series
STATISTICS = ["count", "sum", "mean", "var", "stddev", "min", "max", "first", "last", "delta"]


def exact(values, ddof=1):
    """All statistics of a window; None in it is null. Floats that are the exact values, rounded once."""
    known = [value for value in values if value is not None]
    result = dict.fromkeys(STATISTICS)
    result["count"] = len(known)
    if not known:
        return result
    fractions = [Fraction(value) for value in known]
    total = sum(fractions)
    mean = total / len(known)
    result.update(sum=float(total), mean=float(mean), min=min(known), max=max(known), first=known[0], last=known[-1],
                  delta=known[-1] - known[0])
    if len(known) > ddof:
        variance = sum((value - mean) ** 2 for value in fractions) / (len(known) - ddof)
        result.update(var=float(variance), stddev=math.sqrt(variance))
    return result


def assert_close(got, expected, largest, where):
    if expected is None:
        assert got is None, (where, got, expected)
    elif expected == 0:
        assert abs(got) <= 1e-12 * max(largest, largest**2), (where, got, expected)
    else:
        assert got is not None and abs(got - expected) <= 1e-9 * abs(expected), (where, got, expected)


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# ---- The bundled series ----


@pytest.fixture(scope="module")
def series(request):
    path = request.path.parent.parent / "data" / "machine_temperature.csv"
    with open(path, encoding="utf-8", newline="") as file:
        return [float(row["value"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def reference(series):
    """(mean, variance, stddev) of each window, from exact prefix sums: nothing in common with how weir does it."""
    scaled = [Fraction(value) for value in series]
    unit = math.lcm(*(value.denominator for value in scaled))
    whole = [int(value * unit) for value in scaled]
    sums, squares = [0], [0]
    for value in whole:
        sums.append(sums[-1] + value)
        squares.append(squares[-1] + value * value)
    result = []
    for end in range(1, len(whole) + 1):
        begin = max(0, end - WINDOW)
        n, total = end - begin, sums[end] - sums[begin]
        mean = Fraction(total, n * unit)
        variance = None
        if n > 1:
            variance = Fraction((squares[end] - squares[begin]) * n - total * total, n * (n - 1) * unit * unit)
        result.append((float(mean), None if variance is None else float(variance),
                       None if variance is None else math.sqrt(variance)))
    return result


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("method", ["incremental", "recompute"])
def test_the_real_series(pipeline, data, tmp_path, series, reference, lanes, method):
    report = pipeline(f"""
        sources: {{machine: {{type: file, path: "{data / 'machine_temperature.csv'}"}}}}
        stages:
          - rolling: {{field: value, window: {WINDOW}, compute: [mean, var, stddev, min, max, count], method: {method}}}
        sinks: {{out: {{type: file, path: out.ndjson}}}}
        run: {{lanes: {lanes}}}
    """)
    assert report["records_in"] == report["records_stored"] == len(series) == 22695
    results = rows(tmp_path / "out.ndjson")
    assert len(results) == len(series)
    for i, (row, (mean, variance, stddev)) in enumerate(zip(results, reference)):
        window = series[max(0, i + 1 - WINDOW):i + 1]
        assert row["value"] == series[i]
        assert row["value_count"] == len(window)
        assert row["value_min"] == min(window) and row["value_max"] == max(window)
        assert_close(row["value_mean"], mean, 100, ("mean", i))
        assert_close(row["value_var"], variance, 100, ("var", i))
        assert_close(row["value_stddev"], stddev, 100, ("stddev", i))


# ---- Keys, nulls, step and lag ----


def keyed_series(seed, count=1200, keys=5):
    """(key, value) pairs; about a tenth of the values are null, and one key sits at 1e9 with a noise of 1e-3."""
    draw = random.Random(seed)
    result = []
    for _ in range(count):
        key = draw.randrange(keys)
        value = 1e9 + draw.gauss(0, 1e-3) if key == 0 else 5.0 if key == 1 else draw.gauss(20, 5)
        result.append((f"s{key}", None if draw.random() < 0.1 else value))
    return result


def write_csv(path, records):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write("sensor,value\n")
        for key, value in records:
            file.write(f"{key},{'' if value is None else repr(value)}\n")


def bounds(index, window, step, lag):
    """begin and end of what the record number `index` of its key sees; None: nothing."""
    if lag:
        if index == 0:
            return None
        index -= 1
    end = index + 1
    if end > window:
        end = window + (end - window) // step * step
    return max(0, end - window), end


@pytest.mark.parametrize("window,step,lag", [(10, 1, False), (10, 1, True), (10, 4, False), (10, 4, True), (3, 5, True),
                                             (1, 1, False), (5000, 1, False), (40, 40, False)])
def test_keyed_against_fractions(pipeline, tmp_path, window, step, lag):
    records = keyed_series(seed=window * 100 + step)
    write_csv(tmp_path / "in.csv", records)
    outputs = []
    for lanes, batch in ((1, 4096), (2, 37), (4, 1)):
        pipeline(f"""
            sources: {{in: {{type: file, path: in.csv, fields: {{sensor: symbol, value: f64}}}}}}
            stages:
              - rolling: {{field: value, by: sensor, window: {window}, step: {step}, lag: {str(lag).lower()},
                           compute: [{', '.join(STATISTICS)}]}}
            sinks: {{out: {{type: file, path: out.ndjson}}}}
            run: {{lanes: {lanes}, batch: {batch}}}
        """)
        by_key = defaultdict(list)
        for row in rows(tmp_path / "out.ndjson"):
            by_key[row["sensor"]].append(row)
        outputs.append(by_key)
    assert outputs[0] == outputs[1] == outputs[2]  # bit for bit: floats are written so that they read back the same

    values = defaultdict(list)
    for key, value in records:
        values[key].append(value)
    for key, seen in values.items():
        assert len(outputs[0][key]) == len(seen)
        for i, row in enumerate(outputs[0][key]):
            span = bounds(i, window, step, lag)
            expected = dict.fromkeys(STATISTICS) if span is None else exact(seen[span[0]:span[1]])
            largest = 0 if span is None else max((abs(v) for v in seen[span[0]:span[1]] if v is not None), default=0)
            for statistic in STATISTICS:
                assert_close(row[f"value_{statistic}"], expected[statistic], largest, (key, i, statistic))


def test_two_fields_and_another_name(pipeline, tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,10\n3,\n8,30\n", encoding="utf-8")
    pipeline("""
        sources: {in: {type: file, path: in.csv}}
        stages:
          - rolling: {field: [a, b], window: 2, compute: [sum, count]}
          - rolling: {name: second, field: a, window: 3, compute: mean, ddof: 0, as: level}
        sinks: {out: {type: file, path: out.ndjson}}
    """)
    assert [{k: v for k, v in row.items() if k not in "ab"} for row in rows(tmp_path / "out.ndjson")] == [
        {"a_sum": 1, "a_count": 1, "b_sum": 10, "b_count": 1, "level_mean": 1},
        {"a_sum": 4, "a_count": 2, "b_sum": 10, "b_count": 1, "level_mean": 2},
        {"a_sum": 11, "a_count": 2, "b_sum": 30, "b_count": 1, "level_mean": 4},
    ]


# ---- Windows of time, and statistics of order ----


def quantile(ordered, rank):
    place = rank * (len(ordered) - 1)
    below = int(place)
    if place == below:
        return ordered[below]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


def timed_series(seed, count=900, keys=4):
    """(second, key, value): time in steps of 0 to 3 s; now and then a record that is late."""
    draw = random.Random(seed)
    result, now = [], 0
    for _ in range(count):
        now += draw.randrange(4)
        late = draw.randrange(1, 6) if draw.random() < 0.05 else 0
        value = None if draw.random() < 0.1 else float(draw.randrange(-20, 20)) + draw.choice([0, 0.25])
        result.append((max(0, now - late), f"s{draw.randrange(keys)}", value))
    return result


def run_timed(pipeline, tmp_path, records, stages, options=""):
    """The rows of each key after the stages: the same for any number of lanes and size of batch."""
    with open(tmp_path / "in.csv", "w", encoding="utf-8", newline="") as file:
        file.write("when,sensor,value\n")
        for second, key, value in records:
            file.write(f"2024-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z,{key},"
                       f"{'' if value is None else value}\n")
    outputs = []
    for lanes, batch in ((1, 4096), (2, 37), (4, 1)):
        pipeline(f"""
            sources:
              in: {{type: file, path: in.csv, time: when, {options}fields: {{when: time, sensor: symbol, value: f64}}}}
            stages: {stages}
            sinks: {{out: {{type: file, path: out.ndjson}}}}
            run: {{lanes: {lanes}, batch: {batch}}}
        """)
        by_key = defaultdict(list)
        for row in rows(tmp_path / "out.ndjson"):
            by_key[row["sensor"]].append(row)
        outputs.append(by_key)
    assert outputs[0] == outputs[1] == outputs[2]
    return outputs[0]


@pytest.mark.parametrize("window,most,lag", [("30s", 4096, False), ("90s", 4096, True), ("1h", 7, False),
                                             ("12", 4096, False), ("12", 4096, True)])
def test_windows_of_time(pipeline, tmp_path, window, most, lag):
    records = timed_series(seed=len(window) * 10 + most + lag)
    room = "" if window.isdigit() else f"most: {most}, "
    by_key = run_timed(pipeline, tmp_path, records, f"""
              - rolling: {{field: value, by: sensor, window: {window}, {room}lag: {str(lag).lower()},
                           compute: [count, mean, min, max, range, median, p90, distinct, rate, slope, zscore, ewma],
                           halflife: 20s}}""")

    span = {"30s": 30, "90s": 90, "1h": 3600}.get(window)
    size = most if span else int(window)
    seen, average = defaultdict(list), {}
    for second, key, value in records:
        row = by_key[key][len(seen[key])]
        newest = max(second, seen[key][-1][0]) if seen[key] else second
        before = average.get(key)
        seen[key].append((newest, value))
        if value is not None:
            if before is None:
                average[key] = (newest, value)
            else:
                average[key] = (newest, before[1] + (1 - 2 ** ((before[0] - newest) / 20)) * (value - before[1]))
        if lag and len(seen[key]) == 1:
            assert row["value_count"] is None and row["value_median"] is None
            continue
        inside = seen[key][:-1] if lag else seen[key]
        inside = [(t, v) for t, v in inside if not span or t > newest - span][-size:]
        known = [(t, v) for t, v in inside if v is not None]
        ordered = sorted(v for _, v in known)
        assert row["value_count"] == len(known) and row["value_distinct"] == len(set(ordered))
        expected = exact([v for _, v in inside])
        smooth = before if lag else average.get(key)
        expected["ewma"] = smooth and smooth[1]
        for name in ("range", "median", "p90", "rate", "slope", "zscore"):
            expected[name] = None
        if known:
            expected.update(range=ordered[-1] - ordered[0], median=quantile(ordered, 0.5), p90=quantile(ordered, 0.9))
            if known[-1][0] > known[0][0]:
                expected["rate"] = (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0])
                middle = Fraction(sum(t for t, _ in known), len(known))
                expected["slope"] = float(sum((t - middle) * Fraction(v) for t, v in known) /
                                          sum((t - middle) ** 2 for t, _ in known))
            if value is not None and expected["stddev"]:
                expected["zscore"] = (value - expected["mean"]) / expected["stddev"]
        for name in ("mean", "min", "max", "range", "median", "p90", "rate", "slope", "zscore", "ewma"):
            got, wanted = row[f"value_{name}"], expected[name]
            assert (got is None) == (wanted is None), (key, newest, name, got, wanted)
            assert got is None or abs(got - wanted) <= 1e-9 * abs(wanted) + 1e-12, (key, newest, name, got, wanted)


@pytest.mark.parametrize("lag", [False, True])
def test_a_moving_average_needs_no_window(pipeline, tmp_path, lag):
    records = timed_series(seed=5)
    stage = "rolling: {{field: value, by: sensor, {}compute: ewma, alpha: 0.25, lag: %s}}" % str(lag).lower()
    with_window = run_timed(pipeline, tmp_path, records, f"\n              - {stage.format('window: 30, ')}")
    without = run_timed(pipeline, tmp_path, records, f"\n              - {stage.format('')}")
    assert without == with_window
    average = {}
    for key, out in without.items():
        for row, (_, _, value) in zip(out, [record for record in records if record[1] == key], strict=True):
            before = average.get(key)
            if value is not None:
                average[key] = value if before is None else before + 0.25 * (value - before)
            expected = before if lag else average.get(key)
            assert (row["value_ewma"] is None) == (expected is None)
            assert expected is None or abs(row["value_ewma"] - expected) < 1e-9
    assert len(average) > 1


# ---- Normalize ----


def test_normalize_given(pipeline, tmp_path, series, data):
    pipeline(f"""
        sources: {{machine: {{type: file, path: "{data / 'machine_temperature.csv'}"}}}}
        stages:
          - normalize: {{field: value, mean: 85.9, stddev: 13.7, as: z}}
          - normalize: {{name: unit, field: value, min: 2, max: 109}}
          - normalize: {{name: nothing, field: value, mean: 1, stddev: 0, as: none}}
        sinks: {{out: {{type: file, path: out.ndjson}}}}
    """)
    for value, row in zip(series, rows(tmp_path / "out.ndjson"), strict=True):
        assert row["z"] == (value - 85.9) / 13.7
        assert row["value_normalized"] == (value - 2) / (109 - 2)
        assert row["none"] is None


def test_normalize_running(pipeline, tmp_path):
    records = keyed_series(seed=5, count=900)
    write_csv(tmp_path / "in.csv", records)
    pipeline("""
        sources: {in: {type: file, path: in.csv, fields: {sensor: symbol, value: f64}}}
        stages:
          - normalize: {field: value, running: true, by: sensor, as: z}
        sinks: {out: {type: file, path: out.ndjson}}
        run: {lanes: 2}
    """)
    values, results = defaultdict(list), defaultdict(list)
    for key, value in records:
        values[key].append(value)
    for row in rows(tmp_path / "out.ndjson"):
        results[row["sensor"]].append(row["z"])
    for key, seen in values.items():
        for i, got in enumerate(results[key]):
            known = [Fraction(v) for v in seen[:i + 1] if v is not None]
            expected = None
            if seen[i] is not None and len(known) > 1:
                mean = sum(known) / len(known)
                variance = sum((v - mean) ** 2 for v in known) / (len(known) - 1)
                expected = float((Fraction(seen[i]) - mean) / Fraction(math.sqrt(variance))) if variance else None
            assert_close(got, expected, 1, (key, i))


def median_of(values):
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else low + (high - low) * 0.5


@pytest.mark.parametrize("window,most,lag", [("30s", 4096, False), ("10m", 9, True), ("12", 4096, False),
                                             ("31", 4096, True)])
def test_normalize_robust(pipeline, tmp_path, window, most, lag):
    records = timed_series(seed=len(window) + most + lag)
    room = "" if window.isdigit() else f"most: {most}, "
    by_key = run_timed(pipeline, tmp_path, records, f"""
              - normalize: {{field: value, method: robust, window: {window}, {room}lag: {str(lag).lower()}}}
              - normalize: {{name: given, field: value, method: robust, median: 3, mad: 2.5, as: given}}""",
                       "key: sensor, ")

    span = {"30s": 30, "10m": 600}.get(window)
    size = most if span else int(window)
    seen, scored = defaultdict(list), 0
    for second, key, value in records:
        row = by_key[key][len(seen[key])]
        newest = max([second] + [time for time, _ in seen[key]])
        mine = seen[key] if lag else seen[key] + [(newest, value)]
        inside = [v for time, v in mine[-size:] if (not span or time > newest - span) and v is not None]
        seen[key].append((newest, value))
        expected = None
        if inside and value is not None:
            median = median_of(inside)
            mad = median_of([abs(v - median) for v in inside])
            expected = (value - median) / (1.4826 * mad) if mad else None
        assert row["value_normalized"] == expected, (key, second)
        assert row["given"] == (None if value is None else (value - 3) / (1.4826 * 2.5))
        scored += expected is not None
    assert scored > 600


# ---- Mistakes ----


@pytest.mark.parametrize("stage,words", [
    ("rolling: {field: valeu, window: 3, compute: mean}", ["valeu", "did you mean \"value\""]),
    ("rolling: {field: value, window: 3, compute: [mean, stdev]}", ["stdev", "did you mean \"stddev\""]),
    ("rolling: {field: sensor, window: 3, compute: mean}", ["sensor", "numbers"]),
    ("rolling: {field: value, window: 0, compute: mean}", ["window"]),
    ("rolling: {field: value, window: ten, compute: mean}", ["window", "ten", "30s"]),
    ("rolling: {field: value, window: 30s, compute: mean}", ["time"]),
    ("rolling: {field: value, window: 3, compute: medain}", ["did you mean \"median\""]),
    ("rolling: {field: value, window: 3, compute: ewma}", ["alpha", "halflife"]),
    ("rolling: {field: value, compute: ewma}", ["alpha", "halflife"]),
    ("rolling: {field: value, compute: [ewma, mean], alpha: 0.5}", ["window is missing", "is mean wanted", "30s"]),
    ("rolling: {field: value, compute: ewma, alpha: 0.5, most: 10}", ["most", "no window"]),
    ("rolling: {field: value, window: 3, compute: rate}", ["rate", "time"]),
    ("rolling: {field: value, window: 3, compute: median, step: 2}", ["step"]),
    ("rolling: {field: value, window: 3, compute: mean, by: sensr}", ["sensr", "did you mean \"sensor\""]),
    ("rolling: {field: [value, value], window: 3, compute: mean}", ["twice"]),
    ("rolling: {field: value, window: 200000000, compute: mean}", ["memory"]),
    ("normalize: {field: value}", ["running: true"]),
    ("normalize: {field: value, mean: 3}", ["stddev is missing"]),
    ("normalize: {field: value, min: 3, max: 2}", ["min is greater"]),
    ("normalize: {field: value, mean: 3, stddev: 1, as: sensor}", ["key"]),
    ("normalize: {field: value, method: robust}", ["window", "median and mad"]),
    ("normalize: {field: value, method: robust, median: 3}", ["mad is missing"]),
    ("normalize: {field: value, method: robust, median: 3, mad: -1}", ["mad is negative"]),
    ("normalize: {field: value, method: robust, window: 30s}", ["time"]),
    ("normalize: {field: value, method: robust, window: 70000}", ["1 to 65536"]),
    ("normalize: {field: value, method: robust, window: 10, mean: 3}", ["either window"]),
    ("normalize: {field: value, median: 3, mad: 1}", ["method: robust"]),
    ("normalize: {field: value, window: 10}", ["method: robust", "zscore"]),
])
def test_mistakes_are_explained(weir, tmp_path, stage, words):
    (tmp_path / "in.csv").write_text("sensor,value\na,1\nb,2\n", encoding="utf-8")
    (tmp_path / "a.yaml").write_text(f"""
sources: {{in: {{type: file, path: in.csv, key: sensor}}}}
stages:
  - {stage}
sinks: {{out: {{type: "null"}}}}
""", encoding="utf-8")
    for command in ("check", "run"):
        outcome = weir(command, "a.yaml")
        assert outcome.status != 0, outcome
        assert "a.yaml:4:" in outcome.stderr, outcome
        for word in words:
            assert word in outcome.stderr, outcome
