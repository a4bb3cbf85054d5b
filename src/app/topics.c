/* SPDX-License-Identifier: MIT */
#include "app/topics.h"

#include <stddef.h>

#include "conf/conf.h"
#include "serve/metrics.h"

const struct topic topics[] = {
    {"configuration", "the sections of a configuration file",
     "A configuration is one YAML file with up to six sections:\n"
     "\n"
     "  sources:                       # a map: a name for each, its type, its options\n"
     "    readings: {type: file, path: data.csv, key: sensor}\n"
     "  stages:                        # a list, in the order in which records pass\n"
     "    - filter: value > -40\n"
     "    - rolling: {field: value, window: 10, compute: [mean, stddev]}\n"
     "  sinks:                         # a map like sources\n"
     "    store: {type: sqlite, path: out.db}\n"
     "  goals: {latency_p99: 200ms}    # what the run is held against\n"
     "  run: {memory: 256MiB}          # how it runs\n"
     "  serve: {listen: 127.0.0.1:9600}   # metrics while it runs\n"
     "\n"
     "Paths are relative to the folder that weir is started in. Key: value options of a part may also stand below it,\n"
     "indented. A stage that is given one bare value puts it into its main option (weir explain PART marks it).\n",
     NULL},
    {"wiring", "names, from: and what to do when a sink is slow",
     "Without from: the stages are a chain: the first reads all sources, each next one the stage before it, and the "
     "sinks\n"
     "read the last stage. from: NAME, or from: [NAME, NAME], says otherwise; it stands among the options of a stage\n"
     "or sink. What a stage passes on goes to everybody who reads from it.\n"
     "\n"
     "A source or sink is called what stands before its colon. A stage is called by its type, unless it has a name:. "
     "Two\n"
     "unnamed filters are filter_1 and filter_2.\n"
     "\n"
     "  stages:\n"
     "    - rolling: {field: value, window: 10}\n"
     "    - filter: {name: alarms, when: abs(value - value_mean) > 3 * value_stddev}\n"
     "  sinks:\n"
     "    store: {type: sqlite, path: all.db, from: rolling}\n"
     "    alarm: {type: stdout, from: alarms}\n"
     "\n"
     "Every source and every sink has two more options:\n"
     "  when_full  what happens when what comes behind a source, or the sink, cannot keep up:\n"
     "             block (the default: the source waits), drop_newest or drop_oldest (records are lost, and counted)\n"
     "  queue      how much may wait there, at least 64KiB; without it a share of run.memory\n"
     "\n"
     "Every source has two for event time, which windows go by:\n"
     "  watermark  how much older than the newest record others may still come (default 0s): windows wait that long\n"
     "  idle       after so long without a record, windows wait for this source no longer (default 0s: they do)\n",
     NULL},
    {"run", "the section run: lanes, memory, batches, limits",
     "How the pipeline runs. On the command line of weir run and weir check: --limit, --duration, --lanes, --memory, "
     "and\n"
     "--set run.KEY=VALUE for all of them.\n",
     conf_run_options},
    {"goals", "the section goals: what a run is held against",
     "Goals are declared, not guessed. The report says for each whether it was met; weir run --enforce ends with exit\n"
     "code 3 when one was missed. Latency is the time from when a record came into being for weir until it was "
     "stored.\n",
     conf_goal_options},
    {"serve", "the section serve: metrics and health over HTTP",
     "  serve: {listen: 127.0.0.1:9600}\n"
     "\n"
     "While the pipeline runs, http://127.0.0.1:9600/metrics is its state for Prometheus (weir explain metrics),\n"
     "/healthz says whether it works, and /readyz whether it is ready: 200, or 503 with the reasons when a goal is\n"
     "missed or it falls behind. There is no encryption and there are no passwords: listen on the loopback interface,\n"
     "or in a trusted network.\n",
     conf_serve_options},
    {"metrics", "what /metrics says", "", .put = metrics_describe},
    {"units", "how durations, sizes and rates are written",
     "  duration  500ms, 10s, 15min, 1.5h, 2d     ns us ms s min h d\n"
     "  size      64KiB, 96MiB, 1GiB, 4096        B KiB MiB GiB TiB, and kB MB GB TB for powers of 1000\n"
     "  rate      5000/s, 10/min, unlimited       /s /min /h; a bare number is per second\n"
     "  number    20, -0.5, 1e-3                  whole numbers also 1_000_000 or 1e6\n",
     NULL},
    {"expressions", "what filter and derive understand",
     "  columns     value, `odd name` in backquotes\n"
     "  literals    1, 2.5, 1e-3, 'text', true, false, null, durations such as 500ms\n"
     "  operators   or and not  = != < <= > >=  in (…)  not in (…)  is null  is not null  + - * / %  ^\n"
     "  functions   if(c, a, b) abs sqrt exp log pow min max clamp floor ceil round sign coalesce\n"
     "              normal_tail(x, mean, stddev)\n"
     "\n"
     "A value that is missing is null; what is computed from null is null, and a filter keeps a record only when its\n"
     "expression is true. Dividing gives a number with a fraction. Times compare with text: ts >= "
     "'2024-01-01T00:00:00Z'.\n"
     "In YAML, put quotes around an expression that has \": \" or \" #\" in it, or that begins with a quote or a "
     "backquote.\n",
     NULL},
    {"environment", "${VAR} in a configuration, and variables weir looks at",
     "  ${NAME}            the value of the environment variable; a mistake if it is not set\n"
     "  ${NAME:-default}   the same with a default for when it is not set or empty\n"
     "  $${                the two characters ${\n"
     "\n"
     "They are filled in in values, not in keys. Between { } or [ ] YAML wants quotes around them: {path: "
     "\"${DIR}/a.csv\"}.\n"
     "Values of options called password, token or secret are never shown.\n"
     "\n"
     "  NO_COLOR           set to anything: no colours\n",
     NULL},
    {"exit-codes", "what the exit code of a command says",
     "    0  all went well\n"
     "    1  it began and failed: a part, the disk, the network; or it came to nothing: each of its reads failed, or\n"
     "       nothing was delivered, because records were refused or dropped (not because they were filtered)\n"
     "    2  a mistake on the command line or in the configuration; nothing was started\n"
     "    3  all went well, but what was asked for is not so: run --enforce, and a goal was missed; profile "
     "--against,\n"
     "       and an output changed; bench --against, and something is slower; sweep, and no level will do\n"
     "  130  Ctrl-C twice, or draining took longer than run --drain: what was in flight was dropped, and counted\n"
     "\n"
     "A run that was told to end (Ctrl-C, SIGTERM, --duration) and delivers what it has read has gone well. Records "
     "that\n"
     "are refused here and there are no failure: the report counts them, by reason.\n",
     NULL},
    {.name = NULL},
};
