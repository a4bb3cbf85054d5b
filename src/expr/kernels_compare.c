/* SPDX-License-Identifier: MIT */
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "expr/kernel_loops.h"

/* 0, 1, or 0xff where an input is null. */
#define TRUTH(IS_NULL, RESULT) (-(IS_NULL) | (RESULT))
#define COMPARE_ALL(SUFFIX, TYPE, IS_NULL)                                                                             \
    static BINARY(equal_##SUFFIX, TYPE, uint8_t, TRUTH(IS_NULL, a == b));                                              \
    static BINARY(unequal_##SUFFIX, TYPE, uint8_t, TRUTH(IS_NULL, a != b));                                            \
    static BINARY(less_##SUFFIX, TYPE, uint8_t, TRUTH(IS_NULL, a < b));                                                \
    static BINARY(less_equal_##SUFFIX, TYPE, uint8_t, TRUTH(IS_NULL, a <= b));                                         \
    static BINARY(greater_##SUFFIX, TYPE, uint8_t, TRUTH(IS_NULL, a > b));                                             \
    static BINARY(greater_equal_##SUFFIX, TYPE, uint8_t, TRUTH(IS_NULL, a >= b))
#define COMPARE_ROW(SUFFIX)                                                                                            \
    {                                                                                                                  \
        equal_##SUFFIX, unequal_##SUFFIX, less_##SUFFIX, less_equal_##SUFFIX, greater_##SUFFIX, greater_equal_##SUFFIX \
    }

#ifdef __SSE2__
/* The compiler narrows eight vectors of 64-bit truths to one of bytes by way of general shuffles; packing with
 * saturation takes half as long: null is -1 in each half of a lane, true is 1 in the lower half, and both stay what
 * they are. */
static inline __m128i pack_truths(const __m128d lanes[8])
{
    __m128i words[4];

    for (unsigned i = 0; i < 4; i++) {
        words[i] = _mm_castps_si128(
            _mm_shuffle_ps(_mm_castpd_ps(lanes[2 * i]), _mm_castpd_ps(lanes[2 * i + 1]), _MM_SHUFFLE(2, 0, 2, 0)));
    }
    return _mm_packs_epi16(_mm_packs_epi32(words[0], words[1]), _mm_packs_epi32(words[2], words[3]));
}

/* With AVX-512 a comparison gives a bit for each row, and bits become bytes in one instruction. Returns how many rows.
 */
#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl")))
#define WIDE_THERE                                                                                                     \
    (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
#define COMPARE_F64_WIDE(NAME, PREDICATE)                                                                              \
    WIDE static size_t NAME##_wide(const struct kernel_call *call)                                                     \
    {                                                                                                                  \
        const double *x = call->in[0], *y = call->in[1];                                                               \
        uint8_t *out = call->out;                                                                                      \
        const size_t x_step = call->scalar != 1, y_step = call->scalar != 2;                                           \
        const __m512d x_all = _mm512_set1_pd(*x), y_all = _mm512_set1_pd(*y);                                          \
        const __m128i null = _mm_set1_epi8(-1);                                                                        \
        size_t i = 0;                                                                                                  \
        for (; i + 16 <= call->count; i += 16) {                                                                       \
            unsigned truths = 0, nulls = 0;                                                                            \
            for (unsigned k = 0; k < 16; k += 8) {                                                                     \
                const __m512d a = x_step ? _mm512_loadu_pd(x + i + k) : x_all;                                         \
                const __m512d b = y_step ? _mm512_loadu_pd(y + i + k) : y_all;                                         \
                truths |= (unsigned)_mm512_cmp_pd_mask(a, b, PREDICATE) << k;                                          \
                nulls |= (unsigned)_mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q) << k;                                        \
            }                                                                                                          \
            const __m128i bytes = _mm_maskz_set1_epi8((__mmask16)truths, 1);                                           \
            _mm_storeu_si128((__m128i *)(out + i), _mm_mask_mov_epi8(bytes, (__mmask16)nulls, null));                  \
        }                                                                                                              \
        return i;                                                                                                      \
    }                                                                                                                  \
    struct kernel_call

#define COMPARE_F64(NAME, VECTOR, PREDICATE, RESULT)                                                                   \
    COMPARE_F64_WIDE(NAME, PREDICATE);                                                                                 \
    static inline uint8_t NAME##_one(double a, double b)                                                               \
    {                                                                                                                  \
        return (uint8_t)(-((a != a) | (b != b)) | (RESULT));                                                           \
    }                                                                                                                  \
    static void NAME(const struct kernel_call *call)                                                                   \
    {                                                                                                                  \
        const __m128d one = _mm_castsi128_pd(_mm_set1_epi64x(1));                                                      \
        const double *x = call->in[0], *y = call->in[1];                                                               \
        uint8_t *out = call->out;                                                                                      \
        const size_t x_step = call->scalar != 1, y_step = call->scalar != 2;                                           \
        const __m128d x_all = _mm_set1_pd(*x), y_all = _mm_set1_pd(*y);                                                \
        size_t i = WIDE_THERE ? NAME##_wide(call) : 0;                                                                 \
        for (; i + 16 <= call->count; i += 16) {                                                                       \
            __m128d lanes[8];                                                                                          \
            for (unsigned k = 0; k < 8; k++) {                                                                         \
                const __m128d a = x_step ? _mm_loadu_pd(x + i + 2 * k) : x_all;                                        \
                const __m128d b = y_step ? _mm_loadu_pd(y + i + 2 * k) : y_all;                                        \
                lanes[k] = _mm_or_pd(_mm_cmpunord_pd(a, b), _mm_and_pd(VECTOR(a, b), one));                            \
            }                                                                                                          \
            _mm_storeu_si128((__m128i *)(out + i), pack_truths(lanes));                                                \
        }                                                                                                              \
        for (; i < call->count; i++) {                                                                                 \
            out[i] = NAME##_one(x[i * x_step], y[i * y_step]);                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    struct kernel_call
COMPARE_F64(equal_f64, _mm_cmpeq_pd, _CMP_EQ_OQ, a == b);
COMPARE_F64(unequal_f64, _mm_cmpneq_pd, _CMP_NEQ_OQ, a != b);
COMPARE_F64(less_f64, _mm_cmplt_pd, _CMP_LT_OQ, a < b);
COMPARE_F64(less_equal_f64, _mm_cmple_pd, _CMP_LE_OQ, a <= b);
COMPARE_F64(greater_f64, _mm_cmpgt_pd, _CMP_GT_OQ, a > b);
COMPARE_F64(greater_equal_f64, _mm_cmpge_pd, _CMP_GE_OQ, a >= b);
#else
COMPARE_ALL(f64, double, (a != a) | (b != b));
#endif
COMPARE_ALL(i64, int64_t, (a == NULL_I64) | (b == NULL_I64));
static BINARY(equal_bool, uint8_t, uint8_t, TRUTH((a == 0xff) | (b == 0xff), a == b));
static BINARY(unequal_bool, uint8_t, uint8_t, TRUTH((a == 0xff) | (b == 0xff), a != b));
static BINARY(equal_symbol, uint32_t, uint8_t, TRUTH((a == 0) | (b == 0), a == b));
static BINARY(unequal_symbol, uint32_t, uint8_t, TRUTH((a == 0) | (b == 0), a != b));

int kernel_text_order(struct weir_text a, struct weir_text b)
{
    uint32_t length = a.length < b.length ? a.length : b.length;
    int order = length ? memcmp(a.data, b.data, length) : 0;

    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static inline bool text_equal(struct weir_text a, struct weir_text b)
{
    return a.data && b.data && a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static inline uint8_t text_truth(struct weir_text a, struct weir_text b, bool result)
{
    return a.data && b.data ? result : WEIR_BOOL_NULL;
}
static inline int text_order(struct weir_text a, struct weir_text b)
{
    return a.data && b.data ? kernel_text_order(a, b) : 0;
}
static BINARY(equal_text, struct weir_text, uint8_t, text_truth(a, b, text_equal(a, b)));
static BINARY(unequal_text, struct weir_text, uint8_t, text_truth(a, b, !text_equal(a, b)));
static BINARY(less_text, struct weir_text, uint8_t, text_truth(a, b, text_order(a, b) < 0));
static BINARY(less_equal_text, struct weir_text, uint8_t, text_truth(a, b, text_order(a, b) <= 0));
static BINARY(greater_text, struct weir_text, uint8_t, text_truth(a, b, text_order(a, b) > 0));
static BINARY(greater_equal_text, struct weir_text, uint8_t, text_truth(a, b, text_order(a, b) >= 0));

kernel_function *const kernel_compare[WEIR_TYPE_COUNT][6] = {
    [WEIR_F64] = COMPARE_ROW(f64),
    [WEIR_I64] = COMPARE_ROW(i64),
    [WEIR_TIME] = COMPARE_ROW(i64),
    [WEIR_TEXT] = COMPARE_ROW(text),
    [WEIR_BOOL] = {equal_bool, unequal_bool},
    [WEIR_SYMBOL] = {equal_symbol, unequal_symbol},
};
