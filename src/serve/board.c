/* SPDX-License-Identifier: MIT */
#include "serve/board.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/units.h"
#include "flow/plan.h"
#include "measure/goals.h"
#include "serve/metrics.h"

#define WINDOW (30 * CLOCK_SECOND) /* goals are judged over one to two of them */

struct past { /* totals as they were then */
    int64_t now;
    uint64_t records_in;
    struct histogram latency;
};
struct board {
    const struct plan_goals *goals;
    pthread_mutex_t lock;
    struct pipeline_snapshot *snapshot;
    struct verdict_answer verdict;
    struct past past[2];              /* [0] the older one, from which on goals are judged */
    struct pipeline_snapshot *lately; /* only what goals_check looks at */
    struct goal results[GOALS_MAX];
    uint32_t result_count;
    bool ending, failed;
    double started;
};

struct board *board_new(const struct plan_goals *goals)
{
    struct board *board = memory_zeroed(1, sizeof *board);
    if (!board)
        return NULL;
    board->lately = memory_zeroed(1, sizeof *board->lately);
    if (!board->lately) {
        memory_free(board);
        return NULL;
    }
    board->goals = goals;
    board->started = (double)clock_wall() / 1e9;
    pthread_mutex_init(&board->lock, NULL);
    return board;
}

void board_free(struct board *board)
{
    if (!board)
        return;
    pipeline_snapshot_free(board->snapshot);
    memory_free(board->lately);
    pthread_mutex_destroy(&board->lock);
    memory_free(board);
}

/* ---- Pinning ---------------------------------------------------------------------------------------------------- */

static void subtract(const struct histogram *now, const struct histogram *then, struct histogram *ret)
{
    uint64_t total = 0;
    int64_t most = 0;
    histogram_init(ret);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t number = now->buckets[i] - then->buckets[i];
        ret->buckets[i] = number;
        total += number;
        if (number > 0)
            most = histogram_bucket_most(i);
    }
    ret->count = total;
    ret->least = now->least;
    ret->most = most < now->most ? most : (int64_t)now->most;
}

static void remember(struct past *past, const struct pipeline_snapshot *snapshot)
{
    past->now = snapshot->now;
    past->records_in = snapshot->records_in;
    histogram_init(&past->latency);
    histogram_merge(&past->latency, &snapshot->latency);
}

static void judge_goals(struct board *board)
{
    const struct pipeline_snapshot *snapshot = board->snapshot;
    struct pipeline_snapshot *lately = board->lately;
    if (!board->past[0].now)
        board->past[0].now = board->past[1].now = snapshot->started;
    subtract(&snapshot->latency, &board->past[0].latency, &lately->latency);
    lately->started = board->past[0].now;
    lately->now = snapshot->now;
    lately->records_in = snapshot->records_in - board->past[0].records_in;
    board->result_count = goals_check(board->goals, lately, snapshot->lag_ns, board->results);
    if (snapshot->now - board->past[1].now >= WINDOW) {
        board->past[0] = board->past[1];
        remember(&board->past[1], snapshot);
    }
}

void board_pin(struct board *board, struct pipeline_snapshot *snapshot, const struct verdict_answer *verdict)
{
    pthread_mutex_lock(&board->lock);
    struct pipeline_snapshot *before = board->snapshot;
    board->snapshot = snapshot;
    board->verdict = *verdict;
    judge_goals(board);
    pthread_mutex_unlock(&board->lock);
    pipeline_snapshot_free(before);
}

void board_end(struct board *board, bool failed)
{
    pthread_mutex_lock(&board->lock);
    board->ending = true;
    board->failed = board->failed || failed;
    pthread_mutex_unlock(&board->lock);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static void put_goal(const struct goal *goal, struct weir_buffer *out)
{
    char wanted[32], got[32];
    if (goal->at_least) {
        buffer_format(out, "goal %s missed lately: wanted at least %.6g/s, got %.6g/s\n", goal->name, goal->wanted,
                      goal->got);
        return;
    }
    units_show_duration((int64_t)(goal->wanted * 1e9 + 0.5), wanted, sizeof wanted);
    units_show_duration((int64_t)(goal->got * 1e9 + 0.5), got, sizeof got);
    buffer_format(out, "goal %s missed lately: wanted at most %s, got %s\n", goal->name, wanted, got);
}

/* Why it is not ready, a line for each reason. A goal that there was nothing to measure by is not missed. */
static void put_reasons(const struct board *board, struct weir_buffer *out)
{
    char words[256];
    if (board->failed)
        buffer_string(out, "the run has failed\n");
    else if (board->ending)
        buffer_string(out, "the run is ending\n");
    if (!board->snapshot) {
        buffer_string(out, "the run is starting\n");
        return;
    }
    const enum verdict_kind kind = board->verdict.kind;
    if (kind == VERDICT_FALLING_BEHIND || kind == VERDICT_DROPPING || kind == VERDICT_NOTHING_DELIVERED)
        buffer_format(out, "%s\n", verdict_brief(&board->verdict, words, sizeof words));
    for (uint32_t i = 0; i < board->result_count; i++) {
        if (board->results[i].measured && !board->results[i].met)
            put_goal(&board->results[i], out);
    }
}

unsigned board_ready(struct board *board, struct weir_buffer *out)
{
    pthread_mutex_lock(&board->lock);
    put_reasons(board, out);
    pthread_mutex_unlock(&board->lock);
    if (out->size > 0 || out->failed)
        return 503;
    buffer_string(out, "ready\n");
    return 200;
}

unsigned board_health(struct board *board, struct weir_buffer *out)
{
    pthread_mutex_lock(&board->lock);
    bool failed = board->failed;
    pthread_mutex_unlock(&board->lock);
    buffer_string(out, failed ? "the run has failed\n" : "ok\n");
    return failed ? 503 : 200;
}

unsigned board_metrics(struct board *board, struct weir_buffer *out)
{
    struct weir_buffer reasons = {0};
    pthread_mutex_lock(&board->lock);
    bool any = board->snapshot != NULL;
    if (any) {
        put_reasons(board, &reasons);
        const struct metrics_view view = {.snapshot = board->snapshot,
                                          .verdict = board->verdict,
                                          .goals = board->results,
                                          .goal_count = board->result_count,
                                          .ready = reasons.size == 0 && !reasons.failed,
                                          .started = board->started};
        metrics_text(&view, out);
    }
    pthread_mutex_unlock(&board->lock);
    buffer_free(&reasons);
    if (!any)
        buffer_string(out, "the run is starting\n");
    return any && !out->failed ? 200 : 503;
}
