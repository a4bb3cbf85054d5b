# SPDX-License-Identifier: MIT
"""weir bench: that every benchmark works, and what is said of measurements. Not how fast anything is."""
import json
import re
import signal
import subprocess

import pytest

from conftest import BINARY, SLOWNESS, environment

FAST = ("--time", "1ms", "--json")


@pytest.fixture
def names(weir):
    return [b["name"] for b in weir("bench", "--list", "--json", status=0).json()["benchmarks"]]


def measure(weir, *args, status=0):
    return weir("bench", *FAST, *args, status=status).json()


def test_list(weir, names):
    assert len(names) == len(set(names)) and len(names) > 30
    for wanted in ("decode.ndjson", "decode.csv", "decode.influx", "decode.frame", "intern.cached", "expression.linear",
                   "filter.range", "normalize.given", "rolling.mean.10", "rolling.max.10000", "rolling.median.1000",
                   "edge.handover", "task.switch", "timer.set", "spead.decode", "string.append", "string.join",
                   "search.list", "search.set", "sum.recompute", "sum.incremental", "handover.each", "handover.batch"):
        assert wanted in names
    text = weir("bench", "--list", "string", status=0).stdout.splitlines()
    assert [line.split()[0] for line in text] == ["string.append", "string.join"]


@pytest.mark.parametrize("pattern", ["decode", "encode", "intern", "expression", "filter", "normalize", "rolling.*.10",
                                     pytest.param("edge", marks=pytest.mark.threads), "task", "timer", "spead",
                                     "search"])
def test_each_works(weir, names, pattern):
    report = measure(weir, pattern)
    assert report["format"] == "weir bench" and report["version"] == 1
    ran = [b["name"] for b in report["benchmarks"]]
    start = pattern.split("*")[0].rstrip(".") + "."
    assert ran == [name for name in names if name.startswith(start) and ("*" not in pattern or name.endswith(".10"))]
    for b in report["benchmarks"]:
        time = b["ns_per_item"]
        assert 0 < time["least"] <= time["low"] <= time["median"] <= time["high"] <= time["most"]
        assert 0 <= time["mad"] <= time["most"] - time["least"]
        assert 7 <= time["samples"] <= 25 and time["confidence"] >= 0.95
        assert b["calls_per_sample"] >= 1 and b["items_per_call"] >= 1
        assert b["items_per_second"] == pytest.approx(1e9 / time["median"])
    machine = report["machine"]
    assert machine["processors"] >= 1 and machine["hertz_measured_before"] > 1e8
    assert machine["pinned_to"] is None or machine["pinned_to"] >= 0
    assert measure(weir, pattern, "--no-pin")["machine"]["pinned_to"] is None


def test_the_lessons(weir):
    """What a lesson teaches is far beyond any noise: the obvious way does hundreds of times the work."""
    report = measure(weir, "string", "search", "sum", "handover")
    gains = {b["slow"]: b["times_as_fast"] for b in report["benchmarks"] if "slow" in b}
    assert set(gains) == {"string.append", "search.list", "sum.recompute", "handover.each"}
    assert gains["string.append"]["median"] > 5
    assert gains["search.list"]["median"] > 20
    assert gains["sum.recompute"]["median"] > 5
    assert 25 < gains["handover.each"]["median"] < 60
    by_name = {b["name"]: b["ns_per_item"]["median"] for b in report["benchmarks"]}
    assert by_name["handover.each"] >= 50 * 0.5e6 and by_name["handover.batch"] >= 0.5e6


def test_words_and_one_of_a_pair(weir):
    text = weir("bench", "search", "--time", "1ms", status=0).stdout
    assert "processor" in text.splitlines()[0]
    assert re.search(r"^search\.set +[\d.]+ .s ", text, re.M)
    assert re.search(r"^search\.list takes .*, search\.set .*: [\d,.]+( [kM])? times less \(.* to .*\)\.$", text, re.M)
    assert "times less" not in weir("bench", "search.set", "--time", "1ms", status=0).stdout


def test_saved_and_compared(weir, tmp_path):
    saved = measure(weir, "search.set", "timer.set", "--save", "before")
    kept = json.loads((tmp_path / "before.json").read_text())
    assert kept == {**saved, "machine": kept["machine"]}

    def scaled(factor):
        changed = json.loads(json.dumps(kept))
        for b in changed["benchmarks"]:
            for part in ("median", "low", "high", "least", "most", "mean"):
                b["ns_per_item"][part] *= factor
        (tmp_path / "other.json").write_text(json.dumps(changed))

    scaled(0.001)  # then it was a thousand times as fast
    report = measure(weir, "search.set", "timer.set", "--against", "other", status=3)
    assert report["regressions"] == 2 and {b["change"] for b in report["benchmarks"]} == {"slower"}
    text = weir("bench", "search.set", "--time", "1ms", "--against", "other.json", status=3).stdout
    assert "SLOWER" in text and "1 of 1 slower than other.json" in text
    scaled(1000)
    report = measure(weir, "search.set", "--against", "other", status=0)
    assert report["regressions"] == 0 and report["benchmarks"][0]["change"] == "faster"
    assert report["benchmarks"][0]["ratio"] < 1
    scaled(1)
    report = measure(weir, "search.set", "intern.known", "--against", "other", "--tolerance", "100000%", status=0)
    assert [b["change"] for b in report["benchmarks"]] == ["new", "none"]
    assert report["tolerance"] == 1000 and report["benchmarks"][0]["ratio"] is None
    text = weir("bench", "search.set", "intern.known", "--time", "1ms", "--against", "other", "--tolerance", "100000%",
                status=0).stdout
    assert "None of 1 is slower" in text and "1 new: not in other" in text
    text = weir("bench", "intern.known", "--time", "1ms", "--against", "other", status=2).stdout
    assert "Nothing could be compared: other" in text and "None of" not in text


def test_measurements_of_an_older_version_are_read(weir, data):
    """As weir 0.1.0 saved them."""
    saved = data / "bench_0.1.0.json"
    before = {b["name"]: b["ns_per_item"]["median"] for b in json.loads(saved.read_text())["benchmarks"]}
    outcome = weir("bench", *FAST, "search.set", "timer.set", "--against", saved)
    assert outcome.status in (0, 3)
    report = outcome.json()
    assert {b["name"]: b["ns_per_item_before"] for b in report["benchmarks"]} == \
        {name: pytest.approx(before[name]) for name in ("timer.set", "search.set")}
    assert "Some Processor" in weir("bench", "search.set", "--time", "1ms", "--against", saved).stdout


def test_mistakes(weir, tmp_path):
    assert 'did you mean "rolling.mean.10"' in weir("bench", "roling.mean.10", status=2).stderr
    assert "--time" in weir("bench", "--time", "1us", status=2).stderr
    assert "--tolerance" in weir("bench", "--tolerance", "x", status=2).stderr
    assert "cannot read none.json" in weir("bench", "search", "--against", "none", status=2).stderr
    (tmp_path / "old.json").write_text('{"format": "weir bench", "version": 0, "benchmarks": []}')
    assert "version 0" in weir("bench", "search", "--against", "old", status=2).stderr
    (tmp_path / "profile.json").write_text('{"format": "weir profile", "version": 1, "rows": []}')
    assert "no measurements" in weir("bench", "search", "--against", "profile", status=2).stderr
    assert "no folder no/such" in weir("bench", "search.set", "--time", "1ms", "--save", "no/such/x", status=2).stderr


def test_interrupt_keeps_what_was_measured(tmp_path):
    command = [str(BINARY), "bench", "search", "timer", "rolling", "--time", "100ms", "--save", "kept"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment())
    for line in process.stdout:
        if line.startswith("rolling."):  # the first of many
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60 * SLOWNESS)
    assert process.returncode == 130 and "interrupted" in errors
    kept = [b["name"] for b in json.loads((tmp_path / "kept.json").read_text())["benchmarks"]]
    assert kept and len(kept) < 15 and all(name.startswith("rolling.") for name in kept)
