# SPDX-License-Identifier: MIT
"""The http source and sensors that answer badly, or not at all: the run goes on, the reason is named, the neighbours
are read as ever, and credentials are shown nowhere."""
import json
import socket
import threading
import time

import pytest

from conftest import BINARY, environment
from peers import http_peer

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"value": 20}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def forever(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while True:
        connection.sendall(b"9" * 65536)


def endless_chunks(connection):
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(b"10000\r\n" + b"9" * 65536 + b"\r\n")


def endless_head(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")


def slow_head(connection):
    for byte in GOOD:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def slow_body(connection):
    connection.sendall(GOOD[:-8])
    for byte in GOOD[-8:]:
        time.sleep(0.2)
        connection.sendall(bytes([byte]))


def silence(connection):
    time.sleep(3)


def sends(data):
    return lambda connection: connection.sendall(data)


# What a sensor does with a connection, and what is said of it.
BAD = {
    "huge": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{"), "the reply is too large"),
    "forever": (forever, "the reply is too large"),
    "endless-chunks": (endless_chunks, "the reply is too large"),
    "endless-head": (endless_head, "the reply is too large"),
    "slow-head": (slow_head, "timed out while waiting for the reply"),
    "slow-body": (slow_body, "timed out while reading the reply"),
    "silence": (silence, "timed out while waiting for the reply"),
    "short": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"), "not proper HTTP"),
    "bad-length": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n{}"), "not proper HTTP"),
    "two-lengths": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), "not proper HTTP"),
    "cut-chunk": (sends(CHUNKED + b"20\r\n{"), "not proper HTTP"),
    "bad-chunk": (sends(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"), "not proper HTTP"),
    "long-chunk": (sends(CHUNKED + b"1\r\n{}\r\n0\r\n\r\n"), "not proper HTTP"),
    "garbage": (sends(b"\x00\x01\x02 hello\r\n\r\n"), "not proper HTTP"),
    "end": (sends(b""), "closed without a reply"),
    "zipped": (sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"), "compressed"),
    "upgrade": (sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "another protocol"),
    "error": (sends(b"HTTP/1.1 500 Oh no\r\nContent-Length: 0\r\n\r\n"), "the server answered"),
    "not-json": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html"), "the answer cannot be read"),
    "empty": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "the answer cannot be read"),
    "loop": (sends(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n"), "redirects in a loop"),
    "astray": (sends(b"HTTP/1.1 302 Found\r\nLocation: ftp://h/\r\nContent-Length: 0\r\n\r\n"), "cannot go"),
}


class RawServer:
    """Serves bytes; the path of the request says which."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def serve(connection):
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                data = connection.recv(4096)
                if not data:
                    return
                request += data
            name = request.split(b" ")[1].decode().lstrip("/").split("?")[0]
            if name.startswith("good"):
                connection.sendall(GOOD)
            elif name.startswith("hops"):
                number = int(name[4:] or 0) + 1
                connection.sendall(f"HTTP/1.1 302 F\r\nLocation: /hops{number}\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                BAD[name][0](connection)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        except OSError:
            pass
        finally:
            connection.close()


def facts(report, part="f"):
    return {fact["name"]: fact.get("value", fact.get("text")) for fact in report["facts"] if fact["part"] == part}


def source(urls, more=""):
    return (f"sources: {{f: {{type: http, url: {json.dumps(urls)}, every: 100ms, spread: 0, timeout: 600ms, "
            f"retries: 0, count: 2, body_max: 64KiB{more}}}}}\n"
            "sinks: {out: {type: file, path: out.ndjson}}\n")


def test_each_kind_of_bad_answer_is_named_and_delays_nobody(pipeline, tmp_path):
    """All of them in one run, beside ten good sensors."""
    with RawServer() as server:
        address = f"http://127.0.0.1:{server.port}"
        report = pipeline(source([f"{address}/{name}" for name in BAD] + [f"{address}/hops", address + "/good{0..9}"]))
    records = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert len(records) == 20 and {record["value"] for record in records} == {20}
    found = facts(report)
    assert found["failing"] == len(BAD) + 1 and found["answers"] == 20
    assert report["rss_peak_bytes"] < 200 << 20 if "rss_peak_bytes" in report else True
    counted = {count["field"]: count["number"] for count in report["counters"] if count["what"] == "reads failed"}
    assert sum(counted.values()) == 2 * (len(BAD) + 1)
    assert counted["redirect_many"] == 2 and counted["redirect_loop"] == 2 and counted["too_large"] == 8
    assert counted["unreadable"] == 4 and counted["malformed"] >= 14
    # Grouped by reason, the commonest first; of each, a few sensors are named.
    words = found["do not answer"]
    assert words.startswith("the reply is not proper HTTP: ") and " and " in words.split(";")[0], words
    assert words.count("not proper HTTP") == 1


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_answer_alone(pipeline, name):
    with RawServer() as server:
        report = pipeline(source([f"http://127.0.0.1:{server.port}/{name}"]).replace("count: 2", "count: 1"),
                          status=1)
    assert report["records_in"] == 0 and facts(report)["failed"] == 1
    assert BAD[name][1] in facts(report)["do not answer"]


def test_nobody_listens_and_nobody_has_that_name(pipeline):
    report = pipeline(source(["http://127.0.0.1:9/a", "http://no-such-host.invalid/b"]), status=1)
    words = facts(report)["do not answer"]
    assert "connection refused: nobody listens there: http://127.0.0.1:9/a" in words
    assert "no host of that name" in words or "timed out" in words, words


def test_the_rate_counts_answers(pipeline):
    """A sensor that fails every second time is read at half the rate."""
    asked = []

    def answer(_):
        asked.append(1)
        return (200, '{"value": 1}') if len(asked) % 2 else 500

    with http_peer(answer) as peer:
        report = pipeline(source([f"http://127.0.0.1:{peer.port}/"]).replace("count: 2", "count: 20").replace(
            "every: 100ms", "every: 20ms"))
    found = facts(report)
    assert found["answers"] == 10 and found["failed"] == 10
    assert found["achieved"] < 0.7 * found["wanted"], found


CAREFUL = "breaker: 0, retries: 0, timeout: 600ms, body_max: 64KiB"
ONE = "sources: {in: {type: generate, rate: unlimited, count: 1}}\n"
TOO_LARGE = "its body is larger than the limit of 64.0 KiB; raise `body_max`, if it is to be taken"
MOVED = "the server answered 302 Found, that it has moved to %s; give that address"


def test_lookups_of_bad_answers(pipeline, tmp_path):
    """All of them in one run; each refused with its reason."""
    (tmp_path / "names.csv").write_text("name\n" + "\n".join(BAD) + "\ngood\n")
    with RawServer() as server:
        report = pipeline(f"""sources: {{in: {{type: file, path: names.csv, fields: {{name: symbol}}}}}}
stages: [{{lookup: {{url: "http://127.0.0.1:{server.port}/{{name}}", values: {{x: /value}}, {CAREFUL},
                    concurrency: fixed, most: 100}}}}]
sinks: {{out: {{type: file, path: out.ndjson}}}}
""")
    assert [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()] == [
        {"name": "good", "x": 20}]
    assert report["records_refused"] == len(BAD)
    assert f"lookup had no answer for {len(BAD)} records" in report["advice"], report["advice"]


@pytest.mark.parametrize("name, words", [
    ("forever", TOO_LARGE), ("loop", MOVED % "/loop"), ("astray", MOVED % "ftp://h/"),
    ("not-json", 'the answer is no JSON; it begins with "<html"'), ("empty", "the answer is empty, and no JSON"),
    ("zipped", "compressed, which was not asked for"), ("end", "closed without a reply")])
def test_calls_that_are_answered_badly(pipeline, name, words):
    with RawServer() as server:
        url = f"http://127.0.0.1:{server.port}/{name}"
        report = pipeline(ONE + f'stages: [{{call: {{url: "{url}", values: {{x: /value}}, {CAREFUL}}}}}]\n'
                          "sinks: {out: {type: 'null'}}\n", status=1)
    told = report["outcome"].stderr
    assert report["records_refused"] == 1 and url in told and words in told, told
    assert report["verdict"] == "nothing delivered" and words in report["advice"]


@pytest.mark.parametrize("name", ["forever", "zipped", "empty", "not-json"])
def test_what_the_server_of_a_sink_says_beyond_2xx_does_not_matter(pipeline, name):
    careful = CAREFUL.replace("breaker: 0", "breaker: 2")
    with RawServer() as server:
        report = pipeline(ONE.replace("count: 1", "count: 4") + "sinks: {out: {type: http, batch: 1, "
                          f'url: "http://127.0.0.1:{server.port}/{name}", {careful}}}}}\n')
    assert report["records_stored"] == 4, report["outcome"].stderr
    told = {fact["name"]: fact.get("value") for fact in report["facts"] if fact["part"] == "out"}
    assert told["answered"] == 4
    if name in ("forever", "zipped"):  # after the others the server closes a connection that may be used again
        assert told["failed"] == 0 and "circuit opened" not in told and "last failure" not in told, told


def test_who_asks(pipeline):
    """The remedy is said; where it moved is shown without what is secret in it."""
    with http_peer(lambda asked: (401, "") if "login" in asked.path else
                   (302, "", {"Location": "http://u:hunter2@h/x?token=hunter2"})) as peer:
        for path, more, words in (("login", "", "it wants to know who asks: give `token`, or `user` and `password`"),
                                  ("login", ", token: hunter2", "it does not take these credentials"),
                                  ("moved", "", "that it has moved to http://***@h/x?token=***; give that address")):
            report = pipeline(ONE + f'sinks: {{out: {{type: http, url: "http://127.0.0.1:{peer.port}/{path}", '
                              f"timeout: 600ms, give_up: 1s{more}}}}}\n", status=None)
            told = report["outcome"].stderr
            assert words in told and "hunter2" not in told, told


SECRETS = ("hunter2", "open%20sesame", "s3cr3t", "Zm9v")


@pytest.mark.parametrize("command", [["run", "--json"], ["run"], ["check"], ["check", "--json"], ["explain", "http"],
                                     ["tap", "f"]])
def test_credentials_are_shown_nowhere(weir, tmp_path, command):
    """In the address, its query, a header, the options: neither in words nor in reports, and not in the data."""
    text = """sources:
  f: {type: http, url: ["http://me:hunter2@127.0.0.1:9/a?api_key=open%20sesame", "http://me:hunter2@no.invalid/b"],
      count: 1, retries: 0, timeout: 300ms, headers: {Authorization: Basic Zm9v, X-Api-Key: s3cr3t}}
  g: {type: http, url: "http://127.0.0.1:9/c", count: 1, retries: 0, timeout: 300ms, token: s3cr3t,
      proxy: "http://me:hunter2@127.0.0.1:9"}
stages:
  - lookup: {url: "http://me:hunter2@127.0.0.1:9/{sensor}?token=s3cr3t", values: {x: /x}, timeout: 100ms}
  - call: {url: "http://me:hunter2@127.0.0.1:9/", values: {y: /y}, password: s3cr3t, user: me, timeout: 100ms}
sinks:
  out: {type: http, url: "http://me:hunter2@127.0.0.1:9/in?sig=s3cr3t", give_up: 1ms, timeout: 100ms}
"""
    (tmp_path / "p.yaml").write_text(text)
    arguments = command if command[0] == "explain" else [command[0], "p.yaml", *command[1:]]
    outcome = weir(*arguments)
    shown = outcome.stdout + outcome.stderr
    assert not any(secret in shown for secret in SECRETS), outcome
    if command[0] == "run" and "left out of this build" not in shown:
        assert "127.0.0.1:9/a" in shown


@pytest.mark.parametrize("mistake", [
    'url: "http://me:hunter2@h/", nonsense: 1', 'nonsense: 1, url: "http://me:hunter2@h/"',
    'url: "gopher://me:hunter2@h/"', 'url: "http://me:hunter2@h/{0..9999999}"', 'url: "http://me:hunter2@h/", every: x',
    'every: "http://me:hunter2@h/"', 'url: "http://h/?token=hunter2", spread: 7'])
def test_mistakes_do_not_show_credentials(weir, tmp_path, mistake):
    (tmp_path / "p.yaml").write_text(f'sources:\n  f: {{type: http, {mistake}}}\nsinks: {{out: {{type: "null"}}}}\n')
    for command in ("check", "run"):
        outcome = weir(command, "p.yaml")
        assert "hunter2" not in outcome.stdout + outcome.stderr, outcome
    assert outcome.status != 0
