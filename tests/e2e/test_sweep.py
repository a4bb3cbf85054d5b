# SPDX-License-Identifier: MIT
"""weir sweep: load on real sockets, on simulated servers and on one of ours that misbehaves."""
import csv
import http.server
import json
import signal
import socket
import subprocess
import threading
import time
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


def sweep(url, *args, status=0):
    return run(["sweep", url, "--warmup", "10ms", "-d", "120ms", "--repeats", "1", *args], status=status)


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
    url = server("--workers", "4", "--service", "20ms", "--timeout", "200ms")
    outcome = sweep(url, "-c", "1,4,16,200", "--csv", "levels.csv", "--svg", "plot.svg")
    assert "◄ use this" in outcome.stdout and "concurrency  throughput  goodput  success" in outcome.stdout
    assert "\nUse a concurrency of " in outcome.stdout and "\n    concurrency: " in outcome.stdout
    assert "More does not help: at " in outcome.stdout
    assert "Raw throughput peaks at 200 with " in outcome.stdout and " answered 503" in outcome.stdout


def test_fields_of_json(server, tmp_path):
    url = server("--workers", "4", "--service", "10ms", "--timeout", "150ms")
    outcome = run(["sweep", url, "-c", "8,1,200,4,4", "-d", "200ms", "--warmup", "20ms", "--repeats", "2", "--json",
                   "--csv", "levels.csv", "--svg", "plot.svg"], cwd=tmp_path, status=0)
    report = outcome.json()
    assert [level["concurrency"] for level in report["levels"]] == [1, 4, 8, 200]
    for level in report["levels"]:
        assert LEVEL_FIELDS <= level.keys() and level["repeats"] == 2
        times = level["response_seconds"]
        assert set(times) == {"mean", "p50", "p90", "p99", "max"}
        assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["max"] and times["p50"] >= 0.009
        assert 0 <= level["success_ratio"] <= 1
        assert level["goodput_per_second"] <= level["throughput_per_second"] * 1.000001
        # A user has a request under way at nearly any time; what weir itself needs is not much of it.
        assert 0.5 * level["concurrency"] < level["in_flight_mean"] <= level["concurrency"] * 1.01
    full = report["levels"][-1]
    assert full["success_ratio"] < 0.99 and full["errors"]["status"] == sum(full["statuses"].values()) > 0
    assert report["sweet_spot"]["concurrency"] in (4, 8)
    assert report["throughput_peak"]["concurrency"] == 200
    assert report["verdict"].startswith("Use a concurrency of ")
    rows = list(csv.DictReader(open(tmp_path / "levels.csv", encoding="utf-8")))
    assert [row["concurrency"] for row in rows] == ["1", "4", "8", "200"]
    assert float(rows[1]["goodput_per_second"]) == pytest.approx(report["levels"][1]["goodput_per_second"])
    assert xml.etree.ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")
