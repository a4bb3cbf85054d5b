# SPDX-License-Identifier: MIT
"""Pipelines that send and receive SPEAD: the sink, and the telescope of the examples."""
import json
import math
import socket
import threading

import pytest

from conftest import ROOT
from test_arrays import needs_fft
from test_spead_source import free_port

ADC = "type: adc, sample_rate: 64000, samples: 64, tones: [8000], seed: 7, speed: 0, start: '2024-11-21T03:20:00Z'"


def round_trip(pipeline, tmp_path, source, sink, receive):
    """Sends a source's records over loopback in one run; what was sent, what came, the report."""
    port = free_port()
    report = pipeline(f"""
        sources:
          made: {{{source}}}
          heaps: {{type: spead, listen: "127.0.0.1:{port}", ring_heaps: 1000, {receive}}}
        stages:
          - filter: {{name: all, from: made, when: "true"}}
        sinks:
          sent: {{type: file, from: all, path: sent.ndjson}}
          network: {{type: spead, from: all, to: "127.0.0.1:{port}", rate: 0.05, {sink}}}
          received: {{type: file, from: heaps, path: received.ndjson}}
    """)
    read = [[json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
            for name in ("sent.ndjson", "received.ndjson")]
    told = {fact["part"] + "." + fact["name"]: fact.get("value") for fact in report["facts"]}
    return *read, told


def check(sent, received, told, names):
    """What came is what was sent; where the machine lost heaps, as many as are counted."""
    lost = told["heaps.heaps_shed"] + told["heaps.kernel_drops"]
    assert len(sent) - len(received) <= lost and received
    for row in received:
        original = sent[row["heap"] - 1]
        for name in names:
            assert row[name] == original[name], name


def test_every_type_of_column(pipeline, tmp_path):
    port = free_port()
    report = pipeline(f"""
        sources:
          made: {{{ADC}, count: 20, antennas: 2}}
          heaps: {{type: spead, listen: "127.0.0.1:{port}", ring_heaps: 1000}}
        stages:
          - derive:
              from: made
              columns: {{whole: -timestamp * 2, half: timestamp / 2, even: timestamp < 256,
                         word: "if(timestamp > 100, 'late', 'early')"}}
        sinks:
          sent: {{type: file, from: derive, path: sent.ndjson}}
          network: {{type: spead, from: derive, to: "127.0.0.1:{port}", rate: 0.05}}
          received: {{type: file, from: heaps, path: received.ndjson}}
    """)
    sent, received = [[json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
                      for name in ("sent.ndjson", "received.ndjson")]
    told = {fact["part"] + "." + fact["name"]: fact.get("value") for fact in report["facts"]}
    check(sent, received, told, ["antenna", "timestamp", "samples", "whole", "half", "even", "word"])
    # Event time went as nanoseconds since 1970.
    assert received[0]["ts"] % 1_000_000_000 == 1_000_000 * (received[0]["timestamp"] // 64) % 1_000_000_000


def test_event_time_comes_back(pipeline, tmp_path):
    sent, received, told = round_trip(pipeline, tmp_path, ADC + ", count: 20", "", "time: ts, time_scale: 1ns")
    check(sent, received, told, ["ts", "timestamp", "samples"])


@pytest.mark.parametrize("sink, source", [
    ("", ""), ("", ", iq: true"), ("pyspead: true", ", iq: true"),
    ("", ", iq: true, dtype: int16"), ("", ", dtype: int16"), ("address_bits: 40", ""), ("pyspead: true", ""),
    ("packet_size: 200, max_heaps: 1", ""), ("descriptors_every: 3", "")])
def test_samples_arrive_as_they_were_sent(pipeline, tmp_path, sink, source):
    receive = "time: timestamp, time_scale: 64000/s, time_start: '2024-11-21T03:20:00Z'"
    if "pyspead" in sink:
        receive += ", pyspead: true"
    sink += ("," if sink else "") + " ids: {timestamp: 0x1600}, immediate: [timestamp]"
    sent, received, told = round_trip(pipeline, tmp_path, ADC + ", count: 30" + source, sink, receive)
    for row in sent:
        row["timestamp"] = row["ts"]
    check(sent, received, told, ["timestamp", "samples", "antenna"])
    assert told["network.heaps"] == 33 and "network.immediates_out_of_range" not in told


def test_heaps_that_are_shed_are_said(pipeline):
    port = free_port()
    report = pipeline(f"""
        sources:
          made: {{{ADC}, count: 500}}
          heaps: {{type: spead, listen: "127.0.0.1:{port}", ring_heaps: 1}}
        sinks:
          network: {{type: spead, from: made, to: "127.0.0.1:{port}"}}
          received: {{type: 'null', from: heaps}}
    """)
    shed = [fact["value"] for fact in report["facts"] if fact["part"] == "heaps" and fact["name"] == "heaps_shed"][0]
    told = report["outcome"].stderr
    assert told.count("heaps are shed, as 1 wait already: if they come in bursts, raise `ring_heaps`") == (shed > 0)


@pytest.mark.parametrize("sink, words", [
    ("immediate: [samples]", "immediate items are whole numbers"), ("ids: {sample: 0x1000}", 'did you mean "samples"'),
    ("ids: {samples: 5}", "no item id"), ("ids: {samples: 0x1000}", "same item id"), ("address_bits: 41", "multiple")])
def test_mistakes(weir, tmp_path, sink, words):
    (tmp_path / "a.yaml").write_text(f"sources: {{adc: {{{ADC}, count: 1}}}}\n"
                                     f"sinks: {{o: {{type: spead, to: '127.0.0.1:9', {sink}}}}}\n")
    outcome = weir("run", "a.yaml")
    assert outcome.status != 0 and words in outcome.stderr, outcome


def test_a_receiver_that_goes_away_fails_the_run(weir, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def take_some():
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)  # closing with bytes unread resets the connection

        taking = threading.Thread(target=take_some, daemon=True)
        taking.start()
        (tmp_path / "a.yaml").write_text(
            f"sources: {{adc: {{{ADC}, count: 100000}}}}\n"
            f"sinks: {{o: {{type: spead, tcp: true, to: '127.0.0.1:{listener.getsockname()[1]}'}}}}\n")
        outcome = weir("run", "a.yaml")
        taking.join()
    assert outcome.status == 1 and "the receiver has closed the connection" in outcome.stderr, outcome


def test_nobody_listening_is_said_once(weir, tmp_path):
    (tmp_path / "a.yaml").write_text(
        f"sources: {{adc: {{{ADC}, count: 100}}}}\n"
        f"sinks: {{o: {{type: spead, to: '127.0.0.1:{free_port()}'}}}}\n")
    outcome = weir("run", "a.yaml")
    assert outcome.status == 0 and outcome.stderr.count("nobody listens at 127.0.0.1:") == 1, outcome


@needs_fft
def test_the_telescope_finds_its_tones(pipeline, tmp_path):
    text = (ROOT / "examples" / "telescope.yaml").read_text()
    text = text.replace("7148", str(free_port())).replace("count: 1000", "count: 100")
    report = pipeline(text)
    rows = [json.loads(line) for line in (tmp_path / "telescope.ndjson").read_text().splitlines()]
    told = {fact["part"] + "." + fact["name"]: fact.get("value") for fact in report["facts"]}
    lost = told["antenna.heaps_shed"] + told["antenna.kernel_drops"]
    assert 100 - len(rows) <= lost and len(rows) > 10
    bin_width = 1.024e6 / 256
    for row in rows:
        spectrum = row["samples_spectrum"]
        assert len(spectrum) == 129 and abs(row["samples_peak"] - 125e3) <= bin_width
        assert spectrum.index(max(spectrum)) in (31, 32)
        # The weak tone stands out of the noise 20 dB below the strong one.
        around = spectrum[40:58] + spectrum[68:120]
        assert max(range(50, 80), key=lambda k: spectrum[k]) in (62, 63)
        assert max(spectrum[62:64]) > 3 + sum(around) / len(around)
        # Of mean power: half the squares of the amplitudes, the noise, and the rounding.
        expected = 10 * math.log10(60 ** 2 / 2 + 6 ** 2 / 2 + 8 ** 2 + 1 / 12)
        assert row["samples_power"] == pytest.approx(expected, abs=0.1)
    assert [row["heap"] for row in rows] == sorted(row["heap"] for row in rows)
