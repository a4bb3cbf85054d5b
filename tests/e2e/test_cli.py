# SPDX-License-Identifier: MIT
"""The command line as a newcomer meets it: help, slips of the finger, and the journey init → check → run."""
import json
import re
import shutil
import sqlite3
import subprocess

import pytest
from conftest import BINARY, ROOT, environment

CONFIG = """\
sources:
  readings: {type: file, path: data.csv, time: timestamp}
stages:
  - filter: value > 1
  - rolling: {field: value, window: 3, compute: [mean]}
sinks:
  out: {type: stdout, format: ndjson}
"""
ROWS = "timestamp,value\n" + "".join(f"2024-01-01 00:00:{i:02d},{i}\n" for i in range(10))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data.csv").write_text(ROWS)
    (tmp_path / "good.yaml").write_text(CONFIG)
    return tmp_path


def check_mistake(outcome, place, line, marked, *words):
    """The place, the line with a caret under what is marked, and the words of the remedy."""
    assert outcome.status == 2, outcome
    assert outcome.stdout == "", outcome
    lines = outcome.stderr.splitlines()
    assert lines[0].startswith(place), outcome
    if line is not None:
        assert line in lines, outcome
        caret = lines[lines.index(line) + 1]
        assert re.fullmatch(r"\s*\^~*", caret), outcome
        begin = caret.index("^")
        assert line[begin:begin + len(caret.strip())] == marked, outcome
    for word in words:
        assert word in outcome.stderr, outcome


# ---- Help ----------------------------------------------------------------------------------------------------------


def test_help(weir):
    for arguments in (["--help"], ["-h"], ["help"]):
        outcome = weir(*arguments, status=0)
        assert outcome.stdout.startswith("weir ") and "Commands:" in outcome.stdout
        assert outcome.stderr == ""
    assert weir(status=2).stdout == ""


def test_version(weir):
    assert re.fullmatch(r"weir \d+\.\d+\.\d+\n", weir("--version", status=0).stdout)


@pytest.mark.parametrize("command", ["run", "check", "init", "list", "explain"])
def test_help_of_commands(weir, command):
    first = weir(command, "--help", status=0)
    assert first.stdout.startswith(f"Usage: weir {command}")
    assert weir("help", command, status=0).stdout == first.stdout


def test_unknown_commands(weir):
    assert 'did you mean "check"?' in weir("chek", status=2).stderr
    assert "weir --help" in weir("frobnicate", status=2).stderr
    assert 'did you mean "weir run a.yaml"?' in weir("a.yaml", status=2).stderr
    assert 'did you mean "--limit"?' in weir("run", "a.yaml", "--limt", "3", status=2).stderr
    assert "--limit needs a value" in weir("run", "a.yaml", "--limit", status=2).stderr
    assert "FILE is missing: weir run FILE" in weir("run", status=2).stderr
    assert 'did you mean "weir init a.csv"?' in weir("a.csv", status=2).stderr
    assert weir("version", status=0).stdout == weir("--version", status=0).stdout
    assert 'did you mean "--version"?' in weir("--versoin", status=2).stderr
    assert 'did you mean "weir explain source file"?' in weir("explain", "sorce", "file", status=2).stderr
    assert "not a whole number" in weir("run", "a.yaml", "--limit", "few", status=2).stderr


def test_help_fits(weir):
    """Options' help is broken into lines, each under the one before."""
    for command in ("run", "sweep", "compare", "spead recv", "simulate fleet"):
        lines = weir(*command.split(), "--help", status=0).stdout.splitlines()
        assert lines[0].endswith(" [OPTIONS]")
        options = lines[lines.index("Options:") + 1:]
        assert len(options) > 5 and max(map(len, options)) <= 110, command
        assert all(line.startswith(("  -", "      --", " " * 26)) for line in options), command


ANSWERS = ("list", "list --json", "run --help", "explain rolling", "init data.csv", "check good.yaml", "bench --list",
           "run good.yaml --to null --quiet --json", "run good.yaml --to null --quiet --svg -", "version",
           "profile good.yaml --to null --json")


@pytest.mark.parametrize("command", ANSWERS)
def test_an_answer_that_is_lost_is_a_failure(folder, command):
    with open("/dev/full", "w", encoding="utf-8") as full:
        outcome = subprocess.run([BINARY, *command.split()], cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True,
                                 timeout=60, env=environment())
    assert outcome.returncode == 1, outcome
    assert outcome.stderr.count("weir: cannot write to stdout: No space left on device") == 1, outcome


@pytest.mark.parametrize("command,words", [("list", "cannot write to stdout"), ("run good.yaml", "stdout is closed"),
                                           ("tap good.yaml filter", "stdout is closed")])
def test_started_without_stdout(folder, command, words):
    """No file that is opened becomes descriptor 1."""
    outcome = subprocess.run(["sh", "-c", f'exec "$0" {command} >&-', BINARY], cwd=folder, stderr=subprocess.PIPE,
                             text=True, timeout=60, env=environment())
    assert outcome.returncode == 1 and words in outcome.stderr, outcome
    assert (folder / "data.csv").read_text() == ROWS


# ---- list and explain ----------------------------------------------------------------------------------------------


def test_list(weir):
    everything = weir("list", status=0).stdout
    for name in ("file", "generate", "filter", "rolling", "stdout", "null"):
        assert re.search(rf"^  {name} ", everything, re.MULTILINE)
    assert "rolling" not in weir("list", "sinks", status=0).stdout
    assert 'did you mean "stages"?' in weir("list", "stagse", status=2).stderr
    parts = json.loads(weir("list", "--json", status=0).stdout)
    assert {"kind": "stage", "name": "filter"}.items() <= {key: part[key] for part in parts if part["name"] == "filter"
                                                           for key in part}.items()


def test_explain(weir):
    parts = json.loads(weir("list", "--json", status=0).stdout)
    for part in parts:
        text = weir("explain", part["kind"], part["name"], status=0).stdout
        assert part["summary"] in text
        table = json.loads(weir("explain", part["kind"], part["name"], "--json", status=0).stdout)
        for option in table[0]["options"]:
            assert f"  {option['name']} " in text
            assert option["help"], option
    both = weir("explain", "file", status=0).stdout
    assert "file (source)" in both and "file (sink)" in both
    assert 'did you mean "rolling"?' in weir("explain", "roling", status=2).stderr


def test_topics(weir):
    topics = re.findall(r"^  (\S+)", weir("explain", status=0).stdout, re.MULTILINE)
    assert "units" in topics
    for topic in topics:
        assert weir("explain", topic, status=0).stdout


# ---- Mistakes in a configuration -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("old, new, place, line, marked, words", [
    ("window: 3", "windwo: 3", "bad.yaml:5:29: ",
     "  - rolling: {field: value, windwo: 3, compute: [mean]}", "windwo", 'did you mean "window"?'),
    ("- filter:", "- fliter:", "bad.yaml:4:5: ", "  - fliter: value > 1", "fliter", 'did you mean "filter"?'),
    ("sinks:", "snks:", "bad.yaml:6:1: ", "snks:", "snks", 'did you mean "sinks"?'),
    ("type: stdout", "type: stdotu", "bad.yaml:7:15: ", "  out: {type: stdotu, format: ndjson}", "stdotu",
     'did you mean "stdout"?'),
    ("format: ndjson", "format: njson", "bad.yaml:7:31: ", "  out: {type: stdout, format: njson}", "njson",
     'did you mean "ndjson"?'),
    ("{field: value,", "{field: vlaue,", "bad.yaml:5:22: ", "  - rolling: {field: vlaue, window: 3, compute: [mean]}",
     "vlaue", "did you mean"),
    ("filter: value > 1", "filter: valeu > 1", "bad.yaml:4:13: ", "valeu > 1", "valeu", "did you mean"),
    ("time: timestamp}", "time: timestmp}", "bad.yaml:2:48: ",
     "  readings: {type: file, path: data.csv, time: timestmp}", "timestmp", "did you mean"),
    ("timestamp}", "timestamp, line_max: 64Kib}", "bad.yaml:2:69: ",
     "  readings: {type: file, path: data.csv, time: timestamp, line_max: 64Kib}", "64Kib", 'did you mean "64KiB"?'),
    ("timestamp}", "timestamp, rate: 100/sec}", "bad.yaml:2:65: ",
     "  readings: {type: file, path: data.csv, time: timestamp, rate: 100/sec}", "100/sec", 'did you mean "100/s"?'),
    ("format: ndjson}", "format: ndjson, from: roling}", "bad.yaml:7:45: ",
     "  out: {type: stdout, format: ndjson, from: roling}", "roling", 'did you mean "rolling"?'),
    ("  - filter", "\t- filter", "bad.yaml:4:1: ", None, None, "YAML wants blanks"),
    ("- filter: ", "- filter:", "bad.yaml:4:5: ", "  - filter:value > 1", "filter:value > 1", "filter: value > 1"),
    ("type: stdout", "type:stdout", "bad.yaml:7:9: ", "  out: {type:stdout, format: ndjson}", "type:stdout",
     "a blank behind the colon"),
    ("sinks:", "goals: {max_lag: 200}\nsinks:", "bad.yaml:6:18: ", "goals: {max_lag: 200}", "200", "200ms, or 200s?"),
    ("value > 1", "absolute(value) > 1", "bad.yaml:4:13: ", "absolute(value) > 1", "absolute",
     "weir explain expressions"),
])
def test_mistakes(weir, folder, command, old, new, place, line, marked, words):
    assert CONFIG.count(old) == 1
    (folder / "bad.yaml").write_text(CONFIG.replace(old, new))
    check_mistake(weir(command, "bad.yaml"), place, line, marked, words)


def test_memory_unit(weir, folder):
    (folder / "bad.yaml").write_text(CONFIG + "run: {memory: 96Mib}\n")
    check_mistake(weir("check", "bad.yaml"), "bad.yaml:8:15: ", "run: {memory: 96Mib}", "96Mib",
                  'did you mean "96MiB"?', "64KiB")


@pytest.mark.parametrize("command", ["check", "run"])
def test_no_such_file(weir, folder, command):
    words = weir(command, "nowhere.yaml", status=2).stderr
    assert "cannot open nowhere.yaml" in words and "weir init DATA.csv > nowhere.yaml" in words
    assert "folder" in weir(command, ".", status=2).stderr
    assert "weir init data.csv > mine.yaml" in weir(command, "data.csv", status=2).stderr


@pytest.mark.parametrize("setting, place, marked, word", [
    ("stages.rolling.windw=4", "--set:1:16: ", "windw", 'did you mean "window"?'),
    ("stages.rolling.step=four", "--set:1:21: ", "four", "not a whole number"),
    ("stages.roling.window=4", "--set:1:8: ", "roling", 'did you mean "rolling"?'),
    ("sinks.out={type: null}", "--set:1:1: ", None, "--set sources.name.option=value"),
])
def test_set_mistakes(weir, folder, setting, place, marked, word):
    check_mistake(weir("check", "good.yaml", "--set", setting), place, setting if marked else None, marked, word)


def test_secrets_stay_secret(weir, folder):
    for text in ("rats: 1, password: hunter2", "password: hunter2", "pasword: hunter2", "api_token: hunter2, rats: 1"):
        (folder / "bad.yaml").write_text("sources: {in: {type: generate, %s}}\nsinks: {out: {type: null}}\n" % text)
        outcome = weir("check", "bad.yaml", status=2)
        assert "hunter2" not in outcome.stderr + outcome.stdout, outcome


# ---- check ---------------------------------------------------------------------------------------------------------


def test_check(weir, folder):
    outcome = weir("check", "good.yaml", status=0)
    assert "readings (file) --> filter --> rolling --> out (stdout)" in outcome.stdout
    assert "-> timestamp time (time), value f64, value_mean f64" in outcome.stdout
    assert "256MiB" in outcome.stdout
    assert "good.yaml is right" in outcome.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "good.yaml"]


def test_check_stdin_and_json(weir, folder):
    outcome = weir("check", "-", "--json", "--set", "run.lanes=2", stdin=CONFIG, status=0)
    parts = outcome.json()["parts"]
    assert [part["name"] for part in parts] == ["readings", "filter", "rolling", "out"]
    assert parts[3]["from"] == ["rolling"]
    assert parts[2]["columns"][-1] == {"name": "value_mean", "type": "f64"}
    assert outcome.json()["run"]["lanes"] == 2


def test_check_types_not_known(weir, tmp_path):
    (tmp_path / "a.yaml").write_text("sources: {in: {type: file, path: missing.csv}}\nsinks: {out: {type: null}}\n")
    outcome = weir("check", "a.yaml", status=0)
    assert "types not known yet" in outcome.stdout
    assert "in: there is no file missing.csv here yet" in outcome.stderr


def test_check_forks(weir, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "sources: {a: {type: generate}, b: {type: generate}}\n"
        "stages:\n  - filter: {name: one, when: value > 1}\n  - filter: {name: two, when: value > 2}\n"
        "sinks: {x: {type: null, from: one}, y: {type: null}}\n")
    drawing = weir("check", "a.yaml", status=0).stdout
    assert drawing.startswith("    a (generate) --> one (filter) -+-> two (filter) --> y (null)\n"
                              "                                   +-> x (null)\n"
                              "    b (generate) --> one ...\n"), drawing


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.yaml")))
def test_examples_are_right(weir, name):
    outcome = weir("check", ROOT / "examples" / name, cwd=ROOT)
    assert outcome.status == 0, outcome


# ---- init ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["machine_temperature", "ambient_temperature"])
def test_journey(weir, data, tmp_path, name):
    shutil.copy(data / f"{name}.csv", tmp_path)
    records = len((data / f"{name}.csv").read_text().splitlines()) - 1
    outcome = weir("init", f"{name}.csv", status=0)
    (tmp_path / "mine.yaml").write_text(outcome.stdout)
    assert f"{records} records" in outcome.stdout
    assert "sqlite" in weir("check", "mine.yaml", status=0).stdout
    for _ in range(2):  # it can be run again
        report = weir("run", "mine.yaml", "--json", "--quiet", status=0).json()
        assert report["records_in"] == report["records_out"] == records
    with sqlite3.connect(tmp_path / f"{name}.db") as database:
        counts = database.execute("SELECT count(*), count(z), count(value_mean) FROM readings").fetchone()
    assert counts == (records,) * 3


def test_init_ndjson(weir, tmp_path):
    lines = [json.dumps({"ts": f"2024-01-01T00:00:{i % 60:02d}Z", "sensor": f"s{i % 7}", "odd name": i * 0.5,
                         "ok": True, "#x": 'a"b'}) for i in range(500)]
    (tmp_path / "odd data.ndjson").write_text("\n".join(lines) + "\n")
    outcome = weir("init", "odd data.ndjson", status=0)
    assert "key: sensor" in outcome.stdout and "time: ts" in outcome.stdout
    (tmp_path / "mine.yaml").write_text(outcome.stdout)
    weir("check", "mine.yaml", status=0)
    report = weir("run", "mine.yaml", "--json", "--quiet", status=0).json()
    assert report["records_out"] == 500
    with sqlite3.connect(tmp_path / "odd_data.db") as database:
        row = database.execute('SELECT count(DISTINCT sensor), max("odd name_max") FROM readings').fetchone()
    assert row == (7, 249.5)


def test_init_semicolons(weir, tmp_path):
    (tmp_path / "a.csv").write_text("time;x\n" + "".join(f"2024-01-01 00:00:{i:02d};{i}\n" for i in range(20)))
    outcome = weir("init", "a.csv", status=0)
    assert 'delimiter: ";"' in outcome.stdout
    (tmp_path / "mine.yaml").write_text(outcome.stdout)
    assert weir("run", "mine.yaml", "--json", "--quiet", status=0).json()["records_out"] == 20


def test_init_influx(weir, tmp_path):
    (tmp_path / "a.lp").write_text("".join(f"weather,sensor=s{n % 3} value={n}.5 {1700000000 + n}000000000\n"
                                           for n in range(30)))
    outcome = weir("init", "a.lp", status=0)
    assert "format: influx" in outcome.stdout and "InfluxDB lines" in outcome.stdout
    (tmp_path / "a.yaml").write_text(outcome.stdout)
    weir("check", "a.yaml", status=0)
    weir("run", "a.yaml", "--to", "null", "--quiet", status=0)


def test_init_mistakes(weir, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    assert "empty" in weir("init", "empty.csv", status=2).stderr
    assert "cannot open" in weir("init", "nowhere.csv", status=2).stderr
    assert "folder" in weir("init", ".", status=2).stderr
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    assert "binary.csv is no text" in weir("init", "binary.csv", status=2).stderr
    (tmp_path / "mine.yaml").write_text(CONFIG)
    assert "weir run mine.yaml" in weir("init", "mine.yaml", status=2).stderr


def test_init_stdin(weir, tmp_path):
    first = weir("init", "-", stdin=ROWS, status=0)
    assert "10 records" in first.stderr
    (tmp_path / "mine.yaml").write_text(first.stdout)
    weir("check", "mine.yaml", status=0)
    assert weir("run", "mine.yaml", "--json", "--quiet", stdin=ROWS, status=0).json()["records_in"] == 10


def test_stdout_only_has_data(weir, folder):
    outcome = weir("run", "good.yaml", status=0)
    records = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert len(records) == 8 and records[0]["value"] == 2


def test_demo(tmp_path):
    """What `make demo` runs, for a shorter time: a live fleet, and its readings in a database."""
    copy = tmp_path / "weir"
    (copy / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools/demo.sh", copy / "tools")
    shutil.copytree(ROOT / "examples", copy / "examples")
    outcome = subprocess.run([copy / "tools/demo.sh", BINARY, "2"], capture_output=True, text=True, timeout=60,
                             stdin=subprocess.DEVNULL, env=environment())
    assert outcome.returncode == 0, outcome.stderr
    assert "sensors 100, wanted 4 Hz" in outcome.stderr
    found = re.search(r"(\d+) of (\d+) readings are alarms", outcome.stdout)
    assert found and 0 <= int(found[1]) < int(found[2])
    assert int(found[2]) > 50
