# SPDX-License-Identifier: MIT
"""The file source with follow: true, while somebody writes, rotates, truncates and removes what it reads."""
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BINARY, SLOWNESS, environment
from layouts import counted

FIELDS = "fields: {ts: time, sensor: symbol, seq: i64}"


def line(number):
    return f'{{"ts": {1732147200 + number}, "sensor": "s{number % 7}", "seq": {number}}}\n'


def lines(first, count):
    return "".join(line(i) for i in range(first, first + count))


class Follower:
    """weir, copying what it follows into out/out.ndjson."""

    def __init__(self, folder, options):
        self.out = folder / "out" / "out.ndjson"
        self.out.parent.mkdir(exist_ok=True)
        self.out.unlink(missing_ok=True)
        self.report_path = folder / "report.json"
        (folder / "pipeline.yaml").write_text(f"sources: {{in: {{type: file, follow: true, {options}}}}}\n"
                                              "sinks: {out: {type: file, path: out/out.ndjson}}\n")
        with open(self.report_path, "wb") as report, open(folder / "stderr", "wb") as errors:
            self.process = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], cwd=folder,
                                            stdout=report, stderr=errors, env=environment())
        self.errors = folder / "stderr"
        self.done = 0  # bytes of out
        self.found = []

    def sequences(self):
        """Of all records so far, in their order."""
        if self.out.exists():
            with open(self.out, "rb") as file:
                file.seek(self.done)
                new = file.read()
            new = new[:new.rfind(b"\n") + 1]
            self.done += len(new)
            self.found += [json.loads(text)["seq"] for text in new.splitlines()]
        return self.found

    def wait(self, count, seconds=10):
        until = time.monotonic() + seconds * SLOWNESS
        while len(self.sequences()) < count:
            assert time.monotonic() < until, (len(self.found), count, self.errors.read_text())
            assert self.process.poll() is None, self.errors.read_text()
            time.sleep(0.001)
        return self.found

    def end(self):
        """Stops it; the report."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=30 * SLOWNESS) == 0, self.errors.read_text()
        self.sequences()
        report = json.loads(self.report_path.read_text())
        assert "Sanitizer" not in self.errors.read_text() and "runtime error" not in self.errors.read_text()
        return report


@pytest.fixture
def follow(tmp_path):
    started = []

    def call(options=f"path: app.log, {FIELDS}"):
        started.append(Follower(tmp_path, options))
        return started[-1]

    yield call
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.threads
def test_waits_at_the_end(follow, tmp_path):
    log = tmp_path / "app.log"
    log.write_text(lines(0, 10))
    weir = follow()
    weir.wait(10)
    for i in range(10, 60):
        append(log, line(i))
        weir.wait(i + 1)
    assert weir.sequences() == list(range(60))
    report = weir.end()
    assert report["records_in"] == report["records_stored"] == 60


def test_a_part_of_a_line_waits_for_the_rest(follow, tmp_path):
    log = tmp_path / "app.log"
    text = line(1)
    log.write_text(line(0) + text[:20])
    weir = follow()
    weir.wait(1)
    for piece in (text[20:31], text[31:-1]):
        time.sleep(0.05)
        append(log, piece)
    time.sleep(0.05)
    assert weir.sequences() == [0]
    append(log, "\n")
    weir.wait(2)
    report = weir.end()
    assert (weir.found, report["records_refused"]) == ([0, 1], 0)


def test_columns_are_found_out(follow, tmp_path):
    (tmp_path / "app.log").write_text("")
    weir = follow("path: app.log")
    time.sleep(0.1)
    append(tmp_path / "app.log", lines(0, 3))
    weir.wait(3)
    append(tmp_path / "app.log", lines(3, 3))
    weir.wait(6)
    weir.end()


def test_csv(follow, tmp_path):
    log = tmp_path / "app.csv"
    log.write_text("ts,seq\n1732147200,0\n")
    weir = follow("path: app.csv")
    weir.wait(1)
    append(log, '1732147201,1\n1732147202,2')
    weir.wait(2)
    append(log, "0\n")
    weir.wait(3)
    os.rename(log, tmp_path / "old.csv")
    log.write_text("seq,ts\n3,1732147203\n")
    weir.wait(4)
    weir.end()
    assert weir.found == [0, 1, 20, 3]


def test_rotation_by_rename(follow, tmp_path):
    log = tmp_path / "app.log"
    log.write_text(lines(0, 5))
    weir = follow()
    weir.wait(5)
    writer = open(log, "a", encoding="utf-8")
    os.rename(log, tmp_path / "app.log.1")
    writer.write(lines(5, 5))  # as a writer does until it is told
    writer.flush()
    weir.wait(10)
    log.write_text(lines(10, 5))
    weir.wait(15)
    writer.write(line(15))
    writer.close()
    weir.wait(16)
    report = weir.end()
    assert weir.found == list(range(16))
    assert counted(report, "rotated") == 1 and counted(report, "truncated") == 0


def test_the_last_line_of_a_rotated_file(follow, tmp_path):
    """It has no newline: a record all the same, and before those of the next file."""
    log = tmp_path / "app.log"
    log.write_text(lines(0, 5) + line(5)[:-1])
    weir = follow()
    weir.wait(5)
    os.rename(log, tmp_path / "app.log.1")
    log.write_text(lines(6, 5))
    assert weir.wait(11) == list(range(11))
    assert weir.end()["records_refused"] == 0


def test_truncation(follow, tmp_path):
    log = tmp_path / "app.log"
    log.write_text(lines(0, 50))
    weir = follow()
    weir.wait(50)
    os.truncate(log, 0)
    append(log, lines(50, 3))
    weir.wait(53)
    with open(log, "w", encoding="utf-8") as file:  # longer at once than what was read
        file.write(lines(53, 100))
    weir.wait(153)
    report = weir.end()
    assert weir.found == list(range(153))
    assert counted(report, "truncated") == 2


def test_a_writer_that_does_not_append(follow, tmp_path):
    """After the truncation it goes on at its offset: there is a hole at the start."""
    log = tmp_path / "app.log"
    with open(log, "w", encoding="utf-8") as file:
        file.write(lines(0, 200))
        file.flush()
        weir = follow()
        weir.wait(200)
        os.truncate(log, 0)
        time.sleep(0.02)
        file.write(lines(200, 5))
        file.flush()
        weir.wait(205)
    assert weir.end()["records_refused"] == 0


def test_files_appear_and_vanish(follow, tmp_path):
    (tmp_path / "logs").mkdir()
    weir = follow(f'path: "logs/*.log", {FIELDS}')
    time.sleep(0.1)
    count = 0
    for i in range(20):
        path = tmp_path / "logs" / f"{i}.log"
        path.write_text(lines(count, 10))
        count += 10
        if i % 3 == 0:
            append(path, line(count))
            count += 1
        weir.wait(count)
        if i % 2:
            path.unlink()
    weir.end()
    assert sorted(weir.found) == list(range(count))


def test_a_folder_that_is_made_later(follow, tmp_path):
    weir = follow(f'path: "logs/*/app.log", {FIELDS}')
    time.sleep(0.1)
    (tmp_path / "logs" / "a").mkdir(parents=True)
    (tmp_path / "logs" / "a" / "app.log").write_text(lines(0, 3))
    weir.wait(3)
    weir.end()


def test_renamed_within_the_pattern(follow, tmp_path):
    """app.log and app.log.1 both match: the same file is not read twice."""
    log = tmp_path / "app.log"
    log.write_text(lines(0, 10))
    weir = follow(f'path: "app.log*", {FIELDS}')
    weir.wait(10)
    os.rename(log, tmp_path / "app.log.1")
    log.write_text(lines(10, 10))
    weir.wait(20)
    append(tmp_path / "app.log.1", line(20))
    weir.wait(21)
    time.sleep(0.3)
    weir.end()
    assert sorted(weir.found) == list(range(21))


def test_begin_at_the_end(follow, tmp_path):
    log = tmp_path / "app.log"
    log.write_text(lines(0, 5000) + line(5000)[:10])
    weir = follow(f'path: "app*.log", begin: end, {FIELDS}')
    time.sleep(0.3 * SLOWNESS)
    append(log, line(5000)[10:] + lines(5001, 5))
    (tmp_path / "app2.log").write_text(lines(5006, 5))
    weir.wait(10)
    weir.end()
    assert sorted(weir.found) == list(range(5001, 5011))


def test_a_compressed_one_among_them(follow, tmp_path):
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(lines(0, 10).encode()))
    (tmp_path / "app.log").write_text(lines(10, 10))
    weir = follow(f'path: "app.log*", {FIELDS}')
    weir.wait(20)
    append(tmp_path / "app.log", line(20))
    weir.wait(21)
    weir.end()
    assert sorted(weir.found) == list(range(21))


@pytest.mark.parametrize("options, word", [('path: "-"', "stdin"), ("path: app.log, repeat: 2", "repeat"),
                                           ("path: /dev/null", "/dev/null")])
def test_what_cannot_be_followed(follow, tmp_path, options, word):
    (tmp_path / "app.log").write_text(line(0))
    weir = follow(options)
    assert weir.process.wait(timeout=10 * SLOWNESS) in (1, 2)
    assert word in weir.errors.read_text()


def rotate(chance, log, number, weir, count):
    """One rotation of one of the kinds."""
    kind = chance.choice(["rename", "rename", "shift", "delete", "truncate"])
    if kind in ("delete", "truncate"):  # nobody could read what is gone
        weir.wait(count)
    if kind == "rename":
        os.rename(log, log.with_name(f"old.{number}"))
    elif kind == "shift":
        for i in range(20, 0, -1):
            if (log.with_name(f"app.log.{i}")).exists():
                os.rename(log.with_name(f"app.log.{i}"), log.with_name(f"app.log.{i + 1}"))
        os.rename(log, log.with_name("app.log.1"))
    elif kind == "delete":
        log.unlink()
    else:
        shutil.copyfile(log, log.with_name("copy"))
        os.truncate(log, 0)
    return kind


@pytest.mark.threads
def test_a_thousand_rotations(follow, tmp_path):
    """Nothing is lost and nothing comes twice."""
    chance = random.Random(20241121)
    log = tmp_path / "app.log"
    log.write_text(line(0))
    weir = follow()
    weir.wait(1)
    count = 1
    rotations = 1000 if SLOWNESS == 1 else 200
    for number in range(rotations):
        with open(log, "ab", buffering=0) as file:
            for _ in range(chance.randrange(6)):
                some = chance.choice([1, 1, 3, 40])
                text = lines(count, some).encode()
                cut = chance.randrange(len(text))
                file.write(text[:cut])
                if chance.random() < 0.1:
                    time.sleep(chance.random() * 0.01)
                file.write(text[cut:])
                count += some
        rotate(chance, log, number, weir, count)
    weir.wait(count, 20)
    time.sleep(0.1)
    report = weir.end()
    assert sorted(weir.found) == list(range(count))
    assert report["records_refused"] == 0
    assert counted(report, "rotated") > rotations / 2
