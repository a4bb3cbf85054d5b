/* SPDX-License-Identifier: MIT */
#include "data/kernel_partition.h"

#include "data/compress.h"

#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

enum { PICKED_LANES = 8 }; /* so many passes are faster than counting, where each row waits for the one before */

void partition_symbols(const uint32_t *symbols, const uint32_t *selection, uint32_t count, uint32_t lanes,
                       uint8_t *lane_of)
{
    for (uint32_t i = 0; selection && i < count; i++) {
        lane_of[i] = partition_lane(partition_mix(symbols[selection[i]]), lanes);
    }
    for (uint32_t i = 0; !selection && i < count; i++) {
        lane_of[i] = partition_lane(partition_mix(symbols[i]), lanes);
    }
}

uint32_t partition_pick(const uint8_t *lane_of, uint8_t lane, const uint32_t *selection, uint32_t count, uint32_t *rows)
{
    uint32_t kept = 0, i = 0;
#ifdef __SSSE3__
    const __m128i wanted = _mm_set1_epi8((char)lane), four = _mm_set1_epi32(4);
    __m128i row = _mm_setr_epi32(0, 1, 2, 3);
    for (; i + 16 <= count; i += 16) {
        __m128i here = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(lane_of + i)), wanted);
        unsigned set = (unsigned)_mm_movemask_epi8(here);
        for (unsigned k = 0; k < 16; k += 4, row = _mm_add_epi32(row, four)) {
            __m128i from = selection ? _mm_loadu_si128((const __m128i *)(selection + i + k)) : row;
            kept += compress_four(from, set >> k & 15, rows + kept);
        }
    }
#endif
    for (; i < count; i++) {
        rows[kept] = selection ? selection[i] : i;
        kept += lane_of[i] == lane;
    }
    return kept;
}

uint32_t partition_halves(const uint32_t *symbols, uint32_t count, uint32_t *first, uint32_t *second)
{
    uint32_t low = 0, high = 0, i = 0;
#ifdef __SSE4_1__
    const __m128i mix = _mm_set1_epi32((int)partition_mix(1)), four = _mm_set1_epi32(4);
    __m128i row = _mm_setr_epi32(0, 1, 2, 3);
    for (; i + 4 <= count; i += 4, row = _mm_add_epi32(row, four)) { /* of two lanes the highest bit says which */
        __m128i mixed = _mm_mullo_epi32(_mm_loadu_si128((const __m128i *)(symbols + i)), mix);
        unsigned set = (unsigned)_mm_movemask_ps(_mm_castsi128_ps(mixed));
        high += compress_four(row, set, second + high);
        low += compress_four(row, set ^ 15, first + low);
    }
#endif
    for (; i < count; i++) {
        uint32_t which = partition_mix(symbols[i]) >> 31;
        first[low] = second[high] = i;
        low += 1 - which;
        high += which;
    }
    return low;
}

void partition_rows(const uint8_t *lane_of, const uint32_t *selection, uint32_t count, uint32_t lanes, uint32_t *rows,
                    uint32_t *starts)
{
    if (lanes <= PICKED_LANES) {
        starts[0] = 0;
        for (uint32_t lane = 0; lane < lanes; lane++) {
            starts[lane + 1] = starts[lane] +
                               partition_pick(lane_of, (uint8_t)lane, selection, count, rows + starts[lane]);
        }
        return;
    }
    for (uint32_t lane = 0; lane <= lanes; lane++) {
        starts[lane] = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        starts[lane_of[i] + 1u]++;
    }
    for (uint32_t lane = 0, before = 0; lane < lanes; lane++) { /* where each ends, so far: where it begins */
        uint32_t number = starts[lane + 1];
        starts[lane + 1] = before;
        before += number;
    }
    for (uint32_t i = 0; i < count; i++) {
        rows[starts[lane_of[i] + 1u]++] = selection ? selection[i] : i;
    }
}
