/* SPDX-License-Identifier: MIT */
/*
 * Private to symbols_cache.c, for machines with AVX-512: eight strings of up to 16 bytes at once, each looked for in
 * the first place that it may be in, where it nearly always is.
 */
#ifndef DATA_SYMBOLS_EIGHT_H
#define DATA_SYMBOLS_EIGHT_H
#include "data/symbols_key.h"

/* clang ignores the target of the pragma: built with it, strings are looked up one by one. */
#if defined(__x86_64__) && !defined(__clang__)
#define SYMBOLS_EIGHT 1
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl")
#define EIGHT_INLINE static inline __attribute__((always_inline))

/* symbols_fold of each: the product of 128 bits is put together from four of 64. */
EIGHT_INLINE __m512i symbols_fold_eight(__m512i a, __m512i b)
{
    const __m512i half = _mm512_set1_epi64(UINT32_MAX);
    const __m512i a_high = _mm512_srli_epi64(a, 32), b_high = _mm512_srli_epi64(b, 32);
    const __m512i both_low = _mm512_mul_epu32(a, b), both_high = _mm512_mul_epu32(a_high, b_high);
    const __m512i one = _mm512_mul_epu32(a, b_high), other = _mm512_mul_epu32(a_high, b);
    const __m512i middle = _mm512_srli_epi64(both_low, 32) + (one & half) + (other & half);
    const __m512i high = both_high + _mm512_srli_epi64(one, 32) + _mm512_srli_epi64(other, 32) +
                         _mm512_srli_epi64(middle, 32);
    return high ^ (_mm512_slli_epi64(middle, 32) | (both_low & half));
}

/* Of words without bytes behind their strings' ends: what symbols_key_of makes of strings of up to seven bytes. */
EIGHT_INLINE void symbols_key_eight(__m512i word, __m512i length, __m512i *low, __m512i *high)
{
    const __m512i byte = _mm512_set1_epi64(0xff), half = _mm512_set1_epi64(UINT32_MAX);
    const __m512i bits = _mm512_slli_epi64(length, 3);
    const __m512i at_middle = _mm512_srlv_epi64(word, _mm512_slli_epi64(_mm512_srli_epi64(length, 1), 3));
    const __m512i at_last = _mm512_srlv_epi64(word, bits - _mm512_set1_epi64(8));
    const __mmask8 four = _mm512_cmpge_epu64_mask(length, _mm512_set1_epi64(4));
    const __m512i few = (word & byte) | _mm512_slli_epi64(at_middle & byte, 8) | _mm512_slli_epi64(at_last & byte, 16);
    *low = _mm512_mask_and_epi64(few, four, word, half);
    *high = _mm512_maskz_and_epi64(four, _mm512_srlv_epi64(word, bits - _mm512_set1_epi64(32)), half);
}

/* The strings between ends[0] and ends[8] of `text`; eight bytes may be read where each begins. `places` are those of
 * the cache: 32 bytes each, of which the first 24 are key, length and id. Writes ids[0 … 7]; a bit of the result for
 * each that is right. */
EIGHT_INLINE unsigned symbols_find_eight(const void *places, uint32_t shift, const char *text, const char *ends,
                                         uint32_t *ids)
{
    const __m512i begin = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)ends));
    const __m512i end = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(ends + 4)));
    const __m512i length = end - begin, eight = _mm512_set1_epi64(8), all = _mm512_set1_epi64(-1);
    const __mmask8 longer = _mm512_cmpge_epu64_mask(length, eight);
    const __mmask8 fine = _mm512_cmple_epu64_mask(length, _mm512_set1_epi64(SYMBOLS_SHORT));
    const __m512i unused = _mm512_set1_epi64(64) - _mm512_slli_epi64(length, 3);
    const __m512i first = _mm512_i64gather_epi64(begin, text, 1);
    __m512i low, high;
    symbols_key_eight(first & _mm512_srlv_epi64(all, unused), length, &low, &high);
    if (longer) {
        low = _mm512_mask_mov_epi64(low, longer, first);
        high = _mm512_mask_i64gather_epi64(high, longer, end - eight, text, 1);
    }
    const __m512i hash = symbols_fold_eight(low ^ _mm512_set1_epi64((int64_t)SYMBOLS_MIX_LOW) ^ length,
                                            high ^ _mm512_set1_epi64((int64_t)SYMBOLS_MIX_HIGH));
    const __m512i at = _mm512_slli_epi64(_mm512_srl_epi64(hash, _mm_cvtsi32_si128((int)shift)), 5);
    const __m512i rest = _mm512_i64gather_epi64(at, (const char *)places + 16, 1);
    const __m512i there_low = _mm512_i64gather_epi64(at, places, 1);
    const __m512i there_high = _mm512_i64gather_epi64(at, (const char *)places + 8, 1);
    const __m512i there_length = rest & _mm512_set1_epi64(UINT32_MAX);
    _mm256_storeu_si256((__m256i *)ids, _mm512_cvtepi64_epi32(_mm512_srli_epi64(rest, 32)));
    const __m512i differ = (low ^ there_low) | (high ^ there_high) | (length ^ there_length);
    return _mm512_mask_testn_epi64_mask(fine, differ, differ);
}
#undef EIGHT_INLINE
#pragma GCC pop_options
#endif
#endif
