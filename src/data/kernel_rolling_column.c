/* SPDX-License-Identifier: MIT */
/*
 * Count, sum, mean, var and stddev of a column without keys. Its records are taken in by blocks of eight, the sums
 * after each worked out side by side; see kernel_rolling_block.h.
 *
 * So that not a bit depends on how the rows are cut into batches, where a block begins depends on the records alone:
 * one begins when the window is full of finite numbers, and where the one before ended. A batch that ends within a
 * block leaves its values of it behind as pending, and with the next batch the block is worked out anew: what comes
 * after a record has no influence on it. Where there is more to do than adding and subtracting (the window is filling,
 * nulls and infinities come or go, digits were lost, a refresh is due), a block ends early, and the kernel for rows one
 * by one has the word for as long as it takes.
 *
 * Instead of the one peak of the sums a block keeps eight, of its lanes. A window has eight records or more here, so
 * each lane has met each value that was in it.
 */
#include <string.h>

#include "data/kernel_rolling_sums.h"

#include "data/kernel_rolling.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* no vector crosses a call: all is inlined */

enum { CHUNK = 256, CHUNK_LEAST = 16 };
_Static_assert(CHUNK % ROLLING_BLOCK == 0, "whole blocks");

#define ASKED(statistic) (1u << (statistic))
#define ASKED_MEAN_STDDEV (ASKED(ROLLING_MEAN) | ASKED(ROLLING_STDDEV))

/* A chunk of rows while it is worked on. */
struct rolling_work {
    double sum_before[ROLLING_BLOCK]; /* of these three the last counts */
    double sum[CHUNK];                /* right behind, so that sum[-1] is there */
    double low_before[ROLLING_BLOCK], low[CHUNK];
    double squares_before[ROLLING_BLOCK], squares[CHUNK];
    double difference[CHUNK], rest[CHUNK];
    const double *values, *old; /* that come, and that leave; whole blocks of them */
    double peaks[ROLLING_BLOCK];
    double scale, unscale, anchor;
    double count, inverse, loss;     /* of the window: 1 / count, count · ROLLING_SQUARES_LOSS */
    double freedom, inverse_freedom; /* count − ddof */
    double *to[ROLLING_STATISTICS];
    int64_t small; /* out: not 0 when the digits of some mean need both sums */
} __attribute__((aligned(64)));

struct key {
    struct rolling_head *head;
    double *ring;
};

/* ---- For each set of instructions ---------------------------------------------------------------------------------
 */

#define BLOCK_LANES 2
#define BLOCK(name) plain_##name
#define BLOCK_SQRT(x)                                                                                                  \
    (VECTOR)                                                                                                           \
    {                                                                                                                  \
        sqrt((x)[0]), sqrt((x)[1])                                                                                     \
    }
#include "data/kernel_rolling_block.h"

/* The statistics of all rows, the peaks of those in whole blocks. */
#define WORK(name)                                                                                                     \
    static bool name##_work(struct rolling_work *work, uint32_t whole, uint32_t padded, uint32_t asked)                \
    {                                                                                                                  \
        const bool usual = asked == ASKED_MEAN_STDDEV;                                                                 \
        double peaks[ROLLING_BLOCK];                                                                                   \
        name##_add(work, padded);                                                                                      \
        name##_add_low(work, padded);                                                                                  \
        bool fine = usual ? name##_finish(work, 0, whole, ASKED_MEAN_STDDEV) : name##_finish(work, 0, whole, asked);   \
        if (whole == padded)                                                                                           \
            return fine;                                                                                               \
        memcpy(peaks, work->peaks, sizeof(peaks));                                                                     \
        fine &= name##_finish(work, whole, padded, asked);                                                             \
        memcpy(work->peaks, peaks, sizeof(peaks));                                                                     \
        return fine;                                                                                                   \
    }
WORK(plain)

/* clang ignores the target of the pragmas: built with it, the plain code does the work. */
#if defined(__x86_64__) && !defined(__clang__)
#define WIDE 1
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define BLOCK_LANES 4
#define BLOCK(name) avx2_##name
#define BLOCK_FMA(a, b, c) (VECTOR) _mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c))
#define BLOCK_SQRT(x) (VECTOR) _mm256_sqrt_pd((__m256d)(x))
#include "data/kernel_rolling_block.h"
WORK(avx2)
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,fma")
#define BLOCK_LANES 8
#define BLOCK(name) avx512_##name
#define BLOCK_FMA(a, b, c) (VECTOR) _mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c))
#define BLOCK_SQRT(x) (VECTOR) _mm512_sqrt_pd((__m512d)(x))
#include "data/kernel_rolling_block.h"
WORK(avx512)
#pragma GCC pop_options
#endif

/* ---- Around it ----------------------------------------------------------------------------------------------------
 */

/* For how many records the one-by-one kernel has the word, when a block could begin; 0: it can. */
static uint32_t alone_for(const struct rolling_kernel *kernel, const struct key *key)
{
    const struct rolling_head *head = key->head;
    const uint32_t window = kernel->options.window;
    if (head->finite == window)
        return head->since + ROLLING_BLOCK < kernel->refresh_records ? 0 : kernel->refresh_records - head->since;
    if (!head->full)
        return window - head->next;
    uint32_t slot = head->next, wait = window + 1;
    do { /* back from the newest to the one that spoils the window */
        slot = slot == 0 ? window - 1 : slot - 1;
        wait--;
    } while (wait > 1 && fabs(key->ring[slot]) <= DBL_MAX);
    return wait;
}

/* How many of the rows that is, of those at hand. While the window is waiting to be full again, nulls and infinities
 * among the rows make it longer. */
static uint32_t alone_now(struct rolling_column *column, const struct rolling_rows *rows, uint32_t begin,
                          uint32_t window)
{
    const uint32_t rest = rows->count - begin;
    uint32_t count = 0, wait = column->wait;
    if (!column->filling)
        count = wait < rest ? wait : rest;
    while (count < wait && count < rest) {
        uint32_t row = rows->selection ? rows->selection[begin + count] : begin + count;
        count++;
        wait = fabs(rows->values[row]) <= DBL_MAX ? wait : count + window; /* no branch: it could not be foreseen */
    }
    column->wait = wait - count;
    return count;
}

/* Some rows one by one. */
static void process_alone(const struct rolling_kernel *kernel, const struct rolling_rows *rows, uint32_t begin,
                          uint32_t count)
{
    struct rolling_rows some = *rows;
    some.column = NULL;
    some.count = count;
    if (rows->selection) {
        some.selection += begin;
    } else {
        some.values += begin;
        for (unsigned s = 0; s < ROLLING_STATISTICS; s++)
            some.columns[s] = rows->columns[s] ? (double *)rows->columns[s] + begin : NULL;
    }
    kernel->process(kernel, &some);
}

/* The one peak for the one-by-one kernel. */
static void settle(struct rolling_column *column, struct rolling_head *head)
{
    for (uint32_t lane = 0; column->blocks && lane < ROLLING_BLOCK; lane++)
        head->peak = column->peaks[lane] > head->peak ? column->peaks[lane] : head->peak;
    column->blocks = false;
}

/* Where the values and results of a chunk lie: in the batch and the ring themselves, or copied. */
struct chunk {
    uint32_t begin, rows; /* begin: the row of the batch after the pending ones */
    bool direct;
    double values[CHUNK], old[CHUNK], results[ROLLING_STATISTICS][CHUNK];
};

/* Whole blocks, side by side where they are. False: they have to be copied. */
static bool take_direct(struct chunk *chunk, struct rolling_work *work, const struct rolling_kernel *kernel,
                        const struct rolling_rows *rows, const struct key *key)
{
    const uint32_t window = kernel->options.window, next = key->head->next, begin = chunk->begin;
    uint32_t count = chunk->rows / ROLLING_BLOCK * ROLLING_BLOCK;
    if (rows->selection || rows->column->pending)
        return false;
    if (begin < window && count > window - next)
        count = window > CHUNK ? (window - next) / ROLLING_BLOCK * ROLLING_BLOCK : 0;
    if (count == 0)
        return false;
    chunk->rows = count;
    work->values = rows->values + begin;
    work->old = begin < window ? key->ring + next : rows->values + begin - window;
    for (unsigned s = 0; s < ROLLING_STATISTICS; s++)
        work->to[s] = rows->columns[s] ? (double *)rows->columns[s] + begin : NULL;
    return true;
}

static void take_copies(struct chunk *chunk, struct rolling_work *work, const struct rolling_kernel *kernel,
                        const struct rolling_rows *rows, const struct key *key)
{
    const uint32_t window = kernel->options.window, next = key->head->next, count = chunk->rows;
    const uint32_t pending = rows->column->pending, from_ring = count < window ? count : window;
    const uint32_t first = from_ring < window - next ? from_ring : window - next;
    memcpy(chunk->values, rows->column->values, sizeof(rows->column->values));
    for (uint32_t i = pending; rows->selection && i < count; i++)
        chunk->values[i] = rows->values[rows->selection[chunk->begin + i - pending]];
    if (!rows->selection)
        memcpy(chunk->values + pending, rows->values + chunk->begin, (count - pending) * sizeof(double));
    memcpy(chunk->old, key->ring + next, first * sizeof(double));
    memcpy(chunk->old + first, key->ring, (from_ring - first) * sizeof(double));
    memcpy(chunk->old + from_ring, chunk->values, (count - from_ring) * sizeof(double));
    for (uint32_t i = count; i % ROLLING_BLOCK != 0; i++)
        chunk->values[i] = chunk->old[i] = 0; /* they change nothing */
    work->values = chunk->values;
    work->old = chunk->old;
    for (unsigned s = 0; s < ROLLING_STATISTICS; s++)
        work->to[s] = chunk->results[s];
}

/* The first row in doubt from `begin` on, or `end`; the peaks are brought up to it. */
static uint32_t first_doubtful(struct rolling_work *work, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        double both = work->sum[i] + work->low[i], squares = work->squares[i];
        double *peak = &work->peaks[i % ROLLING_BLOCK], higher = squares > *peak ? squares : *peak;
        if (!(squares * work->count - both * both >= higher * work->loss && higher <= ROLLING_SQUARES_MOST))
            return i;
        *peak = higher;
    }
    return end;
}

static void finish_small(const struct rolling_work *work, uint32_t count, uint32_t asked)
{
    for (uint32_t i = 0; i < count; i++) {
        double deviation = (work->sum[i] + work->low[i]) / work->count;
        if (!(fabs(work->anchor + deviation) < fabs(work->anchor) * ROLLING_MEAN_LOSS))
            continue;
        struct rolling_head head = {
            .sum = work->sum[i], .sum_low = work->low[i], .anchor = work->anchor, .finite = (uint32_t)work->count};
        double total = rolling_total(&head);
        if (asked & ASKED(ROLLING_SUM))
            work->to[ROLLING_SUM][i] = total * work->unscale;
        if (asked & ASKED(ROLLING_MEAN))
            work->to[ROLLING_MEAN][i] = total / work->count * work->unscale;
    }
}

/* The first `count` rows of the chunk are in the window now. */
static void commit(const struct rolling_work *work, const struct key *key, uint32_t window, uint32_t count)
{
    struct rolling_head *head = key->head;
    if (count == 0)
        return;
    head->sum = work->sum[count - 1];
    head->sum_low = work->low[count - 1];
    head->squares = work->squares[count - 1];
    head->since += count;
    const uint32_t skipped = count > window ? count - window : 0, stored = count - skipped;
    const uint32_t slot = (head->next + skipped) % window, first = stored < window - slot ? stored : window - slot;
    memcpy(key->ring + slot, work->values + skipped, first * sizeof(double));
    memcpy(key->ring, work->values + skipped + first, (stored - first) * sizeof(double));
    head->next = (head->next + count) % window;
}

static void prepare(struct rolling_work *work, const struct rolling_kernel *kernel, const struct rolling_head *head,
                    struct rolling_column *column)
{
    const double window = kernel->options.window, ddof = kernel->options.ddof;
    for (uint32_t lane = 0; !column->blocks && lane < ROLLING_BLOCK; lane++)
        column->peaks[lane] = head->peak;
    column->blocks = true;
    work->small = 0;
    memcpy(work->peaks, column->peaks, sizeof(work->peaks));
    memset(work->sum_before, 0, sizeof(work->sum_before));
    memset(work->low_before, 0, sizeof(work->low_before));
    memset(work->squares_before, 0, sizeof(work->squares_before));
    work->sum_before[ROLLING_BLOCK - 1] = head->sum;
    work->low_before[ROLLING_BLOCK - 1] = head->sum_low;
    work->squares_before[ROLLING_BLOCK - 1] = head->squares;
    work->scale = head->scale;
    work->unscale = rolling_unscale(head);
    work->anchor = head->anchor;
    work->count = window;
    work->inverse = 1 / window;
    work->loss = window * ROLLING_SQUARES_LOSS;
    work->freedom = window > ddof ? window - ddof : NAN;
    work->inverse_freedom = 1 / work->freedom;
}

/* Results of rows from..to of the chunk. */
static void write_rows(const struct rolling_work *work, const struct chunk *chunk, const struct rolling_rows *rows,
                       uint32_t from, uint32_t to, uint32_t asked)
{
    const uint32_t *selection = rows->selection ? rows->selection + chunk->begin : NULL;
    for (unsigned s = ROLLING_SUM; !chunk->direct && s <= ROLLING_STDDEV; s++) {
        double *column = rows->columns[s];
        if (!(asked & ASKED(s)))
            continue;
        if (!selection)
            memcpy(column + chunk->begin, work->to[s] + from, (to - from) * sizeof(double));
        for (uint32_t i = from; selection && i < to; i++)
            column[selection[i - from]] = work->to[s][i];
    }
    for (uint32_t i = 0; (asked & ASKED(ROLLING_COUNT)) && i < to - from; i++)
        ((int64_t *)rows->columns[ROLLING_COUNT])[selection ? selection[i] : chunk->begin + i] = (int64_t)work->count;
}

/* Works out the chunk; how many of its rows can be believed, from the first on. work->peaks are those of the rows that
 * are to be kept: of all of these if it is not the whole chunk, else of whole blocks. */
static uint32_t work_out(const struct rolling_kernel *kernel, struct rolling_work *work, const double *peaks,
                         uint32_t count)
{
    const uint32_t whole = count / ROLLING_BLOCK * ROLLING_BLOCK;
    const uint32_t padded = (count + ROLLING_BLOCK - 1) / ROLLING_BLOCK * ROLLING_BLOCK;
    if (kernel->column_work(work, whole, padded, kernel->options.statistics))
        return count;
    memcpy(work->peaks, peaks, sizeof(work->peaks));
    uint32_t sound = first_doubtful(work, 0, count);
    if (sound == count) { /* only what it was padded with was doubtful */
        memcpy(work->peaks, peaks, sizeof(work->peaks));
        first_doubtful(work, 0, whole);
    }
    return sound;
}

/* Blocks of what is pending and at most `most` rows from `begin` on. Returns how many rows were taken in. If it met one
 * that it cannot, the one-by-one kernel has the word next. */
static uint32_t process_blocks(const struct rolling_kernel *kernel, const struct rolling_rows *rows, uint32_t begin,
                               uint32_t most, const struct key *key)
{
    struct rolling_work work;
    struct chunk chunk; /* large: not cleared */
    struct rolling_column *column = rows->column;
    const uint32_t asked = kernel->options.statistics, pending = column->pending;
    const uint32_t before_refresh = (kernel->refresh_records - 1 - key->head->since) / ROLLING_BLOCK * ROLLING_BLOCK;
    chunk.begin = begin;
    chunk.rows = pending + (rows->count - begin);
    chunk.rows = chunk.rows < before_refresh ? chunk.rows : before_refresh;
    chunk.rows = chunk.rows < most ? chunk.rows : most;
    chunk.direct = take_direct(&chunk, &work, kernel, rows, key);
    if (!chunk.direct)
        take_copies(&chunk, &work, kernel, rows, key);
    prepare(&work, kernel, key->head, column);
    const uint32_t sound = work_out(kernel, &work, column->peaks, chunk.rows);
    const uint32_t kept = sound < chunk.rows ? sound : sound / ROLLING_BLOCK * ROLLING_BLOCK;
    memcpy(column->peaks, work.peaks, sizeof(work.peaks));
    if (work.small)
        finish_small(&work, sound, asked);
    write_rows(&work, &chunk, rows, pending, sound, asked);
    commit(&work, key, kernel->options.window, kept);
    column->wait = sound < chunk.rows;
    column->filling = false;
    column->pending = sound - kept;
    memcpy(column->values, work.values + kept, column->pending * sizeof(double));
    return sound - pending;
}

void rolling_column_process(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    struct rolling_column *column = rows->column;
    char *base = (char *)rows->states[0] + kernel->state_offset;
    struct rolling_head space;
    const struct key key = {.head = rolling_open(kernel->compact, base, &space),
                            .ring = (void *)(base + rolling_head_size(kernel->compact))};
    uint32_t most = CHUNK;
    for (uint32_t at = 0, count; at < rows->count; at += count) {
        if (!column->pending && !column->wait) {
            column->wait = alone_for(kernel, &key);
            column->filling = key.head->finite < kernel->options.window;
        }
        if (!column->wait) {
            count = process_blocks(kernel, rows, at, most, &key);
            most = column->wait ? CHUNK_LEAST : most < CHUNK ? 2 * most : CHUNK; /* less to do in vain */
            continue;
        }
        count = alone_now(column, rows, at, kernel->options.window);
        settle(column, key.head);
        rolling_close(kernel->compact, base, key.head);
        process_alone(kernel, rows, at, count);
        rolling_open(kernel->compact, base, key.head);
    }
    rolling_close(kernel->compact, base, key.head);
}

rolling_column_work *rolling_column_choose(const struct rolling_options *options)
{
    if (options->window < ROLLING_BLOCK)
        return NULL;
#ifdef WIDE
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return avx512_work;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return avx2_work;
#endif
    return plain_work;
}
