/* SPDX-License-Identifier: MIT */
#include "expr/kernels.h"

#include <math.h>
#include <string.h>

#include "data/symbols.h"
#include "expr/kernel_loops.h"

/* ---- Arithmetic ------------------------------------------------------------------------------------------------ */

static BINARY(add_f64, double, double, a + b);
static BINARY(subtract_f64, double, double, a - b);
static BINARY(multiply_f64, double, double, (a * b));
static BINARY(divide_f64, double, double, a / b);
static BINARY(modulo_f64, double, double, fmod(a, b));
static BINARY(power_f64, double, double, a != a || b != b ? (double)NAN : pow(a, b)); /* pow(NaN, 0) is 1 */

/* What overflows is null: int64 has no infinity. Unsigned arithmetic wraps; the signs tell whether it did. */
static inline int64_t add_checked(int64_t a, int64_t b)
{
    int64_t sum = (int64_t)((uint64_t)a + (uint64_t)b);
    bool bad = (((a ^ sum) & (b ^ sum)) < 0) | (a == NULL_I64) | (b == NULL_I64);
    return bad ? NULL_I64 : sum;
}

static inline int64_t subtract_checked(int64_t a, int64_t b)
{
    int64_t difference = (int64_t)((uint64_t)a - (uint64_t)b);
    bool bad = (((a ^ b) & (a ^ difference)) < 0) | (a == NULL_I64) | (b == NULL_I64);
    return bad ? NULL_I64 : difference;
}

static inline int64_t multiply_checked(int64_t a, int64_t b)
{
    int64_t product;
    bool bad = __builtin_mul_overflow(a, b, &product) | (a == NULL_I64) | (b == NULL_I64);
    return bad ? NULL_I64 : product;
}

static inline int64_t modulo_checked(int64_t a, int64_t b)
{
    bool bad = (b == 0) | (a == NULL_I64) | (b == NULL_I64);
    return bad ? NULL_I64 : b == -1 ? 0 : a % b;
}

static BINARY(add_i64, int64_t, int64_t, add_checked(a, b));
static BINARY(subtract_i64, int64_t, int64_t, subtract_checked(a, b));
static BINARY(multiply_i64, int64_t, int64_t, multiply_checked(a, b));
static BINARY(modulo_i64, int64_t, int64_t, modulo_checked(a, b));

kernel_function *const kernel_arithmetic_f64[] = {add_f64,    subtract_f64, multiply_f64,
                                                  divide_f64, modulo_f64,   power_f64};
kernel_function *const kernel_arithmetic_i64[] = {add_i64, subtract_i64, multiply_i64, NULL, modulo_i64, NULL};

UNARY(kernel_negate_f64, double, double, -a);
UNARY(kernel_negate_i64, int64_t, int64_t, -(uint64_t)a); /* null stays null */

/* Exact to the last digit of the double; times more than 292 years apart are subtracted as doubles. */
static inline double seconds_between(int64_t a, int64_t b)
{
    int64_t difference;
    bool far = __builtin_sub_overflow(a, b, &difference);
    double ns = far ? (double)a - (double)b : (double)difference;
    bool bad = (a == NULL_I64) | (b == NULL_I64);
    return bad ? (double)NAN : ns / 1e9;
}
BINARY(kernel_time_difference, int64_t, double, seconds_between(a, b));

UNARY(kernel_i64_to_f64, int64_t, double, a == NULL_I64 ? (double)NAN : (double)a);

void kernel_symbol_to_text(const struct kernel_call *call)
{
    const uint32_t *x = call->in[0];
    struct weir_text *out = call->out;

    for (size_t i = 0; i < call->count; i++) {
        out[i] = call->extra ? symbols_text(call->extra, x[i]) : (struct weir_text){NULL, 0}; /* only types checked */
    }
}

/* ---- Functions ------------------------------------------------------------------------------------------------- */

UNARY(kernel_abs_f64, double, double, fabs(a));
UNARY(kernel_abs_i64, int64_t, int64_t, a < 0 ? -(uint64_t)a : (uint64_t)a);
UNARY(kernel_sign_f64, double, double, a != a ? a : (double)((a > 0) - (a < 0)));
UNARY(kernel_sign_i64, int64_t, int64_t, a == NULL_I64 ? a : (int64_t)((a > 0) - (a < 0)));
UNARY(kernel_sqrt, double, double, sqrt(a));
UNARY(kernel_exp, double, double, exp(a));
UNARY(kernel_log, double, double, log(a));
UNARY(kernel_floor, double, double, floor(a));
UNARY(kernel_ceil, double, double, ceil(a));
/* As round, which is a call for each value: the largest double below 0.5 takes every half, and nothing less, to the
 * next whole number. */
UNARY(kernel_round, double, double, trunc(a + copysign(0x1.fffffffffffffp-2, a)));

static inline double min_f64(double a, double b)
{
    double least = a < b ? a : b; /* b when a is NaN */
    return a != a ? a : least;
}

static inline double max_f64(double a, double b)
{
    double most = a > b ? a : b;
    return a != a ? a : most;
}

BINARY(kernel_min_f64, double, double, min_f64(a, b));
BINARY(kernel_max_f64, double, double, max_f64(a, b));
BINARY(kernel_min_i64, int64_t, int64_t, a < b ? a : b); /* null is the least of all */
BINARY(kernel_max_i64, int64_t, int64_t, ((a == NULL_I64) | (b == NULL_I64)) ? NULL_I64 : a > b ? a : b);

/* The upper tail is 0.5 erfc((x - mean) / (stddev √2)). Far out erfc multiplies a relative error of its argument by
 * twice the square of it (at 37 stddev by 1400), so the rounding errors of the argument are kept and put in to first
 * order. */
static inline double normal_tail(double x, double mean, double stddev)
{
    const double high = 0x1.6a09e667f3bcdp-1, low = -0x1.bdd3413b26456p-55; /* 1/√2 = high + low */
    double d = x - mean, shift = x - d;
    double d_error = (x - (d + shift)) + (shift - mean);
    double z = d / stddev;
    double tail = 0.5 * erfc(z * high);

    if (fabs(z) < 40) { /* finite, and not 0 */
        double y = z * high;
        double z_error = (fma(-z, stddev, d) + d_error) / stddev;
        double y_error = fma(z, high, -y) + z * low + z_error * high;
        tail -= 0.5 * M_2_SQRTPI * exp(-y * y) * y_error;
    }
    return stddev > 0 ? tail : (double)NAN;
}

void kernel_normal_tail(const struct kernel_call *call)
{
    const double *restrict x = call->in[0], *restrict mean = call->in[1], *restrict stddev = call->in[2];
    double *restrict out = call->out;

    for (size_t i = 0; i < call->count; i++) {
        out[i] = normal_tail(x[i], mean[i], stddev[i]);
    }
}

/* ---- Truth ----------------------------------------------------------------------------------------------------- */

/* With false 0, true 1, null 0xff: `and` is 0 when a & b is 0 (either is false), else null when either is: a | b. `or`
 * is 1 when either is 1, else a | b. */
BINARY(kernel_and, uint8_t, uint8_t, (a & b) != 0 ? (a | b) : 0);
BINARY(kernel_or, uint8_t, uint8_t, ((a == 1) | (b == 1)) ? 1 : (a | b));
UNARY(kernel_not, uint8_t, uint8_t, a == 0xff ? 0xff : (a ^ 1));

#define NULL_TESTS(SUFFIX, TYPE, IS_NULL)                                                                              \
    static UNARY(is_null_##SUFFIX, TYPE, uint8_t, (IS_NULL));                                                          \
    static UNARY(is_not_null_##SUFFIX, TYPE, uint8_t, !(IS_NULL))
NULL_TESTS(f64, double, a != a);
NULL_TESTS(i64, int64_t, a == NULL_I64);
NULL_TESTS(bool, uint8_t, a == WEIR_BOOL_NULL);
NULL_TESTS(symbol, uint32_t, a == WEIR_SYMBOL_NULL);
NULL_TESTS(text, struct weir_text, a.data == NULL);

#define BY_TYPE(PREFIX)                                                                                                \
    {                                                                                                                  \
        [WEIR_F64] = PREFIX##_f64, [WEIR_I64] = PREFIX##_i64, [WEIR_TIME] = PREFIX##_i64, [WEIR_BOOL] = PREFIX##_bool, \
        [WEIR_SYMBOL] = PREFIX##_symbol, [WEIR_TEXT] = PREFIX##_text,                                                  \
    }
kernel_function *const kernel_is_null[WEIR_TYPE_COUNT] = BY_TYPE(is_null);
kernel_function *const kernel_is_not_null[WEIR_TYPE_COUNT] = BY_TYPE(is_not_null);

static BINARY(coalesce_f64, double, double, a != a ? b : a);
static BINARY(coalesce_i64, int64_t, int64_t, a == NULL_I64 ? b : a);
static BINARY(coalesce_bool, uint8_t, uint8_t, a == WEIR_BOOL_NULL ? b : a);
static BINARY(coalesce_symbol, uint32_t, uint32_t, a == WEIR_SYMBOL_NULL ? b : a);

/* The bits of a value of any type. */
typedef uint64_t __attribute__((may_alias)) bits_u64;

/* With bits, because the compiler would make branches of it, which cost most where the condition is random. */
#define IF(SUFFIX, BITS)                                                                                               \
    static void if_##SUFFIX(const struct kernel_call *call)                                                            \
    {                                                                                                                  \
        const uint8_t *restrict truth = call->in[0];                                                                   \
        const BITS *restrict x = call->in[1], *restrict y = call->in[2];                                               \
        BITS *restrict out = call->out;                                                                                \
        for (size_t i = 0; i < call->count; i++) {                                                                     \
            const BITS mask = (BITS) - (truth[i] == 1);                                                                \
            out[i] = (x[i] & mask) | (y[i] & ~mask);                                                                   \
        }                                                                                                              \
    }                                                                                                                  \
    struct kernel_call
IF(f64, bits_u64);
IF(i64, bits_u64);
IF(bool, uint8_t);
IF(symbol, uint32_t);

static void if_text(const struct kernel_call *call)
{
    const uint8_t *truth = call->in[0];
    const struct weir_text *const sides[2] = {call->in[2], call->in[1]};
    struct weir_text *out = call->out;

    for (size_t i = 0; i < call->count; i++) {
        out[i] = sides[truth[i] == 1][i];
    }
}

/* A macro cannot cast to a struct type. */
static void coalesce_text(const struct kernel_call *call)
{
    const struct weir_text *x = call->in[0], *y = call->in[1];
    struct weir_text *out = call->out;

    for (size_t i = 0; i < call->count; i++) {
        struct weir_text a = call->scalar == 1 ? *x : x[i];
        out[i] = a.data ? a : call->scalar == 2 ? *y : y[i];
    }
}

kernel_function *const kernel_if[WEIR_TYPE_COUNT] = BY_TYPE(if);
kernel_function *const kernel_coalesce[WEIR_TYPE_COUNT] = BY_TYPE(coalesce);

/* ---- Lists ----------------------------------------------------------------------------------------------------- */

/* Short lists: compare with every entry, whole columns at a time. Long ones: search, ascending. */
enum { LIST_SHORT = 12 };

#define IN_LIST(SUFFIX, TYPE, MEMBER, IS_NULL)                                                                         \
    static inline uint8_t find_##SUFFIX(const TYPE *list, size_t count, TYPE a)                                        \
    {                                                                                                                  \
        while (count > 1) {                                                                                            \
            list += list[count / 2] <= a ? count / 2 : 0;                                                              \
            count -= count / 2;                                                                                        \
        }                                                                                                              \
        return count == 1 && *list == a;                                                                               \
    }                                                                                                                  \
    static void in_##SUFFIX(const struct kernel_call *call)                                                            \
    {                                                                                                                  \
        const struct kernel_list *list = call->extra;                                                                  \
        const TYPE *restrict x = call->in[0], *restrict entries = list->MEMBER;                                        \
        uint8_t *restrict out = call->out;                                                                             \
        const size_t count = call->count, entry_count = list->count;                                                   \
        for (size_t i = 0; i < count; i++) {                                                                           \
            const TYPE a = x[i];                                                                                       \
            out[i] = (uint8_t) - (IS_NULL);                                                                            \
        }                                                                                                              \
        if (entry_count <= LIST_SHORT) {                                                                               \
            for (size_t k = 0; k < entry_count; k++) {                                                                 \
                const TYPE entry = entries[k];                                                                         \
                for (size_t i = 0; i < count; i++) {                                                                   \
                    out[i] |= x[i] == entry;                                                                           \
                }                                                                                                      \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t i = 0; i < count; i++) {                                                                       \
                out[i] |= find_##SUFFIX(entries, entry_count, x[i]);                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    struct kernel_call
IN_LIST(f64, double, f64, a != a);
IN_LIST(i64, int64_t, i64, a == NULL_I64);
IN_LIST(symbol, uint32_t, symbols, a == WEIR_SYMBOL_NULL);

static void in_text(const struct kernel_call *call)
{
    const struct kernel_list *list = call->extra;
    const struct weir_text *x = call->in[0];
    uint8_t *out = call->out;

    for (size_t i = 0; i < call->count; i++) {
        const struct weir_text *at = list->texts;
        size_t count = list->count;
        while (x[i].data && count > 1) {
            at += kernel_text_order(at[count / 2], x[i]) <= 0 ? count / 2 : 0;
            count -= count / 2;
        }
        out[i] = x[i].data ? count == 1 && kernel_text_order(*at, x[i]) == 0 : WEIR_BOOL_NULL;
    }
}

kernel_function *const kernel_in[WEIR_TYPE_COUNT] = {
    [WEIR_F64] = in_f64, [WEIR_I64] = in_i64, [WEIR_TIME] = in_i64, [WEIR_SYMBOL] = in_symbol, [WEIR_TEXT] = in_text,
};
