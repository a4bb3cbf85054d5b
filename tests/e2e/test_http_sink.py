# SPDX-License-Identifier: MIT
"""The http sink: what a server has accepted is stored, whatever happens on the way, and nothing else is."""
import collections
import gzip
import json
import threading
import time

import pytest

from conftest import SLOWNESS, has_packing
from peers import http_peer, simulated

GENERATE = "sources: {in: {type: generate, keys: 10, rate: unlimited, count: %d}}\n"


class Store:
    """A server that keeps what it has accepted: by Idempotency-Key, each once."""

    def __init__(self, judge=lambda asked, records: 200):
        self.judge, self.requests, self.accepted, self.lock = judge, [], {}, threading.Lock()

    def __call__(self, asked):
        body = gzip.decompress(asked.body) if asked.headers.get("Content-Encoding") == "gzip" else asked.body
        text = body.decode()
        records = json.loads(text) if asked.headers["Content-Type"] == "application/json" else [
            json.loads(line) for line in text.splitlines()]
        status = self.judge(asked, records)
        key = asked.headers["Idempotency-Key"]
        with self.lock:
            self.requests.append((key, [record["seq"] for record in records], status))
            if isinstance(status, int) and 200 <= status < 300:
                self.accepted[key] = records
        return status

    def numbers(self):
        return sorted(record["seq"] for records in self.accepted.values() for record in records)


def facts(report, part="out"):
    return {fact["name"]: fact.get("value", fact.get("text")) for fact in report["facts"] if fact["part"] == part}


def sink(port, more=""):
    return f'sinks: {{out: {{type: http, url: "http://127.0.0.1:{port}/in", breaker_pause: 100ms{more}}}}}\n'


@pytest.mark.parametrize("more", ["", ", format: json", ", concurrency: 1, batch: 7", ", batch_bytes: 1KiB"])
def test_everything_arrives_once(pipeline, more):
    store = Store()
    with http_peer(store) as peer:
        report = pipeline(GENERATE % 3000 + sink(peer.port, more))
    assert store.numbers() == list(range(3000)) and report["records_stored"] == 3000
    assert facts(report)["accepted"] == 3000 and facts(report)["rejected"] == 0
    assert len({key for key, _, _ in store.requests}) == len(store.requests), "each request has a key of its own"
    if "batch: 7" in more:
        assert max(len(numbers) for _, numbers, _ in store.requests) == 7
        assert [n for _, numbers, _ in store.requests for n in numbers] == list(range(3000)), "one at a time, in order"
    if "batch_bytes" in more:
        assert all(int(asked.headers["Content-Length"]) <= 1024 for asked in peer.asked)


@pytest.mark.skipif(not has_packing("gzip"), reason="needs a weir with gzip")
def test_bodies_are_compressed(pipeline):
    store = Store()
    with http_peer(store) as peer:
        pipeline(GENERATE % 3000 + sink(peer.port, ", compress: gzip"))
    assert store.numbers() == list(range(3000))
    assert any(asked.headers.get("Content-Encoding") == "gzip" for asked in peer.asked)


def test_only_what_failed_is_sent_again_with_its_key(pipeline):
    tries = collections.Counter()

    def judge(asked, records):
        key = asked.headers["Idempotency-Key"]
        tries[key] += 1
        kind = records[0]["seq"] // 50 % 4
        return {1: 503, 2: 500, 3: None}.get(kind, 200) if tries[key] == 1 else 200  # None: cut

    store = Store(judge)
    with http_peer(store) as peer:
        report = pipeline(GENERATE % 1000 + sink(peer.port, ", batch: 50, concurrency: 4"))
    assert store.numbers() == list(range(1000)) and report["records_stored"] == 1000
    bodies = collections.defaultdict(set)
    for key, numbers, _ in store.requests:
        bodies[key].add(tuple(numbers))
    assert all(len(seen) == 1 for seen in bodies.values()), "the same key is the same request"
    assert all(count <= 2 for count in tries.values()) and 1 in tries.values() and 2 in tries.values()


def test_a_server_that_is_down_for_a_while_loses_nothing(pipeline):
    asked = []

    def judge(*_):
        asked.append(1)
        return 503 if len(asked) <= 6 else 200

    store = Store(judge)
    with http_peer(store) as peer:
        report = pipeline(GENERATE % 500 + sink(peer.port, ", timeout: 2s, retries: 1, breaker: 4"))
    assert store.numbers() == list(range(500)) and report["records_stored"] == 500
    assert "nothing is lost" in report["outcome"].stderr and facts(report)["sent again later"] > 0


def test_what_the_server_does_not_want_is_refused_and_kept(pipeline, tmp_path):
    store = Store(lambda asked, records: 422 if any(r["seq"] % 100 == 7 for r in records) else 200)
    (tmp_path / "rejected.ndjson").write_text('{"of": "before"}\n')
    with http_peer(store) as peer:
        report = pipeline(GENERATE % 1000 + sink(peer.port, ", batch: 10, rejects: rejected.ndjson, token: hunter2"))
    assert report["records_refused"] == 100 and report["records_stored"] == 900
    assert facts(report)["rejected"] == 100
    kept = [json.loads(line) for line in (tmp_path / "rejected.ndjson").read_text().splitlines()]
    assert kept.pop(0) == {"of": "before"}, "what was there stays"
    assert all("422" in record["detail"] and record["file"] == "out" for record in kept)
    numbers = [json.loads(record["text"])["seq"] for record in kept]
    assert sorted(store.numbers() + numbers) == list(range(1000)), "each is accepted or kept"
    assert "hunter2" not in (tmp_path / "rejected.ndjson").read_text() + report["outcome"].stderr


def test_what_is_too_large_is_sent_in_halves(pipeline):
    store = Store(lambda asked, records: 413 if len(records) > 30 or any(
        record["seq"] == 77 for record in records) else 200)
    with http_peer(store) as peer:
        report = pipeline(GENERATE % 400 + sink(peer.port, ", batch: 100"))
    assert report["records_stored"] == 399 and report["records_refused"] == 1, "77 is too large alone"
    assert store.numbers() == [n for n in range(400) if n != 77]


@pytest.mark.parametrize("status, stored", [(302, 0), (303, 0), (307, 300)])
def test_a_redirect_never_makes_a_get_of_it(pipeline, status, stored):
    """A login page that answers 200 to the GET is no store."""
    accepted = []

    def answer(asked):
        if asked.path == "/in":
            return status, b"", {"Location": "/other"}
        if asked.method == "POST":
            accepted.extend(asked.body.splitlines())
        return 200

    with http_peer(answer) as peer:
        report = pipeline(GENERATE % 300 + sink(peer.port), status=0 if stored else 1)
    assert report["records_stored"] == len(accepted) == stored and report["records_refused"] == 300 - stored


def test_a_run_that_is_to_give_up_does(weir, tmp_path):
    with http_peer(lambda asked: 500) as peer:
        (tmp_path / "p.yaml").write_text(GENERATE % 100 + sink(
            peer.port, ", give_up: 200ms, timeout: 100ms, password: hunter2, user: me"))
        outcome = weir("run", "p.yaml", "--json", status=1)
    report = outcome.json()
    assert report["records_stored"] == 0 and report["records_refused"] + report["records_dropped"] == 100
    assert "500" in outcome.stderr and "give_up" in outcome.stderr and "hunter2" not in outcome.stderr


@pytest.mark.parametrize("hangs", [False, True])
def test_giving_up_is_a_deadline(weir, tmp_path, hangs):
    """Neither the pause of the circuit, which is open long before, nor the time for an answer outlasts it."""
    text = GENERATE % 10 + sink(80, ", give_up: 500ms, timeout: 30s, breaker: 2")
    (tmp_path / "p.yaml").write_text(text.replace("breaker_pause: 100ms", "breaker_pause: 20s"))
    outcome = weir("run", "p.yaml", "--json", "--simulated", "--server", "service=1h", "--server",
                   f"timeout={'2h' if hangs else '1ms'}", status=1)
    assert 0.4 <= outcome.json()["seconds"] <= 0.5 and "give_up" in outcome.stderr, outcome


def test_nobody_there_is_said(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(GENERATE % 10 + sink(9, ", give_up: 100ms, timeout: 100ms"))
    outcome = weir("run", "p.yaml", "--json", status=1)
    assert "connection refused" in outcome.stderr, outcome


def test_it_slows_down_for_a_slow_server(pipeline):
    under_way, most = [0], [0]
    lock = threading.Lock()

    def judge(asked, records):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            busy = under_way[0] > 6
        time.sleep(0.01)
        with lock:
            under_way[0] -= 1
        return 429 if busy else 200

    store = Store(judge)
    with http_peer(store) as peer:
        report = pipeline(GENERATE % 2000 + sink(peer.port, ", batch: 10, retries: 5"))
    assert store.numbers() == list(range(2000)) and report["records_stored"] == 2000
    assert most[0] <= 30 and facts(report)["adaptive limit"] < 64


def test_through_a_network_with_faults(pipeline):
    """Resets and cuts on the way: what was accepted twice carries the same key."""
    store = Store()
    with http_peer(store) as peer, simulated("proxy", "--to", f"127.0.0.1:{peer.port}", "--reset", "0.05", "--cut",
                                             "0.05", "--seed", "3") as port:
        report = pipeline(GENERATE % 600 + sink(port, ", batch: 10, timeout: 2s"), timeout=60)
    assert store.numbers() == list(range(600)) and report["records_stored"] == 600


def test_stopping_drains(tmp_path, weir):
    """Ctrl-C: what was read is delivered before the end."""
    import signal
    import subprocess
    from conftest import BINARY, check_account, environment
    store = Store()
    with http_peer(store) as peer:
        (tmp_path / "p.yaml").write_text("sources: {in: {type: generate, keys: 10, rate: 2000/s}}\n" + sink(peer.port))
        process = subprocess.Popen([str(BINARY), "run", "p.yaml", "--json", "--quiet"], cwd=tmp_path,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        while not store.accepted and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, words = process.communicate(timeout=20 * SLOWNESS)
    report = json.loads(out)
    check_account(report)
    assert report["records_stored"] == len(store.numbers()) > 0 and report["records_dropped"] == 0, words


def test_waiting_for_the_server_is_no_work(weir, tmp_path):
    (tmp_path / "p.yaml").write_text("sources: {in: {type: generate, rate: 200/s, count: 400}}\n" + sink(
        80, ", batch: 10, concurrency: fixed, most: 2"))
    report = weir("run", "p.yaml", "--json", "--simulated", "--server", "service=100ms").json()
    parts = {part["name"]: part for part in report["parts"]}
    assert report["seconds"] > 2 and parts["out"]["busy_seconds"] < 0.1, report


DEAD = "--server", "service=1h", "--server", "timeout=1ms"


def test_draining_has_a_limit(weir, tmp_path):
    """A server that is gone does not hold a run that was told to end."""
    (tmp_path / "p.yaml").write_text("sources: {in: {type: generate, keys: 10, rate: 20/s}}\n" + sink(80))
    outcome = weir("run", "p.yaml", "--json", "--simulated", *DEAD, "--duration", "1s", "--drain", "2s", status=130)
    report = outcome.json()
    assert 2.9 <= report["seconds"] <= 3.3 and report["interrupted"] and report["records_stored"] == 0
    assert "within 2.00 s: stopping at once (--drain)" in outcome.stderr, outcome.stderr
    assert report["verdict"] == "nothing delivered", report
    count = report["records_refused"]
    counters = report["counters"]
    assert {"part": "out", "what": "not stored", "field": None, "number": count} in counters, counters
    assert f"out did not deliver {count} records; the last of its" in report["advice"], report["advice"]
    assert "the server answered 503" in report["advice"] and "sources" not in report["advice"]
    ended = weir("run", "p.yaml", "--json", "--simulated", *DEAD, "--limit", "20", "--drain", "2s", status=130)
    assert 2.9 <= ended.json()["seconds"] <= 3.3, ended.stderr  # the sources ended by themselves
    assert "TIME" in weir("run", "--help").stdout
    assert "--drain" in weir("run", "p.yaml", "--drain", "soon", status=2).stderr


def test_sigterm_comes_but_once(tmp_path):
    """So that what cannot be delivered holds nobody up: the run ends by itself."""
    import signal
    import subprocess
    from conftest import BINARY, check_account, environment
    with http_peer(lambda asked: 503) as peer:
        (tmp_path / "p.yaml").write_text("sources: {in: {type: generate, keys: 10, rate: 2000/s}}\n" + sink(peer.port))
        process = subprocess.Popen([str(BINARY), "run", "p.yaml", "--json", "--drain", "300ms"], cwd=tmp_path,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        first = process.stderr.readline()  # that it is not accepted
        process.send_signal(signal.SIGTERM)
        out, words = process.communicate(timeout=20 * SLOWNESS)
    report = json.loads(out)
    check_account(report)
    assert process.returncode == 130 and report["interrupted"] and "--drain" in words, first + words


@pytest.mark.parametrize("options, words", [
    ("url: 'ftp://h/'", "http://"), ("url: 'http://'", "is no address"),
    ("url: 'http://me:hunter2@h h/'", "is no address"), ("url: 'http://h/', user: a, token: b", "two ways")])
def test_mistakes_in_the_options(weir, tmp_path, options, words):
    (tmp_path / "p.yaml").write_text(GENERATE % 1 + f"sinks: {{out: {{type: http, {options}}}}}\n")
    outcome = weir("run", "p.yaml")
    assert outcome.status in (1, 2) and words in outcome.stderr and "hunter2" not in outcome.stderr, outcome
