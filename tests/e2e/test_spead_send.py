# SPDX-License-Identifier: MIT
"""weir spead send to weir spead recv on loopback; and, where its programs' folder is given, to and from spead2:

    WEIR_TEST_SPEAD2=/path/to/programs pytest tests/e2e/test_spead_send.py
"""
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import BINARY, SLOWNESS

SPEAD2 = os.environ.get("WEIR_TEST_SPEAD2")
needs_spead2 = pytest.mark.skipif(not SPEAD2, reason="NOT TESTED AGAINST spead2: WEIR_TEST_SPEAD2 is not set to the "
                                                     "folder of spead2_send and spead2_recv")
WEIR_SEND, WEIR_RECV = [BINARY, "spead", "send"], [BINARY, "spead", "recv"]
STOPS = ["--stops", "5"]  # the machine may be busy, and one packet is easily lost
VARIANTS = {
    "plain": ([], []),
    "many items": (["--items", "100"], []),
    "large packets": (["--packet", "8872"], []),
    "64-48": (["--addr-bits", "48"], []),
    "pyspead": (["--pyspead"], ["--pyspead"]),
    "tcp": (["--tcp"], ["--tcp"]),
}


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def transfer(receiver, sender, address, send_options, receive_options, send_only=()):
    """Starts the receiver, then the sender; returns what each printed."""
    receiving = subprocess.Popen([*receiver, address, "--verify", *receive_options], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(0.4 * SLOWNESS)
        options = ["--verify", "--heaps", "20", "--heap-size", "400000", "--rate", "0.1", *send_options, *send_only]
        sent = subprocess.run([*sender, *options, address], capture_output=True, text=True, timeout=60 * SLOWNESS)
        received, _ = receiving.communicate(timeout=60 * SLOWNESS)
    finally:
        receiving.kill()
    return sent, receiving.returncode, received


def check(outcome):
    sent, status, received = outcome
    assert sent.returncode == 0, sent
    assert status == 0, received
    return received


@pytest.mark.parametrize("variant", VARIANTS)
def test_to_itself(variant):
    send, receive = VARIANTS[variant]
    address = f"127.0.0.1:{free_port(socket.SOCK_STREAM if 'tcp' in variant else socket.SOCK_DGRAM)}"
    received = check(transfer(WEIR_RECV, WEIR_SEND, address, send,
                              [*receive, "--quiet", "--heaps", "20"]))
    assert received.startswith("Received 20 heaps in ") and ", 20 verified\n" in received


def test_one_number_in_each_heap_is_verified():
    """They go in the item's pointer. The receiver ends with the first stop item."""
    received = check(transfer(WEIR_RECV, WEIR_SEND, f"127.0.0.1:{free_port()}", ["--heap-size", "4"], ["--quiet"],
                              STOPS))
    # So small that all may come at the same moment: then there is no rate.
    assert received.startswith("Received 20 heaps") and ", 20 verified\n" in received


@pytest.mark.parametrize("address, options", [("127.0.0.1", ["--first", "1000", "--step", "7"]),
                                              ("239.255.18.4", [])])
def test_to_itself_with_counts_and_interfaces(address, options):
    """What is verified follows from a heap's count; interfaces are said by name."""
    check(transfer(WEIR_RECV, WEIR_SEND, f"{address}:{free_port()}", ["--bind", "lo", *options],
                   ["--bind", "lo", "--quiet", "--heaps", "20"]))


@pytest.mark.parametrize("command, place, words", [
    ("send", "239.255.18.4:7148", "there are: lo"), ("send", "127.0.0.1:7148", "neither an IPv4 address nor"),
    ("recv", "239.255.18.4:7148", "there are: lo"), ("recv", "[ff02::4]:7148", "there are: lo"),
])
def test_no_such_interface(weir, command, place, words):
    outcome = weir("spead", command, "--bind", "lo77", place)
    assert outcome.status in (1, 2) and '"lo77"' in outcome.stderr and words in outcome.stderr, outcome


@pytest.mark.parametrize("command", ["send", "recv"])
def test_an_address_of_one_link_needs_its_interface(weir, command):
    outcome = weir("spead", command, "[ff02::4]:7148")
    assert outcome.status == 2 and "name the interface" in outcome.stderr, outcome


def test_a_group_of_one_link():
    interface = next((fields[5] for fields in map(str.split, open("/proc/net/if_inet6"))
                      if fields[3] == "20" and fields[5] != "lo"), None)
    if not interface:
        pytest.skip("no interface has an IPv6 address of its link")
    place = f"[ff02::{os.getpid() % 60000 + 1:x}]:{free_port()}"
    check(transfer(WEIR_RECV, WEIR_SEND, place, ["--bind", interface, "--packet", "1200"],
                   ["--bind", interface, "--quiet", "--heaps", "20"]))


@needs_spead2
@pytest.mark.parametrize("variant", VARIANTS)
def test_to_spead2(variant):
    send, receive = VARIANTS[variant]
    address = f"127.0.0.1:{free_port()}"
    received = check(transfer([pathlib.Path(SPEAD2) / "spead2_recv"], WEIR_SEND, address, send,
                              [*receive, "--quiet", "--packet", "9000"], STOPS if "tcp" not in variant else ()))
    assert "Received 20 heaps" in received


@needs_spead2
@pytest.mark.parametrize("variant", VARIANTS)
def test_from_spead2(variant):
    send, receive = VARIANTS[variant]
    address = f"127.0.0.1:{free_port()}"
    received = check(transfer(WEIR_RECV, [pathlib.Path(SPEAD2) / "spead2_send"], address, send,
                              [*receive, "--quiet", "--heaps", "20"]))
    assert "20" in received


@needs_spead2
def test_multicast_to_spead2():
    address = f"239.255.17.{os.getpid() % 250 + 1}:{free_port()}"
    received = check(transfer([pathlib.Path(SPEAD2) / "spead2_recv"], WEIR_SEND, address, ["--bind", "127.0.0.1"],
                              ["--bind", "127.0.0.1", "--quiet"], STOPS))
    assert "Received 20 heaps" in received


def test_nobody_listens(weir):
    outcome = weir("spead", "send", f"127.0.0.1:{free_port()}", "--heaps", "3", "--json")
    assert outcome.status == 1
    assert "start the receiver first" in outcome.stderr
    report = json.loads(outcome.stdout)
    assert report["heaps"] == 3 and report["refused"] > 0 and report["bytes"] > 3 * 4194304


def test_ctrl_c_while_the_receiver_takes_nothing():
    """The first one says what is waited for, the second one ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        sending = subprocess.Popen([*WEIR_SEND, "--tcp", "--heap-size", "20000000", address], stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, text=True)
        try:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                time.sleep(0.3 * SLOWNESS)
                sending.send_signal(signal.SIGINT)
                words = sending.stderr.readline()
                assert "heaps are still to be sent, and the receiver takes no more" in words, words
                assert "Ctrl-C again" in words
                sending.send_signal(signal.SIGINT)
                assert sending.wait(timeout=20 * SLOWNESS) == 130
        finally:
            sending.kill()


def test_statistics_say_that_a_signal_ended_it():
    """However often it is sent within a second."""
    receiving = subprocess.Popen([*WEIR_RECV, "--json", f"127.0.0.1:{free_port()}"], stdout=subprocess.PIPE)
    time.sleep(0.3 * SLOWNESS)
    receiving.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    receiving.send_signal(signal.SIGTERM)
    last = receiving.communicate(timeout=20 * SLOWNESS)[0].splitlines()[-1]
    assert receiving.returncode == 0 and json.loads(last)["interrupted"] is True


def without_privileges():
    """Root may have larger buffers than net.core.rmem_max: as everybody else, then."""
    if ctypes.CDLL(None, use_errno=True).prctl(24, 12, 0, 0, 0):  # PR_CAPBSET_DROP, CAP_NET_ADMIN
        assert os.geteuid() != 0


def test_a_receive_buffer_over_the_limit():
    receiving = subprocess.Popen([*WEIR_RECV, "--buffer", "1000000000", f"127.0.0.1:{free_port()}"],
                                 stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                                 preexec_fn=without_privileges)
    try:
        assert "sysctl -w net.core.rmem_max=1000000000" in receiving.stderr.readline()
    finally:
        receiving.kill()
        receiving.communicate()


def in_own_network(script, *arguments):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"],
                                                     capture_output=True).returncode:
        pytest.skip("no network of its own is permitted here")
    return subprocess.run(["unshare", "-rn", "sh", "-c", script, *arguments], capture_output=True, text=True,
                          timeout=60 * SLOWNESS)


@pytest.mark.parametrize("command, place, words", [
    ("send", "239.1.2.3:7148", "Network is unreachable; there is no route to the destination: check the address"),
    ("send", "10.9.9.9:7148", "Network is unreachable; there is no route to the destination: check the address"),
    ("recv", "239.1.2.3:7148", "no route says which interface has it: name one (--bind"),
    ("recv", "10.9.9.9:7148", "no address of this machine: ip address lists them"),
])
def test_no_way_to_the_place(command, place, words):
    """In a network of its own, that has nothing but loopback and no route to anywhere."""
    outcome = in_own_network('ip link set lo up && timeout 20 "$0" spead "$1" "$2"', BINARY, command, place)
    assert outcome.returncode == 1 and words in outcome.stderr, outcome


@pytest.mark.parametrize("address, packet, fits", [("127.0.0.1", "8872", 1472), ("[::1]", "1472", 1448),
                                                   ("127.0.0.1", "1472", None)])
def test_packets_over_the_mtu_are_said(address, packet, fits):
    """In a network of its own, whose loopback has the MTU of Ethernet."""
    script = ('ip link set lo up mtu 1500 && (timeout 20 "$0" spead recv --quiet --verify --heaps 3 "$1" & sleep "$3"; '
              '"$0" spead send --heaps 3 --heap-size 40000 --verify --rate 0.05 --packet "$2" "$1"; wait $!)')
    arguments = [BINARY, f"{address}:7148", packet, f"{0.3 * SLOWNESS}"]
    outcome = in_own_network(script, *arguments)
    assert outcome.returncode == 0 and "Received 3 heaps" in outcome.stdout, outcome
    assert ("the MTU of the way is 1500" in outcome.stderr) == (fits is not None), outcome
    assert fits is None or f"packets of {fits} bytes fit" in outcome.stderr, outcome


def test_nobody_listens_to_one_packet(weir):
    outcome = weir("spead", "send", f"127.0.0.1:{free_port()}", "--heaps", "1", "--heap-size", "100")
    assert outcome.status == 1 and "start the receiver first" in outcome.stderr, outcome


@pytest.mark.parametrize("command", ["send", "recv"])
def test_a_processor_that_is_not_there(weir, command):
    outcome = weir("spead", command, "--cpu", "1023", f"127.0.0.1:{free_port()}")
    assert outcome.status != 0 and "this program has no such processor" in outcome.stderr, outcome


@pytest.mark.parametrize("arguments, words", [
    (["--heap-size", "1"], "less than one element"),
    (["--rate-method", "HW"], "no network card"),
    (["--burst-rate-ratio", "0.5"], "at least 1"),
    (["--addr-bits", "41"], "multiple of 8"),
    (["--packet", "10"], "packets have 56 to 65487 bytes, not 10; 1472 suits an MTU of 1500"),
    (["--packet", "70000"], "packets have 56 to 65487 bytes, not 70000"),
])
def test_mistakes(weir, arguments, words):
    outcome = weir("spead", "send", "127.0.0.1:9", *arguments)
    assert outcome.status == 2, outcome
    assert words in outcome.stderr


@pytest.mark.parametrize("bits", ["8", "56"])
def test_what_does_not_fit_the_flavour(weir, bits):
    outcome = weir("spead", "send", "127.0.0.1:9", "--heap-size", "4000", "--heaps", "3", "--addr-bits", bits)
    assert outcome.status == 1 and f"not fit into SPEAD-64-{bits}:" in outcome.stderr, outcome


def test_bench_at_a_rate(weir):
    outcome = weir("spead", "bench", "--rate", "0.05", "--seconds", "0.3", "--heap-size", "65536", "--json",
                   "--send-cpu", "-1", "--recv-cpu", "-1")
    report = json.loads(outcome.stdout)
    seen = report["heaps_received"] + report["heaps_incomplete"] + report["heaps_shed"] + report["heaps_refused"]
    assert report["heaps_sent"] == seen + report["heaps_unseen"] > 0
    assert report["packets_sent"] <= report["packets_received"] + report["kernel_drops"] + report["packets_unexplained"]


def test_bench_says_what_its_receiver_and_the_way_were(weir):
    outcome = weir("spead", "bench", "--rate", "0.05", "--seconds", "0.2", "--heap-size", "65536", "--json", "--ttl",
                   "2", "--substreams", "3", "--concurrent-heaps", "2", "--ring-heaps", "7", "--addr-bits", "48",
                   "--send-cpu", "-1", "--recv-cpu", "-1", status=0)
    report = json.loads(outcome.stdout)
    assert [report[name] for name in ("substreams", "concurrent_heaps", "ring_heaps")] == [3, 2, 7]
    assert report["heaps_sent"] > 0 and report["sources"] == 1
    assert (2 * 3 + 7 + 4) * 65536 <= report["memory_peak"] < 2 * (2 * 3 + 7 + 4) * 65536, "made ready at the start"


@pytest.mark.parametrize("options, words", [
    (("--addr-bits", "12"), "not a multiple of 8"), (("--ttl", "256"), "--ttl"),
    (("--ring-heaps", "0"), "--ring-heaps"),
    (("--addr-bits", "16", "--heap-size", "65536"), "does not fit into SPEAD-64-16")])
def test_bench_mistakes(weir, options, words):
    assert words in weir("spead", "bench", "--rate", "0.05", *options, status=2).stderr


@pytest.mark.parametrize("option", ["--send-cpu", "--recv-cpu"])
def test_bench_on_a_processor_that_is_not_there(weir, option):
    outcome = weir("spead", "bench", "--rate", "0.05", option, "1023")
    assert outcome.status == 2 and f"{option} 1023: this program has no such processor; it has: " in outcome.stderr


def test_bench_against(weir):
    outcome = weir("spead", "bench", "--bytes", "1e6", "--seconds", "0.01", "--passes", "1", "--heap-size", "65536",
                   "--against", "echo rate 1.5", "--against", "exit 3", "--json", "--quiet", "--send-cpu", "-1",
                   "--recv-cpu", "-1")
    report = json.loads(outcome.stdout)
    assert report["sustainable_gbps"] > 0
    assert report["against"][0]["gbps"] == 1.5
    assert abs(report["against"][0]["ratio"] - report["sustainable_gbps"] / 1.5) < 1e-3
    assert report["against"][1]["gbps"] is None and "has failed" in outcome.stderr
