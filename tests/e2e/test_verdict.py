# SPDX-License-Identifier: MIT
"""The verdict, on the simulated clock: thirty seconds of a pipeline in milliseconds, the same each time."""
import pytest

SIMULATED = ("--simulated", "--lanes", "1")


def bursts(cost, records=50000, every="10s", sink='{out: {type: "null"}}', run="{memory: 64MiB}", goals="{}"):
    return f"""
        sources:
          fleet: {{type: generate, keys: 100, burst: {records}, every: {every}, start: "2026-01-01T00:00:00Z"}}
        stages:
          - burn: {cost}
        sinks: {sink}
        goals: {goals}
        run: {run}
    """


def test_too_slow_by_the_end_of_the_second_burst(pipeline):
    report = pipeline(bursts("600us"), args=(*SIMULATED, "--duration", "20s"))
    assert report["verdict"] == "falling behind"
    detail = report["verdict_detail"]
    assert detail["seconds_per_minute"] == pytest.approx(40, abs=2)
    assert detail["offered_per_second"] == pytest.approx(5000)
    assert detail["settled_per_second"] == pytest.approx(1667, rel=0.03)
    assert "falling behind, 40 s per minute" in detail["sentence"] or abs(detail["seconds_per_minute"] - 40) > 0.5
    assert report["records_dropped"] == 0
    assert report["records_stored"] == report["records_in"] > 30000
    assert report["memory_budget"]["peak"] <= report["memory_budget"]["limit"] == 64 << 20
    assert 19 < report["lag_seconds"] < 25  # a batch may take seconds, and is not cut in two by the end of the run


@pytest.mark.parametrize("duration", ["9s", "25s", "31s", "55s", "90s"])
def test_wherever_in_the_saw(pipeline, duration):
    report = pipeline(bursts("600us"), args=(*SIMULATED, "--duration", duration))
    assert report["verdict"] == "falling behind"
    assert report["verdict_detail"]["seconds_per_minute"] == pytest.approx(40, abs=2)


@pytest.mark.parametrize("batch", [1, 100, 1000, 5000])
def test_whatever_the_batches(pipeline, batch):
    run = f"{{memory: 64MiB, batch: {batch}}}"
    report = pipeline(bursts("600us", run=run), args=(*SIMULATED, "--duration", "25s"))
    assert report["verdict"] == "falling behind"
    assert report["verdict_detail"]["seconds_per_minute"] == pytest.approx(40, abs=2)


@pytest.mark.parametrize("duration", ["5s", "8s", "21s", "34s"])
def test_bursts_that_are_worked_off_in_time(pipeline, duration):
    report = pipeline(bursts("125us"), args=(*SIMULATED, "--duration", duration))
    assert report["verdict"] == "keeping up"
    assert report["verdict_detail"]["seconds_per_minute"] == 0
    assert report["lag_seconds_max"] > 4  # it does rise within a burst


def test_the_same_each_time(pipeline):
    first, second = (pipeline(bursts("600us"), args=(*SIMULATED, "--duration", "20s", "--seed", "7")) for _ in range(2))
    for key in ("records_in", "records_stored", "seconds", "latency_seconds", "lag_seconds", "verdict"):
        assert first[key] == second[key], key


def test_a_steady_pipeline_keeps_up(pipeline):
    report = pipeline(
        """
        sources: {fleet: {type: generate, rate: 1000/s}}
        stages: [{burn: 100us}]
        sinks: {out: {type: "null"}}
        """,
        args=(*SIMULATED, "--duration", "30s"))
    assert report["verdict"] == "keeping up"
    assert report["records_in"] == pytest.approx(30000, rel=0.01)
    assert report["lag_seconds_max"] < 0.1


def test_a_steady_pipeline_that_is_too_slow(pipeline):
    report = pipeline(
        """
        sources: {fleet: {type: generate, rate: 1000/s}}
        stages: [{burn: 1250us}]
        sinks: {out: {type: "null"}}
        goals: {max_lag: 60s}
        """,
        args=(*SIMULATED, "--duration", "30s"))
    assert report["verdict"] == "falling behind"
    assert report["verdict_detail"]["seconds_per_minute"] == pytest.approx(12, abs=1)
    assert report["verdict_detail"]["limit"] == "max_lag"
    # 6 s of lag after 30 s at 0.2 s/s: the other 54 take 270 s.
    assert report["verdict_detail"]["limit_seconds"] == pytest.approx(270, rel=0.1)


def test_a_file_is_read_at_full_speed(pipeline, data):
    report = pipeline(f"""
        sources: {{in: {{type: file, path: "{data}/machine_temperature.csv"}}}}
        sinks: {{out: {{type: "null"}}}}
    """)
    assert report["verdict"] == "full speed"
    assert report["records_in"] == 22695
    assert report["records_per_second"] == pytest.approx(22695 / report["seconds"])


def test_nothing_came(pipeline):
    report = pipeline("""
        sources: {in: {type: file, path: "-", format: ndjson}}
        sinks: {out: {type: "null"}}
    """)
    assert report["records_in"] == 0
    assert report["verdict"] in ("no data yet", "full speed")
    assert report["latency_seconds"]["p99"] is None


def test_on_the_real_clock(pipeline):
    """Bursts of 500 each second, at most 200 of which can be done in time."""
    report = pipeline(bursts("5ms", records=500, every="1s"), args=("--lanes", "1", "--duration", "6s"))
    assert report["verdict"] == "falling behind"
    worked_off = report["records_in"] / report["seconds"]  # fewer than 200/s when others want the processor too
    assert report["verdict_detail"]["seconds_per_minute"] == pytest.approx(60 * (1 - worked_off / 500), abs=5)


@pytest.mark.slow
def test_the_same_work_done_differently(pipeline):
    text = """
        sources: {fleet: {type: generate, keys: 1, burst: 40000, every: 2s}}
        stages: [{rolling: {field: value, window: 20000, compute: [mean, stddev], method: %s}}]
        sinks: {out: {type: "null"}}
        run: {lanes: 1, memory: 96MiB, duration: 5s}
    """
    report = pipeline(text % "recompute")
    assert report["verdict"] == "falling behind"
    assert report["verdict_detail"]["held_back_by"] == "rolling"
    report = pipeline(text % "incremental")
    assert report["verdict"] == "keeping up"


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_is_dropped_is_counted(pipeline, tmp_path, policy):
    """A sink that cannot keep up, on a branch that may drop."""
    target = tmp_path / "out.ndjson"
    sink = f'{{store: {{type: file, path: "{target}", format: ndjson, when_full: {policy}, queue: 64KiB}}}}'
    report = pipeline(
        f"""
        sources: {{fleet: {{type: generate, rate: unlimited, count: 2000000}}}}
        sinks: {sink}
        run: {{memory: 64MiB}}
        """)
    stored = target.read_bytes().count(b"\n")
    assert report["records_in"] == 2000000
    assert report["records_stored"] == stored
    assert report["records_dropped"] == 2000000 - stored
    assert sum(edge["records_dropped"] for edge in report["edges"]) == report["records_dropped"]


def test_advice(weir, tmp_path):
    """One paragraph: the bottleneck, lanes, batches, and goals that were missed."""
    (tmp_path / "slow.yaml").write_text("""
        sources: {made: {type: generate, rate: unlimited, keys: 10, count: 3000}}
        stages: [{burn: 50us}]
        sinks: {out: {type: "null"}}
        run: {lanes: 1}
        goals: {rate: 1e9}
    """)
    outcome = weir("run", "slow.yaml", cwd=tmp_path)
    words = " ".join(outcome.stderr[outcome.stderr.index("\nadvice "):].split())
    assert "The bottleneck " in words and "Most is to be won at burn (process)" in words
    assert "More lanes would " in words and "The goal rate was missed by 100 %" in words
    advice = weir("run", "slow.yaml", "--json", cwd=tmp_path).json()["advice"]
    assert "burn" in advice and "More lanes would " in advice and "\n" not in advice
