/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4) of bytes in memory, to tell whether two of them are the same. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H
#include <stddef.h>
#include <stdint.h>

enum { SHA256_HEX = 65 };
/* The digest as 64 hexadecimal digits and a NUL. */
void sha256_hex(const void *data, size_t size, char hex[SHA256_HEX]);
#endif
