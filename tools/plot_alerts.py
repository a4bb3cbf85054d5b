#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Draws what examples/alerts.yaml finds, as docs/alerts.svg:

    build/weir run examples/alerts.yaml > alerts.ndjson && tools/plot_alerts.py machine_chart.csv alerts.ndjson
"""
import csv
import datetime
import json
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 320, 44, 16, 40
LOWEST, HIGHEST, THRESHOLD = 0, 110, 62
KNOWN = [("2013-12-10T06:25", "2013-12-12T05:35"), ("2013-12-15T17:50", "2013-12-17T17:00"),
         ("2014-01-27T14:20", "2014-01-29T13:30"), ("2014-02-07T14:55", "2014-02-09T14:05")]


def seconds(text):
    text = text if text.endswith("Z") else text + "Z"
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def main():
    with open(sys.argv[1], encoding="utf-8") as chart:
        rows = list(csv.DictReader(chart))
    with open(sys.argv[2], encoding="utf-8") as lines:
        alerts = [json.loads(line) for line in lines]
    begin, end = seconds(rows[0]["window_start"]), seconds(rows[-1]["window_end"])

    def x(time):
        return round(LEFT + (time - begin) / (end - begin) * (WIDTH - LEFT - 8), 1)

    def y(value):
        return round(TOP + (HIGHEST - value) / (HIGHEST - LOWEST) * (HEIGHT - TOP - BOTTOM), 1)

    def middle(row):
        return x((seconds(row["window_start"]) + seconds(row["window_end"])) / 2)

    def line(column, style):
        points = " ".join(f"{middle(row)},{y(float(row[column]))}" for row in rows)
        return f'<polyline fill="none" {style} points="{points}"/>'

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
           f'font-size="11">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for start, stop in KNOWN:
        out.append(f'<rect x="{x(seconds(start))}" y="{TOP}" width="{round(x(seconds(stop)) - x(seconds(start)), 1)}" '
                   f'height="{HEIGHT - TOP - BOTTOM}" fill="#fbd5d0"/>')
    for value in (0, 20, 40, 60, 80, 100):
        out.append(f'<path d="M{LEFT} {y(value)}H{WIDTH - 8}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value}</text>')
    for date in ("2013-12-15", "2014-01-01", "2014-01-15", "2014-02-01", "2014-02-15"):
        out.append(f'<text x="{x(seconds(date + "T00:00"))}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">'
                   f'{date}</text>')
    out.append(f'<path d="M{LEFT} {y(THRESHOLD)}H{WIDTH - 8}" stroke="#c33" stroke-dasharray="4 3"/>')
    out.append(line("value_min", 'stroke="#bbb" stroke-width="1"'))
    out.append(line("value_mean_mean", 'stroke="#2457a8" stroke-width="2"'))
    for alert in alerts:
        raised = alert["state"] == "raised"
        out.append(f'<circle cx="{x(seconds(alert["timestamp"]))}" cy="{y(alert["value"])}" r="4.5" '
                   f'fill="{"#c33" if raised else "#fff"}" stroke="#c33" stroke-width="1.5"/>')
    out.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">grey: lowest reading of six hours (degrees F); blue: mean of '
               'the last day; red dot: raised; ring: cleared; shaded: known failures; dashed: threshold</text></svg>')
    with open("docs/alerts.svg", "w", encoding="utf-8") as svg:
        svg.write("\n".join(out) + "\n")


main()
