/* SPDX-License-Identifier: MIT */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* Finaliser of MurmurHash3 (Austin Appleby, public domain algorithm): mixes 64 bits. */
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}
/* The next number of a random sequence, which begins at any state: a counter that is mixed, as in SplitMix64 (Steele,
 * Lea and Flood, 2014). */
static inline uint64_t hash_random(uint64_t *state)
{
    return hash_u64(*state += 0x9e3779b97f4a7c15ULL);
}
/* Short strings, not for untrusted tables without a limit on their size; the same on every machine. */
static inline uint64_t hash_bytes(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t h = 0x9e3779b97f4a7c15ULL ^ (size * 0xff51afd7ed558ccdULL);
    uint64_t word;
    while (size > 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9fb21c651e98df25ULL;
        h ^= h >> 32;
        p += 8;
        size -= 8;
    }
    word = 0;
    if (size > 0) /* no bytes may come as NULL, which memcpy does not take */
        memcpy(&word, p, size);
    h = (h ^ word) * 0x9fb21c651e98df25ULL;
    return h ^ (h >> 29);
}
#endif
