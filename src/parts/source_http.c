/* SPDX-License-Identifier: MIT */
/*
 * Sensors that answer over HTTP: each is a task that asks, waits for the answer and sleeps until it is due again, so
 * thousands wait at the same time and none delays another. What they answer is gathered as lines of NDJSON, which the
 * root task hands on as blocks; lanes decode them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "async/breaker.h"
#include "async/retry.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/units.h"
#include "codec/codec.h"
#include "net/http.h"
#include "parts/endpoint.h"
#include "parts/http_records.h"
#include "parts/parts.h"
#include "parts/url_list.h"
#include <weir/task.h>

enum {
    GATHERED_MOST = 256 * 1024, /* bytes of answers that wait to be handed on; then sensors wait */
    FAILURES_MOST = 3,          /* in a row, until a sensor is asked less often */
    FAILING_SHOWN = 3,          /* of each reason */
    REASONS_SHOWN = 6,
    HURRY_MS = 100, /* pause after a failure when `every` is 0 */
};

enum overrun { OVERRUN_SKIP, OVERRUN_COALESCE };
static const char *const overrun_names[] = {"skip", "coalesce", NULL};

struct source_http;
struct sensor {
    struct source_http *self;
    const char *url, *name;
    struct breaker breaker;
    int64_t due, first_asked;
    _Atomic int64_t span_ns; /* from when it was first asked until it was last asked */
    _Atomic uint64_t asked, answered;
    _Atomic int failing; /* why; HTTP_DONE: it answers */
};

struct source_http {
    struct weir_list url;
    const char *urls;
    int64_t every, timeout, backoff;
    const char *spread;
    int overrun;
    int64_t retries, count, body_most;
    struct endpoint_access access;
    struct http_records records;
    int format;
    const char *records_at;
    struct weir_quoted time, key;
    int time_format;
    struct weir_list values, fields;

    struct weir_env *env;
    struct weir_emitter *out;
    struct url_list list;
    struct sensor *sensors;
    struct http_client *client;
    struct http_pair pairs[ENDPOINT_FIELDS_MOST];
    uint32_t pair_count;
    struct retry_budget budget;
    struct codec_read_options read;
    struct codec_layout *layout;
    struct weir_buffer gathered;
    int64_t gathered_since;
    struct weir_event ready, drained;
    uint64_t position;
    uint64_t random;
    int64_t spread_ns;
    uint32_t live;
    _Atomic uint64_t overruns, retried, good, failed;
};

/* ---- One reading ------------------------------------------------------------------------------------------------- */

static bool worth_again(enum http_outcome outcome, int status)
{
    return outcome == HTTP_REFUSED || outcome == HTTP_RESET || outcome == HTTP_NO_REPLY ||
           outcome == HTTP_UNREACHABLE || (outcome == HTTP_BAD_STATUS && (status == 429 || status >= 500));
}

/* Why a sensor fails: an outcome of the client, or that its answer says nothing. */
enum { REASON_UNREADABLE = HTTP_OUTCOMES, REASONS };

static void tell_failure(struct sensor *sensor, int reason, const char *words)
{
    struct source_http *self = sensor->self;
    self->failed++;
    weir_count(self->env, "reads failed",
               reason == REASON_UNREADABLE ? "unreadable" : http_outcome_name((enum http_outcome)reason), 1);
    if (atomic_exchange(&sensor->failing, reason) == HTTP_DONE)
        weir_notice(self->env, "sensor failed", "sensor %s: %s", sensor->name, words);
}

/* Takes what it answered into what is gathered. */
static int take_answer(struct weir_context *context, struct sensor *sensor, const struct http_reply *reply)
{
    struct source_http *self = sensor->self;
    struct weir_error words = {0};
    uint64_t count = 0;
    size_t length = 0;
    char type[64] = "";
    const char *field = http_reply_field(reply, "Content-Type", &length);
    while (self->gathered.size >= GATHERED_MOST) {
        int error = weir_event_wait(context, &self->drained, WEIR_NEVER);
        if (error < 0)
            return error;
    }
    if (field)
        snprintf(type, sizeof type, "%.*s", (int)length, field);
    if (!self->gathered.size)
        self->gathered_since = weir_now(context);
    int error = http_records_append(&self->records, field ? type : NULL, reply->body, reply->body_size, sensor->name,
                                    weir_wall_time(context), &self->gathered, &count, &words);
    if (error < 0) {
        tell_failure(sensor, REASON_UNREADABLE, words.text);
        return error;
    }
    self->good++;
    sensor->answered++;
    if (atomic_exchange(&sensor->failing, HTTP_DONE) != HTTP_DONE)
        weir_notice(self->env, "sensor is back", "sensor %s answers again", sensor->name);
    weir_event_signal(&self->ready, false);
    return 0;
}

/* Asks until it answers, or the deadline that covers all attempts has come. 0, or what went wrong; -ECANCELED. */
static int read_sensor(struct weir_context *context, struct sensor *sensor)
{
    struct source_http *self = sensor->self;
    const struct retry_options retry = {(uint32_t)self->retries + 1, 50 * CLOCK_MILLISECOND, CLOCK_SECOND};
    struct http_request request = {.url = sensor->url,
                                   .fields = self->pairs,
                                   .field_count = self->pair_count,
                                   .user = self->access.user,
                                   .password = self->access.password,
                                   .bearer = self->access.token,
                                   .body_most = (uint64_t)self->body_most};
    int64_t asked = weir_now(context), deadline = asked + self->timeout;
    retry_budget_earn(&self->budget);
    for (uint32_t attempt = 1;; attempt++) {
        struct http_reply reply = {0};
        char words[512];
        int error = http_request(context, self->client, &request, deadline, &reply);
        if (error == 0) {
            weir_emit_fetch(self->out, weir_now(context) - asked, 1);
            error = take_answer(context, sensor, &reply);
            http_reply_release(&reply);
            return error;
        }
        endpoint_explain(&request, &reply, words, sizeof words);
        enum http_outcome outcome = reply.outcome;
        bool again = worth_again(outcome, reply.status) && attempt < retry.attempts;
        http_reply_release(&reply);
        if (error == -ECANCELED)
            return error;
        int64_t until = weir_now(context) + retry_wait(&retry, attempt + 1, hash_u64(self->random++));
        if (!again || until >= deadline || !retry_budget_take(&self->budget)) {
            tell_failure(sensor, (int)outcome, words);
            return error;
        }
        self->retried++;
        error = weir_sleep_until(context, until);
        if (error < 0)
            return error;
    }
}

/* The next time it is to be asked. What was missed meanwhile is counted, and left out or made up for by one reading. */
static void schedule(struct sensor *sensor, int64_t now, int error)
{
    struct source_http *self = sensor->self;
    breaker_report(&sensor->breaker, now, error == 0);
    if (!self->every) {
        sensor->due = error ? now + HURRY_MS * CLOCK_MILLISECOND : now;
    } else {
        sensor->due += self->every;
        if (sensor->due < now) {
            uint64_t missed = (uint64_t)((now - sensor->due) / self->every) + 1;
            self->overruns += missed;
            sensor->due += (int64_t)(missed - (self->overrun == OVERRUN_COALESCE)) * self->every;
        }
    }
    while (self->every && sensor->due < breaker_next(&sensor->breaker))
        sensor->due += self->every;
}

static int ask(struct weir_context *context, struct sensor *sensor)
{
    int64_t now = weir_now(context);
    uint64_t asked = atomic_load(&sensor->asked);
    if (!asked)
        sensor->first_asked = now;
    sensor->asked = asked + 1;
    sensor->span_ns = now - sensor->first_asked;
    weir_emit_late_by(sensor->self->out, now > sensor->due ? now - sensor->due : 0, 1);
    (void)breaker_allow(&sensor->breaker, now);
    int error = read_sensor(context, sensor);
    if (error != -ECANCELED)
        schedule(sensor, weir_now(context), error);
    return error;
}

static int run_sensor(struct weir_context *context, void *argument)
{
    struct sensor *sensor = argument;
    struct source_http *self = sensor->self;
    int error = 0;
    while (error != -ECANCELED && (!self->count || (int64_t)sensor->asked < self->count)) {
        error = weir_sleep_until(context, sensor->due);
        if (error == 0)
            error = ask(context, sensor);
    }
    self->live--;
    weir_event_signal(&self->ready, false);
    return 0;
}

/* ---- Handing on -------------------------------------------------------------------------------------------------- */

static int begin_layout(struct source_http *self, struct weir_context *context)
{
    size_t skip = 0;
    uint64_t lines = 0;
    int error = codec_layout_new(CODEC_NDJSON, &self->read, self->env, self->gathered.data, self->gathered.size, false,
                                 NULL, &self->layout, &skip, &lines);
    return error < 0 ? error : weir_emit_schema(context, self->out, codec_layout_schema(self->layout));
}

static int hand_on(struct source_http *self, struct weir_context *context)
{
    int error = self->layout ? 0 : begin_layout(self, context);
    if (error < 0)
        return error;
    struct weir_memory *memory = pool_memory(self->env->pool, self->gathered.size);
    if (!memory)
        return weir_sleep(context, CLOCK_MILLISECOND); /* it comes free as records are stored */
    memcpy((char *)memory->data, self->gathered.data, self->gathered.size);
    const struct weir_block block = {.memory = memory,
                                     .data = (const char *)memory->data,
                                     .size = self->gathered.size,
                                     .layout = codec_layout_reference(self->layout),
                                     .file = self->env->name,
                                     .line = self->position + 1,
                                     .position = self->position,
                                     .produced = self->gathered_since};
    self->position += codec_block_records(&block);
    self->gathered.size = 0;
    weir_event_signal(&self->drained, true);
    return weir_emit_block(context, self->out, &block);
}

/* For comparison: one after the other, cycle by cycle. Each answer is handed on before the next is asked for. */
static void run_cycles(struct weir_context *context, struct source_http *self)
{
    int error = 0;
    for (int64_t cycle = 0; error != -ECANCELED && (!self->count || cycle < self->count); cycle++)
        for (uint32_t i = 0; i < self->list.count && error != -ECANCELED; i++) {
            error = weir_sleep_until(context, self->sensors[i].due);
            if (error == 0)
                error = ask(context, &self->sensors[i]);
            if (error != -ECANCELED && self->gathered.size)
                error = hand_on(self, context);
        }
    self->live = 0;
    weir_event_signal(&self->ready, false);
}

static int gather(struct source_http *self, struct weir_context *context)
{
    int error = 0;
    while (error >= 0) {
        if (self->gathered.size) {
            error = weir_yield(context); /* what else has come by now goes along */
            error = error < 0 ? error : hand_on(self, context);
        } else if (!self->live) {
            break;
        } else {
            error = weir_event_wait(context, &self->ready, WEIR_NEVER);
        }
    }
    return error;
}

static int source_run(void *state, struct weir_context *context, struct weir_emitter *out)
{
    struct source_http *self = state;
    const struct http_client_options options = {.connections_most = self->list.count,
                                                .idle_most = self->list.count,
                                                .ca_file = self->access.ca,
                                                .proxy = self->access.proxy,
                                                .insecure = self->access.insecure};
    struct weir_scope scope;
    int64_t now = weir_now(context);
    self->out = out;
    int error = http_client_new(&options, &self->client);
    if (error < 0)
        return error;
    if (self->every)
        weir_emit_offered(out, (double)self->list.count * 1e9 / (double)self->every);
    weir_scope_open(context, &scope);
    for (uint32_t i = 0; i < self->list.count; i++)
        self->sensors[i].due = now + (int64_t)((double)self->spread_ns * i / (double)self->list.count) *
                                         !self->env->sequential;
    self->live = self->env->sequential ? 1 : self->list.count;
    if (self->env->sequential)
        run_cycles(context, self); /* in this task: it is the one that is told to stop */
    for (uint32_t i = 0; i < self->list.count && error >= 0 && !self->env->sequential; i++)
        error = weir_scope_spawn(&scope, self->sensors[i].name, run_sensor, &self->sensors[i]);
    if (error < 0 && error != -ECANCELED)
        weir_fail(self->env->error, error, "cannot start a task for each of %u sensors", self->list.count);
    if (error >= 0)
        error = gather(self, context);
    weir_scope_close(&scope);
    http_client_free(self->client);
    self->client = NULL;
    return error == -ECANCELED ? 0 : error;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static int read_spread(struct source_http *self, struct weir_env *env)
{
    double share;
    self->spread_ns = self->every;
    if (!self->spread)
        return 0;
    if (units_number(self->spread, &share) == 0 && share >= 0 && share <= 1) {
        self->spread_ns = (int64_t)(share * (double)self->every);
        return 0;
    }
    if (units_duration(self->spread, &self->spread_ns) == 0 && self->spread_ns >= 0)
        return 0;
    return weir_fail(env->error, -EINVAL, "`spread: %.40s` is neither a duration nor a share of `every` from 0 to 1",
                     self->spread);
}

static int list_sensors(struct source_http *self, struct weir_env *env)
{
    int error = 0;
    for (size_t i = 0; i < self->url.count && error >= 0; i++)
        error = url_list_add(&self->list, self->url.items[i].value.text, env->error);
    if (error >= 0 && self->urls)
        error = url_list_read(&self->list, self->urls, env->error);
    if (error < 0)
        return error;
    if (!self->list.count)
        return weir_fail(env->error, -EINVAL, "no address: give `url`, or a file of them as `urls`");
    self->sensors = memory_zeroed(self->list.count, sizeof *self->sensors);
    if (!self->sensors)
        return -ENOMEM;
    const struct breaker_options breaker = {FAILURES_MOST, self->every > CLOCK_SECOND ? self->every : CLOCK_SECOND,
                                            self->backoff};
    for (uint32_t i = 0; i < self->list.count; i++) {
        struct sensor *sensor = &self->sensors[i];
        *sensor = (struct sensor){.self = self, .url = self->list.entries[i].url, .name = self->list.entries[i].name};
        breaker_init(&sensor->breaker, &breaker);
    }
    return 0;
}

/* Each sensor's connection is a descriptor. */
static void raise_descriptor_limit(struct weir_env *env, uint32_t sensors)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= sensors + 64)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < sensors + 64)
        weir_notice(env, "few descriptors",
                    "%u sensors want a connection each, but the limit on open files is %llu; raise it (ulimit -n)",
                    sensors, (unsigned long long)limit.rlim_max);
}

static int source_open(void *state, struct weir_env *env)
{
    struct source_http *self = state;
    self->env = env;
    self->random = env->seed;
    int error = endpoint_check_access(env, &self->access);
    if (error >= 0)
        error = endpoint_pairs(env, &self->access.headers, self->pairs, &self->pair_count);
    if (error >= 0)
        error = read_spread(self, env);
    if (error >= 0)
        error = list_sensors(self, env);
    if (error < 0)
        return error;
    raise_descriptor_limit(env, self->list.count);
    retry_budget_init(&self->budget, 0.2, 10 + self->list.count * 0.1);
    self->records = (struct http_records){.format = (enum http_format)self->format,
                                          .records = self->records_at,
                                          .values = self->values,
                                          .key = self->key.text,
                                          .time = self->time.text,
                                          .time_format = self->time_format};
    self->read = (struct codec_read_options){.format = CODEC_NDJSON,
                                             .delimiter = ",",
                                             .header = true,
                                             .fields = self->fields,
                                             .time = self->time,
                                             .time_format = self->time_format,
                                             .time_zone = "UTC",
                                             .key = self->key,
                                             .line_max = self->body_most + 4096};
    return 0;
}

static void source_close(void *state, struct weir_env *env)
{
    struct source_http *self = state;
    (void)env;
    http_client_free(self->client);
    codec_layout_release(self->layout);
    buffer_free(&self->gathered);
    memory_free(self->sensors);
    url_list_free(&self->list);
}

/* ---- Report ------------------------------------------------------------------------------------------------------ */

/* "connection refused: s1, s2, s3 and 14 more; timed out …: s5". The commonest reason comes first. */
static void add_reason(struct source_http *self, int reason, uint32_t count, struct weir_buffer *text)
{
    uint32_t shown = 0;
    buffer_format(text, "%s%s: ", text->size ? "; " : "",
                  reason == REASON_UNREADABLE ? "the answer cannot be read"
                                              : http_outcome_words((enum http_outcome)reason));
    for (uint32_t i = 0; i < self->list.count && shown < FAILING_SHOWN; i++)
        if (atomic_load(&self->sensors[i].failing) == reason)
            buffer_format(text, "%s%.40s", shown++ ? ", " : "", self->sensors[i].name);
    if (count > shown)
        buffer_format(text, " and %u more", count - shown);
}

static void name_failing(struct source_http *self, struct weir_facts *facts)
{
    uint32_t counts[REASONS] = {0}, failing = 0;
    struct weir_buffer text = {0};
    for (uint32_t i = 0; i < self->list.count; i++) {
        int outcome = atomic_load(&self->sensors[i].failing);
        counts[outcome] += outcome != HTTP_DONE;
        failing += outcome != HTTP_DONE;
    }
    if (!failing)
        return;
    for (int shown = 0; shown < REASONS_SHOWN; shown++) {
        int most = HTTP_DONE;
        for (int i = 0; i < REASONS; i++)
            if (counts[i] > counts[most])
                most = i;
        if (!counts[most])
            break;
        add_reason(self, most, counts[most], &text);
        counts[most] = 0;
    }
    buffer_append(&text, "", 1);
    weir_fact(facts, "failing", failing, "sensors");
    weir_fact_text(facts, "do not answer", text.failed ? "out of memory" : text.data);
    buffer_free(&text);
}

static void source_report(void *state, struct weir_facts *facts)
{
    struct source_http *self = state;
    double sum = 0, least = 0;
    uint32_t known = 0;
    for (uint32_t i = 0; i < self->list.count; i++) {
        uint64_t asked = atomic_load(&self->sensors[i].asked), answered = atomic_load(&self->sensors[i].answered);
        int64_t span = atomic_load(&self->sensors[i].span_ns);
        if (asked < 2 || span <= 0)
            continue;
        /* How often it was asked, as far as it has answered: the last may still be under way. */
        double share = answered < asked - 1 ? (double)answered / (double)(asked - 1) : 1;
        double rate = (double)(asked - 1) * share * 1e9 / (double)span;
        least = known++ ? rate < least ? rate : least : rate;
        sum += rate;
    }
    weir_fact(facts, "sensors", self->list.count, "");
    if (self->every)
        weir_fact(facts, "wanted", 1e9 / (double)self->every, "Hz");
    if (known) {
        weir_fact(facts, "achieved", sum / known, "Hz");
        weir_fact(facts, "slowest", least, "Hz");
    }
    weir_fact(facts, "answers", (double)self->good, "");
    weir_fact(facts, "failed", (double)self->failed, "");
    weir_fact(facts, "retried", (double)self->retried, "");
    weir_fact(facts, "overruns", (double)self->overruns, "");
    name_failing(self, facts);
}

static enum weir_extent source_extent(const void *state, const char **ret_remedy)
{
    *ret_remedy = "give it a `count`";
    return ((const struct source_http *)state)->count ? WEIR_FINITE : WEIR_ENDLESS;
}

#define FIELD(member) .offset = offsetof(struct source_http, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "url", .type = WEIR_OPTION_STRINGS, FIELD(url), .flags = WEIR_OPTION_MAIN,
     .help = "address or addresses; {0..99} and {a,b} stand for many, a sensor each"},
    {.name = "urls", .type = WEIR_OPTION_STRING, FIELD(urls),
     .help = "file with an address, or a name and an address, on each line"},
    {.name = "every", .type = WEIR_OPTION_DURATION, FIELD(every), .fallback = "1s", .least = 0, .most = 1e18,
     .help = "time between two readings of a sensor; 0s: as fast as it answers"},
    {.name = "spread", .type = WEIR_OPTION_STRING, FIELD(spread),
     .help = "first readings are spread over this time, or share of `every`; without it all of `every`; 0: at once"},
    {.name = "timeout", .type = WEIR_OPTION_DURATION, FIELD(timeout), .fallback = "5s", .least = 1, .most = 1e18,
     .help = "for a reading, with all its retries"},
    {.name = "retries", .type = WEIR_OPTION_INTEGER, FIELD(retries), .fallback = "1", .least = 0, .most = 100,
     .help = "how often a reading that failed is tried again within its timeout"},
    {.name = "overrun", .type = WEIR_OPTION_CHOICE, FIELD(overrun), .fallback = "skip", .choices = overrun_names,
     .help = "a reading that takes longer than `every`: what was missed is skipped, or made up for by one at once"},
    {.name = "backoff", .type = WEIR_OPTION_DURATION, FIELD(backoff), .fallback = "30s", .least = 1, .most = 1e18,
     .help = "a sensor that fails three times in a row is asked less often, but at least so often"},
    {.name = "count", .type = WEIR_OPTION_INTEGER, FIELD(count), .fallback = "0", .least = 0, .most = 1e15,
     .help = "readings of each sensor; 0: no end"},
    {.name = "format", .type = WEIR_OPTION_CHOICE, FIELD(format), .fallback = "auto", .choices = http_format_names,
     .help = "what sensors answer; auto looks at it"},
    {.name = "records", .type = WEIR_OPTION_STRING, FIELD(records_at),
     .help = "json: pointer to the list of records, or to the record, in the answer: /data/readings"},
    {.name = "values", .type = WEIR_OPTION_MAP, FIELD(values),
     .help = "json: name: pointer for each value to take out of a record; without it all members"},
    {.name = "fields", .type = WEIR_OPTION_MAP, FIELD(fields),
     .help = "name: type for each field (time, f64, i64, bool, symbol, text); without it types are inferred"},
    {.name = "time", .type = WEIR_OPTION_COLUMN, FIELD(time), .fallback = "ts",
     .help = "the field with the time of the reading; added, where an answer has none"},
    {.name = "time_format", .type = WEIR_OPTION_CHOICE, FIELD(time_format), .fallback = "auto",
     .choices = time_format_names, .help = "how times are written"},
    {.name = "key", .type = WEIR_OPTION_COLUMN, FIELD(key), .fallback = "sensor",
     .help = "the field that says which sensor a record is from; added, where an answer has none"},
    {.name = "body_max", .type = WEIR_OPTION_SIZE, FIELD(body_most), .fallback = "1MiB", .least = 64, .most = 64 << 20,
     .help = "largest answer; a larger one is refused"},
    ENDPOINT_ACCESS_OPTIONS(struct source_http, access),
    {.type = WEIR_OPTION_END},
};

const struct weir_source source_http = {
    .part = {
        .kind = WEIR_SOURCE,
        .name = "http",
        .summary = "sensors that answer over HTTP, thousands at a time on one thread",
        .example = "# In another terminal: weir simulate fleet --sensors 100 --latency 100ms\n"
                   "sources:\n"
                   "  fleet: {type: http, url: \"http://127.0.0.1:9700/sensor/{0..99}\", every: 1s, timeout: 500ms,\n"
                   "          count: 2, retries: 0}\n"
                   "sinks:\n"
                   "  screen: {type: stdout, format: ndjson}\n",
        .options = options,
        .size = sizeof(struct source_http),
        .open = source_open,
        .close = source_close,
        .report = source_report,
    },
    .run = source_run,
    .extent = source_extent,
    .tasks = true,
};
