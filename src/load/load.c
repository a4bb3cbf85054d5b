/* SPDX-License-Identifier: MIT */
#include "load/load.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <weir/task.h>
#include "async/context.h"
#include "base/clock.h"
#include "base/memory.h"
#include "load/load_private.h"
#include "sim/random.h"

/* After an attempt that found nobody, so that thousands of users do not spend all their time on finding nobody. */
#define PAUSE_NS (10 * CLOCK_MILLISECOND)
/* How long attempts that the window has cut are waited for, at least. */
#define DRAIN_LEAST_NS (1 * CLOCK_SECOND)

/* A window is at least so many response times long, as the warm-up had them: users that wait for long go in step, and a
 * window must not cut their steps in the middle. An open level also warms up for so many: until then fewer requests end
 * than leave. But no more than so many times what was asked for. */
#define RESPONSES_LEAST 2
#define LONGER_MOST 5
/* Open: over this part of the window ends weigh more and more, and at its end less and less; fewer are counted as they
 * are, as the weights of so few would tell of where they happen to lie. */
#define TAPER 0.25
#define ENDS_LEAST 8
#define AT_ONCE (-1) /* an attempt that is due when it begins */

struct user {
    struct generator *generator;
    int64_t start_ns;
};

/* An attempt that has ended. */
struct ended {
    enum load_end end;
    int status;
    int64_t late_ns, flight_ns; /* from when it should have begun until it did; until it ended */
};

struct generator {
    const struct load_options *options;
    struct load_tally *tally;
    struct http_client *client;
    struct http_request request;
    struct weir_scope scope;
    struct weir_event changed; /* for the task that watches over the level */
    int64_t begin, end;        /* of the window; INT64_MAX until they are known */
    uint32_t in_flight;
    int64_t in_flight_since;       /* when it was last accounted for */
    uint32_t fresh;                /* users without an answer yet */
    uint32_t early;                /* attempts under way that began before the window's end */
    struct weir_channel *arrivals; /* open */
    uint32_t users, idle;          /* open: tasks, and those that wait for an arrival */
    struct random random;
    int64_t cpu_before, queued_before;
    double ends[2], weights[2]; /* open: what ended in the window, and the good ones of it; and their weights */
    struct ended edge;          /* the last that lies in the window, but not with its middle */
    bool edge_known;
    int64_t warmup_sum, warmup_count; /* of response times before the window */
};

/* ---- Accounts --------------------------------------------------------------------------------------------------- */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How much of the time from `from` to `to` lies in the window. */
static int64_t overlap(const struct generator *generator, int64_t from, int64_t to)
{
    int64_t time = lesser(to, generator->end) - greater(from, generator->begin);
    return time > 0 ? time : 0;
}

static void change_in_flight(struct generator *generator, int by, int64_t now)
{
    generator->tally->in_flight_ns += (double)overlap(generator, generator->in_flight_since, now) *
                                      generator->in_flight;
    generator->in_flight_since = now;
    generator->in_flight += (uint32_t)by;
    if (generator->options->progress)
        atomic_fetch_add_explicit(&generator->options->progress->in_flight, by, memory_order_relaxed);
}

static bool contains(const char *text, size_t size, const char *part)
{
    return memmem(text, size, part, strlen(part)) != NULL;
}

static enum load_end end_of(const struct load_target *target, const struct http_reply *reply)
{
    if (reply->outcome == HTTP_DONE) {
        int status = reply->status;
        if (status < 0 || status >= LOAD_STATUS_MOST || !target->statuses[status])
            return LOAD_STATUS;
        return target->body && !contains(reply->body, reply->body_size, target->body) ? LOAD_BODY : LOAD_GOOD;
    }
    return load_end_of(reply->outcome);
}

static void keep_words(struct generator *generator, const struct http_reply *reply)
{
    struct load_tally *tally = generator->tally;
    if (tally->words[0] || reply->outcome == HTTP_DONE || reply->outcome == HTTP_CANCELLED)
        return; /* weir cancels what is under way at the end: nobody's fault */
    tally->words_error = reply->error;
    http_explain(&generator->request, reply, tally->words, sizeof tally->words);
}

static void record(struct load_tally *tally, const struct ended *ended)
{
    histogram_record(&tally->response, ended->late_ns + ended->flight_ns, 1);
    tally->late_ns += (double)ended->late_ns;
    tally->flight_ns += (double)ended->flight_ns;
    tally->ends[ended->end]++;
    if (ended->end == LOAD_GOOD)
        histogram_record(&tally->good, ended->late_ns + ended->flight_ns, 1);
    if (ended->status > 0 && ended->status < LOAD_STATUS_MOST)
        tally->statuses[ended->status]++;
}

/* How much an end counts at `position`, in windows since the begin of the window. */
static double taper(double position)
{
    double weight = (position < 0.5 ? position : 1 - position) / TAPER;
    return weight < 0 ? 0 : weight > 1 ? 1 : weight;
}

/* The sum of taper from the begin of the window to `position`. */
static double taper_sum(double position)
{
    double whole = 1 - TAPER;
    if (position >= 0.5)
        return whole - (position < 1 ? taper_sum(1 - position) : 0);
    return position < TAPER ? position * position / (2 * TAPER) : position - TAPER / 2;
}

static void count_end(struct generator *generator, int64_t now, bool good)
{
    if (now < generator->begin || now >= generator->end)
        return;
    double weight = taper((double)(now - generator->begin) / (double)(generator->end - generator->begin));
    for (int i = 0; i <= good; i++) {
        generator->ends[i]++;
        generator->weights[i] += weight;
    }
}

/* `end`: of the window, as it was meant to be. */
static void conclude_ends(struct generator *generator, int64_t end, int64_t now)
{
    double length = (double)(end - generator->begin);
    double part = length > 0 ? lesser(end, now) >= end ? 1 : (double)(now - generator->begin) / length : 0;
    double sum = part > 0 ? taper_sum(part) / part : 0; /* of weights, if ends came at any time alike */
    bool few = generator->ends[0] < ENDS_LEAST || sum <= 0;
    generator->tally->completed = few ? generator->ends[0] : generator->weights[0] / sum;
    generator->tally->succeeded = few ? generator->ends[1] : generator->weights[1] / sum;
}

/* An attempt that should have begun at `intended`, began at `from` and ended at `to`. */
static void account(struct generator *generator, const struct http_reply *reply, int64_t intended, int64_t from,
                    int64_t to)
{
    struct load_tally *tally = generator->tally;
    enum load_end end = end_of(generator->options->target, reply);
    struct load_progress *progress = generator->options->progress;
    if (progress) {
        atomic_fetch_add_explicit(&progress->ended, 1, memory_order_relaxed);
        if (end == LOAD_GOOD)
            atomic_fetch_add_explicit(&progress->good, 1, memory_order_relaxed);
    }
    if (generator->begin == INT64_MAX) {
        generator->warmup_sum += to - from;
        generator->warmup_count++;
    }
    if ((to <= generator->begin && from < generator->begin) || from >= generator->end)
        return;
    double share = to > from ? (double)overlap(generator, from, to) / (double)(to - from) : 1;
    tally->shares += share;
    if (generator->options->kind == LOAD_OPEN) {
        count_end(generator, to, end == LOAD_GOOD);
    } else {
        tally->completed += share;
        tally->succeeded += end == LOAD_GOOD ? share : 0;
    }
    int64_t middle = from + (to - from) / 2;
    const struct ended ended = {end, reply->status, from - intended, to - from};
    if (middle >= generator->begin && middle < generator->end) {
        record(tally, &ended);
    } else {
        generator->edge = ended;
        generator->edge_known = true;
    }
}

/* ---- Attempts --------------------------------------------------------------------------------------------------- */

static bool found_nobody(const struct http_reply *reply)
{
    enum load_end end = reply->outcome == HTTP_DONE ? LOAD_GOOD : load_end_of(reply->outcome);
    return end == LOAD_REFUSED || end == LOAD_CONNECT || end == LOAD_OTHER;
}

static int attempt(struct weir_context *context, struct generator *generator, int64_t intended)
{
    struct http_reply reply = {0};
    int64_t from = weir_now(context);
    intended = intended == AT_ONCE ? from : intended;
    change_in_flight(generator, 1, from);
    generator->early += from < generator->end;
    (void)http_request(context, generator->client, &generator->request, from + generator->options->target->timeout_ns,
                       &reply);
    int64_t to = weir_now(context);
    change_in_flight(generator, -1, to);
    bool cancelled = reply.outcome == HTTP_CANCELLED, nobody = found_nobody(&reply);
    if (cancelled)
        generator->tally->unfinished += from < generator->end && to > generator->begin;
    else
        account(generator, &reply, intended, from, to);
    keep_words(generator, &reply);
    http_reply_release(&reply);
    if (from < generator->end && --generator->early == 0 && to >= generator->end)
        weir_event_signal(&generator->changed, false);
    if (cancelled)
        return -ECANCELED;
    return nobody && generator->options->kind != LOAD_ONCE ? weir_sleep(context, PAUSE_NS) : 0;
}

static int run_closed_user(struct weir_context *context, void *argument)
{
    struct user *user = argument;
    struct generator *generator = user->generator;
    int error = weir_sleep_until(context, user->start_ns);
    for (bool first = true; error == 0; first = false) {
        error = attempt(context, generator, AT_ONCE);
        if (first && --generator->fresh == 0)
            weir_event_signal(&generator->changed, false);
    }
    return error;
}

static int run_once_user(struct weir_context *context, void *argument)
{
    struct user *user = argument;
    return attempt(context, user->generator, AT_ONCE);
}

static int run_open_user(struct weir_context *context, void *argument)
{
    struct generator *generator = argument;
    int64_t intended;
    int error = 0;
    while (error == 0) {
        error = weir_channel_receive(context, generator->arrivals, &intended, WEIR_NEVER);
        if (error)
            break;
        generator->idle--;
        error = attempt(context, generator, intended);
        generator->idle++;
    }
    return error;
}

/* ---- Open: arrivals --------------------------------------------------------------------------------------------- */

static double next_interval(struct generator *generator)
{
    const struct load_options *options = generator->options;
    double mean = 1e9 / options->rate;
    return options->arrivals == LOAD_CONSTANT ? mean : -log1p(-random_unit(&generator->random)) * mean;
}

/* Hands an arrival to a user that is idle, or to a new one. */
static int arrive(struct generator *generator, int64_t intended)
{
    uint32_t most = generator->options->in_flight_most ? generator->options->in_flight_most : LOAD_IN_FLIGHT_MOST;
    bool counts = intended >= generator->begin && intended < generator->end;
    generator->tally->offered += counts;
    if (weir_channel_count(generator->arrivals) >= generator->idle && generator->users < most) {
        int error = weir_scope_spawn(&generator->scope, "request", run_open_user, generator);
        if (error)
            return error;
        generator->users++;
        generator->idle++;
    }
    if (weir_channel_count(generator->arrivals) < generator->idle)
        return weir_channel_try_send(generator->arrivals, &intended);
    generator->tally->ends[LOAD_NOT_SENT] += counts;
    return 0;
}

static int run_arrivals(struct weir_context *context, void *argument)
{
    struct generator *generator = argument;
    const struct load_options *options = generator->options;
    int64_t start = weir_now(context);
    double due = options->arrivals == LOAD_CONSTANT ? options->rate_offset * 1e9 / options->rate : 0;
    int error = 0;
    while (error == 0) {
        due += next_interval(generator);
        int64_t intended = start + (int64_t)due;
        /* Late: the others run in between all the same. */
        error = intended > weir_now(context) ? weir_sleep_until(context, intended) : weir_yield(context);
        if (error == 0)
            error = arrive(generator, intended);
    }
    return error;
}

/* ---- The level -------------------------------------------------------------------------------------------------- */

static void begin_window(struct generator *generator, int64_t now, int64_t end, bool real)
{
    change_in_flight(generator, 0, now);
    generator->begin = now;
    generator->end = end;
    if (real) {
        generator->cpu_before = clock_thread_cpu();
        generator->queued_before = load_queued_ns();
    }
}

static void end_window(struct generator *generator, int64_t now, bool real)
{
    struct load_tally *tally = generator->tally;
    change_in_flight(generator, 0, now);
    if (generator->options->kind == LOAD_OPEN && generator->begin != INT64_MAX)
        conclude_ends(generator, generator->end, now);
    generator->end = lesser(generator->end, now);
    tally->window_ns = generator->begin == INT64_MAX ? 0 : generator->end - generator->begin;
    if (real && generator->begin != INT64_MAX) {
        /* It may have been late: what it took meanwhile is not the window's alone. */
        double part = (double)tally->window_ns / (double)greater(now - generator->begin, 1);
        tally->cpu_ns = (int64_t)((double)(clock_thread_cpu() - generator->cpu_before) * part);
        tally->queued_ns = (int64_t)((double)(load_queued_ns() - generator->queued_before) * part);
    }
}

/* Waits until *left is 0, at most until the deadline; 0 also when that has passed. */
static int wait_for_none(struct weir_context *context, struct generator *generator, const uint32_t *left,
                         int64_t deadline)
{
    int error = 0;
    while (error == 0 && *left > 0)
        error = weir_event_wait(context, &generator->changed, deadline);
    return error == -ETIMEDOUT ? 0 : error;
}

static int spawn_users(struct weir_context *context, struct generator *generator, struct user *users)
{
    const struct load_options *options = generator->options;
    bool once = options->kind == LOAD_ONCE;
    int64_t now = weir_now(context);
    int error = 0;
    for (uint32_t i = 0; i < options->concurrency && error == 0; i++) {
        /* Not all at the same moment: half of the warm-up is for connecting. */
        double delay = once ? 0 : (double)options->warmup_ns * 0.5 * i / options->concurrency;
        users[i] = (struct user){generator, now + (int64_t)delay};
        error = weir_scope_spawn(&generator->scope, "user", once ? run_once_user : run_closed_user, &users[i]);
    }
    generator->fresh = options->concurrency;
    return error;
}

static int64_t warmup_mean(const struct generator *generator)
{
    return generator->warmup_count > 0 ? generator->warmup_sum / generator->warmup_count : 0;
}

static int64_t window_of(const struct generator *generator)
{
    int64_t wanted = generator->options->duration_ns;
    return lesser(greater(wanted, RESPONSES_LEAST * warmup_mean(generator)), LONGER_MOST * wanted);
}

/* How long what the window has cut is waited for. */
static int64_t drain_of(const struct generator *generator)
{
    int64_t usual = greater(generator->options->duration_ns, RESPONSES_LEAST * warmup_mean(generator));
    return lesser(generator->options->target->timeout_ns, greater(usual, DRAIN_LEAST_NS));
}

/* Open: until as many requests end as leave, if they ever do. */
static int wait_until_settled(struct weir_context *context, const struct generator *generator, int64_t start)
{
    int64_t step = greater(generator->options->duration_ns / 16, 1), now = weir_now(context);
    int64_t latest = now + LONGER_MOST * generator->options->duration_ns;
    int error = 0;
    while (error == 0 && now < latest &&
           (generator->warmup_count == 0 || now - start < RESPONSES_LEAST * warmup_mean(generator))) {
        error = weir_sleep_until(context, lesser(now + step, latest));
        now = weir_now(context);
    }
    return error;
}

/* Closed and open: warm-up, window, and the end of what the window has cut. */
static int watch_level(struct weir_context *context, struct generator *generator, bool real)
{
    const struct load_options *options = generator->options;
    int64_t start = weir_now(context), warm = start + options->warmup_ns;
    int error = weir_sleep_until(context, warm);
    if (error == 0)
        error = options->kind == LOAD_OPEN
                    ? wait_until_settled(context, generator, start)
                    : wait_for_none(context, generator, &generator->fresh, warm + options->target->timeout_ns);
    if (error)
        return error;
    int64_t now = weir_now(context);
    begin_window(generator, now, now + window_of(generator), real);
    error = weir_sleep_until(context, generator->end);
    end_window(generator, weir_now(context), real);
    if (error == 0)
        error = wait_for_none(context, generator, &generator->early, generator->end + drain_of(generator));
    return error;
}

static int watch_burst(struct weir_context *context, struct generator *generator, bool real)
{
    begin_window(generator, weir_now(context), INT64_MAX, real);
    int error = weir_scope_join(&generator->scope);
    end_window(generator, weir_now(context), real);
    return error;
}

static int run_level(struct weir_context *context, struct generator *generator, struct user *users)
{
    bool real = !context->clock->simulated;
    int error = 0;
    generator->in_flight_since = weir_now(context);
    weir_scope_open(context, &generator->scope);
    if (generator->options->kind == LOAD_OPEN)
        error = weir_scope_spawn(&generator->scope, "arrivals", run_arrivals, generator);
    else
        error = spawn_users(context, generator, users);
    bool once = generator->options->kind == LOAD_ONCE;
    if (error == 0)
        error = once ? watch_burst(context, generator, real) : watch_level(context, generator, real);
    if (!once || error)
        weir_scope_close(&generator->scope);
    return error;
}

static void finish(struct generator *generator, int error)
{
    struct load_tally *tally = generator->tally;
    struct http_counters counters;
    http_client_count(generator->client, &counters);
    tally->connections = counters.opened;
    tally->interrupted = error == -ECANCELED;
    /* In a window shorter than an attempt none may have its middle: one stands for all. */
    if (generator->edge_known && atomic_load(&tally->response.count) == 0)
        record(tally, &generator->edge);
    if (generator->options->kind != LOAD_OPEN)
        tally->offered = tally->completed;
}

int load_run(struct weir_context *context, const struct load_options *options, struct load_tally *ret)
{
    uint32_t most = options->in_flight_most ? options->in_flight_most : LOAD_IN_FLIGHT_MOST;
    bool open = options->kind == LOAD_OPEN;
    struct http_client_options client = options->target->client;
    struct generator *generator = memory_zeroed(1, sizeof *generator);
    struct user *users = open ? NULL : memory_zeroed(options->concurrency, sizeof *users);
    int error = generator && (open || users) ? 0 : -ENOMEM;
    memset(ret, 0, sizeof *ret);
    histogram_init(&ret->response);
    histogram_init(&ret->good);
    if (error == 0) {
        *generator = (struct generator){.options = options, .tally = ret, .begin = INT64_MAX, .end = INT64_MAX};
        generator->request = options->target->request;
        generator->request.any_status = true;
        generator->request.redirects_most = HTTP_NO_REDIRECTS;
        random_seed(&generator->random, options->seed ^ UINT64_C(0x6c6f6164)); /* not the server's own chance */
        client.connections_most = open ? most : options->concurrency;
        error = http_client_new(&client, &generator->client);
    }
    if (error == 0 && open && !(generator->arrivals = weir_channel_new(sizeof(int64_t), most)))
        error = -ENOMEM;
    if (error == 0) {
        error = run_level(context, generator, users);
        finish(generator, error);
    }
    if (generator) {
        weir_channel_free(generator->arrivals);
        http_client_free(generator->client);
    }
    memory_free(users);
    memory_free(generator);
    return error;
}
