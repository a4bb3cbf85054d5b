# SPDX-License-Identifier: MIT
"""The table of run.py: rows, how they are printed, and how they get into the documentation."""
import dataclasses

BEGIN, END = "<!-- table {}: begin -->", "<!-- table {}: end -->"
HEADS = ("job", "weir", "beside it, in the same run", "ratio", "goal", "")


@dataclasses.dataclass
class Row:
    job: str
    weir: str = ""
    beside: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None  # None: there is no goal, or nothing to hold against it
    figures: dict = dataclasses.field(default_factory=dict)

    def cells(self):
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        return [self.job, self.weir, self.beside, self.ratio, self.goal, verdict]


def rate(per_second):
    return f"{per_second / 1e6:.2f} M/s"


def nanoseconds(ns):
    return f"{ns:.2f} ns"


def microseconds(seconds):
    return f"{seconds * 1e6:.0f} µs" if seconds < 10e-3 else f"{seconds * 1e3:.0f} ms"


def text(rows):
    """Markdown that is a table in a terminal too."""
    lines = [list(HEADS)] + [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def heading(machine, versions, quick, command, seconds):
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = [name for name, version in versions.items() if not version]
    minutes, seconds = divmod(round(seconds), 60)
    lines = [f"`{command}`, {minutes} min {seconds} s, on {machine['model']}, "
             f"{machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}; "
             f"{found}; weir at {machine['commit']}, {machine['date']}."]
    if missing:
        lines.append(f"Not installed, so left out: {', '.join(missing)}.")
    if machine["busy"] > 0.1:
        lines.append(f"Something else kept the machine busy ({machine['busy']:.0%} before the start): "
                     "the figures are too low.")
    if quick:
        lines.append("--quick: a tenth of the records, each run once. Good for seeing whether it runs, not how fast.")
    return "\n".join(lines)


def write_docs(path, name, words):
    page = path.read_text(encoding="utf-8")
    begin, end = BEGIN.format(name), END.format(name)
    if begin not in page or end not in page:
        raise SystemExit(f"{path}: the lines {begin} and {end} are missing")
    before, rest = page.split(begin, 1)
    partial = path.with_suffix(".partial")  # an interruption leaves the old page
    partial.write_text(f"{before}{begin}\n{words}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
    partial.replace(path)
