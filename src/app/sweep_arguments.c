/* SPDX-License-Identifier: MIT */
#include "app/sweep_arguments.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/files.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/units.h"
#include "net/http_url.h"
#include "sim/settings.h"

#define DURATION_NS (3 * CLOCK_SECOND)
#define WARMUP_NS (500 * CLOCK_MILLISECOND)
#define TIMEOUT_NS (10 * CLOCK_SECOND)
#define SUCCESS 0.99
#define STOP_BELOW 0.5
#define MOST 10000 /* of an automatic sweep */
enum { REPEATS = 3, LIST_TEXT = 2048 };

static const char description[] =
    "A level is a number of users, each with one request under way at any time; --once sends one burst of so many;\n"
    "--rate sends at given rates, whether or not earlier requests were answered, and counts times from when a request\n"
    "should have left. The first pass rises through the levels and ends where success collapses; the others repeat\n"
    "them in random order.\n"
    "\n"
    "throughput  answers a second, good or not; goodput: the good ones alone\n"
    "mean … max  response times of all that ended, good or not\n"
    "in flight   requests under way, as counted; gap: how far that is from rate × response time (Little's law);\n"
    "            over 5 % the measurement is broken\n"
    "client      share of its time that weir's busiest thread worked; from 95 % on weir itself is the limit\n"
    "\n"
    "To use is the level with the highest goodput that succeeds often enough (--success) and fast enough (--p99); of\n"
    "those as good (within 4 to 6 %, as repeats differ; with --rate not less), the lowest.\n"
    "Where answers take long, a level is measured for longer than --duration.\n"
    "-c, -t and -d are as wrk has them: weir sweep -c 100 -t 2 -d 10s URL.\n"
    "\n"
    "Exit codes: 0 measured, also when Ctrl-C ended it; 1 nobody answered, or the target died; 2 a mistake on the\n"
    "command line; 3 measured, but no level will do.";

#define ARGUMENTS(a)                                                                                                   \
    {"concurrency", 'c', "LIST", "levels, as 1,5,10 or 10..50 or 10..100/10 (default 1,5,10,25,50,…,2000)",            \
     .value = &(a)->concurrency},                                                                                      \
        {"connections", 0, "LIST", "the same, as wrk calls it", .value = &(a)->connections},                           \
        {"threads", 't', "N", "threads that make the load (default 1)", .value = &(a)->threads},                       \
        {"duration", 'd', "TIME", "measured at each level, all repeats together (default 3s)",                         \
         .value = &(a)->duration},                                                                                     \
        {"auto", 0, NULL, "find the levels: the knee in few steps", .flag = &(a)->automatic},                          \
        {"most", 0, "N", "--auto: highest concurrency (default 10000)", .value = &(a)->most},                          \
        {"once", 0, NULL, "each level is one burst of so many requests", .flag = &(a)->once},                          \
        {"rate", 0, "LIST", "levels are rates: 100,200,500 requests a second", .value = &(a)->rate},                   \
        {"arrivals", 0, "NAME", "--rate: poisson (default) or constant", .value = &(a)->arrivals},                     \
        {"in-flight", 0, "N", "--rate: most requests under way (default 10000); more are not sent",                    \
         .value = &(a)->in_flight},                                                                                    \
        {"repeats", 0, "N", "passes through the levels (default 3; 1 with --auto)", .value = &(a)->repeats},           \
        {"warmup", 0, "TIME", "before each measurement (default 500ms)", .value = &(a)->warmup},                       \
        {"method", 'X', "NAME", "(default GET, or POST with a body)", .value = &(a)->method},                          \
        {"body", 0, "TEXT", "of the request; @FILE: from a file", .value = &(a)->body_text},                           \
        {"header", 'H', "TEXT", "\"Name: value\"; any number of times", .list = &(a)->headers},                        \
        {"timeout", 0, "TIME", "for an answer (default 10s)", .value = &(a)->timeout},                                 \
        {"expect-status", 0, "LIST", "what is good: 200,201 or 2xx (default 2xx,3xx)", .value = &(a)->status},         \
        {"expect-body", 0, "TEXT", "a good answer contains it", .value = &(a)->expect},                                \
        {"success", 0, "RATIO", "least share of good answers (default 99%)", .value = &(a)->success},                  \
        {"p99", 0, "TIME", "target: 99 of 100 answers take no longer", .value = &(a)->p99},                            \
        {"stop-below", 0, "RATIO", "success that ends the first pass (default 50%)", .value = &(a)->stop_below},       \
        {"keep-going", 0, NULL, "measure all levels, whatever succeeds", .flag = &(a)->keep_going},                    \
        {"remote", 0, NULL, "allow another host than this one; be sure that you may", .flag = &(a)->remote},           \
        {"insecure", 0, NULL, "https: take any certificate", .flag = &(a)->insecure},                                  \
        {"ca-file", 0, "FILE", "https: whom to trust", .value = &(a)->ca_file},                                        \
        {"seed", 0, "N", "of the order of levels, and of arrivals (default 1)", .value = &(a)->seed},                  \
        {"json", 0, NULL, "one JSON object on stdout", .flag = &(a)->json},                                            \
        {"csv", 0, "FILE", "a line for each level; - is stdout", .value = &(a)->csv},                                  \
        {"svg", 0, "FILE", "the plot as a picture; - is stdout", .value = &(a)->svg},                                  \
        {"quiet", 'q', NULL, "no table while it runs", .flag = &(a)->quiet},                                           \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

/* ---- Values ----------------------------------------------------------------------------------------------------- */

static int read_duration(const char *option, const char *text, int64_t otherwise, int64_t *ret)
{
    long long ns = otherwise;
    int64_t seconds;
    *ret = otherwise;
    if (text && units_integer(text, &seconds) == 0 && seconds > 0 && seconds < 1000000)
        ns = seconds * CLOCK_SECOND; /* as wrk takes it */
    else if (text && app_duration(option, text, &ns) < 0)
        return -EINVAL;
    *ret = ns;
    return 0;
}

static int read_count(const char *option, const char *text, long long most, uint32_t otherwise, uint32_t *ret)
{
    long long number = otherwise;
    if (text && app_count(option, text, 1, most, &number) < 0)
        return -EINVAL;
    *ret = (uint32_t)number;
    return 0;
}

static int read_ratio(const char *option, const char *text, double otherwise, double *ret)
{
    struct weir_error error = {0};
    *ret = otherwise;
    if (!text || settings_ratio(option, text, ret, &error) == 0)
        return 0;
    app_say("%s", error.text);
    return -EINVAL;
}

/* "1000", "1k". */
static int read_level(const char *text, double *ret)
{
    char digits[40];
    size_t length = strlen(text);
    double factor = 1;
    if (length == 0 || length >= sizeof digits)
        return -EINVAL;
    memcpy(digits, text, length + 1);
    if (length > 1 && (digits[length - 1] == 'k' || digits[length - 1] == 'K')) {
        digits[length - 1] = 0;
        factor = 1000;
    }
    if (units_rate(digits, ret) < 0)
        return -EINVAL;
    *ret *= factor;
    return 0;
}

static int fail_level(const char *option, const char *text, double most)
{
    app_say("%s: %s is not a list of levels from 1 to %.0f: write 1,5,10 or 10..50 or 10..100/10", option, text, most);
    return -EINVAL;
}

static int add_level(struct sweep_arguments *arguments, const char *option, double level)
{
    if (arguments->options.level_count == SWEEP_LEVELS_MOST) {
        app_say("%s: more than %d levels", option, SWEEP_LEVELS_MOST);
        return -EINVAL;
    }
    arguments->levels[arguments->options.level_count++] = level;
    return 0;
}

/* "10", "10..50" (in about ten steps), "10..50/5". */
static int read_range(struct sweep_arguments *arguments, const char *option, char *word, double most)
{
    bool whole = arguments->options.load.kind != LOAD_OPEN;
    char *dots = strstr(word, ".."), *slash = dots ? strchr(dots, '/') : NULL, asked[LIST_TEXT];
    double from, to, step = 0;
    snprintf(asked, sizeof asked, "%s", word);
    if (slash)
        *slash = 0;
    if (dots)
        *dots = 0;
    if (read_level(word, &from) < 0 || (dots && read_level(dots + 2, &to) < 0) ||
        (slash && (read_level(slash + 1, &step) < 0 || step <= 0)))
        return fail_level(option, asked, most);
    if (!dots)
        to = from;
    if (from < (whole ? 1 : 1e-3) || from > most || to < from || to > most ||
        (whole && (from != (double)(int64_t)from || to != (double)(int64_t)to || step != (double)(int64_t)step)))
        return fail_level(option, asked, most);
    if (step == 0)
        step = whole && to - from < 20 ? 1 : whole ? (double)(int64_t)((to - from) / 10) : (to - from) / 10;
    for (double level = from; level <= to * (1 + 1e-12); level += step) {
        if (add_level(arguments, option, level) < 0)
            return -EINVAL;
        if (step <= 0)
            break;
    }
    return 0;
}

static int read_levels(struct sweep_arguments *arguments, const char *option, const char *text, double most)
{
    char copy[LIST_TEXT], *rest = copy;
    if (strlen(text) >= sizeof copy)
        return fail_level(option, "that", most);
    memcpy(copy, text, strlen(text) + 1);
    for (char *word; (word = strsep(&rest, ","));) {
        word += strspn(word, " ");
        word[strcspn(word, " ")] = 0;
        if (read_range(arguments, option, word, most) < 0)
            return -EINVAL;
    }
    return 0;
}

static int choose_levels(struct sweep_arguments *arguments)
{
    struct sweep_options *options = &arguments->options;
    const char *list = arguments->concurrency ? arguments->concurrency : arguments->connections;
    const char *option = arguments->concurrency ? "--concurrency" : "--connections";
    int ways = arguments->automatic + arguments->once + (arguments->rate != NULL);
    if (ways > 1 || (arguments->rate && list) || (arguments->automatic && list)) {
        app_say("%s: choose one of them",
                ways > 1 ? "--auto, --once and --rate are different ways to make load" : "levels are given twice");
        return -EINVAL;
    }
    options->load.kind = arguments->rate ? LOAD_OPEN : arguments->once ? LOAD_ONCE : LOAD_CLOSED;
    options->automatic = arguments->automatic;
    options->levels = arguments->levels;
    if (arguments->rate)
        return read_levels(arguments, "--rate", arguments->rate, LOAD_RATE_MOST);
    if (list)
        return read_levels(arguments, option, list, LOAD_CONCURRENCY_MOST);
    memcpy(arguments->levels, sweep_default_levels, sweep_default_level_count * sizeof(double));
    options->level_count = sweep_default_level_count;
    return 0;
}

/* ---- The target ------------------------------------------------------------------------------------------------- */

static bool is_loopback(const struct http_url *url)
{
    char host[HTTP_HOST_MOST + 1];
    snprintf(host, sizeof host, "%.*s", (int)url->host.length, url->host.text);
    size_t digits = strspn(host, "0123456789.");
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strcmp(host, "0:0:0:0:0:0:0:1") == 0 ||
           (strncmp(host, "127.", 4) == 0 && host[digits] == 0);
}

static int check_url(const struct sweep_arguments *arguments)
{
    struct http_url url;
    const char *reason = NULL;
    char shown[256];
    if (http_url_parse(arguments->url, &url, &reason) < 0) {
        app_say("%s is not a URL to measure: %s; for example weir sweep http://127.0.0.1:9800/",
                http_url_show(arguments->url, shown, sizeof shown), reason ? reason : "it cannot be read");
        return -EINVAL;
    }
    if (is_loopback(&url) || arguments->remote)
        return 0;
    app_say("%.*s is another host, and a sweep takes a server to its limits and beyond: if you may do that to it, add "
            "--remote",
            (int)url.host.length, url.host.text);
    return -EINVAL;
}

static int read_headers(struct sweep_arguments *arguments)
{
    for (size_t i = 0; i < arguments->headers.count; i++) {
        const char *text = arguments->headers.values[i], *colon = strchr(text, ':');
        if (!colon || colon == text) {
            app_say("--header %s is not a header; write it as \"Name: value\"", text);
            return -EINVAL;
        }
        char *name = memory_string(text);
        if (!name) {
            app_say("out of memory");
            return -ENOMEM;
        }
        arguments->field_names[i] = name;
        name[colon - text] = 0;
        char *value = name + (colon - text) + 1;
        arguments->fields[i] = (struct http_pair){name, value + strspn(value, " \t")};
    }
    arguments->target.request.fields = arguments->fields;
    arguments->target.request.field_count = (uint32_t)arguments->headers.count;
    return 0;
}

static int read_body(struct sweep_arguments *arguments)
{
    const char *text = arguments->body_text;
    if (!text)
        return 0;
    if (*text == '@') {
        if (files_load(text + 1, &arguments->body) < 0)
            return -EINVAL;
    } else {
        buffer_string(&arguments->body, text);
    }
    arguments->target.request.body = arguments->body.size ? arguments->body.data : "";
    arguments->target.request.body_size = arguments->body.size;
    return arguments->body.failed ? -ENOMEM : 0;
}

/* "200,204,3xx". */
static int read_statuses(struct sweep_arguments *arguments)
{
    const char *text = arguments->status ? arguments->status : "2xx,3xx";
    for (const char *at = text; *at; at += *at == ',') {
        size_t length = strcspn(at, ",");
        bool class = length == 3 && at[0] >= '1' && at[0] <= '9' && strncmp(at + 1, "xx", 2) == 0;
        bool number = length == 3 && at[0] >= '1' && at[0] <= '9' && isdigit((unsigned char)at[1]) &&
                      isdigit((unsigned char)at[2]);
        if (!class && !number) {
            app_say("--expect-status %s is not a list of statuses; write 200,201 or 2xx", text);
            return -EINVAL;
        }
        int from = class ? (at[0] - '0') * 100 : (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
        for (int status = from; status < from + (class ? 100 : 1); status++)
            arguments->target.statuses[status] = true;
        at += length;
    }
    return 0;
}

static int read_target(struct sweep_arguments *arguments)
{
    struct load_target *target = &arguments->target;
    target->request.url = arguments->url;
    target->request.method = arguments->method;
    target->body = arguments->expect;
    target->client.insecure = arguments->insecure;
    target->client.ca_file = arguments->ca_file;
    if (check_url(arguments) < 0 || read_headers(arguments) < 0 || read_body(arguments) < 0 ||
        read_statuses(arguments) < 0 || read_duration("--timeout", arguments->timeout, TIMEOUT_NS, &target->timeout_ns))
        return -EINVAL;
    if (target->timeout_ns <= 0) {
        app_say("--timeout must be more than nothing");
        return -EINVAL;
    }
    return 0;
}

/* ---- All together ------------------------------------------------------------------------------------------------ */

static int read_limits(struct sweep_arguments *arguments)
{
    struct sweep_options *options = &arguments->options;
    int64_t p99 = 0;
    if (read_ratio("--success", arguments->success, SUCCESS, &options->limits.success) < 0 ||
        read_ratio("--stop-below", arguments->stop_below, STOP_BELOW, &options->collapse) < 0 ||
        read_duration("--p99", arguments->p99, 0, &p99) < 0)
        return -EINVAL;
    options->limits.p99_ns = p99;
    options->keep_going = arguments->keep_going;
    return 0;
}

static int read_arrivals(struct sweep_arguments *arguments)
{
    const char *name = arguments->arrivals ? arguments->arrivals : "poisson";
    if (strcmp(name, "poisson") != 0 && strcmp(name, "constant") != 0) {
        app_say("--arrivals %s: there are poisson and constant", name);
        return -EINVAL;
    }
    arguments->options.load.arrivals = *name == 'c' ? LOAD_CONSTANT : LOAD_POISSON;
    return 0;
}

/* What is of another kind of load would be ignored without a word. */
static int check_kind(const struct sweep_arguments *arguments)
{
    const struct {
        const char *option, *value, *of;
        bool given;
    } rows[] = {{"--arrivals", arguments->arrivals, "--rate", arguments->rate != NULL},
                {"--in-flight", arguments->in_flight, "--rate", arguments->rate != NULL},
                {"--most", arguments->most, "--auto", arguments->automatic}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value && !rows[i].given) {
            app_say("%s goes with %s only: give that too, or leave it out", rows[i].option, rows[i].of);
            return -EINVAL;
        }
    }
    return 0;
}

static int read_plan(struct sweep_arguments *arguments)
{
    struct sweep_options *options = &arguments->options;
    uint32_t repeats = arguments->automatic ? 1 : REPEATS;
    long long seed = 1;
    int64_t duration;
    if (read_count("--threads", arguments->threads, LOAD_THREADS_MOST, 1, &options->threads) < 0 ||
        read_count("--repeats", arguments->repeats, SWEEP_REPEATS_MOST, repeats, &options->repeats) < 0 ||
        read_count("--most", arguments->most, LOAD_CONCURRENCY_MOST, MOST, &options->most) < 0 ||
        read_count("--in-flight", arguments->in_flight, LOAD_CONCURRENCY_MOST, LOAD_IN_FLIGHT_MOST,
                   &options->load.in_flight_most) < 0 ||
        read_duration("--warmup", arguments->warmup, WARMUP_NS, &options->load.warmup_ns) < 0 ||
        read_duration("--duration", arguments->duration, DURATION_NS, &duration) < 0 || read_arrivals(arguments) < 0 ||
        (arguments->seed && app_count("--seed", arguments->seed, 0, INT64_MAX, &seed) < 0))
        return -EINVAL;
    options->load.duration_ns = duration / options->repeats;
    options->load.seed = (uint64_t)seed;
    options->load.target = &arguments->target;
    if (options->load.duration_ns < CLOCK_MILLISECOND || options->load.warmup_ns < 0) {
        app_say("--duration: that is too short for %u repeats", options->repeats);
        return -EINVAL;
    }
    return 0;
}

int sweep_arguments_read(int argc, char **argv, struct sweep_arguments *ret)
{
    const struct app_option options[] = {ARGUMENTS(ret)};
    const struct app_usage usage = {
        .synopsis = "sweep URL",
        .summary = "Puts a server under load at rising concurrency and tells which to use.",
        .description = description,
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
    };
    int operands = 0, code = app_parse(&usage, argc, argv, &operands);
    if (code >= 0)
        return code;
    ret->url = argv[1];
    if (read_target(ret) < 0 || choose_levels(ret) < 0 || check_kind(ret) < 0 || read_limits(ret) < 0 ||
        read_plan(ret) < 0)
        return APP_USAGE;
    bool csv = ret->csv && strcmp(ret->csv, "-") == 0, svg = ret->svg && strcmp(ret->svg, "-") == 0;
    if (ret->json + csv + svg > 1) {
        app_say("%s is on stdout already: give %s a file", ret->json ? "--json" : "--csv",
                !ret->json ? "--svg" : "--csv and --svg");
        return APP_USAGE;
    }
    code = files_check("--csv", ret->csv);
    return code < 0 ? files_check("--svg", ret->svg) : code;
}

void sweep_arguments_free(struct sweep_arguments *arguments)
{
    for (size_t i = 0; i < APP_LIST_MAX; i++)
        memory_free(arguments->field_names[i]);
    buffer_free(&arguments->body);
}
