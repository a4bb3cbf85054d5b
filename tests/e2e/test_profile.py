# SPDX-License-Identifier: MIT
"""weir profile: where the time goes, what could be won, and whether a change changed the answer. Whatever depends on
how fast the machine is today is not asserted here."""
import json
import signal
import subprocess
import time

import pytest

from conftest import BINARY, ROOT, SLOWNESS, environment

EXAMPLE = ROOT / "examples" / "wrong_bottleneck.yaml"
PIPELINE = """
sources: {in: {type: generate, keys: 20, rate: unlimited, start: 2024-11-21T00:00:00Z, fault_rate: 0.01, fault: null}}
stages:
  - filter: value > 16
  - normalize: {field: value, running: true, as: z}
  - rolling: {field: z, window: 16, compute: [mean, stddev]}
sinks: {out: {type: file, path: out.ndjson, format: ndjson}, gone: {type: "null"}}
run: {limit: 60000}
"""


@pytest.fixture
def profile(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)

    def call(*args, status=0):
        return weir("profile", "p.yaml", "--json", *args, status=status).json()

    return call


def row(report, name, work="process"):
    found = [r for r in report["rows"] if r["name"] == name and r["work"] == work]
    assert len(found) == 1, report["rows"]
    return found[0]


def test_everything_has_its_row(profile):
    report = profile()
    assert report["format"] == "weir profile" and report["version"] == 1
    assert report["records"] == 60000
    for name in ("filter", "normalize", "rolling"):
        assert row(report, name)["calls"] > 0
    assert row(report, "filter")["records"] == 60000
    stored = row(report, "out", "write")["records"]
    assert 0 < stored < 60000 and row(report, "rolling")["records"] == stored
    assert row(report, "out", "encode")["own_seconds"] > 0
    assert row(report, "in", "read")["records"] == 60000
    totals = [r["total_seconds"] for r in report["rows"]]
    assert totals == sorted(totals, reverse=True)
    assert abs(sum(r["share"] for r in report["rows"]) - 1) < 1e-6
    for r in report["rows"]:
        assert r["own_seconds"] <= r["total_seconds"] + 1e-9
        assert r["speedup_if_removed"] >= r["speedup_if_halved"] >= 1 - 1e-9, r
    assert report["outputs"] == []
    assert sum(t["critical"] for t in report["threads"]) == 1
    assert report["critical_thread"] in [t["name"] for t in report["threads"]]


def test_time_adds_up(profile):
    report = profile("--lanes", "1")
    for thread in report["threads"]:
        whole = thread["busy_seconds"] + thread["blocked_seconds"] + thread["starved_seconds"]
        assert whole <= report["seconds"] * 1.001 + 0.001
    lane = [t for t in report["threads"] if t["name"] == "lane 0"]
    assert len(lane) == 1
    # A stage's total holds those behind it on the same lane.
    assert row(report, "filter")["total_seconds"] >= row(report, "normalize")["total_seconds"] * 0.999


def test_table_for_people(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    text = weir("profile", "p.yaml", "--lanes", "1", status=0).stdout
    for word in ("ns/record", "share", "if gone", "if halved", "rolling", "blocked", "starved", "queue"):
        assert word in text, text
    assert "critical thread is" in text or "processors are the limit" in text
    assert "Most is to be won at" in text


def test_profile_of_a_sink_on_stdout_goes_to_stderr(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    outcome = weir("profile", "p.yaml", "--to", "stdout", "--limit", "100", status=0)
    assert all(json.loads(line)["value"] > 16 for line in outcome.stdout.splitlines())
    assert "ns/record" in outcome.stderr and "ns/record" not in outcome.stdout


def test_where_it_is_kept_is_known_before_it_runs(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    outcome = weir("profile", "p.yaml", "--save", "no/such/x.json", status=2)
    assert "--save no/such/x.json cannot be written: there is no folder no/such; make it" in outcome.stderr
    assert not outcome.stdout and [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


def test_folded(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    lines = weir("profile", "p.yaml", "--folded", "--lanes", "1", status=0).stdout.splitlines()
    stacks = dict(line.rsplit(" ", 1) for line in lines)
    assert "lane 0;filter;normalize;rolling" in stacks and "lane 0;out (encode)" in stacks
    assert all(int(number) > 0 for number in stacks.values())


def test_the_same_again_is_the_same(profile):
    profile("--save", "before.json", "--lanes", "1")
    report = profile("--against", "before.json", "--lanes", "2")
    assert report["against"]["outputs_same"] is True
    assert [o["verdict"] for o in report["against"]["outputs"]] == ["same", "same"]


def test_another_method_differs_by_rounding(profile):
    profile("--save", "before.json")
    report = profile("--against", "before.json", "--set", "stages.rolling.method=recompute")
    assert report["against"]["outputs_same"] is True
    assert {o["verdict"] for o in report["against"]["outputs"]} <= {"same", "rounding"}


def test_a_wrong_answer_is_flagged(profile, weir, tmp_path):
    profile("--save", "before.json")
    report = profile("--against", "before.json", "--set", "stages.rolling.window=15", status=3)
    assert report["against"]["outputs_same"] is False
    report = profile("--against", "before.json", "--set", "stages.filter.when=value > 16.001", status=3)
    assert "records, were" in report["against"]["outputs"][0]["words"]
    text = weir("profile", "p.yaml", "--against", "before.json", "--set", "stages.rolling.window=15", status=3).stdout
    assert "DIFFERENT" in text and "fast and wrong is no gain" in text


def test_old_and_foreign_profiles_are_refused(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    (tmp_path / "old.json").write_text('{"format": "weir profile", "version": 0, "rows": []}')
    (tmp_path / "other.json").write_text('{"records_in": 5}')
    assert "version 0" in weir("profile", "p.yaml", "--against", "old.json", status=2).stderr
    assert "no profile" in weir("profile", "p.yaml", "--against", "other.json", status=2).stderr
    assert "cannot read" in weir("profile", "p.yaml", "--against", "none.json", status=2).stderr


def test_a_profile_of_an_older_version_is_read(weir, data, tmp_path):
    """As weir 0.1.0 saved it: whoever changes what is saved must still read this, or raise the version."""
    saved = data / "profile_0.1.0.json"
    before = {row["name"]: row for row in json.loads(saved.read_text())["rows"] if row["work"] == "process"}
    outcome = weir("profile", EXAMPLE, "--limit", "20000", "--json", "--against", saved)
    assert outcome.status in (0, 3)  # whether the example still makes the same records is not the question
    compared = {row["name"]: row for row in outcome.json()["against"]["rows"] if row["work"] == "process"}
    assert set(compared) == set(before) == {"filter", "normalize", "rolling"}
    for name, row in compared.items():
        assert row["ns_per_record_before"] == pytest.approx(before[name]["ns_per_record"])
    # What was not there yet, and what this program does not know, is no reason to refuse it.
    lean = {"format": "weir profile", "version": 1, "mood": {"of": ["the", "machine"]},
            "rows": [{"name": "rolling", "work": "process", "ns_per_record": 5, "colour": None}]}
    (tmp_path / "lean.json").write_text(json.dumps(lean))
    rows = weir("profile", EXAMPLE, "--limit", "20000", "--json", "--against", "lean.json",
                status=0).json()["against"]["rows"]
    assert {row["name"]: row["ns_per_record_before"] for row in rows if row["work"] == "process"}["rolling"] == 5


def test_empty_run(weir, tmp_path):
    (tmp_path / "empty.ndjson").write_text("")
    (tmp_path / "e.yaml").write_text("""
sources: {in: {type: file, path: empty.ndjson, format: ndjson, fields: {value: f64}}}
sinks: {out: {type: "null"}}
""")
    outcome = weir("profile", "e.yaml", status=0)
    assert "No records came in" in outcome.stdout
    report = weir("profile", "e.yaml", "--json", status=0).json()
    assert report["records"] == 0 and report["bound_per_second"] is None and report["critical_thread"] is None


def test_interrupt_keeps_what_was_measured(tmp_path):
    endless = PIPELINE.replace("limit: 60000", "lanes: 1").replace("rate: unlimited", "rate: 20000/s")
    (tmp_path / "p.yaml").write_text(endless)
    process = subprocess.Popen([str(BINARY), "profile", "p.yaml", "--json", "--save", "kept.json"], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    out = tmp_path / "out.ndjson"
    deadline = time.monotonic() + 30 * SLOWNESS
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30 * SLOWNESS)
    assert process.returncode == 0, stderr
    report = json.loads(stdout)
    assert report["records"] > 0 and row(report, "rolling")["own_seconds"] > 0 and report["interrupted"]
    assert json.loads((tmp_path / "kept.json").read_text())["records"] == report["records"]


def test_the_example(weir, tmp_path):
    before = weir("profile", EXAMPLE, "--limit", "300000", "--json", "--save", "before.json", status=0).json()
    rows = [r for r in before["rows"] if r["work"] == "process"]
    assert max(rows, key=lambda r: r["share"])["name"] == "rolling"
    after = weir("profile", EXAMPLE, "--limit", "300000", "--json", "--against", "before.json", "--set",
                 "stages.rolling.method=incremental", status=0).json()
    assert after["against"]["outputs_same"] is True
