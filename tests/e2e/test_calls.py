# SPDX-License-Identifier: MIT
"""The stages that ask somebody: call (a server about records) and lookup (what is known of a key)."""
import json
import pathlib
import statistics
import threading
import time
import urllib.parse

import pytest

from conftest import ROOT, SLOWNESS
from layouts import counted
from peers import http_peer, simulated

GENERATE = "sources: {in: {type: generate, keys: 10, rate: unlimited, count: %d}}\n"
OUT = "sinks: {out: {type: file, path: out.ndjson}}\n"


def records(folder):
    return [json.loads(line) for line in (folder / "out.ndjson").read_text().splitlines()]


def facts(report, part):
    return {fact["name"]: fact.get("value", fact.get("text")) for fact in report["facts"] if fact["part"] == part}


# ---- call ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", ["1", "fixed", "adaptive"])
def test_each_record_gets_the_answer_to_itself(pipeline, tmp_path, concurrency):
    with http_peer(lambda asked: (200, json.dumps({"twice": 2 * json.loads(asked.body)["seq"]}))) as peer:
        report = pipeline(GENERATE % 60 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/m", values: {{twice: /twice}}, fields: {{twice: i64}},
           concurrency: {concurrency}, most: 8}}\n""" + OUT)
    found = records(tmp_path)
    assert [record["seq"] for record in found] == list(range(60)), "in the order in which they came"
    assert all(record["twice"] == 2 * record["seq"] for record in found)
    assert facts(report, "call")["answered"] == 60 and len(peer.asked) == 60
    assert set(json.loads(peer.asked[0].body)) == {"ts", "sensor", "value", "seq"}


def test_batches_of_one_column_in_a_template(pipeline, tmp_path):
    def answer(asked):
        body = json.loads(asked.body)
        assert body["model"] == "m" and 1 <= len(body["input"]) <= 7
        return 200, json.dumps({"data": [{"label": text * 2, "vector": [len(text), 1.5]} for text in body["input"]]})

    with http_peer(answer) as peer:
        pipeline(GENERATE % 50 + f"""stages:
  - call:
      url: http://127.0.0.1:{peer.port}/embed
      batch: 7
      value: sensor
      body: '{{"model": "m", "input": $records}}'
      records: /data
      values: {{label: /label, vector: /vector, second: /vector/1}}
      fields: {{label: symbol, vector: "f64[2]"}}\n""" + OUT)
    found = records(tmp_path)
    assert [record["seq"] for record in found] == list(range(50))
    assert all(r["label"] == r["sensor"] * 2 and r["vector"] == [2, 1.5] and r["second"] == 1.5 for r in found)
    assert len(peer.asked) < 50


def test_only_what_was_asked_for_is_sent(pipeline):
    with http_peer(lambda asked: (200, "[" + ",".join(["{}"] * len(json.loads(asked.body))) + "]")) as peer:
        report = pipeline(GENERATE % 20 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/", batch: 5, send: [seq, sensor], values: {{x: /x}}}}\n""" + OUT)
    assert all(set(record) == {"seq", "sensor"} for asked in peer.asked for record in json.loads(asked.body))
    assert counted(report, "missing in the answer") == 20


def test_what_fails_for_a_moment_is_asked_again(pipeline, tmp_path):
    tried = {}

    def answer(asked):
        number = json.loads(asked.body)["seq"]
        tried[number] = tried.get(number, 0) + 1
        return (503, "busy") if tried[number] == 1 and number % 5 == 0 else (200, json.dumps({"x": number}))

    with http_peer(answer) as peer:
        report = pipeline(GENERATE % 40 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/", values: {{x: /x}}, concurrency: 4}}\n""" + OUT)
    assert [record["x"] for record in records(tmp_path)] == list(range(40))
    assert facts(report, "call")["retries"] == 8 and facts(report, "call")["failed"] == 0


@pytest.mark.parametrize("policy, stored, refused", [("refuse", 27, 13), ("null", 40, 0)])
def test_records_without_an_answer(pipeline, tmp_path, policy, stored, refused):
    def answer(asked):
        number = json.loads(asked.body)["seq"]
        return (422, "no") if number % 3 == 1 else (200, json.dumps({"x": number}))

    with http_peer(answer) as peer:
        report = pipeline(GENERATE % 40 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/", values: {{x: /x}}, on_failure: {policy}, concurrency: 4}}\n""" + OUT)
    assert report["records_stored"] == stored and report["records_refused"] == refused
    assert sum(record["x"] is not None for record in records(tmp_path)) == 27
    assert facts(report, "call")["failed"] == 13 and facts(report, "call")["retries"] == 0


def test_a_run_that_is_to_stop_says_why(weir, tmp_path):
    with http_peer(lambda asked: (401, "who?")) as peer:
        (tmp_path / "p.yaml").write_text(GENERATE % 40 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/", values: {{x: /x}}, on_failure: stop, token: hunter2}}\n""" + OUT)
        outcome = weir("run", "p.yaml", "--json")
    assert outcome.status == 1 and "401" in outcome.stderr and "on_failure: stop" in outcome.stderr, outcome
    assert "hunter2" not in outcome.stderr + outcome.stdout
    assert all(asked.headers["Authorization"] == "Bearer hunter2" for asked in peer.asked)


@pytest.mark.parametrize("body, words", [
    ("[1]", "the answer to 2 records has 1 results"), ('{"a": 1}', "no list of results"), ("<html>", "no JSON"),
    ("", "no JSON")])
def test_an_answer_that_does_not_fit(pipeline, body, words):
    with http_peer(lambda asked: (200, body)) as peer:
        report = pipeline(GENERATE % 2 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/", batch: 2, values: {{x: ""}}, body: $records}}
run: {{linger: 200ms}}\n""" + OUT, status=1)
    assert report["records_refused"] == 2
    assert words in report["outcome"].stderr or len(peer.asked) == 2


def test_the_circuit_opens_and_closes(pipeline, tmp_path):
    asked = []

    def answer(_):
        asked.append(1)
        return (500, "") if len(asked) <= 6 else (200, '{"x": 1}')

    with http_peer(answer) as peer:
        report = pipeline(GENERATE % 30 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/", values: {{x: /x}}, concurrency: 2, retries: 100, breaker: 3,
           breaker_pause: 100ms}}\n""" + OUT)
    assert facts(report, "call")["circuit"] == "closed" and facts(report, "call")["circuit opened"] >= 1
    assert report["records_in"] == 30 and report["records_stored"] >= 20
    assert len(peer.asked) < 50, "while it is open nobody asks"


CIRCUITS = {
    "call": 'call: {url: "http://model/", values: {x: /waited}, breaker: 3, retries: 1, timeout: %s}',
    "lookup": 'lookup: {url: "http://sites/{seq}", values: {x: /waited}, breaker: 3, retries: 1, timeout: %s}',
}


def behind_a_circuit(pipeline, stage, timeout, *peer, status=0):
    text = ("sources: {in: {type: generate, keys: 10, rate: 100/s, count: 3000}}\n"
            f"stages: [{{{CIRCUITS[stage] % timeout}}}]\n" + OUT)
    return pipeline(text, args=["--simulated", *peer], status=status)


@pytest.mark.parametrize("stage", CIRCUITS)
def test_a_dead_server_holds_nobody_up(pipeline, stage):
    """Once it has been down for the timeout, calls fail at once, but for the probes: 1, 2, 4, 8, 16 s apart."""
    report = behind_a_circuit(pipeline, stage, "2s", "--server", "service=1h", "--server", "timeout=1ms", status=1)
    assert report["records_refused"] == 3000 and report["seconds"] < 30.1 and report["lag_seconds_max"] < 2.5, report
    failed = {count["field"]: count["number"] for count in report["counters"] if count["what"] == "calls failed"}
    assert failed["bad_status"] < 12 and failed["circuit open"] > 2000, failed
    words = report["outcome"].stderr
    assert words.count("down for longer than `timeout` (2.00 s): calls fail at once until it answers again") == 1, words


@pytest.mark.parametrize("stage", CIRCUITS)
def test_a_restart_is_waited_for(pipeline, stage):
    report = behind_a_circuit(pipeline, stage, "8s", "--fleet", "restart_every=10s", "--fleet", "down=1500ms")
    assert report["records_stored"] > 2950 and report["lag_seconds_max"] > 1, report
    assert not any(count["field"] == "circuit open" for count in report["counters"]), report["counters"]


@pytest.mark.parametrize("stage", CIRCUITS)
def test_who_is_back_is_asked_again(pipeline, stage):
    report = behind_a_circuit(pipeline, stage, "2s", "--fleet", "restart_every=9s", "--fleet", "down=10s")
    assert report["records_stored"] > 900 and report["records_refused"] > 900, report
    assert report["lag_seconds_max"] < 2.5, report


def test_adaptive_concurrency_against_a_server_with_a_capacity(pipeline):
    with simulated("server", "--workers", 8, "--service", "10ms", "--timeout", "300ms") as port:
        report = pipeline(GENERATE % 400 + f"""stages:
  - call: {{url: "http://127.0.0.1:{port}/", values: {{x: /served}}, concurrency: adaptive, order: none}}\n""" + OUT)
    found = facts(report, "call")
    assert found["limit grown"] > 0 and found["adaptive limit"] > 1
    assert report["records_in"] == 400 and report["records_stored"] >= 380


def test_serial_calls_come_one_after_the_other(pipeline, tmp_path):
    under_way, most, order = [0], [0], []

    def answer(asked):
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        order.append(json.loads(asked.body)["seq"])
        time.sleep(0.002)
        under_way[0] -= 1
        return 200, '{"x": 1}'

    with http_peer(answer) as peer:
        pipeline(GENERATE % 40 + f"""stages:
  - call: {{url: "http://127.0.0.1:{peer.port}/", values: {{x: /x}}, order: serial}}\n""" + OUT)
    assert most == [1] and order == list(range(40))


@pytest.mark.parametrize("options, words", [
    ("", "values: {score: /score}"), ("values: {x: x}", "no JSON pointer"),
    ("values: {x: /x}, fields: {y: f64}", "not among `values`"),
    ("values: {x: /x}, fields: {x: 'f64[0]'}", "no type"), ("values: {x: /x}, body: abc", "where the records go"),
    ("values: {x: /x}, value: nosuch", "no column \"nosuch\""), ("values: {ts: /x}", "the time or the key"),
    ("values: {x: /x}, concurrency: many", "neither a number"), ("values: {x: /x}, proxy: nowhere", "`proxy`"),
    ("values: {x: /x}, batch: 3, body: $record", "$records")])
def test_mistakes_in_the_options(weir, tmp_path, options, words):
    (tmp_path / "p.yaml").write_text(GENERATE % 1 + f"""stages:
  - call: {{url: "http://127.0.0.1:9/", {options}}}\n""" + OUT)
    outcome = weir("run", "p.yaml")
    assert outcome.status in (1, 2) and words in outcome.stderr, outcome


# ---- lookup ----------------------------------------------------------------------------------------------------------


def test_a_key_is_asked_for_once(pipeline, tmp_path):
    def answer(asked):
        name = urllib.parse.unquote(asked.path.rsplit("/", 1)[1])
        return (404, "") if name == "s3" else (200, json.dumps({"site": {"name": "hall " + name}, "floor": 2}))

    with http_peer(answer) as peer:
        report = pipeline(GENERATE % 3000 + f"""stages:
  - lookup: {{url: "http://127.0.0.1:{peer.port}/sensors/{{sensor}}", values: {{site: /site/name, floor: /floor}},
             fields: {{site: text}}}}\n""" + OUT)
    found = records(tmp_path)
    assert len(found) == 3000 and [record["seq"] for record in found] == list(range(3000))
    assert all(r["site"] == (None if r["sensor"] == "s3" else "hall " + r["sensor"]) for r in found)
    assert sorted(asked.path for asked in peer.asked) == [f"/sensors/s{i}" for i in range(10)], "single flight"
    told = facts(report, "lookup")
    assert told["cache hit ratio"] > 0.3 and told["not found"] == 300
    assert told["answered"] == 10 and told["failed"] == 0 and "last failure" not in told, "404 is an answer"


def test_values_in_addresses_are_encoded(pipeline, tmp_path):
    (tmp_path / "in.ndjson").write_text(
        '{"ts":1,"name":"a b/ü?","number":1.5}\n{"ts":2,"name":null,"number":1}\n', encoding="utf-8")
    with http_peer(lambda asked: (200, json.dumps({"path": asked.path}))) as peer:
        pipeline(f"""sources: {{in: {{type: file, path: in.ndjson}}}}
stages:
  - lookup: {{url: "http://127.0.0.1:{peer.port}/{{name}}/x?n={{number}}", values: {{path: /path}},
             fields: {{path: text}}}}
""" + OUT)
    assert records(tmp_path)[0]["path"] == "/a%20b%2F%C3%BC%3F/x?n=1.5"
    assert records(tmp_path)[1]["path"] is None and len(peer.asked) == 1, "nothing is looked up by null"


@pytest.mark.parametrize("missing, outcome", [("null", (10, 0, 0)), ("refuse", (7, 3, 0)), ("drop", (7, 0, 3))])
def test_a_table_and_what_is_not_in_it(pipeline, tmp_path, missing, outcome):
    rows = [f's{i},"hall, ""{i}""\n",{i},00{i},{"yes" if i else ""}' for i in range(7)]
    (tmp_path / "sensors.csv").write_text("\ufeffid,place,floor,code,word\r\n" + "\r\n".join(rows))
    report = pipeline(GENERATE % 10 + f"""stages:
  - lookup: {{file: sensors.csv, key: sensor, file_key: id, missing: {missing}}}\n""" + OUT)
    assert (report["records_stored"], report["records_refused"], report["records_filtered"]) == outcome
    for record in records(tmp_path)[:7]:
        i = int(record["sensor"][1:])
        assert (record["place"], record["floor"], record["code"]) == (f'hall, "{i}"\n', i, f"00{i}")
        assert record["word"] == ("yes" if i else None)


def test_a_table_is_read_again_when_it_has_changed(pipeline, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("sensor,level\ns0,1\n")

    def change():
        out = tmp_path / "out.ndjson"
        while not out.exists() or not out.stat().st_size:
            time.sleep(0.01)
        (tmp_path / "new.csv").write_text("sensor,level\ns0,2\n")
        (tmp_path / "new.csv").rename(table)

    changer = threading.Thread(target=change)
    changer.start()
    pipeline("""sources: {in: {type: generate, keys: 1, rate: 100/s, count: 120}}
stages:
  - lookup: {file: t.csv, key: sensor, ttl: 20ms}\n""" + OUT)
    changer.join()
    levels = [record["level"] for record in records(tmp_path)]
    assert levels[0] == 1 and levels[-1] == 2 and levels == sorted(levels)


def test_a_small_cache_evicts(pipeline, tmp_path):
    with http_peer(lambda asked: (200, json.dumps({"x": int(asked.path[1:])}))) as peer:
        report = pipeline(f"""sources: {{in: {{type: generate, keys: 1, rate: unlimited, count: 300}}}}
stages:
  - lookup: {{url: "http://127.0.0.1:{peer.port}/{{seq}}", values: {{x: /x}}, cache: 4KiB, concurrency: 8}}\n""" + OUT)
    assert [record["x"] for record in records(tmp_path)] == list(range(300))
    found = facts(report, "lookup")
    assert found["cache evictions"] > 200 and found["cache bytes"] <= 4096 and found["cache hit ratio"] == 0


@pytest.mark.parametrize("options, words", [
    ("values: {x: /x}", "it needs one of them"), ("url: 'http://h/', values: {x: /x}", "the same for each record"),
    ("url: 'http://h/{sensor}'", "values: {site: /site}"), ("url: 'http://h/{no}', values: {x: /x}", 'no column "no"'),
    ("file: t.csv", "wants `key`"), ("file: nosuch.csv, key: sensor", "nosuch.csv cannot be read"),
    ("file: t.csv, key: sensor", 'no column "sensor"'),
    ("file: t.csv, key: sensor, file_key: a, values: {x: y}", 'no column "y"')])
def test_mistakes_in_a_lookup(weir, tmp_path, options, words):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "p.yaml").write_text(GENERATE % 1 + f"stages:\n  - lookup: {{{options}}}\n" + OUT)
    outcome = weir("run", "p.yaml")
    assert outcome.status in (1, 2) and words in outcome.stderr, outcome


# ---- A thousand at a time --------------------------------------------------------------------------------------------


def test_a_thousand_embeddings_on_one_thread(weir, tmp_path):
    """examples/embeddings.yaml: with ten calls or a thousand in flight, the process has the same threads."""
    text = (ROOT / "examples" / "embeddings.yaml").read_text()
    threads = {}
    many = 1000 if SLOWNESS == 1 else 100  # sanitizers are slow with tasks
    with simulated("server", "--workers", many, "--service", "300ms", "--timeout", "20s") as port:
        text = text.replace("127.0.0.1:9800", f"127.0.0.1:{port}")
        (tmp_path / "p.yaml").write_text(text)
        for most in (10, many):
            done = threading.Event()
            seen = []
            watcher = threading.Thread(target=watch_threads, args=(f"marker-{most}", done, seen))
            watcher.start()
            count = 20 if most == 10 else many
            outcome = weir("run", "p.yaml", "--json", "--to", "null", "--set", f"stages.call.concurrency={most}",
                           "--set", f"sources.texts.count={count}", "--set", "stages.call.timeout=60s",
                           env={"WEIR_TEST": f"marker-{most}"}, status=0)
            done.set()
            watcher.join()
            report = outcome.json()
            assert report["records_stored"] == count and facts(report, "call")["answered"] == count
            threads[most] = statistics.mode([count for count in seen if count > 1])  # 1: it is still starting
    assert threads[10] == threads[many], threads


def watch_threads(marker, done, seen):
    """How many threads the process with WEIR_TEST=marker has, over and over."""
    pid = None
    while not done.is_set():
        if pid is None:
            for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
                try:
                    if f"WEIR_TEST={marker}".encode() in path.read_bytes():
                        pid = path.parent
                except OSError:
                    continue
        else:
            try:
                status = (pid / "status").read_text()
                seen.append(int(status.split("Threads:")[1].split()[0]))
            except (OSError, IndexError):
                pass
        time.sleep(0.01)


# ---- The adaptive limit, on the simulated clock ----------------------------------------------------------------------

@pytest.mark.parametrize("workers, service", [(50, 0.05), (100, 0.005)])
def test_the_adaptive_limit_finds_what_a_server_can_do(pipeline, workers, service):
    """From 1 on, with all its beginnings: more than four fifths of what is possible, and nothing fails."""
    seconds = 10 if service > 0.01 else 1
    possible = workers / service
    report = pipeline(GENERATE % (possible * seconds) + """
stages:
  - call: {url: "http://model.example/work", value: sensor, values: {number: /number}, fields: {number: i64},
           concurrency: adaptive, most: 2000, retries: 0, timeout: 1100ms, order: none, breaker: 0}
sinks: {out: {type: "null"}}
""", args=["--simulated", "--server", f"workers={workers}", "--server", f"service={service * 1000:.0f}ms"])
    found = facts(report, "call")
    assert report["records_stored"] == found["answered"] == possible * seconds and found["failed"] == 0
    assert report["seconds"] < seconds / 0.8, report["seconds"]
    assert 0.8 * workers <= found["adaptive limit"] <= 4 * workers, found
