#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tools/demo.sh WEIR [SECONDS]
# Runs examples/hundred_sensors.yaml beside a simulated fleet of its own, on whatever port is free, and shows what came
# into the database. Ctrl-C ends it early.
set -u
cd "$(dirname "$0")/.."
weir=$1
seconds=${2:-15}
database=hundred_sensors.db

say=$(mktemp)
"$weir" simulate fleet --sensors 100 --latency 100ms --jitter 20ms --stall 0.001 --stall-time 1s \
  --listen 127.0.0.1:0 --for "$((seconds + 30))s" 2>"$say" </dev/null &
fleet=$!
trap 'kill "$fleet" 2>/dev/null; wait "$fleet" 2>/dev/null; rm -f "$say"' EXIT
trap : INT # the run ends by itself, and what it stored is still shown

address=
for _ in {1..100}; do
  address=$(sed -n 's|.*listen: http://\([^/]*\)/.*|\1|p' "$say")
  [ -z "$address" ] && kill -0 "$fleet" 2>/dev/null || break
  sleep 0.1
done
if [ -z "$address" ]; then
  echo "The simulated fleet did not start:" >&2
  cat "$say" >&2
  exit 1
fi

echo "A simulated fleet of 100 sensors answers at http://$address/sensor/0 and on, each after some 100 ms;"
echo "examples/hundred_sensors.yaml reads each of them four times a second, for $seconds s:"
echo
"$weir" run examples/hundred_sensors.yaml --duration "${seconds}s" \
  --set "sources.fleet.url=http://$address/sensor/{0..99}"
status=$?

echo
echo "The last alarms in $database:"
/usr/bin/python3 - "$database" <<'END'
import sqlite3, sys

database = sqlite3.connect(sys.argv[1])
for time, sensor, value, mean in database.execute(
        "SELECT ts, sensor, value, value_mean FROM alarms ORDER BY ts DESC LIMIT 5"):
    print(f"  {time}  {sensor:4}  {value:8.2f}, where {mean:.2f} is usual")
readings, = database.execute("SELECT count(*) FROM readings").fetchone()
alarms, = database.execute("SELECT count(*) FROM alarms").fetchone()
print(f"  {alarms} of {readings} readings are alarms.")
END
exit "$status"
