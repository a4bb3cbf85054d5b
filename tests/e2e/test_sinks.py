# SPDX-License-Identifier: MIT
"""The sinks stdout, file, sqlite and null: what they write, and what becomes of it when they cannot."""
import csv
import fcntl
import io
import json
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import BINARY, SLOWNESS, check_account, environment

MIXED = (
    '{"ts": 1732147200.5, "sensor": "s1", "value": 20.25, "seq": 1, "ok": true, "note": "a \\"b\\", c"}\n'
    '{"ts": 1732147201, "sensor": "s2", "value": null, "seq": 9007199254740993, "ok": false, "note": null}\n'
    '{"ts": 1732147202, "sensor": "s3", "value": 0.1, "seq": null, "ok": null, "note": "line\\nbreak"}\n'
)
MIXED_FIELDS = "fields: {ts: time, sensor: symbol, value: f64, seq: i64, ok: bool, note: text}"


def generate(count, sink, more=""):
    """A pipeline of `count` generated records into one sink."""
    return (f"sources: {{fleet: {{type: generate, rate: unlimited, count: {count}, start: 2024-11-21T00:00:00Z}}}}\n"
            f"sinks: {{out: {{{sink}}}}}\n{more}")


@pytest.fixture
def mixed(pipeline, tmp_path):
    """mixed(sink): the three records of MIXED into it."""

    def call(sink, **more):
        (tmp_path / "in.ndjson").write_text(MIXED, encoding="utf-8")
        return pipeline(f"sources: {{in: {{type: file, path: in.ndjson, {MIXED_FIELDS}}}}}\n"
                        f"sinks: {{out: {{{sink}}}}}\n", **more)

    return call


def records(path):
    return [json.loads(text) for text in pathlib.Path(path).read_text(encoding="utf-8").splitlines()]


def fails(weir, tmp_path, text, *words):
    (tmp_path / "pipeline.yaml").write_text(text, encoding="utf-8")
    outcome = weir("run", "pipeline.yaml", "--quiet")
    assert outcome.status in (1, 2), outcome
    for word in words:
        assert word in outcome.stderr, (word, outcome)


# ---- null ----------------------------------------------------------------------------------------------------------


def test_null(pipeline):
    assert pipeline(generate(10000, 'type: "null"'))["records_stored"] == 10000


# ---- stdout --------------------------------------------------------------------------------------------------------


def show(weir, tmp_path, sink, count=3):
    (tmp_path / "pipeline.yaml").write_text(generate(count, sink), encoding="utf-8")
    return weir("run", "pipeline.yaml", "--quiet", status=0).stdout


def test_stdout_is_ndjson_when_it_is_no_terminal(weir, tmp_path):
    found = [json.loads(text) for text in show(weir, tmp_path, "type: stdout").splitlines()]
    assert [record["seq"] for record in found] == [0, 1, 2]
    assert list(found[0]) == ["ts", "sensor", "value", "seq"]


def test_stdout_csv(weir, tmp_path):
    rows = list(csv.reader(io.StringIO(show(weir, tmp_path, "type: stdout, format: csv", 5000))))
    assert rows[0] == ["ts", "sensor", "value", "seq"]
    assert [row[3] for row in rows[1:]] == [str(i) for i in range(5000)]
    without = show(weir, tmp_path, "type: stdout, format: csv, header: false")
    assert len(without.splitlines()) == 3


def test_stdout_table(weir, tmp_path):
    text = show(weir, tmp_path, "type: stdout, format: table")
    for word in ("ts", "sensor", "value", "seq", "s0", "s1", "s2"):
        assert word in text


def test_stdout_times(weir, tmp_path):
    text = show(weir, tmp_path, "type: stdout, time_format: epoch_s")
    assert json.loads(text.splitlines()[0])["ts"] in (1732147200, "1732147200")


@pytest.mark.parametrize("reader", ["gone at once", "gone after a while"])
def test_stdout_without_a_reader(tmp_path, reader):
    """As with `| head`: the run ends by itself, soon and without a crash."""
    (tmp_path / "pipeline.yaml").write_text(generate(0, "type: stdout"), encoding="utf-8")
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            cwd=tmp_path, env=environment())
    if reader != "gone at once":
        assert len(weir.stdout.read(100000)) == 100000
    weir.stdout.close()
    assert weir.wait(timeout=20 * SLOWNESS) >= 0


@pytest.mark.threads
def test_stdout_with_a_slow_reader(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(generate(20000, "type: stdout"), encoding="utf-8")
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet"], stdout=subprocess.PIPE, cwd=tmp_path,
                            env=environment())
    time.sleep(0.3)
    text = weir.stdout.read()
    assert weir.wait(timeout=20 * SLOWNESS) == 0
    assert [json.loads(row)["seq"] for row in text.splitlines()] == list(range(20000))


# ---- file ----------------------------------------------------------------------------------------------------------


def test_file_ndjson(mixed, tmp_path):
    mixed("type: file, path: out.ndjson")
    found = records(tmp_path / "out.ndjson")
    assert found == [
        {"ts": "2024-11-21T00:00:00.500Z", "sensor": "s1", "value": 20.25, "seq": 1, "ok": True, "note": 'a "b", c'},
        {"ts": "2024-11-21T00:00:01Z", "sensor": "s2", "value": None, "seq": 9007199254740993, "ok": False,
         "note": None},
        {"ts": "2024-11-21T00:00:02Z", "sensor": "s3", "value": 0.1, "seq": None, "ok": None, "note": "line\nbreak"},
    ]


def test_file_csv_by_its_name(mixed, tmp_path):
    mixed("type: file, path: out.csv")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["ts", "sensor", "value", "seq", "ok", "note"]
    assert rows[1] == ["2024-11-21T00:00:00.500Z", "s1", "20.25", "1", "true", 'a "b", c']
    assert rows[3][5] == "line\nbreak" and rows[2][2] == "" and len(rows) == 4


def test_file_is_replaced(pipeline, tmp_path):
    for count in (1000, 10):
        pipeline(generate(count, "type: file, path: out.ndjson"))
        assert len(records(tmp_path / "out.ndjson")) == count


def test_file_is_replaced_also_by_nothing(pipeline, tmp_path):
    """Yesterday's alarms must not pass for today's."""
    (tmp_path / "out.ndjson").write_text('{"old": 1}\n')
    pipeline("sources: {fleet: {type: generate, rate: unlimited, count: 10}}\nstages: [{filter: seq < 0}]\n"
             "sinks: {out: {type: file, path: out.ndjson}}\n")
    assert (tmp_path / "out.ndjson").read_text() == ""


def test_file_append(pipeline, tmp_path):
    for run in (1, 2, 3):
        pipeline(generate(10, "type: file, path: out.csv, append: true"))
        text = (tmp_path / "out.csv").read_text().splitlines()
        assert len(text) == 10 * run + 1 and text.count("ts,sensor,value,seq") == 1


def test_file_append_behind_a_torn_line(pipeline, tmp_path):
    (tmp_path / "out.ndjson").write_text('{"a": 1}\n{"a": ')
    report = pipeline(generate(10, "type: file, path: out.ndjson, append: true"))
    rows = (tmp_path / "out.ndjson").read_text().splitlines()
    assert len(rows) == 12 and rows[1] == '{"a": ' and json.loads(rows[2])["seq"] == 0
    assert "out.ndjson" in report["outcome"].stderr


def test_file_append_to_other_columns(weir, tmp_path):
    (tmp_path / "out.csv").write_text("time,what\n1,2\n")
    fails(weir, tmp_path, generate(10, "type: file, path: out.csv, append: true"), "out.csv", "append", "`path`")
    assert (tmp_path / "out.csv").read_text() == "time,what\n1,2\n"


def test_a_mistake_elsewhere_does_not_cost_the_old_output(weir, tmp_path):
    (tmp_path / "out.ndjson").write_text('{"old": 1}\n')
    fails(weir, tmp_path, "sources: {in: {type: file, path: missing.ndjson}}\n"
                          "sinks: {out: {type: file, path: out.ndjson}}\n", "missing.ndjson")
    assert (tmp_path / "out.ndjson").read_text() == '{"old": 1}\n'


@pytest.mark.threads
def test_two_sets_of_columns(weir, pipeline, tmp_path):
    (tmp_path / "in.ndjson").write_text('{"ts": 1732147200, "other": 1.5}\n')
    text = ("sources:\n  a: {type: file, path: in.ndjson}\n  b: {type: generate, count: 3, rate: unlimited}\n"
            "sinks:\n  out: {type: file, path: out.%s, from: [a, b]}\n")
    assert pipeline(text % "ndjson")["records_stored"] == 4
    assert len(records(tmp_path / "out.ndjson")) == 4
    fails(weir, tmp_path, text % "csv", "csv", "columns", "ndjson")


def test_file_paths_that_cannot_be(weir, tmp_path):
    (tmp_path / "folder").mkdir()
    fails(weir, tmp_path, generate(10, "type: file, path: nowhere/out.ndjson"), "nowhere/out.ndjson", "folder")
    fails(weir, tmp_path, generate(10, "type: file, path: folder"), "folder", "directory")


def test_file_that_another_writes(weir, tmp_path):
    with open(tmp_path / "out.ndjson", "w", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        fails(weir, tmp_path, generate(10, "type: file, path: out.ndjson"), "out.ndjson", "another")


def test_two_sinks_on_one_file(weir, tmp_path):
    fails(weir, tmp_path, "sources: {fleet: {type: generate, count: 10}}\n"
                          "sinks:\n  a: {type: file, path: out.ndjson}\n  b: {type: file, path: out.ndjson}\n",
          "out.ndjson")


def test_file_size_limit(tmp_path):
    """The file ends with a whole record, and what is not in it is counted."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))

    (tmp_path / "pipeline.yaml").write_text(generate(100000, "type: file, path: out.ndjson"))
    done = subprocess.run([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], cwd=tmp_path, env=environment(),
                          preexec_fn=limit, restore_signals=False, capture_output=True, text=True, check=False,
                          timeout=60 * SLOWNESS)
    assert done.returncode == 1 and "out.ndjson" in done.stderr and "ulimit" in done.stderr, done
    report = json.loads(done.stdout)
    check_account(report)
    text = (tmp_path / "out.ndjson").read_text()
    assert 0 < len(text) <= 100000 and text.endswith("\n")
    stored = [record["seq"] for record in records(tmp_path / "out.ndjson")]
    assert stored == list(range(len(stored))) and report["records_stored"] == len(stored)


def run_with_help(tmp_path, text, delay, help_it):
    """Runs the pipeline; after `delay` seconds help_it() removes the obstacle."""
    (tmp_path / "pipeline.yaml").write_text(text)
    timer = threading.Timer(delay, help_it)
    timer.start()
    done = subprocess.run([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], cwd=tmp_path, env=environment(),
                          capture_output=True, text=True, check=False, timeout=60 * SLOWNESS)
    timer.join()
    assert done.returncode == 0, done
    report = json.loads(done.stdout)
    check_account(report)
    return report, done.stderr


def test_file_waits_for_room_on_the_disk(tmp_path, small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1900000)
    report, stderr = run_with_help(tmp_path, generate(15000, "type: file, path: disk/out.ndjson"), 2, ballast.unlink)
    assert "disk/out.ndjson" in stderr and "disk is full" in stderr
    assert report["records_stored"] == 15000
    assert [record["seq"] for record in records(small_disk / "out.ndjson")] == list(range(15000))


@pytest.mark.slow
def test_file_on_a_disk_that_stays_full(weir, tmp_path):
    fails(weir, tmp_path, generate(1000, "type: file, path: /dev/full"), "/dev/full", "disk is full")


# ---- sqlite --------------------------------------------------------------------------------------------------------


def query(path, text="SELECT * FROM readings"):
    database = sqlite3.connect(path)
    try:
        return database.execute(text).fetchall()
    finally:
        database.close()


def test_sqlite_types(mixed, tmp_path):
    mixed("type: sqlite, path: out.db")
    assert query(tmp_path / "out.db") == [
        ("2024-11-21T00:00:00.500Z", "s1", 20.25, 1, 1, 'a "b", c'),
        ("2024-11-21T00:00:01Z", "s2", None, 9007199254740993, 0, None),
        ("2024-11-21T00:00:02Z", "s3", 0.1, None, None, "line\nbreak"),
    ]
    declared = query(tmp_path / "out.db", "SELECT name, type FROM pragma_table_info('readings')")
    assert declared == [("ts", "TEXT"), ("sensor", "TEXT"), ("value", "REAL"), ("seq", "INTEGER"), ("ok", "INTEGER"),
                        ("note", "TEXT")]
    assert query(tmp_path / "out.db", "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("form, expected", [("epoch_ns", 1732147200500000000), ("epoch_us", 1732147200500000),
                                            ("epoch_ms", 1732147200500), ("epoch_s", 1732147200.5)])
def test_sqlite_times(mixed, tmp_path, form, expected):
    mixed(f"type: sqlite, path: out.db, time_format: {form}")
    (first,), *_ = query(tmp_path / "out.db", "SELECT ts FROM readings")
    assert first == expected and isinstance(first, type(expected))


@pytest.mark.threads
def test_sqlite_of_one_and_of_many(pipeline, tmp_path):
    for count in (1, 31, 32, 33, 1000, 123456):
        path = tmp_path / f"{count}.db"
        assert pipeline(generate(count, f"type: sqlite, path: {path}"))["records_stored"] == count
        assert query(path, "SELECT seq FROM readings ORDER BY rowid") == [(i,) for i in range(count)]


def test_sqlite_equals_ndjson(pipeline, tmp_path):
    pipeline("sources: {fleet: {type: generate, rate: unlimited, count: 5000, fault_rate: 0.1, fault: \"null\"}}\n"
             "sinks:\n  a: {type: sqlite, path: out.db}\n  b: {type: file, path: out.ndjson, from: fleet}\n")
    assert query(tmp_path / "out.db") == [tuple(record.values()) for record in records(tmp_path / "out.ndjson")]


def test_sqlite_append_replace_fail(pipeline, weir, tmp_path):
    for options, total in (("", 10), ("", 20), (", if_exists: replace", 10), (", if_exists: append", 20)):
        pipeline(generate(10, f"type: sqlite, path: out.db{options}"))
        assert query(tmp_path / "out.db", "SELECT count(*) FROM readings") == [(total,)]
    fails(weir, tmp_path, generate(10, "type: sqlite, path: out.db, if_exists: fail"), "out.db", "readings",
          "if_exists")
    assert query(tmp_path / "out.db", "SELECT count(*) FROM readings") == [(20,)]


@pytest.mark.parametrize("source", ["type: generate, rate: unlimited, count: 10", "type: file, path: in.ndjson"])
def test_sqlite_is_replaced_also_by_nothing(pipeline, tmp_path, source):
    """Also where columns are known only from records, none of which come through."""
    (tmp_path / "in.ndjson").write_text('{"ts": "2025-01-01T00:00:00Z", "sensor": "a", "value": 1.5, "seq": 3}\n' * 5)
    for condition, total in (("seq >= 0", {5, 10}), ("seq < 0", {0})):
        pipeline(f"sources: {{fleet: {{{source}}}}}\nstages: [{{filter: {condition}}}]\n"
                 "sinks: {out: {type: sqlite, path: out.db, if_exists: replace}}\n")
        (count,), = query(tmp_path / "out.db", "SELECT count(*) FROM readings")
        assert count in total
    assert query(tmp_path / "out.db", "SELECT ts, sensor, value, seq FROM readings") == []


def test_sqlite_other_columns(weir, tmp_path):
    database = sqlite3.connect(tmp_path / "out.db")
    database.execute("CREATE TABLE readings (ts TEXT, what TEXT)")
    database.commit()
    database.close()
    fails(weir, tmp_path, generate(10, "type: sqlite, path: out.db"), "out.db", "readings", "sensor",
          "if_exists: replace")


def test_sqlite_more_columns_than_ours(pipeline, tmp_path):
    database = sqlite3.connect(tmp_path / "out.db")
    database.execute("CREATE TABLE readings (id INTEGER PRIMARY KEY, seq INT, VALUE REAL, sensor TEXT, ts TEXT, "
                     "more TEXT)")
    database.commit()
    database.close()
    pipeline(generate(10, "type: sqlite, path: out.db"))
    assert query(tmp_path / "out.db", "SELECT seq, sensor FROM readings") == [(i, f"s{i}") for i in range(10)]


def test_sqlite_constraint(weir, tmp_path):
    database = sqlite3.connect(tmp_path / "out.db")
    database.execute("CREATE TABLE readings (ts TEXT, sensor TEXT UNIQUE, value REAL, seq INT)")
    database.commit()
    database.close()
    fails(weir, tmp_path, generate(100, "type: sqlite, path: out.db"), "out.db", "UNIQUE", "readings.sensor")
    assert query(tmp_path / "out.db", "SELECT count(*) FROM readings") == [(0,)]


def test_sqlite_two_sets_of_columns(pipeline, tmp_path):
    (tmp_path / "in.ndjson").write_text('{"ts": 1732147200, "other": 1.5}\n' * 3)
    report = pipeline("sources:\n  a: {type: file, path: in.ndjson}\n"
                      "  b: {type: generate, count: 50, rate: unlimited}\n"
                      "sinks:\n  out: {type: sqlite, path: out.db, from: [a, b]}\n")
    assert report["records_stored"] == 53
    assert query(tmp_path / "out.db", "SELECT count(*), count(other), sum(seq) FROM readings") == [(53, 3, 1225)]


def test_sqlite_odd_names(pipeline, tmp_path):
    (tmp_path / "in.ndjson").write_text('{"ts": 1732147200, "a \\"b\\"; drop": 1, "select": 2, "ünï": 3}\n')
    pipeline("sources: {in: {type: file, path: in.ndjson}}\n"
             "sinks: {out: {type: sqlite, path: out.db, table: 'my \"table\"; --'}}\n")
    assert query(tmp_path / "out.db", 'SELECT "a ""b""; drop", "select", "ünï" FROM "my ""table""; --"') == [(1, 2, 3)]


def test_sqlite_names_that_differ_in_case(weir, tmp_path):
    (tmp_path / "in.ndjson").write_text('{"ts": 1732147200, "value": 1, "Value": 2}\n')
    fails(weir, tmp_path, "sources: {in: {type: file, path: in.ndjson}}\nsinks: {out: {type: sqlite, path: out.db}}\n",
          "out.db", "value", "Value")


def test_sqlite_paths_that_cannot_be(weir, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("this is no database, although it is long enough to have a header\n" * 100)
    fails(weir, tmp_path, generate(10, "type: sqlite, path: nowhere/out.db"), "nowhere/out.db", "folder")
    fails(weir, tmp_path, generate(10, "type: sqlite, path: folder"), "folder")
    fails(weir, tmp_path, generate(10, "type: sqlite, path: text.db"), "text.db", "not a SQLite database")


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_sqlite_locked_for_a_while(tmp_path, journal):
    other = sqlite3.connect(tmp_path / "out.db", isolation_level=None, check_same_thread=False)
    other.execute(f"PRAGMA journal_mode = {journal}")
    other.execute("CREATE TABLE mine (a)")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("INSERT INTO mine VALUES (1)")
    report, stderr = run_with_help(tmp_path, generate(5000, "type: sqlite, path: out.db"), 1.5,
                                   lambda: other.execute("COMMIT"))
    other.close()
    assert "out.db" in stderr and "locked by another process" in stderr
    assert report["records_stored"] == 5000
    assert query(tmp_path / "out.db", "SELECT count(DISTINCT seq), count(*) FROM readings") == [(5000, 5000)]


@pytest.mark.slow
def test_sqlite_locked_for_good(weir, tmp_path):
    other = sqlite3.connect(tmp_path / "out.db", isolation_level=None)
    other.execute("CREATE TABLE mine (a)")
    other.execute("BEGIN EXCLUSIVE")
    fails(weir, tmp_path, generate(5000, "type: sqlite, path: out.db"), "out.db", "locked by another process")
    other.close()


def test_sqlite_waits_for_room_on_the_disk(tmp_path, small_disk):
    """SQLite takes back its whole transaction when the disk is full: nothing that was written before may be lost."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1500000)
    report, stderr = run_with_help(tmp_path, generate(12000, "type: sqlite, path: disk/out.db"), 2, ballast.unlink)
    assert "disk/out.db" in stderr and "disk is full" in stderr
    assert report["records_stored"] == 12000
    assert query(small_disk / "out.db", "SELECT seq FROM readings ORDER BY rowid") == [(i,) for i in range(12000)]


def test_sqlite_on_a_disk_that_stays_full(weir, tmp_path, small_disk):
    """It gives up when all was read and only the commit is left: what it held is refused, nothing is in flight."""
    (tmp_path / "pipeline.yaml").write_text(generate(60000, "type: sqlite, path: disk/out.db"))
    outcome = weir("run", "pipeline.yaml", "--quiet", "--json", status=1)
    report = outcome.json()
    check_account(report)
    stored = query(small_disk / "out.db", "SELECT count(*) FROM readings")[0][0] if report["records_stored"] else 0
    assert report["records_refused"] > 0 and report["records_stored"] == stored


def test_the_place_of_what_cannot_be_opened(weir, tmp_path):
    fails(weir, tmp_path, generate(10, "type: file, path: nowhere/out.csv"), "pipeline.yaml:", "no such folder", "^~")


def test_sqlite_keeps_what_was_stored_when_interrupted(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(generate(0, "type: sqlite, path: out.db"))
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], stdout=subprocess.PIPE, cwd=tmp_path,
                            env=environment())
    time.sleep(1)
    weir.send_signal(signal.SIGINT)
    stdout, _ = weir.communicate(timeout=60 * SLOWNESS)
    report = json.loads(stdout)
    check_account(report)
    assert weir.returncode == 0 and report["records_stored"] > 0
    count = report["records_stored"]
    assert query(tmp_path / "out.db", "SELECT count(*), max(seq) FROM readings") == [(count, count - 1)]
    assert not os.path.exists(tmp_path / "out.db-wal")


@pytest.mark.speed
def test_sqlite_speed(pipeline, tmp_path):
    """At least 80 % of a bare loop around one prepared INSERT."""
    count = 300000
    rows = [("2024-11-21T00:00:00.123Z", f"s{i % 10}", i * 0.01, i) for i in range(count)]
    bare = sqlite3.connect(tmp_path / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = NORMAL")
    bare.execute("CREATE TABLE readings (ts TEXT, sensor TEXT, value REAL, seq INTEGER)")
    start = time.monotonic()
    bare.execute("BEGIN")
    bare.executemany("INSERT INTO readings VALUES (?, ?, ?, ?)", rows)
    bare.execute("COMMIT")
    bare_seconds = time.monotonic() - start
    bare.close()
    report = pipeline(generate(count, "type: sqlite, path: out.db"))
    assert report["seconds"] < bare_seconds / 0.8, (report["seconds"], bare_seconds)


# ---- file: whole or not there --------------------------------------------------------------------------------------


def test_file_atomic(pipeline, tmp_path):
    (tmp_path / "out.ndjson").write_text("of the run before\n")
    pipeline(generate(1000, "type: file, path: out.ndjson, atomic: true"))
    assert len(records(tmp_path / "out.ndjson")) == 1000
    assert not (tmp_path / "out.ndjson.part").exists()


def test_file_atomic_until_the_end(tmp_path):
    (tmp_path / "out.ndjson").write_text("of the run before\n")
    (tmp_path / "pipeline.yaml").write_text(
        "sources: {in: {type: file, path: '-', fields: {seq: i64}}}\n"
        "sinks: {out: {type: file, path: out.ndjson, atomic: true, fsync: never}}\n")
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet"], stdin=subprocess.PIPE, cwd=tmp_path,
                            env=environment())
    weir.stdin.write(b'{"seq": 1}\n')
    weir.stdin.flush()
    until = time.monotonic() + 10 * SLOWNESS
    part = tmp_path / "out.ndjson.part"
    while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.002)
    assert (tmp_path / "out.ndjson").read_text() == "of the run before\n"
    weir.stdin.close()
    assert weir.wait(timeout=20 * SLOWNESS) == 0
    assert records(tmp_path / "out.ndjson") == [{"seq": 1}] and not part.exists()


def test_file_atomic_and_a_mistake_elsewhere(weir, tmp_path):
    (tmp_path / "out.ndjson").write_text("of the run before\n")
    fails(weir, tmp_path, "sources: {in: {type: file, path: missing}}\n"
                          "sinks: {out: {type: file, path: out.ndjson, atomic: true}}\n", "missing")
    assert (tmp_path / "out.ndjson").read_text() == "of the run before\n"
    assert not (tmp_path / "out.ndjson.part").exists()


def test_file_atomic_does_not_append(weir, tmp_path):
    fails(weir, tmp_path, generate(1, "type: file, path: out.ndjson, atomic: true, append: true"), "append")


@pytest.mark.parametrize("when", ["never", "close", "commit"])
def test_file_fsync(pipeline, tmp_path, when):
    assert pipeline(generate(3000, f"type: file, path: out.ndjson, fsync: {when}"))["records_stored"] == 3000
    assert len(records(tmp_path / "out.ndjson")) == 3000
