# SPDX-License-Identifier: MIT
"""Items of every kind to and from the Python module spead2, where the folder that it is in is given:

    WEIR_TEST_SPEAD2_PYTHON=/path/to/folder pytest tests/e2e/test_spead_python.py
"""
import json
import os
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import BINARY, SLOWNESS
from spead_packets import capture, descriptor, packet, stop

FOLDER = os.environ.get("WEIR_TEST_SPEAD2_PYTHON")
pytestmark = pytest.mark.skipif(not FOLDER, reason="NOT TESTED AGAINST spead2's Python module: WEIR_TEST_SPEAD2_PYTHON "
                                                   "is not set to the folder that it is in")

# name: (how it is described, the value, what weir makes of it)
ITEMS = {
    "counter": ("shape=(), format=[('u', 48)]", "1 << 40", 1 << 40),
    "little": ("shape=(), dtype='<u4'", "7", 7),
    "negative": ("shape=(), dtype='<i2'", "-3", -3),
    "formatted": ("shape=(), format=[('i', 16)]", "-5", -5),
    "single": ("shape=(), dtype='<f4'", "1.25", 1.25),
    "double": ("shape=(), dtype='<f8'", "-2.5", -2.5),
    "float": ("shape=(), format=[('f', 32)]", "2.5", 2.5),
    "flag": ("shape=(), dtype='?'", "True", True),
    "text": ("shape=(None,), format=[('c', 8)]", "'MeerKAT'", "MeerKAT"),
    "bytes": ("shape=(), dtype='S10'", "np.bytes_('hello')", "hello"),
    "big": ("shape=(4,), dtype='>i4'", "np.arange(4, dtype='>i4')", [0, 1, 2, 3]),
    "short": ("shape=(5,), dtype='u1'", "np.arange(5, dtype='u1')", [0, 1, 2, 3, 4]),
    "halves": ("shape=(2,), dtype='<f2'", "np.array([0.5, -2], dtype='<f2')", [0.5, -2]),
    "complex": ("shape=(2,), dtype='<c8'", "np.array([1 + 2j, 3 - 4j], dtype='<c8')", [[1, 2], [3, -4]]),
    "pairs": ("shape=(2,), format=[('i', 8), ('i', 8)]", "[(1, -2), (3, -4)]", [[1, -2], [3, -4]]),
    "records": ("shape=(2,), dtype=[('re', '<i2'), ('im', '<i2')]",
                "np.array([(1, 2), (3, 4)], dtype=[('re', '<i2'), ('im', '<i2')])", [[1, 2], [3, 4]]),
    "twelve": ("shape=(3,), format=[('u', 12)]", "[1, 2, 4095]", [1, 2, 4095]),
    "ten": ("shape=(None,), format=[('i', 10)]", "[-1, -512, 511]", [-1, -512, 511]),
    "bits": ("shape=(3,), format=[('b', 1)]", "[True, False, True]", [1, 0, 1]),
    "matrix": ("shape=(2, 3), dtype='<i2', order='F'", "np.arange(6, dtype='<i2').reshape(2, 3)", [0, 3, 1, 4, 2, 5]),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def python(script, **arguments):
    """Starts a program that may import spead2."""
    path = os.pathsep.join(filter(None, [FOLDER, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], text=True,
                            env={**os.environ, "PYTHONPATH": path}, **arguments)


@pytest.mark.parametrize("bits", [40, 48])
def test_from_python(tmp_path, bits):
    port = free_port()
    (tmp_path / "a.yaml").write_text(f"""
sources: {{heaps: {{type: spead, listen: "127.0.0.1:{port}", tcp: true}}}}
sinks: {{out: {{type: file, path: out.ndjson}}}}
""")
    items = {name: item for name, item in ITEMS.items() if (name, bits) != ("counter", 40)}
    added = "\n".join(f"group.add_item({0x1600 + i}, '{name}', 'text', {described}, value={value})"
                      for i, (name, (described, value, _)) in enumerate(items.items()))
    with subprocess.Popen([BINARY, "run", "a.yaml", "--quiet"], cwd=tmp_path) as receiving:
        try:
            time.sleep(0.5 * SLOWNESS)
            sending = python(f"""
import numpy as np, spead2, spead2.send
stream = spead2.send.TcpStream(spead2.ThreadPool(), [("127.0.0.1", {port})])
group = spead2.send.ItemGroup(flavour=spead2.Flavour(4, 64, {bits}, 0))
{added}
stream.send_heap(group.get_heap(descriptors="all", data="all"))
stream.send_heap(group.get_end())
""")
            assert sending.wait(timeout=60 * SLOWNESS) == 0
            assert receiving.wait(timeout=60 * SLOWNESS) == 0
        finally:
            receiving.kill()
    row = json.loads((tmp_path / "out.ndjson").read_text())
    assert {name: row[name] for name in items} == {name: expected for name, (_, _, expected) in items.items()}


def test_to_python(tmp_path, weir):
    port = free_port()
    numbers = "{'descr': '%s', 'fortran_order': False, 'shape': (2,)}"
    items = [(5, descriptor(0x1000, "n", format="u48")), (0x1000, 77), (5, descriptor(0x1001, "name", (-1,), "c8")),
             (0x1001, b"MeerKAT"), (5, descriptor(0x1002, "x", (2,), "i16")), (0x1002, b"\0\1\xff\xfe"),
             (5, descriptor(0x1003, "z", dtype=numbers % "<c8")), (0x1003, bytes(8) + b"\0\0\x80\x3f\0\0\0\xc0"),
             (5, descriptor(0x1004, "iq", (2,), "i8,i8")), (0x1004, b"\1\xfe\3\xfc")]
    capture(tmp_path / "a.pcap", [packet(1, items), packet(2, [item for item in items if item[0] != 5]), stop(3)])
    (tmp_path / "a.yaml").write_text(f"""
sources: {{heaps: {{type: spead, captures: a.pcap}}}}
sinks: {{out: {{type: spead, to: "127.0.0.1:{port}", tcp: true, immediate: [n]}}}}
""")
    receiving = python(f"""
        import json, numpy as np, spead2, spead2.recv
        stream = spead2.recv.Stream(spead2.ThreadPool())
        stream.add_tcp_reader({port}, bind_hostname="127.0.0.1")
        print("ready", flush=True)
        group = spead2.ItemGroup()
        for heap in stream:
            group.update(heap)
            iq = group["iq"].value
            print(json.dumps([group["n"].value, group["name"].value, group["x"].value.tolist(),
                              str(group["z"].value.tolist()), iq["re"].tolist(), iq["im"].tolist()], default=int))
    """, stdout=subprocess.PIPE)
    try:
        assert receiving.stdout.readline() == "ready\n"
        weir("run", "a.yaml", "--quiet", status=0)
        lines = receiving.communicate(timeout=60 * SLOWNESS)[0].splitlines()
    finally:
        receiving.kill()
    assert [json.loads(line) for line in lines] == [[77, "MeerKAT", [1, -2], "[0j, (1-2j)]", [1, 3], [-2, -4]]] * 2
