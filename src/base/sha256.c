/* SPDX-License-Identifier: MIT */
#include "base/sha256.h"

#include <endian.h>
#include <string.h>

enum { SHA256_SIZE = 32 };

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate(uint32_t x, int bits)
{
    return x >> bits | x << (32 - bits);
}

static void add_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t words[64], a[8];
    for (int i = 0; i < 16; i++) {
        memcpy(&words[i], block + 4 * i, 4);
        words[i] = be32toh(words[i]);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t x = words[i - 15], y = words[i - 2];
        words[i] = words[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + words[i - 7] +
                   (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    memcpy(a, state, sizeof a);
    for (int i = 0; i < 64; i++) {
        uint32_t choice = (a[4] & a[5]) ^ (~a[4] & a[6]), majority = (a[0] & a[1]) ^ (a[0] & a[2]) ^ (a[1] & a[2]);
        uint32_t first = a[7] + (rotate(a[4], 6) ^ rotate(a[4], 11) ^ rotate(a[4], 25)) + choice + constants[i] +
                         words[i];
        uint32_t second = (rotate(a[0], 2) ^ rotate(a[0], 13) ^ rotate(a[0], 22)) + majority;
        memmove(a + 1, a, 7 * sizeof *a);
        a[4] += first;
        a[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += a[i];
}

static void digest_of(const void *data, size_t size, uint8_t digest[SHA256_SIZE])
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const uint8_t *bytes = data;
    uint8_t last[128] = {0};
    size_t rest = size % 64, blocks = rest + 9 <= 64 ? 1 : 2;
    for (size_t at = 0; at + 64 <= size; at += 64)
        add_block(state, bytes + at);
    if (rest > 0)
        memcpy(last, bytes + size - rest, rest);
    last[rest] = 0x80;
    uint64_t bits = htobe64((uint64_t)size * 8);
    memcpy(last + 64 * blocks - 8, &bits, 8);
    for (size_t i = 0; i < blocks; i++)
        add_block(state, last + 64 * i);
    for (int i = 0; i < 8; i++) {
        uint32_t word = htobe32(state[i]);
        memcpy(digest + 4 * i, &word, 4);
    }
}

void sha256_hex(const void *data, size_t size, char hex[SHA256_HEX])
{
    uint8_t digest[SHA256_SIZE];
    digest_of(data, size, digest);
    for (int i = 0; i < SHA256_SIZE; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[64] = '\0';
}
