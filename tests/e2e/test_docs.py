# SPDX-License-Identifier: MIT
"""What README.md and docs/ say exists: the configurations are right, the commands have these options, links lead
somewhere."""
import re

import pytest
from conftest import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language):
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in BLOCK.finditer(text):
            if found.group(1) == language:
                line = text.count("\n", 0, found.start()) + 1
                yield pytest.param(found.group(2), id=f"{page.name}:{line}")


def anchors(page):
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("text", blocks("yaml"))
def test_configurations(weir, tmp_path, monkeypatch, text):
    monkeypatch.setenv("TOKEN", "x")
    if text.startswith("  - "):
        text = "stages:\n" + text
    if not re.search("^sources:", text, re.MULTILINE):  # a fragment: whose columns nobody knows
        names = re.findall(r"from: \[(\w+), (\w+)\]", text)
        source = "{type: file, path: nowhere.ndjson}"
        text += "sources: {" + ", ".join(f"{name}: {source}" for name in (names[0] if names else ["input"])) + "}\n"
    if not re.search("^sinks:", text, re.MULTILINE):
        text += "sinks: {output: null}\n"
    (tmp_path / "page.yaml").write_text(text, encoding="utf-8")
    weir("check", "page.yaml", "--quiet", status=0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    text = page.read_text(encoding="utf-8")
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", text):
        if path.startswith("http"):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor[1:] in anchors(target), path + anchor
    for path in re.findall(r"`((?:src|tests|tools|docs|examples|packages|fuzz|include)/[\w./*-]+)`", text):
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_commands_have_their_options(weir):
    """Of `weir COMMAND … --option …` in any page: the command's help has the option."""
    helps, seen = {}, 0
    for page in PAGES + sorted((ROOT / "examples").glob("*.yaml")):
        for line in page.read_text(encoding="utf-8").splitlines():
            for command, rest in re.findall(r"\bweir ((?:spead |simulate )?[a-z]+)((?: [^`|;&()]+)?)", line):
                options = re.findall(r"(?<= )--([a-z][a-z0-9-]*)", rest.split("  ")[0])
                if not options:
                    continue
                if command not in helps:
                    helps[command] = weir(*command.split(), "--help", status=0).stdout
                for option in options:
                    assert re.search(rf"--{option}\b", helps[command]), (page.name, line)
                    seen += 1
    assert seen > 50
