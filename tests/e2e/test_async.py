# SPDX-License-Identifier: MIT
"""Waiting together: what the examples of the asynchronous runtime show."""
import collections
import json
import re

import pytest

from conftest import ROOT

BLOCKING = ROOT / "examples" / "blocking.yaml"
FEW = ("--set", "sources.asked.count=3", "--set", "stages.calls.time=250ms")


def test_the_watchdog_names_the_part_that_blocks_and_for_how_long(weir):
    outcome = weir("run", BLOCKING, "--json", *FEW, status=0)
    words = [line for line in outcome.stderr.splitlines() if 'task "calls"' in line]
    assert any("has held its loop for" in line and "without waiting through its context" in line
               for line in words), words
    times = [int(found[1]) for line in words if (found := re.search(r"held its loop for (\d+) ms in all", line))]
    assert times and all(time >= 150 for time in times), words
    counters = {(counter["part"], counter["what"]): counter["number"] for counter in outcome.json()["counters"]}
    assert 1 <= counters["calls", "blocked loop"] <= 3
    assert counters["calls", "milliseconds of blocked loop"] >= sum(times)


def test_what_blocks_loses_all_concurrency(weir):
    def compare(*options):
        return weir("compare", BLOCKING, "--json", "--simulated", *options, status=0).json()

    lost, kept = compare(), compare("--set", "stages.calls.blocking=false")
    assert lost["speedup"] == 1 and kept["speedup"] == 10
    assert lost["concurrent"]["seconds"] == 3 and kept["concurrent"]["seconds"] == 0.3


def test_a_part_that_waits_as_it_should_is_not_accused(weir):
    outcome = weir("run", BLOCKING, "--json", "--quiet", "--set", "stages.calls.blocking=false", status=0)
    assert "held its loop" not in outcome.stderr


SENSORS = """
    sources:
      fleet: {type: http, url: "http://plant.example/sensor/{0..%d}", every: %s, timeout: 2s}
    sinks:
      out: {type: file, path: out.ndjson}
"""


def facts_of(report, part):
    return {fact["name"]: fact.get("value") for fact in report["facts"] if fact["part"] == part}


def test_http_sensors_are_compared_without_sockets(weir):
    example = ROOT / "examples" / "thirty_sensors.yaml"
    both = weir("compare", example, "--simulated", "--json", status=0).json()
    rates = {side: next(fact["value"] for fact in both[side]["facts"] if fact["name"] == "achieved")
             for side in ("sequential", "concurrent")}
    assert rates["sequential"] == pytest.approx(1 / 3, abs=0.01) and rates["concurrent"] == pytest.approx(1, abs=0.01)
    slower = weir("compare", example, "--simulated", "--json", "--fleet", "latency=50ms", status=0).json()
    assert slower["sequential"]["seconds"] < both["sequential"]["seconds"]
    assert "not a duration" in weir("run", example, "--simulated", "--fleet", "latency=soon", status=2).stderr


@pytest.mark.parametrize("hours", [2, pytest.param(24, marks=pytest.mark.soak)])
def test_hours_of_faults_account_for_each_record(pipeline, tmp_path, hours):
    """Sensor 0 hangs, 1 to 3 reset, 4 talks garbage, all fail and stall now and then, and every half hour nobody
    listens for half a minute."""
    faults = ("sensor=0", "mode=hang", "sensor=1..3", "mode=reset", "sensor=4", "mode=garbage", "fail=0.01",
              "stall=0.001", "stall_time=30s", "restart_every=30min", "down=30s")
    report = pipeline(SENSORS % (99, "60s"), args=["--simulated", "--seed", "7", "--duration", f"{hours}h",
                                                   *[word for fault in faults for word in ("--fleet", fault)]])
    facts = facts_of(report, "fleet")
    assert report["records_in"] == report["records_stored"] == facts["answers"] > 100 * 60 * hours * 0.85
    assert facts["failed"] > 60 * hours and facts["retried"] > 0
    numbers = collections.defaultdict(list)
    for line in (tmp_path / "out.ndjson").read_text().splitlines():
        record = json.loads(line)
        numbers[record["sensor"]].append(record["seq"])
    assert sum(map(len, numbers.values())) == report["records_stored"]
    assert sorted(numbers) == sorted(f"s{i}" for i in range(5, 100))
    for sensor, read in numbers.items():
        assert all(before < after for before, after in zip(read, read[1:])), sensor
        # Whatever a sensor answered was read, but for what it said to somebody who had given up waiting for it.
        assert read[-1] + 1 - len(read) <= 1 + hours, sensor


def test_a_simulated_run_is_the_same_each_time(pipeline, tmp_path):
    def run(seed):
        pipeline(SENSORS % (9, "1s"), args=["--simulated", "--seed", str(seed), "--duration", "30s", "--fleet",
                                            "jitter=50ms", "--fleet", "distribution=normal", "--fleet", "fail=0.1"])
        return (tmp_path / "out.ndjson").read_bytes()

    assert run(1) == run(1) != run(2)


def test_the_source_in_the_documentation_is_the_one_that_is_tested():
    code = (ROOT / "examples" / "source_line.c").read_text()
    shown = re.findall(r"^```c\n(.*?)^```$", (ROOT / "docs" / "async.md").read_text(), re.M | re.S)
    assert shown == [code]
    assert len(code.splitlines()) < 60
    assert set(re.findall(r"#include <(\S+)>", code)) <= {"errno.h", "math.h", "stdlib.h", "weir/part.h", "weir/task.h"}
