# SPDX-License-Identifier: MIT
"""What a record may be at most: over a limit it is refused, the next is read; and the message names the limit, its
value and what to do."""
import json

import pytest

GOOD = '{"sensor": "s1", "value": %d}\n'


def rejected(tmp_path):
    with open(tmp_path / "bad.ndjson", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def source(options, name="in.ndjson", run="{}"):
    return """
        sources: {in: {type: file, path: %s, rejects: bad.ndjson, %s}}
        sinks: {out: {type: file, path: out.ndjson}}
        run: %s
    """ % (name, options, run)


FIELDS = "fields: {sensor: symbol, value: f64}"
CASES = {
    "line": ('{"sensor": "s1", "value": 2, "note": "%s"}\n' % ("x" * 300), "line_max: 256", "line too long",
             ("`line_max`", "256", "raise it")),
    "nesting": ('{"value": 2, "more": %s1%s}\n' % ("[" * 1500, "]" * 1500), "", "nested too deep",
                ("limit on nesting", "1024", "flatten")),
    "fields": ("{%s}\n" % ", ".join(f'"f{n}": {n}' for n in range(1025)), "", "too many fields",
               ("limit on fields", "1024", "split it")),
    "fields of one name": ("{%s}\n" % ", ".join('"value": 1' for n in range(3000)), "", "too many fields",
                           ("limit on fields", "1024", "split it")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_record_over_a_limit(pipeline, tmp_path, case):
    text, options, reason, words = CASES[case]
    (tmp_path / "in.ndjson").write_text(GOOD % 1 + text + GOOD % 3, encoding="utf-8")
    report = pipeline(source(", ".join(filter(None, [FIELDS, options]))))
    assert (report["records_stored"], report["records_refused"]) == (2, 1)
    refused, = rejected(tmp_path)
    assert (refused["file"], refused["line"], refused["reason"]) == ("in.ndjson", 2, reason)
    told = report["outcome"].stderr
    assert "in.ndjson:2" in told and reason in told
    for word in words:
        assert word in refused["detail"] and word in told, (word, refused["detail"], told)
    with open(tmp_path / "out.ndjson", encoding="utf-8") as lines:
        assert [json.loads(line)["value"] for line in lines] == [1, 3]


def test_a_record_at_the_limits(pipeline, tmp_path):
    fields = ", ".join(f'"f{n}": {n}' for n in range(1023))
    (tmp_path / "in.ndjson").write_text('{"value": 1, %s}\n{"value": 2, "more": %s1%s}\n' %
                                        (fields, "[" * 1023, "]" * 1023), encoding="utf-8")
    report = pipeline(source(FIELDS))
    assert (report["records_stored"], report["records_refused"]) == (2, 0)


@pytest.mark.parametrize("quote", ["", '"'])
def test_fields_of_a_csv_line(pipeline, tmp_path, quote):
    long = ",".join(f"{quote}{n}{quote}" for n in range(1025))
    (tmp_path / "in.csv").write_text(f"sensor,value\ns1,1\n{long}\ns1,3\n", encoding="utf-8")
    report = pipeline(source(FIELDS, "in.csv"))
    assert (report["records_stored"], report["records_refused"]) == (2, 1)
    refused, = rejected(tmp_path)
    assert (refused["line"], refused["reason"]) == (3, "too many fields")
    assert "limit on fields" in refused["detail"] and "1024" in refused["detail"]


def test_fields_of_a_line_of_influx(pipeline, tmp_path):
    long = ",".join(f"f{n}=1" for n in range(1100))
    (tmp_path / "in.influx").write_text(f"m value=1 1\nm {long} 2\nm value=3 3\n", encoding="utf-8")
    report = pipeline(source("format: influx", "in.influx"))
    assert (report["records_stored"], report["records_refused"]) == (2, 1)
    assert rejected(tmp_path)[0]["reason"] == "too many fields"


def test_distinct_symbols(pipeline, tmp_path):
    """The table of symbols is full: a line with a new one is refused, lines with those that are known are read."""
    count = 500
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        out.writelines('{"sensor": "%s", "value": %d}\n' % (f"sensor number {n} ".ljust(40000, "x"), n)
                       for n in range(count))
        out.write('{"sensor": "%s", "value": -1}\n' % "sensor number 0 ".ljust(40000, "x"))
    report = pipeline(source(FIELDS, run="{memory: 16MiB, lanes: 1}"))
    assert 0 < report["records_refused"] < count
    assert report["records_stored"] + report["records_refused"] == count + 1
    refused = rejected(tmp_path)[0]
    assert refused["reason"] == "symbol table full"
    for word in ("limit on distinct symbols", "`memory`", "raise it", "text"):
        assert word in refused["detail"], refused
    with open(tmp_path / "out.ndjson", encoding="utf-8") as lines:
        assert json.loads(lines.readlines()[-1])["value"] == -1


def test_distinct_keys(pipeline, tmp_path):
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        out.writelines('{"sensor": %d, "value": %d}\n' % (n % 4000, n) for n in range(8000))
    report = pipeline("""
        sources: {in: {type: file, path: in.ndjson, key: sensor, fields: {sensor: i64, value: f64}}}
        stages: [{rolling: {field: value, window: 1000, compute: [median]}}]
        sinks: {out: {type: "null"}}
        run: {memory: 16MiB, lanes: 1}
    """)
    assert 0 < report["records_refused"] < 8000
    told = report["outcome"].stderr
    for word in ("too many keys", "limit on distinct keys", "`memory: 16MiB`", "run: {memory: ...}"):
        assert word in told or any(word in str(row) for row in report["counters"]), told
    assert not (tmp_path / "bad.ndjson").exists()


@pytest.mark.parametrize("lanes, ending", [(1, "ndjson"), (2, "ndjson"), (2, "frame")])
def test_records_of_too_many_keys_are_kept(pipeline, tmp_path, lanes, ending):
    """What a stage refused is kept as it came to it, with the file and the line that it was."""
    records = [{"sensor": n % 4000, "value": float(n)} for n in range(8000)]
    for file, part in (("a", records[:1000]), ("b", records[1000:])):
        text = "".join("\n" * (n == 5) + json.dumps(record) + "\n" for n, record in enumerate(part))
        (tmp_path / f"{file}.ndjson").write_text(text, encoding="utf-8")
    names = ["a.ndjson", "b.ndjson"]
    if ending == "frame":
        for name in names:
            pipeline("sources: {in: {type: file, path: %s, fields: {sensor: i64, value: f64}}}\n"
                     "sinks: {out: {type: file, path: %s}}" % (name, name.replace("ndjson", "frame")))
        names = ["a.frame", "b.frame"]
    report = pipeline("""
        sources: {in: {type: file, path: [%s], key: sensor, fields: {sensor: i64, value: f64}, rejects: bad.ndjson}}
        stages: [{derive: {twice: value * 2}}, {rolling: {field: value, window: 1000, compute: [median]}}]
        sinks: {out: {type: "null"}}
        run: {memory: 16MiB, lanes: %d}
    """ % (", ".join(names), lanes))
    refused = rejected(tmp_path)
    assert 0 < len(refused) == report["records_refused"] < 8000
    for row in refused:
        record = json.loads(row["text"])
        number = int(record["value"])
        assert record == {**records[number], "twice": 2 * number}
        file, line = ("a", number) if number < 1000 else ("b", number - 1000)
        assert row["file"] == f"{file}.{ending}" and (row["stage"], row["reason"]) == ("rolling", "too many keys")
        assert "limit on distinct keys" in row["detail"] and "run: {memory: ...}" in row["detail"]
        if ending == "ndjson":
            assert row["line"] == line + 1 + (line >= 5)


def test_what_one_key_takes_is_more_than_there_is(pipeline, tmp_path):
    (tmp_path / "in.ndjson").write_text(GOOD % 1, encoding="utf-8")
    report = pipeline("""
        sources: {in: {type: file, path: in.ndjson, key: sensor}}
        stages:
          - rolling: {field: value, window: 10000000, compute: [median]}
        sinks: {out: {type: "null"}}
        run: {memory: 16MiB}
    """, status=1)
    told = report["outcome"].stderr
    for word in ("rolling", "for a key", "`memory: 16MiB`", "run: {memory: ...}"):
        assert word in told, told


def test_integers_stay_exact(pipeline, tmp_path):
    """Large integers make a column of integers; where one comes later, in a column of floats, it is said."""
    large = [2 ** 53 + 1, -(2 ** 53) - 1, 2 ** 63 - 1, -(2 ** 63) + 1, 7]
    (tmp_path / "in.ndjson").write_text("".join('{"id": %d}\n' % n for n in large), encoding="utf-8")
    pipeline(source(""))
    with open(tmp_path / "out.ndjson", encoding="utf-8") as lines:
        assert [json.loads(line)["id"] for line in lines] == large
    small = "".join('{"id": %d}\n' % n for n in range(3000))
    (tmp_path / "in.ndjson").write_text(small + '{"id": %d}\n{"id": %d}\n' % (2 ** 53 + 1, 2 ** 54), encoding="utf-8")
    report = pipeline(source(""))
    rounded = [row for row in report["counters"] if row["what"] == "integer rounded"]
    assert [(row["field"], row["number"]) for row in rounded] == [("id", 1)]
    pipeline(source("fields: {id: i64}"))
    with open(tmp_path / "out.ndjson", encoding="utf-8") as lines:
        assert [json.loads(line)["id"] for line in lines][-2:] == [2 ** 53 + 1, 2 ** 54]
