/* SPDX-License-Identifier: MIT */
/*
 * What stands in for an embedding model: the same text always gives the same vector, of length 1, and different texts
 * different ones. Nothing about its meaning is in it.
 */
#ifndef SIM_EMBED_H
#define SIM_EMBED_H

#include <stddef.h>
#include <stdint.h>

struct weir_buffer;

/* `json` is one JSON value. An array: appends an array with a vector for each of its elements; anything else: one
 * vector. -EINVAL: not JSON (brackets and strings are checked, not every literal); -ENOMEM. */
int embed(const char *json, size_t size, uint32_t dimensions, struct weir_buffer *out);

#endif
