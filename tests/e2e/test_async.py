# SPDX-License-Identifier: MIT
"""Waiting together: what the examples of the asynchronous runtime show."""
import re

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
