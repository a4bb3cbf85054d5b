#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks what clang-format does not: lengths, licence lines, blanks, banned functions, one ops table for each part."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

FUNCTION_LINES = 70
FILE_LINES = 700
LINE_COLUMNS = 120

# Functions that are longer, as "file:function". This list is to stay empty: split the function.
LONG_FUNCTIONS = set()

BANNED = {
    "malloc": "memory_allocate", "calloc": "memory_zeroed", "realloc": "memory_resize", "free": "memory_free",
    "strdup": "memory_string", "strndup": "memory_allocate", "asprintf": "memory_format",
    "posix_memalign": "memory_aligned", "aligned_alloc": "memory_aligned",
    "strcpy": "memcpy with a known length", "strcat": "struct weir_buffer", "sprintf": "snprintf",
    "vsprintf": "vsnprintf", "strncpy": "memcpy with a known length", "gets": "fgets", "strtok": "strcspn",
    "atoi": "units_integer", "atol": "units_integer", "atof": "units_number",
}
# Tests of what happens without memory may want some that never runs out.
ALLOCATION = {name for name, instead in BANNED.items() if instead.startswith("memory_")}
BANNED_CALL = re.compile(r"(?<![\w>.])(" + "|".join(BANNED) + r")\s*\(")
# Where the allocator itself is.
ALLOCATOR = "src/base/memory.c"

COMMENTS_AND_STRINGS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
OPS_TABLE = re.compile(r"^const struct weir_(?:source|stage|sink|async) \w+ = \{", re.MULTILINE)


def files():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split("\n")
    for name in sorted(set(listed)):
        path = ROOT / name
        if name and path.is_file():
            yield name, path


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def check_text(name, text, complaints):
    is_c = name.endswith((".c", ".h", ".cpp"))
    lines = text.split("\n")
    if text and not text.endswith("\n"):
        complaints.append(f"{name}: no newline at the end")
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            complaints.append(f"{name}:{number}: blanks at the end of the line")
        if is_c and "\t" in line:
            complaints.append(f"{name}:{number}: a tab")
        if len(line) > LINE_COLUMNS and name.endswith((".c", ".h", ".cpp", ".py", ".sh")):
            complaints.append(f"{name}:{number}: {len(line)} columns, more than {LINE_COLUMNS}")
    if name.endswith((".c", ".h", ".cpp", ".py", ".sh", "meson.build", "Makefile")):
        if not any("SPDX-License-Identifier: MIT" in line for line in lines[:2]):
            complaints.append(f"{name}:1: no line with SPDX-License-Identifier: MIT")
    if is_c and len(lines) > FILE_LINES:
        complaints.append(f"{name}: {len(lines)} lines, more than {FILE_LINES}")
    if is_c and name != ALLOCATOR and name.startswith(("src/", "include/")):
        code = COMMENTS_AND_STRINGS.sub(blank, text)
        for number, line in enumerate(code.split("\n"), 1):
            for match in BANNED_CALL.finditer(line):
                if name.endswith("_test.c") and match.group(1) in ALLOCATION:
                    continue
                complaints.append(f"{name}:{number}: {match.group(1)}: use {BANNED[match.group(1)]}")


def check_parts(name, text, complaints):
    if re.fullmatch(r"src/parts/(source|stage|sink)_\w+\.c", name) and not name.endswith("_test.c"):
        tables = len(OPS_TABLE.findall(text))
        if tables != 1:
            complaints.append(f"{name}: exports {tables} ops tables; a part is one file with one")


def check_function_lengths(names, complaints):
    """Lengths as ctags sees them: from the line with the name to the closing brace."""
    if not names:
        return
    tags = subprocess.run(["ctags", "--languages=C,C++", "--map-C=+.h", "--kinds-C=f", "--kinds-C++=f", "--fields=+ne",
                           "-f", "-", "-L", "-"], cwd=ROOT, check=True, capture_output=True, text=True,
                          input="\n".join(names)).stdout
    seen = set()
    for line in tags.splitlines():
        fields = line.split("\t")
        numbers = dict(re.findall(r"\b(line|end):(\d+)", line))
        if line.startswith("!") or len(numbers) != 2:
            continue
        where = f"{fields[1]}:{fields[0]}"
        length = int(numbers["end"]) - int(numbers["line"]) + 1
        if length > FUNCTION_LINES:
            seen.add(where)
            if where not in LONG_FUNCTIONS:
                complaints.append(f"{fields[1]}:{numbers['line']}: {fields[0]} has {length} lines, "
                                  f"more than {FUNCTION_LINES}")
    for where in sorted(LONG_FUNCTIONS - seen):
        complaints.append(f"tools/check_style.py: {where} is short now: take it off the list")


def main():
    complaints = []
    sources = []
    for name, path in files():
        if name.startswith("fuzz/corpus/") or name.startswith("tests/data/"):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        check_text(name, text, complaints)
        check_parts(name, text, complaints)
        if name.endswith((".c", ".h", ".cpp")):
            sources.append(name)
    check_function_lengths(sources, complaints)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())
