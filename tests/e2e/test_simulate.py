# SPDX-License-Identifier: MIT
"""weir simulate: peers over real sockets, asked with a client that is not ours."""
import concurrent.futures
import http.client
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import BINARY, SLOWNESS


class Peer:
    """A simulated peer that runs until the test is over."""

    def __init__(self, folder, *args):
        self.process = subprocess.Popen([BINARY, "simulate", *args, "--for", "60s"], cwd=folder,
                                        stderr=subprocess.PIPE, text=True)
        first = self.process.stderr.readline()
        # What it says first is where it listens.
        found = re.search(r"(?:127\.\d+\.\d+\.\d+|0\.0\.0\.0):(\d+)", first)
        assert found, first
        self.port = int(found.group(1))

    def get(self, path, data=None, host="127.0.0.1"):
        with urllib.request.urlopen(f"http://{host}:{self.port}{path}", data=data, timeout=20 * SLOWNESS) as reply:
            return reply.read().decode()

    def end(self, *signals):
        for number in signals or [signal.SIGINT]:
            self.process.send_signal(number)
            time.sleep(0.001)
        words = self.process.communicate(timeout=20 * SLOWNESS)[1]
        return self.process.returncode, words


@pytest.fixture
def peer(tmp_path):
    peers = []

    def start(*args):
        peers.append(Peer(tmp_path, *args))
        return peers[-1]

    yield start
    for one in peers:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def test_fleet_formats(peer):
    fleet = peer("fleet", "--sensors", "20", "--latency", "5ms", "--listen", "127.0.0.1:0")
    record = json.loads(fleet.get("/sensor/17"))
    assert sorted(record) == ["sensor", "seq", "ts", "value"] and record["sensor"] == "s17" and record["seq"] == 0
    assert json.loads(fleet.get("/sensor/17"))["seq"] == 1
    header, row = fleet.get("/sensor/3.csv").splitlines()
    assert header == "ts,sensor,value,seq" and row.split(",")[1] == "s3"
    assert -100 < float(fleet.get("/sensor/3.txt")) < 100
    assert re.search(r'^sensor_value\{sensor="s3"\} \S+ \d+$', fleet.get("/sensor/3.prom"), re.M)
    with pytest.raises(urllib.error.HTTPError) as missing:
        fleet.get("/sensor/20")
    assert missing.value.code == 404
    assert json.loads(fleet.get("/stats"))["answered"] == 5
    status, words = fleet.end()
    assert status == 0 and "answered 5 requests" in words


def test_the_signal_of_a_supervisor_ends_it_with_its_words(peer):
    """timeout(1) sends it to the process and to its group."""
    status, words = peer("fleet", "--latency", "0ms").end(*[signal.SIGTERM] * 3)
    assert status == 0 and words, words


def test_fleet_answers_together(peer):
    fleet = peer("fleet", "--sensors", "50", "--latency", "200ms", "--listen", "127.0.0.1:0")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        records = list(pool.map(lambda i: json.loads(fleet.get(f"/sensor/{i}")), range(50)))
    assert [record["sensor"] for record in records] == [f"s{i}" for i in range(50)]
    assert json.loads(fleet.get("/stats"))["in_flight_most"] > 1


def test_fleet_misbehaves(peer, tmp_path):
    (tmp_path / "script").write_text("# from the start\n0s sensor=0 mode=garbage sensor=1..2 mode=reset\n")
    fleet = peer("fleet", "--sensors", "5", "--latency", "1ms", "--listen", "127.0.0.1:0", "--script", "script",
                 "--set", "sensor=3", "--set", "mode=error")
    with pytest.raises(http.client.BadStatusLine):
        fleet.get("/sensor/0")
    for sensor in (1, 2):
        with pytest.raises((ConnectionResetError, urllib.error.URLError, http.client.RemoteDisconnected)):
            fleet.get(f"/sensor/{sensor}")
    with pytest.raises(urllib.error.HTTPError) as failed:
        fleet.get("/sensor/3")
    assert failed.value.code == 500
    fleet.get("/control?sensor=0&mode=ok", data=b"")
    assert json.loads(fleet.get("/sensor/0"))["sensor"] == "s0"
    with pytest.raises(urllib.error.HTTPError) as wrong:
        fleet.get("/control?mode=sleepy", data=b"")
    assert wrong.value.code == 400 and "hang" in wrong.value.read().decode()


def test_fleet_addresses(peer):
    fleet = peer("fleet", "--sensors", "300", "--latency", "1ms", "--addresses", "--listen", "127.0.0.1:0")
    assert json.loads(fleet.get("/sensor", host="127.1.1.5"))["sensor"] == "s261"


def test_server_capacity(peer):
    server = peer("server", "--workers", "2", "--service", "50ms", "--timeout", "300ms", "--queue", "4",
                  "--listen", "127.0.0.1:0")

    def ask(_):
        try:
            server.get("/")
            return 200
        except urllib.error.HTTPError as error:
            return error.code

    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(ask, range(30)))
    assert set(answers) == {200, 503}
    stats = json.loads(server.get("/stats"))
    assert stats["good"] == answers.count(200) and stats["good"] + stats["timed_out"] + stats["overflown"] == 30
    assert stats["queued_most"] <= 4
    server.get("/control?workers=7", data=b"")
    assert json.loads(server.get("/stats"))["workers"] == 7


def test_server_embeds(peer):
    server = peer("server", "--service", "1ms", "--dimensions", "3", "--listen", "127.0.0.1:0")
    vectors = json.loads(server.get("/embed", data=b'["one", {"a": [1, "]"]}, "one"]'))
    assert len(vectors) == 3 and all(len(vector) == 3 for vector in vectors)
    assert vectors[0] == vectors[2] != vectors[1]
    assert abs(sum(x * x for x in vectors[0]) - 1) < 1e-4
    assert len(json.loads(server.get("/embed", data=b'"one"'))) == 3
    with pytest.raises(urllib.error.HTTPError) as wrong:
        server.get("/embed", data=b'["one"')
    assert wrong.value.code == 400


def test_proxy(peer):
    fleet = peer("fleet", "--sensors", "5", "--latency", "1ms", "--listen", "127.0.0.1:0")
    good = peer("proxy", "--to", f"127.0.0.1:{fleet.port}", "--delay", "5ms", "--listen", "127.0.0.1:0")
    assert json.loads(good.get("/sensor/4"))["sensor"] == "s4"
    bad = peer("proxy", "--to", f"127.0.0.1:{fleet.port}", "--reset", "1", "--listen", "127.0.0.1:0")
    with pytest.raises((ConnectionResetError, urllib.error.URLError)):
        bad.get("/sensor/4")


def test_words(weir):
    assert "did you mean \"simulate fleet\"" in weir("simulate", "flet").stderr
    outcome = weir("simulate", "fleet", "--latency", "soon")
    assert outcome.status == 2 and "--latency" in outcome.stderr and "100ms" in outcome.stderr
    outcome = weir("simulate", "proxy")
    assert outcome.status == 2 and "--to" in outcome.stderr
    outcome = weir("simulate", "fleet", "--script", "missing", status=2)
    assert outcome.status != 0 and "missing" in outcome.stderr


@pytest.mark.parametrize("kind, line, words", [
    ("fleet", "1h latency=100ms speed=3", 'script:2:1: there is no setting "speed"'),
    ("server", "1h workers=none", "script:2:1: workers=none"),
    ("proxy", "1h cut=7", "script:2:1: cut=7 is not a ratio"),
])
def test_mistakes_of_a_script_are_found_before_it_runs(weir, tmp_path, kind, line, words):
    (tmp_path / "script").write_text("0s jitter=1ms\n" + line + "\n")
    to = ["--to", "127.0.0.1:9"] if kind == "proxy" else []
    outcome = weir("simulate", kind, "--listen", "127.0.0.1:0", *to, "--script", "script", status=2)
    assert words in outcome.stderr and "listen" not in outcome.stderr, outcome.stderr


def test_port_in_use(peer, weir):
    fleet = peer("fleet", "--listen", "127.0.0.1:0")
    outcome = weir("simulate", "fleet", "--listen", f"127.0.0.1:{fleet.port}")
    assert outcome.status == 1 and "--listen" in outcome.stderr


@pytest.mark.parametrize("options, words", [
    (["--for", "0s"], "--for 0s would be over before it begins"),
    (["--latency-distribution", "fixed", "--jitter", "5ms"], "distribution=fixed has no jitter"),
    (["--latency-distribution", "exponential", "--jitter", "5ms"], "distribution=exponential has no jitter"),
    (["--set", "distribution=exponential", "--set", "jitter=5ms"], "an exponential distribution has none"),
])
def test_what_would_do_nothing_is_a_mistake(weir, options, words):
    assert words in weir("simulate", "fleet", "--listen", "127.0.0.1:0", *options, status=2).stderr
