# SPDX-License-Identifier: MIT
"""The spead source: items of heaps become columns."""
import hashlib
import json
import pathlib
import socket
import struct
import subprocess

import pytest

from conftest import BINARY, SLOWNESS, environment
from spead_packets import capture, descriptor, packet, packets, stop

CAPTURES = pathlib.Path(__file__).resolve().parent.parent / "data" / "spead"


def records(pipeline, options, **arguments):
    """The records that a source with these options makes, and the run's report."""
    report = pipeline(f"""
        sources: {{heaps: {{type: spead, {options}}}}}
        sinks: {{out: {{type: file, path: out.ndjson}}}}
    """, **arguments)
    folder = report["outcome"].folder
    return [json.loads(line) for line in (folder / "out.ndjson").read_text().splitlines()], report


def facts(report):
    return {fact["name"]: fact["value"] for fact in report["facts"] if "value" in fact}


@pytest.mark.parametrize("name, order", [("spead2-64-40-5items", ">"), ("spead2-many-items", ">"),
                                         ("spead2-pyspead-compat", "<")])
def test_items_of_captures_are_what_is_known_of_them(pipeline, name, order):
    known = json.loads((CAPTURES / f"{name}.json").read_text())
    pyspead = ", pyspead: true" if "pyspead" in name else ""
    rows, _ = records(pipeline, f"captures: {CAPTURES / name}.pcap{pyspead}")
    heaps = [heap for heap in known if any(int(item["id"], 16) > 6 for item in heap["items"])]
    assert [row["heap"] for row in rows] == [heap["cnt"] for heap in heaps]
    for row, heap in zip(rows, heaps):
        arrays = [value for value in row.values() if isinstance(value, list)]
        items = [item for item in heap["items"] if int(item["id"], 16) > 6]
        assert len(arrays) == len(items)
        for values, item in zip(arrays, items):
            code = f"{order}{len(values)}{'I' if max(values) > 0x7fffffff else 'i'}"
            assert hashlib.sha256(struct.pack(code, *values)).hexdigest() == item["sha256"]


def test_types_of_items(pipeline, tmp_path):
    dtype = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"
    half = "{'descr': '<f2', 'fortran_order': False, 'shape': (2,)}"
    pairs = "{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}"
    items = [
        (5, descriptor(0x1000, "count", format="u48")), (5, descriptor(0x1001, "level", format="f32")),
        (5, descriptor(0x1002, "on", format="b8")), (5, descriptor(0x1003, "name", (-1,), "c8")),
        (5, descriptor(0x1004, "wide", (3,), "i16")), (5, descriptor(0x1005, "packed", (4,), "i10")),
        (5, descriptor(0x1006, "floats", dtype=dtype)), (5, descriptor(0x1007, "halves", dtype=half)),
        (5, descriptor(0x1008, "pairs", dtype=pairs)), (5, descriptor(0x1009, "iq", (2,), "i8,i8")),
        (0x1000, (1 << 47) + 5), (0x1001, struct.unpack(">I", struct.pack(">f", 1.5))[0]), (0x1002, 1),
        (0x1003, b"MeerKAT\0"), (0x1004, struct.pack(">3h", -1, 2, -32768)),
        (0x1005, int("0111111111" "1000000000" "1111111111" "0000000001", 2).to_bytes(5, "big")),
        (0x1006, struct.pack("<3f", 0.1, -2, 3e20)), (0x1007, struct.pack("<2e", 0.5, -65504)),
        (0x1008, struct.pack("<4f", 1, 2, 3, -4)), (0x1009, struct.pack("4b", 1, -2, 127, -128)),
    ]
    again = [(0x1004, struct.pack(">3h", 4, 5, 6))] + items[-5:]
    capture(tmp_path / "a.pcap", [packet(7, items), packet(8, again), stop(9)])
    rows, _ = records(pipeline, "captures: a.pcap")
    expected = {"count": (1 << 47) + 5, "level": 1.5, "on": True, "name": "MeerKAT", "wide": [-1, 2, -32768],
                "packed": [511, -512, -1, 1], "floats": [0.1, -2, 3e20], "halves": [0.5, -65504],
                "pairs": [[1, 2], [3, -4]], "iq": [[1, -2], [127, -128]],
                "ts": "2023-11-14T22:13:20Z", "sender": "127.0.0.1:4000", "heap": 7}
    # What a heap leaves out keeps its value, but for arrays.
    assert rows == [expected, {**expected, "wide": [4, 5, 6], "ts": "2023-11-14T22:13:20.001Z", "heap": 8}]


NUMPY = "{'descr': %s, 'fortran_order': False, 'shape': %s}"


def described(item, name, dtype, shape="()"):
    return (5, descriptor(item, name, dtype=NUMPY % (dtype, shape)))


def test_immediates_keep_their_byte_order(pipeline, tmp_path):
    """spead2 puts the bytes of a short NumPy item into the pointer as they are."""
    values = {"<u4": 7, ">u4": 7, "<i2": -2, "<f4": 1.5, "|u1": 200}
    items = [described(0x1000 + i, dtype, f"'{dtype}'") for i, dtype in enumerate(values)]
    items += [(0x1000 + i, int.from_bytes(np_bytes(dtype, value), "big")) for i, (dtype, value) in
              enumerate(values.items())]
    capture(tmp_path / "a.pcap", [packet(1, items)])
    rows, _ = records(pipeline, "captures: a.pcap")
    assert {name: rows[0][name] for name in values} == values


def np_bytes(dtype, value):
    code = {"u1": "B", "u4": "I", "i2": "h", "f4": "f"}[dtype[1:]]
    return struct.pack(dtype[0].replace("|", "=") + code, value)


@pytest.mark.parametrize("items, words, fact", [
    ([(5, descriptor(0x1000, "x", (400,), "i16")), (0x1000, b"ab")],
     'item "x" (0x1000) is too short: 2 bytes, where its descriptor says 800', "heaps_with_short_items"),
    ([(5, descriptor(0x1000, "x", (0,), "i16")), (0x1000, b"ab")], 'item "x" (0x1000) has no elements',
     "heaps_with_short_items"),
    ([described(0x1000, "x", "'<M8[ns]'"), (0x1000, b"abcdefgh")],
     """item "x" (0x1000): a dtype that cannot be read: {'descr': '<M8[ns]'""", "descriptors_refused"),
    ([(5, descriptor(0x1000, "x", (2,), "u8,i16")), (0x1000, b"abcdef")],
     '`describe: {name: "0x1000 i16le[]"}` says how to read them', "heaps_without_data"),
    ([(5, descriptor(0x1000, "x", (), "u64")), (0x1000, b"\xff" * 8)], 'item "x" (0x1000) is over 2^63',
     "numbers_out_of_range"),
    ([(5, descriptor(0x1000, "x", (-1,), "c8")), (0x1000, b"a" * 70000)],
     'item "x" (0x1000) is a text of 70000 bytes, of which the first 65536 are kept', "texts_cut"),
])
def test_what_makes_no_column_is_said(pipeline, tmp_path, items, words, fact):
    capture(tmp_path / "a.pcap", packets(1, items, 60000))
    _, report = records(pipeline, "captures: a.pcap")
    assert words in report["outcome"].stderr and facts(report)[fact] == 1, report["outcome"]


@pytest.mark.parametrize("option, words", [
    ("time: samples", '`time`: item "samples" (0x1000) is an array, and a time is a number'),
    ("time: name", '`time`: item "name" (0x1001) is text, and a time is a number'),
    ("key: samples", '`key`: item "samples" (0x1000) is an array, and no key')])
def test_options_name_an_item_of_the_wrong_kind(pipeline, tmp_path, option, words):
    items = [(5, descriptor(0x1000, "samples", (2,), "u8")), (5, descriptor(0x1001, "name", (-1,), "c8")),
             (0x1000, b"ab"), (0x1001, b"hey")]
    capture(tmp_path / "a.pcap", [packet(1, items)])
    rows, report = records(pipeline, f"captures: a.pcap, {option}")
    assert words in report["outcome"].stderr and rows[0]["ts"] and rows[0]["sender"] == "127.0.0.1:4000"


def test_odd_types(pipeline, tmp_path):
    items = [described(0x1000, "text", "'|S10'"), (0x1000, b"hello\0\0\0\0\0"),
             described(0x1001, "one field", "[('a', '<f4')]", "(2,)"), (0x1001, struct.pack("<2f", 1, 2)),
             (5, descriptor(0x1002, "bits", (10,), "u1")), (0x1002, b"\xaa\x80"),
             (5, descriptor(0x1003, "flags", (3,), "b1")), (0x1003, b"\xa0"),
             (5, descriptor(0x1004, "level", (), "i12")), (0x1004, b"\xff\xe0"),
             (5, descriptor(0x1005, "immediate", (), "i12")), (0x1005, 0xffd),
             described(0x1006, "matrix", "'>i2'", "(2, 2)"), (0x1006, struct.pack(">4h", 1, 2, 3, 4)),
             (0x1007, b"mine")]
    capture(tmp_path / "a.pcap", [packet(1, items)])
    rows, _ = records(pipeline, "captures: a.pcap, describe: {bits: '0x1007 u8[]'}")  # a name that the stream has, too
    assert {name: value for name, value in rows[0].items() if name not in ("ts", "sender", "heap")} == {
        "text": "hello", "one field": [1, 2], "bits": list(b"mine"), "item_0x1002": [1, 0] * 5, "flags": [1, 0, 1],
        "level": -2, "immediate": -3, "matrix": [1, 2, 3, 4]}


def test_time_of_items(pipeline, tmp_path):
    first = [(5, descriptor(0x1600, "timestamp", format="u48")), (5, descriptor(0x1001, "x", format="f32"))]
    heaps = [packet(i + 1, (first if i == 0 else []) + [(0x1600, i * 1712000), (0x1001, 0)]) for i in range(3)]
    capture(tmp_path / "a.pcap", heaps)
    rows, _ = records(pipeline, "captures: a.pcap, time: timestamp, time_scale: 1712000000/s, "
                                "time_start: '2024-11-21T03:20:00Z'")
    assert [row["timestamp"] for row in rows] == ["2024-11-21T03:20:00Z", "2024-11-21T03:20:00.001Z",
                                                  "2024-11-21T03:20:00.002Z"]
    assert "ts" not in rows[0]
    rows, _ = records(pipeline, "captures: a.pcap, time: timestamp, time_scale: 1us")
    assert rows[1]["timestamp"] == "1970-01-01T00:00:01.712Z"
    capture(tmp_path / "a.pcap", [packet(1, first + [(0x1600, 5), (0x1001, 0)]), packet(2, [(0x1600, 1 << 47)])])
    rows, report = records(pipeline, "captures: a.pcap, time: timestamp")  # as seconds
    assert [row["timestamp"] for row in rows] == ["1970-01-01T00:00:05Z", None]
    assert facts(report)["times_out_of_range"] == 1 and '"timestamp" (0x1600) is no time' in report["outcome"].stderr


def test_a_changed_descriptor_is_a_new_schema(pipeline, tmp_path):
    def heap(count, format, data):
        return packet(count, [(5, descriptor(0x1000, "samples", (-1,), format)), (0x1000, data)])

    capture(tmp_path / "a.pcap", [heap(1, "i16", b"\0\1\0\2"), heap(2, "i16", b"\0\1\0\2\0\3"), heap(3, "u8", b"\1\2")])
    rows, _ = records(pipeline, "captures: a.pcap")
    assert [row["samples"] for row in rows] == [[1, 2], [1, 2, 3], [1, 2]]


PAIRS = "{'descr': [('re', '<i2'), ('im', '<i2')], 'fortran_order': False, 'shape': (2,)}"


@pytest.mark.parametrize("dtype, values", [
    (PAIRS, [[1, -2], [3, -4]]), (PAIRS.replace("'re'", "'real'").replace("'im'", "'imag'"), [[1, -2], [3, -4]]),
    (PAIRS.replace("<i2", ">u2"), [[256, 65279], [768, 64767]]),
    (PAIRS.replace("'re'", "'a'"), None), (PAIRS.replace("('re', '<i2')", "('re', '<u2')"), None)])
def test_records_of_two_numbers_are_complex(pipeline, tmp_path, dtype, values):
    items = [(5, descriptor(0x1000, "iq", dtype=dtype)), (0x1000, struct.pack("<4h", 1, -2, 3, -4)),
             (5, descriptor(0x1001, "n", format="u48")), (0x1001, 7)]
    capture(tmp_path / "a.pcap", [packet(1, items)])
    rows, _ = records(pipeline, "captures: a.pcap")
    assert rows[0].get("iq") == values and rows[0]["n"] == 7
    rows, _ = records(pipeline, "captures: a.pcap, describe: {mine: '0x1000 ci16le[]'}")
    assert rows[0]["mine"] == [[1, -2], [3, -4]]


@pytest.mark.parametrize("option", ["chunk_item: '0x1600'", "chunk_heap_bytes: 100", "chunk_step: 2", "chunk_first: 0",
                                    "chunk_window: 3"])
def test_chunk_options_without_chunks(weir, tmp_path, option):
    (tmp_path / "a.yaml").write_text(f"sources: {{heaps: {{type: spead, listen: ':0', {option}}}}}\n"
                                     "sinks: {out: {type: 'null'}}\n")
    outcome = weir("run", "a.yaml")
    assert outcome.status != 0 and f"`{option.split(':')[0]}` has no effect without" in outcome.stderr, outcome


@pytest.mark.parametrize("option, words", [("", "has 5 bytes and comes by itself: only heaps of 4"),
                                           (", chunk_first: 5", "has no place in a chunk")])
def test_heaps_outside_chunks_are_counted_and_said(pipeline, tmp_path, option, words):
    described = [(5, descriptor(0x1000, "x", (-1,), "u8"))]
    heaps = [packet(1, described + [(0x1000, b"abcd")])]
    heaps += [packet(i, [(0x1000, b"abcd" + (b"e" if i == 4 and not option else b""))]) for i in range(2, 9)]
    capture(tmp_path / "a.pcap", heaps)
    rows, report = records(pipeline, f"captures: a.pcap, chunk_heaps: 4, chunk_heap_bytes: 4{option}")
    assert len(rows) == 8
    assert facts(report)["heaps_outside_chunks"] == (4 if option else 2)  # the first one has descriptors
    assert words in report["outcome"].stderr


@pytest.mark.parametrize("option, words", [
    ("max_heap_bytes: 1000", ["`max_heap_bytes` is 1000", "`max_heap_bytes: 3000` takes them"]),
    ("heap_memory: 8192, max_heaps: 2, ring_heaps: 3", ["memory for heaps is used up", "`heap_memory: 270000`"])])
def test_refused_heaps_name_the_option(pipeline, tmp_path, option, words):
    size = 30000 if "memory" in option else 3000
    described = [(5, descriptor(0x1000, "x", (-1,), "u8")), (0x1000, b"abcd")]
    refused = packets(2, [(0x1000, b"a" * size)], 1000)
    capture(tmp_path / "a.pcap", [packet(1, described), *refused, packet(3, described)])
    rows, report = records(pipeline, f"captures: a.pcap, {option}")
    assert [row["heap"] for row in rows] == [1, 3]
    assert all(word in report["outcome"].stderr for word in words), report["outcome"]


def test_items_without_descriptors(pipeline, tmp_path):
    items = [(0x4300, struct.pack("<4h", 1, -2, 3, -4)), (0x1600, 99), (0x4301, b"\1")]
    capture(tmp_path / "a.pcap", [packet(1, items)])
    rows, report = records(pipeline, "captures: a.pcap, describe: {samples: '0x4300 i16le[]', stamp: '0x1600 u48'}")
    assert rows[0]["samples"] == [1, -2, 3, -4] and rows[0]["stamp"] == 99
    assert facts(report)["items_undescribed"] == 1
    rows, report = records(pipeline, "captures: a.pcap")
    assert rows == [] and facts(report)["heaps_without_data"] == 1
    told = report["outcome"].stderr
    assert told.count("that no descriptor came for") == 1 and 'describe: {name: "0x4300 i16[]"}' in told, told


@pytest.mark.parametrize("text, words", [("x u8", "id"), ("0x1000 q8", "no type"), ("0x1000 f24", "no type"),
                                         ("0x1000 i16[", "no type"), ("2 u8", "id")])
def test_wrong_descriptions(weir, tmp_path, text, words):
    (tmp_path / "a.pcap").write_bytes(b"")
    (tmp_path / "a.yaml").write_text(f"sources: {{h: {{type: spead, captures: a.pcap, describe: {{a: '{text}'}}}}}}\n"
                                     "sinks: {o: 'null'}\n")
    outcome = weir("run", "a.yaml")
    assert outcome.status != 0 and words in outcome.stderr and "a.yaml:1:" in outcome.stderr, outcome


def test_which_items(pipeline, tmp_path):
    described = [(5, descriptor(0x1000 + i, f"item{i}", (2,), "u8")) for i in range(4)]
    capture(tmp_path / "a.pcap", [packet(1, described + [(0x1000 + i, bytes([i, i])) for i in range(4)])])
    rows, _ = records(pipeline, "captures: a.pcap, items: [item1, '0x1003']")
    assert [name for name in rows[0] if name.startswith("item")] == ["item1", "item3"]
    rows, report = records(pipeline, "captures: a.pcap, items: [item1, itme3]")
    told = report["outcome"].stderr
    assert '`items`: the stream has no item "itme3", did you mean "item3"?; it has: ' in told, told


def test_heaps_that_lack_an_array_make_no_record(pipeline, tmp_path):
    described = [(5, descriptor(0x1000 + i, f"item{i}", (2,), "u8")) for i in range(2)]
    capture(tmp_path / "a.pcap", [packet(1, described), packet(2, [(0x1000, b"ab")]), packet(3, [(0x1001, b"a")]),
                                  packet(4, [(0x1000, b"ab"), (0x1001, b"cd")])])
    rows, report = records(pipeline, "captures: a.pcap")
    assert [row["heap"] for row in rows] == [4]
    told = facts(report)
    assert (told["heaps_lacking_an_array"], told["heaps_with_short_items"], told["heaps_without_data"]) == (1, 1, 1)


def test_losses_have_names(pipeline, tmp_path):
    described = packet(1, [(5, descriptor(0x1000, "samples", (400,), "u8"))])
    sent = [described]
    for count in range(2, 12):
        sent += [(4000, part) for i, part in enumerate(packets(count, [(0x1000, bytes(400))], 100))
                 if (count, i) != (5, 2)]
    sent += [sent[-1], b"garbage that is no packet"]
    capture(tmp_path / "a.pcap", sent)
    rows, report = records(pipeline, "captures: a.pcap")
    assert [row["heap"] for row in rows] == [2, 3, 4, 6, 7, 8, 9, 10, 11]
    told = facts(report)
    assert told["packets_duplicate"] == 1 and told["packets_no_spead"] == 1
    assert told.get("incomplete_heaps_evicted", 0) + told.get("incomplete_heaps_flushed", 0) == 1
    rows, _ = records(pipeline, "captures: a.pcap, incomplete: true")
    assert {row["heap"]: row["complete"] for row in rows} == {count: count != 5 for count in range(2, 12)}


def test_senders_are_keys_with_values_of_their_own(pipeline, tmp_path):
    described = [(5, descriptor(0x1000, "gain", format="u8")), (5, descriptor(0x1001, "samples", (2,), "u8"))]
    capture(tmp_path / "a.pcap", [
        (4001, packet(1, described + [(0x1000, 1), (0x1001, b"aa")])),
        (4002, packet(1, [(0x1000, 2), (0x1001, b"bb")])), (4001, packet(2, [(0x1001, b"cc")])),
        (4002, packet(2, [(0x1001, b"dd")])), (4003, packet(2, [(0x1001, b"ee")]))])
    rows, report = records(pipeline, "captures: a.pcap")
    gains = sorted((row["samples"][0], row["gain"], row["sender"][-4:]) for row in rows)
    assert gains == [(97, 1, "4001"), (98, 2, "4002"), (99, 1, "4001"), (100, 2, "4002"), (101, None, "4003")]


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port, tcp):
    """The port stands in the kernel's table of sockets once weir listens."""
    table = pathlib.Path("/proc/net/tcp" if tcp else "/proc/net/udp").read_text()
    return f":{port:04X} " in table


@pytest.mark.parametrize("tcp", [False, True])
def test_live(tmp_path, weir, tcp):
    port = free_port(socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    (tmp_path / "a.yaml").write_text(f"""
sources: {{heaps: {{type: spead, listen: "127.0.0.1:{port}", tcp: {str(tcp).lower()}}}}}
stages: [{{select: [heap, sender]}}]
sinks: {{out: {{type: file, path: out.ndjson}}}}
""")
    with subprocess.Popen([BINARY, "run", "a.yaml", "--json", "--quiet"], cwd=tmp_path, stdout=subprocess.PIPE,
                          env=environment()) as running:
        try:
            for _ in range(200 * SLOWNESS):
                if listening(port, tcp):
                    break
                subprocess.run(["sleep", "0.05"], check=True)
            flags = ["--tcp"] if tcp else ["--stops", "5"]
            weir("spead", "send", "--heaps", "20", "--heap-size", "100000", "--rate", "0.1", *flags,
                 f"127.0.0.1:{port}", status=0)
            report = json.loads(running.communicate(timeout=60 * SLOWNESS)[0])
        finally:
            running.kill()
    counts = [json.loads(line)["heap"] for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    told = facts(report)
    assert report["records_stored"] == len(counts) and counts == sorted(counts)
    if tcp:
        assert counts == list(range(1, 21))
    lost = told["heaps_shed"] + sum(told.get(f"incomplete_heaps_{why}", 0) for why in ("evicted", "flushed", "idle"))
    assert len(counts) + lost == 20 or told["kernel_drops"] > 0


def chunked(pipeline, tmp_path, datagrams, options=""):
    capture(tmp_path / "a.pcap", datagrams)
    return records(pipeline, f"captures: a.pcap, chunk_heaps: 4, {options}")


@pytest.mark.parametrize("extra", [b"", b"\7\7"])
def test_chunks_by_count(pipeline, tmp_path, extra):
    described = [(5, descriptor(0x1000, "samples", (8,), "u8"))]
    if extra:
        described.append((5, descriptor(0x1001, "more", (2,), "u8")))
    sent = [packet(1, described)]
    order = [3, 1, 2, 4, 6, 5, 8, 12, 14, 10, 9, 17, 7]  # 7 comes when its chunk, of 5 to 8, is over
    for count in order:
        items = [(0x1000, bytes([count] * 8))] + ([(0x1001, extra)] if extra else [])
        sent += packets(count, items, 5) if count % 2 else [packet(count, items)]
    rows, report = chunked(pipeline, tmp_path, sent, f"chunk_heap_bytes: {8 + len(extra)}")
    told = facts(report)
    # Heap 1 was descriptors alone, so the count 1 is over.
    assert [row["heap"] for row in rows] == [2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 17]
    for row in rows:
        assert row["samples"] == [row["heap"]] * 8 and row.get("more", [7, 7]) == [7, 7]
    assert told["heaps_chunk_late"] == 1 and told["chunk_places_missing"] == 1 + 1 + 1 + 3 + 3


def test_chunks_by_time_stamp(pipeline, tmp_path):
    described = packet(1, [(5, descriptor(0x1000, "samples", (2,), "i16")),
                           (5, descriptor(0x1600, "stamp", (), "u48"))])
    sent = [described]
    for i in [1, 0, 2, 2, 5]:
        sent.append(packet(100 + len(sent), [(0x1600, i * 512), (0x1000, struct.pack(">2h", i, -i))]))
    rows, report = chunked(pipeline, tmp_path, sent, "chunk_heap_bytes: 4, chunk_item: 0x1600, chunk_step: 512, "
                                                     "time: stamp, time_scale: 512/s")
    assert [(row["samples"], row["stamp"]) for row in rows] == [
        ([i, -i], f"1970-01-01T00:00:{i:02}Z") for i in (0, 1, 2, 5)]
    assert facts(report)["packets_duplicate"] == 1


def test_chunks_of_odd_widths_are_unpacked(pipeline, tmp_path):
    sent = [packet(1, [(5, descriptor(0x1000, "samples", (4,), "u12"))])]
    sent += [packet(count, [(0x1000, int(f"00{count}fff001800", 16).to_bytes(6, "big"))]) for count in (2, 3, 4, 5)]
    rows, _ = chunked(pipeline, tmp_path, sent, "chunk_heap_bytes: 6")
    assert [row["samples"] for row in rows] == [[count, 4095, 1, 2048] for count in (2, 3, 4, 5)]


@pytest.mark.parametrize("options, words", [("chunk_heaps: 4", "chunk_heap_bytes"),
                                            ("chunk_heaps: 4, chunk_heap_bytes: 1GiB", "no room"),
                                            ("chunk_heaps: 4, chunk_heap_bytes: 64, chunk_item: x", "no item's id")])
def test_wrong_chunks(weir, tmp_path, options, words):
    capture(tmp_path / "a.pcap", [])
    (tmp_path / "a.yaml").write_text(f"sources: {{h: {{type: spead, captures: a.pcap, {options}}}}}\n"
                                     "sinks: {o: 'null'}\n")
    outcome = weir("run", "a.yaml")
    assert outcome.status != 0 and words in outcome.stderr, outcome
