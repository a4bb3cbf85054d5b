# SPDX-License-Identifier: MIT
"""The same pipeline on different numbers of lanes and sizes of batch, and what reports count."""
import json

LAYOUTS = ((1, "auto"), (2, "auto"), (4, 500), (1, 64), (3, 61), (2, 4096), (1, 1))
ENDS = ("records_in", "records_stored", "records_filtered", "records_refused", "records_dropped")


def counters(report):
    return sorted((entry["part"], entry["what"], entry.get("field") or "", entry["number"])
                  for entry in report.get("counters", []))


def counted(report, what):
    """The sum of a counter over parts and fields."""
    return sum(entry[3] for entry in counters(report) if entry[1] == what)


def run_layouts(pipeline, tmp_path, config, layouts=LAYOUTS, *, rest):
    """Runs with each layout, for which `rest` has two places; all have to give the same lines of out.ndjson but for
    their order, and the same counters. Returns rows, in the order of the last run, and its report."""
    first = None
    for lanes, batch in layouts:
        report = pipeline(config + rest % (lanes, batch))
        text = (tmp_path / "out.ndjson").read_text(encoding="utf-8").splitlines()
        counts = {name: report[name] for name in ENDS}
        counts["counters"] = counters(report)
        first = first or (sorted(text), counts)
        assert sorted(text) == first[0], (lanes, batch)
        assert counts == first[1], (lanes, batch)
    return [json.loads(line) for line in text], report
