# SPDX-License-Identifier: MIT
"""weir tap: the records that leave one part; and tables that fit the terminal."""
import csv
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import unicodedata

import pytest

from conftest import BINARY, SLOWNESS, environment

PIPELINE = """
sources: {fleet: {type: generate, rate: unlimited, count: 5000, keys: 5, start: 2024-11-21T00:00:00Z}}
stages:
  - derive: {double: value * 2}
  - filter: {name: warm, when: value > 20}
  - rolling: {field: value, window: 10, compute: [mean]}
sinks:
  store: {type: file, path: store.ndjson}
  warm_ones: {type: file, path: warm.ndjson, from: warm}
"""


@pytest.fixture
def tap(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)

    def call(*args, **options):
        options.setdefault("status", 0)
        return weir("tap", "p.yaml", *args, **options)

    return call


def records(outcome):
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_each_part(tap, tmp_path):
    fleet, derive, warm, rolling = (records(tap(part)) for part in ("fleet", "derive", "warm", "rolling"))
    assert [record["seq"] for record in fleet] == list(range(5000)) and "double" not in fleet[0]
    assert all(record["double"] == 2 * record["value"] for record in derive) and len(derive) == 5000
    assert warm == [record for record in derive if record["value"] > 20] and 0 < len(warm) < 5000
    assert len(rolling) == len(warm) and "value_mean" in rolling[0]
    assert not list(tmp_path.glob("*.ndjson")), "the pipeline's own sinks have run"


def test_what_comes_to_a_sink(tap):
    assert tap("store").stdout == tap("rolling").stdout
    assert tap("warm_ones").stdout == tap("warm").stdout


def test_sink_that_reads_the_sources(weir, tmp_path):
    (tmp_path / "two.yaml").write_text("sources:\n  a: {type: generate, rate: unlimited, count: 10}\n"
                                       "  b: {type: generate, rate: unlimited, count: 20}\n"
                                       "sinks: {out: {type: 'null'}}\n")
    for args, count in ((("out",), 30), (("a",), 10), (("out", "--where", "seq >= 10"), 10)):
        assert len(records(weir("tap", "two.yaml", *args, status=0))) == count


def test_keep_sinks(tap, tmp_path):
    shown = tap("warm", "--keep-sinks").stdout
    assert (tmp_path / "warm.ndjson").read_text() == shown
    assert len((tmp_path / "store.ndjson").read_text().splitlines()) == len(shown.splitlines())


@pytest.mark.threads
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_limit(tap, limit):
    assert records(tap("warm", "--limit", limit)) == records(tap("warm"))[:limit]
    rows = list(csv.DictReader(tap("warm", "--limit", limit, "--format", "csv").stdout.splitlines()))
    assert len(rows) == limit


def test_limit_of_a_source_without_end(weir, tmp_path):
    (tmp_path / "p.yaml").write_text("sources: {fleet: {type: generate, rate: 1000/s}}\nsinks: {out: {type: 'null'}}\n")
    assert len(weir("tap", "p.yaml", "fleet", "--limit", "5", status=0).stdout.splitlines()) == 5


def test_limit_of_the_stdout_sink(pipeline):
    report = pipeline("sources: {fleet: {type: generate, rate: unlimited, count: 100000}}\n"
                      "sinks: {out: {type: stdout, limit: 10}}\n")
    assert report["records_stored"] == 10 and report["records_dropped"] == report["records_in"] - 10
    assert len(report["outcome"].stdout.splitlines()) == 11


def test_where(tap):
    assert records(tap("rolling", "--where", "value > 25 and sensor == 's1'")) == \
        [record for record in records(tap("rolling")) if record["value"] > 25 and record["sensor"] == "s1"]
    outcome = tap("rolling", "--where", "value > 1000")
    assert outcome.stdout == "" and "nothing to show" in outcome.stderr and "5000 were read" in outcome.stderr


@pytest.mark.parametrize("args, words", [
    (["rollin"], ['nothing is called "rollin"', 'did you mean "rolling"?']),
    (["warm", "--where", "vlaue > 3"], ['no column "vlaue"', "value"]),
    (["warm", "--where", "value >"], ["--where"]),
    (["warm", "--format", "tabel"], ['did you mean "table"?']),
    (["warm", "--limit", "0"], ["--limit"]),
    ([], ["PART is missing"])])
def test_mistakes(tap, args, words):
    outcome = tap(*args, status=2)
    assert all(word in outcome.stderr for word in words), outcome
    assert outcome.stdout == ""


def test_a_part_of_that_name_may_exist(weir, tmp_path):
    (tmp_path / "p.yaml").write_text("sources: {tap: {type: generate, rate: unlimited, count: 3}}\n"
                                     "stages: [{filter: {name: where, when: seq > 0}}]\n"
                                     "sinks: {out: {type: 'null'}}\n")
    assert len(records(weir("tap", "p.yaml", "tap", "--where", "seq < 2", status=0))) == 2
    assert len(records(weir("tap", "p.yaml", "where", "--where", "seq < 2", "--keep-sinks", status=0))) == 1


# ---- Tables --------------------------------------------------------------------------------------------------------


def on_terminal(args, cwd, columns, env=None):
    """What weir writes to a terminal that is `columns` wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([BINARY, *args], cwd=cwd, stdin=subprocess.DEVNULL, stdout=theirs,
                               stderr=subprocess.PIPE, env=environment(env))
    os.close(theirs)
    data = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # nobody writes any more
            break
        if not piece:
            break
        data += piece
    os.close(ours)
    stderr = process.stderr.read()
    assert process.wait(timeout=20 * SLOWNESS) == 0, stderr
    return data.decode().replace("\r\n", "\n")


def width(text):
    """By Python's tables."""
    return sum(0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF"
               else 1 for c in text)


WIDE = [{"ts": "2024-11-21T00:00:00.123456789Z", "sensor": name, "value": value, "count": count, "note": note}
        for name, value, count, note in [
            ("s1", 20.25, 1, "plain"), ("Temperaturfühler Süd-Südwest", -1.234567890123e-300, 9007199254740993, None),
            ("温度計三号機の裏側", 1e308, None, "壊れている。すぐに直してください。" * 5), ("🔥🔥🔥", None, -5, "a\tb\x1b[2Jc"),
            ("é\u0301\u0301", 0.1, 12345678, "")]]


@pytest.mark.parametrize("columns", [1, 10, 24, 40, 60, 79, 80, 81, 100, 132, 250])
def test_table_fits(tmp_path, columns):
    (tmp_path / "in.ndjson").write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in WIDE) + "\n")
    (tmp_path / "p.yaml").write_text("sources: {in: {type: file, path: in.ndjson}}\nsinks: {out: {type: 'null'}}\n")
    text = on_terminal(["tap", "p.yaml", "in"], tmp_path, columns)
    lines = text.splitlines()
    assert len(lines) == 1 + len(WIDE), text
    assert all(width(line) <= max(columns, 4) for line in lines), text
    assert "\x1b" not in text and (lines[0].startswith("ts") or columns < 2)
    if columns == 250:
        assert "2024-11-21T00:00:00.123456789Z" in text and "9007199254740993" in text and "すぐに" * 5 not in text
        assert lines[3].endswith("…")
    if columns >= 80:
        assert lines[1].split()[1] == "s1" and "20.25" in lines[1]
        ends = {line[:line.index(word)].rstrip() and width(line[:line.index(word)]) + len(word)
                for line, word in ((lines[0], "value"), (lines[1], " 20.25"), (lines[5], " 0.1"))}
        assert len(ends) == 1, text  # numbers end below each other
    as_said = on_terminal(["tap", "p.yaml", "in"], tmp_path, 20, env={"COLUMNS": str(columns)})
    assert as_said == text


def test_table_without_a_terminal_is_whole(tap):
    lines = tap("rolling", "--format", "table").stdout.splitlines()
    assert "value_mean" in lines[0] and not any("…" in line for line in lines)


def test_nothing_to_show_because_all_was_refused_is_a_failure(weir, tmp_path):
    (tmp_path / "p.yaml").write_text("sources: {in: {type: file, path: '-', format: ndjson, fields: {x: f64}}}\n"
                                     "stages: [{filter: x > 5}]\nsinks: {out: {type: 'null'}}\n")
    outcome = weir("tap", "p.yaml", "filter", stdin="nonsense\n", status=1)
    assert "nothing delivered: 1 record was refused" in outcome.stderr and "nothing to show" in outcome.stderr
    assert "nothing delivered" not in weir("tap", "p.yaml", "filter", stdin='{"x": 1}\n', status=0).stderr
