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


# ---- Mistakes ----


@pytest.mark.parametrize("stage,words", [
    ("rolling: {field: valeu, window: 3, compute: mean}", ["valeu", "did you mean \"value\""]),
    ("rolling: {field: value, window: 3, compute: [mean, stdev]}", ["stdev", "did you mean \"stddev\""]),
    ("rolling: {field: sensor, window: 3, compute: mean}", ["sensor", "numbers"]),
    ("rolling: {field: value, window: 0, compute: mean}", ["window"]),
    ("rolling: {field: value, window: 3, compute: mean, by: sensr}", ["sensr", "did you mean \"sensor\""]),
    ("rolling: {field: [value, value], window: 3, compute: mean}", ["twice"]),
    ("rolling: {field: value, window: 200000000, compute: mean}", ["memory"]),
    ("normalize: {field: value}", ["running: true"]),
    ("normalize: {field: value, mean: 3}", ["stddev is missing"]),
    ("normalize: {field: value, min: 3, max: 2}", ["min is greater"]),
    ("normalize: {field: value, mean: 3, stddev: 1, as: sensor}", ["key"]),
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
