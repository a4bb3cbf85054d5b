/* SPDX-License-Identifier: MIT */
/*
 * Private to kernel_rolling_moments.c, for machines with AVX-512: eight rows of eight different keys at once, as
 * kernel_rolling_four.h has them, with the same operations and so the same bits; and what follows from the sums.
 *
 * A head is four pieces of 16 bytes. The same piece of every second head fills one register, that of the others
 * another, loaded there piece by piece without a shuffle; two shuffles then make a vector of each of its two numbers.
 */
#ifndef DATA_KERNEL_ROLLING_EIGHT_H
#define DATA_KERNEL_ROLLING_EIGHT_H
#include "data/kernel_rolling_fetch.h"
#include "data/kernel_rolling_four.h"

/* clang ignores the target of the pragma: built with it, the code for four does the work. */
#if defined(__x86_64__) && !defined(__clang__)
#define ROLLING_EIGHT 1
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
#define EIGHT_INLINE static inline __attribute__((always_inline))

/* One piece of the heads 0, 2, 4, 6 (from: heads) or 1, 3, 5, 7 (from: heads + 1). */
EIGHT_INLINE __m512d eight_piece(char *const *from, size_t piece)
{
    __m512d x = _mm512_castpd128_pd512(_mm_loadu_pd((const double *)(from[0] + piece)));
    x = _mm512_mask_broadcast_f64x2(x, 0x0c, _mm_loadu_pd((const double *)(from[2] + piece)));
    x = _mm512_mask_broadcast_f64x2(x, 0x30, _mm_loadu_pd((const double *)(from[4] + piece)));
    return _mm512_mask_broadcast_f64x2(x, 0xc0, _mm_loadu_pd((const double *)(from[6] + piece)));
}

EIGHT_INLINE void eight_put(char *const *to, size_t piece, __m512d x)
{
    _mm_storeu_pd((double *)(to[0] + piece), _mm512_castpd512_pd128(x));
    _mm_storeu_pd((double *)(to[2] + piece), _mm512_extractf64x2_pd(x, 1));
    _mm_storeu_pd((double *)(to[4] + piece), _mm512_extractf64x2_pd(x, 2));
    _mm_storeu_pd((double *)(to[6] + piece), _mm512_extractf64x2_pd(x, 3));
}

/* Two numbers of each of eight heads, which lie beside each other. */
EIGHT_INLINE void eight_get_both(char *const *heads, size_t piece, __m512d *first, __m512d *second)
{
    const __m512d even = eight_piece(heads, piece), odd = eight_piece(heads + 1, piece);
    *first = _mm512_unpacklo_pd(even, odd);
    *second = _mm512_unpackhi_pd(even, odd);
}

EIGHT_INLINE void eight_put_both(char *const *heads, size_t piece, __m512d first, __m512d second)
{
    eight_put(heads, piece, _mm512_unpacklo_pd(first, second));
    eight_put(heads + 1, piece, _mm512_unpackhi_pd(first, second));
}

EIGHT_INLINE bool eight_differ(__m512i states)
{
    __mmask8 same = _mm512_cmpeq_epi64_mask(states, _mm512_alignr_epi64(states, states, 1));
    same |= _mm512_cmpeq_epi64_mask(states, _mm512_alignr_epi64(states, states, 2));
    same |= _mm512_cmpeq_epi64_mask(states, _mm512_alignr_epi64(states, states, 3));
    same |= _mm512_cmpeq_epi64_mask(states, _mm512_alignr_epi64(states, states, 4));
    return same == 0;
}

/* next, finite, since, flags of four heads, a step on. False: some window is not full of finite numbers, or a refresh
 * is due. */
EIGHT_INLINE bool eight_step(__m512i *places, __m512i limits)
{
    const __m512i step = _mm512_broadcast_i32x4(_mm_setr_epi32(1, 0, 1, 0));
    const __m512i moved = _mm512_add_epi32(*places, step);
    const __mmask16 reached = _mm512_cmpeq_epi32_mask(moved, limits);
    *places = _mm512_mask_set1_epi32(moved, reached & 0x1111, 0);
    return (reached & 0x6666) == 0x2222;
}

/* The same of eight compact heads; each lane is what one has in its last eight bytes. */
EIGHT_INLINE bool eight_step_compact(__m512i *rest, uint32_t window, uint32_t refresh_records)
{
    const __m512i size = _mm512_set1_epi64(window), low = _mm512_set1_epi64(0xff);
    const __m512i moved = _mm512_add_epi64(*rest, _mm512_set1_epi64(1 | INT64_C(1) << ROLLING_SINCE_AT));
    const __mmask8 round = _mm512_cmpeq_epi64_mask(_mm512_and_si512(moved, low), size);
    *rest = _mm512_mask_sub_epi64(moved, round, moved, size);
    const __m512i counts = _mm512_and_si512(moved, _mm512_set1_epi64(0xff << ROLLING_FINITE_AT));
    const __m512i since = _mm512_and_si512(moved, _mm512_set1_epi64(INT64_C(0xffff) << ROLLING_SINCE_AT));
    return _mm512_cmpeq_epi64_mask(counts, _mm512_slli_epi64(size, ROLLING_FINITE_AT)) == 0xff &&
           _mm512_cmpeq_epi64_mask(since, _mm512_set1_epi64((int64_t)refresh_records << ROLLING_SINCE_AT)) == 0;
}

EIGHT_INLINE __m512d eight_unscale(__m512d scale) /* 1 / scale */
{
    return _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_set1_epi64(INT64_C(2046) << 52), _mm512_castpd_si512(scale)));
}

/* Which of eight windows are not full yet, which of them have had no record, and how many values each then has. */
struct eight_filling {
    __mmask8 some, none;
    __m512d count;
};

/* A step of windows of which some are full of finite numbers and the others have had nothing else; what comes first
 * sets the scale. */
EIGHT_INLINE bool eight_step_filling(__m512i *rest, __m512d value, uint32_t window, uint32_t refresh_records,
                                     struct eight_filling *filling)
{
    const __m512i size = _mm512_set1_epi64(window), low = _mm512_set1_epi64(0xff), one = _mm512_set1_epi64(1);
    const __m512i finite = _mm512_and_si512(_mm512_srli_epi64(*rest, ROLLING_FINITE_AT), low);
    filling->some = _mm512_testn_epi64_mask(*rest, _mm512_set1_epi64(INT64_C(1) << ROLLING_FULL_AT));
    filling->none = filling->some & _mm512_testn_epi64_mask(finite, finite);
    filling->count = _mm512_cvtepi64_pd(_mm512_mask_add_epi64(finite, filling->some, finite, one));
    const __m512i expected = _mm512_mask_and_epi64(size, filling->some, *rest, low);
    __m512i moved = _mm512_add_epi64(*rest, _mm512_set1_epi64(1 | INT64_C(1) << ROLLING_SINCE_AT));
    moved = _mm512_mask_add_epi64(moved, filling->some, moved, _mm512_set1_epi64(1 << ROLLING_FINITE_AT));
    const __mmask8 round = _mm512_cmpeq_epi64_mask(_mm512_and_si512(moved, low), size);
    const __m512i turn = _mm512_sub_epi64(_mm512_set1_epi64(INT64_C(1) << ROLLING_FULL_AT), size);
    moved = _mm512_mask_add_epi64(moved, round & filling->some, moved, turn);
    moved = _mm512_mask_sub_epi64(moved, round & ~filling->some, moved, size);
    const __m512i since = _mm512_and_si512(moved, _mm512_set1_epi64(INT64_C(0xffff) << ROLLING_SINCE_AT));

    /* As start_at has it in kernel_rolling_sums.c: 2 to the power of minus the exponent, which is kept within limits.
     */
    const __m512i bits = _mm512_and_si512(_mm512_castpd_si512(value), _mm512_set1_epi64((int64_t)ROLLING_SCALE_BITS));
    const __m512i most = _mm512_set1_epi64((int64_t)(1023 + ROLLING_EXPONENT_MOST) << 52);
    const __m512i least = _mm512_set1_epi64((int64_t)(1023 - ROLLING_EXPONENT_MOST) << 52);
    const __m512i exponent = _mm512_max_epi64(_mm512_min_epi64(bits, most), least);
    const __m512i scale = _mm512_castpd_si512(eight_unscale(_mm512_castsi512_pd(exponent)));
    *rest = _mm512_mask_or_epi64(moved, filling->none, moved, scale);
    return _mm512_cmpeq_epi64_mask(finite, expected) == 0xff &&
           _mm512_cmpeq_epi64_mask(since, _mm512_set1_epi64((int64_t)refresh_records << ROLLING_SINCE_AT)) == 0;
}

/* Without a gather: it would wait for all of the heads before it began. */
EIGHT_INLINE __m512d eight_old(char *const *heads, const bool compact)
{
    double old[8];
    for (int k = 0; k < 8; k++) {
        const uint32_t next = compact ? ((struct rolling_compact *)heads[k])->rest & 0xff
                                      : ((struct rolling_head *)heads[k])->next;
        old[k] = ((const double *)(heads[k] + rolling_head_size(compact)))[next];
    }
    return _mm512_setr_pd(old[0], old[1], old[2], old[3], old[4], old[5], old[6], old[7]);
}

/* What kinds of windows a step is made for. EIGHT_FILLING: compact ones, of which any may not be full yet. */
enum eight_kind { EIGHT_WIDE, EIGHT_COMPACT, EIGHT_FILLING };

/* What rolling_take_fours does, for eight. A window that is filling has no value that leaves, and its sums change as if
 * that were the anchor. */
EIGHT_INLINE bool eight_take(void *const *states, size_t offset, uint32_t window, uint32_t refresh_records,
                             const double *values, struct rolling_notes *notes, uint32_t at, const enum eight_kind kind)
{
    const bool compact = kind != EIGHT_WIDE, may_fill = kind == EIGHT_FILLING;
    const __m512i limits = _mm512_broadcast_i32x4(
        _mm_setr_epi32((int32_t)window, (int32_t)window, (int32_t)refresh_records, -1));
    const __m512d value = _mm512_loadu_pd(values);
    struct eight_filling filling = {.some = 0, .none = 0, .count = _mm512_set1_pd(window)};
    const __m512i heads_at = _mm512_add_epi64(_mm512_loadu_si512(states), _mm512_set1_epi64((int64_t)offset));
    char *heads[8];
    for (int k = 0; k < 8; k++)
        heads[k] = (char *)states[k] + offset;
    __m512d sum, low, squares, peak, anchor, scale;
    eight_get_both(heads, 0, &sum, &low);
    eight_get_both(heads, 16, &squares, &peak);
    eight_get_both(heads, 32, &anchor, &scale);
    __m512i places = _mm512_castpd_si512(scale), places_odd = places, next;
    bool fine = eight_differ(heads_at);
    if (compact) {
        next = _mm512_and_si512(places, _mm512_set1_epi64(0xff));
        fine &= may_fill ? eight_step_filling(&places, value, window, refresh_records, &filling)
                         : eight_step_compact(&places, window, refresh_records);
        scale = _mm512_castsi512_pd(_mm512_and_si512(places, _mm512_set1_epi64((int64_t)ROLLING_SCALE_BITS)));
    } else {
        places = _mm512_castpd_si512(eight_piece(heads, 48));
        places_odd = _mm512_castpd_si512(eight_piece(heads + 1, 48));
        next = _mm512_and_si512(_mm512_unpacklo_epi64(places, places_odd), _mm512_set1_epi64(0xffffffff));
        fine &= eight_step(&places, limits) & eight_step(&places_odd, limits);
    }
    const __m512i slots = _mm512_add_epi64(_mm512_slli_epi64(next, 3), heads_at);

    const __m512d count = filling.count, old = eight_old(heads, compact), scaled = value * scale;
    __m512d scaled_old = old * scale;
    if (may_fill) {
        anchor = _mm512_mask_mov_pd(anchor, filling.none, scaled);
        scaled_old = _mm512_mask_mov_pd(scaled_old, filling.some, anchor);
    }
    const __m512d difference = scaled - scaled_old, back = difference - scaled;
    const __m512d error = (scaled - (difference - back)) - (scaled_old + back);
    const __m512d total = sum + difference, back_total = total - sum;
    const __m512d new_low = low + (((sum - (total - back_total)) + (difference - back_total)) + error);
    const __m512d new_squares = squares + difference * ((scaled - anchor) + (scaled_old - anchor));
    const __m512d new_peak = _mm512_max_pd(new_squares, peak); /* the second one when there is a NaN */
    const __m512d both = total + new_low;
    const __mmask8 sound = _mm512_cmp_pd_mask(new_squares * count - both * both,
                                              new_peak * count * ROLLING_SQUARES_LOSS, _CMP_GE_OQ) &
                           _mm512_cmp_pd_mask(new_peak, _mm512_set1_pd(ROLLING_SQUARES_MOST), _CMP_LE_OQ);
    if (__builtin_expect(!fine | (sound != 0xff), 0))
        return false;

    eight_put_both(heads, 0, total, new_low);
    eight_put_both(heads, 16, new_squares, new_peak);
    if (compact) {
        eight_put_both(heads, 32, anchor, _mm512_castsi512_pd(places));
    } else {
        eight_put(heads, 48, _mm512_castsi512_pd(places));
        eight_put(heads + 1, 48, _mm512_castsi512_pd(places_odd));
    }
    _mm512_i64scatter_pd((char *)rolling_head_size(compact), slots, value, 1);
    _mm512_storeu_pd(&notes->sum[at], total);
    _mm512_storeu_pd(&notes->sum_low[at], new_low);
    _mm512_storeu_pd(&notes->squares[at], new_squares);
    _mm512_storeu_pd(&notes->anchor[at], anchor);
    _mm512_storeu_pd(&notes->unscale[at], eight_unscale(scale));
    if (may_fill) {
        _mm512_storeu_pd(&notes->count[at], count);
        notes->full &= _mm512_cmp_pd_mask(count, _mm512_set1_pd(window), _CMP_EQ_OQ) == 0xff;
    }
    return true;
}

/* Mean and stddev of windows that are full, as finish_usual in kernel_rolling_moments.c. The division by the count is a
 * product and one step that makes it what division gives (as in kernel_rolling_block.h), unless it might underflow.
 * True when some mean is small. */
static __attribute__((noinline)) bool rolling_finish_eights(const struct rolling_notes *notes, uint32_t rows, double by,
                                                            double by_freedom, double *mean_out, double *stddev_out)
{
    const __m512d count = _mm512_set1_pd(by), inverse = _mm512_set1_pd(1 / by), tiny = _mm512_set1_pd(0x1p-900);
    const __m512d freedom = _mm512_set1_pd(by_freedom), loss = _mm512_set1_pd(ROLLING_MEAN_LOSS);
    __mmask8 small = 0;
    for (uint32_t i = 0; i < rows; i += 8) {
        const __mmask8 those = rows - i < 8 ? (__mmask8)((1u << (rows - i)) - 1) : 0xff;
        const __m512d sum = _mm512_load_pd(notes->sum + i) + _mm512_load_pd(notes->sum_low + i);
        const __m512d anchor = _mm512_load_pd(notes->anchor + i), unscale = _mm512_load_pd(notes->unscale + i);
        __m512d near = sum * inverse;
        __m512d deviation = _mm512_fnmadd_pd(_mm512_fmsub_pd(near, count, sum), inverse, near);
        if (__builtin_expect(_mm512_cmp_pd_mask(_mm512_abs_pd(sum), tiny, _CMP_LT_OQ) & those, 0))
            deviation = sum / count;
        const __m512d mean = anchor + deviation;
        small |= those & _mm512_cmp_pd_mask(_mm512_abs_pd(mean), _mm512_abs_pd(anchor) * loss, _CMP_LT_OQ);
        const __m512d squares = _mm512_load_pd(notes->squares + i) - sum * deviation;
        _mm512_mask_storeu_pd(mean_out + i, those, mean * unscale);
        _mm512_mask_storeu_pd(stddev_out + i, those, _mm512_sqrt_pd(squares * freedom) * unscale);
    }
    return small != 0;
}

/* The same where some windows are not full. */
static __attribute__((noinline)) bool rolling_finish_filling(const struct rolling_notes *notes, uint32_t rows,
                                                             double ddof, double *mean_out, double *stddev_out)
{
    const __m512d loss = _mm512_set1_pd(ROLLING_MEAN_LOSS), one = _mm512_set1_pd(1);
    __mmask8 small = 0;
    for (uint32_t i = 0; i < rows; i += 8) {
        const __mmask8 those = rows - i < 8 ? (__mmask8)((1u << (rows - i)) - 1) : 0xff;
        const __m512d count = _mm512_load_pd(notes->count + i), freedom = count - _mm512_set1_pd(ddof);
        const __mmask8 enough = _mm512_cmp_pd_mask(freedom, _mm512_setzero_pd(), _CMP_GT_OQ);
        const __m512d inverse = one / _mm512_mask_mov_pd(_mm512_set1_pd(NAN), enough, freedom);
        const __m512d sum = _mm512_load_pd(notes->sum + i) + _mm512_load_pd(notes->sum_low + i);
        const __m512d anchor = _mm512_load_pd(notes->anchor + i), unscale = _mm512_load_pd(notes->unscale + i);
        const __m512d deviation = sum / count, mean = anchor + deviation;
        small |= those & _mm512_cmp_pd_mask(_mm512_abs_pd(mean), _mm512_abs_pd(anchor) * loss, _CMP_LT_OQ);
        const __m512d squares = _mm512_load_pd(notes->squares + i) - sum * deviation;
        _mm512_mask_storeu_pd(mean_out + i, those, mean * unscale);
        _mm512_mask_storeu_pd(stddev_out + i, those, _mm512_sqrt_pd(squares * inverse) * unscale);
    }
    return small != 0;
}

/* Takes in rows begin … of these values, and notes them from `at` on, as long as eight of them differ and are ordinary.
 * Returns how many. */
static __attribute__((noinline)) uint32_t rolling_take_eights(const struct rolling_kernel *kernel,
                                                              const struct rolling_rows *rows, uint32_t begin,
                                                              uint32_t count, const double *values,
                                                              struct rolling_notes *notes, uint32_t at, bool far)
{
    const uint32_t window = kernel->options.window, refresh_records = kernel->refresh_records;
    const size_t offset = kernel->state_offset;
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        void *const *states = rows->states + begin + i;
        const double *next = values + i;
        rolling_prefetch_eight(kernel, states, far ? rows->count - begin - i : 0);
        if (!kernel->compact) {
            if (!eight_take(states, offset, window, refresh_records, next, notes, at + i, EIGHT_WIDE))
                break;
        } else if (!notes->full ||
                   !eight_take(states, offset, window, refresh_records, next, notes, at + i, EIGHT_COMPACT)) {
            if (!eight_take(states, offset, window, refresh_records, next, notes, at + i, EIGHT_FILLING))
                break;
        }
    }
    return i;
}
#undef EIGHT_INLINE
#pragma GCC pop_options
#endif
#endif
