/* SPDX-License-Identifier: MIT */
/* weir bench: how long small things take, and whether they take longer than they did. */
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/app.h"
#include "app/files.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/units.h"
#include "micro/micro.h"

#define TIME_DEFAULT (500 * CLOCK_MILLISECOND)
#define TIME_LEAST CLOCK_MILLISECOND
#define TIME_MOST (60 * CLOCK_SECOND)
enum { SAMPLES = 25, AGAIN_MOST = 2, NAMES_MOST = 256, PATTERNS_MOST = 1000 };

struct arguments {
    const char *save, *against, *time_text, *tolerance_text;
    bool list, json, no_pin;
    char **patterns;
    int pattern_count;
    struct microbench_options options;
    double tolerance;
};
struct benching {
    const struct arguments *arguments;
    const struct microbench *chosen[NAMES_MOST];
    uint32_t chosen_count;
    int width; /* of the names */
    struct microbench_set set, before;
    struct microbench_against against;
    sigset_t signals;
};

/* ---- What is asked for ------------------------------------------------------------------------------------------- */

static int read_values(struct arguments *arguments)
{
    long long time = TIME_DEFAULT;
    arguments->tolerance = 0.05;
    if (arguments->time_text && app_duration("--time", arguments->time_text, &time) < 0)
        return APP_USAGE;
    if (time < TIME_LEAST || time > TIME_MOST) {
        app_say("--time %s is out of range: 1ms to 60s", arguments->time_text);
        return APP_USAGE;
    }
    const char *text = arguments->tolerance_text;
    if (text) {
        char digits[32];
        double percent;
        size_t length = strcspn(text, "%");
        snprintf(digits, sizeof digits, "%.*s", length < sizeof digits ? (int)length : 0, text);
        if (units_number(digits, &percent) < 0 || !(percent >= 0 && percent <= 1e6)) {
            app_say("--tolerance %s is not a number of percent, for example --tolerance 10%%", text);
            return APP_USAGE;
        }
        arguments->tolerance = percent / 100;
    }
    arguments->options = (struct microbench_options){.time = time, .samples = SAMPLES};
    return -1;
}

/* -1: go on; else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    const struct app_option options[] = {
        {"list", 0, NULL, "the benchmarks, and what each measures", .flag = &arguments->list},
        {"time", 0, "TIME", "to spend on each (default: 500ms)", .value = &arguments->time_text},
        {"save", 0, "NAME", "keep the measurements in NAME.json, for --against", .value = &arguments->save},
        {"against", 0, "NAME", "compare with measurements that were kept", .value = &arguments->against},
        {"tolerance", 0, "PERCENT", "what may change without being a change (default: 5%)",
         .value = &arguments->tolerance_text},
        {"no-pin", 0, NULL, "let the system move the program from one processor to another",
         .flag = &arguments->no_pin},
        {"json", 0, NULL, "the measurements as one JSON object", .flag = &arguments->json},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "bench [NAME...]",
        .summary =
            "Measures how long small things take: all, or those with these names (rolling, rolling.mean, *.1000).",
        .description =
            "time     of one: the median of some 25 samples, each of as many calls as make it long enough; of this\n"
            "         thread's processor, where nothing else is said\n"
            "± 95 %   the true median lies no further away, with 95 % confidence\n"
            "MAD      the median of the samples' distances from it\n"
            "\n"
            "Pairs, the obvious way and the better one, are sampled in turns, and told in words below the table.\n"
            "\n"
            "--against: a change counts when the two intervals have nothing in common and the medians differ by more\n"
            "than the tolerance. What is slower is measured twice more before it is said.\n"
            "\n"
            "Exit codes: 0; 1 a benchmark failed; 2 a mistake; 3 --against, and something is slower than it was.",
        .options = options,
        .operands_least = 0,
        .operands_most = PATTERNS_MOST,
    };
    int code = app_parse(&usage, argc, argv, &arguments->pattern_count);
    if (code >= 0)
        return code;
    arguments->patterns = argv + 1;
    return read_values(arguments);
}

/* "rolling" is all whose name begins with it, up to a dot. */
static bool matches(const char *pattern, const char *name)
{
    size_t length = strlen(pattern);
    if (strncmp(pattern, name, length) == 0 && (name[length] == '\0' || name[length] == '.'))
        return true;
    return fnmatch(pattern, name, 0) == 0;
}

static int fail_pattern(const char *pattern)
{
    const char *names[NAMES_MOST];
    uint32_t count = 0;
    for (uint32_t i = 0; micro_tables[i]; i++) {
        for (const struct microbench *bench = micro_tables[i]; bench->name && count < NAMES_MOST; bench++)
            names[count++] = bench->name;
    }
    const char *nearest = error_nearest(pattern, names, count);
    if (nearest)
        app_say("there is no benchmark \"%s\"; did you mean \"%s\"?", pattern, nearest);
    else
        app_say("there is no benchmark \"%s\"; weir bench --list shows them", pattern);
    return APP_USAGE;
}

static int choose(struct benching *benching)
{
    const struct arguments *arguments = benching->arguments;
    bool used[PATTERNS_MOST] = {false};
    for (uint32_t i = 0; micro_tables[i]; i++) {
        for (const struct microbench *bench = micro_tables[i]; bench->name; bench++) {
            bool wanted = arguments->pattern_count == 0;
            for (int k = 0; k < arguments->pattern_count; k++) {
                bool hit = matches(arguments->patterns[k], bench->name);
                used[k] |= hit;
                wanted |= hit;
            }
            if (!wanted || benching->chosen_count == NAMES_MOST)
                continue;
            benching->chosen[benching->chosen_count++] = bench;
            int length = (int)strlen(bench->name);
            benching->width = length > benching->width ? length : benching->width;
        }
    }
    for (int k = 0; k < arguments->pattern_count; k++) {
        if (!used[k])
            return fail_pattern(arguments->patterns[k]);
    }
    return -1;
}

static int list(const struct benching *benching)
{
    struct weir_buffer out = {0};
    if (benching->arguments->json)
        buffer_string(&out, "{\"benchmarks\": [");
    for (uint32_t i = 0; i < benching->chosen_count; i++) {
        const struct microbench *bench = benching->chosen[i];
        if (!benching->arguments->json) {
            buffer_format(&out, "%-*s  %s\n", benching->width, bench->name, bench->summary);
            continue;
        }
        buffer_string(&out, i ? ", {\"name\": " : "{\"name\": ");
        buffer_json_string(&out, bench->name, strlen(bench->name));
        buffer_string(&out, ", \"item\": ");
        buffer_json_string(&out, bench->item, strlen(bench->item));
        buffer_string(&out, ", \"summary\": ");
        buffer_json_string(&out, bench->summary, strlen(bench->summary));
        buffer_string(&out, "}");
    }
    if (benching->arguments->json)
        buffer_string(&out, "]}\n");
    return app_put(stdout, &out);
}

/* ---- Files --------------------------------------------------------------------------------------------------------
 */

/* "before" is kept in before.json; what looks like a file is one. NULL: out of memory. */
static char *path_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    bool file = strchr(name, '/') || strcmp(name, "-") == 0 || (dot && strcmp(dot, ".json") == 0);
    return memory_format(file ? "%s" : "%s.json", name);
}

static int load_before(struct benching *benching)
{
    struct weir_buffer text = {0};
    struct weir_error error = {0};
    const char *name = benching->arguments->against;
    char *path = path_of(name);
    int code = path ? files_load(path, &text) : -ENOMEM;
    if (!code) {
        code = microbench_read(text.data ? text.data : "", text.size, &benching->before, &error);
        if (code < 0)
            app_say("--against %s: %s", name, error.text);
    }
    benching->against = (struct microbench_against){name, &benching->before, benching->arguments->tolerance};
    buffer_free(&text);
    memory_free(path);
    return code < 0 ? APP_USAGE : -1;
}

/* -1: go on; else the exit code. */
static int check_save(const struct arguments *arguments)
{
    char *path = arguments->save ? path_of(arguments->save) : NULL;
    int code = files_check("--save", path);
    memory_free(path);
    return code;
}

static int save(const struct benching *benching)
{
    struct weir_buffer text = {0};
    char *path = path_of(benching->arguments->save);
    microbench_json(&benching->set, NULL, &text);
    if (!path) {
        app_say("out of memory");
        buffer_free(&text);
        return APP_FAILED;
    }
    int code = files_save(path, &text);
    if (code == APP_OK && strcmp(path, "-") != 0 && !benching->arguments->json)
        printf("Kept in %s.\n", path);
    memory_free(path);
    return code;
}

/* ---- Measuring ----------------------------------------------------------------------------------------------------
 */

/* A pair stands together, the slow one first. */
static uint32_t group_at(const struct benching *benching, uint32_t first)
{
    uint32_t count = 1;
    while (first + count < benching->chosen_count && count < MICROBENCH_GROUP_MAX &&
           benching->chosen[first + count]->slow &&
           strcmp(benching->chosen[first + count]->slow, benching->chosen[first]->name) == 0)
        count++;
    return count;
}

static bool is_slower(const struct benching *benching, const struct microbench_result *result)
{
    return benching->against.before &&
           microbench_compare(microbench_find(benching->before.results, benching->before.count, result->name), result,
                              benching->against.tolerance) == MICROBENCH_SLOWER;
}

static bool any_slower(const struct benching *benching, const struct microbench_result *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (is_slower(benching, &results[i]))
            return true;
    }
    return false;
}

static int measure_group(struct benching *benching, uint32_t first, uint32_t count)
{
    struct microbench_result *results = &benching->set.results[first], again[MICROBENCH_GROUP_MAX];
    const struct microbench *const *benches = &benching->chosen[first];
    uint32_t failed = 0;
    int error = microbench_measure(benches, count, &benching->arguments->options, results, &failed);
    for (int i = 0; !error && i < AGAIN_MOST && any_slower(benching, results, count); i++) {
        error = microbench_measure(benches, count, &benching->arguments->options, again, &failed);
        for (uint32_t k = 0; !error && k < count; k++) {
            if (again[k].time.median < results[k].time.median)
                results[k] = again[k];
        }
    }
    if (error)
        app_say("%s failed: %s", benches[failed]->name,
                error == -EIO ? "its result is not what it must be" : strerror(-error));
    return error;
}

static bool interrupted(const struct benching *benching)
{
    const struct timespec at_once = {0};
    return sigtimedwait(&benching->signals, NULL, &at_once) > 0;
}

static int measure_all(struct benching *benching)
{
    const struct microbench_against *against = benching->against.before ? &benching->against : NULL;
    struct weir_buffer out = {0};
    bool words = !benching->arguments->json;
    if (words) {
        microbench_text_machine(&benching->set.machine, &out);
        buffer_string(&out, "\n");
        microbench_text_head(benching->width, against != NULL, &out);
        (void)app_put(stdout, &out);
    }
    for (uint32_t at = 0; at < benching->chosen_count;) {
        uint32_t count = group_at(benching, at);
        if (interrupted(benching))
            return APP_INTERRUPTED;
        if (measure_group(benching, at, count) < 0)
            return APP_FAILED;
        benching->set.count = at += count;
        for (uint32_t i = at - count; words && i < at; i++)
            microbench_text_row(&benching->set.results[i], benching->width, against, &out);
        (void)app_put(stdout, &out);
    }
    return APP_OK;
}

/* ---- At the end ---------------------------------------------------------------------------------------------------
 */

static uint32_t count_slower(const struct benching *benching)
{
    uint32_t slower = 0;
    for (uint32_t i = 0; i < benching->set.count; i++)
        slower += is_slower(benching, &benching->set.results[i]);
    return slower;
}

/* Of what was measured now, how much was measured then. */
static uint32_t count_common(const struct benching *benching)
{
    uint32_t common = 0;
    for (uint32_t i = 0; i < benching->set.count; i++)
        common += microbench_find(benching->before.results, benching->before.count, benching->set.results[i].name) !=
                  NULL;
    return common;
}

static void put_verdict(const struct benching *benching, uint32_t slower, struct weir_buffer *out)
{
    double then = benching->before.machine.measured_before, now = benching->set.machine.measured_before;
    uint32_t common = count_common(benching);
    if (common == 0) {
        buffer_format(out, "Nothing could be compared: %s has none of these benchmarks.\n", benching->against.name);
        return;
    }
    if (strcmp(benching->before.machine.processor, benching->set.machine.processor) != 0)
        buffer_format(out, "%s was measured on another processor: %s.\n", benching->against.name,
                      benching->before.machine.processor);
    else if (then > 0 && now > 0 && (now / then < 0.97 || now / then > 1.03))
        buffer_format(out, "The processor runs at %.2f GHz, and ran at %.2f when %s was measured.\n", now / 1000,
                      then / 1000, benching->against.name);
    if (slower)
        buffer_format(out, "%u of %u slower than %s, by more than noise and %.3g %%.\n", slower, common,
                      benching->against.name, 100 * benching->against.tolerance);
    else
        buffer_format(out, "None of %u is slower than %s by more than noise and %.3g %%.\n", common,
                      benching->against.name, 100 * benching->against.tolerance);
    if (common < benching->set.count)
        buffer_format(out, "%u new: not in %s.\n", benching->set.count - common, benching->against.name);
}

static int conclude(struct benching *benching, int code)
{
    struct weir_buffer out = {0};
    struct microbench_set *set = &benching->set;
    const struct microbench_against *against = benching->against.before ? &benching->against : NULL;
    uint32_t slower = count_slower(benching);
    set->machine.measured_after = micro_frequency();
    if (benching->arguments->json) {
        microbench_json(set, against, &out);
    } else {
        microbench_text_pairs(set, &out);
        microbench_text_changes(&set->machine, &out);
        if (against)
            put_verdict(benching, slower, &out);
        if (out.size)
            fputs("\n", stdout);
    }
    if (out.failed) {
        app_say("out of memory for the measurements");
        code = APP_FAILED;
    }
    (void)app_put(stdout, &out);
    if (benching->arguments->save && save(benching) != APP_OK)
        return APP_FAILED;
    if (code == APP_OK && against && count_common(benching) == 0)
        return APP_USAGE;
    return code == APP_OK && slower ? APP_GOAL_MISSED : code;
}

static int bench(struct benching *benching)
{
    sigemptyset(&benching->signals);
    sigaddset(&benching->signals, SIGINT);
    sigaddset(&benching->signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &benching->signals, NULL);
    benching->set.results = memory_zeroed(benching->chosen_count, sizeof *benching->set.results);
    if (!benching->set.results) {
        app_say("out of memory");
        return APP_FAILED;
    }
    snprintf(benching->set.weir, sizeof benching->set.weir, "%s", WEIR_VERSION);
    micro_machine(!benching->arguments->no_pin, &benching->set.machine);
    int code = measure_all(benching);
    if (code == APP_INTERRUPTED)
        app_say("interrupted: %u of %u benchmarks were measured", benching->set.count, benching->chosen_count);
    return conclude(benching, code);
}

int cmd_bench(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct benching benching = {.arguments = &arguments};
    int code = parse_arguments(argc, argv, &arguments);
    if (code < 0)
        code = choose(&benching);
    if (code < 0 && arguments.list)
        code = list(&benching);
    if (code < 0 && arguments.against)
        code = load_before(&benching);
    if (code < 0)
        code = check_save(&arguments);
    if (code < 0)
        code = bench(&benching);
    microbench_set_free(&benching.set);
    microbench_set_free(&benching.before);
    return code;
}
