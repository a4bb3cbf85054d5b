#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks that each folder of src/ includes only what lies below it, and that docs/architecture.md says the same."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# folder: the folders that it may include, besides itself and include/weir
ALLOWED = {
    "base": [],
    "async": ["base"],
    "wire": ["base"],
    "data": ["base"],
    "codec": ["base", "data"],
    "expr": ["base", "data"],
    "net": ["base", "async", "wire", "data"],
    "flow": ["base", "async", "data", "codec"],
    "measure": ["base", "data", "flow"],
    "conf": ["base", "data", "expr", "flow"],
    "parts": ["base", "async", "wire", "data", "codec", "expr", "net", "flow"],
    "sim": ["base", "async", "wire", "data", "codec", "net", "measure"],
    "load": ["base", "async", "wire", "data", "codec", "net", "measure", "sim"],
    "serve": ["base", "async", "flow", "measure"],
    "micro": ["base", "async", "wire", "data", "codec", "expr", "flow", "measure"],
    "app": ["base", "async", "wire", "data", "codec", "expr", "net", "flow", "measure", "conf", "parts", "sim", "load",
            "serve", "micro"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<(weir/[^>]+)>)')
TABLE_ROW = re.compile(r"^\|\s*`(\w+)/`\s*\|[^|]*\|([^|]*)\|\s*$")


def check_file(path, folder, complaints):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        where = f"{path.relative_to(ROOT)}:{number}"
        included = match.group(1) or match.group(2)
        if match.group(2):
            if not (ROOT / "include" / included).is_file():
                complaints.append(f"{where}: <{included}> does not exist")
            continue
        if folder == "include":
            complaints.append(f'{where}: a public header includes only <weir/...>, not "{included}"')
            continue
        target = included.split("/")[0]
        if not (ROOT / "src" / included).is_file():
            complaints.append(f'{where}: write "folder/file.h", relative to src/; there is no src/{included}')
        elif target != folder and target not in ALLOWED[folder]:
            allowed = ", ".join(ALLOWED[folder]) or "nothing"
            complaints.append(f'{where}: {folder}/ may include {allowed}; not "{included}"')


def check_parts(complaints):
    """A part is a leaf: parts include no header of another part."""
    for path in sorted((ROOT / "src/parts").glob("*_*.c")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = re.match(r'^\s*#\s*include\s*"parts/((?:source|stage|sink)_[^"]+)"', line)
            if match and not path.name.startswith(match.group(1)[:-2]):
                complaints.append(f"{path.relative_to(ROOT)}:{number}: a part does not include another: "
                                  f"{match.group(1)}")


def check_document(complaints):
    path = ROOT / "docs/architecture.md"
    shown = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        match = TABLE_ROW.match(line)
        if match:
            text = match.group(2).strip()
            shown[match.group(1)] = list(ALLOWED)[:-1] if text == "all" else re.findall(r"\w+", text)
    for folder in sorted(set(ALLOWED) | set(shown)):
        if sorted(shown.get(folder, ["(absent)"])) != sorted(ALLOWED.get(folder, ["(absent)"])):
            complaints.append(f"docs/architecture.md: the row of {folder}/ says {shown.get(folder)}, "
                              f"tools/check_includes.py says {ALLOWED.get(folder)}")


def main():
    complaints = []
    for path in sorted((ROOT / "include").rglob("*.h")):
        check_file(path, "include", complaints)
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".c", ".h", ".cpp"):
            continue
        folder = path.relative_to(ROOT / "src").parts[0]
        if folder not in ALLOWED:
            complaints.append(f"{path.relative_to(ROOT)}: src/{folder}/ is not in the table of tools/check_includes.py")
        else:
            check_file(path, folder, complaints)
    check_parts(complaints)
    check_document(complaints)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())
