# SPDX-License-Identifier: MIT
"""weir sweep: load on real sockets, on simulated servers and on one of ours that misbehaves."""
import csv
import http.server
import json
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
import xml.etree.ElementTree

import pytest

from conftest import BINARY, SLOWNESS, environment, run
from test_simulate import Peer

LEVEL_FIELDS = {"concurrency", "throughput_per_second", "goodput_per_second", "success_ratio", "response_seconds",
                "in_flight_mean", "littles_law_gap"}


@pytest.fixture
def server(tmp_path):
    peers = []

    def start(*args):
        peers.append(Peer(tmp_path, "server", "--listen", "127.0.0.1:0", *args))
        return f"http://127.0.0.1:{peers[-1].port}/"

    yield start
    for peer in peers:
        peer.process.kill()
        peer.process.communicate()


def sweep(url, *args, status=None, **more):
    """Status 3 says that no level will do, which is right on a machine that is busy enough."""
    outcome = run(["sweep", url, "--warmup", "10ms", "-d", "120ms", "--repeats", "1", *args], status=status, **more)
    assert outcome.status in (0, 1, 3), outcome
    return outcome


def wait_for_requests(url, count):
    """Until the server has seen so many."""
    deadline = time.monotonic() + 20 * SLOWNESS
    while json.load(urllib.request.urlopen(url + "stats", timeout=20 * SLOWNESS))["arrived"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def busy(outcome):
    """Leaves out what cannot be said on a machine that is too busy to measure, which weir then says itself."""
    words = outcome.json()["verdict"] if outcome.stdout.startswith("{") else outcome.stdout
    if outcome.status == 3 or "No verdict: " in words:
        pytest.skip("the machine is too busy to measure")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, self.headers.get("X-Try"), body))
        status = next(self.server.statuses)
        self.send_response(status)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    do_GET = do_PUT = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture
def web():
    """A server of Python's; statuses: what it answers."""
    def forever():
        while True:
            yield 200

    peer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    peer.seen, peer.statuses, peer.daemon_threads = [], forever(), True
    threading.Thread(target=peer.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    peer.url = f"http://127.0.0.1:{peer.server_port}/"
    yield peer
    peer.shutdown()
    peer.server_close()


def test_names_the_level_and_says_why(server):
    """The smallest thing first: a table, and one sentence with the concurrency to use."""
    url = server("--workers", "4", "--service", "20ms", "--timeout", "300ms")
    outcome = sweep(url, "-c", "1,4,16,200")
    assert "concurrency  throughput  goodput  success" in outcome.stdout
    busy(outcome)
    assert "◄ use this" in outcome.stdout
    assert "\nUse a concurrency of " in outcome.stdout and "\n    concurrency: " in outcome.stdout
    assert "More does not help: at " in outcome.stdout or "More may do: at " in outcome.stdout
    doubted = "the measurement is broken" in outcome.stdout or "weir itself was the limit" in outcome.stdout
    assert re.search("(Raw throughput peaks|Throughput and goodput peak) at 200 with ", outcome.stdout) or doubted
    assert " answered 503" in outcome.stdout


def test_fields_of_json(server, tmp_path):
    url = server("--workers", "4", "--service", "10ms", "--timeout", "250ms")
    outcome = sweep(url, "-c", "8,1,200,4,4", "-d", "200ms", "--repeats", "2", "--json", "--keep-going", "--csv",
                    "levels.csv", "--svg", "plot.svg", cwd=tmp_path)
    report = outcome.json()
    assert [level["concurrency"] for level in report["levels"]] == [1, 4, 8, 200]
    for level in report["levels"]:
        assert LEVEL_FIELDS <= level.keys() and level["repeats"] == 2
        times = level["response_seconds"]
        assert set(times) == {"mean", "p50", "p90", "p99", "max"}
        assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["max"] and times["p50"] >= 0.009
        assert 0 <= level["success_ratio"] <= 1
        assert level["goodput_per_second"] <= level["throughput_per_second"] * 1.000001
        # A user has a request under way at nearly any time.
        assert 0 < level["in_flight_mean"] <= level["concurrency"] * 1.01
    full = report["levels"][-1]
    assert full["success_ratio"] < 0.99 and full["errors"]["status"] == sum(full["statuses"].values()) > 0
    rows = list(csv.DictReader(open(tmp_path / "levels.csv", encoding="utf-8")))
    assert [row["concurrency"] for row in rows] == ["1", "4", "8", "200"]
    assert float(rows[1]["goodput_per_second"]) == pytest.approx(report["levels"][1]["goodput_per_second"])
    assert xml.etree.ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")
    busy(outcome)
    assert report["sweet_spot"]["concurrency"] in (1, 4, 8)
    assert report["verdict"].startswith("Use a concurrency of ")


def test_burst(server):
    """--once: each level one burst. 40 requests on 4 workers of 10 ms, of which those past 60 ms come too late."""
    url = server("--workers", "4", "--service", "10ms", "--timeout", "60ms", "--queue", "1000")
    report = run(["sweep", url, "--once", "-c", "4,100", "--repeats", "1", "--keep-going", "--json"]).json()
    small, large = report["levels"]
    assert report["load"] == "once" and small["attempts"] == 4 and large["attempts"] == 100
    assert large["success_ratio"] < 0.5 and large["errors"]["status"] > 50
    assert large["littles_law_gap"] < 0.05
    if small["success_ratio"] == 1 and not small["client_bound"]:
        assert report["sweet_spot"]["concurrency"] == 4


def test_rates(server):
    url = server("--workers", "4", "--service", "5ms")
    for arrivals in ("poisson", "constant"):
        report = sweep(url, "--rate", "100,200/s", "--arrivals", arrivals, "--json").json()
        assert report["load"] == "open" and report["arrivals"] == arrivals
        assert [level["rate_per_second"] for level in report["levels"]] == [100, 200]
        assert [level["concurrency"] for level in report["levels"]] == [None, None]
        assert all(level["offered_per_second"] > 0 for level in report["levels"])
    outcome = sweep(url, "--rate", "150", "--arrivals", "constant", "--success", "0")
    busy(outcome)
    assert "\n    rate: 150/s\n" in outcome.stdout


def test_finds_the_levels(server):
    url = server("--workers", "3", "--service", "10ms")
    args = ["sweep", url, "--auto", "-d", "60ms", "--warmup", "10ms", "--most", "30", "--json"]
    outcome = run(args)
    busy(outcome)
    report = outcome.json()
    levels = [level["concurrency"] for level in report["levels"]]
    assert levels == sorted(levels) and 1 in levels and max(levels) <= 30
    assert report["sweet_spot"]["concurrency"] in levels


def test_request_and_what_is_expected(web, tmp_path):
    (tmp_path / "body").write_bytes(b"some\x01bytes")
    options = ["-c", "1", "-d", "20ms", "--warmup", "0ms", "--repeats", "1", "--json"]

    def errors(*more, status=0):
        report = run(["sweep", web.url + "a?b=c", *options, *more], cwd=tmp_path, status=status).json()
        return report["levels"][0]["errors"]

    assert errors("-H", "X-Try: 17", "--body", "@body", "--method", "PUT") == {}
    assert web.seen[-1] == ("PUT", "/a?b=c", "17", b"some\x01bytes")
    assert errors("--body", "text", "--expect-body", "hell", "--expect-status", "2xx,404") == {}
    assert web.seen[-1] == ("POST", "/a?b=c", None, b"text")
    assert list(errors("--expect-body", "heaven", status=3)) == ["body"]
    assert list(errors("--expect-status", "201", status=3)) == ["status"]


def test_stops_where_success_collapses(server):
    url = server("--workers", "2", "--service", "10ms", "--timeout", "50ms", "--queue", "0")
    report = sweep(url, "-c", "2,40,41,42", "--json").json()
    assert report["ended"] == "collapsed" and [level["concurrency"] for level in report["levels"]] == [2, 40]
    report = sweep(url, "-c", "2,40,41", "--json", "--keep-going").json()
    assert report["ended"] == "complete" and len(report["levels"]) == 3
    outcome = sweep(url, "-c", "2,40,41")
    assert "Ended at 40, where less than 50.0 % of the answers are good; --keep-going" in outcome.stdout


def test_no_level_will_do(server):
    url = server("--workers", "2", "--service", "20ms")
    outcome = sweep(url, "-c", "1,2", "--p99", "1ms", status=3)
    assert "No concurrency will do" in outcome.stdout and "the p99 was over 1.00 ms" in outcome.stdout
    report = sweep(url, "-c", "1,2", "--p99", "1ms", "--json", status=3).json()
    assert report["sweet_spot"] is None and report["sweet_spot_reason"] == "too_slow"


def test_nobody_listens(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        outcome = sweep(url, "-c", "1,2", status=1)
        assert outcome.stdout == "" and "nothing to measure" in outcome.stderr and "refused" in outcome.stderr
        report = sweep(url, "--json", status=1).json()
        assert report["levels"] == [] and report["ended"] == "refused" and report["sweet_spot"] is None


def test_target_dies_in_the_middle(tmp_path):
    peer = Peer(tmp_path, "server", "--listen", "127.0.0.1:0", "--workers", "4", "--service", "5ms")
    url = f"http://127.0.0.1:{peer.port}/"
    args = [BINARY, "sweep", url, "-c", "1,2,3,4,5,6,7,8", "-d", "200ms", "--warmup", "10ms", "--repeats", "1",
            "--json"]
    with subprocess.Popen([str(arg) for arg in args], stdout=subprocess.PIPE, env=environment()) as process:
        wait_for_requests(url, 60)
        peer.process.kill()
        peer.process.communicate()
        report = json.loads(process.communicate(timeout=30 * SLOWNESS)[0])
    assert process.returncode == 1 and report["ended"] in ("died", "refused")
    assert len(report["levels"]) < 8
    # What was measured before stands; it may have died at the very end of a level, as the next one then found.
    for level in report["levels"][:-2]:
        assert level["success_ratio"] == 1 and not level["died"]


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM] * 3])  # timeout(1) sends it to the group too
def test_ctrl_c_keeps_what_was_measured(server, signals):
    url = server("--workers", "4", "--service", "5ms")
    args = [str(BINARY), "sweep", url, "-c", "1,2,4", "-d", "600s", "--warmup", "10ms", "--repeats", "1", "--json"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        wait_for_requests(url, 40)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.001)
        report = json.loads(process.communicate(timeout=30 * SLOWNESS)[0])
    assert process.returncode == 0 and report["ended"] == "interrupted"
    assert [level["concurrency"] for level in report["levels"]] == [1] and report["levels"][0]["attempts"] > 0
    assert report["levels"][0]["interrupted"]


def test_hanging_target(tmp_path):
    """It takes connections and never answers: timeouts, and no level to use."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        report = sweep(url, "-c", "2", "--timeout", "50ms", "--json", status=3).json()
    level = report["levels"][0]
    assert level["success_ratio"] == 0 and level["timeouts"] > 0 and level["errors"] == {"timeout": level["timeouts"]}
    assert report["verdict"].startswith("No concurrency will do")


def test_as_wrk_has_it(server):
    url = server("--workers", "4", "--service", "2ms")
    args = ["sweep", "-c8", "-t", "2", "-d", "0.2s", "--warmup", "20ms", "-H", "A: b", "--json", url]
    report = run(args).json()
    assert report["threads"] == 2 and len(report["levels"]) == 1 and report["levels"][0]["concurrency"] == 8
    assert 0.15 < report["levels"][0]["seconds"] < 3 * SLOWNESS


@pytest.mark.parametrize("args, words", [
    (["http://192.0.2.1/"], "--remote"),
    (["http://127.0.0.1.example.com/"], "--remote"),
    (["ftp://127.0.0.1/"], "not a URL to measure"),
    (["http://127.0.0.1/", "-c", "0"], "not a list of levels"),
    (["http://127.0.0.1/", "-c", "1,x"], "not a list of levels"),
    (["http://127.0.0.1/", "-c", "1.5"], "not a list of levels"),
    (["http://127.0.0.1/", "--rate", "10", "-c", "1"], "levels are given twice"),
    (["http://127.0.0.1/", "--rate", "10", "--once"], "different ways"),
    (["http://127.0.0.1/", "--success", "101%"], "success"),
    (["http://127.0.0.1/", "-H", "nonsense"], "Name: value"),
    (["http://127.0.0.1/", "--expect-status", "2x"], "list of statuses"),
    (["http://127.0.0.1/", "-c", "5..1"], "5..1 is not a list of levels"),
    (["http://127.0.0.1/", "--rate", "5", "--arrivals", "bursty"], "poisson and constant"),
    (["http://127.0.0.1/", "--arrivals", "poisson"], "--arrivals goes with --rate only"),
    (["http://127.0.0.1/", "--once", "--in-flight", "9"], "--in-flight goes with --rate only"),
    (["http://127.0.0.1/", "--most", "9"], "--most goes with --auto only"),
    (["http://127.0.0.1/", "--csv", "-", "--svg", "-"], "--csv is on stdout already"),
    (["http://127.0.0.1/", "--timeout", "soon"], "not a duration"),
    (["http://127.0.0.1/", "--csv", "no/such/x"], "--csv no/such/x cannot be written: there is no folder no/such"),
    (["http://127.0.0.1/", "--svg", "/"], "--svg / cannot be written: Is a directory; name another file"),
    ([], "URL is missing"),
])
def test_mistakes(args, words):
    outcome = run(["sweep", *args], status=2)
    assert words in outcome.stderr and outcome.stdout == ""


def test_help():
    text = run(["sweep", "--help"], status=0).stdout
    for word in ("--concurrency LIST", "--success RATIO", "--auto", "--once", "--rate LIST", "--svg FILE",
                 "Little's law"):
        assert word in text
