# SPDX-License-Identifier: MIT
"""The sources file and generate, with what real files contain."""
import collections
import gzip
import json
import math
import os
import pathlib
import random
import signal
import statistics
import subprocess
import time

import pytest

from conftest import BINARY, SLOWNESS, environment, needs_packing
from layouts import counted


FIELDS = "fields: {ts: time, sensor: symbol, value: f64, seq: i64}"


def line(number, **more):
    """One reading as text."""
    return json.dumps({"ts": 1732147200 + number, "sensor": f"s{number % 7}", "value": number / 4, "seq": number,
                       **more})


def lines(count, first=0):
    return "".join(line(first + i) + "\n" for i in range(count))


def records(path):
    return [json.loads(text) for text in pathlib.Path(path).read_text(encoding="utf-8").splitlines()]


def sequences(path):
    return [record["seq"] for record in records(path)]


def copy_of(options, run=""):
    """A pipeline that copies what the source gives into out.ndjson."""
    return f"sources: {{in: {{type: file, {options}}}}}\nsinks: {{out: {{type: file, path: out.ndjson}}}}\n{run}\n"


@pytest.fixture
def copy(pipeline, tmp_path):
    """copy(content, options…): runs in.ndjson (or `name`) through to out.ndjson; the report."""

    def call(content, options="", name="in.ndjson", run="", **more):
        if isinstance(content, str):
            content = content.encode()
        (tmp_path / name).write_bytes(content)
        return pipeline(copy_of(f"path: {name}{', ' + options if options else ''}", run), **more)

    return call


def fails(weir, tmp_path, text, *words):
    """The run must end with an error that contains all the words."""
    (tmp_path / "pipeline.yaml").write_text(text, encoding="utf-8")
    outcome = weir("run", "pipeline.yaml", "--quiet")
    assert outcome.status in (1, 2), outcome
    for word in words:
        assert word in outcome.stderr, (word, outcome)
    return outcome


# ---- Which files ---------------------------------------------------------------------------------------------------


def test_one_file(copy, tmp_path):
    report = copy(lines(1000))
    assert report["records_in"] == report["records_stored"] == 1000
    assert sequences(tmp_path / "out.ndjson") == list(range(1000))


def test_a_pattern_is_sorted_by_name(pipeline, tmp_path):
    for i in (2, 0, 1):
        (tmp_path / f"part-{i}.ndjson").write_text(lines(10, first=10 * i))
    assert pipeline(copy_of('path: "part-*.ndjson"'))["records_stored"] == 30
    assert sequences(tmp_path / "out.ndjson") == list(range(30))


def test_a_list_keeps_its_order(pipeline, tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.ndjson").write_text(lines(10, first=10 * i))
    pipeline(copy_of("path: [1.ndjson, 0.ndjson, 2.ndjson]"))
    assert sequences(tmp_path / "out.ndjson") == [*range(10, 20), *range(10), *range(20, 30)]


def test_a_name_with_brackets_is_a_name(pipeline, tmp_path):
    (tmp_path / "a[1].ndjson").write_text(lines(5))
    assert pipeline(copy_of('path: "a[1].ndjson"'))["records_stored"] == 5


def test_stdin(pipeline, tmp_path):
    assert pipeline(copy_of('path: "-"'), stdin=lines(5000))["records_stored"] == 5000
    assert sequences(tmp_path / "out.ndjson") == list(range(5000))


def test_stdin_from_a_file(tmp_path, weir):
    (tmp_path / "in.ndjson").write_text(lines(500))
    (tmp_path / "pipeline.yaml").write_text(copy_of('path: "-"'))
    with open(tmp_path / "in.ndjson", "rb") as stdin:
        subprocess.run([BINARY, "run", "pipeline.yaml", "--quiet"], stdin=stdin, cwd=tmp_path, check=True,
                       env=environment(), timeout=60 * SLOWNESS)
    assert sequences(tmp_path / "out.ndjson") == list(range(500))


def test_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipeline.yaml").write_text(copy_of("path: pipe"))
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet"], cwd=tmp_path, env=environment())
    with open(tmp_path / "pipe", "w", encoding="utf-8") as pipe:
        pipe.write(lines(3000))
    assert weir.wait(timeout=60 * SLOWNESS) == 0
    assert sequences(tmp_path / "out.ndjson") == list(range(3000))


def test_csv_files_each_with_a_header(pipeline, tmp_path):
    for i in range(3):
        rows = "".join(f"{1732147200 + n},s{n},{n / 2},{n}\n" for n in range(10 * i, 10 * i + 10))
        (tmp_path / f"{i}.csv").write_text("ts,sensor,value,seq\n" + rows)
    assert pipeline(copy_of('path: "?.csv"'))["records_stored"] == 30
    assert sequences(tmp_path / "out.ndjson") == list(range(30))


def test_missing_file(weir, tmp_path):
    fails(weir, tmp_path, copy_of("path: nowhere.ndjson"), "nowhere.ndjson", "no such file", "`path`")


def test_a_pattern_without_a_match(weir, tmp_path):
    fails(weir, tmp_path, copy_of('path: "data/*.csv"'), "no file matches data/*.csv")


def test_a_directory(weir, tmp_path):
    (tmp_path / "data").mkdir()
    fails(weir, tmp_path, copy_of("path: data"), "data", "directory", "/*.csv")


def test_one_bad_file_of_several(pipeline, tmp_path):
    (tmp_path / "a.ndjson").write_text(lines(10))
    (tmp_path / "b.ndjson").mkdir()
    (tmp_path / "c.ndjson").write_text(lines(10, first=10))
    report = pipeline(copy_of("path: [a.ndjson, b.ndjson, missing.ndjson, c.ndjson]"))
    assert report["records_stored"] == 20
    assert counted(report, "file skipped") == 2
    assert "b.ndjson" in report["outcome"].stderr and "directory" in report["outcome"].stderr
    assert "missing.ndjson" in report["outcome"].stderr


def test_no_permission(as_nobody):
    folder, run = as_nobody
    (folder / "in.ndjson").write_text(lines(3))
    (folder / "in.ndjson").chmod(0o600)
    done = run(copy_of("path: in.ndjson"))
    assert done.returncode in (1, 2), done
    assert "in.ndjson" in done.stderr and "permission" in done.stderr and "ls -l" in done.stderr


def test_its_own_output_as_input(weir, tmp_path):
    """The sink would empty what the source is to read."""
    (tmp_path / "same.ndjson").write_text(lines(10))
    fails(weir, tmp_path, "sources: {in: {type: file, path: same.ndjson}}\n"
                          "sinks: {out: {type: file, path: same.ndjson}}\n", "same.ndjson", "another `path`")
    assert len(records(tmp_path / "same.ndjson")) == 10


def test_repeat(copy, tmp_path):
    assert copy(lines(10), "repeat: 3")["records_stored"] == 30
    assert sequences(tmp_path / "out.ndjson") == list(range(10)) * 3


def test_repeat_for_ever_ends_at_the_limit(copy):
    assert copy(lines(10), "repeat: 0", args=["--limit", "1234"])["records_in"] == 1234


def test_repeat_for_ever_of_nothing_ends(copy):
    assert copy("", "repeat: 0")["records_in"] == 0


def test_stdin_cannot_be_repeated(weir, tmp_path):
    fails(weir, tmp_path, copy_of('path: "-", repeat: 2'), "repeat", "stdin")


# ---- How it is cut -------------------------------------------------------------------------------------------------


@pytest.mark.threads
def test_large_file_keeps_order(copy, tmp_path):
    count = 200000
    assert copy(lines(count))["records_stored"] == count
    assert sequences(tmp_path / "out.ndjson") == list(range(count))


@pytest.mark.parametrize("batch", [1, 2, 7, 300, 5000])
def test_results_do_not_depend_on_batches(copy, tmp_path, batch):
    assert copy(lines(3000), run=f"run: {{batch: {batch}}}")["records_stored"] == 3000
    assert sequences(tmp_path / "out.ndjson") == list(range(3000))


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_csv_records_of_several_lines(copy, tmp_path, batch):
    text = "ts,note,seq\n" + "".join(f'{1732147200 + i},"first\nsecond, ""quoted""\n{i}",{i}\n' for i in range(500))
    assert copy(text, name="in.csv", run=f"run: {{batch: {batch}}}")["records_stored"] == 500
    found = records(tmp_path / "out.ndjson")
    assert [record["seq"] for record in found] == list(range(500))
    assert found[17]["note"] == 'first\nsecond, "quoted"\n17'


def test_lines_of_many_lengths(copy, tmp_path):
    chance = random.Random(20241121)
    text = "".join(line(i, note="x" * int(10 ** chance.uniform(0, 5.5))) + "\n" for i in range(300))
    assert copy(text)["records_stored"] == 300
    assert sequences(tmp_path / "out.ndjson") == list(range(300))


def test_a_stream_is_handed_on_while_it_comes(tmp_path):
    """A record is stored although the stream goes on; Ctrl-C drains and ends well."""
    (tmp_path / "pipeline.yaml").write_text(copy_of(f'path: "-", {FIELDS}'))
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet"], stdin=subprocess.PIPE, cwd=tmp_path,
                            env=environment())
    out = tmp_path / "out.ndjson"
    for i in range(5):
        weir.stdin.write((line(i) + "\n").encode())
        if i == 4:
            weir.stdin.write(b'{"ts": 17321')  # begun, and never ended
        weir.stdin.flush()
        until = time.monotonic() + 10 * SLOWNESS
        while (not out.exists() or len(out.read_text().splitlines()) < i + 1) and time.monotonic() < until:
            time.sleep(0.002)
        assert sequences(out) == list(range(i + 1))
    weir.send_signal(signal.SIGINT)
    assert weir.wait(timeout=20 * SLOWNESS) == 0
    weir.stdin.close()
    assert sequences(out) == list(range(5))


def test_types_of_a_stream_come_from_more_than_its_first_line(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(copy_of('path: "-", header: true'))
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet"], stdin=subprocess.PIPE, cwd=tmp_path,
                            env=environment())
    for text in ("ts,value\n", "1732147200,1\n", "1732147201,2.5\n"):
        weir.stdin.write(text.encode())
        weir.stdin.flush()
        time.sleep(0.05)
    weir.stdin.close()
    assert weir.wait(timeout=20 * SLOWNESS) == 0
    assert [record["value"] for record in records(tmp_path / "out.ndjson")] == [1, 2.5]


def test_a_trickle_does_not_hold_memory(tmp_path):
    """Thousands of small blocks wait behind a slow stage: they must not each keep a large one from being used again."""
    (tmp_path / "pipeline.yaml").write_text(copy_of(f'path: "-", {FIELDS}', run="stages: [{burn: 200us}]\n"
                                                    "run: {memory: 32MiB, lanes: 1, linger: 0s}"))
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, cwd=tmp_path, env=environment())
    for i in range(3000):
        weir.stdin.write((line(i) + "\n").encode())
        weir.stdin.flush()
    stdout, _ = weir.communicate(timeout=60 * SLOWNESS)
    report = json.loads(stdout)
    assert weir.returncode == 0 and report["records_stored"] == 3000
    assert report["memory_budget"]["peak"] < 24 << 20


def test_many_small_files(pipeline, tmp_path):
    for i in range(1000):
        (tmp_path / f"{i:04}.ndjson").write_text(lines(3, first=3 * i))
    report = pipeline(copy_of('path: "[0-9]*.ndjson"', run="run: {memory: 32MiB}"))
    assert report["records_stored"] == 3000
    assert sequences(tmp_path / "out.ndjson") == list(range(3000))


def test_replay_at_a_rate(copy, tmp_path):
    report = copy(lines(500), "rate: 1000/s")
    assert report["records_stored"] == 500
    assert 0.45 < report["seconds"] < 3 * SLOWNESS
    assert report["sources"][0]["offered_per_second"] == 1000
    assert sequences(tmp_path / "out.ndjson") == list(range(500))


@pytest.mark.speed
def test_replay_is_prompt(copy):
    assert copy(lines(2000), "rate: 2000/s")["latency_seconds"]["p50"] < 0.02


# ---- What is in them -----------------------------------------------------------------------------------------------


def test_empty_file(copy):
    report = copy("")
    assert report["records_in"] == 0
    assert "in.ndjson is empty" in report["outcome"].stderr


def test_an_empty_file_among_others(pipeline, tmp_path):
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("ts,seq\n1732147200,5\n")
    assert pipeline(copy_of("path: [a.csv, b.csv]"))["records_stored"] == 1
    assert sequences(tmp_path / "out.ndjson") == [5]


def test_only_a_header(copy):
    assert copy("ts,sensor,value\n", name="in.csv")["records_in"] == 0


def test_last_line_without_its_end(copy, tmp_path):
    assert copy(lines(10).rstrip("\n"))["records_stored"] == 10


def test_truncated_last_line(copy, tmp_path):
    report = copy(lines(10)[:-12])
    assert (report["records_stored"], report["records_refused"]) == (9, 1)
    assert "in.ndjson:10" in report["outcome"].stderr


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["in.ndjson", "in.csv"])
def test_line_ends_and_byte_order_marks(copy, tmp_path, name, mark, ending):
    text = lines(20)
    if name == "in.csv":
        text = "ts,sensor,value,seq\n" + "".join(f"{1732147200 + i},s{i % 7},{i / 4},{i}\n" for i in range(20))
    report = copy(mark + text.replace("\n", ending).encode(), name=name)
    assert (report["records_stored"], report["records_refused"]) == (20, 0)
    assert [(r["sensor"], r["value"], r["seq"]) for r in records(tmp_path / "out.ndjson")] == [
        (f"s{i % 7}", i / 4, i) for i in range(20)]


@pytest.mark.parametrize("length", [101, 5000, 300000, 3000000])
def test_a_line_over_the_limit(copy, tmp_path, length):
    long = line(1, note="x" * length)
    report = copy(f"{line(0)}\n{long}\n{line(2)}\nbad\n{line(3)}\n", "line_max: 100")
    assert (report["records_stored"], report["records_refused"]) == (3, 2)
    assert sequences(tmp_path / "out.ndjson") == [0, 2, 3]
    stderr = report["outcome"].stderr
    assert "in.ndjson:2" in stderr and "line_max" in stderr
    assert "in.ndjson:4" in stderr, "lines are counted on behind the long one"


def test_a_line_at_the_limit(copy):
    text = line(1)
    limit = len(text) + 60
    exact = line(1, note="x" * (limit - len(line(1, note=""))))
    assert len(exact) == limit
    report = copy(f"{exact}\n{line(2)}\n{exact[:-2]}x\"}}\n", f"line_max: {limit}B")
    assert (report["records_stored"], report["records_refused"]) == (2, 1)


def test_over_long_lines_at_both_ends(copy, tmp_path):
    long = line(9, note="x" * 2000000)
    report = copy(f"{line(0)}\n" + f"{long}\n{line(1)}\n{long}\n{long}", "line_max: 64KiB")
    assert (report["records_stored"], report["records_refused"]) == (2, 3)


@pytest.mark.parametrize("length", [2000, 250000, 262000, 3000000])
def test_an_over_long_line_first(copy, tmp_path, length):
    report = copy(f"{line(0, note='x' * length)}\n{lines(3, first=1)}", "line_max: 1KiB")
    assert (report["records_stored"], report["records_refused"]) == (3, 1)
    assert sequences(tmp_path / "out.ndjson") == [1, 2, 3]


def test_an_over_long_line_alone(copy):
    report = copy("x" * 3000000, "line_max: 1KiB, fields: {ts: time, seq: i64}", status=1)
    assert (report["records_stored"], report["records_refused"]) == (0, 1)


def test_nothing_to_tell_columns_from(weir, tmp_path):
    (tmp_path / "in.ndjson").write_text("x" * 3000000)
    fails(weir, tmp_path, copy_of("path: in.ndjson, line_max: 1KiB"), "fields")


def test_an_over_long_line_through_a_pipe(pipeline, tmp_path):
    text = f"{line(0)}\n{line(1, note='x' * 3000000)}\n{line(2)}\n"
    report = pipeline(copy_of('path: "-", line_max: 1KiB'), stdin=text)
    assert (report["records_stored"], report["records_refused"]) == (2, 1)
    assert sequences(tmp_path / "out.ndjson") == [0, 2]


def test_binary(copy, tmp_path):
    noise = random.Random(1).randbytes(100000).replace(b"\n", b" ")
    report = copy(lines(10).encode() + noise + b"\n" + lines(10, first=10).encode())
    assert report["records_stored"] == 20 and report["records_refused"] == 1
    assert sequences(tmp_path / "out.ndjson") == list(range(20))


def test_nothing_but_binary(copy):
    report = copy(random.Random(2).randbytes(1000000), status=None)
    assert report["records_in"] == report["records_refused"] + report["records_stored"]


def test_invalid_utf8(copy, tmp_path):
    bad = line(1, note="#").encode().replace(b"#", b"\xff\xfe")
    report = copy(line(0).encode() + b"\n" + bad + b"\n" + line(2).encode() + b"\n")
    assert {0, 2} <= set(sequences(tmp_path / "out.ndjson"))
    assert report["records_in"] == 3


def test_unclosed_string(copy, tmp_path):
    report = copy(f'{lines(5)}{{"ts": 1732147205, "sensor": "s1, "value": 3, "seq": 5}}\n'
                  f'{{"ts": 1732147206, "sensor": "open\n{lines(5, first=7)}')
    assert (report["records_stored"], report["records_refused"]) == (10, 2)
    assert sequences(tmp_path / "out.ndjson") == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("after", [20, 60000])
def test_unclosed_quotation_mark_in_csv(copy, tmp_path, after):
    """Its neighbours survive, also when there is more behind it than a record may be long."""
    rows = [f"{1732147200 + i},s{i % 7},{i}\n" for i in range(after + 10)]
    text = "ts,sensor,seq\n" + "".join(rows[:10]) + '1732147200,"open,5\n' + "".join(rows[10:])
    report = copy(text, "line_max: 64KiB, fields: {ts: time, sensor: symbol, seq: i64}", name="in.csv")
    assert report["records_stored"] >= after + 9 and report["records_refused"] >= 1
    assert set(range(10)) <= set(sequences(tmp_path / "out.ndjson"))
    assert "in.csv:12" in report["outcome"].stderr


def test_deep_nesting(copy, tmp_path):
    deep = line(1)[:-1] + ', "deep": ' + "[" * 5000 + "]" * 5000 + "}"
    report = copy(f"{line(0)}\n{deep}\n{line(2)}\n")
    assert report["records_in"] == 3
    assert {0, 2} <= set(sequences(tmp_path / "out.ndjson"))


def test_duplicate_fields(copy, tmp_path):
    report = copy(f'{line(0)}\n{{"ts": 1732147201, "seq": 1, "seq": 2, "value": 1, "sensor": "a"}}\n{line(3)}\n')
    assert report["records_in"] == 3
    assert {0, 3} <= set(sequences(tmp_path / "out.ndjson"))


def test_numbers_beyond_range(copy, tmp_path):
    beyond = '{"ts": 1732147201, "sensor": "a", "value": 1e999, "seq": 99999999999999999999}'
    report = copy(f"{line(0)}\n{beyond}\n{line(2)}\n", FIELDS)
    assert report["records_in"] == 3
    found = records(tmp_path / "out.ndjson")
    assert {0, 2} <= {record["seq"] for record in found}
    assert report["records_refused"] > 0 or any(counter["field"] == "seq" for counter in report["counters"])


def test_fields_that_come_and_go(copy, tmp_path):
    text = lines(5) + '{"ts": 1732147205, "seq": 5}\n' + line(6, more=1) + "\n" + line(7, value="text") + "\n"
    report = copy(text, FIELDS)
    assert report["records_stored"] == 8
    found = records(tmp_path / "out.ndjson")
    assert found[5]["value"] is None and found[7]["value"] is None and found[6]["value"] == 1.5


def test_an_unknown_time_column(weir, tmp_path):
    (tmp_path / "in.csv").write_text("ts,value\n1732147200,1\n")
    fails(weir, tmp_path, copy_of("path: in.csv, time: tim"), "tim")


# ---- A simulated fleet ---------------------------------------------------------------------------------------------

START = 'start: "2024-11-21T00:00:00Z"'


@pytest.fixture
def fleet(pipeline, tmp_path):
    """fleet(options, …): the report of a run into out.ndjson."""

    def call(options, run="", **more):
        return pipeline(f"sources: {{fleet: {{type: generate, {options}}}}}\n"
                        f"sinks: {{out: {{type: file, path: out.ndjson}}}}\n{run}\n", **more)

    return call


def values(tmp_path, sensor=None):
    return [record["value"] for record in records(tmp_path / "out.ndjson") if sensor in (None, record["sensor"])]


def test_generate_counts(fleet, tmp_path):
    report = fleet("keys: 7, count: 1000, rate: unlimited")
    assert report["records_in"] == report["records_stored"] == 1000
    found = records(tmp_path / "out.ndjson")
    assert [record["seq"] for record in found] == list(range(1000))
    assert [record["sensor"] for record in found] == [f"s{i % 7}" for i in range(1000)]


def test_generate_names(fleet, tmp_path):
    fleet('keys: 3, key_format: "pump {}/in", count: 3, rate: unlimited')
    assert [record["sensor"] for record in records(tmp_path / "out.ndjson")] == [f"pump {i}/in" for i in range(3)]


@pytest.mark.threads
def test_generate_is_reproducible(fleet, tmp_path):
    """Bit for bit, however it is cut into batches and on however many lanes."""
    kinds = collections.defaultdict(set)
    for waveform in ("sine", "random walk"):
        for batch, lanes in ((1, 1), (7, 2), (1000, 4), (0, 2)):
            run = f"run: {{lanes: {lanes}{f', batch: {batch}' if batch else ''}}}"
            fleet(f"keys: 3, count: 2000, rate: unlimited, seed: 5, fault: stuck, fault_rate: 0.1, "
                  f"waveform: {waveform}, {START}", run=run)
            kinds[waveform].add((tmp_path / "out.ndjson").read_bytes())
    assert all(len(outputs) == 1 for outputs in kinds.values())


def test_seeds_differ(fleet, tmp_path):
    outputs = set()
    for seed in (1, 2):
        fleet(f"count: 100, rate: unlimited, seed: {seed}, {START}")
        outputs.add((tmp_path / "out.ndjson").read_bytes())
    assert len(outputs) == 2


def test_event_time_follows_the_rate(fleet, tmp_path):
    fleet(f"count: 100, rate: 1000/s, {START}")
    found = records(tmp_path / "out.ndjson")
    assert found[0]["ts"] == "2024-11-21T00:00:00Z" and found[99]["ts"] == "2024-11-21T00:00:00.099Z"


@pytest.mark.threads
def test_generate_at_a_rate(fleet):
    report = fleet("rate: 2000/s, count: 1000")
    assert report["records_stored"] == 1000
    assert 0.45 < report["seconds"] < 5 * SLOWNESS
    assert report["sources"][0]["offered_per_second"] == 2000
    assert report["late_by_seconds"]["count"] == 1000


def test_generate_bursts(fleet, tmp_path):
    report = fleet(f"burst: 100, every: 200ms, count: 300, {START}")
    assert report["records_stored"] == 300
    assert 0.39 < report["seconds"] < 5 * SLOWNESS
    assert report["sources"][0]["offered_per_second"] == 500
    assert records(tmp_path / "out.ndjson")[299]["ts"] == "2024-11-21T00:00:00.598Z"


def test_bursts_on_the_simulated_clock(fleet):
    report = fleet("burst: 50000, every: 10s, count: 150000", args=["--simulated"])
    assert report["records_stored"] == 150000
    assert report["seconds"] == pytest.approx(20, abs=0.5)


@pytest.mark.speed
def test_generate_is_prompt(pipeline):
    report = pipeline("sources: {fleet: {type: generate, rate: 10000/s, count: 20000}}\n"
                      "sinks: {out: {type: \"null\"}}\n")
    assert report["latency_seconds"]["p50"] < 0.001


def test_noise_is_gaussian(fleet, tmp_path):
    fleet("keys: 1, count: 200000, rate: unlimited, waveform: constant, mean: 100, noise: 2")
    z = [(value - 100) / 2 for value in values(tmp_path)]
    assert abs(statistics.fmean(z)) < 5 / math.sqrt(200000)
    assert statistics.pstdev(z) == pytest.approx(1, rel=0.01)
    for limit, share in ((1, 0.317311), (2, 0.0455), (3, 0.0027), (3.5, 0.000465)):
        found = sum(abs(x) > limit for x in z)
        assert abs(found - share * len(z)) < 5 * math.sqrt(share * len(z)), limit


def test_waveforms(fleet, tmp_path):
    for waveform, expected in (("sine", lambda t: 20 + 5 * math.sin(2 * math.pi * t)),
                               ("sawtooth", lambda t: 15 + 10 * (t % 1)),
                               ("square", lambda t: 25 if t % 1 < 0.5 else 15),
                               ("constant", lambda t: 20)):
        fleet(f"keys: 1, count: 1000, rate: unlimited, noise: 0, period: 64s, waveform: {waveform}")
        for i, value in enumerate(values(tmp_path)):
            assert value == pytest.approx(expected(i / 64), abs=1e-8), (waveform, i)


def test_random_walk(fleet, tmp_path):
    fleet("keys: 2, count: 40000, rate: unlimited, waveform: random walk, noise: 3")
    walk = values(tmp_path, "s1")
    steps = [b - a for a, b in zip(walk, walk[1:])]
    assert statistics.pstdev(steps) == pytest.approx(3, rel=0.05)


def test_drift(fleet, tmp_path):
    fleet("keys: 1, count: 101, rate: unlimited, waveform: constant, noise: 0, drift: 0.5")
    assert values(tmp_path)[100] == pytest.approx(20 + 50)


def test_faults(fleet, tmp_path):
    base = "keys: 4, count: 20000, rate: unlimited, waveform: constant, noise: 0.1, fault_rate: 0.05"
    fleet(f"{base}, fault: \"null\"")
    assert values(tmp_path).count(None) == pytest.approx(1000, abs=170)
    fleet(f"{base}, fault: spike")
    assert sum(abs(value - 20) > 10 for value in values(tmp_path)) == pytest.approx(1000, abs=170)
    fleet(f"{base}, fault: stuck")
    one = values(tmp_path, "s2")
    repeated = sum(a == b for a, b in zip(one, one[1:]))
    assert repeated == pytest.approx(0.05 * len(one) * 19 / 20, rel=0.8)


def test_generate_refuses_nonsense(weir, tmp_path):
    sink = "sinks: {out: {type: \"null\"}}\n"
    for options, word in (("key_format: same", "key_format"), ("burst: 5", "every"), ("start: yesterday", "start"),
                          ("keys: 0", "keys"), ("fault_rate: 2", "fault_rate")):
        fails(weir, tmp_path, f"sources: {{fleet: {{type: generate, {options}}}}}\n{sink}", word)


# ---- Compressed files ----------------------------------------------------------------------------------------------


def packed(kind, text):
    if kind == "gzip":
        return gzip.compress(text.encode(), mtime=0)
    return subprocess.run(["zstd", "-q", "-c"], input=text.encode(), capture_output=True, check=True).stdout


KINDS = [pytest.param("gzip", marks=needs_packing("gzip")),
         pytest.param("zstd", marks=needs_packing("zstd"))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 30000])
def test_compressed(copy, tmp_path, kind, count):
    """Known by its first bytes, whatever its name; text of several members in a row is one text."""
    content = packed(kind, lines(count)[:-5]) + packed(kind, "") + packed(kind, lines(count)[-5:])
    assert copy(content, FIELDS)["records_stored"] == count
    if count:
        assert sequences(tmp_path / "out.ndjson") == list(range(count))


@pytest.mark.parametrize("kind", KINDS)
def test_compressed_stdin(pipeline, tmp_path, kind):
    assert pipeline(copy_of('path: "-"'), stdin=packed(kind, lines(50000)))["records_stored"] == 50000
    assert sequences(tmp_path / "out.ndjson") == list(range(50000))


@needs_packing("gzip")
def test_padding_behind_gzip(copy):
    assert copy(packed("gzip", lines(10)) + b"\0" * 100000)["records_stored"] == 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", ["cut", "flipped", "garbage behind"])
def test_damaged(pipeline, tmp_path, kind, harm):
    """What came before the damage is kept, as whole records; the next file is read."""
    content = bytearray(packed(kind, lines(60000)))
    where = len(content) * 2 // 3
    if harm == "cut":
        content = content[:where]
    elif harm == "flipped":
        content[where] ^= 0x55
    else:
        where = len(content)
        content += b"\xffgarbage"
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_text(lines(10, first=1000000))
    report = pipeline(copy_of(f"path: [a, b], {FIELDS}"))
    found = sequences(tmp_path / "out.ndjson")
    assert found[-10:] == list(range(1000000, 1000010))
    kept = found[:-10]
    # What is damaged may be noticed late: gzip says at its end only that some of it was wrong.
    good = next((i for i, seq in enumerate(kept) if seq != i), len(kept))
    assert good > 30000 and (harm == "flipped" or len(kept) == good)
    assert harm != "garbage behind" or len(kept) == 60000
    assert counted(report, "corrupted file") == 1
    told = report["outcome"].stderr
    offset = int(told.split("damaged at byte ")[1].split(":")[0])
    assert told.startswith("weir: ") or "a: damaged" in told
    assert where - 200000 <= offset <= len(content) and (harm == "flipped" or offset == where)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_read_on_behind_damage(pipeline, tmp_path, kind, way):
    """Pieces in a row, some of them damaged anywhere: every record of the others is read, once."""
    seed = 11
    source = random.Random(seed)
    for _ in range(6):
        pieces, bad, content = 20, source.sample(range(1, 20), 3), b""
        for n in range(pieces):
            piece = bytearray(packed(kind, lines(200, first=200 * n)))
            if n in bad:
                at = source.choice([0, 4, len(piece) - 1, source.randrange(len(piece))])
                piece[at:at + source.choice([0, 1, 300])] = source.randbytes(source.choice([1, 5, 50]))
            content += piece
        config = copy_of(f"path: {'a' if way == 'file' else '-'}, {FIELDS}".replace("path: -", 'path: "-"'))
        (tmp_path / "a").write_bytes(content)
        report = pipeline(config, stdin=content if way == "stdin" else None)
        # Others are rubbish of damaged pieces.
        found = collections.Counter(record["seq"] for record in records(tmp_path / "out.ndjson")
                                    if None not in record.values() and record["value"] == record["seq"] / 4)
        good = [seq for seq in range(200 * pieces) if seq // 200 not in bad]
        lost = [seq for seq in good if found[seq] != 1]
        # A stream cannot be read again: what a damaged piece swallowed of those behind it is lost.
        assert len(lost) <= (0 if way == "file" else len(good) // 2), (seed, bad, lost, report["outcome"].stderr)
        assert max(found[seq] for seq in good) == 1
        assert counted(report, "corrupted file") >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_read_on_inside_a_record(copy, tmp_path, kind):
    """Pieces that are cut anywhere, as bgzip does: behind damage the rest of a record is no record."""
    text = "ts,sensor,value,seq\n" + "".join(f"{1732147200 + n},s1,{n}.5,{n}\n" for n in range(20000))
    pieces = [packed(kind, text[at:at + 30001]) for at in range(0, len(text), 30001)]
    pieces[3] = pieces[3][:len(pieces[3]) // 2]
    report = copy(b"".join(pieces), f"format: csv, {FIELDS}")
    found = records(tmp_path / "out.ndjson")
    assert 15000 < len(found) < 20000
    # gzip unpacks the header that comes too early to something; zstd has lengths.
    wrong = sum(None in record.values() or record["value"] != record["seq"] + 0.5 for record in found)
    assert wrong + report["records_refused"] <= (100 if kind == "gzip" else 0)
    assert max(collections.Counter(record["seq"] for record in found).values()) <= 1 + wrong
    assert counted(report, "corrupted file") == counted(report, "read on behind damage") == 1
    assert "reading goes on at byte %d" % sum(map(len, pieces[:4])) in report["outcome"].stderr


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_alone(copy, kind):
    report = copy(packed(kind, lines(100000))[:50000], FIELDS)
    assert report["records_refused"] == 0 and counted(report, "corrupted file") == 1


# ---- Rejects -------------------------------------------------------------------------------------------------------


def test_rejects(copy, tmp_path):
    (tmp_path / "bad.ndjson").write_text("of the run before\n")
    text = f'{line(0)}\nnot json\n{line(1)}\n[1]\n{line(2, note="x" * 2000)}\n{line(3)}\n{{"a": "\\"ä'
    report = copy(text, f"line_max: 1KiB, {FIELDS}, rejects: bad.ndjson")
    assert (report["records_stored"], report["records_refused"]) == (3, 4)
    found = sorted(records(tmp_path / "bad.ndjson"), key=lambda record: record["line"])
    assert [(r["file"], r["line"]) for r in found] == [("in.ndjson", 2), ("in.ndjson", 4), ("in.ndjson", 5),
                                                       ("in.ndjson", 7)]
    assert found[0]["text"] == "not json" and found[1]["text"] == "[1]" and found[3]["text"] == '{"a": "\\"ä'
    assert found[2]["reason"] == "line too long" and "line_max" in found[2]["detail"]
    assert list(found[0]) == ["file", "line", "reason", "detail", "text"]


@pytest.mark.threads
def test_rejects_are_bounded(copy, tmp_path):
    report = copy("bad\n" * 20000 + line(1) + "\n", f"{FIELDS}, rejects: bad.ndjson, rejects_max: 10KiB",
                  run="run: {lanes: 3}")
    kept = records(tmp_path / "bad.ndjson")
    assert (tmp_path / "bad.ndjson").stat().st_size <= 10240 and len(kept) > 30
    assert counted(report, "rejects not kept") == 20000 - len(kept)
    assert (report["records_stored"], report["records_refused"]) == (1, 20000)


def test_rejects_on_a_full_disk(copy):
    report = copy("bad\n" * 10 + line(1) + "\n", f"{FIELDS}, rejects: /dev/full")
    assert report["records_stored"] == 1 and counted(report, "rejects not kept") == 10


def test_rejects_over_the_input(weir, tmp_path):
    (tmp_path / "in.ndjson").write_text(lines(3))
    fails(weir, tmp_path, copy_of("path: in.ndjson, rejects: in.ndjson"), "in.ndjson", "is writing it")
    assert len(records(tmp_path / "in.ndjson")) == 3


def test_begin_is_for_files_that_are_followed(weir, tmp_path):
    (tmp_path / "a.csv").write_text("value\n1\n")
    (tmp_path / "a.yaml").write_text("sources: {in: {type: file, path: a.csv, begin: end}}\n"
                                     "sinks: {out: {type: stdout}}\n")
    assert "`follow: true`" in weir("run", "a.yaml", "--quiet", status=2).stderr
