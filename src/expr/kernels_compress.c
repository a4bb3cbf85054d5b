/* SPDX-License-Identifier: MIT */
/* From truth to the rows for which it holds. */
#include "expr/kernels.h"

#include "data/compress.h"

#ifdef __SSSE3__
/* 16 rows at a time. Always writes four rows, but at most up to the row it is at: kept <= i. */
static size_t compress_blocks(const uint8_t *truth, uint32_t first, size_t blocks, uint32_t *rows)
{
    const __m128i one = _mm_set1_epi8(1), four = _mm_set1_epi32(4);
    __m128i row = _mm_add_epi32(_mm_set1_epi32((int)first), _mm_setr_epi32(0, 1, 2, 3));
    size_t kept = 0;

    for (size_t block = 0; block < blocks; block++) {
        __m128i is_true = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(truth + 16 * block)), one);
        unsigned set = (unsigned)_mm_movemask_epi8(is_true);
        if (set == 0xffff) { /* usual where a filter is there for the exceptions */
            for (unsigned k = 0; k < 4; k++, kept += 4, row = _mm_add_epi32(row, four)) {
                _mm_storeu_si128((__m128i *)(rows + kept), row);
            }
            continue;
        }
        for (unsigned k = 0; k < 4; k++) {
            kept += compress_four(row, set >> (4 * k) & 15, rows + kept);
            row = _mm_add_epi32(row, four);
        }
    }
    return kept;
}
#else
static size_t compress_blocks(const uint8_t *truth, uint32_t first, size_t blocks, uint32_t *rows)
{
    size_t kept = 0;

    for (size_t i = 0; i < 16 * blocks; i++) {
        rows[kept] = first + (uint32_t)i;
        kept += truth[i] == 1;
    }
    return kept;
}
#endif

size_t kernel_compress(const uint8_t *truth, uint32_t first, size_t count, uint32_t *rows)
{
    size_t kept = compress_blocks(truth, first, count / 16, rows);

    for (size_t i = count / 16 * 16; i < count; i++) {
        rows[kept] = first + (uint32_t)i;
        kept += truth[i] == 1;
    }
    return kept;
}

size_t kernel_compress_selection(const uint8_t *truth, uint32_t first, const uint32_t *selection, size_t count,
                                 uint32_t *rows)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        rows[kept] = selection[i];
        kept += truth[selection[i] - first] == 1;
    }
    return kept;
}
