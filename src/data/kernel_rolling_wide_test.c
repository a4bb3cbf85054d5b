/* SPDX-License-Identifier: MIT */
/* The kernel of time windows and ordered statistics against a naive model that looks at the whole window each time. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "data/kernel_rolling_wide.h"
#include "data/kernel_test.h"

enum { ROWS = 1200, QUANTILES = 3, ALL = (1 << (ROLLING_QUANTILE + QUANTILES)) - 1 };
static const double ranks[QUANTILES] = {0.5, 0.9, 0.01};

struct data {
    double values[ROWS];
    int64_t times[ROWS];
};

/* kind 0: noise; 1: few different values, nulls, infinities; 2: a ramp at a large offset. Times partly out of order. */
static void make_data(struct data *data, int kind, uint64_t *seed)
{
    int64_t now = INT64_C(1600000000000000000);
    for (int i = 0; i < ROWS; i++) {
        double draw = uniform(seed), value = uniform(seed) * 20 - 10;
        if (kind == 1)
            value = draw < 0.2 ? NAN : draw < 0.21 ? INFINITY : draw < 0.22 ? -INFINITY : floor(value);
        if (kind == 2)
            value = 1e6 + 3.5 * i + value;
        now += (int64_t)(next_random(seed) % 3) * INT64_C(500000000) + (i % 400 == 0 ? INT64_C(60000000000) : 0);
        data->values[i] = value;
        data->times[i] = draw > 0.97 ? INT64_MIN : now - (draw > 0.9 ? INT64_C(700000000) : 0);
    }
}

/* ---- The model ----------------------------------------------------------------------------------------------------
 */

struct model {
    double result[ROLLING_WIDE_STATISTICS];
    int64_t newest[ROWS]; /* the time that record i counts as of */
    double ewma;
    bool known;
    int64_t ewma_time;
};

static void model_moments(const double *v, uint32_t n, uint32_t ddof, bool infinite, double *r)
{
    __float128 sum = 0, squares = 0;
    double plain = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += v[i];
        plain += v[i];
    }
    r[ROLLING_SUM] = infinite ? plain : (double)sum;
    r[ROLLING_MEAN] = infinite ? plain : (double)(sum / n);
    for (uint32_t i = 0; i < n; i++)
        squares += (v[i] - sum / n) * (v[i] - sum / n);
    if (n > ddof && !infinite) {
        r[ROLLING_VAR] = (double)(squares / (n - ddof));
        r[ROLLING_STDDEV] = sqrt(r[ROLLING_VAR]);
    }
}

static void model_window(struct model *model, const struct data *data, uint32_t begin, uint32_t end, uint32_t current,
                         const struct rolling_wide_options *options)
{
    static double v[ROWS], t[ROWS];
    double *r = model->result;
    uint32_t n = 0;
    bool infinite = false;
    for (int s = 0; s < ROLLING_WIDE_STATISTICS; s++)
        r[s] = NAN;
    for (uint32_t i = begin; i < end; i++) {
        if (isnan(data->values[i]))
            continue;
        infinite |= isinf(data->values[i]);
        v[n] = data->values[i];
        t[n++] = options->timed ? (double)(model->newest[i] - model->newest[end - 1]) * 1e-9 : i;
    }
    r[ROLLING_COUNT] = n;
    r[ROLLING_DISTINCT] = 0;
    r[ROLLING_EWMA] = model->known ? model->ewma : NAN;
    if (n == 0)
        return;
    model_moments(v, n, options->ddof, infinite, r);
    r[ROLLING_FIRST] = v[0];
    r[ROLLING_LAST] = v[n - 1];
    r[ROLLING_DELTA] = v[n - 1] - v[0];
    if (options->timed && t[n - 1] > t[0])
        r[ROLLING_RATE] = r[ROLLING_DELTA] / (t[n - 1] - t[0]);
    __float128 mean_t = 0, mean_v = 0, tv = 0, tt = 0;
    for (uint32_t i = 0; i < n; i++) {
        mean_t += (__float128)t[i] / n;
        mean_v += (__float128)v[i] / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        tv += (t[i] - mean_t) * (v[i] - mean_v);
        tt += (t[i] - mean_t) * (t[i] - mean_t);
    }
    if (!infinite && t[n - 1] > t[0])
        r[ROLLING_SLOPE] = (double)(tv / tt);
    double x = data->values[current];
    if (isfinite(x) && r[ROLLING_STDDEV] > 0)
        r[ROLLING_ZSCORE] = (x - r[ROLLING_MEAN]) / r[ROLLING_STDDEV];
    qsort(v, n, sizeof(double), compare_doubles);
    for (uint32_t i = 0; i < n; i++)
        r[ROLLING_DISTINCT] += i == 0 || v[i] != v[i - 1];
    r[ROLLING_MIN] = v[0];
    r[ROLLING_MAX] = v[n - 1];
    r[ROLLING_RANGE] = v[n - 1] - v[0];
    for (int q = 0; q < QUANTILES; q++) {
        double place = ranks[q] * (n - 1), low = v[(uint32_t)place], rest = place - floor(place);
        double high = rest > 0 ? v[(uint32_t)place + 1] : low;
        r[ROLLING_QUANTILE + q] = low == high         ? low
                                  : isinf(high - low) ? low * (1 - rest) + high * rest
                                                      : low + (high - low) * rest;
    }
}

static void model_ewma(struct model *model, const struct data *data, uint32_t i,
                       const struct rolling_wide_options *options)
{
    if (!isfinite(data->values[i]))
        return;
    double apart = options->half_life_timed ? (double)(model->newest[i] - model->ewma_time) : 1;
    double alpha = options->alpha > 0 ? options->alpha
                                      : (double)-expm1l(-M_LN2 * (long double)apart / options->half_life);
    model->ewma = model->known ? model->ewma + alpha * (data->values[i] - model->ewma) : data->values[i];
    model->known = true;
    model->ewma_time = model->newest[i];
}

/* ---- Running and comparing ----------------------------------------------------------------------------------------
 */

struct outputs {
    double f64[ROLLING_WIDE_STATISTICS][ROWS];
    uint64_t early;
};

/* All records are of one key. */
static void run(const struct rolling_wide_options *options, const struct data *data, uint32_t batch,
                struct outputs *out)
{
    struct rolling_wide wide;
    assert_int_equal(rolling_wide_init(&wide, options, 64), 0);
    char *one = memory_zeroed(1, wide.state_size + 64);
    void *states[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        states[i] = one;
    out->early = 0;
    for (uint32_t at = 0, size; at < ROWS; at += size) {
        size = ROWS - at < batch ? ROWS - at : batch;
        struct rolling_wide_rows rows = {
            .states = states, .count = size, .values = data->values + at, .times = data->times + at};
        for (int s = 0; s < ROLLING_WIDE_STATISTICS; s++)
            rows.columns[s] = out->f64[s] + at;
        rolling_wide_process(&wide, &rows);
        out->early += rows.early;
    }
    memory_free(one);
}

static bool near(unsigned statistic, double got, double exact, const double *r)
{
    if (isnan(got) || isnan(exact))
        return isnan(got) && isnan(exact);
    if (got == exact)
        return true;
    if (statistic == ROLLING_SLOPE) /* it may be any amount smaller than the values that it is made of */
        return fabs(got - exact) <= 1e-9 * (fabs(exact) + 1);
    if (statistic == ROLLING_ZSCORE)
        return fabs(got - exact) <= 1e-9 * (fabs(exact) + 1);
    double largest = fmax(fabs(r[ROLLING_MIN]), fabs(r[ROLLING_MAX]));
    return fabs(got - exact) <= 1e-9 * fabs(exact) + 1e-12 * (largest < 1e300 ? largest : 0);
}

static void check(const struct rolling_wide_options *options, const struct data *data, const struct outputs *out,
                  uint64_t seed)
{
    static struct model model;
    model = (struct model){.known = false};
    uint32_t begin = 0;
    uint64_t early = 0;
    int64_t dated = INT64_MIN;
    /* Looking at a whole window for each row takes nearly all of the time: one in so many, all of them in `make soak`.
     */
    const uint32_t every = getenv("WEIR_TEST_SEEDS") || options->records < 10 ? 1 : 13, phase = (uint32_t)seed % every;
    for (uint32_t i = 0; i < ROWS && dated == INT64_MIN; i++)
        dated = data->times[i];
    for (uint32_t i = 0; i < ROWS; i++) {
        model.newest[i] = i == 0 ? dated : data->times[i] < model.newest[i - 1] ? model.newest[i - 1] : data->times[i];
        while (options->span && begin < i &&
               (uint64_t)model.newest[i] - (uint64_t)model.newest[begin] >= (uint64_t)options->span)
            begin++;
        const bool looked_at = i % every == phase;
        if (options->lag && looked_at)
            model_window(&model, data, begin, i, i, options);
        if (i - begin == options->records) {
            begin++;
            early += options->span != 0;
        }
        model_ewma(&model, data, i, options);
        if (!options->lag && looked_at)
            model_window(&model, data, begin, i + 1, i, options);
        for (unsigned s = 0; s < ROLLING_WIDE_STATISTICS && looked_at; s++) {
            if (!(options->statistics & 1u << s))
                continue;
            double got = out->f64[s][i], exact = model.result[s];
            if (s == ROLLING_COUNT || s == ROLLING_DISTINCT) {
                int64_t whole;
                memcpy(&whole, &got, sizeof(whole));
                got = whole == INT64_MIN ? NAN : (double)whole;
            }
            if (options->lag && i == 0)
                exact = NAN;
            if (!near(s, got, exact, model.result))
                fail_msg("seed %llu, records %u, span %lld, lag %d, row %u, statistic %u: %.17g, exactly %.17g",
                         (unsigned long long)seed, options->records, (long long)options->span, options->lag, i, s, got,
                         exact);
        }
    }
    assert_int_equal(out->early, early);
}

static void test_against_model(void **state)
{
    (void)state;
    static struct data data;
    static struct outputs out, again;
    const uint32_t records[] = {1, 2, 3, 7, 50, 300};
    for (unsigned r = 0; r < sizeof(records) / sizeof(records[0]); r++) {
        for (int variant = 0; variant < 24; variant++) {
            uint64_t seed = r * 100 + (unsigned)variant, first = seed;
            make_data(&data, variant % 3, &seed);
            struct rolling_wide_options options = {
                .records = records[r],
                .span = variant & 4 ? (variant & 1 ? INT64_C(10000000000) : INT64_C(100000000000)) : 0,
                .statistics = ALL,
                .ddof = variant & 1,
                .lag = variant >= 12,
                .timed = true,
                .alpha = variant & 8 ? 0.25 : 0,
                .half_life = variant & 1 ? 3 : 5e9,
                .half_life_timed = !(variant & 1),
                .quantile_count = QUANTILES,
                .heaps = variant % 5 < 2,
            };
            memcpy(options.quantiles, ranks, sizeof(ranks));
            run(&options, &data, 1 + (unsigned)variant * 37, &out);
            check(&options, &data, &out, first);
            run(&options, &data, ROWS, &again);
            assert_memory_equal(&out, &again, sizeof(out)); /* not one bit depends on batches */
            options.timed = options.half_life_timed = false;
            options.span = 0;
            options.statistics &= ~(1u << ROLLING_RATE);
            run(&options, &data, ROWS, &out);
            check(&options, &data, &out, first);
            if (variant % 4)
                continue;
            options.lag = options.heaps = false;
            options.statistics &= ~((1u << ROLLING_QUANTILE) - 1);
            run(&options, &data, 1 + (unsigned)variant * 11, &out);
            check(&options, &data, &out, first);
        }
    }
}

static void test_bad_options(void **state)
{
    (void)state;
    struct rolling_wide wide;
    struct rolling_wide_options options = {.records = 5, .statistics = 1 << ROLLING_RATE};
    assert_int_equal(rolling_wide_init(&wide, &options, 0), -22); /* no time */
    options.timed = true;
    assert_int_equal(rolling_wide_init(&wide, &options, 0), 0);
    options.statistics = 1 << ROLLING_EWMA;
    assert_int_equal(rolling_wide_init(&wide, &options, 0), -22); /* neither alpha nor half-life */
    options.alpha = 1.5;
    assert_int_equal(rolling_wide_init(&wide, &options, 0), -22);
    options.alpha = 0.5;
    assert_int_equal(rolling_wide_init(&wide, &options, 0), 0);
    options.records = 0;
    assert_int_equal(rolling_wide_init(&wide, &options, 0), -22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests_name("rolling kernel of time and order", tests, NULL, NULL);
}
