/* SPDX-License-Identifier: MIT */
/* A chained hash table whose entries are also in one list, the one used last at its head. */
#include "async/cache.h"

#include "base/hash.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

enum { BUCKETS_FIRST = 64 };

struct entry {
    struct cache_value value; /* first: what callers hold */
    struct entry *chain;
    struct entry *newer, *older; /* by last use; only while it is listed */
    uint64_t hash, bytes;
    int64_t expires; /* weir_now; WEIR_NEVER */
    uint32_t holders;
    bool listed;             /* in the table */
    bool fetching;           /* no value yet */
    int failure;             /* of the fetch: for those that wait */
    struct weir_event ready; /* the fetch has ended */
    size_t key_size;
    char key[];
};

struct cache {
    struct cache_options options;
    struct entry **buckets;
    uint64_t bucket_count, count, bytes;
    struct entry *newest, *oldest;
    struct cache_counters counters;
};

struct cache *cache_new(const struct cache_options *options)
{
    struct cache *cache = memory_zeroed(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->options = *options;
    cache->bucket_count = BUCKETS_FIRST;
    cache->buckets = memory_zeroed(cache->bucket_count, sizeof(struct entry *));
    if (!cache->buckets) {
        memory_free(cache);
        return NULL;
    }
    return cache;
}

/* ---- Entries ---------------------------------------------------------------------------------------------------- */

static void free_entry(struct entry *entry)
{
    memory_free((char *)entry->value.data);
    memory_free(entry);
}

static void unlist(struct cache *cache, struct entry *entry)
{
    struct entry **link = &cache->buckets[entry->hash & (cache->bucket_count - 1)];
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
    entry->listed = false;
    cache->count--;
    cache->bytes -= entry->bytes;
    if (!entry->holders)
        free_entry(entry);
}

static void put_first(struct cache *cache, struct entry *entry)
{
    entry->older = cache->newest;
    entry->newer = NULL;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void touch(struct cache *cache, struct entry *entry)
{
    if (cache->newest == entry)
        return;
    entry->newer->older = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
    put_first(cache, entry);
}

/* Twice as many buckets when there are as many entries; when there is no memory for them, chains grow longer. */
static void widen(struct cache *cache)
{
    uint64_t wanted = cache->bucket_count * 2;
    if (cache->count < cache->bucket_count)
        return;
    struct entry **buckets = memory_zeroed(wanted, sizeof(struct entry *));
    if (!buckets)
        return;
    for (struct entry *entry = cache->newest; entry; entry = entry->older) {
        struct entry **bucket = &buckets[entry->hash & (wanted - 1)];
        entry->chain = *bucket;
        *bucket = entry;
    }
    memory_free(cache->buckets);
    cache->buckets = buckets;
    cache->bucket_count = wanted;
}

/* What is being fetched stays: others wait for it. */
static void evict(struct cache *cache)
{
    for (struct entry *entry = cache->oldest, *next; entry && cache->bytes > cache->options.bytes_most; entry = next) {
        next = entry->newer;
        if (entry->fetching)
            continue;
        cache->counters.evicted++;
        unlist(cache, entry);
    }
}

static struct entry *find(const struct cache *cache, uint64_t hash, const void *key, size_t key_size)
{
    struct entry *entry = cache->buckets[hash & (cache->bucket_count - 1)];
    while (entry && (entry->hash != hash || entry->key_size != key_size || memcmp(entry->key, key, key_size) != 0))
        entry = entry->chain;
    return entry;
}

static struct entry *add(struct cache *cache, uint64_t hash, const void *key, size_t key_size)
{
    struct entry *entry = memory_zeroed(1, sizeof *entry + key_size);
    if (!entry)
        return NULL;
    widen(cache);
    entry->hash = hash;
    entry->key_size = key_size;
    memcpy(entry->key, key, key_size);
    entry->bytes = sizeof *entry + key_size + sizeof(struct entry *);
    entry->listed = entry->fetching = true;
    struct entry **bucket = &cache->buckets[hash & (cache->bucket_count - 1)];
    entry->chain = *bucket;
    *bucket = entry;
    put_first(cache, entry);
    cache->count++;
    cache->bytes += entry->bytes;
    return entry;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static void drop_hold(struct entry *entry)
{
    if (!--entry->holders && !entry->listed)
        free_entry(entry);
}

static int64_t expiry(int64_t now, int64_t life)
{
    return life <= 0 || life > INT64_MAX - now ? WEIR_NEVER : now + life;
}

/* The caller's fetch; the entry is held by the caller. */
static int fetch_into(struct weir_context *context, struct cache *cache, struct entry *entry, cache_fetch *fetch,
                      void *argument)
{
    struct weir_buffer buffer = {0};
    int error = fetch(context, argument, entry->key, entry->key_size, &buffer);
    bool none = error == -ENOENT;
    if (!error && buffer.failed)
        error = -ENOMEM;
    entry->fetching = false;
    if (error && !none) {
        cache->counters.failures++;
        entry->failure = error;
        buffer_free(&buffer);
        unlist(cache, entry);
        weir_event_signal(&entry->ready, true);
        return error;
    }
    int64_t now = weir_now(context);
    entry->value = (struct cache_value){buffer.data, none ? 0 : buffer.size, !none};
    entry->bytes += buffer.capacity;
    cache->bytes += buffer.capacity;
    entry->expires = none && cache->options.negative_ttl_ns <= 0
                         ? now
                         : expiry(now, none ? cache->options.negative_ttl_ns : cache->options.ttl_ns);
    evict(cache); /* perhaps this very entry, if it is larger than the cache: its holders keep it */
    weir_event_signal(&entry->ready, true);
    return 0;
}

/* Somebody else fetches it. 0: it is there; 1: its fetcher was cancelled, look again. */
static int wait_for(struct weir_context *context, struct cache *cache, struct entry *entry, int64_t deadline_ns)
{
    cache->counters.joined++;
    while (entry->fetching) {
        int error = weir_event_wait(context, &entry->ready, deadline_ns);
        if (error < 0)
            return error;
    }
    return entry->failure == -ECANCELED ? 1 : entry->failure;
}

int cache_get(struct weir_context *context, struct cache *cache, const void *key, size_t key_size, cache_fetch *fetch,
              void *argument, int64_t deadline_ns, const struct cache_value **ret)
{
    uint64_t hash = hash_bytes(key, key_size);
    int error = 1;
    struct entry *entry = NULL;
    while (error > 0) {
        entry = find(cache, hash, key, key_size);
        if (entry && !entry->fetching && entry->expires <= weir_now(context)) {
            cache->counters.expired++;
            unlist(cache, entry);
            entry = NULL;
        }
        if (!entry) {
            cache->counters.misses++;
            entry = add(cache, hash, key, key_size);
            if (!entry)
                return -ENOMEM;
            entry->holders++;
            error = fetch_into(context, cache, entry, fetch, argument);
        } else if (entry->fetching) {
            entry->holders++;
            error = wait_for(context, cache, entry, deadline_ns);
        } else {
            entry->holders++;
            touch(cache, entry);
            *(entry->value.found ? &cache->counters.hits : &cache->counters.negative_hits) += 1;
            error = 0;
        }
        if (error)
            drop_hold(entry);
    }
    if (!error)
        *ret = &entry->value;
    return error;
}

const struct cache_value *cache_find(struct weir_context *context, struct cache *cache, const void *key,
                                     size_t key_size)
{
    struct entry *entry = find(cache, hash_bytes(key, key_size), key, key_size);
    if (!entry || entry->fetching || entry->expires <= weir_now(context))
        return NULL;
    entry->holders++;
    touch(cache, entry);
    *(entry->value.found ? &cache->counters.hits : &cache->counters.negative_hits) += 1;
    return &entry->value;
}

void cache_release(struct cache *cache, const struct cache_value *value)
{
    (void)cache;
    if (value)
        drop_hold((struct entry *)value);
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    while (cache->newest)
        unlist(cache, cache->newest);
    memory_free(cache->buckets);
    memory_free(cache);
}

void cache_count(const struct cache *cache, struct cache_counters *ret)
{
    *ret = cache->counters;
    ret->entries = cache->count;
    ret->bytes = cache->bytes;
}
