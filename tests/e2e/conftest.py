# SPDX-License-Identifier: MIT
"""What every end-to-end test uses: the weir program, run in an empty folder, with a deadline and no terminal.

    def test_counts(pipeline, tmp_path):
        report = pipeline('''
            sources: {in: {type: file, path: "%s"}}
            sinks: {out: {type: "null"}}
        ''' % DATA)
        assert report["records_in"] == 22695

    def test_help(weir):
        assert "usage" in weir("--help").stdout
"""
import functools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import textwrap
import zlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data"
BINARY = pathlib.Path(os.environ.get("WEIR_BINARY", ROOT / "build" / "weir")).resolve()
# Sanitizers make everything slower: deadlines are multiplied by this.
SLOWNESS = {"asan": 5, "tsan": 15}.get(os.environ.get("WEIR_LABEL", ""), 1)

SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


class Outcome:
    """What a run left: exit status, output as text, and the folder it ran in."""

    def __init__(self, args, completed, folder):
        self.args = args
        self.status = completed.returncode
        self.stdout_bytes = completed.stdout
        self.stdout = completed.stdout.decode("utf-8", "replace")
        self.stderr = completed.stderr.decode("utf-8", "replace")
        self.folder = folder

    def __repr__(self):
        return (f"<weir {' '.join(self.args)}: status {self.status}\n--- stdout\n{self.stdout[-4000:]}\n"
                f"--- stderr\n{self.stderr[-8000:]}>")

    def json(self):
        """The object of --json: all of stdout, or, where a sink writes there too, the last line."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            lines = [line for line in self.stdout.splitlines() if line.strip()]
            assert lines, self
            return json.loads(lines[-1])


def environment(extra=None):
    """The caller's, without what would change how weir behaves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    kept.update({"LC_ALL": "C.UTF-8", "TZ": "UTC", "NO_COLOR": "1"})
    kept.update(extra or {})
    return kept


def run(args, stdin=b"", timeout=60, cwd=None, env=None, status=None):
    """Runs weir; stdin is bytes or text. With `status` given, the exit status must be that."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    args = [str(arg) for arg in args]
    completed = subprocess.run([str(BINARY), *args], input=stdin, capture_output=True, cwd=cwd, env=environment(env),
                               timeout=timeout * SLOWNESS, check=False)
    outcome = Outcome(args, completed, pathlib.Path(cwd) if cwd else pathlib.Path.cwd())
    assert not any(word in outcome.stderr for word in SANITIZER_WORDS), outcome
    assert outcome.status >= 0, f"killed by signal {-outcome.status}: {outcome}"
    if status is not None:
        assert outcome.status == status, outcome
    return outcome


def check_account(report):
    """Each record that was read ended exactly once."""
    ends = ("records_stored", "records_filtered", "records_refused", "records_dropped")
    account = {name: report[name] for name in ("records_in", *ends)}
    assert report["records_in"] == sum(report[end] for end in ends), account


def run_pipeline(yaml_text, cwd, args=(), stdin=b"", timeout=60, env=None, status=0, name="pipeline.yaml"):
    """Writes the configuration to cwd/name, runs it there and returns the object of --json; every record must be
    accounted for. What else came out is in the object's "outcome"."""
    path = pathlib.Path(cwd) / name
    path.write_text(textwrap.dedent(yaml_text), encoding="utf-8")
    outcome = run(["run", name, "--json", "--quiet", *args], stdin=stdin, timeout=timeout, cwd=cwd, env=env,
                  status=status)
    report = outcome.json()
    check_account(report)
    report["outcome"] = outcome
    return report


# ---- Packed files --------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def has_packing(packing):
    """Was weir built with gzip, zstd?"""
    text = ("sources: {one: {type: generate, rate: unlimited, count: 1}}\n"
            f"sinks: {{out: {{type: file, path: /dev/null, compress: {packing}}}}}\n")
    done = subprocess.run([str(BINARY), "run", "-", "--quiet"], input=text.encode(), capture_output=True, check=False,
                          env=environment(), timeout=60 * SLOWNESS)
    return b"left out of this build" not in done.stderr


def needs_packing(packing):
    program = packing == "gzip" or shutil.which("zstd")
    return pytest.mark.skipif(not program or not has_packing(packing),
                              reason=f"needs a weir with {packing}, and a program for it")


def unpack(path, torn=False):
    """The bytes of a file, unpacked if its first bytes say that it is packed. `torn`: as far as it goes."""
    data = pathlib.Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        text = b""
        while data:
            member = zlib.decompressobj(wbits=31)
            text += member.decompress(data)
            assert member.eof or torn, f"{path} ends in the middle"
            data = member.unused_data
        return text
    if data[:4] == b"\x28\xb5\x2f\xfd":
        done = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=not torn)
        return done.stdout
    return data


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MiB, or skip."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture
def as_nobody():
    """A folder where everybody may write, and how to run weir in it as a user who has no rights: the program of the
    build may lie in a folder that only its owner may enter."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    shutil.copy(BINARY, folder / "weir")
    (folder / "weir").chmod(0o755)

    def run(config, cwd=folder):
        return subprocess.run([folder / "weir", "run", "-", "--quiet"], input=config, cwd=cwd, env=environment(),
                              user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
                              timeout=60 * SLOWNESS, check=False)
    yield folder, run
    shutil.rmtree(folder)


def pytest_addoption(parser):
    parser.addoption("--part", default="1/1", help="1/2: only every second test, 2/2: the others")


def pytest_collection_modifyitems(config, items):
    part, parts = map(int, config.getoption("--part").split("/"))
    config.hook.pytest_deselected(items=[item for i, item in enumerate(items) if i % parts != part - 1])
    items[:] = items[part - 1::parts]


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not BINARY.exists():
        pytest.exit(f"there is no {BINARY}: run `make` first, or set WEIR_BINARY", returncode=1)
    return BINARY


@pytest.fixture
def data():
    """The folder tests/data."""
    return DATA


@pytest.fixture
def weir(tmp_path):
    """weir("check", "a.yaml", stdin=…): runs in tmp_path and returns an Outcome."""

    def call(*args, **options):
        options.setdefault("cwd", tmp_path)
        return run(args, **options)

    return call


@pytest.fixture
def pipeline(tmp_path):
    """pipeline(yaml_text, …): run_pipeline in tmp_path."""

    def call(yaml_text, **options):
        options.setdefault("cwd", tmp_path)
        return run_pipeline(yaml_text, **options)

    return call
