/* SPDX-License-Identifier: MIT */
/*
 * Records to a server over HTTP: posted in batches, several at a time, as many as are answered well.
 *
 *     write ─► lines gather ─► full: a request, a task of its own ─► 2xx: accepted
 *     commit ─► the rest too, and waits for all                       too much, or down: the same request again, later
 *                                                                     413: in two halves
 *                                                                     other 4xx: its records are refused, and kept
 *                                                                                in `rejects`
 *
 * Records count as stored when the server has said 2xx, not before. A request that has to be sent again is sent as it
 * was, with the same Idempotency-Key; those that went well are not.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/units.h"
#include "codec/codec.h"
#include "parts/calls.h"
#include "parts/endpoint.h"
#include "parts/parts.h"
#include "parts/rejects.h"

enum format { FORMAT_NDJSON, FORMAT_JSON };
static const char *const format_names[] = {"ndjson", "json", NULL};
enum compress { COMPRESS_NONE, COMPRESS_GZIP };
static const char *const compress_names[] = {"none", "gzip", NULL};
enum { KEY_SIZE = 64, AGAIN_FIRST_MS = 100, AGAIN_MOST_S = 10, GIVE_UP_LEFT_MS = 10 /* too little to try again */ };

/* Selected rows of a batch: `count` from the first-th on. */
struct piece {
    struct weir_batch *batch; /* a reference */
    uint32_t first, count;
};

struct sink_http;
struct request {
    struct request *next;
    struct sink_http *self;
    struct weir_buffer lines;
    struct piece *pieces;
    uint32_t piece_count, piece_room, records;
    char key[KEY_SIZE];
};

struct sink_http {
    const char *url;
    int format, compress;
    int64_t batch, bytes_most, give_up;
    struct codec_write_options write;
    struct rejects_options rejects_options;
    struct endpoint_options options;
    const char *concurrency;
    int64_t most;

    struct weir_env *env;
    struct calls calls;
    struct endpoint endpoint;
    struct rejects rejects;
    struct weir_scope scope;
    bool scoped;
    struct request *current;  /* that lines go to */
    struct request *rejected; /* by the server, since the last commit */
    uint64_t number, identity[2];
    _Atomic uint64_t requests, accepted, refused, again, bytes;
};

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static struct request *new_request(struct sink_http *self)
{
    struct request *request = memory_zeroed(1, sizeof *request);
    if (!request)
        return NULL;
    request->self = self;
    snprintf(request->key, sizeof request->key, "%016llx%016llx-%llu", (unsigned long long)self->identity[0],
             (unsigned long long)self->identity[1], (unsigned long long)self->number++);
    return request;
}

static void free_request(struct request *request)
{
    if (!request)
        return;
    for (uint32_t i = 0; i < request->piece_count; i++)
        weir_batch_release(request->pieces[i].batch);
    memory_free(request->pieces);
    buffer_free(&request->lines);
    memory_free(request);
}

/* Notes that `count` selected rows of the batch, from the first-th on, are in it. */
static int add_rows(struct request *request, struct weir_batch *batch, uint32_t first, uint32_t count)
{
    struct piece *last = request->piece_count ? &request->pieces[request->piece_count - 1] : NULL;
    if (last && last->batch == batch && last->first + last->count == first) {
        last->count += count;
        request->records += count;
        return 0;
    }
    if (request->piece_count == request->piece_room) {
        uint32_t room = request->piece_room ? request->piece_room * 2 : 4;
        struct piece *pieces = memory_resize(request->pieces, room * sizeof *pieces);
        if (!pieces)
            return -ENOMEM;
        request->pieces = pieces;
        request->piece_room = room;
    }
    request->pieces[request->piece_count++] = (struct piece){weir_batch_reference(batch), first, count};
    request->records += count;
    return 0;
}

/* Moves the second half of its records into a new one. */
static struct request *split(struct request *request)
{
    struct request *half = new_request(request->self);
    uint32_t kept = request->records / 2, left = kept, i = 0;
    const char *at = request->lines.data, *end = at + request->lines.size;
    bool failed = !half;
    for (uint32_t line = 0; line < kept && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    for (; i < request->piece_count && left >= request->pieces[i].count; i++)
        left -= request->pieces[i].count;
    for (uint32_t k = i; k < request->piece_count && !failed; k++) {
        struct piece *piece = &request->pieces[k];
        uint32_t skip = k == i ? left : 0;
        failed = add_rows(half, piece->batch, piece->first + skip, piece->count - skip) < 0;
    }
    if (!failed)
        buffer_append(&half->lines, at, (size_t)(end - at));
    if (failed || half->lines.failed) {
        free_request(half);
        return NULL;
    }
    for (uint32_t k = i + (left > 0); k < request->piece_count; k++)
        weir_batch_release(request->pieces[k].batch);
    request->piece_count = i + (left > 0);
    if (left > 0)
        request->pieces[i].count = left;
    request->lines.size = (size_t)(at - request->lines.data);
    request->records = kept;
    snprintf(request->key, sizeof request->key, "%016llx%016llx-%llu", (unsigned long long)request->self->identity[0],
             (unsigned long long)request->self->identity[1],
             (unsigned long long)request->self->number++); /* it is another request now */
    return half;
}

/* ---- Sending ------------------------------------------------------------------------------------------------------
 */

/* Lines as a list: [line,line]. */
static void make_list(const struct request *request, struct weir_buffer *body)
{
    buffer_append(body, "[", 1);
    size_t from = body->size;
    buffer_append(body, request->lines.data, request->lines.size);
    for (size_t i = from; i + 1 < body->size && !body->failed; i++)
        if (body->data[i] == '\n')
            body->data[i] = ',';
    if (!body->failed && body->size > from)
        body->data[body->size - 1] = ']';
}

/* The server does not want these records. They are settled with the next commit, when the engine knows their batches.
 */
static void reject(struct request *request, const struct endpoint_answer *answer)
{
    struct sink_http *self = request->self;
    const char *at = request->lines.data, *end = at + request->lines.size;
    weir_notice(self->env, "rejected", "%s; %u records are refused%s", answer->words, request->records,
                self->rejects_options.path ? " and kept in `rejects`" : "");
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline ? newline : end;
        const struct weir_refusal refusal = {.reason = "rejected by the server",
                                             .file = self->env->name,
                                             .text = at,
                                             .length = (size_t)(next - at),
                                             .detail = answer->words};
        rejects_add(&self->rejects, &refusal);
        at = next + 1;
    }
    self->refused += request->records;
    request->next = self->rejected;
    self->rejected = request;
}

enum delivered { DELIVERED, DELIVER_AGAIN, DELIVER_HALVES, DELIVERED_REJECTED };

static int ask(struct weir_context *context, struct request *request, int64_t deadline, struct endpoint_answer *answer)
{
    struct sink_http *self = request->self;
    struct weir_buffer list = {0};
    bool json = self->format == FORMAT_JSON;
    if (json)
        make_list(request, &list);
    if (list.failed)
        return weir_fail(self->env->error, -ENOMEM, "%s: out of memory", self->env->name);
    const struct endpoint_question question = {
        .url = self->url,
        .body = json ? list.data : request->lines.data,
        .body_size = json ? list.size : request->lines.size,
        .content_type = json ? "application/json" : "application/x-ndjson",
        .idempotency_key = request->key,
        .deadline_ns = deadline,
        .gzip = self->compress == COMPRESS_GZIP,
        .patient = true,
        .status_only = true,
    };
    int error = endpoint_ask(context, &self->endpoint, &question, answer);
    int status = answer->reply.status;
    bool taken = endpoint_is_answer(&question, &answer->reply);
    http_reply_release(&answer->reply);
    buffer_free(&list);
    if (error == -ECANCELED)
        return error;
    if (taken)
        return DELIVERED;
    if (status == 413 && request->records > 1)
        return DELIVER_HALVES;
    if (answer->may_pass)
        return DELIVER_AGAIN;
    if (answer->reply.outcome == HTTP_BAD_STATUS)
        return DELIVERED_REJECTED;
    return weir_fail(self->env->error, -EIO, "%s: %s", self->env->name, answer->words);
}

/* Sends it until the server has taken it, or will not. Owns the request, unless it says DELIVER_HALVES. */
static int deliver(struct weir_context *context, struct request *request, enum limiter_outcome *outcome)
{
    struct sink_http *self = request->self;
    struct endpoint_answer answer;
    int64_t deadline = self->give_up ? weir_now(context) + self->give_up : 0;
    int64_t wait = AGAIN_FIRST_MS * CLOCK_MILLISECOND;
    int result = DELIVER_AGAIN;
    while (result == DELIVER_AGAIN) {
        result = ask(context, request, deadline, &answer);
        if (*outcome == LIMITER_GOOD || answer.limit == LIMITER_OVERLOAD)
            *outcome = answer.limit;
        if (result != DELIVER_AGAIN)
            break;
        self->again++;
        int64_t left = deadline ? deadline - weir_now(context) : INT64_MAX;
        if (left < GIVE_UP_LEFT_MS * CLOCK_MILLISECOND) {
            result = weir_fail(self->env->error, -EIO, "%s: %s (give_up)", self->env->name, answer.words);
            break;
        }
        weir_notice(self->env, "not accepted yet", "%s; trying again, nothing is lost", answer.words);
        if (weir_sleep(context, wait < left / 2 ? wait : left / 2) < 0)
            result = -ECANCELED;
        wait = wait > AGAIN_MOST_S * CLOCK_SECOND / 2 ? AGAIN_MOST_S * CLOCK_SECOND : wait * 2;
    }
    if (result == DELIVER_HALVES)
        return result;
    if (result == DELIVERED_REJECTED) {
        reject(request, &answer);
        return result;
    }
    if (result == DELIVERED) {
        self->accepted += request->records;
        self->bytes += request->lines.size;
    }
    free_request(request);
    return result;
}

/* Delivers it whole or in parts. 0 or a negative errno. */
static int deliver_all(struct weir_context *context, struct request *request, enum limiter_outcome *outcome)
{
    int result = 0;
    while (request && result >= 0) {
        struct request *rest = request->next;
        result = deliver(context, request, outcome);
        if (result != DELIVER_HALVES) {
            request = rest;
            continue;
        }
        struct request *half = split(request);
        request->next = half ? half : rest;
        if (half)
            half->next = rest;
        else
            result = weir_fail(request->self->env->error, -ENOMEM, "%s: out of memory", request->self->env->name);
    }
    while (request) {
        struct request *next = request->next;
        free_request(request);
        request = next;
    }
    return result < 0 ? result : 0;
}

static int run_request(struct weir_context *context, void *argument)
{
    struct request *request = argument;
    struct sink_http *self = request->self;
    enum limiter_outcome outcome = LIMITER_GOOD;
    int64_t started = weir_now(context);
    self->requests++;
    int error = deliver_all(context, request, &outcome);
    limiter_release(&self->calls.limiter, started, weir_now(context), error < 0 ? LIMITER_OTHER : outcome);
    calls_publish(&self->calls);
    return error;
}

/* The gathered lines become a request, as soon as the limit lets it. */
static int send_current(struct sink_http *self, struct weir_env *env)
{
    struct request *request = self->current;
    if (!request)
        return 0;
    if (!self->scoped)
        weir_scope_open(env->context, &self->scope);
    self->scoped = true;
    int error = limiter_acquire(env->context, &self->calls.limiter, WEIR_NEVER);
    if (error < 0)
        return error;
    self->current = NULL;
    error = weir_scope_spawn(&self->scope, env->name, run_request, request);
    if (error < 0) {
        limiter_release(&self->calls.limiter, weir_now(env->context), weir_now(env->context), LIMITER_OTHER);
        free_request(request);
    }
    return error;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------
 */

static int http_encode(const void *state, struct weir_symbols *symbols, const struct weir_batch *in,
                       struct weir_buffer *out)
{
    return codec_encode(&((const struct sink_http *)state)->write, symbols, in, out);
}

/* Waits for all requests. */
static int join(struct sink_http *self)
{
    if (!self->scoped)
        return 0;
    int error = weir_scope_join(&self->scope);
    self->scoped = false;
    return error;
}

/* A request has failed for good, or the run was given up: what went wrong first is in env->error. */
static int fail_write(struct sink_http *self, struct weir_env *env, int error)
{
    if (self->scoped)
        weir_scope_cancel(&self->scope);
    int joined = join(self);
    free_request(self->current);
    self->current = NULL;
    error = joined < 0 && joined != -ECANCELED ? joined : error;
    return weir_fail(env->error, error, "%s: %s", env->name, strerror(-error));
}

static int http_write(void *state, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    struct sink_http *self = state;
    const char *at = bytes, *end = bytes + size;
    int error = 0;
    for (uint32_t i = 0; i < in->count && error >= 0; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline ? newline + 1 : end;
        if (self->current && self->current->lines.size + (size_t)(next - at) > (size_t)self->bytes_most)
            error = send_current(self, env);
        if (error >= 0 && !self->current && !(self->current = new_request(self)))
            error = -ENOMEM;
        if (error < 0)
            break;
        buffer_append(&self->current->lines, at, (size_t)(next - at));
        if (self->current->lines.failed || add_rows(self->current, in, i, 1) < 0)
            error = -ENOMEM;
        else if (self->current->records >= self->batch)
            error = send_current(self, env);
        at = next;
    }
    return error < 0 ? fail_write(self, env, error) : 0;
}

/* The records of what was rejected end as refused. */
static int settle_rejected(struct sink_http *self, struct weir_env *env)
{
    int error = 0;
    while (self->rejected) {
        struct request *request = self->rejected;
        self->rejected = request->next;
        for (uint32_t p = 0; p < request->piece_count; p++) {
            const struct piece *piece = &request->pieces[p];
            uint32_t *rows = memory_zeroed(piece->count, sizeof *rows);
            if (!rows) {
                error = -ENOMEM;
                break;
            }
            for (uint32_t i = 0; i < piece->count; i++)
                rows[i] = weir_batch_row(piece->batch, piece->first + i);
            weir_refuse(env, piece->batch, rows, piece->count, "rejected by the server");
            memory_free(rows);
        }
        free_request(request);
    }
    return error;
}

static int http_commit(void *state, struct weir_env *env)
{
    struct sink_http *self = state;
    int error = send_current(self, env);
    if (error < 0)
        return fail_write(self, env, error);
    error = join(self);
    int settled = settle_rejected(self, env);
    if (error >= 0)
        error = settled;
    return error < 0 ? weir_fail(env->error, error, "%s: %s", env->name, strerror(-error)) : 0;
}

/* What was not committed by now never will be: nothing holds on to its records, which are about to be counted. */
static void let_go(struct sink_http *self)
{
    free_request(self->current);
    self->current = NULL;
    while (self->rejected) {
        struct request *request = self->rejected;
        self->rejected = request->next;
        free_request(request);
    }
}

static void http_end_task(void *state, struct weir_env *env)
{
    struct sink_http *self = state;
    (void)env;
    if (self->scoped)
        weir_scope_close(&self->scope);
    self->scoped = false;
    let_go(self);
    endpoint_close(&self->endpoint);
}

/* ---- Opening ------------------------------------------------------------------------------------------------------
 */

static int http_open(void *state, struct weir_env *env)
{
    struct sink_http *self = state;
    self->env = env;
    self->write.format = CODEC_NDJSON;
    if (getrandom(self->identity, sizeof self->identity, 0) != sizeof self->identity)
        return weir_fail(env->error, -EIO, "%s: the system gives no random numbers", env->name);
    int error = endpoint_check_url(env, self->url);
    if (error >= 0)
        error = calls_open(&self->calls, env, self->concurrency, self->most, CALLS_ORDER_KEY);
    if (error >= 0)
        error = endpoint_open(&self->endpoint, env, &self->options, self->calls.limiter.options.most);
    if (error >= 0)
        error = rejects_open(&self->rejects, &self->rejects_options, env);
    return error < 0 ? error : rejects_continue(&self->rejects);
}

static void http_close(void *state, struct weir_env *env)
{
    struct sink_http *self = state;
    (void)env;
    endpoint_close(&self->endpoint);
    let_go(self);
    rejects_close(&self->rejects);
}

static void http_report(void *state, struct weir_facts *facts)
{
    struct sink_http *self = state;
    weir_fact(facts, "requests", (double)self->requests, "");
    weir_fact(facts, "accepted", (double)self->accepted, "records");
    weir_fact(facts, "rejected", (double)self->refused, "records");
    if (self->again)
        weir_fact(facts, "sent again later", (double)self->again, "requests");
    weir_fact(facts, "accepted bytes", (double)self->bytes, "B");
    calls_report(&self->calls, facts, false);
    endpoint_report(&self->endpoint, facts);
}

#define FIELD(member) .offset = offsetof(struct sink_http, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "url", .type = WEIR_OPTION_STRING, FIELD(url), .flags = WEIR_OPTION_MAIN | WEIR_OPTION_REQUIRED,
     .help = "where to post records to"},
    {.name = "format", .type = WEIR_OPTION_CHOICE, FIELD(format), .fallback = "ndjson", .choices = format_names,
     .help = "a record on each line, or a JSON array of records"},
    {.name = "batch", .type = WEIR_OPTION_INTEGER, FIELD(batch), .fallback = "1000", .least = 1, .most = 1e6,
     .help = "most records in a request; there are fewer when no more wait"},
    {.name = "batch_bytes", .type = WEIR_OPTION_SIZE, FIELD(bytes_most), .fallback = "1MiB", .least = 1024,
     .most = 256 << 20, .help = "most bytes in a request, before they are compressed"},
    {.name = "compress", .type = WEIR_OPTION_CHOICE, FIELD(compress), .fallback = "none", .choices = compress_names,
     .help = "gzip: send bodies with Content-Encoding: gzip"},
    {.name = "time_format", .type = WEIR_OPTION_CHOICE, FIELD(write.time_format), .fallback = "auto",
     .choices = time_format_names, .help = "how times are written; auto is rfc3339"},
    {.name = "give_up", .type = WEIR_OPTION_DURATION, FIELD(give_up), .fallback = "0s", .least = 0, .most = 1e18,
     .help = "when a request is not accepted for so long the run fails; 0s: never, what comes behind it waits"},
    REJECTS_OPTIONS(struct sink_http, rejects_options),
    CALLS_LIMIT_OPTIONS(struct sink_http, "adaptive", "64"),
    ENDPOINT_OPTIONS(struct sink_http, options, "30s", "3"),
    {.type = WEIR_OPTION_END},
};

const struct weir_sink sink_http = {
    .part = {
        .kind = WEIR_SINK,
        .name = "http",
        .summary = "posts records in batches to a server; what fails is sent again until it is accepted",
        .example = "sinks:\n"
                   "  store: {type: http, url: \"http://127.0.0.1:8086/write\", format: json, compress: gzip,\n"
                   "          rejects: rejected.ndjson}\n",
        .options = options,
        .size = sizeof(struct sink_http),
        .open = http_open,
        .close = http_close,
        .report = http_report,
    },
    .encode = http_encode,
    .write = http_write,
    .commit = http_commit,
    .end_task = http_end_task,
    .tasks = true,
};
