/* SPDX-License-Identifier: MIT */
/* Row numbers, of which those in a set come to the front: four at a time, without a branch. */
#ifndef DATA_COMPRESS_H
#define DATA_COMPRESS_H
#include <stdint.h>

#ifdef __SSSE3__
#include <tmmintrin.h>

/* For each set of 4 rows the bytes that bring those in the set to the front. */
#define LANE(n) 4 * (n), 4 * (n) + 1, 4 * (n) + 2, 4 * (n) + 3
static const uint8_t compress_to_front[16][16] = {
    {0},
    {LANE(0)},
    {LANE(1)},
    {LANE(0), LANE(1)},
    {LANE(2)},
    {LANE(0), LANE(2)},
    {LANE(1), LANE(2)},
    {LANE(0), LANE(1), LANE(2)},
    {LANE(3)},
    {LANE(0), LANE(3)},
    {LANE(1), LANE(3)},
    {LANE(0), LANE(1), LANE(3)},
    {LANE(2), LANE(3)},
    {LANE(0), LANE(2), LANE(3)},
    {LANE(1), LANE(2), LANE(3)},
    {LANE(0), LANE(1), LANE(2), LANE(3)},
};
#undef LANE

/* Returns how many those in the set (a bit for each) are. Writes four in any case. */
static inline uint32_t compress_four(__m128i rows, unsigned set, uint32_t *to)
{
    __m128i shuffle = _mm_loadu_si128((const __m128i *)compress_to_front[set]);
    _mm_storeu_si128((__m128i *)to, _mm_shuffle_epi8(rows, shuffle));
    return (uint32_t)__builtin_popcount(set);
}
#endif
#endif
