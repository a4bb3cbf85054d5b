/* SPDX-License-Identifier: MIT */
/*
 * Gathering rows: out[i] = in[rows[i]], one function for each width of a value.
 *
 * rows == NULL stands for 0, 1, 2, …, that is, a copy. `out` never overlaps `in`.
 */
#ifndef DATA_GATHER_H
#define DATA_GATHER_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <weir/schema.h>

#define GATHER_DEFINE(name, type)                                                                                      \
    static inline void name(type *restrict out, const type *restrict in, const uint32_t *restrict rows, size_t count)  \
    {                                                                                                                  \
        for (size_t i = 0; i < count; i++) {                                                                           \
            out[i] = in[rows[i]];                                                                                      \
        }                                                                                                              \
    }
GATHER_DEFINE(gather_u8, uint8_t)
GATHER_DEFINE(gather_u16, uint16_t)
GATHER_DEFINE(gather_u32, uint32_t)
GATHER_DEFINE(gather_u64, uint64_t)
GATHER_DEFINE(gather_text, struct weir_text)
#undef GATHER_DEFINE

/* Any width: the kernel that fits it. Both arrays are aligned for a value of that width. */
static inline void gather(void *out, const void *in, const uint32_t *rows, size_t count, size_t width)
{
    if (count == 0) {
        return;
    }
    if (!rows) {
        memcpy(out, in, count * width);
        return;
    }
    switch (width) {
    case 1:
        gather_u8(out, in, rows, count);
        return;
    case 2:
        gather_u16(out, in, rows, count);
        return;
    case 4:
        gather_u32(out, in, rows, count);
        return;
    case 8:
        gather_u64(out, in, rows, count);
        return;
    case 16:
        gather_text(out, in, rows, count);
        return;
    default:
        for (size_t i = 0; i < count; i++) {
            memcpy((char *)out + i * width, (const char *)in + rows[i] * width, width);
        }
    }
}

/* Gathering from several arrays at once: out[i] = in[from[i]][rows[i]]. For merging. */
#define GATHER_MANY_DEFINE(name, type)                                                                                 \
    static inline void name(type *restrict out, const void *const *in, const uint32_t *restrict from,                  \
                            const uint32_t *restrict rows, size_t count)                                               \
    {                                                                                                                  \
        for (size_t i = 0; i < count; i++) {                                                                           \
            out[i] = ((const type *)in[from[i]])[rows[i]];                                                             \
        }                                                                                                              \
    }
GATHER_MANY_DEFINE(gather_many_u8, uint8_t)
GATHER_MANY_DEFINE(gather_many_u32, uint32_t)
GATHER_MANY_DEFINE(gather_many_u64, uint64_t)
GATHER_MANY_DEFINE(gather_many_text, struct weir_text)
#undef GATHER_MANY_DEFINE

static inline void gather_many(void *out, const void *const *in, const uint32_t *from, const uint32_t *rows,
                               size_t count, size_t width)
{
    switch (width) {
    case 1:
        gather_many_u8(out, in, from, rows, count);
        return;
    case 4:
        gather_many_u32(out, in, from, rows, count);
        return;
    case 8:
        gather_many_u64(out, in, from, rows, count);
        return;
    case 16:
        gather_many_text(out, in, from, rows, count);
        return;
    default:
        for (size_t i = 0; i < count; i++) {
            memcpy((char *)out + i * width, (const char *)in[from[i]] + rows[i] * width, width);
        }
    }
}
#endif
