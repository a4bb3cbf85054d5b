#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/async_peers.py tasks SLEEPERS | http HOST PORT SENSORS CYCLES

What asyncio does in weir's place; prints one JSON object, as bench/async_tasks.c and bench/http_epoll.c do.

tasks  nanoseconds of a task switch, a task spawned and collected, an item through a queue; milliseconds of a cycle of
       SLEEPERS tasks that each sleep 100 ms, and bytes for each.
http   aiohttp: milliseconds of each cycle in which all sensors are read at once over connections that are kept.
"""
import asyncio
import gc
import json
import os
import resource
import sys
import time

SWITCHES, SPAWNS, ITEMS, QUEUE, CYCLES, ROUNDS = 200_000, 100_000, 200_000, 256, 3, 3


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def switch_often(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


async def end_at_once():
    pass


async def send(queue):
    for item in range(ITEMS):
        await queue.put(item)


async def receive(queue):
    return sum([await queue.get() for _ in range(ITEMS)])


async def best(each, function):
    least = float("inf")
    for _ in range(ROUNDS):
        begin = time.thread_time()
        await function()
        least = min(least, (time.thread_time() - begin) / each * 1e9)
    return least


async def spawn():
    for _ in range(SPAWNS):
        await asyncio.create_task(end_at_once())


async def pass_items():
    queue = asyncio.Queue(QUEUE)
    await asyncio.gather(send(queue), receive(queue))


async def tasks(sleepers):
    result = {"switch_ns": await best(SWITCHES, lambda: asyncio.gather(switch_often(SWITCHES // 2),
                                                                       switch_often(SWITCHES // 2))),
              "spawn_ns": await best(SPAWNS, spawn), "channel_ns": await best(ITEMS, pass_items), "cycles_ms": []}
    gc.collect()
    before = resident()
    for _ in range(CYCLES):
        begin = time.perf_counter()
        await asyncio.gather(*(asyncio.sleep(0.1) for _ in range(sleepers)))
        result["cycles_ms"].append((time.perf_counter() - begin) * 1e3)
    result["sleeper_bytes"] = (resident() - before) / sleepers
    return result


async def http(host, port, sensors, cycles):
    import aiohttp  # not installed everywhere
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def read(session, sensor):
        """Seconds from its first answer, whose connection is new, to its last: each is asked again once it answered."""
        for cycle in range(cycles + 1):
            async with session.get(f"http://{host}:{port}/sensor/{sensor}") as reply:
                await reply.json()
            first = first if cycle else time.perf_counter()
        return time.perf_counter() - first

    connector = aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        spans = await asyncio.gather(*(read(session, sensor) for sensor in range(sensors)))
    return {"cycle_ms": sum(spans) / sensors / cycles * 1e3}


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "tasks" and len(sys.argv) == 3:
        result = asyncio.run(tasks(int(sys.argv[2])))
    elif command == "http" and len(sys.argv) == 6:
        result = asyncio.run(http(sys.argv[2], *map(int, sys.argv[3:])))
    else:
        sys.exit(__doc__)
    print(json.dumps(result))


main()
