#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/peers.py loop FILE RECORDS | kernels VALUES | versions

What Python does in weir's place, on one core; prints one JSON object.

loop     the NDJSON job as a plain loop over records that are already in memory: records per second.
kernels  numpy, bottleneck and pandas: nanoseconds of processor time a value, the best of three runs, as weir's kernels
         are measured. A library that is not there is left out. numpy runs over pieces that fit into a cache, into
         arrays that are there already: the best size counts.
"""
import collections
import itertools
import json
import sys
import time


def loop(path, count):
    with open(path, encoding="ascii") as lines:
        records = [tuple(json.loads(line).values()) for line in itertools.islice(lines, count)]
    windows = collections.defaultdict(lambda: collections.deque(maxlen=10))
    begin = time.perf_counter()
    for _, sensor, value, _ in records:
        if -40 < value < 125:
            _ = (value - 20) / 5
            window = windows[sensor]
            window.append(value)
            _ = sum(window) / len(window)
    return {"records_per_second": len(records) / (time.perf_counter() - begin)}


def best_of(runs, function, values):
    best = float("inf")
    for _ in range(runs):
        begin = time.thread_time()
        function()
        best = min(best, time.thread_time() - begin)
    return best / values * 1e9


def numpy_kernels(numpy, values):
    """The best over several sizes of pieces: small ones stay in a cache, large ones cost fewer calls."""
    results = {"filter": float("inf"), "normalize": float("inf")}
    for size in (4096, 16384, 65536, len(values)):
        out = numpy.empty(size)
        pieces = [values[i:i + size] for i in range(0, len(values) - size + 1, size)]

        def select(pieces=pieces):
            for piece in pieces:
                piece[(piece > -40) & (piece < 125)]

        def normalize(pieces=pieces, out=out):
            for piece in pieces:
                numpy.subtract(piece, 20.0, out=out)
                numpy.divide(out, 5.0, out=out)

        done = size * len(pieces)
        results["filter"] = min(results["filter"], best_of(3, select, done))
        results["normalize"] = min(results["normalize"], best_of(3, normalize, done))
    return {f"numpy {name}": ns for name, ns in results.items()}


def bottleneck_kernels(bottleneck, values):
    results = {}
    for window in (10, 1000, 10000):
        for name in ("mean", "std", "max", "median"):
            if (name == "median") == (window == 1000):
                move = getattr(bottleneck, f"move_{name}")
                results[f"bottleneck {name} {window}"] = best_of(
                    3, lambda move=move, window=window: move(values, window, min_count=1), len(values))
    return results


def pandas_kernels(pandas, values, keys):
    frame = pandas.DataFrame({"key": keys, "value": values})
    grouped = frame.groupby("key")["value"]
    return {f"pandas keyed mean {window}":
            best_of(1, lambda window=window: grouped.rolling(window, min_periods=1).mean(), len(values))
            for window in (10, 10000)}


def kernels(count):
    try:
        import numpy
    except ImportError:
        return {}
    draw = numpy.random.default_rng(1)
    # The values of expr_speed.c: four in ten are kept, in no order that a processor could foresee.
    results = numpy_kernels(numpy, draw.integers(0, 4000, count) / 10 - 100)
    values = draw.normal(20, 5, count)
    try:
        import bottleneck
        results |= bottleneck_kernels(bottleneck, values)
    except ImportError:
        pass
    try:
        import pandas
        few = min(count, 1_000_000)
        results |= pandas_kernels(pandas, values[:few], draw.integers(0, 1000, few))
    except ImportError:
        pass
    return results


def versions():
    found = {"python": sys.version.split()[0]}
    for name in ("numpy", "bottleneck", "pandas", "aiohttp"):
        try:
            found[name] = __import__(name).__version__
        except ImportError:
            found[name] = None
    return found


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "loop" and len(sys.argv) == 4:
        result = loop(sys.argv[2], int(sys.argv[3]))
    elif command == "kernels" and len(sys.argv) == 3:
        result = kernels(int(sys.argv[2]))
    elif command == "versions":
        result = versions()
    else:
        sys.exit(__doc__)
    print(json.dumps(result))


main()
