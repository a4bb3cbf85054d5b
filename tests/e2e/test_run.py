# SPDX-License-Identifier: MIT
"""weir run: reports, exit codes, signals, and what it shows on a terminal."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from conftest import BINARY, ROOT, SLOWNESS, check_account, environment

STEADY = """
sources: {fleet: {type: generate, rate: 20000/s, keys: 10}}
stages: [{filter: seq % 2 == 0}]
sinks: {out: {type: "null"}}
"""
FINITE = """
sources: {fleet: {type: generate, rate: unlimited, count: 10000, keys: 10}}
stages: [{filter: {name: even, when: seq < 9000}}]
sinks: {out: {type: "null"}}
goals: {latency_p99: 10s, rate: 10/s}
"""
SLOW = """
sources: {fleet: {type: generate, rate: unlimited, keys: 10}}
stages: [{burn: 100us}]
sinks: {out: {type: "null"}}
run: {lanes: 1, memory: 64MiB}
"""

KEYS = """records_in records_out records_stored records_filtered records_refused records_dropped unaccounted seconds
    records_per_second latency_seconds late_by_seconds fetch_seconds lag_seconds lag_seconds_max peak_memory_bytes
    memory_budget verdict verdict_detail goals counters parts edges sources threads lanes configuration simulated
    interrupted failure""".split()


def write(folder, text, name="a.yaml"):
    (folder / name).write_text(text, encoding="utf-8")
    return name


# ---- Reports ----


def test_json(pipeline):
    report = pipeline(FINITE)
    assert not set(KEYS) - set(report)
    assert report["records_in"] == 10000
    assert report["records_filtered"] == 1000
    assert report["records_stored"] == report["records_out"] == 9000
    assert report["unaccounted"] == 0
    latency = report["latency_seconds"]
    assert latency["count"] == 9000
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"] < 60
    assert latency["mean"] <= latency["max"]
    assert [part["name"] for part in report["parts"]] == ["fleet", "even", "out"]
    even = report["parts"][1]
    assert (even["kind"], even["type"]) == ("stage", "filter")
    assert (even["records_in"], even["records_out"]) == (10000, 9000)
    assert [goal["name"] for goal in report["goals"]] == ["latency_p99", "rate"]
    assert all(goal["met"] for goal in report["goals"])
    assert report["outcome"].stderr == ""


def test_text(weir, tmp_path):
    outcome = weir("run", write(tmp_path, FINITE), status=0)
    assert outcome.stdout == ""
    words = outcome.stderr
    assert "read 10,000 = stored 9,000 + refused 0 + filtered 1,000 + dropped 0\n" in words
    assert re.search(r"^rate +.* records/s in, .* records/s out$", words, re.M)
    assert re.search(r"^ +mean +p50 +p90 +p99 +p99\.9 +max\nlatency +\d", words, re.M)
    assert all(len(line) < 80 for line in words.splitlines()), words
    assert re.search(r"^even +stage +10,000 +9,000 ", words, re.M)
    assert re.search(r"^goals +met +latency_p99", words, re.M)
    assert re.search(r"^verdict +full speed", words, re.M)
    assert "\x1b" not in words and "\r" not in words


def test_quiet(weir, tmp_path):
    outcome = weir("run", "--quiet", write(tmp_path, FINITE), status=0)
    assert (outcome.stdout, outcome.stderr) == ("", "")


def test_json_comes_after_the_records(weir, tmp_path):
    outcome = weir("run", write(tmp_path, FINITE), "--json", "--to", "stdout", "--limit", "5", "-q", status=0)
    lines = outcome.stdout.splitlines()
    assert len(lines) == 6
    assert json.loads(lines[-1])["records_stored"] == 5


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_limit(pipeline, lanes):
    report = pipeline(STEADY.replace("20000/s", "unlimited"), args=("--limit", "12345", "--lanes", str(lanes)))
    assert report["records_in"] == 12345
    assert report["lanes"] == lanes


def test_duration(pipeline):
    report = pipeline(STEADY, args=("--duration", "1s"))
    assert report["seconds"] == pytest.approx(1, abs=0.3 * SLOWNESS)
    assert report["records_in"] == pytest.approx(20000, rel=0.3 * SLOWNESS)
    assert report["verdict"] == "keeping up" or SLOWNESS > 1


def test_simulated_duration_takes_no_time(pipeline):
    before = time.monotonic()
    report = pipeline(STEADY.replace("20000/s", "100/s"), args=("--simulated", "--duration", "10min"))
    assert report["seconds"] == pytest.approx(600, abs=1)
    assert report["records_in"] == pytest.approx(60000, rel=0.01)
    assert time.monotonic() - before < 30 * SLOWNESS


def test_memory_stays_inside_its_limit(pipeline):
    report = pipeline(SLOW.replace("100us", "1us"), args=("--limit", "500000", "--memory", "32MiB"))
    budget = report["memory_budget"]
    assert budget["peak"] <= budget["limit"] == 32 << 20
    if SLOWNESS == 1:
        assert report["peak_memory_bytes"] <= (32 + 32) << 20


# ---- Goals and exit codes ----


def test_a_missed_goal(weir, tmp_path):
    name = write(tmp_path, FINITE.replace("rate: 10/s}", "rate: 1e12/s}"))
    outcome = weir("run", name, "--json", status=0)
    report = outcome.json()
    assert [goal["met"] for goal in report["goals"]] == [True, False]
    assert weir("run", name, "--enforce", status=3).stderr.count("MISSED") == 1
    assert weir("run", write(tmp_path, FINITE), "--enforce", "-q", status=0)


def test_a_goal_that_cannot_be_measured_is_missed(weir, tmp_path):
    text = """
        sources: {in: {type: file, path: "-", format: ndjson}}
        sinks: {out: {type: "null"}}
        goals: {latency_p99: 1s}
    """
    outcome = weir("run", write(tmp_path, text), "--enforce", status=3)
    assert "nothing to measure it by" in outcome.stderr
    assert "no records came in" in outcome.stderr


GARBAGE = "nonsense\n" * 3
LINES = "sources: {in: {type: file, path: '-', format: ndjson, fields: {x: f64}}}\n"
CALL = LINES + "stages: [{call: {url: 'http://127.0.0.1:9/', values: {y: /y}, retries: 0, breaker: 0}}]\n"
SINK = "sinks: {out: {type: file, path: out.ndjson}}\n"


@pytest.mark.parametrize("text, lines, status", [
    (CALL + SINK, '{"x": 1}\n' * 3, 1),                        # nobody answers
    (LINES + SINK, GARBAGE, 1),                                # nothing can be read
    (LINES + SINK, GARBAGE + '{"x": 1}\n', 0),                 # something can
    (LINES + SINK, "", 0),                                     # there is nothing
    (LINES + "stages: [{filter: x > 5}]\n" + SINK, '{"x": 1}\n' * 9, 0),             # nothing is wanted
    (LINES + "stages: [{filter: x > 5}]\n" + SINK, '{"x": 1}\n' * 9 + GARBAGE, 0),   # a few lines of garbage beside it
    (CALL + SINK[:-2] + ", all: {type: 'null', from: in}}\n", '{"x": 1}\n' * 3, 0),  # a branch has it all
])
def test_a_run_that_delivers_nothing_of_what_it_read_has_failed(weir, tmp_path, text, lines, status):
    name = write(tmp_path, text)
    outcome = weir("run", name, "--json", "-q", stdin=lines, status=status)
    report = outcome.json()
    words = "nothing delivered: 3 records were refused, none stored"
    assert (words in outcome.stderr) == bool(status), outcome
    assert report["failure"] == (words if status else None)
    assert (report["verdict"] == "nothing delivered") == bool(status)
    assert weir("profile", name, stdin=lines, status=status)


def test_exit_codes_are_told_in_one_place(weir):
    for place in (weir("explain", "exit-codes").stdout, (ROOT / "docs/verdict.md").read_text()):
        assert "nothing was delivered" in place or "`nothing delivered`" in place
        assert all(code in place for code in ("0 ", "1 ", "2 ", "3 ", "130 "))
    for args in (("run", "--help"), ("--help",)):
        assert "weir explain exit-codes" in weir(*args).stdout


@pytest.mark.parametrize("args", [
    ("run",), ("run", "nowhere.yaml"), ("run", "a.yaml", "b.yaml"), ("run", "a.yaml", "--limit", "none"),
    ("run", "a.yaml", "--limit", "0"), ("run", "a.yaml", "--lanes", "-1"), ("run", "a.yaml", "--memory", "much"),
    ("run", "a.yaml", "--duration", "5 parsec"), ("run", "a.yaml", "--limits", "5"),
    ("run", "a.yaml", "--to", "stdoot"), ("run", "a.yaml", "--set", "sources.fleet.rat=5/s"),
    ("run", "a.yaml", "--seed"),
])
def test_mistakes_on_the_command_line(weir, tmp_path, args):
    write(tmp_path, FINITE)
    outcome = weir(*args, status=2)
    assert outcome.stdout == ""
    assert outcome.stderr


def test_set(pipeline):
    report = pipeline(FINITE, args=("--set", "sources.fleet.count=77"))
    assert report["records_in"] == 77


def test_help(weir):
    outcome = weir("run", "--help", status=0)
    for option in ("--quiet", "--json", "--enforce", "--limit", "--to", "--lanes", "--memory", "--duration", "--set",
                   "--simulated", "--seed"):
        assert option in outcome.stdout
    assert "130" in outcome.stdout
    assert not [line for line in outcome.stdout.splitlines() if len(line) > 100]


def test_a_mistake_that_shows_when_columns_are_known(weir, tmp_path):
    outcome = weir("run", write(tmp_path, FINITE.replace("seq <", "sequence <")), status=2)
    assert '"sequence"' in outcome.stderr
    assert "read " not in outcome.stderr  # no report of a run that never was


def test_a_run_that_fails(weir, tmp_path):
    text = FINITE.replace('{type: "null"}', '{type: file, format: ndjson, path: "nowhere/at/all.ndjson"}')
    outcome = weir("run", write(tmp_path, text))
    assert outcome.status in (1, 2)
    assert "nowhere/at/all.ndjson" in outcome.stderr


# ---- Signals ----


class Running:
    """A run that goes on until somebody stops it."""

    def __init__(self, folder, text, *args):
        self.process = subprocess.Popen(
            [str(BINARY), "run", write(folder, text), "--json", *args], cwd=folder, env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5 * SLOWNESS)

    def signal(self, number):
        self.process.send_signal(number)
        return time.monotonic()

    def end(self):
        stdout, stderr = self.process.communicate(timeout=30 * SLOWNESS)
        return self.process.returncode, json.loads(stdout), stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("lanes", ["1", "2"])
def test_the_first_signal_drains(tmp_path, number, lanes):
    running = Running(tmp_path, STEADY, "--lanes", lanes)
    running.signal(number)
    status, report, words = running.end()
    assert status == 0
    assert "draining" in words
    assert report["records_in"] > 0
    assert report["records_dropped"] == 0
    assert not report["interrupted"]
    check_account(report)


def test_the_second_signal_stops_at_once(tmp_path):
    running = Running(tmp_path, SLOW.replace("100us", "20ms"))
    running.signal(signal.SIGINT)
    time.sleep(0.2)
    at = running.signal(signal.SIGINT)
    status, report, words = running.end()
    assert time.monotonic() - at < 5 * SLOWNESS
    assert status == 130
    assert "draining" in words
    assert report["interrupted"]
    check_account(report)
    assert report["unaccounted"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_sent_twice_is_one_request(tmp_path, number):
    """timeout(1) sends its signal to the process, and then to its group."""
    command = ["timeout", "-s", number.name, str(0.5 * SLOWNESS), BINARY, "run", write(tmp_path, STEADY), "--json"]
    completed = subprocess.run([str(word) for word in command], cwd=tmp_path, env=environment(),
                               capture_output=True, timeout=30 * SLOWNESS, check=False)
    report, words = json.loads(completed.stdout), completed.stderr.decode()
    assert not report["interrupted"] and report["records_dropped"] == 0 and completed.returncode == 124, words
    assert "draining" in words
    check_account(report)


def test_a_second_sigterm_later_stops_at_once(tmp_path):
    running = Running(tmp_path, SLOW.replace("100us", "20ms"))
    first = running.signal(signal.SIGTERM)
    while running.process.poll() is None and time.monotonic() - first < 30 * SLOWNESS:
        time.sleep(0.1)
        running.signal(signal.SIGTERM)
    assert time.monotonic() - first >= 1
    status, report, words = running.end()
    assert status == 130 and report["interrupted"]
    assert "for at most 30.0 s (--drain); a second signal, later than 1 s after this one, stops at once" in words
    check_account(report)


def test_what_was_read_is_stored_after_a_signal(tmp_path):
    target = tmp_path / "out.ndjson"
    text = STEADY.replace('{type: "null"}', f'{{type: file, format: ndjson, path: "{target}"}}')
    running = Running(tmp_path, text)
    running.signal(signal.SIGINT)
    status, report, _ = running.end()
    assert status == 0
    check_account(report)
    assert target.read_bytes().count(b"\n") == report["records_stored"] > 0


def test_nobody_reads_stdout(tmp_path):
    """weir run --to stdout | head -1: ends, and not by a signal."""
    command = f"'{BINARY}' run {write(tmp_path, STEADY)} --to stdout --duration 20s; echo $? >status"
    completed = subprocess.run(["sh", "-c", f"({command}) | head -1"], cwd=tmp_path, env=environment(),
                               capture_output=True, timeout=60 * SLOWNESS, check=True)
    assert completed.stdout.count(b"\n") == 1
    assert (tmp_path / "status").read_text().strip() in ("0", "1")


# ---- On a terminal ----


def on_a_terminal(folder, args, env=None, columns=100):
    """What a run writes to a terminal that is its stderr."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([str(BINARY), *args], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    written = b""
    deadline = time.monotonic() + 60 * SLOWNESS
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.1)
        try:
            piece = os.read(master, 65536) if ready else b""
        except OSError:  # the other end is closed
            break
        written += piece
    os.close(master)
    assert process.wait(timeout=10) == 0
    return written.decode()


def test_the_status_line(tmp_path):
    env = environment({"TERM": "xterm"})
    written = on_a_terminal(tmp_path, ["run", write(tmp_path, STEADY), "--duration", "2s"], env)
    lines = [line for line in re.split(r"\r|\x1b\[K", written) if line.startswith("in ")]
    assert len(lines) >= 3
    for line in lines[:-1]:
        assert len(line) < 100
        assert "lag" in line
    # Cleared before the report, which has no escapes in it.
    report = written.rsplit("\r\x1b[K", 1)[1]
    assert "read " in report and "\x1b" not in report


def test_the_status_line_on_a_narrow_terminal_in_colour(tmp_path):
    env = environment({"TERM": "xterm"})
    del env["NO_COLOR"]
    written = on_a_terminal(tmp_path, ["run", write(tmp_path, STEADY), "--duration", "2s"], env, columns=30)
    assert "\x1b[32mkeeping up\x1b[0m" in written or SLOWNESS > 1
    for line in re.findall(r"\r([^\r\n]*)\x1b\[K", written):
        assert len(re.sub(r"\x1b\[[0-9;]*m", "", line)) < 30


@pytest.mark.parametrize("args", [("--quiet",), ()])
def test_no_status_line_where_it_is_not_wanted(tmp_path, args):
    env = environment({"TERM": "dumb"} if not args else {"TERM": "xterm"})
    written = on_a_terminal(tmp_path, ["run", write(tmp_path, STEADY), "--duration", "1s", *args], env)
    assert "\x1b" not in written
