/* SPDX-License-Identifier: MIT */
/*
 * Private to symbols*.c. Strings of up to 16 bytes as two words: reading a string once gives its hash and all that a
 * comparison needs. Two such strings are equal exactly when their lengths and both words are.
 */
#ifndef DATA_SYMBOLS_KEY_H
#define DATA_SYMBOLS_KEY_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "data/symbols.h"

enum { SYMBOLS_SHORT = 16 };
#define SYMBOLS_MIX_LOW UINT64_C(0x9e3779b97f4a7c15)
#define SYMBOLS_MIX_HIGH UINT64_C(0xe7037ed1a0b428db)

struct symbols_key {
    uint64_t low, high;
};

static inline uint64_t symbols_read8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t symbols_read4(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* length <= SYMBOLS_SHORT. The two reads overlap where the string is not a multiple of their width; never past it. */
static inline struct symbols_key symbols_key_of(const char *text, size_t length)
{
    if (length >= 8) {
        return (struct symbols_key){symbols_read8(text), symbols_read8(text + length - 8)};
    }
    if (length >= 4) {
        return (struct symbols_key){symbols_read4(text), symbols_read4(text + length - 4)};
    }
    if (length == 0) {
        return (struct symbols_key){0, 0};
    }
    return (struct symbols_key){(uint64_t)(unsigned char)text[0] | (uint64_t)(unsigned char)text[length / 2] << 8 |
                                    (uint64_t)(unsigned char)text[length - 1] << 16,
                                0};
}

/* A 64×64 → 128-bit product folded in two: mixes both words into all bits. */
static inline uint64_t symbols_fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t symbols_mix(struct symbols_key key, size_t length)
{
    return symbols_fold(key.low ^ SYMBOLS_MIX_LOW ^ length, key.high ^ SYMBOLS_MIX_HIGH);
}

static inline uint64_t symbols_hash_long(const char *text, size_t length)
{
    uint64_t hash = length;
    size_t at = 0;
    for (; at + SYMBOLS_SHORT < length; at += SYMBOLS_SHORT) {
        hash = symbols_fold(symbols_read8(text + at) ^ hash ^ SYMBOLS_MIX_LOW,
                            symbols_read8(text + at + 8) ^ SYMBOLS_MIX_HIGH);
    }
    /* The last 16 bytes, which may overlap those before. */
    struct symbols_key tail = symbols_key_of(text + length - SYMBOLS_SHORT, SYMBOLS_SHORT);
    tail.low ^= hash;
    return symbols_mix(tail, length);
}

static inline uint64_t symbols_hash(const char *text, size_t length)
{
    return length <= SYMBOLS_SHORT ? symbols_mix(symbols_key_of(text, length), length)
                                   : symbols_hash_long(text, length);
}

/* What the table is charged to; caches of it are, too. May be NULL. */
struct memory_budget *symbols_budget(const struct weir_symbols *symbols);
#endif
