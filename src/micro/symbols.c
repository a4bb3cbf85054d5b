/* SPDX-License-Identifier: MIT */
/* Strings to numbers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/symbols.h"
#include "micro/micro.h"
#include "micro/records.h"

enum { NEW = 10000, NAME_LENGTH = 16 };

struct intern_work {
    struct weir_symbols *symbols;
    struct symbols_cache *cache;
    char (*names)[NAME_LENGTH]; /* MICRO_ROWS of them, some of them equal; or NEW that are not */
    uint8_t *lengths;
    uint32_t count;
};

static void close_intern(void *state)
{
    struct intern_work *work = state;
    if (work->cache)
        symbols_cache_free(work->cache);
    if (work->symbols)
        symbols_free(work->symbols);
    memory_free(work->names);
    memory_free(work->lengths);
    memory_free(work);
}

static int open_intern(const struct microbench *bench, void **ret)
{
    struct intern_work *work = memory_zeroed(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    uint64_t random = 1;
    work->count = bench->items;
    work->symbols = symbols_new(NULL, 0);
    work->cache = work->symbols ? symbols_cache_new(work->symbols) : NULL;
    work->names = memory_zeroed(work->count, sizeof *work->names);
    work->lengths = memory_zeroed(work->count, sizeof *work->lengths);
    if (!work->cache || !work->names || !work->lengths) {
        close_intern(work);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < work->count; i++) {
        uint32_t number = work->count == NEW ? i : (uint32_t)(micro_random(&random) % MICRO_KEYS);
        work->lengths[i] = (uint8_t)snprintf(work->names[i], NAME_LENGTH, "sensor-%u", number);
        if (work->count != NEW && symbols_intern(work->symbols, work->names[i], work->lengths[i]) == SYMBOLS_FULL) {
            close_intern(work);
            return -ENOMEM;
        }
    }
    *ret = work;
    return 0;
}

static int run_cached(void *state, uint64_t calls)
{
    struct intern_work *work = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++) {
        for (uint32_t k = 0; k < work->count; k++)
            sum += symbols_cache_intern(work->cache, work->names[k], work->lengths[k]);
    }
    return sum >= calls * work->count ? 0 : -EIO; /* ids begin at 1 */
}

static int run_known(void *state, uint64_t calls)
{
    struct intern_work *work = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < calls; i++) {
        for (uint32_t k = 0; k < work->count; k++)
            sum += symbols_intern(work->symbols, work->names[k], work->lengths[k]);
    }
    return sum >= calls * work->count ? 0 : -EIO;
}

static int run_new(void *state, uint64_t calls)
{
    struct intern_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        struct weir_symbols *symbols = symbols_new(NULL, 0);
        if (!symbols)
            return -ENOMEM;
        for (uint32_t k = 0; k < work->count; k++)
            (void)symbols_intern(symbols, work->names[k], work->lengths[k]);
        bool whole = symbols_count(symbols) == work->count;
        symbols_free(symbols);
        if (!whole)
            return -EIO;
    }
    return 0;
}

const struct microbench micro_symbols[] = {
    {.name = "intern.cached",
     .summary = "a name that this thread saw before, one of 1,000",
     .item = "name",
     .items = MICRO_ROWS,
     .open = open_intern,
     .run = run_cached,
     .close = close_intern},
    {.name = "intern.known",
     .summary = "a name that the table has, without the thread's cache",
     .item = "name",
     .items = MICRO_ROWS,
     .open = open_intern,
     .run = run_known,
     .close = close_intern},
    {.name = "intern.new",
     .summary = "10,000 new names into an empty table",
     .item = "name",
     .items = NEW,
     .open = open_intern,
     .run = run_new,
     .close = close_intern},
    {.name = NULL},
};
