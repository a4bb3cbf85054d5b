# SPDX-License-Identifier: MIT
"""Stages for arrays of samples, against models that are too simple to be wrong."""
import cmath
import json
import math
import subprocess
from datetime import datetime, timezone

import pytest

from conftest import BINARY, environment

ADC = "type: adc, sample_rate: 1000, samples: 48, tones: [125, 60], amplitudes: [40, 20], noise: 3, seed: 7, " \
      "speed: 0, start: '2024-11-21T03:20:00Z'"


@pytest.fixture
def rows(pipeline, tmp_path):
    """rows(source, stages): the records that come out."""

    def call(source, *stages, **arguments):
        listed = "\n".join(f"  - {stage}" for stage in stages)
        report = pipeline(f"sources: {{adc: {{{source}}}}}\n" + (f"stages:\n{listed}\n" if stages else "") +
                          "sinks: {out: {type: file, path: out.ndjson}}\n", **arguments)
        assert report["records_in"] > 0
        return [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]

    return call


def has_fft():
    listed = subprocess.run([BINARY, "list", "--json"], capture_output=True, check=True, env=environment())
    return any(part["name"] == "spectrum" for part in json.loads(listed.stdout))


needs_fft = pytest.mark.skipif(not BINARY.exists() or not has_fft(), reason="needs a weir built with FFTW")


def flat(sample):
    return complex(*sample) if isinstance(sample, list) else complex(sample)


@pytest.mark.parametrize("variant", ["", ", iq: true", ", dtype: int16, amplitudes: 8000"])
def test_power(rows, variant):
    source = ADC.replace(", amplitudes: [40, 20]", "") if "amplitudes" in variant else ADC
    for row in rows(source + ", count: 5" + variant, "power: samples", "power: {as: dB, decibels: true, reference: 4}"):
        squares = [abs(flat(sample)) ** 2 for sample in row["samples"]]
        assert row["samples_power"] == pytest.approx(sum(squares) / len(squares), rel=1e-14)
        assert row["dB"] == pytest.approx(10 * math.log10(row["samples_power"] / 4), rel=1e-12)


def test_power_of_pairs(rows):
    row, = rows(ADC + ", count: 1", "power: {field: samples, iq: true}")
    assert row["samples_power"] == pytest.approx(sum(x * x for x in row["samples"]) / 24)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_samples_do_not_depend_on_how_they_are_cut(rows, batch):
    whole = rows(ADC.replace("samples: 48", "samples: 96") + ", count: 3", "select: [samples]")
    parts = rows(ADC + ", count: 6", "select: [samples]", args=["--set", f"run.batch={batch}"])
    assert [x for row in whole for x in row["samples"]] == [x for row in parts for x in row["samples"]]


@pytest.mark.parametrize("variant", ["", ", iq: true"])
def test_unpack(rows, variant):
    source = ADC + ", count: 300, antennas: 2" + variant
    arrays = rows(source)
    samples = rows(source, "unpack: {field: samples, sample_rate: 1000, as: x}")
    assert len(samples) == 48 * len(arrays)
    for i, row in enumerate(samples):
        array = arrays[i // 48]
        sample = flat(array["samples"][i % 48])
        assert (row["index"], row["antenna"], row["timestamp"]) == (i % 48, array["antenna"], array["timestamp"])
        assert (complex(row["x_re"], row["x_im"]) if variant else row["x"]) == sample
        ms = datetime.fromisoformat(row["ts"].replace("Z", "+00:00")).timestamp() * 1000
        assert ms == pytest.approx(datetime(2024, 11, 21, 3, 20, tzinfo=timezone.utc).timestamp() * 1000 +
                                   array["timestamp"] + i % 48)


def test_unpacked_records_are_accounted_for_once(pipeline, tmp_path):
    report = pipeline(f"sources: {{adc: {{{ADC}, count: 100}}}}\n"
                      "stages: [{unpack: samples}, {filter: index < 10}]\n"
                      "sinks: {out: {type: file, path: out.ndjson}}\n")
    assert report["records_in"] == 100 and report["records_filtered"] == 100
    assert len((tmp_path / "out.ndjson").read_text().splitlines()) == 1000


def window_of(name, length):
    weights = {"hann": [0.5, -0.5], "hamming": [0.54, -0.46], "blackman": [0.42, -0.5, 0.08], "none": [1]}[name]
    return [sum(weight * math.cos(2 * math.pi * n * k / length) for k, weight in enumerate(weights))
            for n in range(length)]


def naive_spectrum(samples, length, window, hop, real):
    """The mean of the pieces' power spectra, by the sum that defines them."""
    weights = window_of(window, length)
    bins = range(length // 2 + 1) if real else range(-(length // 2), length - length // 2)
    total = [0.0] * len(bins)
    starts = range(0, len(samples) - length + 1, hop)
    for start in starts:
        for i, k in enumerate(bins):
            value = sum(w * x * cmath.exp(-2j * math.pi * k * n / length)
                        for n, (w, x) in enumerate(zip(weights, samples[start:start + length])))
            total[i] += abs(value) ** 2 / sum(weights) ** 2 * (2 if real and k and 2 * k != length else 1)
    return [value / len(starts) for value in total]


@needs_fft
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("window, length, overlap", [("hann", 16, 0.5), ("none", 15, 0), ("blackman", 48, 0)])
@pytest.mark.parametrize("variant", ["", ", iq: true"])
def test_spectrum(rows, variant, window, length, overlap, precision):
    hop = round(length * (1 - overlap))
    options = f"length: {length}, window: {window}, overlap: {overlap}, precision: {precision}, sample_rate: 1000"
    for row in rows(ADC + ", count: 2" + variant, f"spectrum: {{{options}}}"):
        expected = naive_spectrum([flat(x) for x in row["samples"]], length, window, hop, not variant)
        assert row["samples_spectrum"] == pytest.approx(expected, rel=1e-4 if precision == "single" else 1e-9, abs=1e-4)
        peak = expected.index(max(expected)) - (length // 2 if variant else 0)
        assert row["samples_peak"] == pytest.approx(peak * 1000 / length)


@needs_fft
@pytest.mark.parametrize("lanes", [1, 2])
def test_spectra_are_averaged_by_key(rows, lanes):
    source = ADC + ", count: 7, antennas: 2"
    single = rows(source, "spectrum: {length: 16}", args=["--set", f"run.lanes={lanes}"])
    mean = rows(source, "spectrum: {length: 16, average: 3}", args=["--set", f"run.lanes={lanes}"])
    for antenna in ("m000", "m001"):
        each = [row["samples_spectrum"] for row in single if row["antenna"] == antenna]
        averaged = [row for row in mean if row["antenna"] == antenna]
        assert len(each) == 7 and [row["timestamp"] for row in averaged] == [96, 240]
        for i, row in enumerate(averaged):
            expected = [sum(bin) / 3 for bin in zip(*each[3 * i:3 * i + 3])]
            assert row["samples_spectrum"] == pytest.approx(expected)


@pytest.mark.parametrize("stages, words", [
    ("[power: smaples]", 'did you mean "samples"'), ("[power: timestamp]", "arrays are needed"),
    ("[unpack: {step: 1ms, sample_rate: 1000}]", "not both"), ("[{select: [ts]}, power]", "no column holds arrays"),
    ("[unpack: {as: index}]", "the same column"),
    pytest.param("[spectrum: {length: 64}]", "48 samples", marks=needs_fft)])
def test_mistakes(weir, tmp_path, stages, words):
    (tmp_path / "a.yaml").write_text(f"sources: {{adc: {{{ADC}, count: 1}}}}\nstages: {stages}\n"
                                     "sinks: {o: 'null'}\n")
    outcome = weir("check", "a.yaml")
    assert outcome.status != 0 and words in outcome.stderr, outcome
