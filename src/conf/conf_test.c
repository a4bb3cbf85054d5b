/* SPDX-License-Identifier: MIT */
/* YAML → plan: what it is read as, and each mistake with its words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/buffer.h"
#include "conf/conf.h"
#include "conf/secret.h"
#include "conf/option.h"

#define SOURCE "sources: {in: {type: generate}}\n"
#define SINK "sinks: {out: {type: null}}\n"

static struct plan *parse_with(const char *text, const struct conf_overrides *overrides)
{
    struct plan *plan = NULL;
    struct weir_error error = {0};
    if (conf_parse("test.yaml", text, strlen(text), overrides, &plan, &error) < 0) {
        char words[4096];
        error_format(&error, words, sizeof words);
        fail_msg("%s", words);
    }
    return plan;
}

static struct plan *parse(const char *text)
{
    return parse_with(text, NULL);
}

static void check_words(const char *text, const struct conf_overrides *overrides, const char *expected)
{
    struct plan *plan = NULL;
    struct weir_error error = {0};
    char words[4096];
    int code = conf_parse("t", text, strlen(text), overrides, &plan, &error);
    error_format(&error, words, sizeof words);
    if (code == 0) {
        plan_free(plan);
        fail_msg("no mistake was found in:\n%s", text);
    }
    assert_int_equal(code, error.code);
    assert_string_equal(words, expected);
}

static void check_mistake(const char *text, const char *expected)
{
    check_words(text, NULL, expected);
}

static const struct plan_node *node(const struct plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (strcmp(plan->nodes[i].name, name) == 0)
            return &plan->nodes[i];
    }
    fail_msg("no node is called %s", name);
    return NULL;
}

/* "a b > c": what a node reads from. */
static void check_from(const struct plan *plan, const char *name, const char *expected)
{
    const struct plan_node *at = node(plan, name);
    char text[256] = "";
    for (uint32_t i = 0; i < at->from_count; i++) {
        assert_true(at->from[i] < (uint32_t)(at - plan->nodes)); /* sorted */
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", plan->nodes[at->from[i]].name);
    }
    assert_string_equal(text, expected);
}

static char *option_text(const struct plan *plan, const char *name, const char *option)
{
    const struct plan_node *at = node(plan, name);
    const struct weir_option *found = option_find(at->part->options, option);
    assert_non_null(found);
    return conf_option_text(found, at->options);
}

static void check_option(const struct plan *plan, const char *name, const char *option, const char *expected)
{
    char *text = option_text(plan, name, option);
    assert_string_equal(text, expected);
    memory_free(text);
}

/* ---- What it is read as ---------------------------------------------------------------------------------------- */

static void test_chain(void **state)
{
    (void)state;
    struct plan *plan = parse("sources:\n  a: {type: generate}\n  b: generate\n"
                              "stages:\n  - filter: value > 1\n  - normalize: {field: value, mean: 1, stddev: 2}\n"
                              "  - {type: filter, when: value > 2, name: last}\n"
                              "sinks:\n  out: null\n");
    assert_int_equal(plan->count, 6);
    check_from(plan, "a", "");
    check_from(plan, "filter", "a b");
    check_from(plan, "normalize", "filter");
    check_from(plan, "last", "normalize");
    check_from(plan, "out", "last");
    assert_int_equal(node(plan, "last")->mark.line, 7);
    assert_string_equal(node(plan, "last")->mark.file, "test.yaml");
    plan_free(plan);
}

static void test_branches(void **state)
{
    (void)state;
    struct plan *plan = parse(SOURCE
                              "stages:\n"
                              "  - filter: {name: late, when: value > 1, from: rolling}\n"
                              "  - rolling: {field: value, window: 10, compute: [mean, stddev, max], from: in}\n"
                              "  - filter: {name: alarms, when: abs(value) > 3}\n"
                              "sinks:\n"
                              "  store: {type: null, from: [rolling, late], when_full: drop_oldest, queue: 1MiB}\n"
                              "  alarm: {type: null}\n");
    check_from(plan, "late", "rolling");
    check_from(plan, "alarms", "rolling");
    check_from(plan, "store", "rolling late");
    check_from(plan, "alarm", "alarms");
    assert_int_equal(node(plan, "store")->when_full, PLAN_DROP_OLDEST);
    assert_int_equal(node(plan, "store")->queue_bytes, 1 << 20);
    assert_int_equal(node(plan, "alarm")->when_full, PLAN_BLOCK);
    check_option(plan, "rolling", "compute", "[mean, stddev, max]");
    check_option(plan, "rolling", "window", "10");
    plan_free(plan);
}

static void test_names(void **state)
{
    (void)state;
    struct plan *plan = parse(
        SOURCE "stages:\n  - filter: value > 1\n  - filter: value > 2\n  - filter: {name: filter, when: value > 3}\n"
               "sinks:\n  - null\n  - stdout: csv\n");
    check_from(plan, "filter_1", "in");
    check_from(plan, "filter_2", "filter_1");
    check_from(plan, "filter", "filter_2");
    check_from(plan, "null", "filter");
    check_option(plan, "stdout", "format", "csv");
    plan_free(plan);
}

static void test_without_stages(void **state)
{
    (void)state;
    struct plan *plan = parse("sources: {a: {type: generate}, b: {type: file, path: x.csv, key: sensor}}\n" SINK);
    check_from(plan, "out", "a b");
    assert_null(node(plan, "a")->key);
    assert_string_equal(node(plan, "b")->key, "sensor");
    check_option(plan, "b", "path", "[x.csv]");
    check_option(plan, "b", "delimiter", "\",\"");
    check_option(plan, "b", "line_max", "1MiB");
    plan_free(plan);
}

static void test_settings(void **state)
{
    (void)state;
    struct plan *plan = parse(
        SOURCE SINK
        "goals: {latency_p99: 200ms, rate: 5000/s, max_lag: 5s}\n"
        "run: {lanes: 3, memory: 96MiB, batch: 1e3, linger: 0, limit: 1_000_000, duration: 1.5h, seed: 7}\n");
    assert_int_equal(plan->goals.latency_p99, 200000000);
    assert_int_equal(plan->goals.max_lag, 5000000000);
    assert_true(plan->goals.rate == 5000);
    assert_int_equal(plan->lanes, 3);
    assert_int_equal(plan->memory, 96 << 20);
    assert_int_equal(plan->batch, 1000);
    assert_int_equal(plan->linger, 0);
    assert_int_equal(plan->limit, 1000000);
    assert_int_equal(plan->duration, 5400000000000);
    assert_int_equal(plan->seed, 7);
    plan_free(plan);
    plan = parse(SOURCE SINK);
    assert_int_equal(plan->lanes, 0);
    assert_int_equal(plan->memory, 256 << 20);
    assert_int_equal(plan->batch, 0);
    assert_int_equal(plan->linger, 5000000);
    assert_int_equal(plan->limit, 0);
    assert_true(plan->goals.rate == 0);
    plan_free(plan);
}

static void test_overrides(void **state)
{
    (void)state;
    const char *set[] = {"sources.in.rate=10/s", "stages.filter.when=value > 7", "run.batch=5", "goals.max_lag=1s",
                         NULL};
    struct conf_overrides overrides = {.to = "stdout", .limit = 10, .lanes = 2, .memory = 64 << 20, .set = set};
    struct plan *plan = parse_with(
        SOURCE "stages:\n  - filter: value > 1\n  - normalize: {name: side, field: value, mean: 1, stddev: 1}\n"
               "  - burn: {cost: 1us, from: filter}\nsinks: {a: {type: sqlite, path: x.db, nonsense: 1}}\n",
        &(struct conf_overrides){.to = "stdout"});
    plan_free(plan);
    plan = parse_with(
        SOURCE
        "stages:\n  - filter: value > 1\n  - burn: {name: side, cost: 1us}\n  - burn: {cost: 1us, from: filter}\n" SINK,
        &overrides);
    assert_int_equal(plan->count, 4); /* `side` leads nowhere now */
    check_from(plan, "stdout", "burn");
    check_option(plan, "in", "rate", "10/s");
    check_option(plan, "filter", "when", "value > 7");
    assert_int_equal(plan->batch, 5);
    assert_int_equal(plan->goals.max_lag, 1000000000);
    assert_int_equal(plan->limit, 10);
    assert_int_equal(plan->lanes, 2);
    assert_int_equal(plan->memory, 64 << 20);
    plan_free(plan);
}

static void test_environment(void **state)
{
    (void)state;
    setenv("CONF_TEST_RATE", "25/s", 1);
    setenv("CONF_TEST_EMPTY", "", 1);
    unsetenv("CONF_TEST_UNSET");
    struct plan *plan = parse(
        "sources: {in: {type: generate, rate: \"${CONF_TEST_RATE}\", key_format: \"$${x}-${CONF_TEST_UNSET:-a:b}\"}}\n"
        "sinks:\n  out:\n    type: file\n    path: /tmp/${CONF_TEST_EMPTY:-e}/${CONF_TEST_EMPTY}\n");
    check_option(plan, "in", "rate", "25/s");
    check_option(plan, "in", "key_format", "\"${x}-a:b\"");
    check_option(plan, "out", "path", "/tmp/e/");
    plan_free(plan);
}

static void test_aliases(void **state)
{
    (void)state;
    struct plan *plan = parse(
        "sources:\n  a: &base {type: generate, rate: 5/s, keys: 3}\n  b: {<<: *base, rate: 7/s}\n  c: *base\n" SINK);
    check_option(plan, "b", "rate", "7/s");
    check_option(plan, "b", "keys", "3");
    check_option(plan, "c", "rate", "5/s");
    plan_free(plan);
}

static void test_is_default(void **state)
{
    (void)state;
    struct plan *plan = parse("sources: {in: {type: generate, period: 60s, rate: 5/s}}\n" SINK);
    const struct plan_node *in = node(plan, "in");
    assert_true(conf_option_is_default(option_find(in->part->options, "period"), in->options));
    assert_true(conf_option_is_default(option_find(in->part->options, "key_format"), in->options));
    assert_false(conf_option_is_default(option_find(in->part->options, "rate"), in->options));
    plan_free(plan);
}

/* ---- Mistakes -------------------------------------------------------------------------------------------------- */

static void test_unknown_words(void **state)
{
    (void)state;
    check_mistake("sources:\n  in: {type: generate, rats: 10/s}\n" SINK, "t:2:24: generate has no option \"rats\"\n"
                                                                         "  in: {type: generate, rats: 10/s}\n"
                                                                         "                       ^~~~\n"
                                                                         "did you mean \"rate\"?\n");
    check_mistake(SOURCE "stages:\n  - fliter: value > 3\n" SINK, "t:3:5: there is no stage called \"fliter\"\n"
                                                                  "  - fliter: value > 3\n"
                                                                  "    ^~~~~~\n"
                                                                  "did you mean \"filter\"?\n");
    check_mistake(SOURCE "stage:\n  - filter: value > 1\n", "t:2:1: there is no section \"stage\"\n"
                                                            "stage:\n"
                                                            "^~~~~\n"
                                                            "did you mean \"stages\"?\n");
    check_mistake(SOURCE SINK "xyz: 1\n", "t:3:1: there is no section \"xyz\"\n"
                                          "xyz: 1\n"
                                          "^~~\n"
                                          "there are: sources, stages, sinks, goals, run, serve\n");
    check_mistake(SOURCE SINK "run: {lane: 1}\n", "t:3:7: run has no option \"lane\"\n"
                                                  "run: {lane: 1}\n"
                                                  "      ^~~~\n"
                                                  "did you mean \"lanes\"?\n");
    check_mistake(SOURCE "stages:\n - sqlite: x.db\n" SINK, "t:3:4: sqlite is a sink: it belongs under sinks\n"
                                                            " - sqlite: x.db\n"
                                                            "   ^~~~~~\n");
    check_mistake(SOURCE "sinks: {out: {type: null, from: inn}}\n", "t:2:33: nothing is called \"inn\"\n"
                                                                    "sinks: {out: {type: null, from: inn}}\n"
                                                                    "                                ^~~\n"
                                                                    "did you mean \"in\"?\n");
    check_mistake("sources: {in: {type: generate, waveform: sinus}}\n" SINK,
                  "t:1:42: waveform of generate cannot be \"sinus\"\n"
                  "sources: {in: {type: generate, waveform: sinus}}\n"
                  "                                         ^~~~~\n"
                  "did you mean \"sine\"?\n");
}

static void test_units(void **state)
{
    (void)state;
    check_mistake(SOURCE SINK "run: {memory: 96Mib}\n",
                  "t:3:15: memory of run: \"96Mib\" is not a size\n"
                  "run: {memory: 96Mib}\n"
                  "              ^~~~~\n"
                  "did you mean \"96MiB\"? for example 64KiB, 96MiB or 1GiB (units: B KiB MiB GiB TiB, kB MB GB TB)\n");
    check_mistake(SOURCE SINK "run:\n  linger: 5 milis\n",
                  "t:4:11: linger of run: \"5 milis\" is not a duration\n"
                  "  linger: 5 milis\n"
                  "          ^~~~~~~\n"
                  "for example 500ms, 10s, 15min or 1.5h (units: ns us ms s min h d)\n");
    check_mistake(SOURCE SINK "run:\n  duration: 10 seconds\n",
                  "t:4:13: duration of run: \"10 seconds\" is not a duration\n"
                  "  duration: 10 seconds\n"
                  "            ^~~~~~~~~~\n"
                  "did you mean \"10s\"? for example 500ms, 10s, 15min or 1.5h (units: ns us ms s min h d)\n");
    check_mistake("sources: {in: {type: generate, rate: 10 per second}}\n" SINK,
                  "t:1:38: rate of generate: \"10 per second\" is not a rate\n"
                  "sources: {in: {type: generate, rate: 10 per second}}\n"
                  "                                     ^~~~~~~~~~~~~\n"
                  "did you mean \"10/s\"? for example 5000/s, 10/min or unlimited (units: /s /min /h)\n");
    check_mistake(SOURCE SINK "run: {memory: 1MiB}\n", "t:3:15: memory of run: 1MiB is too small\n"
                                                       "run: {memory: 1MiB}\n"
                                                       "              ^~~~\n"
                                                       "at least 16MiB\n");
    check_mistake(SOURCE SINK "run: {lanes: 1.5}\n", "t:3:14: lanes of run: \"1.5\" is not a whole number\n"
                                                     "run: {lanes: 1.5}\n"
                                                     "             ^~~\n"
                                                     "for example 10, 1000 or 1_000_000\n");
}

static void test_shapes(void **state)
{
    (void)state;
    check_mistake(SOURCE "stages:\n  - rolling:\n    field: value\n    window: 10\n" SINK,
                  "t:4:5: an entry of a list is one stage, and this is a second key\n"
                  "    field: value\n"
                  "    ^~~~~\n"
                  "indent the options further than \"rolling\", or write rolling: {field: …}\n");
    check_mistake(SOURCE "stages:\n  - filter: {name: x}\n" SINK,
                  "t:3:5: filter needs the option \"when\"\n"
                  "  - filter: {name: x}\n"
                  "    ^~~~~~\n"
                  "when: records for which this is true are kept; where it is null they are not\n");
    check_mistake("sources:\n  generate: {rate: 5/s}\n" SINK, "t:2:3: the source \"generate\" has no type\n"
                                                              "  generate: {rate: 5/s}\n"
                                                              "  ^~~~~~~~\n"
                                                              "write generate: {type: generate, …}\n");
    check_mistake(SOURCE "stages:\n  filter: value > 1\n" SINK, "t:3:3: stages is a list: their order matters\n"
                                                                "  filter: value > 1\n"
                                                                "  ^\n"
                                                                "begin each stage with \"- \"\n");
    check_mistake("sources: {in: {type: generate, rate: [1]}}\n" SINK,
                  "t:1:38: rate of generate is a single value, not a list\n"
                  "sources: {in: {type: generate, rate: [1]}}\n"
                  "                                     ^\n");
    check_mistake("sources:\n  in:\n    type: generate\n    rate:\n" SINK,
                  "t:4:5: rate of generate has no value\n"
                  "    rate:\n"
                  "    ^~~~\n"
                  "write a value after the colon, or remove the line\n");
    check_mistake("sources:\n  a b: {type: generate}\n" SINK, "t:2:3: \"a b\" cannot be a name\n"
                                                              "  a b: {type: generate}\n"
                                                              "  ^~~\n"
                                                              "use up to 64 letters, digits, _ and -\n");
    check_mistake("",
                  "t:1:1: this configuration is empty\n"
                  "it has the sections sources, stages, sinks, goals, run and serve; weir init DATA.csv writes one\n");
    check_mistake(SOURCE, "t:1:1: there is no sink\n"
                          "sources: {in: {type: generate}}\n"
                          "^\n"
                          "for example sinks: {output: {type: stdout}}; or run with --to stdout\n");
}

static void test_wiring(void **state)
{
    (void)state;
    check_mistake(SOURCE
                  "stages:\n  - filter: {name: a, when: value > 1, from: c}\n  - filter: {name: b, when: value > 1}\n"
                  "  - filter: {name: c, when: value > 1}\n  - filter: {name: d, when: value > 1}\n" SINK,
                  "t:4:5: these read from each other in a circle: b → c → a → b\n"
                  "  - filter: {name: b, when: value > 1}\n"
                  "    ^~~~~~\n"
                  "change one of their from:\n");
    check_mistake(SOURCE "stages:\n  - filter: value > 1\n  - filter: {when: value > 2, name: high}\n"
                         "sinks: {out: {type: null, from: filter}}\n",
                  "t:4:5: nothing reads from the stage \"high\"\n"
                  "  - filter: {when: value > 2, name: high}\n"
                  "    ^~~~~~\n"
                  "add a sink with from: high, or remove the stage\n");
    check_mistake(
        SOURCE "stages:\n  - filter: value > 1\n  - filter: value > 2\nsinks: {out: {type: null, from: filter}}\n",
        "t:5:33: \"filter\" could be any of 2 parts\n"
        "sinks: {out: {type: null, from: filter}}\n"
        "                                ^~~~~~\n"
        "name the one you mean: filter_1 (line 3), filter_2 (line 4); or give it a name of its own: {name: …}\n");
    check_mistake(SOURCE "sinks: {in: {type: null}}\n", "t:2:9: a source is called \"in\" already (line 1)\n"
                                                        "sinks: {in: {type: null}}\n"
                                                        "        ^~\n"
                                                        "names are unique in the whole file\n");
    check_mistake(SOURCE "sinks: {a: {type: null}, b: {type: null, from: a}}\n",
                  "t:2:48: \"a\" is a sink: nothing can be read from it\n"
                  "sinks: {a: {type: null}, b: {type: null, from: a}}\n"
                  "                                               ^\n");
}

static void test_syntax(void **state)
{
    (void)state;
    check_mistake("sources:\n\tin: {type: generate}\n", "t:2:1: a tab in the indentation\n"
                                                        "\tin: {type: generate}\n"
                                                        "^\n"
                                                        "YAML wants blanks: two for each level\n");
    check_mistake("sources:\n  in:\n    type: generate\n   rate: 5\n",
                  "t:4:4: this line does not fit the ones above it\n"
                  "   rate: 5\n"
                  "   ^\n"
                  "keys of one block begin in the same column; a value that begins with a quote ends with it\n");
    check_mistake("sources: {in: {type: \"generate}}\n" SINK, "t:1:22: the quote that begins here is never closed\n"
                                                              "sources: {in: {type: \"generate}}\n"
                                                              "                     ^\n"
                                                              "add the closing quote\n");
    check_mistake("sources:\n  in: {type: generate}\n  in: {type: file}\n",
                  "t:3:3: \"in\" is given twice\n"
                  "  in: {type: file}\n"
                  "  ^~\n"
                  "it stands in line 2 already: keep one of the two\n");
    check_mistake(SOURCE "---\na: b\n", "t:2:1: a second document begins here\n"
                                        "---\n"
                                        "^~~\n"
                                        "keep one pipeline to a file\n");
    check_mistake("sources: \xff\xfe", "t:1:10: this is not valid UTF-8\n"
                                       "sources: \?\?\n"
                                       "         ^\n"
                                       "save the file as UTF-8\n");
}

static void test_expression(void **state)
{
    (void)state;
    struct plan *plan = NULL;
    struct weir_error error = {0};
    static const char text[] = SOURCE "stages:\n  - filter: value > and 3\n" SINK;
    assert_true(conf_parse("t", text, strlen(text), NULL, &plan, &error) < 0);
    assert_int_equal(error.mark.line, 3);
    assert_int_equal(error.mark.column, 21);
    assert_non_null(strstr(error.text, "value > and 3\n        ^~~"));
}

static void test_environment_mistakes(void **state)
{
    (void)state;
    unsetenv("CONF_TEST_UNSET");
    check_mistake("sources: {in: {type: generate, rate: \"${CONF_TEST_UNSET}\"}}\n",
                  "t:1:39: the environment variable CONF_TEST_UNSET is not set\n"
                  "sources: {in: {type: generate, rate: \"${CONF_TEST_UNSET}\"}}\n"
                  "                                      ^~~~~~~~~~~~~~~~~~\n"
                  "set it (CONF_TEST_UNSET=… weir …) or give a default: ${CONF_TEST_UNSET:-…}\n");
    check_mistake("sources:\n  in: {type: generate, rate: \"${A B}\"}\n",
                  "t:2:31: this is not ${NAME} or ${NAME:-default}\n"
                  "  in: {type: generate, rate: \"${A B}\"}\n"
                  "                              ^~\n"
                  "write $${ for these two characters themselves\n");
}

static void test_secrets(void **state)
{
    (void)state;
    /* The line is shown up to the secret, and not at all when the mistake is behind it. */
    check_mistake("sources:\n  in: {type: generate, rats: 1, token: hunter2}\n" SINK,
                  "t:2:24: generate has no option \"rats\"\n"
                  "  in: {type: generate, rats: 1, token: ***\n"
                  "                       ^~~~\n"
                  "did you mean \"rate\"?\n");
    check_mistake("sources:\n  in: {type: generate, password: hunter2, rats: 1}\n" SINK,
                  "t:2:24: generate has no option \"password\"\n"
                  "  in: {type: generate, password ***\n"
                  "                       ^~~~~~~~\n"
                  "there are: keys, key_format, rate, burst, every, takes, count, step, waveform, mean, amplitude, "
                  "period, noise, "
                  "drift, fault_rate, fault, seed, start, type, when_full, queue, watermark, idle\n");
    check_mistake("sources:\n  in: {type: generate, rats: 1, url: http://me:hunter2@host/}\n" SINK,
                  "t:2:24: generate has no option \"rats\"\n"
                  "  in: {type: generate, rats: 1, url: http:// ***\n"
                  "                       ^~~~\n"
                  "did you mean \"rate\"?\n");
    check_mistake("sources:\n  in: {type: generate, api_token: 'x\n",
                  "t:2:35: the quote that begins here is never closed\n"
                  "add the closing quote\n");
}

static void test_secrets_within_addresses(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"http://me:pw@host/a", "http://***@host/a"},
        {"http://me@host", "http://***@host"},
        {"http://me:p@w@host:80/a@b", "http://***@host:80/a@b"},
        {"http://host/a@b?token=abc&x=1&api_key=q#f", "http://host/a@b?token=***&x=1&api_key=***#f"},
        {"see http://a:b@c and https://d:e@f, g", "see http://***@c and https://***@f, g"},
        {"http://host/a?monkey=1&sensor=2", "http://host/a?monkey=1&sensor=2"},
        {"me@example.org", "me@example.org"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct weir_buffer out = {0};
        conf_mask_text(pairs[i][0], &out);
        buffer_append(&out, "", 1);
        assert_string_equal(out.data, pairs[i][1]);
        buffer_free(&out);
    }
}

static void test_set_mistakes(void **state)
{
    (void)state;
    const char *set[] = {NULL, NULL};
    struct conf_overrides overrides = {.set = set};
    set[0] = "sources.inn.rate=1";
    check_words(SOURCE SINK, &overrides,
                "--set:1:9: no source is called \"inn\"\n"
                "sources.inn.rate=1\n"
                "        ^~~\n"
                "did you mean \"in\"?\n");
    set[0] = "sources.in.rate=1x";
    check_words(SOURCE SINK, &overrides,
                "--set:1:17: rate of generate: \"1x\" is not a rate\n"
                "sources.in.rate=1x\n"
                "                ^~\n"
                "for example 5000/s, 10/min or unlimited (units: /s /min /h)\n");
    set[0] = "sources.in.rat=1";
    check_words(SOURCE SINK, &overrides,
                "--set:1:12: generate has no option \"rat\"\n"
                "sources.in.rat=1\n"
                "           ^~~\n"
                "did you mean \"rate\"?\n");
    set[0] = "lanes=2";
    check_words(SOURCE SINK, &overrides,
                "--set:1:1: this sets nothing\n"
                "lanes=2\n"
                "^~~~~~~\n"
                "write --set section.key=value, for example --set run.lanes=2\n");
    overrides = (struct conf_overrides){.to = "stdot"};
    check_words(SOURCE SINK, &overrides,
                "--to:1:1: there is no sink called \"stdot\"\n"
                "stdot\n"
                "^~~~~\n"
                "did you mean \"stdout\"?\n");
}

/* Every allocation fails once: words or a plan, and nothing is lost or used after. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] = "sources: {in: {type: generate, rate: \"${CONF_TEST_RATE:-1/s}\"}}\n"
                               "stages:\n  - filter: value > 1\n  - derive: {a: value * 2}\n" SINK;
    for (uint64_t nth = 1; nth < 1000; nth++) {
        struct plan *plan = NULL;
        struct weir_error error = {0};
        memory_fail_nth(nth, false);
        int code = conf_parse("t", text, strlen(text), NULL, &plan, &error);
        uint64_t made = memory_fail_nth(0, false);
        if (code == 0)
            plan_free(plan);
        else
            assert_true(error.text[0]);
        if (made < nth)
            return;
    }
    fail_msg("it never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_without_stages),
        cmocka_unit_test(test_settings),     cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_environment),  cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_is_default),   cmocka_unit_test(test_unknown_words),
        cmocka_unit_test(test_units),        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_wiring),       cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_expression),   cmocka_unit_test(test_environment_mistakes),
        cmocka_unit_test(test_secrets),      cmocka_unit_test(test_secrets_within_addresses),
        cmocka_unit_test(test_set_mistakes), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
