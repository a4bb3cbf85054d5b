# SPDX-License-Identifier: MIT
"""filter, derive and select through the whole program: against Python, and their mistakes."""
import json
import math
import random

import pytest

HEAD = """
sources: {f: {type: file, path: "-", format: ndjson, fields: {n: i64, x: f64, s: symbol, t: text, b: bool}}}
"""
TAIL = """
sinks: {out: {type: file, path: out.ndjson}}
run: {lanes: %d}
"""


def records(count, seed):
    chance = random.Random(seed)
    words = ["north", "south", "", "ä", "it's"]

    def maybe(value):
        return None if chance.random() < 0.1 else value

    return [{"n": i, "x": maybe(chance.choice([chance.gauss(0, 50), float(chance.randint(-3, 3))])),
             "s": maybe(chance.choice(words)), "t": maybe(chance.choice(words)), "b": maybe(chance.random() < 0.5)}
            for i in range(count)]


def run(pipeline, tmp_path, stages, rows, lanes=1):
    report = pipeline(HEAD + "stages:\n" + stages + TAIL % lanes, stdin="".join(json.dumps(row) + "\n" for row in rows))
    lines = (tmp_path / "out.ndjson").read_text(encoding="utf-8").splitlines()
    return report, sorted((json.loads(line) for line in lines), key=lambda row: row["n"])


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_against_python(pipeline, tmp_path, lanes):
    rows = records(20000, lanes)
    stages = """
  - filter: x > -40 and x < 60 or s in ('south', "it's")
  - derive:
      y: abs(x) * 2 + n
      x: coalesce(x, -1)          # replaces a column; y saw the old one, k sees the new one
      k: if(x > 0 and b, 'up', s)
      p: normal_tail(x, 1, 20)
  - select: {drop: b, rename: {t: note, n: n}}
"""
    report, out = run(pipeline, tmp_path, stages, rows, lanes)
    expected = []
    for row in rows:
        x = row["x"]
        if (x is not None and -40 < x < 60) or row["s"] in ("south", "it's"):
            new = -1.0 if x is None else x
            expected.append({"n": row["n"], "x": new, "s": row["s"], "note": row["t"],
                             "y": None if x is None else abs(x) * 2 + row["n"],
                             "k": "up" if new > 0 and row["b"] else row["s"],
                             "p": 0.5 * math.erfc((new - 1) / 20 / math.sqrt(2))})
    assert report["records_filtered"] == len(rows) - len(expected)
    assert len(out) == len(expected)
    for got, want in zip(out, expected):
        assert got.pop("p") == pytest.approx(want.pop("p"), rel=1e-13)
        assert list(got) == ["n", "x", "s", "note", "y", "k"] and got == want


def test_all_none_and_order_of_columns(pipeline, tmp_path):
    rows = records(5000, 7)
    report, out = run(pipeline, tmp_path, "  - filter: n >= 0\n  - select: [s, n]\n", rows)
    assert report["records_filtered"] == 0 and [list(row) for row in out] == [["s", "n"]] * 5000
    assert [row["s"] for row in out] == [row["s"] for row in rows]
    report, out = run(pipeline, tmp_path, "  - filter: n < 0\n  - derive: {z: n * 2}\n", rows)
    assert report["records_filtered"] == 5000 and not out


def test_filters_of_filters(pipeline, tmp_path):
    rows = records(30000, 8)
    stages = "  - filter: n % 3 = 0\n  - filter: n % 5 = 0\n  - derive: {m: n / 15}\n  - filter: m % 2 = 1\n"
    report, out = run(pipeline, tmp_path, stages, rows, 2)
    assert [row["n"] for row in out] == list(range(15, 30000, 30))
    assert [row["m"] for row in out] == list(range(1, 2000, 2))
    assert report["records_filtered"] == 29000


def test_text_outlives_its_batches(pipeline, tmp_path):
    rows = records(3000, 9)
    stages = "  - derive: {u: \"coalesce(t, s, 'none')\"}\n  - select: {drop: [t, s]}\n  - filter: u != ''\n"
    report, out = run(pipeline, tmp_path, stages, rows)
    expected = [next((word for word in (row["t"], row["s"]) if word is not None), "none") for row in rows]
    assert [row["u"] for row in out] == [word for word in expected if word]


@pytest.mark.parametrize("stage, words", [
    ("filter: value > 3", "no column"),
    ("filter: x + 1", "filter needs a condition"),
    ("filter: xx > 1 and b", "no column"),
    ("filter: x > 1 AND b", "write `and` in small letters"),
    ("filter: sqr(x) > 1", 'no function "sqr"; did you mean "sqrt"?'),
    ("filter: x = 'a'", "cannot compare a number with a string"),
    ("derive: {y: x +}", "the expression ends where a value is missing"),
    ("derive: {}", "derive needs at least one column"),
    ("select: [n, n]", "listed twice"),
    ("select: [n, y]", 'no column "y"'),
    ("select: {drop: n, columns: x}", "not both"),
    ("select: {rename: {x: s}}", 'two columns would be called "s"'),
    ("select: {drop: [n, x, s, t, b]}", "select leaves no column"),
    ("select: {drop: [x], rename: {x: y}}", "cannot be renamed"),
])
def test_mistakes_have_a_place(weir, tmp_path, stage, words):
    (tmp_path / "a.yaml").write_text(HEAD + "stages:\n  - " + stage + "\n" + TAIL % 1, encoding="utf-8")
    row = '{"n": 1, "x": 2.5, "s": "a", "t": "b", "b": true}\n'
    outcome = weir("run", "a.yaml", stdin=row)
    assert outcome.status != 0, outcome
    assert words in outcome.stderr and "a.yaml:4:" in outcome.stderr and "^" in outcome.stderr, outcome
