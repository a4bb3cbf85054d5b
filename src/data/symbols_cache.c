/* SPDX-License-Identifier: MIT */
/*
 * One thread's copy of the part of the table that it uses: open addressing over places of half a cache line, which hold
 * the whole string when it is short. A string is in one of WINDOW neighbouring places. Most places stay empty: a string
 * is then nearly always in the first place that is looked at, and the processor need not guess. Nothing here is ever
 * wrong, as an id never changes its meaning, so nothing is ever invalidated.
 */
#include <stdatomic.h>
#include <string.h>

#include "data/symbols.h"
#include "data/symbols_eight.h"
#include "data/symbols_key.h"

enum {
    FIRST_BITS = 10,
    SPARSE_BITS = 14,  /* up to here an eighth is used, then a quarter */
    LAST_BITS = 17,    /* 4 MiB */
    BUDGET_SHARE = 32, /* no more than this part of the budget for one cache */
    WINDOW = 4,
    NOTHING = UINT16_MAX + 1, /* length of an empty place: longer than any symbol */
};

struct place {
    struct symbols_key key; /* of a long string: its hash, twice */
    uint32_t length;
    uint32_t id;
    uint64_t unused;
};
_Static_assert(sizeof(struct place) == 32, "two places in a cache line");

struct symbols_cache {
    struct weir_symbols *symbols;
    struct place *places; /* 2^bits, and WINDOW more so that no window wraps */
    uint32_t shift;       /* 64 − bits */
    uint32_t bits;
    uint32_t used, turn;
    bool grown_out; /* no larger array to be had */
    bool eights;    /* the processor can look for eight strings at once */
};

static size_t size_of(uint32_t bits)
{
    return (((size_t)1 << bits) + WINDOW) * sizeof(struct place);
}

static struct place *places_new(struct symbols_cache *cache, uint32_t bits)
{
    struct memory_budget *budget = symbols_budget(cache->symbols);
    if (budget && bits > FIRST_BITS && size_of(bits) > budget->limit / BUDGET_SHARE) {
        return NULL;
    }
    if (budget && !memory_budget_take(budget, size_of(bits))) {
        return NULL;
    }
    struct place *places = memory_aligned(64, size_of(bits));
    if (!places) {
        if (budget) {
            memory_budget_give(budget, size_of(bits));
        }
        return NULL;
    }
    memset(places, 0, size_of(bits));
    for (size_t i = 0; i < ((size_t)1 << bits) + WINDOW; i++) {
        places[i].length = NOTHING;
    }
    return places;
}

static void places_free(struct symbols_cache *cache)
{
    struct memory_budget *budget = symbols_budget(cache->symbols);
    if (cache->places && budget) {
        memory_budget_give(budget, size_of(cache->bits));
    }
    memory_free(cache->places);
}

struct symbols_cache *symbols_cache_new(struct weir_symbols *symbols)
{
    struct symbols_cache *cache = memory_zeroed(1, sizeof *cache);
    if (!cache) {
        return NULL;
    }
    cache->symbols = symbols;
    cache->bits = FIRST_BITS;
    cache->shift = 64 - FIRST_BITS;
#ifdef SYMBOLS_EIGHT
    cache->eights = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
#endif
    cache->places = places_new(cache, FIRST_BITS);
    if (!cache->places) {
        memory_free(cache);
        return NULL;
    }
    return cache;
}

void symbols_cache_free(struct symbols_cache *cache)
{
    if (cache) {
        places_free(cache);
        memory_free(cache);
    }
}

static uint64_t hash_of(const struct place *place)
{
    return place->length <= SYMBOLS_SHORT ? symbols_mix(place->key, place->length) : place->key.low;
}

static void put(struct symbols_cache *cache, uint64_t hash, struct place place)
{
    struct place *window = &cache->places[hash >> cache->shift];
    for (uint32_t i = 0; i < WINDOW; i++) {
        if (window[i].length == NOTHING) {
            window[i] = place;
            cache->used++;
            return;
        }
    }
    /* No room: now and then somebody makes way. Each time would be of no use where there are far more strings. */
    if (cache->turn++ % 4 == 0) {
        window[cache->turn / 4 % WINDOW] = place;
    }
}

static void grow(struct symbols_cache *cache)
{
    struct place *places = cache->bits < LAST_BITS ? places_new(cache, cache->bits + 1) : NULL;
    if (!places) {
        cache->grown_out = true;
        return;
    }
    struct symbols_cache old = *cache;
    cache->places = places;
    cache->bits++;
    cache->shift--;
    cache->used = 0;
    for (size_t i = 0; i < ((size_t)1 << old.bits) + WINDOW; i++) {
        if (old.places[i].length != NOTHING) {
            put(cache, hash_of(&old.places[i]), old.places[i]);
        }
    }
    places_free(&old);
}

/* Not in the cache: asks the table and remembers the answer, unless there is none. */
static __attribute__((noinline)) uint32_t miss(struct symbols_cache *cache, const char *text, size_t length,
                                               struct symbols_key key, uint64_t hash)
{
    uint32_t id = symbols_intern(cache->symbols, text, length);
    if (id == SYMBOLS_FULL) {
        return id;
    }
    if (cache->used >= (uint32_t)1 << (cache->bits - (cache->bits < SPARSE_BITS ? 3 : 2)) && !cache->grown_out) {
        grow(cache);
    }
    put(cache, hash, (struct place){.key = key, .length = (uint32_t)length, .id = id});
    return id;
}

static __attribute__((noinline)) uint32_t intern_long(struct symbols_cache *cache, const char *text, size_t length)
{
    if (length > SYMBOL_LENGTH_MAX) {
        return SYMBOLS_FULL;
    }
    uint64_t hash = symbols_hash_long(text, length);
    const struct place *place = &cache->places[hash >> cache->shift];
    for (uint32_t i = 0; i < WINDOW; i++) {
        if (place[i].key.low == hash && place[i].length == length &&
            !memcmp(symbols_text(cache->symbols, place[i].id).data, text, length)) {
            return place[i].id;
        }
    }
    return miss(cache, text, length, (struct symbols_key){hash, hash}, hash);
}

uint32_t symbols_cache_intern(struct symbols_cache *cache, const char *text, size_t length)
{
    if (length > SYMBOLS_SHORT) {
        return intern_long(cache, text, length);
    }
    struct symbols_key key = symbols_key_of(text, length);
    uint64_t hash = symbols_mix(key, length);
    const struct place *place = &cache->places[hash >> cache->shift];
    for (uint32_t i = 0; i < WINDOW; i++) {
        if (place[i].key.low == key.low && place[i].key.high == key.high && place[i].length == length) {
            return place[i].id;
        }
    }
    return miss(cache, text, length, key, hash);
}

/* As symbols_key_of for up to seven bytes, of which `word` has no others; without a branch, as nobody can foresee how
 * many there are. */
static inline struct symbols_key key_of_word(uint64_t word, uint32_t length)
{
    uint64_t few = (word & 0xff) | (word >> length / 2 * 8 & 0xff) << 8 | (word >> (length - 1) % 8 * 8 & 0xff) << 16;
    uint64_t last = word >> (length - 4) % 8 * 8 & UINT32_MAX, four = -(uint64_t)(length >= 4);
    return (struct symbols_key){(word & UINT32_MAX & four) | (few & ~four), last & four};
}

static uint32_t intern_one_by_one(struct symbols_cache *cache, const char *text, size_t readable, const char *ends,
                                  uint32_t count, uint32_t *ids)
{
    uint32_t begin = (uint32_t)symbols_read4(ends), end, full = 0;
    for (uint32_t i = 0; i < count; i++, begin = end) {
        end = (uint32_t)symbols_read4(ends + (i + (size_t)1) * 4);
        uint32_t length = end - begin;
        if (__builtin_expect(length < 8 && begin + (size_t)8 <= readable, 1)) {
            uint64_t word = symbols_read8(text + begin) & (((uint64_t)1 << length * 8) - 1);
            struct symbols_key key = key_of_word(word, length);
            const struct place *place = &cache->places[symbols_mix(key, length) >> cache->shift];
            uint64_t other = (place->key.low ^ key.low) | (place->key.high ^ key.high) | (place->length ^ length);
            ids[i] = place->id;
            if (__builtin_expect(!other, 1)) {
                continue;
            }
        }
        ids[i] = symbols_cache_intern(cache, text + begin, length);
        full += ids[i] == SYMBOLS_FULL;
    }
    return full;
}

#ifdef SYMBOLS_EIGHT
/* The first strings, eight by eight, as far as that goes. Returns how many. */
static __attribute__((target("avx512f,avx512dq,avx512vl"))) uint32_t intern_eights(struct symbols_cache *cache,
                                                                                   const char *text, size_t readable,
                                                                                   const char *ends, uint32_t count,
                                                                                   uint32_t *ids, uint32_t *full)
{
    uint32_t i = 0;
    for (; i + 8 <= count && symbols_read4(ends + (i + (size_t)7) * 4) + 8 <= readable; i += 8) {
        unsigned found = symbols_find_eight(cache->places, cache->shift, text, ends + i * (size_t)4, ids + i);
        for (unsigned missing = found ^ 0xff; __builtin_expect(missing != 0, 0); missing &= missing - 1) {
            uint32_t k = i + (uint32_t)__builtin_ctz(missing);
            uint32_t begin = (uint32_t)symbols_read4(ends + k * (size_t)4);
            uint32_t end = (uint32_t)symbols_read4(ends + (k + (size_t)1) * 4);
            ids[k] = symbols_cache_intern(cache, text + begin, end - begin);
            *full += ids[k] == SYMBOLS_FULL;
        }
    }
    return i;
}
#endif

uint32_t symbols_cache_intern_many(struct symbols_cache *cache, const char *text, size_t readable, const char *ends,
                                   uint32_t count, uint32_t *ids)
{
    uint32_t done = 0, full = 0;
#ifdef SYMBOLS_EIGHT
    if (cache->eights) {
        done = intern_eights(cache, text, readable, ends, count, ids, &full);
    }
#endif
    return full + intern_one_by_one(cache, text, readable, ends + done * (size_t)4, count - done, ids + done);
}
