# SPDX-License-Identifier: MIT
"""A file that is read at once gives the same windows as the live run in which it was written: event time goes by what
stands in the records alone."""
import json
import random
import signal
import subprocess
import time

import pytest

from conftest import BINARY, SLOWNESS, environment, run

RECORDS = 900
PIPELINE = """
    sources:
      in: {type: file, path: in.ndjson, key: sensor, watermark: 5s, %s
           fields: {ts: time, sensor: symbol, value: f64, seq: i64}}
    stages:
      - aggregate: {name: minutes, from: in, field: value, every: 30s, compute: [count, mean, max], late: too_late}
      - aggregate: {name: hops, from: in, field: value, every: 10s, window: 40s, allowed_lateness: 8s, compute: [sum]}
      - aggregate: {name: sessions, from: in, gap: 12s, compute: [count]}
      - rolling: {name: recent, from: in, field: value, window: 25s, compute: [mean, count]}
    sinks:
      a: {type: file, path: "%s/minutes.ndjson", from: minutes}
      b: {type: file, path: "%s/hops.ndjson", from: hops}
      c: {type: file, path: "%s/sessions.ndjson", from: sessions}
      d: {type: file, path: "%s/late.ndjson", from: too_late}
      e: {type: file, path: "%s/recent.ndjson", from: recent}
    run: {lanes: %d}
"""
NAMES = ("minutes", "hops", "sessions", "late", "recent")


def write_config(folder, out, options, lanes):
    (folder / out).mkdir()
    (folder / f"{out}.yaml").write_text(PIPELINE % (options, out, out, out, out, out, lanes), encoding="utf-8")


def readings():
    """Out of order, some too late, with silences."""
    draw = random.Random(11)
    now, lines = 0, []
    for seq in range(RECORDS):
        now += draw.choice([0, 0, 0, 1, 1, 2]) if draw.random() < 0.98 else 60
        ts = 1732147200 + now - (draw.randrange(40) if draw.random() < 0.1 else draw.randrange(4))
        lines.append(json.dumps({"ts": ts, "sensor": f"s{draw.randrange(4)}", "value": round(draw.gauss(20, 5), 3),
                                 "seq": seq}) + "\n")
    return lines


def outputs(folder, out):
    return {name: sorted((folder / out / f"{name}.ndjson").read_bytes().splitlines()) for name in NAMES}


def live(folder, lines):
    """weir follows the file while it is written, in pieces that end anywhere, with pauses."""
    draw = random.Random(12)
    text, at = "".join(lines), 0
    write_config(folder, "live", "follow: true,", 2)
    with open(folder / "in.ndjson", "w", encoding="utf-8") as out, open(folder / "errors", "wb") as errors:
        weir = subprocess.Popen([BINARY, "run", "live.yaml", "--quiet", "--json"], cwd=folder, stderr=errors,
                                stdout=subprocess.PIPE, env=environment())
        try:
            while at < len(text):
                size = draw.randrange(1, 4000)
                out.write(text[at:at + size])
                out.flush()
                at += size
                time.sleep(draw.choice([0, 0, 0.004, 0.02]))
            until = time.monotonic() + 20 * SLOWNESS
            while len((folder / "live/recent.ndjson").read_bytes().splitlines()) < RECORDS:
                assert time.monotonic() < until and weir.poll() is None, (folder / "errors").read_text()
                time.sleep(0.005)
            weir.send_signal(signal.SIGINT)
            report = json.loads(weir.communicate(timeout=30 * SLOWNESS)[0])
        finally:
            weir.kill()
            weir.wait()
    assert report["records_in"] == RECORDS
    return outputs(folder, "live")


@pytest.mark.threads
def test_a_replay_gives_the_windows_of_the_live_run(tmp_path):
    lines = readings()
    then = live(tmp_path, lines)
    assert all(then[name] for name in NAMES)
    for out, options, lanes in (("fast", "", 1), ("lanes", "", 3), ("paced", "rate: 2000/s,", 2)):
        write_config(tmp_path, out, options, lanes)
        run(["run", f"{out}.yaml", "--quiet"], cwd=tmp_path, status=0)
        now = outputs(tmp_path, out)
        for name in NAMES:
            assert now[name] == then[name], (out, name)
