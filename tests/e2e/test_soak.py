# SPDX-License-Identifier: MIT
"""Long streams, for `make soak`: nothing drifts and nothing grows. WEIR_SOAK_RECORDS sets how long; the default takes
some minutes."""
import os

import pytest

RECORDS = int(os.environ.get("WEIR_SOAK_RECORDS", 100_000_000))

# Values of 1e9 with a noise of 1e-3: where sums of squares lose everything. What is kept up to date is held against
# what is computed anew from the window; records where they differ are those that the filter lets through.
DRIFT = """
    sources:
      fleet: {{type: generate, keys: {keys}, count: {count}, rate: unlimited, mean: 1e9, amplitude: {amplitude},
               noise: 1e-3, fault_rate: 1e-4, fault: {fault}, seed: 9, start: "2024-11-21T00:00:00Z"}}
    stages:
      - rolling: {{field: value, window: 16, compute: [mean, stddev, min, max], as: kept}}
      - rolling: {{field: value, window: 16, compute: [mean, stddev, min, max], as: anew, method: recompute}}
      - filter: >-
          abs(kept_mean - anew_mean) > 1e-15 * abs(anew_mean) or abs(kept_stddev - anew_stddev) > 1e-9 * anew_stddev
          or kept_min != anew_min or kept_max != anew_max or (kept_mean is null) != (anew_mean is null)
    sinks:
      wrong: {{type: file, path: wrong.ndjson}}
    run: {{memory: 96MiB}}
"""


@pytest.mark.soak
@pytest.mark.parametrize("keys, amplitude, fault", [(1, 0, "null"), (1000, 0, "null"), (10, 5, "spike")])
def test_no_drift(pipeline, tmp_path, keys, amplitude, fault):
    report = pipeline(DRIFT.format(keys=keys, amplitude=amplitude, fault=fault, count=RECORDS), timeout=3600)
    assert report["records_in"] == RECORDS
    wrong = (tmp_path / "wrong.ndjson").read_text().splitlines()
    assert report["records_stored"] == len(wrong) == 0, wrong[:5]


@pytest.mark.soak
def test_memory_does_not_grow(pipeline):
    peaks = []
    for count in (RECORDS // 10, RECORDS):
        report = pipeline(f"""
            sources:
              fleet: {{type: generate, keys: 1000, count: {count}, rate: unlimited, seed: 9}}
            stages:
              - rolling: {{field: value, window: 100, compute: [mean, stddev, max]}}
            sinks:
              none: {{type: "null"}}
            run: {{memory: 96MiB}}
        """, timeout=3600)
        peaks.append(report["peak_memory_bytes"])
    assert max(peaks) <= (96 + 32) * 2**20
    assert peaks[1] < peaks[0] + 8 * 2**20
