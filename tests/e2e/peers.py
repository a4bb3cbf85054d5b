# SPDX-License-Identifier: MIT
"""Peers for end-to-end tests: an HTTP server whose answers a test decides, and weir's simulated ones."""
import contextlib
import http.server
import re
import signal
import subprocess
import threading

from conftest import BINARY, SLOWNESS, environment


class Asked:
    """A request, as a handler sees it."""

    def __init__(self, handler, body):
        self.method, self.path, self.headers, self.body = handler.command, handler.path, handler.headers, body


@contextlib.contextmanager
def http_peer(answer, context=None):
    """Serves HTTP on a free port of 127.0.0.1 while the block runs. answer(Asked) returns a status, or (status, body),
    or (status, body, headers), or None: then the connection is cut. Yields an object with `port` and `asked`, all
    requests in the order in which they came."""

    class Peer:
        asked = []
        lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self, body)
            with Peer.lock:
                Peer.asked.append(asked)
            result = answer(asked)
            if result is None:
                self.close_connection = True
                return
            status, content, headers = (*result, {})[:3] if isinstance(result, tuple) else (result, b"", {})
            content = content.encode() if isinstance(content, str) else content
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if status != 204:
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_any

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    Peer.port = server.server_address[1]
    try:
        yield Peer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10 * SLOWNESS)


@contextlib.contextmanager
def simulated(*arguments):
    """`weir simulate ARGUMENTS` on a free port; yields the port."""
    process = subprocess.Popen([str(BINARY), "simulate", *map(str, arguments), "--listen", "127.0.0.1:0"],
                               stderr=subprocess.PIPE, text=True, env=environment())
    try:
        port = None
        for line in process.stderr:
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found:
                port = int(found.group(1))
                break
        assert port
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20 * SLOWNESS)
