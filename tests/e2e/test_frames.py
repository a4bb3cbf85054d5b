# SPDX-License-Identifier: MIT
"""Binary frames (docs/frame.md) through the whole program: back and forth, cut off, and damaged in each place."""
import json
import os
import struct
import subprocess
import time

import pytest

from conftest import BINARY, check_account, environment

MAGIC = b"\x89WEIR\n\x1a\n"
FIELDS = "fields: {ts: time, sensor: symbol, value: f64, seq: i64, ok: bool, note: text}"
COUNT = 3000


def record(i):
    return {"ts": f"2024-11-21T00:00:{i % 60:02}.{i % 1000:03}Z" if i % 1000 % 10 else None, "sensor": f"s{i % 13}",
            "value": None if i % 7 == 0 else i / 8 + 1e-9, "seq": i * 10**12 + 1, "ok": [True, False, None][i % 3],
            "note": [None, "", "ä€\n\"quoted\"", "x" * (i % 50)][i % 4]}


@pytest.fixture
def frames(pipeline, tmp_path):
    """in.ndjson, and the same as frames of 500 records in in.frame."""
    text = "\n".join(json.dumps(record(i), ensure_ascii=False, separators=(",", ":")) for i in range(COUNT)) + "\n"
    (tmp_path / "in.ndjson").write_text(text, encoding="utf-8")
    report = pipeline(f"sources: {{in: {{type: file, path: in.ndjson, {FIELDS}}}}}\n"
                      "sinks: {out: {type: file, path: in.frame}}\nrun: {batch: 500}\n")
    assert report["records_stored"] == COUNT
    return (tmp_path / "in.frame").read_bytes()


@pytest.fixture
def read_back(pipeline, tmp_path):
    """read_back(bytes): the report, and the numbers of the records that were read."""

    def call(data):
        (tmp_path / "damaged.frame").write_bytes(data)
        report = pipeline("sources: {in: {type: file, path: damaged.frame}}\n"
                          "sinks: {out: {type: file, path: back.ndjson}}\n", name="back.yaml")
        lines = (tmp_path / "back.ndjson").read_text(encoding="utf-8").splitlines()
        return report, [json.loads(line)["seq"] // 10**12 for line in lines]

    return call


def heads(data):
    """Where each frame begins, its header's size, its own, and its rows."""
    at, found = 0, []
    while at < len(data):
        assert data[at:at + 8] == MAGIC
        header, size, rows = struct.unpack_from("<IQI", data, at + 12)
        found.append((at, header, size, rows))
        at += size
    assert at == len(data) and sum(frame[3] for frame in found) == COUNT
    return found


def numbers_of(data, index):
    first = sum(frame[3] for frame in heads(data)[:index])
    return set(range(first, first + heads(data)[index][3]))


def test_there_and_back_is_the_same(frames, read_back, tmp_path):
    report, _ = read_back(frames)
    assert report["records_stored"] == COUNT and not report["counters"]
    assert (tmp_path / "back.ndjson").read_bytes() == (tmp_path / "in.ndjson").read_bytes()
    assert len(heads(frames)) > 2


@pytest.mark.parametrize("missing", [1, 63, 64, 1000])
def test_cut_off(frames, read_back, missing):
    last = len(heads(frames)) - 1
    report, seen = read_back(frames[:-missing])
    assert set(seen) == set(range(COUNT)) - numbers_of(frames, last) and len(seen) == len(set(seen))
    assert report["records_refused"] >= 1
    assert f"damaged.frame:{heads(frames)[last][0] + 1}" in report["outcome"].stderr, report["outcome"]


@pytest.mark.parametrize("name, offset, reason", [
    ("magic", 3, "not a frame"), ("version", 8, "not a frame"), ("columns", 10, "not a frame"),
    ("header size", 12, "not a frame"), ("size", 17, "not a frame"), ("rows", 24, "not a frame"),
    ("body's checksum", 37, "not a frame"), ("header's checksum", 41, "not a frame"), ("a type", 64, "not a frame"),
    ("a name", 64 + 32, "not a frame"), ("data", -70, "corrupted frame")])
def test_damaged(frames, read_back, name, offset, reason):
    """One wrong byte in the second frame: it is named with its place, and all the others are read."""
    begin, header, size, rows = heads(frames)[1]
    data = bytearray(frames)
    data[begin + offset if offset >= 0 else begin + size + offset] ^= 0x10
    report, seen = read_back(bytes(data))
    assert set(seen) == set(range(COUNT)) - numbers_of(frames, 1) and len(seen) == len(set(seen)), name
    told = report["outcome"].stderr
    assert f"damaged.frame:{begin + 1}" in told and reason in told, report["outcome"]
    assert report["records_refused"] == (rows if reason == "corrupted frame" else 1)


def test_bytes_between(frames, read_back):
    begin = heads(frames)[1][0]
    report, seen = read_back(frames[:begin] + b"these are no frame" + frames[begin:])
    assert sorted(seen) == list(range(COUNT)) and report["records_refused"] == 1
    assert f"damaged.frame:{begin + 1}" in report["outcome"].stderr


# ---- Frames large enough for lanes to read them by themselves -------------------------------------------------------

LARGE = 40_000


@pytest.fixture
def large(pipeline, tmp_path):
    report = pipeline(f"sources: {{in: {{type: generate, count: {LARGE}, rate: unlimited, keys: 7, seed: 3}}}}\n"
                      "sinks: {out: {type: file, path: large.frame}}\nrun: {batch: 4000}\n")
    assert report["records_stored"] == LARGE
    return tmp_path / "large.frame"


def read_large(pipeline, path, stdin=b"", args=()):
    source = '"-", format: frame' if stdin else path.name
    report = pipeline(f"sources: {{in: {{type: file, path: {source}}}}}\n"
                      "stages: [rolling: {field: value, window: 5, compute: [mean]}]\n"
                      "sinks: {out: {type: file, path: out.ndjson}}\nrun: {lanes: 3}\n", name="large.yaml", stdin=stdin,
                      args=args)
    return report, (path.parent / "out.ndjson").read_bytes()


@pytest.mark.parametrize("what", ["whole", "limit", "header", "body", "cut off"])
def test_a_file_gives_what_a_pipe_gives(large, pipeline, what):
    data = bytearray(large.read_bytes())
    half = data.index(MAGIC, len(data) // 2)
    if what in ("header", "body"):
        data[half + (30 if what == "header" else 5000)] ^= 1
    if what == "cut off":
        del data[half + 5000:]
    large.write_bytes(data)
    args = ["--limit", "14321"] if what == "limit" else []
    report, lines = read_large(pipeline, large, args=args)
    piped, piped_lines = read_large(pipeline, large, bytes(data), args)
    assert lines == piped_lines and lines.count(b"\n") == report["records_stored"] > 0
    for name in ("records_in", "records_stored", "records_refused", "counters"):
        assert report[name] == piped[name] or name == "counters" and what in ("header", "body", "cut off"), name
    assert (report["records_refused"] > 0) == (what in ("header", "body", "cut off"))


def test_a_file_that_is_cut_while_it_is_read(large, tmp_path):
    """What was promised to the lanes and is gone is told, and refused; nothing hangs, all is accounted for."""
    config = ("sources: {in: {type: file, path: large.frame}}\nstages: [burn: 100us]\n"
              "sinks: {out: {type: file, path: out.ndjson}}\nrun: {lanes: 1}\n")
    (tmp_path / "cut.yaml").write_text(config)
    with subprocess.Popen([BINARY, "run", "cut.yaml", "--json", "--quiet"], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment()) as process:
        out = tmp_path / "out.ndjson"
        while process.poll() is None and not list(tmp_path.glob("out.ndjson*")):
            time.sleep(0.01)
        time.sleep(0.1)
        os.truncate(large, 1000)
        stdout, stderr = process.communicate()
    report = json.loads(stdout)
    check_account(report)
    assert process.returncode == 0 and 0 < report["records_stored"] < LARGE and report["records_refused"] > 0
    assert b"shorter meanwhile" in stderr and b"large.frame" in stderr, stderr
    assert out.read_bytes().count(b"\n") == report["records_stored"]
