# SPDX-License-Identifier: MIT
"""The file sink beyond one plain file: names that say the format, packed files, rotation, what gets its name when."""
import collections
import gzip
import json
import os
import resource
import signal
import subprocess
import time

import pytest

from conftest import BINARY, SLOWNESS, check_account, environment, needs_packing, unpack

COUNT = 20000
PACKINGS = [pytest.param(None, id="plain"), pytest.param("gz", marks=needs_packing("gzip")),
            pytest.param("zst", marks=needs_packing("zstd"))]


def generate(count, *sinks, more=""):
    sinks = "".join(f"  sink{i}: {{type: file, {sink}}}\n" for i, sink in enumerate(sinks))
    return (f"sources: {{fleet: {{type: generate, rate: unlimited, count: {count}, start: 2024-11-21T00:00:00Z}}}}\n"
            f"sinks:\n{sinks}{more}")


def numbers(data):
    """The seq of each record of NDJSON text."""
    return [json.loads(line)["seq"] for line in data.decode().splitlines()]


def row(folder, stem="out"):
    """The files of a row of rotated ones, in the order in which they were written."""
    return sorted(folder.glob(f"{stem}.*"))


def in_a_row(folder, stem="out"):
    return numbers(b"".join(unpack(path) for path in row(folder, stem)))


# ---- Names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, begins", [
    ("out.ndjson", b'{"'), ("out.csv", b"ts,sensor,"), ("out.lp", b"weir,sensor="), ("out.influx", b"weir,sensor="),
    ("out.frame", b"\x89WEIR"), ("out", b'{"'), ("out.CSV", b"ts,sensor,"),
    pytest.param("out.csv.gz", b"ts,sensor,", marks=needs_packing("gzip")),
    pytest.param("out.frame.zst", b"\x89WEIR", marks=needs_packing("zstd")),
    pytest.param("out.lp.zstd", b"weir,sensor=", marks=needs_packing("zstd"))])
def test_the_name_says_the_format(pipeline, tmp_path, name, begins):
    assert pipeline(generate(100, f"path: {name}"))["records_stored"] == 100
    assert unpack(tmp_path / name).startswith(begins)
    back = pipeline(f"sources: {{in: {{type: file, path: {name}}}}}\nsinks: {{out: {{type: 'null'}}}}\n")
    assert back["records_stored"] == 100


def test_measurement(pipeline, tmp_path):
    pipeline(generate(10, "path: out.lp, measurement: hall 3"))
    assert all(line.startswith("hall\\ 3,sensor=") for line in (tmp_path / "out.lp").read_text().splitlines())


def test_measurement_of_what_is_no_influx(weir, tmp_path):
    (tmp_path / "a.yaml").write_text(generate(10, "path: out.csv, measurement: hall"))
    assert "measurement" in weir("run", "a.yaml", status=2).stderr


def test_what_influx_cannot_hold_is_counted(pipeline, tmp_path):
    (tmp_path / "in.ndjson").write_text('{"ts": 1, "value": 2.5}\n{"ts": 2, "value": null}\n{"ts": 3, "value": 1}\n')
    report = pipeline("sources: {in: {type: file, path: in.ndjson, fields: {ts: time, value: f64}}}\n"
                      "sinks: {out: {type: file, path: out.lp}}\n")
    assert len((tmp_path / "out.lp").read_text().splitlines()) == 2
    assert {"part": "out", "what": "no field to write", "number": 1}.items() <= \
        next(counter for counter in report["counters"] if counter["part"] == "out").items()


# ---- Packed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing, ending", [
    pytest.param("gzip", ".gz", marks=needs_packing("gzip")),
    pytest.param("zstd", ".zst", marks=needs_packing("zstd"))])
def test_packed(pipeline, tmp_path, packing, ending):
    pipeline(generate(COUNT, "path: plain.ndjson", f"path: out.ndjson{ending}",
                      f"path: other, compress: {packing}, level: 1", f"path: bare.ndjson{ending}, compress: none"))
    plain = (tmp_path / "plain.ndjson").read_bytes()
    assert numbers(plain) == list(range(COUNT))
    for name in (f"out.ndjson{ending}", "other"):
        assert unpack(tmp_path / name) == plain
        assert (tmp_path / name).stat().st_size < len(plain) / 2
    assert (tmp_path / f"bare.ndjson{ending}").read_bytes() == plain


@needs_packing("gzip")
def test_packed_nothing(pipeline, tmp_path):
    (tmp_path / "in.ndjson").write_text("")
    pipeline("sources: {in: {type: file, path: in.ndjson, fields: {a: f64}}}\n"
             "sinks: {out: {type: file, path: out.csv.gz}}\n")
    assert unpack(tmp_path / "out.csv.gz") in (b"a\n", b"")


@pytest.mark.parametrize("ending", PACKINGS[1:])
def test_packed_append(pipeline, weir, tmp_path, ending):
    name = f"out.csv.{ending}"
    for _ in range(2):
        pipeline(generate(1000, f"path: {name}, append: true"))
    lines = unpack(tmp_path / name).decode().splitlines()
    assert len(lines) == 2001 and sum(line.startswith("ts,") for line in lines) == 1
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-20])
    outcome = weir("run", "pipeline.yaml", "--quiet")
    assert outcome.status in (1, 2) and name in outcome.stderr and "at byte" in outcome.stderr, outcome
    assert (tmp_path / name).read_bytes() == whole[:-20]


@pytest.mark.parametrize("ending", PACKINGS[1:])
def test_killed_while_packing(tmp_path, ending):
    """What was written before can be read."""
    (tmp_path / "pipeline.yaml").write_text(
        "sources: {in: {type: file, path: '-', fields: {seq: i64}}}\n"
        f"sinks: {{out: {{type: file, path: out.ndjson.{ending}, fsync: never}}}}\n")
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet"], stdin=subprocess.PIPE, cwd=tmp_path,
                            env=environment())
    out, text, until = tmp_path / f"out.ndjson.{ending}", b"", time.monotonic() + 20 * SLOWNESS
    for i in range(100):
        weir.stdin.write(b'{"seq": %d}\n' % i)
        weir.stdin.flush()
        while time.monotonic() < until and (not out.exists() or text.count(b"\n") <= i):
            text = unpack(out, torn=True) if out.exists() and out.stat().st_size else b""
            time.sleep(0.001)
    weir.send_signal(signal.SIGKILL)
    weir.wait(timeout=20)
    assert numbers(unpack(out, torn=True)) == list(range(100))


def test_what_was_left_out(weir, tmp_path):
    """Either it packs, or it says what is missing."""
    for packing, package in (("gzip", "zlib1g-dev"), ("zstd", "libzstd-dev")):
        (tmp_path / "a.yaml").write_text(generate(10, f"path: out, compress: {packing}"))
        outcome = weir("run", "a.yaml", "--quiet")
        assert outcome.status == 0 or (f"{packing} was left out" in outcome.stderr and package in outcome.stderr)


# ---- Rotation ------------------------------------------------------------------------------------------------------


@pytest.mark.threads
@pytest.mark.parametrize("ending", PACKINGS)
@pytest.mark.parametrize("form", ["ndjson", "csv", "lp", "frame"])
def test_rotation_by_size(pipeline, tmp_path, form, ending):
    name, limit = f"out.{form}" + (f".{ending}" if ending else ""), 64 << 10
    report = pipeline(generate(COUNT, f"path: {name}, rotate_size: {limit}"))
    assert report["records_stored"] == COUNT
    files = row(tmp_path)
    assert files[0].name == name.replace("out.", "out.000001.", 1) and files[-1].name == name and len(files) > 2
    assert [path.name for path in files[:-1]] == [f"out.{i:06}.{name[4:]}" for i in range(1, len(files))]
    if not ending and form != "frame":  # a frame is as large as it is
        assert all(limit * 0.9 < path.stat().st_size <= limit for path in files[:-1])
    if form == "csv":
        assert all(unpack(path).startswith(b"ts,") for path in files)
    rotated = next(counter for counter in report["counters"] if counter["what"] == "files rotated")
    assert rotated["number"] == len(files) - 1
    back = pipeline(f"sources: {{in: {{type: file, path: '{name.replace('out.', 'out.*', 1)}'}}}}\n"
                    "sinks: {back: {type: file, path: back.ndjson}}\n", name="back.yaml")
    assert back["records_stored"] == COUNT
    assert numbers((tmp_path / "back.ndjson").read_bytes()) == list(range(COUNT))


def test_rotation_divides_no_record(pipeline, tmp_path):
    """Line ends inside of quotes, and records that are longer than a file may be."""
    rows = [f'{i},"{"x" * (6000 if i % 10 == 0 else i % 200)}\n{i}"' for i in range(2000)]
    (tmp_path / "in.csv").write_text("seq,note\n" + "\n".join(rows) + "\n")
    report = pipeline("sources: {in: {type: file, path: in.csv, fields: {seq: i64, note: text}}}\n"
                      "sinks: {out: {type: file, path: out.csv, rotate_size: 4KiB}}\n")
    assert report["records_stored"] == 2000
    back = pipeline("sources: {in: {type: file, path: 'out.*csv', fields: {seq: i64, note: text}}}\n"
                    "sinks: {out: {type: file, path: back.csv}}\n", name="back.yaml")
    assert back["records_stored"] == 2000 and not back["counters"]
    assert (tmp_path / "back.csv").read_text() == (tmp_path / "in.csv").read_text()


def test_rotation_keeps_the_newest(pipeline, tmp_path):
    pipeline(generate(COUNT, "path: out.ndjson, rotate_size: 64KiB, keep: 3"))
    files = row(tmp_path)
    assert len(files) == 4
    seen = in_a_row(tmp_path)
    assert seen == list(range(seen[0], COUNT))


@pytest.mark.parametrize("ending", PACKINGS)
def test_rotation_of_several_runs(pipeline, tmp_path, ending):
    """Nothing is overwritten, and the numbers go on; with append the last file is gone on with."""
    name = "out.ndjson" + (f".{ending}" if ending else "")
    for more in ("", "", ", append: true"):
        before = len(row(tmp_path))
        pipeline(generate(1000, f"path: {name}, rotate_size: 1MiB{more}"))
        assert len(row(tmp_path)) == before + (not more)
    assert collections.Counter(in_a_row(tmp_path)) == {i: 3 for i in range(1000)}


def test_rotation_by_time(pipeline, tmp_path):
    """On a simulated clock: a record each second for an hour and a half, a file for each ten minutes of the clock."""
    pipeline("sources: {fleet: {type: generate, rate: 1/s, count: 5400, start: 2024-11-21T00:00:00Z}}\n"
             "sinks: {out: {type: file, path: out.ndjson, rotate_every: 10min}}\n", args=("--simulated",))
    files = row(tmp_path)
    counts = [len(numbers(path.read_bytes())) for path in files]
    assert len(files) in (9, 10) and all(595 <= count <= 605 for count in counts[1:-1]), counts
    assert in_a_row(tmp_path) == list(range(5400))


def test_rotation_does_not_touch_others(pipeline, tmp_path):
    others = ["out.000001.csv", "out.0001.ndjson", "out.000009x.ndjson", "out2.000001.ndjson", "out.x.000001.ndjson"]
    for name in others:
        (tmp_path / name).write_text("other\n")
    pipeline(generate(COUNT, "path: out.ndjson, rotate_size: 256KiB, keep: 1"))
    assert all((tmp_path / name).read_text() == "other\n" for name in others)


@pytest.mark.parametrize("text, word", [
    ("path: out.ndjson, keep: 3", "rotate_size"), ("path: /dev/null, rotate_size: 1MiB", "rotated"),
    ("path: /dev/null, atomic: true", "replaced"), ("path: out.ndjson, level: 3", "compress"),
    ("path: out.ndjson.gz, level: 12", "at most 9"), ("path: out.ndjson, header: false", "csv"),
    ("path: out.ndjson, rotate_size: 10", "rotate_size"), ("path: nowhere/out.ndjson, rotate_size: 1MiB", "folder")])
def test_mistakes(weir, tmp_path, text, word):
    (tmp_path / "a.yaml").write_text(generate(10, text))
    outcome = weir("run", "a.yaml", "--quiet")
    assert outcome.status in (1, 2) and word in outcome.stderr, outcome


@pytest.mark.parametrize("option", ["atomic: true", "rotate_size: 1MiB"])
def test_folder_without_permission(as_nobody, option):
    folder, run = as_nobody[0] / "folder", as_nobody[1]
    folder.mkdir()
    (folder / "out.ndjson").touch()
    (folder / "out.ndjson").chmod(0o666)
    folder.chmod(0o555)
    done = run(generate(10, f"path: out.ndjson, {option}"), cwd=folder)
    assert done.returncode != 0 and "permission" in done.stderr.lower(), done


# ---- Whole, or not there -------------------------------------------------------------------------------------------


def limited():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))


@pytest.mark.parametrize("ending", PACKINGS)
def test_atomic_when_another_part_fails(tmp_path, ending):
    """One sink comes to the limit on the size of files when the other has written much already."""
    name = "good.ndjson" + (f".{ending}" if ending else "")
    (tmp_path / name).write_text("of the run before\n")
    (tmp_path / "pipeline.yaml").write_text(
        "sources: {fleet: {type: generate, rate: unlimited, count: 200000}}\n"
        "stages: [{sample: {name: few, every: 1000}}]\n"
        f"sinks:\n  good: {{type: file, path: {name}, atomic: true, from: few}}\n"
        "  bad: {type: file, path: bad.ndjson, from: fleet}\n")
    done = subprocess.run([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], cwd=tmp_path, env=environment(),
                          preexec_fn=limited, restore_signals=False, capture_output=True, text=True, check=False,
                          timeout=60 * SLOWNESS)
    assert done.returncode == 1 and "bad.ndjson" in done.stderr, done
    check_account(json.loads(done.stdout))
    assert (tmp_path / name).read_text() == "of the run before\n"
    part = tmp_path / f"{name}.part"
    if part.exists() and part.stat().st_size:
        seen = numbers(unpack(part, torn=True))
        assert len(seen) > 0 and seen == sorted(seen) and "did not end well" in done.stderr


@pytest.mark.parametrize("options", ["", ", atomic: true"])
@pytest.mark.parametrize("ending", PACKINGS)
def test_a_signal_in_the_middle(tmp_path, ending, options):
    """It drains: the files are whole, and together they have what was counted as stored."""
    name = "out.ndjson" + (f".{ending}" if ending else "")
    (tmp_path / "pipeline.yaml").write_text(
        "sources: {fleet: {type: generate, rate: 50000/s}}\n"
        f"sinks: {{out: {{type: file, path: {name}, rotate_size: 64KiB{options}}}}}\n")
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, cwd=tmp_path, env=environment())
    until = time.monotonic() + 20 * SLOWNESS
    while len(row(tmp_path)) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    weir.send_signal(signal.SIGINT)
    stdout, stderr = weir.communicate(timeout=30 * SLOWNESS)
    assert weir.returncode == 0, stderr
    report = json.loads(stdout)
    check_account(report)
    assert in_a_row(tmp_path) == list(range(report["records_stored"]))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("ending", PACKINGS)
def test_stopped_at_once(tmp_path, ending):
    """Interrupted twice: nothing gets its name, and what was written has whole records."""
    name = "out.ndjson" + (f".{ending}" if ending else "")
    (tmp_path / "pipeline.yaml").write_text(
        "sources: {fleet: {type: generate, rate: 50000/s}}\nstages: [{burn: 10ms}]\nrun: {batch: 4}\n"
        f"sinks: {{out: {{type: file, path: {name}, atomic: true}}}}\n")
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--quiet", "--json"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, cwd=tmp_path, env=environment())
    part, until = tmp_path / f"{name}.part", time.monotonic() + 20 * SLOWNESS
    while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.01)
    weir.send_signal(signal.SIGINT)
    time.sleep(0.1)
    weir.send_signal(signal.SIGINT)
    stdout, stderr = weir.communicate(timeout=30 * SLOWNESS)
    assert weir.returncode == 130, stderr
    report = json.loads(stdout)
    check_account(report)
    assert not (tmp_path / name).exists()
    assert numbers(unpack(part)) == list(range(report["records_stored"]))


@pytest.mark.parametrize("ending", PACKINGS)
def test_rotation_waits_for_room_on_the_disk(tmp_path, small_disk, ending):
    """The disk is full while files are rotated; then there is room: nothing is lost, nothing comes twice."""
    name = "out.ndjson" + (f".{ending}" if ending else "")
    count = 12000 if not ending else 60000
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1900000)
    (tmp_path / "pipeline.yaml").write_text(
        f"sources: {{fleet: {{type: generate, rate: unlimited, count: {count}}}}}\n"
        f"sinks: {{out: {{type: file, path: disk/{name}, rotate_size: 32KiB}}}}\n")
    weir = subprocess.Popen([BINARY, "run", "pipeline.yaml", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            cwd=tmp_path, env=environment())
    time.sleep(1)
    ballast.unlink()
    stdout, stderr = weir.communicate(timeout=60 * SLOWNESS)
    assert weir.returncode == 0 and b"disk is full" in stderr, stderr
    assert json.loads(stdout)["records_stored"] == count
    assert in_a_row(small_disk) == list(range(count))
    assert len(row(small_disk)) > 3


def test_fsync_and_rotation(pipeline, tmp_path):
    for when in ("never", "close", "commit"):
        pipeline(generate(5000, f"path: {when}.ndjson, rotate_size: 64KiB, fsync: {when}"))
        assert in_a_row(tmp_path, when) == list(range(5000))


@needs_packing("gzip")
def test_gzip_of_a_member_each_file(pipeline, tmp_path):
    """Every rotated file is a whole gzip file of its own, by somebody else's reader."""
    pipeline(generate(COUNT, "path: out.ndjson.gz, rotate_size: 32KiB"))
    parts = [gzip.decompress(path.read_bytes()) for path in row(tmp_path)]
    assert len(parts) > 2 and numbers(b"".join(parts)) == list(range(COUNT))
