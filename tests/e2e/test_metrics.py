# SPDX-License-Identifier: MIT
"""What a run serves over HTTP: metrics as promtool wants them and a real Prometheus reads them, health, readiness."""
import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import BINARY, SLOWNESS, environment

LIVE = """
sources: {in: {type: generate, keys: 20, rate: 2000/s, fault_rate: 0.05, fault: null}}
stages:
  - filter: value is not null
  - rolling: {field: value, window: 10, compute: [mean]}
sinks: {out: {type: "null"}}
serve: {listen: 127.0.0.1:0}
"""


class Run:
    """A weir that runs and answers."""

    def __init__(self, process, address):
        self.process, self.address = process, address

    def ask(self, path, method="GET"):
        """(status, headers, text)"""
        request = urllib.request.Request(f"http://{self.address}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10 * SLOWNESS) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def until(self, path, good):
        """Asks again until good(status, text); returns the text."""
        deadline = time.monotonic() + 20 * SLOWNESS
        while time.monotonic() < deadline:
            status, _, text = self.ask(path)
            if good(status, text):
                return text
            time.sleep(0.05)
        pytest.fail(f"{path} still says {status}: {text}")

    def samples(self):
        """name{labels} → value, of a page with data."""
        text = self.until("/metrics", lambda status, text: status == 200 and
                          re.search(r'^weir_records_settled_total\{outcome="stored"\} [1-9]', text, re.M))
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


@pytest.fixture
def serving(tmp_path):
    """serving(yaml): a Run, ended with Ctrl-C after the test, which it must survive."""
    with contextlib.ExitStack() as stack:

        def start(text, *args):
            (tmp_path / "live.yaml").write_text(text)
            process = subprocess.Popen([str(BINARY), "run", "live.yaml", *args], cwd=tmp_path, env=environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            stack.callback(finish, process)
            for line in process.stderr:
                found = re.search(r"metrics on http://(\S+)/metrics", line)
                if found:
                    return Run(process, found.group(1))
            pytest.fail(f"weir ended with {process.wait()}")

        yield start


def finish(process):
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=20 * SLOWNESS)
        assert process.returncode in (0, 130) and "Sanitizer" not in errors, errors[-4000:]
    finally:
        process.kill()


@pytest.mark.threads
def test_values(serving):
    run = serving(LIVE)
    samples = run.samples()
    settled = {o: float(samples[f'weir_records_settled_total{{outcome="{o}"}}'])
               for o in ("stored", "filtered", "refused", "dropped")}
    assert settled["stored"] > 0 and settled["refused"] == settled["dropped"] == 0
    assert float(samples['weir_source_records_read_total{source="in"}']) >= sum(settled.values())
    assert float(samples['weir_latency_seconds_bucket{le="+Inf"}']) == float(samples["weir_latency_seconds_count"])
    assert 'weir_part_busy_seconds_total{part="rolling",kind="stage",type="rolling"}' in samples
    assert float(samples["weir_keys"]) == 20
    assert float(samples["process_resident_memory_bytes"]) > 1 << 20
    assert abs(float(samples["process_start_time_seconds"]) - time.time()) < 60 * SLOWNESS
    later = run.samples()
    assert all(float(later[name]) >= float(value) for name, value in samples.items()
               if name.split("{")[0].endswith(("_total", "_count", "_bucket", "_sum")))


@pytest.mark.threads
def test_paths_and_methods(serving):
    run = serving(LIVE)
    run.samples()
    status, headers, text = run.ask("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert run.ask("/metrics", "HEAD")[0] == 200 and run.ask("/metrics", "HEAD")[2] == ""
    assert run.ask("/healthz")[0::2] == (200, "ok\n")
    assert run.until("/readyz", lambda status, text: status == 200) == "ready\n"
    assert run.ask("/nothing")[0] == 404
    assert run.ask("/metrics", "POST")[0] == 405
    assert text.endswith("\n")


def test_promtool_has_nothing_to_say(serving):
    if not shutil.which("promtool"):
        pytest.skip("needs promtool")
    run = serving(LIVE + "goals: {latency_p99: 10s, rate: 1/s, max_lag: 10s}\n")
    run.samples()
    done = subprocess.run(["promtool", "check", "metrics"], input=run.ask("/metrics")[2], text=True,
                          capture_output=True, timeout=60 * SLOWNESS, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


def test_a_missed_goal_is_not_ready(serving):
    run = serving(LIVE + "goals: {rate: 1000000/s, latency_p99: 1min}\n")
    text = run.until("/readyz", lambda status, text: status == 503 and "goal" in text)
    assert re.fullmatch(r"goal rate missed lately: wanted at least 1e\+06/s, got [\d.]+/s\n", text)
    samples = run.samples()
    assert samples["weir_ready"] == "0" and samples['weir_goal_met{goal="rate"}'] == "0"
    assert samples['weir_goal_met{goal="latency_p99"}'] == "1" and samples['weir_goal_wanted{goal="rate"}'] == "1000000"
    assert run.ask("/healthz")[0] == 200  # slow is not broken


def test_falling_behind_is_not_ready(serving):
    """2,000 records come each second, at most 500 are worked off: the lag grows, whatever the machine."""
    run = serving(LIVE.replace("filter: value is not null", "burn: 2ms") + "run: {lanes: 1}\ngoals: {max_lag: 1s}\n")
    text = run.until("/readyz", lambda status, text: status == 503 and "falling behind" in text and "max_lag" in text)
    assert "goal max_lag missed lately: wanted at most 1.00 s, got" in text
    assert run.samples()['weir_verdict{verdict="falling behind"}'] == "1"
    run.process.send_signal(signal.SIGINT)  # and the second one follows: what waits is not worked off
    run.until("/readyz", lambda status, text: "ending" in text)


def test_labels_do_not_grow_with_the_data(serving, tmp_path):
    """Thousands of keys, fields that nobody declared, values of the wrong type: no label knows them."""
    with open(tmp_path / "wild.ndjson", "w") as file:
        for i in range(5000):
            value = f'"wrong{i}"' if i % 2 else i
            file.write(f'{{"sensor": "key{i}", "value": {value}, "extra{i}": 1}}\nbroken{i}\n')
    run = serving("""
sources: {in: {type: file, path: wild.ndjson, follow: true, key: sensor, fields: {sensor: symbol, value: f64}}}
stages: [{rolling: {field: value, window: 3, compute: [mean]}}]
sinks: {out: {type: "null"}}
serve: {listen: 127.0.0.1:0}
""")
    text = run.until("/metrics", lambda status, text:
                     re.search(r'^weir_source_records_read_total\{source="in"\} 10000$', text, re.M)
                     and re.search(r'^weir_records_settled_total\{outcome="stored"\} 5000$', text, re.M))
    assert re.search(r"^weir_keys 5000$", text, re.M)
    assert not re.search(r"(key|wrong|extra|broken)\d", text)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) < 250
    reasons = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines
               if line.startswith("weir_events_total")}
    assert reasons['weir_events_total{part="in",reason="type mismatch"}'] == 2500
    assert reasons['weir_events_total{part="in",reason="extra field"}'] == 5000


def test_addresses(weir, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "p.yaml").write_text(LIVE.replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"))
        assert "cannot listen on 127.0.0.1" in weir("run", "p.yaml", status=1).stderr
    outcome = weir("run", "p.yaml", "--set", "serve.listen=nowhere", status=2)
    assert "no address with a port" in outcome.stderr


# ---- Prometheus ----------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def prometheus(tmp_path):
    """prometheus(address): a real one that scrapes there; returns a function that asks it PromQL."""
    if not shutil.which("prometheus"):
        pytest.skip("needs prometheus")
    with contextlib.ExitStack() as stack:

        def start(address):
            folder, port = tmp_path / "prometheus", free_port()
            folder.mkdir()
            (folder / "prometheus.yml").write_text(json.dumps({
                "global": {"scrape_interval": f"{100 * SLOWNESS}ms", "scrape_timeout": f"{100 * SLOWNESS}ms"},
                "scrape_configs": [{"job_name": "weir", "static_configs": [{"targets": [address]}]}]}))
            with open(folder / "log", "w") as log:
                process = subprocess.Popen(["prometheus", f"--config.file={folder / 'prometheus.yml'}",
                                            f"--storage.tsdb.path={folder / 'data'}",
                                            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
                                           stdout=log, stderr=log, cwd=folder)
            stack.callback(process.wait, 20)
            stack.callback(process.kill)

            def query(text, good):
                """The result, once good(result) says so."""
                deadline, found = time.monotonic() + 30 * SLOWNESS, None
                url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
                while time.monotonic() < deadline:
                    assert process.poll() is None, (folder / "log").read_text()
                    with contextlib.suppress(OSError):
                        with urllib.request.urlopen(url, timeout=10) as answer:
                            found = json.load(answer)
                        assert found["status"] == "success", found
                        if found["data"]["result"] and good(found["data"]["result"]):
                            return found["data"]["result"]
                    time.sleep(0.1)
                return pytest.fail(f"{text}: {found}; {(folder / 'log').read_text()}")

            return query

        yield start


def value(result):
    assert len(result) == 1, result
    return float(result[0]["value"][1])


def test_a_real_prometheus_reads_it(serving, prometheus):
    run = serving(LIVE)
    stored = float(run.samples()['weir_records_settled_total{outcome="stored"}'])
    query = prometheus(run.address)
    query("up", lambda result: value(result) == 1)
    first = value(query('weir_records_settled_total{outcome="stored"}', lambda result: value(result) > stored))
    result = query('weir_records_settled_total{outcome="stored"}', lambda result: value(result) > first)
    assert result[0]["metric"]["job"] == "weir" and result[0]["metric"]["instance"] == run.address
    # Half of the records or more were stored within the bound that is told; and the rate is one.
    value(query("histogram_quantile(0.5, weir_latency_seconds_bucket)", lambda result: 0 < value(result) < 1000))
    value(query("rate(weir_source_records_read_total[10s])", lambda result: 0 < value(result) < 1e5))
    parts = query("weir_part_records_in_total", lambda result: len(result) >= 3)
    assert {part["metric"]["part"] for part in parts} >= {"filter", "rolling", "out"}
    assert value(query("scrape_samples_scraped", lambda result: True)) > 50
