/* SPDX-License-Identifier: MIT */
/*
 * A cache of answers: each lives for a time, all together are bounded in bytes, and the one unused for longest goes
 * first. Who asks for what is being fetched waits for that fetch (single flight). That there is no answer is an answer
 * too (a negative entry), with a life of its own; a failure is none: everybody who waited for it is told, the next one
 * tries again.
 *
 * For the tasks of one loop.
 */
#ifndef ASYNC_CACHE_H
#define ASYNC_CACHE_H

#include "base/buffer.h"
#include <weir/task.h>

struct cache;

struct cache_options {
    uint64_t bytes_most;     /* keys, values and what it takes to keep them */
    int64_t ttl_ns;          /* life of an answer; 0: for ever */
    int64_t negative_ttl_ns; /* of "there is none"; 0: not kept */
};

/* A value that was looked up, valid until cache_release. */
struct cache_value {
    const char *data;
    size_t size;
    bool found; /* false: there is no answer to this key */
};

/* Fetches what is not there: 0 with the bytes appended, -ENOENT: there is none, else a failure. Runs in the task that
 * asked first, and may wait; it is cancelled with it, and then the next that waits fetches in its place. */
typedef int cache_fetch(struct weir_context *context, void *argument, const void *key, size_t key_size,
                        struct weir_buffer *value);

struct cache *cache_new(const struct cache_options *options); /* NULL: out of memory */
void cache_free(struct cache *cache);                         /* nobody holds a value or waits */

/* 0 with *ret set, or the failure of the fetch, -ENOMEM, -ETIMEDOUT, -ECANCELED. */
int cache_get(struct weir_context *context, struct cache *cache, const void *key, size_t key_size, cache_fetch *fetch,
              void *argument, int64_t deadline_ns, const struct cache_value **ret);
/* What is there, held as by cache_get; NULL: nothing, or it is being fetched. Does not wait. */
const struct cache_value *cache_find(struct weir_context *context, struct cache *cache, const void *key,
                                     size_t key_size);
void cache_release(struct cache *cache, const struct cache_value *value); /* NULL is allowed */

struct cache_counters {
    uint64_t hits, negative_hits, misses, joined, failures, evicted, expired, entries, bytes;
};
void cache_count(const struct cache *cache, struct cache_counters *ret);

#endif
