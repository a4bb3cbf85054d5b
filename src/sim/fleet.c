/* SPDX-License-Identifier: MIT */
#include "sim/fleet.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "net/http_server.h"

#define STALL_NS (10 * CLOCK_SECOND)
#define DOWN_NS (2 * CLOCK_SECOND)
#define HANG_NS (3600 * CLOCK_SECOND)
#define WAVE_SECONDS 60.0
#define SLOW_BYTE_NS (200 * CLOCK_MILLISECOND)

struct sensor {
    uint64_t sequence;
    enum fleet_mode mode;
};

struct fleet {
    struct fleet_options options;
    struct sensor *sensors;
    struct random random;
    struct http_server *server;
    uint32_t chosen_first, chosen_last; /* whom `mode` is for */
    bool restart_wanted;
    int64_t down_ns; /* of the restart that is wanted */
    struct weir_event restart;
    struct fleet_counters counters;
};

static const char *const mode_names[FLEET_MODES] = {
    [FLEET_OK] = "ok",       [FLEET_HANG] = "hang", [FLEET_RESET] = "reset",       [FLEET_GARBAGE] = "garbage",
    [FLEET_ERROR] = "error", [FLEET_CUT] = "cut",   [FLEET_NONSENSE] = "nonsense", [FLEET_SLOW] = "slow",
};

/* ---- Readings --------------------------------------------------------------------------------------------------- */

static double unit_of(uint64_t hash)
{
    return (double)(hash >> 11) * 0x1p-53;
}

/* The same for the same seed, sensor and number, whenever it is asked. */
static double value_of(const struct fleet *fleet, uint32_t sensor, uint64_t sequence, int64_t wall_ns)
{
    uint64_t own = hash_u64(fleet->options.seed + 1 + (uint64_t)sensor * 0x9e3779b97f4a7c15ULL);
    uint64_t each = hash_u64(own + sequence * 0xbf58476d1ce4e5b9ULL);
    double level = 20 + (unit_of(own) - 0.5) * 6;
    double phase = unit_of(hash_u64(own));
    double wave = 4 * sin(2 * 3.14159265358979323846 * ((double)(wall_ns / 1000000) / (WAVE_SECONDS * 1000) + phase));
    double noise = (unit_of(each) + unit_of(hash_u64(each)) + unit_of(hash_u64(each + 1)) - 1.5) * 3;
    double jump = hash_u64(each + 2) % 1000 == 0 ? 25 : 0;
    return level + wave + noise + jump;
}

enum format { FORMAT_JSON, FORMAT_CSV, FORMAT_TEXT, FORMAT_PROMETHEUS };

static const char *const content_types[] = {
    [FORMAT_JSON] = "application/json",
    [FORMAT_CSV] = "text/csv",
    [FORMAT_TEXT] = "text/plain",
    [FORMAT_PROMETHEUS] = "text/plain; version=0.0.4",
};

static int write_reading(struct fleet *fleet, struct weir_context *context, uint32_t sensor, enum format format,
                         char *out, size_t size)
{
    int64_t wall = weir_wall_time(context), ms = wall / 1000000;
    uint64_t sequence = fleet->sensors[sensor].sequence++;
    double value = value_of(fleet, sensor, sequence, wall);
    long long seconds = ms / 1000, rest = ms % 1000;
    unsigned long long number = sequence;
    switch (format) {
    case FORMAT_JSON:
        return snprintf(out, size, "{\"ts\":%lld.%03lld,\"sensor\":\"s%u\",\"value\":%.3f,\"seq\":%llu}\n", seconds,
                        rest, sensor, value, number);
    case FORMAT_CSV:
        return snprintf(out, size, "ts,sensor,value,seq\n%lld.%03lld,s%u,%.3f,%llu\n", seconds, rest, sensor, value,
                        number);
    case FORMAT_TEXT:
        return snprintf(out, size, "%.3f\n", value);
    default:
        return snprintf(out, size,
                        "# HELP sensor_value What the sensor reads.\n# TYPE sensor_value gauge\n"
                        "sensor_value{sensor=\"s%u\"} %.3f %lld\n"
                        "# HELP sensor_readings_total How often it was read.\n# TYPE sensor_readings_total counter\n"
                        "sensor_readings_total{sensor=\"s%u\"} %llu\n",
                        sensor, value, (long long)ms, sensor, number + 1);
    }
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static int64_t parse_digits(const char *text, size_t length, size_t *ret_used)
{
    int64_t number = 0;
    size_t used = 0;
    while (used < length && used < 9 && text[used] >= '0' && text[used] <= '9')
        number = number * 10 + (text[used++] - '0');
    *ret_used = used;
    return used ? number : -1;
}

/* 127.1.x.y is sensor x * 256 + y; with w in the place of 1, another 65536 for each beyond it. */
static int64_t sensor_of_host(const struct http_question *question)
{
    const struct http_field *host = http_head_find(question->head, question->bytes, "host");
    const char *at = host ? question->bytes + host->value.at : "", *end = at + (host ? host->value.length : 0);
    int64_t parts[4];
    for (int i = 0; i < 4; i++) {
        size_t used;
        parts[i] = parse_digits(at, (size_t)(end - at), &used);
        at += used;
        if (parts[i] < 0 || parts[i] > 255 || (i < 3 && (at == end || *at++ != '.')))
            return -1;
    }
    return parts[0] == 127 && parts[1] > 0 ? (parts[1] - 1) * 65536 + parts[2] * 256 + parts[3] : -1;
}

/* /sensor/17, /sensor/17.csv, /sensor/s17, /sensor; -1: no such sensor. */
static int64_t sensor_of(const struct fleet *fleet, const struct http_question *question, enum format *format)
{
    static const char *const endings[] = {
        [FORMAT_JSON] = ".json", [FORMAT_CSV] = ".csv", [FORMAT_TEXT] = ".txt", [FORMAT_PROMETHEUS] = ".prom"};
    static const char prefix[] = "/sensor";
    const char *at = question->path;
    size_t left = question->path_length, used;
    int64_t sensor = -1;
    if (left < sizeof prefix - 1 || memcmp(at, prefix, sizeof prefix - 1) != 0)
        return -1;
    at += sizeof prefix - 1;
    left -= sizeof prefix - 1;
    if (left > 1 && *at == '/') {
        size_t letter = at[1] == 's' ? 2 : 1;
        sensor = parse_digits(at + letter, left - letter, &used);
        at += letter + used;
        left -= letter + used;
    } else {
        sensor = sensor_of_host(question);
    }
    *format = FORMAT_JSON;
    for (int i = FORMAT_JSON; left > 0 && i <= FORMAT_PROMETHEUS; i++) {
        if (strlen(endings[i]) == left && memcmp(at, endings[i], left) == 0) {
            *format = (enum format)i;
            left = 0;
        }
    }
    return left == 0 && sensor < fleet->options.sensors ? sensor : -1;
}

static int answer_text(struct weir_context *context, struct http_question *question, int status, const char *text)
{
    return http_answer(context, question, status, "text/plain", text, strlen(text));
}

static int answer_stats(struct weir_context *context, const struct fleet *fleet, struct http_question *question)
{
    struct fleet_counters now;
    char text[512];
    fleet_count(fleet, &now);
    int length = snprintf(text, sizeof text,
                          "{\"sensors\":%u,\"answered\":%llu,\"failed\":%llu,\"stalled\":%llu,\"broken\":%llu,"
                          "\"restarts\":%llu,\"in_flight\":%u,\"in_flight_most\":%u,\"connections\":%u,"
                          "\"connections_most\":%u,\"accepted\":%llu,\"late_seconds_most\":%.6f}\n",
                          fleet->options.sensors, (unsigned long long)now.answered, (unsigned long long)now.failed,
                          (unsigned long long)now.stalled, (unsigned long long)now.broken,
                          (unsigned long long)now.restarts, now.in_flight, now.in_flight_most, now.connections,
                          now.connections_most, (unsigned long long)now.accepted, (double)now.late_ns_most * 1e-9);
    return http_answer(context, question, 200, "application/json", text, (size_t)length);
}

static int answer_control(struct weir_context *context, struct fleet *fleet, struct http_question *question)
{
    struct weir_error error = {0};
    if (settings_apply(question->query, question->query_length, '&', fleet_set, fleet, &error) == 0)
        return answer_text(context, question, 200, "done\n");
    char text[WEIR_ERROR_MAX + 2];
    snprintf(text, sizeof text, "%s\n", error.text);
    return answer_text(context, question, 400, text);
}

static int answer_other(struct weir_context *context, struct fleet *fleet, struct http_question *question)
{
    char text[400];
    if (http_question_is(question, "GET", "/stats"))
        return answer_stats(context, fleet, question);
    if (http_question_is(question, "POST", "/control"))
        return answer_control(context, fleet, question);
    if (fleet->options.others)
        return fleet->options.others(context, fleet->options.others_owner, question);
    fleet->counters.unknown++;
    snprintf(text, sizeof text,
             "There are %u sensors here: GET /sensor/0 to /sensor/%u answer JSON; with .csv, .txt or .prom behind it\n"
             "another format. GET /stats says how it goes, POST /control?latency=200ms changes it.\n",
             fleet->options.sensors, fleet->options.sensors - 1);
    return answer_text(context, question, http_question_is(question, "GET", "/") ? 200 : 404, text);
}

/* ---- Answers, and what is none ---------------------------------------------------------------------------------- */

static int answer_slowly(struct weir_context *context, struct http_question *question, const char *body, int length)
{
    char text[512];
    int size = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s", length, length, body);
    for (int i = 0; i < size; i++) {
        int error = http_answer_raw(context, question, text + i, 1, true);
        if (error == 0)
            error = weir_sleep(context, SLOW_BYTE_NS);
        if (error)
            return error;
    }
    return 0;
}

static int misbehave(struct weir_context *context, struct fleet *fleet, struct http_question *question,
                     enum fleet_mode mode, const char *body, int length)
{
    static const char garbage[] = "\x16\x03\x01 this is no HTTP \r\n\r\n\0\xff";
    static const char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"ts\":17321";
    fleet->counters.broken++;
    switch (mode) {
    case FLEET_HANG:
        (void)weir_sleep(context, HANG_NS);
        return http_hang_up(question, false);
    case FLEET_RESET:
        return http_hang_up(question, true);
    case FLEET_GARBAGE:
        return http_answer_raw(context, question, garbage, sizeof garbage - 1, false);
    case FLEET_CUT:
        return http_answer_raw(context, question, cut, sizeof cut - 1, false);
    case FLEET_NONSENSE:
        return answer_text(context, question, 200, "{\"value\": oops");
    case FLEET_SLOW:
        return answer_slowly(context, question, body, length);
    default:
        return answer_text(context, question, 500, "this sensor is out of order\n");
    }
}

static int answer_sensor(struct weir_context *context, struct fleet *fleet, struct http_question *question,
                         uint32_t sensor, enum format format)
{
    char body[512];
    int64_t wait = distribution_draw(&fleet->options.latency, &fleet->random);
    if (random_chance(&fleet->random, fleet->options.stall_ratio)) {
        fleet->counters.stalled++;
        wait += fleet->options.stall_ns;
    }
    bool fails = random_chance(&fleet->random, fleet->options.fail_ratio);
    int64_t due = question->arrived_ns + wait;
    int error = wait > 0 ? weir_sleep_until(context, due) : 0;
    if (error)
        return error;
    int64_t late = weir_now(context) - due;
    if (late > fleet->counters.late_ns_most)
        fleet->counters.late_ns_most = late;
    if (fails) {
        fleet->counters.failed++;
        return answer_text(context, question, 500, "this request failed, as it was asked to\n");
    }
    int length = write_reading(fleet, context, sensor, format, body, sizeof body);
    enum fleet_mode mode = fleet->sensors[sensor].mode;
    if (mode != FLEET_OK)
        return misbehave(context, fleet, question, mode, body, length);
    fleet->counters.answered++;
    return http_answer(context, question, 200, content_types[format], body, (size_t)length);
}

static int answer(struct weir_context *context, void *owner, struct http_question *question)
{
    struct fleet *fleet = owner;
    enum format format;
    int64_t sensor = sensor_of(fleet, question, &format);
    if (sensor < 0)
        return answer_other(context, fleet, question);
    if (!question->no_body && (question->method_length != 3 || memcmp(question->method, "GET", 3) != 0))
        return answer_text(context, question, 405, "sensors are read with GET\n");
    http_question_forget(question);
    if (++fleet->counters.in_flight > fleet->counters.in_flight_most)
        fleet->counters.in_flight_most = fleet->counters.in_flight;
    int error = answer_sensor(context, fleet, question, (uint32_t)sensor, format);
    fleet->counters.in_flight--;
    return error;
}

/* ---- The fleet -------------------------------------------------------------------------------------------------- */

int fleet_new(const struct fleet_options *options, struct fleet **ret)
{
    if (options->sensors == 0 || options->sensors > FLEET_SENSORS_MOST)
        return -EINVAL;
    struct fleet *fleet = memory_zeroed(1, sizeof *fleet);
    if (!fleet)
        return -ENOMEM;
    fleet->options = *options;
    fleet->options.stall_ns = options->stall_ns ? options->stall_ns : STALL_NS;
    fleet->options.restart_down_ns = options->restart_down_ns ? options->restart_down_ns : DOWN_NS;
    fleet->chosen_last = options->sensors - 1;
    random_seed(&fleet->random, options->seed);
    fleet->sensors = memory_zeroed(options->sensors, sizeof *fleet->sensors);
    struct http_server_options server = {.answer = answer, .owner = fleet};
    if (!fleet->sensors || http_server_new(&server, &fleet->server) < 0) {
        fleet_free(fleet);
        return -ENOMEM;
    }
    *ret = fleet;
    return 0;
}

void fleet_free(struct fleet *fleet)
{
    if (!fleet)
        return;
    http_server_free(fleet->server);
    memory_free(fleet->sensors);
    memory_free(fleet);
}

uint32_t fleet_sensors(const struct fleet *fleet)
{
    return fleet->options.sensors;
}

void fleet_count(const struct fleet *fleet, struct fleet_counters *ret)
{
    struct http_server_counters server;
    http_server_count(fleet->server, &server);
    *ret = fleet->counters;
    ret->connections = server.connections;
    ret->connections_most = server.connections_most;
    ret->accepted = server.accepted;
}

/* "17", "3..5" or "all". */
static int choose(struct fleet *fleet, const char *value, struct weir_error *error)
{
    size_t length = strlen(value), used, used_last = 0;
    uint32_t most = fleet->options.sensors - 1;
    int64_t first = parse_digits(value, length, &used), last = first;
    if (strcmp(value, "all") == 0) {
        first = 0;
        last = most;
        used = length;
    } else if (used && length - used > 2 && memcmp(value + used, "..", 2) == 0) {
        last = parse_digits(value + used + 2, length - used - 2, &used_last);
        used += 2 + used_last;
    }
    if (first < 0 || last < first || last > most || used != length)
        return weir_fail(error, -EINVAL, "sensor=%s: write a number from 0 to %u, a range like 3..5, or all", value,
                         most);
    fleet->chosen_first = (uint32_t)first;
    fleet->chosen_last = (uint32_t)last;
    return 0;
}

static int set_mode(struct fleet *fleet, const char *value, struct weir_error *error)
{
    for (int mode = 0; mode < FLEET_MODES; mode++) {
        if (strcmp(value, mode_names[mode]) != 0)
            continue;
        for (uint32_t i = fleet->chosen_first; i <= fleet->chosen_last; i++)
            fleet->sensors[i].mode = (enum fleet_mode)mode;
        return 0;
    }
    return weir_fail(error, -EINVAL, "mode=%s: there are ok, hang, reset, garbage, error, cut, nonsense and slow",
                     value);
}

static int set_restart(struct fleet *fleet, const char *value, struct weir_error *error)
{
    int status = settings_duration("restart", value, &fleet->down_ns, error);
    if (status == 0) {
        fleet->restart_wanted = true;
        weir_event_signal(&fleet->restart, true);
    }
    return status;
}

int fleet_set(void *owner, const char *name, const char *value, struct weir_error *error)
{
    struct fleet *fleet = owner;
    struct fleet_options *options = &fleet->options;
    if (strcmp(name, "latency") == 0)
        return settings_duration(name, value, &options->latency.mean_ns, error);
    if (strcmp(name, "jitter") == 0)
        return settings_jitter(value, &options->latency, error);
    if (strcmp(name, "distribution") == 0)
        return settings_distribution(value, &options->latency, error);
    if (strcmp(name, "fail") == 0)
        return settings_ratio(name, value, &options->fail_ratio, error);
    if (strcmp(name, "stall") == 0)
        return settings_ratio(name, value, &options->stall_ratio, error);
    if (strcmp(name, "stall_time") == 0)
        return settings_duration(name, value, &options->stall_ns, error);
    if (strcmp(name, "sensor") == 0)
        return choose(fleet, value, error);
    if (strcmp(name, "mode") == 0)
        return set_mode(fleet, value, error);
    if (strcmp(name, "restart") == 0)
        return set_restart(fleet, value, error);
    if (strcmp(name, "restart_every") == 0)
        return settings_duration(name, value, &options->restart_every_ns, error);
    if (strcmp(name, "down") == 0)
        return settings_duration(name, value, &options->restart_down_ns, error);
    return weir_fail(error, -EINVAL,
                     "there is no setting \"%s\": latency, jitter, distribution, fail, stall, stall_time, "
                     "restart, restart_every, down, sensor, mode",
                     name);
}

struct serving {
    struct fleet *fleet;
    struct weir_listener *listener;
};

static int serve(struct weir_context *context, void *argument)
{
    struct serving *serving = argument;
    return http_server_run(context, serving->fleet->server, serving->listener);
}

/* Serves until it is time for a restart; 0, or -ECANCELED. Every connection is closed when it returns. */
static int serve_until_restart(struct weir_context *context, struct fleet *fleet, struct weir_listener *listener)
{
    struct weir_scope scope;
    struct serving serving = {fleet, listener};
    int64_t every = fleet->options.restart_every_ns;
    weir_scope_open(context, &scope);
    int error = weir_scope_spawn(&scope, "fleet", serve, &serving);
    int64_t deadline = every ? weir_now(context) + every : WEIR_NEVER;
    while (error == 0 && !fleet->restart_wanted)
        error = weir_event_wait(context, &fleet->restart, deadline);
    if (error == -ETIMEDOUT) {
        fleet->down_ns = fleet->options.restart_down_ns;
        error = 0;
    }
    fleet->restart_wanted = false;
    weir_scope_close(&scope);
    return error;
}

int fleet_serve(struct weir_context *context, struct fleet *fleet, const char *host, uint16_t port, bool loopback_only,
                void (*ready)(void *owner, uint16_t port), void *owner)
{
    int error = 0;
    http_server_loopback_only(fleet->server, loopback_only);
    while (error == 0) {
        struct weir_listener *listener;
        error = weir_stream_listen(context, host, port, &listener);
        if (error)
            break;
        port = weir_listener_port(listener);
        if (ready && fleet->counters.restarts == 0)
            ready(owner, port);
        error = serve_until_restart(context, fleet, listener);
        weir_listener_close(listener);
        fleet->counters.restarts++;
        if (error == 0)
            error = weir_sleep(context, fleet->down_ns);
    }
    return error;
}
