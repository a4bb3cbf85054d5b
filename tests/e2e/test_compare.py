# SPDX-License-Identifier: MIT
"""weir compare: only the same work, done twice, has a ratio."""
import json
import signal
import subprocess
import time

import pytest

from conftest import BINARY, DATA, ROOT, SLOWNESS, environment

EXAMPLES = ROOT / "examples"
CSV = DATA / "machine_temperature.csv"


@pytest.mark.parametrize("source, words", [
    ("{type: generate, keys: 3}", "give it a `count`"),
    ('{type: http, url: "http://127.0.0.1:9/{0..3}"}', "give it a `count`"),
    ("{type: adc}", "give it a `count`"),
    (f"{{type: file, path: {CSV}, repeat: 0}}", "give it a `repeat`"),
    (f"{{type: file, path: {CSV}, follow: true}}", "leave out `follow`"),
])
@pytest.mark.parametrize("clock", [[], ["--simulated"]])
def test_work_without_an_end_is_not_begun(weir, tmp_path, source, words, clock):
    (tmp_path / "p.yaml").write_text(f"sources:\n  endless: {source}\nsinks: {{out: {{type: 'null'}}}}\n")
    said = weir("compare", tmp_path / "p.yaml", *clock, status=2, timeout=10).stderr
    assert "p.yaml:2:3: source endless never ends" in said and words in said and "--limit" in said


@pytest.mark.parametrize("source", ["{type: file, path: '-'}", "{type: spead, listen: '127.0.0.1:0'}"])
def test_what_comes_once_cannot_be_compared(weir, tmp_path, source):
    (tmp_path / "p.yaml").write_text(f"sources:\n  once: {source}\nsinks: {{out: {{type: 'null'}}}}\n")
    said = weir("compare", tmp_path / "p.yaml", "--limit", "10", status=2).stderr
    assert "p.yaml:2:3: the records of source once come once" in said


def test_a_limit_makes_an_end(weir):
    both = weir("compare", EXAMPLES / "fleet.yaml", "--simulated", "--limit", "500", "--json", status=0).json()
    assert both["sequential"]["records"] == both["concurrent"]["records"] == 500
    assert not both["interrupted"] and both["same_work"] and both["speedup"] > 10


def test_interrupted_there_is_nothing_to_compare(tmp_path):
    (tmp_path / "p.yaml").write_text("sources: {in: {type: generate, rate: 20/s, count: 9999}}\n"
                                     "sinks: {out: {type: 'null'}}\n")
    comparing = subprocess.Popen([str(BINARY), "compare", "p.yaml", "--json"], cwd=tmp_path, env=environment(),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.4 * SLOWNESS)
    comparing.send_signal(signal.SIGINT)
    told, words = comparing.communicate(timeout=20 * SLOWNESS)
    assert comparing.returncode == 130 and b"nothing to compare" in words, words
    assert json.loads(told)["interrupted"] is True


def test_nothing_is_no_comparison(weir):
    """Nobody listens: no ratio, but what failed, and what to do."""
    dead = ("compare", EXAMPLES / "ten_sensors.yaml", "--set", "sources.sensors.url=http://127.0.0.1:9/{0..2}",
            "--set", "sources.sensors.count=1", "--set", "sources.sensors.retries=0")
    text = weir(*dead, status=1).stdout
    assert "Nothing was compared: no record was read in either run" in text and "start what the pipeline reads" in text
    assert "failed" in text and "times" not in text
    outcome = weir(*dead, "--json", status=1)
    assert outcome.json()["speedup"] is None and outcome.json()["sequential"]["failed"] == 3
    assert "nothing was compared" in outcome.stderr


def test_failures_are_not_the_same_work(weir):
    outcome = weir("compare", EXAMPLES / "ten_sensors.yaml", "--simulated", "--fleet", "fail=0.6", "--json", status=1)
    both = outcome.json()
    assert both["sequential"]["failed"] > 0 and both["concurrent"]["failed"] > 0
    assert not both["same_work"] and both["speedup"] is None and both["wait_ratio"] is None
    assert "did not do the same work" in both["difference"] and both["difference"] in outcome.stderr


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_each_example_can_be_compared_in_memory_or_says_why_not(weir, example):
    """Also those that ask a model server."""
    limit = ["--limit", "2000"] if example in ("fleet.yaml", "hundred_sensors.yaml", "too_slow.yaml",
                                               "wrong_bottleneck.yaml") else []
    outcome = weir("compare", EXAMPLES / example, "--simulated", "--json", *limit, cwd=ROOT)
    if example == "telescope.yaml":  # its heaps come over the network
        assert outcome.status == 2 and "come once" in outcome.stderr
        return
    assert outcome.status == 0 and outcome.json()["same_work"] and outcome.json()["speedup"] >= 0.95, outcome


def test_calls_are_answered_in_memory(weir, tmp_path):
    """A thousand embeddings at once on a thousand workers, and on fifty, of which each then serves twenty."""
    example = EXAMPLES / "embeddings.yaml"
    many = weir("compare", example, "--simulated", "--json", status=0).json()
    assert many["concurrent"]["seconds"] == pytest.approx(0.05) and many["speedup"] == pytest.approx(1000, rel=0.01)
    few = weir("compare", example, "--simulated", "--json", "--server", "workers=50", "--server", "timeout=5s",
               status=0).json()
    assert few["concurrent"]["seconds"] == pytest.approx(1)
    lines = weir("run", example, "--simulated", "--quiet", "--limit", "2", cwd=tmp_path, status=0).stdout
    assert lines.count('"embedding":[') == 2


@pytest.mark.parametrize("command", [["run"], ["compare"], ["tap"]])
@pytest.mark.parametrize("option", ["--fleet", "--server"])
def test_peers_in_memory_need_the_simulated_clock(weir, command, option):
    part = ["sensors"] if command == ["tap"] else []
    said = weir(*command, EXAMPLES / "ten_sensors.yaml", *part, option, "jitter=5ms", status=2).stderr
    assert f"{option} sets what answers in memory with --simulated" in said


@pytest.mark.parametrize("seed", range(1, 6))
def test_two_producers_make_a_queue(weir, seed):
    both = weir("compare", EXAMPLES / "two_producers.yaml", "--simulated", "--json", "--seed", seed, status=0).json()
    one = weir("compare", EXAMPLES / "producer_consumer.yaml", "--simulated", "--json", "--seed", seed, status=0).json()
    assert both["sequential"]["wait_seconds"]["mean"] > 1.5 * one["sequential"]["wait_seconds"]["mean"]
    assert both["concurrent"]["wait_seconds"]["mean"] > 0.1 > one["concurrent"]["wait_seconds"]["mean"]


def test_the_words_fit_what_was_measured(weir):
    text = weir("compare", EXAMPLES / "blocking.yaml", "--simulated", "--timeline", status=0).stdout
    assert "at the same time it is no faster, but no record waits any more." in text
    assert "at most 10 at a time" in text and "average within a column" in text


def test_the_timeline_is_drawn_beside_json(weir):
    outcome = weir("compare", EXAMPLES / "two_producers.yaml", "--simulated", "--json", "--timeline", status=0)
    assert outcome.json()["same_work"] and "sequential: 1 min 00 s" in outcome.stderr and "consumer" in outcome.stderr


def test_the_fleet_has_something_to_show(weir):
    """A reading cannot be three standard deviations from the mean of ten that it is one of: the window is larger."""
    seen = weir("run", EXAMPLES / "fleet.yaml", "--simulated", "--duration", "30s", "--quiet", status=0).stdout
    assert 5 <= len(seen.splitlines()) <= 60
