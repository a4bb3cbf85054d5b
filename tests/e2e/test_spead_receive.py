# SPDX-License-Identifier: MIT
"""weir spead inspect against captures, and weir spead recv over loopback."""
import json
import pathlib
import struct

import pytest

from spead_packets import capture, descriptor, packet, stop

CAPTURES = sorted((pathlib.Path(__file__).resolve().parent.parent / "data" / "spead").glob("*.pcap"))


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_captures_hold_what_is_known_of_them(weir, capture):
    outcome = weir("spead", "inspect", "--json", str(capture))
    assert outcome.status == 0, outcome
    assert json.loads(outcome.stdout) == json.loads(capture.with_suffix(".json").read_text())


def test_names_from_descriptors(weir):
    capture = next(path for path in CAPTURES if "tutorial" in path.stem)
    outcome = weir("spead", "inspect", str(capture))
    assert outcome.status == 0, outcome
    assert "adc_samples" in outcome.stdout and "Index of the first sample" in outcome.stdout, outcome


def test_recv_reads_captures_and_ends_at_the_stop_item(weir):
    capture = next(path for path in CAPTURES if "tutorial" in path.stem)
    outcome = weir("spead", "recv", "--json", str(capture))
    assert outcome.status == 0, outcome
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [line["cnt"] for line in lines[:-1]] == [1, 2], outcome
    assert lines[-1]["heaps"] == 2 and lines[-1]["stops"] == 1 and lines[-1]["kernel_drops"] == 0, outcome
    assert lines[-1]["interrupted"] is False


@pytest.mark.parametrize("command", ["recv", "inspect"])
def test_refused_heaps_name_the_option(weir, tmp_path, command):
    capture(tmp_path / "a.pcap", [packet(1, [(0x1000, b"abcd" * 2000)])])
    outcome = weir("spead", command, "--max-heap", "1000", "a.pcap")
    assert "--max-heap 8000 takes them" in outcome.stdout and outcome.stdout.startswith(
        "Received 0 heaps" if command == "recv" else "no descriptors"), outcome
    outcome = weir("spead", command, "--max-heap", "8000", "a.pcap")
    assert "refused" not in outcome.stdout and "heap 1: 8000 bytes" in outcome.stdout, outcome
    outcome = weir("spead", command, "--memory", "5000", "a.pcap")
    assert "refused for want of memory: --memory " in outcome.stdout, outcome
    wanted = outcome.stdout.split("--memory ")[1].split()[0]
    assert "refused" not in weir("spead", command, "--memory", wanted, "a.pcap").stdout


def test_a_capture_that_was_cut_off_is_said_and_what_came_is_shown(weir, tmp_path):
    capture = CAPTURES[0].read_bytes()
    (tmp_path / "cut.pcap").write_bytes(capture[:len(capture) // 2])
    outcome = weir("spead", "inspect", "--json", str(tmp_path / "cut.pcap"))
    assert outcome.status == 2 and "cut off" in outcome.stderr, outcome
    assert not all(heap["complete"] for heap in json.loads(outcome.stdout)), outcome


def test_what_is_no_capture(weir, tmp_path):
    (tmp_path / "x.pcap").write_bytes(b"this is a text and no capture at all")
    outcome = weir("spead", "inspect", str(tmp_path / "x.pcap"))
    assert outcome.status != 0 and "no capture" in outcome.stderr, outcome


@pytest.mark.parametrize("magic, words", [(b"\x1f\x8b\x08", "compressed with gzip: unpack it first, with gunzip"),
                                          (b"\x28\xb5\x2f\xfd", "compressed with zstd")])
def test_a_compressed_capture(weir, tmp_path, magic, words):
    (tmp_path / "x.pcap").write_bytes(magic + bytes(100))
    outcome = weir("spead", "inspect", "x.pcap")
    assert outcome.status == 2 and words in outcome.stderr, outcome


def framed(path, frame, link=1, original=None):
    """A capture of one frame."""
    path.write_bytes(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 1 << 18, link) +
                     struct.pack("<IIII", 0, 0, len(frame), original or len(frame)) + frame)
    return path


def ip(fragment=0):
    data = packet(1, [(0x1000, b"abcd")])
    udp = struct.pack(">HHHH", 4000, 7148, len(data) + 8, 0) + data
    here = b"\x7f\0\0\1"
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, len(udp) + 20, 7, fragment, 64, 17, 0, here, here) + udp


@pytest.mark.parametrize("link, head", [
    (1, b"\2" * 12 + b"\x08\0"), (1, b"\2" * 12 + b"\x88\xa8\0\5\x81\0\0\5\x08\0"), (101, b""), (0, b"\2\0\0\0"),
    (113, b"\0" * 14 + b"\x08\0"), (113, b"\0" * 14 + b"\x81\0\0\5\x08\0"), (276, b"\x08\0" + b"\0" * 18),
    (276, b"\x81\0" + b"\0" * 18 + b"\0\5\x08\0")])
def test_what_stands_before_ip(weir, tmp_path, link, head):
    """Ethernet, with two tags of VLANs, none, BSD loopback, Linux cooked of both versions with and without one."""
    outcome = weir("spead", "inspect", str(framed(tmp_path / "a.pcap", head + ip(), link)))
    assert "heap 1: 4 bytes in 1 packet" in outcome.stdout, outcome


@pytest.mark.parametrize("frame, link, original, words", [
    (ip(), 105, None, "records of link type 105: Ethernet, Linux cooked"),
    (ip(0x2000), 101, None, "fragments of IP packets, which are not joined: the sender's are longer"),
    (ip()[:40], 101, len(ip()), "capture them whole (tcpdump -s 0)"),
    (ip().replace(b"\x40\x11", b"\x40\x06"), 101, None, "records that are not UDP")],
    ids=["link", "fragment", "cut", "tcp"])
def test_records_that_are_passed_over_are_said(weir, tmp_path, frame, link, original, words):
    framed(tmp_path / "a.pcap", frame, link, original)
    outcome = weir("spead", "inspect", "a.pcap")
    assert outcome.status == 0 and words in outcome.stdout, outcome
    (tmp_path / "a.yaml").write_text("sources: {h: {type: spead, captures: a.pcap}}\nsinks: {o: 'null'}\n")
    outcome = weir("run", "a.yaml")
    assert ("weir spead inspect` says more" in outcome.stderr) == ("not UDP" not in words), outcome


@pytest.mark.parametrize("port", ["65536", "99999"])
def test_what_is_no_port(weir, port):
    outcome = weir("spead", "recv", f"127.0.0.1:{port}")
    assert outcome.status != 0 and "no place to listen at" in outcome.stderr, outcome


def test_a_place_without_a_port(weir):
    outcome = weir("spead", "recv", "127.0.0.1")
    assert outcome.status != 0 and "a place to listen at ends with a port, as in :8888" in outcome.stderr, outcome


def test_descriptors_are_shown_together(weir, tmp_path):
    items = [(5, descriptor(0x1000 + i, f"item{i}", (2,), "u8")) for i in range(40)] + [(0x1000, b"ab")]
    outcome = weir("spead", "inspect", str(capture(tmp_path / "a.pcap", [packet(1, items), stop(2)])))
    lines = outcome.stdout.splitlines()
    assert lines[1].split()[:3] == ["0x0005", "(40", "descriptors)"] and lines[2].split()[:2] == ["0x1000", "item0"]
    assert "heap 2: 1 byte in 1 packet, 64-48" in lines and not any(line.endswith(" ") for line in lines), outcome


def test_short_arrays_and_texts_are_shown_whole(weir, tmp_path):
    dtype = "{'descr': '%s', 'fortran_order': False, 'shape': %s}"
    items = [(5, descriptor(0x1000, "short", dtype=dtype % ("<i2", "(3,)"))), (0x1000, 0x0100feff0300),
             (5, descriptor(0x1001, "text", dtype=dtype % ("|S9", "()"))), (0x1001, b"hello\0\0\0\0"),
             (5, descriptor(0x1002, "bits", (3,), "u1")), (0x1002, b"\xa0"),
             (5, descriptor(0x1003, "little", dtype=dtype % ("<u4", "()"))), (0x1003, 0x07000000),
             (5, descriptor(0x1004, "bad", dtype=dtype % ("<M8", "()")))]
    outcome = weir("spead", "inspect", str(capture(tmp_path / "a.pcap", [packet(1, items)])))
    for words in ("(5 descriptors)", "immediate        1 -2 3\n", "9 bytes  hello\n", "1 byte   1 0 1\n",
                  "immediate        7\n", 'could not be read: item "bad" (0x1004): a dtype that cannot be read: {'):
        assert words in outcome.stdout, outcome


def test_whole_numbers_are_shown_whole(weir, tmp_path):
    dtypes = {0x1000: "<i8", 0x1001: "<u8", 0x1002: "|b1", 0x1003: "<f8"}
    described = [(5, descriptor(item, f"item{item}", dtype=f"{{'descr': '{dtype}', 'fortran_order': False, "
                                                           "'shape': ()}")) for item, dtype in dtypes.items()]
    values = [(0x1000, struct.pack("<q", -1732159200123456789)), (0x1001, struct.pack("<Q", 2**64 - 1)),
              (0x1002, b"\1"), (0x1003, struct.pack("<d", 0.25))]
    outcome = weir("spead", "inspect", str(capture(tmp_path / "a.pcap", [packet(1, described + values)])))
    shown = [line.split()[-1] for line in outcome.stdout.splitlines() if " byte" in line and "item4" in line]
    assert shown == ["-1732159200123456789", str(2**64 - 1), "1", "0.25"], outcome
