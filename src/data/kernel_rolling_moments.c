/* SPDX-License-Identifier: MIT */
/*
 * Count, sum, mean, var and stddev, and nothing else: the fast kernels. Work goes in two passes over a few hundred
 * rows:
 *
 *   1. each row, in order: takes the record into its key's sums and notes how they stand          (scalar: gather)
 *   2. all rows side by side: divisions and roots, which are slow alone and fast in vectors       (finish)
 *
 * Where many rows of one key follow each other (no keys at all, or sorted data) pass 1 is done in vectors as well, but
 * for the additions that depend on each other (advance_together). It makes exactly the same operations for each row as
 * the scalar pass, so that not a bit depends on how rows are grouped; when a refresh comes due within, it declines.
 */
#include "data/kernel_rolling_eight.h"
#include "data/kernel_rolling_fetch.h"
#include "data/kernel_rolling_four.h"

enum { CHUNK = ROLLING_CHUNK };
enum { TOGETHER_LEAST = 8 }; /* fewer rows of a key in a row are not worth it */

#define ASKED(statistic) (1u << (statistic))
#define ASKED_MEAN_STDDEV (ASKED(ROLLING_MEAN) | ASKED(ROLLING_STDDEV))

struct key {
    struct rolling_head *head, space;
    double *ring;
    struct rolling_infinite *infinite;
};

static inline __attribute__((always_inline)) void open_key(const struct rolling_kernel *kernel, void *state,
                                                           struct key *key)
{
    char *base = (char *)state + kernel->state_offset;
    key->head = rolling_open(kernel->compact, base, &key->space);
    key->ring = (void *)(base + rolling_head_size(kernel->compact));
    key->infinite = kernel->tail ? (void *)(base + kernel->tail) : NULL;
}

static inline void close_key(const struct rolling_kernel *kernel, void *state, const struct key *key)
{
    rolling_close(kernel->compact, (char *)state + kernel->state_offset, key->head);
}

/* Nothing finite in the window, or infinities: the noted sums are such that the right thing comes out. */
static __attribute__((noinline)) void note_odd(const struct key *key, struct rolling_notes *notes, uint32_t i)
{
    notes->full = false;
    notes->sum[i] = notes->sum_low[i] = 0;
    notes->squares[i] = NAN;
    notes->anchor[i] = rolling_infinite_mean(rolling_infinite_of(key->head, key->infinite));
    notes->unscale[i] = notes->count[i] = 1;
}

static inline void note(const struct key *key, uint32_t window, struct rolling_notes *notes, uint32_t i)
{
    const struct rolling_head *head = key->head;
    if (__builtin_expect(head->finite == 0 || head->odd, 0)) {
        note_odd(key, notes, i);
        return;
    }
    notes->sum[i] = head->sum;
    notes->sum_low[i] = head->sum_low;
    notes->squares[i] = head->squares;
    notes->anchor[i] = head->anchor;
    notes->unscale[i] = rolling_unscale(head);
    notes->count[i] = head->finite;
    notes->full &= head->finite == window;
}

/* ---- Many rows of one key -----------------------------------------------------------------------------------------
 */

/* The values that leave, one for each that comes, in one piece: of the ring itself, or put together in `space`. */
static inline const double *leaving(const struct key *key, uint32_t window, const double *values, uint32_t count,
                                    double *space)
{
    uint32_t next = key->head->next, rest = window - next;
    if (count <= rest)
        return key->ring + next;
    memcpy(space, key->ring + next, rest * sizeof(double)); /* window <= CHUNK here */
    memcpy(space + rest, key->ring, next * sizeof(double));
    if (count > window)
        memcpy(space + window, values, (count - window) * sizeof(double));
    return space;
}

static inline void enter(const struct key *key, uint32_t window, const double *values, uint32_t count)
{
    uint32_t next = key->head->next, skipped = count > window ? count - window : 0;
    key->head->since += count;
    for (uint32_t i = skipped, slot = (next + skipped) % window; i < count; i++) {
        key->ring[slot] = values[i];
        slot = slot + 1 == window ? 0 : slot + 1;
    }
    key->head->next = (next + count) % window;
}

/* Takes in up to `count` values of one key whose window is full of finite numbers; notes them from `at` on. Returns how
 * many; 0: go on one by one. Nothing of the key is changed unless all went well. */
static inline __attribute__((always_inline)) uint32_t advance_together(const struct rolling_kernel *kernel,
                                                                       const struct key *key, const double *values,
                                                                       uint32_t count, struct rolling_notes *notes,
                                                                       uint32_t at)
{
    struct rolling_head *head = key->head;
    const uint32_t window = kernel->options.window;
    uint32_t before_refresh = kernel->refresh_records - head->since - 1;
    uint32_t most = window > CHUNK ? window - head->next : CHUNK;
    if (count > most)
        count = most;
    if (count > before_refresh)
        count = before_refresh;
    if (count < TOGETHER_LEAST || head->finite != window)
        return 0;

    double space[2 * CHUNK], error[CHUNK], difference[CHUNK], change[CHUNK];
    const double *old = leaving(key, window, values, count, space);
    const double scale = head->scale, anchor = head->anchor, weight = window;
    double *sum = notes->sum + at, *sum_low = notes->sum_low + at, *squares = notes->squares + at;
    for (uint32_t i = 0; i < count; i++) {
        double scaled = values[i] * scale, scaled_old = old[i] * scale;
        difference[i] = rolling_difference(scaled, scaled_old, &error[i]);
        change[i] = difference[i] * ((scaled - anchor) + (scaled_old - anchor));
    }
    /* Each row waits for the one before, so all that must is done in one loop. */
    double total = head->sum, low = head->sum_low, total_squares = head->squares, peak = head->peak;
    for (uint32_t i = 0; i < count; i++) {
        double next = total + difference[i], back = next - total;
        low += ((total - (next - back)) + (difference[i] - back)) + error[i];
        total = next;
        total_squares += change[i];
        peak = total_squares > peak ? total_squares : peak;
        sum[i] = total;
        sum_low[i] = low;
        squares[i] = total_squares;
    }

    /* As rolling_sums_doubtful for each row, but with the largest peak for all; a value that is not finite makes NaN.
     */
    const double least = peak * weight * ROLLING_SQUARES_LOSS;
    uint64_t fine = peak <= ROLLING_SQUARES_MOST;
    for (uint32_t i = 0; i < count; i++) {
        double both = sum[i] + sum_low[i];
        fine &= squares[i] * weight - both * both >= least;
    }
    if (!fine)
        return 0;
    for (uint32_t i = at; i < at + count; i++)
        notes->anchor[i] = anchor;
    double unscale = rolling_unscale(head);
    for (uint32_t i = at; i < at + count; i++)
        notes->unscale[i] = unscale;
    enter(key, window, values, count);
    head->sum = total;
    head->sum_low = low;
    head->squares = total_squares;
    head->peak = peak;
    return count;
}

/* ---- The passes ---------------------------------------------------------------------------------------------------
 */

static uint32_t run_length(void *const *states, uint32_t count)
{
    uint32_t run = 1;
    while (run < count && states[run] == states[0])
        run++;
    return run;
}

static inline bool all_same(const struct rolling_rows *rows)
{
    uintptr_t first = (uintptr_t)rows->states[0], differ = 0;
    for (uint32_t i = 0; i < rows->count; i++)
        differ |= (uintptr_t)rows->states[i] ^ first;
    return differ == 0;
}

static inline void write_count(const struct rolling_rows *rows, uint32_t i, const struct key *key)
{
    const uint32_t row = rows->selection ? rows->selection[i] : i;
    int64_t count = key->head->finite;
    if (key->head->odd) {
        const struct rolling_infinite infinite = rolling_infinite_of(key->head, key->infinite);
        count += infinite.plus + infinite.minus;
    }
    ((int64_t *)rows->columns[ROLLING_COUNT])[row] = count;
}

static inline void gather_one(const struct rolling_kernel *kernel, const struct rolling_rows *rows, uint32_t row,
                              double value, bool counted, struct rolling_notes *notes, uint32_t i)
{
    struct key key;
    open_key(kernel, rows->states[row], &key);
    rolling_take(key.head, key.ring, kernel->options.window, kernel->refresh_records, key.infinite, value);
    note(&key, kernel->options.window, notes, i);
    if (counted)
        write_count(rows, row, &key);
    close_key(kernel, rows->states[row], &key);
}

static __attribute__((noinline)) void gather_few(const struct rolling_kernel *kernel, const struct rolling_rows *rows,
                                                 uint32_t begin, uint32_t count, const double *values, bool counted,
                                                 struct rolling_notes *notes, uint32_t at)
{
    for (uint32_t i = 0; i < count; i++)
        gather_one(kernel, rows, begin + i, values[i], counted, notes, at + i);
}

static inline void write_counts(const struct rolling_rows *rows, uint32_t begin, uint32_t count, uint32_t window)
{
    for (uint32_t i = begin; i < begin + count; i++)
        ((int64_t *)rows->columns[ROLLING_COUNT])[rows->selection ? rows->selection[i] : i] = window;
}

/* Of windows that need not be full, as they are noted; without infinities. */
static inline void write_noted_counts(const struct rolling_rows *rows, uint32_t begin, uint32_t count,
                                      const double *noted)
{
    for (uint32_t i = 0; i < count; i++)
        ((int64_t *)rows->columns[ROLLING_COUNT])[rows->selection ? rows->selection[begin + i] : begin + i] =
            (int64_t)noted[i];
}

static inline __attribute__((always_inline)) bool take_fours(const int fours, const struct rolling_kernel *kernel,
                                                             void *const *states, const double *values,
                                                             struct rolling_notes *notes, uint32_t at)
{
    const uint32_t window = kernel->options.window, refresh_records = kernel->refresh_records;
    const size_t offset = kernel->state_offset;
    return kernel->compact
               ? rolling_take_fours(fours, true, states, offset, window, refresh_records, values, notes, at)
               : rolling_take_fours(fours, false, states, offset, window, refresh_records, values, notes, at);
}

/* Eight rows where something is out of the ordinary, or a key comes twice. */
static inline __attribute__((always_inline)) void gather_eight(const struct rolling_kernel *kernel,
                                                               const struct rolling_rows *rows, uint32_t begin,
                                                               const double *values, bool counted,
                                                               struct rolling_notes *notes, uint32_t at)
{
    for (uint32_t i = 0; i < 8; i += 4) {
        if (!take_fours(1, kernel, rows->states + begin + i, values + i, notes, at + i))
            gather_few(kernel, rows, begin + i, 4, values + i, counted, notes, at + i);
        else if (counted)
            write_counts(rows, begin + i, 4, kernel->options.window);
    }
}

/* What kernel_rolling_eight.h has, or NULL. */
struct eights {
    uint32_t (*take)(const struct rolling_kernel *kernel, const struct rolling_rows *rows, uint32_t begin,
                     uint32_t count, const double *values, struct rolling_notes *notes, uint32_t at, bool far);
    bool (*finish)(const struct rolling_notes *notes, uint32_t rows, double by, double by_freedom, double *mean_out,
                   double *stddev_out);
    bool (*finish_filling)(const struct rolling_notes *notes, uint32_t rows, double ddof, double *mean_out,
                           double *stddev_out);
};

/* Pass 1 over rows begin … begin + count − 1 with these values, when the keys change from row to row. */
static inline __attribute__((always_inline)) void gather_scattered(const struct rolling_kernel *kernel,
                                                                   const struct rolling_rows *rows, uint32_t begin,
                                                                   uint32_t count, const double *values, bool counted,
                                                                   struct rolling_notes *notes, bool far,
                                                                   struct eights eights)
{
    const uint32_t window = kernel->options.window;
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        void *const *states = rows->states + begin + i;
        if (eights.take) {
            uint32_t taken = eights.take(kernel, rows, begin + i, count - i, values + i, notes, i, far);
            if (counted)
                write_noted_counts(rows, begin + i, taken, notes->count + i);
            i += taken;
            if (i + 8 <= count)
                gather_eight(kernel, rows, begin + i, values + i, counted, notes, i);
            else
                i -= 8;
            continue;
        }
        rolling_prefetch_eight(kernel, states, far ? rows->count - begin - i : 0);
        if (__builtin_expect(!take_fours(2, kernel, states, values + i, notes, i), 0))
            gather_eight(kernel, rows, begin + i, values + i, counted, notes, i);
        else if (counted)
            write_counts(rows, begin + i, 8, window);
    }
    gather_few(kernel, rows, begin + i, count - i, values + i, counted, notes, i);
}

/* The same when rows of a key follow each other, or all are of one key. */
static inline __attribute__((always_inline)) void gather_runs(const struct rolling_kernel *kernel,
                                                              const struct rolling_rows *rows, uint32_t begin,
                                                              uint32_t count, const double *values, bool one_key,
                                                              bool counted, struct rolling_notes *notes)
{
    const uint32_t window = kernel->options.window, refresh_records = kernel->refresh_records;
    for (uint32_t i = 0; i < count;) {
        void *state = rows->states[begin + i];
        struct key key;
        open_key(kernel, state, &key);
        uint32_t run = one_key ? count - i : run_length(rows->states + begin + i, count - i);
        uint32_t together = advance_together(kernel, &key, values + i, run, notes, i);
        for (uint32_t j = 0; counted && j < together; j++)
            write_count(rows, begin + i + j, &key);
        i += together;
        /* So many one by one, before it is tried again. */
        const uint32_t alone = together > 0 ? 0 : run < TOGETHER_LEAST ? run : TOGETHER_LEAST;
        for (uint32_t end = i + alone; i < end; i++) {
            rolling_take(key.head, key.ring, window, refresh_records, key.infinite, values[i]);
            note(&key, window, notes, i);
            if (counted)
                write_count(rows, begin + i, &key);
        }
        close_key(kernel, state, &key);
    }
}

/* Means so small that the digits of both sums are needed, worked out again. */
static __attribute__((noinline)) void finish_small(const struct rolling_notes *notes, uint32_t count, bool sums,
                                                   double *out)
{
    for (uint32_t i = 0; i < count; i++) {
        struct rolling_head head = {.sum = notes->sum[i], .sum_low = notes->sum_low[i], .anchor = notes->anchor[i]};
        double mean = notes->anchor[i] + (notes->sum[i] + notes->sum_low[i]) / notes->count[i];
        if (fabs(mean) < fabs(notes->anchor[i]) * ROLLING_MEAN_LOSS) {
            head.finite = (uint32_t)notes->count[i];
            double total = rolling_total(&head);
            out[i] = (sums ? total : total / notes->count[i]) * notes->unscale[i];
        }
    }
}

/* What pass 2 divides by. Where all windows are full it is the same for all rows: one division instead of hundreds. */
struct divisors {
    double ddof, count, inverse; /* 1 / (count − ddof) */
};
static inline double inverse_of(double count, double ddof)
{
    return 1 / (count > ddof ? count - ddof : NAN);
}

/* Pass 2: out[0 … count − 1] of one statistic. `full` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void finish_some(const struct rolling_notes *notes, uint32_t rows,
                                                              struct divisors by, const bool full,
                                                              enum rolling_statistic statistic, double *restrict out)
{
    int64_t small = 0;
    for (uint32_t i = 0; i < rows; i++) {
        double sum = notes->sum[i] + notes->sum_low[i], count = full ? by.count : notes->count[i];
        double deviation = sum / count, mean = notes->anchor[i] + deviation, unscale = notes->unscale[i];
        double squares = notes->squares[i] - sum * deviation;
        if (statistic == ROLLING_SUM || statistic == ROLLING_MEAN)
            small |= -(int64_t)(fabs(mean) < fabs(notes->anchor[i]) * ROLLING_MEAN_LOSS);
        if (statistic == ROLLING_SUM)
            out[i] = (notes->anchor[i] * count + sum) * unscale;
        else if (statistic == ROLLING_MEAN)
            out[i] = mean * unscale;
        else if (statistic == ROLLING_VAR)
            out[i] = squares / (count > by.ddof ? count - by.ddof : NAN) * unscale * unscale;
        else
            out[i] = sqrt(squares * (full ? by.inverse : inverse_of(count, by.ddof))) * unscale;
    }
    if (small)
        finish_small(notes, rows, statistic == ROLLING_SUM, out);
}

static inline __attribute__((always_inline)) void finish(const struct rolling_notes *notes, uint32_t rows,
                                                         struct divisors by, enum rolling_statistic statistic,
                                                         double *out)
{
    if (notes->full)
        finish_some(notes, rows, by, true, statistic, out);
    else
        finish_some(notes, rows, by, false, statistic, out);
}

/* Mean and stddev together, which share a division; without eights where all windows are full. */
static inline __attribute__((always_inline)) void finish_usual(const struct rolling_notes *notes, uint32_t rows,
                                                               struct divisors by, double *restrict mean_out,
                                                               double *restrict stddev_out, struct eights eights)
{
    int64_t small = 0;
    if (eights.finish)
        small = notes->full ? eights.finish(notes, rows, by.count, by.inverse, mean_out, stddev_out)
                            : eights.finish_filling(notes, rows, by.ddof, mean_out, stddev_out);
    for (uint32_t i = 0; !eights.finish && i < rows; i++) {
        double sum = notes->sum[i] + notes->sum_low[i], deviation = sum / by.count;
        double mean = notes->anchor[i] + deviation;
        small |= -(int64_t)(fabs(mean) < fabs(notes->anchor[i]) * ROLLING_MEAN_LOSS);
        mean_out[i] = mean * notes->unscale[i];
        stddev_out[i] = sqrt((notes->squares[i] - sum * deviation) * by.inverse) * notes->unscale[i];
    }
    if (small)
        finish_small(notes, rows, false, mean_out);
}

static inline void scatter(const struct rolling_rows *rows, uint32_t begin, uint32_t count, const double *restrict from,
                           double *restrict column)
{
    const uint32_t *selection = rows->selection + begin;
    for (size_t i = 0; i < count; i++)
        column[selection[i]] = from[i];
}

/* Two columns at once: the list of rows is read once, and what is left to wait for are the stores. */
static inline void scatter_both(const struct rolling_rows *rows, uint32_t begin, uint32_t count,
                                const double *restrict from, double *restrict column, const double *restrict other_from,
                                double *restrict other)
{
    const uint32_t *selection = rows->selection + begin;
    for (size_t i = 0; i < count; i++) {
        const size_t row = selection[i];
        column[row] = from[i];
        other[row] = other_from[i];
    }
}

static inline void take_selected(const struct rolling_rows *rows, uint32_t begin, uint32_t count,
                                 double *restrict values)
{
    const uint32_t *selection = rows->selection + begin;
    const double *restrict from = rows->values;
    for (size_t i = 0; i < count; i++)
        values[i] = from[selection[i]];
}

static inline __attribute__((always_inline)) void finish_all(const struct rolling_rows *rows, uint32_t begin,
                                                             uint32_t count, const struct rolling_notes *notes,
                                                             struct divisors by, const uint32_t asked,
                                                             struct eights eights)
{
    double space[2][CHUNK] __attribute__((aligned(64)));
    const bool dense = !rows->selection;
    if (asked == ASKED_MEAN_STDDEV && (notes->full || eights.finish)) {
        double *mean = rows->columns[ROLLING_MEAN], *stddev = rows->columns[ROLLING_STDDEV];
        finish_usual(notes, count, by, dense ? mean + begin : space[0], dense ? stddev + begin : space[1], eights);
        if (!dense)
            scatter_both(rows, begin, count, space[0], mean, space[1], stddev);
        return;
    }
    for (unsigned statistic = ROLLING_SUM; statistic <= ROLLING_STDDEV; statistic++) {
        if (!(asked & ASKED(statistic)))
            continue;
        double *column = rows->columns[statistic];
        finish(notes, count, by, statistic, dense ? column + begin : space[0]);
        if (!dense)
            scatter(rows, begin, count, space[0], column);
    }
}

static inline __attribute__((always_inline)) void process(const struct rolling_kernel *kernel,
                                                          const struct rolling_rows *rows, const uint32_t asked,
                                                          struct eights eights)
{
    struct rolling_notes notes;
    double space[CHUNK] __attribute__((aligned(64)));
    const bool scattered = rolling_scattered(rows), one_key = !scattered && all_same(rows);
    const bool far = scattered && rolling_far(rows);
    const bool counted = asked & ASKED(ROLLING_COUNT);
    const double window = kernel->options.window, ddof = kernel->options.ddof;
    const struct divisors by = {.ddof = ddof, .count = window, .inverse = inverse_of(window, ddof)};
    notes.full = false;
    for (uint32_t begin = 0; begin < rows->count; begin += CHUNK) {
        uint32_t count = rows->count - begin < CHUNK ? rows->count - begin : CHUNK;
        const double *values = rows->selection ? space : rows->values + begin;
        if (rows->selection)
            take_selected(rows, begin, count, space);
        for (uint32_t i = 0; !notes.full && i < CHUNK; i++)
            notes.count[i] = window;
        notes.full = true;
        if (scattered)
            gather_scattered(kernel, rows, begin, count, values, counted, &notes, far, eights);
        else
            gather_runs(kernel, rows, begin, count, values, one_key, counted, &notes);
        finish_all(rows, begin, count, &notes, by, asked, eights);
    }
}

/* ---- Choosing -----------------------------------------------------------------------------------------------------
 */

#define VARIANTS(suffix, attribute, eights)                                                                            \
    attribute static void process_mean_stddev_##suffix(const struct rolling_kernel *kernel,                            \
                                                       const struct rolling_rows *rows)                                \
    {                                                                                                                  \
        process(kernel, rows, ASKED_MEAN_STDDEV, eights);                                                              \
    }                                                                                                                  \
    attribute static void process_some_##suffix(const struct rolling_kernel *kernel, const struct rolling_rows *rows)  \
    {                                                                                                                  \
        process(kernel, rows, kernel->options.statistics, eights);                                                     \
    }

#define NO_EIGHTS ((struct eights){NULL, NULL, NULL})
VARIANTS(plain, , NO_EIGHTS)
#if defined(__x86_64__)
VARIANTS(avx2, __attribute__((target("avx2"))), NO_EIGHTS)
#endif
#ifdef ROLLING_EIGHT
#define EIGHTS ((struct eights){rolling_take_eights, rolling_finish_eights, rolling_finish_filling})
VARIANTS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512"))), EIGHTS)
#endif

rolling_process *rolling_moments_choose(uint32_t statistics)
{
    bool usual = statistics == ASKED_MEAN_STDDEV;
#ifdef ROLLING_EIGHT
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        return usual ? process_mean_stddev_avx512 : process_some_avx512;
#endif
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) /* the same operations, more of them at once: the same bits */
        return usual ? process_mean_stddev_avx2 : process_some_avx2;
#endif
    return usual ? process_mean_stddev_plain : process_some_plain;
}
