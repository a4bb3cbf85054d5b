# SPDX-License-Identifier: MIT
"""Every part has an example in `weir explain`, and every example runs.

An example is a pipeline, or the section with that part alone. What is missing is put around it: a fleet of twenty
sensors in front, the screen behind."""
import json
import subprocess

import pytest
import yaml

from conftest import BINARY, environment

FLEET = "sources:\n  readings: {type: generate, keys: 20, rate: 20/s}\n"
SCREEN = "sinks:\n  screen: {type: stdout}\n"
# Parts that talk to somebody: their own tests run them against one.
NEEDS_A_PEER = {"http", "call", "mqtt", "postgres", "influxdb", "model", "tcp", "udp", "websocket", "redis", "spead"}


def parts():
    done = subprocess.run([BINARY, "list", "--json"], capture_output=True, check=True, env=environment())
    return [(part["kind"], part["name"]) for part in json.loads(done.stdout)]


def pytest_generate_tests(metafunc):
    found = parts() if BINARY.exists() else []
    metafunc.parametrize("kind, name", found, ids=[f"{kind}-{name}" for kind, name in found])


def example_of(weir, kind, name):
    described = json.loads(weir("explain", kind, name, "--json", status=0).stdout)
    assert len(described) == 1 and described[0]["name"] == name
    return described[0]["example"]


def prepare(folder, source):
    """The files that an example reads: whatever it asks for."""
    if "lookup" in source:
        rows = [f"s{i},hall {i % 3},{20 + i}" for i in range(10)]
        (folder / source["lookup"]["file"]).write_text("\n".join(["sensor,location,max_value", *rows]) + "\n")
    if source.get("type") != "file":
        return
    path = folder / str(source["path"]).replace("*", "a")
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [source.get("time", "ts"), source.get("key", "sensor"), "value"]
    rows = [f"2024-11-21T00:{i // 60 % 60:02}:{i % 60:02}Z,s{i % 20},{20 + i % 13}" for i in range(3000)]
    path.write_text("\n".join([",".join(names), *rows]) + "\n")


def test_example(weir, tmp_path, kind, name):
    example = example_of(weir, kind, name)
    assert example, f"the {kind} {name} has no example"
    assert example in weir("explain", kind, name, status=0).stdout.replace("\n  ", "\n")
    sections = yaml.safe_load(example)
    section = {"source": "sources", "stage": "stages", "sink": "sinks"}[kind]
    assert set(sections) <= {"sources", "stages", "sinks", "goals", "run"} and section in sections
    assert name in json.dumps(sections[section]) or name == "null"
    text = ("" if "sources" in sections else FLEET) + example + ("" if "sinks" in sections else SCREEN)
    (tmp_path / "example.yaml").write_text(text)
    for stage in sections.get("stages", []):
        prepare(tmp_path, stage if isinstance(stage, dict) else {})
    assert weir("check", "example.yaml").status == 0 or kind == "source"
    if name in NEEDS_A_PEER:
        pytest.skip("needs somebody to talk to")
    for source in sections.get("sources", {}).values():
        prepare(tmp_path, source)
    before = set(tmp_path.rglob("*"))
    outcome = weir("run", "example.yaml", "--quiet", "--simulated", "--limit", "12000", "--duration", "30min", status=0)
    assert outcome.stderr == "", outcome
    made = [path for path in set(tmp_path.rglob("*")) - before if path.stat().st_size > 0]
    assert outcome.stdout or made or name == "null", outcome
