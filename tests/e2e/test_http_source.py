# SPDX-License-Identifier: MIT
"""The http source against a simulated fleet on real sockets, and weir compare."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BINARY, ROOT, SLOWNESS, environment
from peers import simulated


@pytest.fixture
def fleet():
    with simulated("fleet", "--sensors", 20, "--latency", "20ms") as port:
        yield port


def run(tmp_path, text, *arguments):
    (tmp_path / "p.yaml").write_text(text)
    return subprocess.run([str(BINARY), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          env=environment())


def pipeline(port, url="sensor/{0..19}", more=""):
    return (f'sources:\n  f: {{type: http, url: "http://127.0.0.1:{port}/{url}", every: 50ms, spread: 0, '
            f"count: 3{more}}}\n"
            "sinks:\n  out: {type: file, path: out.ndjson}\n")


@pytest.mark.parametrize("ending", ["", ".csv", ".txt", ".prom"])
def test_every_answer_becomes_a_record_of_its_sensor(tmp_path, fleet, ending):
    done = run(tmp_path, pipeline(fleet, "sensor/{0..19}" + ending), "run", "p.yaml", "--json")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert len(records) == (120 if ending == ".prom" else 60)  # two metrics in each answer
    assert len({record["sensor"] for record in records}) == 20
    assert all(-50 < record["value"] < 100 and record["ts"] for record in records)
    report = json.loads(done.stdout)
    assert report["records_stored"] == len(records) and report["fetch_seconds"]["count"] == 60


def test_a_dead_sensor_is_named_and_delays_nobody(tmp_path, fleet):
    text = pipeline(fleet, "sensor/{0..9}", ", retries: 0")
    text = text.replace('url: "', 'url: ["http://127.0.0.1:9/dead", "').replace('", every', '"], every')
    done = run(tmp_path, text, "run", "p.yaml", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["records_stored"] == 30
    facts = {fact["name"]: fact for fact in report["facts"] if fact["part"] == "f"}
    assert facts["failed"]["value"] == 3 and "127.0.0.1:9/dead" in facts["do not answer"]["text"]


@pytest.mark.parametrize("ending", [["--duration", "1s"], []])
def test_a_run_that_read_nothing_has_failed(tmp_path, ending):
    done = run(tmp_path, pipeline(9, "dead", ", retries: 0"), "run", "p.yaml", *ending)
    assert done.returncode == 1 and re.search(r"nothing was read: each of \d reads failed", done.stderr), done.stderr
    assert "failing 1 sensor\n" in done.stderr or "failing 1 sensor," in done.stderr, done.stderr


def test_compare_reads_one_after_the_other_and_together(tmp_path, fleet):
    done = run(tmp_path, pipeline(fleet), "compare", "p.yaml", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["sequential"]["records"] == result["concurrent"]["records"] == 60
    assert result["sequential"]["seconds"] >= 60 * 0.02  # each waits for the one before
    assert result["speedup"] > 1


@pytest.mark.parametrize("seed", range(1, 8))
def test_producer_and_consumer_on_the_simulated_clock(seed):
    done = subprocess.run([str(BINARY), "compare", "examples/producer_consumer.yaml", "--simulated", "--json", "--seed",
                           str(seed)], cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment())
    result = json.loads(done.stdout)
    assert 28 <= result["sequential"]["seconds"] <= 32
    assert 14 <= result["sequential"]["wait_seconds"]["mean"] <= 15.5
    assert 20.5 <= result["concurrent"]["seconds"] <= 21.5
    assert result["wait_ratio"] >= 60


def test_a_bad_address_names_the_mistake(tmp_path):
    done = run(tmp_path, pipeline(1).replace("http://", "htp://"), "run", "p.yaml")
    assert done.returncode != 0 and "does not begin with http://" in done.stderr


@pytest.mark.parametrize("clock", [[], ["--simulated"]])
def test_compare_is_interrupted_while_it_reads_one_after_the_other(tmp_path, fleet, clock):
    """With an hour of work left, in its sequential half."""
    (tmp_path / "p.yaml").write_text(pipeline(fleet).replace("count: 3", "count: 100000000"))
    with subprocess.Popen([str(BINARY), "compare", "p.yaml", *clock], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment()) as process:
        time.sleep(1 * SLOWNESS)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=30)
    assert "interrupted" in words


def resident_and_descriptors(process):
    folder = Path("/proc") / str(process.pid)
    pages = int((folder / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list((folder / "fd").iterdir()))


@pytest.mark.parametrize("polls", [10_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_many_polls_over_sockets_leave_nothing_behind(tmp_path, polls):
    """Of ten sensors, whose server fails now and then and is gone every half second, so that they connect again."""
    sensors = 10
    path = tmp_path / "p.yaml"
    with simulated("fleet", "--sensors", sensors, "--latency", "0s", "--set", "fail=0.0005", "--set",
                   "restart_every=500ms", "--set", "down=10ms") as port:
        path.write_text(f"""
            sources:
              f: {{type: http, url: "http://127.0.0.1:{port}/sensor/{{0..{sensors - 1}}}", every: 0s, spread: 0,
                   count: {polls // sensors}}}
            sinks:
              none: {{type: "null"}}
        """)
        seen = []
        with subprocess.Popen([str(BINARY), "run", str(path), "--json", "--quiet"], stdout=subprocess.PIPE, text=True,
                              env=environment()) as process:
            while process.poll() is None:
                with contextlib.suppress(OSError):  # it ends just now
                    seen.append(resident_and_descriptors(process))
                time.sleep(0.02)
            report = json.loads(process.stdout.read())
        assert process.returncode == 0
    facts = {fact["name"]: fact.get("value") for fact in report["facts"] if fact["part"] == "f"}
    assert report["records_stored"] == facts["answers"] and facts["answers"] + facts["failed"] == polls
    assert max(descriptors for _, descriptors in seen) <= sensors + 24
    third = len(seen) // 3
    assert max(size for size, _ in seen[-third:]) <= max(size for size, _ in seen[third:2 * third]) + 2 * 2**20
