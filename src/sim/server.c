/* SPDX-License-Identifier: MIT */
#include "sim/server.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "net/http_server.h"
#include "sim/embed.h"

#define TIMEOUT_NS (1 * CLOCK_SECOND)
enum { DIMENSIONS = 8, JOBS_KEPT_MOST = 4096 };

/* One request's work. It outlives its request when that times out. */
struct job {
    struct job *next; /* in the queue, or of the unused */
    struct weir_event done_event;
    int64_t started_ns, worked_ns;
    bool done, abandoned;
};

struct server {
    struct server_options options;
    struct random random;
    struct http_server *http;
    struct job *first, *last; /* the queue */
    struct job *unused;
    uint32_t unused_count;
    struct weir_event work;    /* for idle workers */
    struct weir_event changed; /* there shall be more workers */
    uint32_t running;          /* worker tasks */
    struct server_counters counters;
};

/* ---- Workers ---------------------------------------------------------------------------------------------------- */

static struct job *take_job(struct server *server)
{
    struct job *job = server->unused;
    if (!job)
        return memory_zeroed(1, sizeof *job);
    server->unused = job->next;
    server->unused_count--;
    *job = (struct job){0};
    return job;
}

static void give_job(struct server *server, struct job *job)
{
    if (server->unused_count == JOBS_KEPT_MOST) {
        memory_free(job);
        return;
    }
    job->next = server->unused;
    server->unused = job;
    server->unused_count++;
}

static struct job *pop_queue(struct server *server)
{
    struct job *job = server->first;
    if (job) {
        server->first = job->next;
        if (!server->first)
            server->last = NULL;
        server->counters.queued--;
    }
    return job;
}

static void finish_job(struct server *server, struct job *job)
{
    server->counters.worked++;
    if (job->abandoned) {
        server->counters.wasted++;
        give_job(server, job);
        return;
    }
    job->done = true;
    weir_event_signal(&job->done_event, true);
}

/* When workers are taken away, those that become idle go. */
static int work(struct weir_context *context, void *argument)
{
    struct server *server = argument;
    int error = 0;
    while (error == 0 && server->running <= server->options.workers) {
        struct job *job = pop_queue(server);
        if (!job) {
            error = weir_event_wait(context, &server->work, WEIR_NEVER);
            continue;
        }
        job->started_ns = weir_now(context);
        job->worked_ns = distribution_draw(&server->options.service, &server->random);
        server->counters.busy++;
        error = weir_sleep_until(context, job->started_ns + job->worked_ns);
        server->counters.busy--;
        finish_job(server, job);
    }
    server->running--;
    return error == -ECANCELED ? error : 0;
}

/* Keeps as many workers as are wanted. */
int server_work(struct weir_context *context, struct server *server)
{
    struct weir_scope scope;
    int error = 0;
    weir_scope_open(context, &scope);
    while (error == 0) {
        while (error == 0 && server->running < server->options.workers) {
            server->running++;
            error = weir_scope_spawn(&scope, "worker", work, server);
            if (error)
                server->running--;
        }
        if (error == 0)
            error = weir_event_wait(context, &server->changed, WEIR_NEVER);
    }
    weir_scope_close(&scope);
    return error;
}

/* How many may wait: so many that the last of them is still served in time. */
static uint64_t queue_most(const struct server *server)
{
    const struct server_options *options = &server->options;
    if (options->queue >= 0)
        return (uint64_t)options->queue;
    double service = (double)(options->service.mean_ns > 0 ? options->service.mean_ns : 1);
    double fitting = 0.9 * (double)options->timeout_ns / service * options->workers - options->workers;
    return fitting < 0 ? 0 : fitting > SERVER_QUEUE_MOST ? SERVER_QUEUE_MOST : (uint64_t)fitting;
}

static void push_queue(struct server *server, struct job *job)
{
    job->next = NULL;
    *(server->last ? &server->last->next : &server->first) = job;
    server->last = job;
    if (++server->counters.queued > server->counters.queued_most)
        server->counters.queued_most = server->counters.queued;
    weir_event_signal(&server->work, false);
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

enum served { SERVED, SERVED_LATE, SERVED_NEVER };

/* Waits for a worker, and for it to finish, at most until the timeout. Negative: cancelled, or out of memory. */
static int serve_job(struct weir_context *context, struct server *server, int64_t arrived, int64_t *ret_waited,
                     int64_t *ret_worked)
{
    int64_t deadline = arrived + server->options.timeout_ns;
    bool idle = server->counters.busy + server->counters.queued < server->options.workers;
    if (!idle && server->counters.queued >= queue_most(server)) {
        int error = weir_sleep_until(context, deadline);
        return error ? error : SERVED_NEVER;
    }
    struct job *job = take_job(server);
    if (!job)
        return -ENOMEM;
    push_queue(server, job);
    int error = 0;
    while (error == 0 && !job->done)
        error = weir_event_wait(context, &job->done_event, deadline);
    if (!job->done) {
        job->abandoned = true;
        return error == -ETIMEDOUT ? SERVED_LATE : error;
    }
    *ret_waited = job->started_ns - arrived;
    *ret_worked = job->worked_ns;
    give_job(server, job);
    return SERVED;
}

static int answer_text(struct weir_context *context, struct http_question *question, int status, const char *text)
{
    return http_answer(context, question, status, "text/plain", text, strlen(text));
}

static int answer_stats(struct weir_context *context, const struct server *server, struct http_question *question)
{
    struct server_counters now;
    char text[640];
    server_count(server, &now);
    int length = snprintf(
        text, sizeof text,
        "{\"workers\":%u,\"service_seconds\":%.6f,\"timeout_seconds\":%.6f,\"queue_most\":%llu,\"arrived\":%llu,"
        "\"good\":%llu,\"timed_out\":%llu,\"overflown\":%llu,\"worked\":%llu,\"wasted\":%llu,\"in_flight\":%u,"
        "\"in_flight_most\":%u,\"queued\":%u,\"queued_most\":%u,\"busy\":%u,\"wait_seconds_mean\":%.6f}\n",
        server->options.workers, (double)server->options.service.mean_ns * 1e-9,
        (double)server->options.timeout_ns * 1e-9, (unsigned long long)queue_most(server),
        (unsigned long long)now.arrived, (unsigned long long)now.good, (unsigned long long)now.timed_out,
        (unsigned long long)now.overflown, (unsigned long long)now.worked, (unsigned long long)now.wasted,
        now.in_flight, now.in_flight_most, now.queued, now.queued_most, now.busy,
        now.good ? (double)now.wait_ns * 1e-9 / (double)now.good : 0.0);
    return http_answer(context, question, 200, "application/json", text, (size_t)length);
}

static int answer_control(struct weir_context *context, struct server *server, struct http_question *question)
{
    struct weir_error error = {0};
    if (settings_apply(question->query, question->query_length, '&', server_set, server, &error) == 0)
        return answer_text(context, question, 200, "done\n");
    char text[WEIR_ERROR_MAX + 2];
    snprintf(text, sizeof text, "%s\n", error.text);
    return answer_text(context, question, 400, text);
}

static int answer_good(struct weir_context *context, struct server *server, struct http_question *question,
                       struct weir_buffer *vectors, int64_t waited, int64_t worked)
{
    char text[160];
    unsigned long long number = server->counters.good++;
    server->counters.wait_ns += waited;
    if (vectors->size > 0)
        return http_answer(context, question, 200, "application/json", vectors->data, vectors->size);
    int length = snprintf(text, sizeof text, "{\"number\":%llu,\"waited\":%.6f,\"served\":%.6f}\n", number,
                          (double)waited * 1e-9, (double)worked * 1e-9);
    return http_answer(context, question, 200, "application/json", text, (size_t)length);
}

static int answer_work(struct weir_context *context, struct server *server, struct http_question *question,
                       struct weir_buffer *vectors)
{
    int64_t waited = 0, worked = 0;
    server->counters.arrived++;
    if (++server->counters.in_flight > server->counters.in_flight_most)
        server->counters.in_flight_most = server->counters.in_flight;
    http_question_forget(question);
    int served = serve_job(context, server, question->arrived_ns, &waited, &worked);
    server->counters.in_flight--;
    if (served == SERVED)
        return answer_good(context, server, question, vectors, waited, worked);
    if (served < 0)
        return served;
    ++*(served == SERVED_LATE ? &server->counters.timed_out : &server->counters.overflown);
    return answer_text(context, question, 503,
                       served == SERVED_LATE ? "timed out\n" : "timed out: the queue was full\n");
}

int server_answer(struct weir_context *context, void *owner, struct http_question *question)
{
    struct server *server = owner;
    struct weir_buffer vectors = {0};
    if (http_question_is(question, "GET", "/stats"))
        return answer_stats(context, server, question);
    if (http_question_is(question, "POST", "/control"))
        return answer_control(context, server, question);
    int error = 0;
    if (question->path_length == 6 && memcmp(question->path, "/embed", 6) == 0)
        error = embed(question->body, question->body_size, server->options.dimensions, &vectors);
    if (error == -EINVAL)
        error = answer_text(context, question, 400, "POST /embed takes a JSON value: [\"one\", \"two\"]\n");
    else if (error == 0)
        error = answer_work(context, server, question, &vectors);
    buffer_free(&vectors);
    return error;
}

/* ---- The server ------------------------------------------------------------------------------------------------- */

int server_new(const struct server_options *options, struct server **ret)
{
    if (options->workers == 0 || options->workers > SERVER_WORKERS_MOST || options->dimensions > SERVER_DIMENSIONS_MOST)
        return -EINVAL;
    struct server *server = memory_zeroed(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    struct http_server_options http = {.answer = server_answer, .owner = server};
    server->options = *options;
    server->options.timeout_ns = options->timeout_ns ? options->timeout_ns : TIMEOUT_NS;
    server->options.dimensions = options->dimensions ? options->dimensions : DIMENSIONS;
    random_seed(&server->random, options->seed);
    if (http_server_new(&http, &server->http) < 0) {
        memory_free(server);
        return -ENOMEM;
    }
    *ret = server;
    return 0;
}

/* Nobody waits for what is still queued when the tasks have ended. */
static void drop_queue(struct server *server)
{
    struct job *job;
    while ((job = pop_queue(server)))
        give_job(server, job);
}

void server_free(struct server *server)
{
    if (!server)
        return;
    drop_queue(server);
    while (server->unused) {
        struct job *job = server->unused;
        server->unused = job->next;
        memory_free(job);
    }
    http_server_free(server->http);
    memory_free(server);
}

double server_capacity(const struct server *server)
{
    int64_t service = server->options.service.mean_ns;
    return service > 0 ? server->options.workers * 1e9 / (double)service : HUGE_VAL;
}

void server_count(const struct server *server, struct server_counters *ret)
{
    *ret = server->counters;
    ret->workers = server->options.workers;
}

static int set_workers(struct server *server, const char *value, struct weir_error *error)
{
    int64_t number = 0;
    int status = settings_count("workers", value, 1, SERVER_WORKERS_MOST, &number, error);
    if (status < 0)
        return status;
    server->options.workers = (uint32_t)number;
    weir_event_signal(&server->changed, true);
    weir_event_signal(&server->work, true);
    return 0;
}

int server_set(void *owner, const char *name, const char *value, struct weir_error *error)
{
    struct server *server = owner;
    struct server_options *options = &server->options;
    if (strcmp(name, "workers") == 0)
        return set_workers(server, value, error);
    if (strcmp(name, "service") == 0)
        return settings_duration(name, value, &options->service.mean_ns, error);
    if (strcmp(name, "jitter") == 0)
        return settings_jitter(value, &options->service, error);
    if (strcmp(name, "timeout") == 0)
        return settings_duration(name, value, &options->timeout_ns, error);
    if (strcmp(name, "distribution") == 0)
        return settings_distribution(value, &options->service, error);
    if (strcmp(name, "queue") == 0 && strcmp(value, "auto") == 0) {
        options->queue = -1;
        return 0;
    }
    if (strcmp(name, "queue") == 0)
        return settings_count(name, value, 0, SERVER_QUEUE_MOST, &options->queue, error);
    return weir_fail(error, -EINVAL,
                     "there is no setting \"%s\": workers, service, jitter, distribution, queue, timeout", name);
}

struct serving {
    struct server *server;
    struct weir_listener *listener;
};

static int run_workers(struct weir_context *context, void *argument)
{
    return server_work(context, ((struct serving *)argument)->server);
}

static int run_http(struct weir_context *context, void *argument)
{
    struct serving *serving = argument;
    return http_server_run(context, serving->server->http, serving->listener);
}

int server_serve(struct weir_context *context, struct server *server, const char *host, uint16_t port,
                 void (*ready)(void *owner, uint16_t port), void *owner)
{
    struct serving serving = {server, NULL};
    struct weir_scope scope;
    int error = weir_stream_listen(context, host, port, &serving.listener);
    if (error)
        return error;
    if (ready)
        ready(owner, weir_listener_port(serving.listener));
    weir_scope_open(context, &scope);
    error = weir_scope_spawn(&scope, "workers", run_workers, &serving);
    if (error == 0)
        error = weir_scope_spawn(&scope, "http", run_http, &serving);
    if (error)
        weir_scope_cancel(&scope);
    int joined = weir_scope_join(&scope);
    drop_queue(server);
    weir_listener_close(serving.listener);
    return error ? error : joined;
}
