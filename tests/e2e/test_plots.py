# SPDX-License-Identifier: MIT
"""What is plotted: in the terminal, as HdrHistogram's text, and as a picture, which a real browser renders and
measures."""
import html
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import ROOT, SLOWNESS

EXAMPLES = ROOT / "examples"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Slow on a simulated clock: latencies between a millisecond and a minute, the same each time.
PIPELINE = """
sources: {in: {type: generate, keys: 10, burst: 1000, every: 2s, count: 8000}}
stages: [{burn: 1ms}]
sinks: {out: {type: "null"}}
"""
EMPTY = """
sources: {in: {type: file, path: empty.ndjson, format: ndjson, fields: {value: f64}}}
sinks: {out: {type: "null"}}
"""


def run_plotted(weir, tmp_path, *args, text=PIPELINE, name="p.yaml"):
    (tmp_path / "empty.ndjson").write_text("")
    (tmp_path / name).write_text(text)
    return weir("run", name, "--simulated", "--json", *args, status=0)


def test_in_the_terminal(weir, tmp_path):
    outcome = run_plotted(weir, tmp_path, "--plot")
    lines = outcome.stderr.splitlines()
    assert "Times in p.yaml" in lines
    assert any(line.startswith("time (") for line in lines) and any("percentile (%)" in line for line in lines)
    assert any("0%" in line and "90%" in line and "99%" in line for line in lines)
    assert any("latency" in line and "●" in line for line in lines)
    assert max(len(line) for line in lines) <= 80
    outcome.json()  # and nothing of it on stdout
    assert "no data" in run_plotted(weir, tmp_path, "--plot", text=EMPTY).stderr
    text = weir("compare", EXAMPLES / "producer_consumer.yaml", "--simulated", "--plot", status=0).stdout
    for name in ("wait, sequential", "wait, concurrent", "latency, sequential", "latency, concurrent"):
        assert name in text


def test_hgrm(weir, tmp_path):
    report = run_plotted(weir, tmp_path, "--hgrm", "a.hgrm").json()
    text = (tmp_path / "a.hgrm").read_text()
    head, *rest = text.splitlines()
    assert head.split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = [[float(word) for word in line.split()] for line in rest if line and not line.startswith("#")]
    latency = report["latency_seconds"]
    assert rows[-1][0] / 1e3 == pytest.approx(latency["max"]) and rows[-1][1:] == [1, latency["count"]]
    for before, after in zip(rows, rows[1:]):
        assert before[0] <= after[0] and before[1] < after[1] and before[2] <= after[2]
    for value, share, total, *inverse in rows:
        assert total >= share * latency["count"]
        assert not inverse or inverse[0] == pytest.approx(1 / (1 - share), rel=0.01)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        at = next(row[0] for row in rows if row[1] >= share) / 1e3
        assert at == pytest.approx(latency[name], rel=0.05)
    mean = float(re.search(r"Mean += +([\d.]+)", text).group(1)) / 1e3
    assert mean == pytest.approx(latency["mean"], rel=0.01)
    assert int(re.search(r"Total count += +(\d+)", text).group(1)) == latency["count"]


def test_one_thing_on_stdout(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    assert "--svg -" in weir("run", "p.yaml", "--json", "--svg", "-", status=2).stderr
    assert "--svg -" in weir("run", "p.yaml", "--hgrm", "-", "--svg", "-", status=2).stderr
    outcome = weir("run", "p.yaml", "--simulated", "--quiet", "--svg", "-", status=0)
    assert xml.etree.ElementTree.fromstring(outcome.stdout_bytes).tag == "{http://www.w3.org/2000/svg}svg"
    for option in ("--svg", "--hgrm"):  # before anything runs
        outcome = weir("run", "p.yaml", "--simulated", "--quiet", option, "no/such/x", status=2)
        assert f"{option} no/such/x cannot be written: there is no folder no/such; make it" in outcome.stderr
        assert not outcome.stdout
    assert "cannot be written: Is a directory" in weir("run", "p.yaml", "--svg", ".", status=2).stderr


# ---- In a browser --------------------------------------------------------------------------------------------------

MEASURE = """
function box(element, origin) {
    const r = element.getBoundingClientRect();
    return [r.left - origin.left, r.top - origin.top, r.right - origin.left, r.bottom - origin.top];
}
const found = {};
for (const svg of document.querySelectorAll("svg")) {
    const origin = svg.getBoundingClientRect();
    const texts = selector => [...svg.querySelectorAll(selector)].map(t => ({
        text: t.textContent, box: box(t, origin), fill: getComputedStyle(t).fill,
        shown: getComputedStyle(t).visibility === "visible" && t.getComputedTextLength() > 0}));
    const lines = selector => [...svg.querySelectorAll(selector)].map(p => ({
        box: box(p, origin), length: p.getTotalLength(), stroke: getComputedStyle(p).stroke,
        dashes: getComputedStyle(p).strokeDasharray, end: p.getPointAtLength(p.getTotalLength()).y}));
    found[svg.parentNode.id] = {
        size: [origin.width, origin.height], title: texts("text.title"), all: texts("text"),
        x_label: texts(".axis.x .label"), x_ticks: texts(".axis.x .tick"),
        y_label: texts(".axis.y .label"), y_ticks: texts(".axis.y .tick"),
        legend: texts(".legend text"), legend_lines: lines(".legend path"),
        legend_box: [...svg.querySelectorAll(".legend rect")].map(r => box(r, origin)),
        series: lines(".series > path")};
}
document.getElementById("found").textContent = JSON.stringify(found);
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Every picture in one page, as the browser laid it out: name → what it found; and the reports of the runs."""
    if not CHROMIUM:
        pytest.skip("needs chromium")
    from conftest import run
    folder = tmp_path_factory.mktemp("plots")

    def weir(*args, **options):
        return run(args, cwd=folder, **options)

    reports = {"run": run_plotted(weir, folder, "--svg", "run.svg").json()}
    run_plotted(weir, folder, "--svg", "odd.svg", name="a<b>&\"c\" é.yaml")
    run_plotted(weir, folder, "--svg", "empty.svg", text=EMPTY)
    run_plotted(weir, folder, "--svg", "long.svg", name="w" * 200 + ".yaml")
    reports["compare"] = weir("compare", EXAMPLES / "producer_consumer.yaml", "--simulated", "--json", "--svg",
                              "compare.svg", status=0).json()
    page = "<!doctype html><meta charset='utf-8'><body>"
    for name in ("run", "odd", "long", "empty", "compare"):
        text = (folder / f"{name}.svg").read_text(encoding="utf-8")
        assert xml.etree.ElementTree.fromstring(text.encode()).tag == "{http://www.w3.org/2000/svg}svg"
        text = text.replace('<?xml version="1.0" encoding="UTF-8"?>', "").replace("#frame", f"#frame-{name}")
        page += f"<div id='{name}'>{text.replace('id=' + chr(34) + 'frame', 'id=' + chr(34) + 'frame-' + name)}</div>"
    (folder / "page.html").write_text(f"{page}<pre id='found'></pre><script>{MEASURE}</script>", encoding="utf-8")
    done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           "--disable-extensions", "--disable-background-networking", "--disable-dev-shm-usage",
                           "--window-size=1000,800",  # a picture shrinks to a narrower one
                           f"--user-data-dir={folder / 'browser'}", "--dump-dom", (folder / "page.html").as_uri()],
                          capture_output=True, timeout=120 * SLOWNESS, check=False)
    text = done.stdout.decode("utf-8", "replace")
    answer = re.search(r'<pre id="found">(.+?)</pre>', text, re.S)
    assert answer, done.stderr.decode("utf-8", "replace")[-2000:]
    return json.loads(html.unescape(answer.group(1))), reports


def apart(boxes):
    """No two of them overlap."""
    return all(a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
               for i, a in enumerate(boxes) for b in boxes[i + 1:])


def inside(inner, outer, slack=1):
    return (inner[0] >= outer[0] - slack and inner[1] >= outer[1] - slack and inner[2] <= outer[2] + slack and
            inner[3] <= outer[3] + slack)


@pytest.mark.parametrize("name, series", [("run", ["latency", "late by"]), ("odd", ["latency", "late by"]),
                                          ("long", ["latency", "late by"]),
                                          ("compare", ["wait, sequential", "wait, concurrent", "latency, sequential",
                                                       "latency, concurrent"])])
def test_axes_units_and_legend(rendered, name, series):
    seen = rendered[0][name]
    assert seen["size"] == [800, 480]
    assert seen["all"] and all(t["shown"] and inside(t["box"], [0, 0, 800, 480]) for t in seen["all"])
    # Axes: a name with its unit, ticks in order, nothing over anything else.
    assert [t["text"] for t in seen["x_label"]] == ["percentile (%)"]
    assert re.fullmatch(r"time \((ns|µs|ms|s)\)", seen["y_label"][0]["text"])
    assert [t["text"] for t in seen["x_ticks"]][:2] == ["0%", "90%"]
    assert len(seen["y_ticks"]) >= 3
    lefts, tops = [t["box"][0] for t in seen["x_ticks"]], [t["box"][1] for t in seen["y_ticks"]]
    assert lefts == sorted(lefts) and tops == sorted(tops, reverse=True)
    outside = seen["title"] + seen["x_label"] + seen["y_label"] + seen["x_ticks"] + seen["y_ticks"]
    assert apart([t["box"] for t in outside])
    # The label of the time axis is turned: higher than wide.
    left, top, right, bottom = seen["y_label"][0]["box"]
    assert bottom - top > right - left
    # Legend: each series with its name, and with its line as it is drawn.
    assert [t["text"] for t in seen["legend"]] == series
    assert all(inside(t["box"], seen["legend_box"][0]) for t in seen["legend"])
    assert apart([t["box"] for t in seen["legend"]])
    looks = [(line["stroke"], line["dashes"]) for line in seen["series"]]
    assert looks == [(line["stroke"], line["dashes"]) for line in seen["legend_lines"]]
    assert len(set(looks)) == len(series)
    for line in seen["series"]:
        assert line["length"] > 300 and inside(line["box"], [70, 40, 780, 422])


def test_title_of_an_odd_name(rendered):
    assert rendered[0]["odd"]["title"][0]["text"] == 'Times in a<b>&"c" é.yaml'


def test_nothing_to_draw(rendered):
    seen = rendered[0]["empty"]
    assert "no data" in [t["text"] for t in seen["all"]] and not seen["series"]


def test_lines_end_at_the_largest_value(rendered):
    """Read back from the picture: pixels to seconds by the ticks."""
    seen, latency = rendered[0]["compare"], rendered[1]["compare"]["sequential"]["latency_seconds"]
    ticks = [(float(t["text"]), (t["box"][1] + t["box"][3]) / 2) for t in seen["y_ticks"]]
    (low, low_at), (high, high_at) = ticks[0], ticks[-1]
    assert seen["y_label"][0]["text"] == "time (s)"
    end = [line["end"] for line, name in zip(seen["series"], seen["legend"])
           if name["text"] == "latency, sequential"][0]
    read = low + (end - low_at) / (high_at - low_at) * (high - low)
    assert read == pytest.approx(latency["max"], rel=0.03)
