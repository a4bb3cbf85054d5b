/* SPDX-License-Identifier: MIT */
/*
 * Gathering rows: out[i] = in[rows[i]], one function for each width of a value.
 *
 * rows == NULL stands for 0, 1, 2, …, that is, a copy. `out` never overlaps `in`.
 */
#ifndef DATA_GATHER_H
#define DATA_GATHER_H
#include <stdbool.h>
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

/* The width as kernels go by it; 0: values do not lie where their type would (arrays may be anywhere). */
static inline size_t gather_width(const void *out, const void *in, size_t width)
{
    size_t aligned = width == 16 ? 8 : width;
    bool known = width == 1 || width == 2 || width == 4 || width == 8 || width == 16;
    return known && (((uintptr_t)out | (uintptr_t)in) & (aligned - 1)) == 0 ? width : 0;
}

/* Any width: the kernel that fits it. */
static inline void gather(void *out, const void *in, const uint32_t *rows, size_t count, size_t width)
{
    if (count == 0) {
        return;
    }
    if (!rows) {
        memcpy(out, in, count * width);
        return;
    }
    switch (gather_width(out, in, width)) {
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
                               size_t count, size_t width, uint32_t arrays)
{
    size_t by = width;
    for (uint32_t i = 0; i < arrays; i++)
        by = gather_width(out, in[i], by);
    switch (by) {
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
