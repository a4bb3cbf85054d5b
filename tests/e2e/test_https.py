# SPDX-License-Identifier: MIT
"""https and proxies: certificates that are good, and those that are to be refused, with the reason."""
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import BINARY, environment
from peers import http_peer


def has_https():
    text = ('sources: {a: {type: http, url: "https://127.0.0.1:9/", count: 1, retries: 0, timeout: 1s}}\n'
            'sinks: {b: {type: "null"}}\n')
    done = subprocess.run([str(BINARY), "check", "-"], input=text.encode(), capture_output=True, check=False,
                          env=environment())
    run = subprocess.run([str(BINARY), "run", "-"], input=text.encode(), capture_output=True, check=False,
                         env=environment())
    return b"left out of this build" not in done.stderr + run.stderr


pytestmark = pytest.mark.skipif(not shutil.which("openssl") or not BINARY.exists() or not has_https(),
                                reason="needs a weir with https, and the openssl command")

AUTHORITY = """[ca]
default_ca=own
[own]
database=index.txt
serial=serial
new_certs_dir=.
default_md=sha256
policy=any
[any]
commonName=supplied
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with ca.pem and, signed by it, good.pem, wrong_host.pem, expired.pem, and self_signed.pem."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=test authority")
    openssl("req", "-x509", *key, "-keyout", "self_signed.key", "-out", "self_signed.pem", "-days", "30", "-subj",
            "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    (folder / "ca.cnf").write_text(AUTHORITY)
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01\n")
    for name, names, end in (("good", "IP:127.0.0.1,DNS:localhost", "20991231000000Z"),
                             ("wrong_host", "DNS:elsewhere.example", "20991231000000Z"),
                             ("expired", "IP:127.0.0.1", "20200201000000Z")):
        (folder / "names").write_text(f"subjectAltName={names}\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr",
                "-out", f"{name}.pem", "-startdate", "20200101000000Z", "-enddate", end, "-extfile", "names", "-notext")
    return folder


def server_of(certificates, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def answer(asked):
    return 200, json.dumps({"value": 1.5, "path": asked.path}), {"Content-Type": "application/json"}


def source(port, more="", host="127.0.0.1", count=2):
    return (f'sources: {{f: {{type: http, url: "https://{host}:{port}/sensor/{{0..3}}", every: 20ms, spread: 0, '
            f"timeout: 5s, retries: 0, count: {count}{more}}}}}\n"
            "sinks: {out: {type: file, path: out.ndjson}}\n")


def facts(report, part="f"):
    return {fact["name"]: fact.get("value", fact.get("text")) for fact in report["facts"] if fact["part"] == part}


def test_sensors_over_https(pipeline, tmp_path, certificates):
    with http_peer(answer, server_of(certificates, "good")) as peer:
        report = pipeline(source(peer.port, f", ca: {certificates}/ca.pem, token: hunter2"))
    assert report["records_stored"] == 8 and facts(report)["answers"] == 8
    assert all(asked.headers["Authorization"] == "Bearer hunter2" for asked in peer.asked)
    assert {asked.path for asked in peer.asked} == {f"/sensor/{i}" for i in range(4)}
    assert all("," not in asked.headers["Host"] and asked.headers["Host"] for asked in peer.asked)


@pytest.mark.parametrize("name, more, words", [
    ("good", "", "unable to get local issuer certificate"),
    ("self_signed", ", ca: CA", "self-signed certificate"),
    ("expired", ", ca: CA", "certificate has expired"),
    ("wrong_host", ", ca: CA", "no alternative certificate subject name matches"),
    ("good", ", ca: nosuch.pem", "nosuch.pem")])
def test_bad_certificates_are_refused_with_the_reason(pipeline, certificates, name, more, words):
    with http_peer(answer, server_of(certificates, name)) as peer:
        report = pipeline(source(peer.port, more.replace("CA", f"{certificates}/ca.pem"), count=1), status=1)
    assert report["records_stored"] == 0 and not peer.asked
    assert "not to be trusted" in facts(report)["do not answer"]
    errors = report["outcome"].stderr
    assert words in errors and "not to be trusted" in errors, errors


@pytest.mark.parametrize("name", ["self_signed", "expired", "wrong_host"])
def test_insecure_takes_any_certificate(pipeline, certificates, name):
    with http_peer(answer, server_of(certificates, name)) as peer:
        report = pipeline(source(peer.port, ", insecure: true", count=1))
    assert report["records_stored"] == 4


def test_https_where_none_is_spoken(pipeline):
    with http_peer(answer) as peer:
        report = pipeline(source(peer.port, count=1), status=1)
    assert report["records_stored"] == 0 and "TLS failed" in facts(report)["do not answer"]


def test_a_server_that_never_shakes_hands(pipeline):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        report = pipeline(source(listener.getsockname()[1], count=1).replace("timeout: 5s", "timeout: 200ms"), status=1)
    assert "timed out while connecting" in facts(report)["do not answer"]


def test_call_and_sink_over_https(pipeline, tmp_path, certificates):
    stored = []

    def judge(asked):
        if asked.path == "/call":
            return 200, json.dumps({"twice": 2 * json.loads(asked.body)["seq"]})
        stored.extend(json.loads(line) for line in asked.body.decode().splitlines())
        return 201

    with http_peer(judge, server_of(certificates, "good")) as peer:
        pipeline(f"""sources: {{in: {{type: generate, keys: 3, rate: unlimited, count: 50}}}}
stages:
  - call: {{url: "https://localhost:{peer.port}/call", values: {{twice: /twice}}, ca: {certificates}/ca.pem,
           concurrency: 8}}
sinks: {{out: {{type: http, url: "https://localhost:{peer.port}/in", ca: {certificates}/ca.pem}}}}\n""")
    assert sorted((r["seq"], r["twice"]) for r in stored) == [(i, 2 * i) for i in range(50)]


# ---- Proxies ---------------------------------------------------------------------------------------------------------


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes on GET of whole addresses, and opens tunnels."""
    protocol_version = "HTTP/1.1"
    seen = []

    def do_CONNECT(self):
        Proxy.seen.append(("CONNECT", self.path, self.headers))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200, "opened")
            self.end_headers()
            back = threading.Thread(target=self.pump, args=(there, self.connection))
            back.start()
            self.pump(self.connection, there)
            back.join()
        self.close_connection = True

    @staticmethod
    def pump(from_, to):
        try:
            while data := from_.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def do_GET(self):
        Proxy.seen.append(("GET", self.path, self.headers))
        body = json.dumps({"value": 2.5}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    Proxy.seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_through_a_proxy(pipeline, proxy):
    text = source(80, f', proxy: "http://me:hunter2@127.0.0.1:{proxy}"', "sensors.example", 1)
    report = pipeline(text.replace("https://sensors.example:80", "http://sensors.example"))
    assert report["records_stored"] == 4
    assert {(method, path) for method, path, _ in Proxy.seen} == {
        ("GET", f"http://sensors.example/sensor/{i}") for i in range(4)} or Proxy.seen[0][1].startswith(
            "http://sensors.example:80/")
    assert all(headers["Proxy-Authorization"] for _, _, headers in Proxy.seen)
    assert "hunter2" not in report["outcome"].stdout + report["outcome"].stderr


def test_https_through_a_tunnel(pipeline, proxy, certificates):
    with http_peer(answer, server_of(certificates, "good")) as peer:
        report = pipeline(source(peer.port, f', proxy: "http://127.0.0.1:{proxy}", token: hunter2, '
                                            f"ca: {certificates}/ca.pem", count=1))
    assert report["records_stored"] == 4
    assert all(method == "CONNECT" and "Authorization" not in headers for method, _, headers in Proxy.seen)


def test_a_proxy_that_is_not_there(pipeline):
    report = pipeline(source(9, ', proxy: "http://me:hunter2@127.0.0.1:9"', count=1), status=1)
    assert "the proxy failed" in facts(report)["do not answer"]
    assert "hunter2" not in report["outcome"].stdout + report["outcome"].stderr
