#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: count_results.py meson|junit FILE LABEL

Prints "PASSED FAILED name..." for a test log; names are those of failed tests, without blanks. Skipped tests count as
neither. A log that is missing or broken counts as one failure: then the runner itself did not come to its end.
"""
import json
import sys
import xml.etree.ElementTree


def meson_results(path):
    with open(path, encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            result = test["result"]
            if result != "SKIP":
                yield test["name"].split(" / ")[-1], result in ("OK", "EXPECTEDFAIL")


def junit_results(path):
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        children = {child.tag for child in case}
        if "skipped" not in children:
            name = case.get("classname", "") + "." + case.get("name", "")
            yield name, not children & {"failure", "error"}


def main():
    kind, path, label = sys.argv[1:]
    try:
        results = list({"meson": meson_results, "junit": junit_results}[kind](path))
    except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        results = [("no-results", False)]
    bad = [f"{label}:{name}".replace(" ", "_") for name, good in results if not good]
    print(len(results) - len(bad), len(bad), *bad)


main()
