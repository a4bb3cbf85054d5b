/* SPDX-License-Identifier: MIT */
/*
 *   id ──► segments[s][i]: text, length, hash          segments double in size and never move
 *   hash ──► table: slots of 32 bits, open addressing   grows by a copy; old tables stay for readers that are in them
 *   text: arenas, of which the newest takes more
 *
 * A slot of a table with 2^k places holds the id in its low k bits (there are fewer ids than places) and further bits
 * of the hash above them, so that a probe seldom looks at an entry that is not the right one.
 *
 * Readers load the table, then a slot, each with acquire; the one writer (under the lock) stores an entry before the
 * slot that leads to it. A reader that misses in a table that is being replaced asks again under the lock.
 */
#include "data/symbols.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "data/symbols_key.h"

enum {
    SEGMENT_FIRST_BITS = 8,
    SEGMENT_COUNT = 32 - SEGMENT_FIRST_BITS,
    TABLE_FIRST_BITS = 9,
    TABLE_LAST_BITS = 31,
    ARENA_FIRST = 4 * 1024,
    ARENA_LAST = 256 * 1024,
};

struct entry {
    const char *text; /* terminated */
    uint32_t length;
    uint32_t hash;
};

struct table {
    struct table *previous;
    uint32_t bits;
    _Atomic uint32_t slots[];
};

struct arena {
    struct arena *previous;
    char bytes[];
};

struct weir_symbols {
    /* What readers read; written when something grows. */
    _Atomic(struct table *) table;
    _Atomic(struct entry *) segments[SEGMENT_COUNT];
    uint32_t most;
    struct memory_budget *budget;
    _Alignas(64) _Atomic uint32_t count;
    _Atomic size_t bytes;
    _Atomic bool complete; /* there are as many as there may be: what is not there will never be */
    /* The writer's. */
    pthread_mutex_t lock;
    struct arena *arena;
    char *arena_at, *arena_end;
    size_t arena_next;
};

static void *take(struct weir_symbols *symbols, size_t size)
{
    if (symbols->budget && !memory_budget_take(symbols->budget, size)) {
        return NULL;
    }
    void *memory = memory_zeroed(1, size);
    if (!memory) {
        if (symbols->budget) {
            memory_budget_give(symbols->budget, size);
        }
        return NULL;
    }
    atomic_fetch_add_explicit(&symbols->bytes, size, memory_order_relaxed);
    return memory;
}

static struct table *table_new(struct weir_symbols *symbols, uint32_t bits)
{
    struct table *table = take(symbols, sizeof *table + ((size_t)1 << bits) * sizeof table->slots[0]);
    if (table) {
        table->bits = bits;
    }
    return table;
}

struct weir_symbols *symbols_new(struct memory_budget *budget, uint32_t most_symbols)
{
    struct weir_symbols *symbols = memory_aligned(64, sizeof *symbols);
    if (!symbols) {
        return NULL;
    }
    memset(symbols, 0, sizeof *symbols);
    symbols->budget = budget;
    symbols->most = most_symbols && most_symbols < SYMBOLS_FULL ? most_symbols : SYMBOLS_FULL - 1;
    symbols->arena_next = ARENA_FIRST;
    pthread_mutex_init(&symbols->lock, NULL);
    struct table *table = table_new(symbols, TABLE_FIRST_BITS);
    if (!table) {
        symbols_free(symbols);
        return NULL;
    }
    atomic_store_explicit(&symbols->table, table, memory_order_release);
    return symbols;
}

void symbols_free(struct weir_symbols *symbols)
{
    if (!symbols) {
        return;
    }
    if (symbols->budget) {
        memory_budget_give(symbols->budget, atomic_load_explicit(&symbols->bytes, memory_order_relaxed));
    }
    for (struct table *table = symbols->table, *previous; table; table = previous) {
        previous = table->previous;
        memory_free(table);
    }
    for (struct arena *arena = symbols->arena, *previous; arena; arena = previous) {
        previous = arena->previous;
        memory_free(arena);
    }
    for (size_t i = 0; i < SEGMENT_COUNT; i++) {
        memory_free(symbols->segments[i]);
    }
    pthread_mutex_destroy(&symbols->lock);
    memory_free(symbols);
}

uint32_t symbols_count(const struct weir_symbols *symbols)
{
    return atomic_load_explicit(&symbols->count, memory_order_acquire);
}

size_t symbols_bytes(const struct weir_symbols *symbols)
{
    return atomic_load_explicit(&symbols->bytes, memory_order_relaxed);
}

/* Segment s holds 2^(s + FIRST) entries: ids (from 0) 2^(s + FIRST) − 2^FIRST and on. */
static inline uint32_t segment_of(uint32_t index, uint32_t *ret_offset)
{
    uint64_t shifted = (uint64_t)index + (1u << SEGMENT_FIRST_BITS);
    uint32_t bits = 63 - (uint32_t)__builtin_clzll(shifted);
    *ret_offset = (uint32_t)(shifted - ((uint64_t)1 << bits));
    return bits - SEGMENT_FIRST_BITS;
}

static inline const struct entry *entry_of(const struct weir_symbols *symbols, uint32_t id)
{
    uint32_t offset;
    uint32_t segment = segment_of(id - 1, &offset);
    return atomic_load_explicit(&symbols->segments[segment], memory_order_acquire) + offset;
}

/* Index in the high bits of the hash, tag in the low ones (put above the id): they do not overlap. */
static inline uint32_t slot_index(const struct table *table, uint32_t hash)
{
    return hash >> (32 - table->bits);
}
static inline uint32_t slot_tag(const struct table *table, uint32_t hash)
{
    return hash << table->bits;
}

static uint32_t look_up(const struct weir_symbols *symbols, const char *text, size_t length, uint32_t hash)
{
    const struct table *table = atomic_load_explicit(&symbols->table, memory_order_acquire);
    uint32_t mask = ((uint32_t)1 << table->bits) - 1;
    uint32_t tag = slot_tag(table, hash);
    for (uint32_t at = slot_index(table, hash);; at = (at + 1) & mask) {
        uint32_t slot = atomic_load_explicit(&table->slots[at], memory_order_acquire);
        if (slot == 0) {
            return 0;
        }
        if ((slot & ~mask) != tag) {
            continue;
        }
        const struct entry *entry = entry_of(symbols, slot & mask);
        if (entry->hash == hash && entry->length == length && (length == 0 || !memcmp(entry->text, text, length))) {
            return slot & mask;
        }
    }
}

static void put_slot(struct table *table, uint32_t hash, uint32_t id)
{
    uint32_t mask = ((uint32_t)1 << table->bits) - 1;
    uint32_t at = slot_index(table, hash);
    while (atomic_load_explicit(&table->slots[at], memory_order_relaxed)) {
        at = (at + 1) & mask;
    }
    atomic_store_explicit(&table->slots[at], slot_tag(table, hash) | id, memory_order_release);
}

/* Makes sure that there is a place for one more: half full, or more when it cannot grow. */
static bool room_in_table(struct weir_symbols *symbols)
{
    struct table *table = atomic_load_explicit(&symbols->table, memory_order_relaxed);
    uint64_t places = (uint64_t)1 << table->bits;
    uint64_t needed = (uint64_t)atomic_load_explicit(&symbols->count, memory_order_relaxed) + 1;
    if (needed <= places - places / 4) {
        return true;
    }
    struct table *larger = table->bits < TABLE_LAST_BITS ? table_new(symbols, table->bits + 1) : NULL;
    if (!larger) {
        return needed <= places - places / 8;
    }
    for (uint32_t id = 1; id < needed; id++) {
        put_slot(larger, entry_of(symbols, id)->hash, id);
    }
    larger->previous = table;
    atomic_store_explicit(&symbols->table, larger, memory_order_release);
    return true;
}

static struct entry *room_for_entry(struct weir_symbols *symbols, uint32_t id)
{
    uint32_t offset;
    uint32_t segment = segment_of(id - 1, &offset);
    struct entry *entries = atomic_load_explicit(&symbols->segments[segment], memory_order_relaxed);
    if (!entries) {
        entries = take(symbols, sizeof *entries << (segment + SEGMENT_FIRST_BITS));
        if (!entries) {
            return NULL;
        }
        atomic_store_explicit(&symbols->segments[segment], entries, memory_order_release);
    }
    return &entries[offset];
}

/* Makes sure that arena_at has `size` bytes. */
static bool room_for_text(struct weir_symbols *symbols, size_t size)
{
    if ((size_t)(symbols->arena_end - symbols->arena_at) >= size) {
        return true;
    }
    size_t room = symbols->arena_next > size + sizeof(struct arena) ? symbols->arena_next : size + sizeof(struct arena);
    struct arena *arena = take(symbols, room);
    if (!arena) {
        return false;
    }
    arena->previous = symbols->arena;
    symbols->arena = arena;
    symbols->arena_at = arena->bytes;
    symbols->arena_end = (char *)arena + room;
    if (symbols->arena_next < ARENA_LAST) {
        symbols->arena_next *= 2;
    }
    return true;
}

/* Under the lock, for a string that is not there. */
static uint32_t add(struct weir_symbols *symbols, const char *text, size_t length, uint32_t hash)
{
    uint32_t id = atomic_load_explicit(&symbols->count, memory_order_relaxed) + 1;
    if (id > symbols->most || !room_in_table(symbols) || !room_for_text(symbols, length + 1)) {
        return SYMBOLS_FULL;
    }
    struct entry *entry = room_for_entry(symbols, id);
    if (!entry) {
        return SYMBOLS_FULL;
    }
    char *copy = symbols->arena_at;
    symbols->arena_at += length + 1;
    if (length) {
        memcpy(copy, text, length);
    }
    copy[length] = '\0';
    *entry = (struct entry){.text = copy, .length = (uint32_t)length, .hash = hash};
    atomic_store_explicit(&symbols->count, id, memory_order_release); /* first: who finds the id can ask its text */
    put_slot(atomic_load_explicit(&symbols->table, memory_order_relaxed), hash, id);
    if (id == symbols->most) {
        atomic_store_explicit(&symbols->complete, true, memory_order_release);
    }
    return id;
}

uint32_t symbols_intern(struct weir_symbols *symbols, const char *text, size_t length)
{
    if (length > SYMBOL_LENGTH_MAX) {
        return SYMBOLS_FULL;
    }
    uint32_t hash = (uint32_t)(symbols_hash(text, length) >> 32);
    bool complete = atomic_load_explicit(&symbols->complete, memory_order_acquire);
    uint32_t id = look_up(symbols, text, length, hash);
    if (id || complete) {
        return id ? id : SYMBOLS_FULL;
    }
    pthread_mutex_lock(&symbols->lock);
    id = look_up(symbols, text, length, hash);
    if (!id) {
        id = add(symbols, text, length, hash);
    }
    pthread_mutex_unlock(&symbols->lock);
    return id;
}

uint32_t symbols_find(const struct weir_symbols *symbols, const char *text, size_t length)
{
    return length > SYMBOL_LENGTH_MAX ? 0
                                      : look_up(symbols, text, length, (uint32_t)(symbols_hash(text, length) >> 32));
}

struct weir_text symbols_text(const struct weir_symbols *symbols, uint32_t id)
{
    if (id == 0 || id > symbols_count(symbols)) {
        return (struct weir_text){NULL, 0};
    }
    const struct entry *entry = entry_of(symbols, id);
    return (struct weir_text){entry->text, entry->length};
}

struct memory_budget *symbols_budget(const struct weir_symbols *symbols)
{
    return symbols->budget;
}
