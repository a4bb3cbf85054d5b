/* SPDX-License-Identifier: MIT */
#include "flow/keyed.h"

#include "base/hash.h"

#include <string.h>

/* Slots come in chunks of a power of two of them, small ones where many share the memory; many chunks lie in blocks of
 * huge pages. */
enum { CHUNK_BYTES = 16 * 1024, CHUNK_BYTES_LEAST = 512, CHUNKS_OF_SHARE = 8 };
enum { BLOCK_BYTES = MEMORY_HUGE_PAGE, BLOCK_CHUNKS_LEAST = 8, ALONE_BYTES = BLOCK_BYTES };
enum { DENSE_FIRST = 64, TABLE_FIRST = 16, NO_SLOT = 0 };

struct entry { /* of the hash table: numbers */
    uint64_t key;
    uint32_t slot; /* + 1; 0: free */
};

struct block { /* one allocation: a chunk or some of them */
    char *data;
    size_t size;
};

struct keyed {
    struct weir_key_options options;
    void *self;
    struct memory_budget *budget;
    struct weir_symbols *symbols;
    size_t slot_size;
    uint32_t per_chunk_shift, per_chunk_mask;
    char **chunks;
    uint32_t chunk_count, chunk_capacity;
    struct block *blocks;
    uint32_t block_count, block_capacity;
    char *free_chunks, *free_chunks_end; /* of the newest block */
    uint32_t slots;                      /* ever used */
    uint32_t count;                      /* in use */
    uint32_t *free_list;                 /* slot numbers of forgotten keys */
    uint32_t free_count, free_capacity;
    /* index by symbol id */
    uint32_t *dense; /* slot + 1 */
    uint32_t dense_size;
    /* index by number */
    struct entry *table;
    uint32_t table_size, table_used;
    uint32_t single; /* slot + 1 of the one state without a key */
    /* idle expiry: for each slot */
    int64_t *seen;
    uint64_t *keys;
    uint32_t seen_capacity;
    int64_t next_sweep;
    bool by_symbol;
};

static size_t round_up(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static size_t chunk_bytes(const struct keyed *keyed)
{
    return keyed->slot_size << keyed->per_chunk_shift;
}

static void give(struct keyed *keyed, size_t bytes)
{
    if (keyed->budget)
        memory_budget_give(keyed->budget, bytes);
}

static bool take(struct keyed *keyed, size_t bytes)
{
    return !keyed->budget || memory_budget_take(keyed->budget, bytes);
}

void keyed_free(struct keyed *keyed)
{
    if (!keyed)
        return;
    for (uint32_t i = 0; i < keyed->block_count; i++) {
        memory_free(keyed->blocks[i].data);
        give(keyed, keyed->blocks[i].size);
    }
    memory_free(keyed->blocks);
    give(keyed, keyed->dense_size * sizeof *keyed->dense);
    give(keyed, keyed->table_size * sizeof *keyed->table);
    give(keyed, keyed->seen_capacity * (sizeof *keyed->seen + sizeof *keyed->keys));
    memory_free(keyed->chunks);
    memory_free(keyed->free_list);
    memory_free(keyed->dense);
    memory_free(keyed->table);
    memory_free(keyed->seen);
    memory_free(keyed->keys);
    memory_free(keyed);
}

size_t keyed_slot_size(const struct keyed *keyed)
{
    return keyed->slot_size;
}

uint64_t keyed_count(const struct keyed *keyed)
{
    return keyed->count;
}

static inline void *slot_state(const struct keyed *keyed, uint32_t slot)
{
    return keyed->chunks[slot >> keyed->per_chunk_shift] + (slot & keyed->per_chunk_mask) * keyed->slot_size;
}

/* Grows an array that counts against the budget: the old one is given back only after the new one stands. */
static bool grow(struct keyed *keyed, void *array, uint32_t *size, uint32_t new_size, size_t width)
{
    void *old, *new;
    memcpy(&old, array, sizeof old);
    if (!take(keyed, new_size * width))
        return false;
    new = memory_zeroed(new_size, width);
    if (!new) {
        give(keyed, new_size * width);
        return false;
    }
    if (old)
        memcpy(new, old, *size * width);
    memory_free(old);
    give(keyed, *size * width);
    memcpy(array, &new, sizeof new);
    *size = new_size;
    return true;
}

/* Room for one more entry in an array of pointers or blocks. */
static bool widen(void *array, uint32_t count, uint32_t *capacity, size_t width)
{
    void *old, *new;
    if (count < *capacity)
        return true;
    uint32_t wanted = *capacity ? *capacity * 2 : 16;
    memcpy(&old, array, sizeof old);
    new = memory_resize(old, wanted * width);
    if (!new)
        return false;
    memcpy(array, &new, sizeof new);
    *capacity = wanted;
    return true;
}

static bool add_block(struct keyed *keyed, size_t size, bool huge)
{
    if (!widen(&keyed->blocks, keyed->block_count, &keyed->block_capacity, sizeof *keyed->blocks) || !take(keyed, size))
        return false;
    char *data = huge ? memory_huge(size) : memory_aligned(64, size);
    if (!data) {
        give(keyed, size);
        return false;
    }
    keyed->blocks[keyed->block_count++] = (struct block){data, size};
    keyed->free_chunks = data;
    keyed->free_chunks_end = data + size;
    return true;
}

static bool add_chunk(struct keyed *keyed)
{
    const size_t size = chunk_bytes(keyed);
    if (!widen(&keyed->chunks, keyed->chunk_count, &keyed->chunk_capacity, sizeof *keyed->chunks))
        return false;
    if ((size_t)(keyed->free_chunks_end - keyed->free_chunks) < size) {
        bool huge = keyed->chunk_count * size >= ALONE_BYTES && size <= BLOCK_BYTES / BLOCK_CHUNKS_LEAST;
        if (!(huge && add_block(keyed, BLOCK_BYTES, true)) && !add_block(keyed, size, false))
            return false;
    }
    keyed->chunks[keyed->chunk_count++] = keyed->free_chunks;
    keyed->free_chunks += size;
    return true;
}

static bool remember_slot(struct keyed *keyed, uint32_t slot, uint64_t key)
{
    if (!keyed->options.idle_ns)
        return true;
    if (slot >= keyed->seen_capacity) {
        uint32_t capacity = keyed->seen_capacity ? keyed->seen_capacity * 2 : 256;
        uint32_t before = keyed->seen_capacity, same = before;
        if (!grow(keyed, &keyed->seen, &same, capacity, sizeof *keyed->seen))
            return false;
        if (!grow(keyed, &keyed->keys, &before, capacity, sizeof *keyed->keys))
            return false;
        keyed->seen_capacity = capacity;
    }
    keyed->seen[slot] = INT64_MIN;
    keyed->keys[slot] = key;
    return true;
}

/* A fresh state: its slot number + 1, or NO_SLOT. */
static uint32_t new_slot(struct keyed *keyed, uint64_t key)
{
    uint32_t slot;
    if (keyed->options.most_keys && keyed->count >= keyed->options.most_keys)
        return NO_SLOT;
    if (keyed->free_count) {
        slot = keyed->free_list[keyed->free_count - 1];
    } else {
        if (keyed->slots == UINT32_MAX - 1)
            return NO_SLOT;
        if (keyed->slots >> keyed->per_chunk_shift == keyed->chunk_count && !add_chunk(keyed))
            return NO_SLOT;
        slot = keyed->slots;
    }
    if (!remember_slot(keyed, slot, key))
        return NO_SLOT;
    if (keyed->free_count)
        keyed->free_count--;
    else
        keyed->slots++;
    keyed->count++;
    void *state = slot_state(keyed, slot);
    memset(state, 0, keyed->slot_size);
    if (keyed->options.init)
        keyed->options.init(keyed->self, state);
    return slot + 1;
}

static uint32_t find_symbol(struct keyed *keyed, uint32_t id)
{
    if (id >= keyed->dense_size) {
        uint32_t size = keyed->dense_size ? keyed->dense_size : DENSE_FIRST;
        while (size <= id) {
            if (size > UINT32_MAX / 2)
                return NO_SLOT;
            size *= 2;
        }
        if (!grow(keyed, &keyed->dense, &keyed->dense_size, size, sizeof *keyed->dense))
            return NO_SLOT;
    }
    if (!keyed->dense[id])
        keyed->dense[id] = new_slot(keyed, id);
    return keyed->dense[id];
}

static void table_put(struct entry *table, uint32_t size, uint64_t key, uint32_t slot)
{
    uint32_t i = (uint32_t)hash_u64(key) & (size - 1);
    while (table[i].slot)
        i = (i + 1) & (size - 1);
    table[i] = (struct entry){key, slot};
}

static bool table_resize(struct keyed *keyed, uint32_t size)
{
    if (!take(keyed, size * sizeof(struct entry)))
        return false;
    struct entry *table = memory_zeroed(size, sizeof *table);
    if (!table) {
        give(keyed, size * sizeof *table);
        return false;
    }
    for (uint32_t i = 0; i < keyed->table_size; i++)
        if (keyed->table[i].slot)
            table_put(table, size, keyed->table[i].key, keyed->table[i].slot);
    give(keyed, keyed->table_size * sizeof *table);
    memory_free(keyed->table);
    keyed->table = table;
    keyed->table_size = size;
    return true;
}

static uint32_t find_number(struct keyed *keyed, uint64_t key)
{
    if (keyed->table_used * 2 >= keyed->table_size) {
        uint32_t size = keyed->table_size ? keyed->table_size * 2 : TABLE_FIRST;
        if (!table_resize(keyed, size) && keyed->table_used + 1 >= keyed->table_size)
            return NO_SLOT;
    }
    uint32_t mask = keyed->table_size - 1;
    for (uint32_t i = (uint32_t)hash_u64(key) & mask;; i = (i + 1) & mask) {
        if (keyed->table[i].slot && keyed->table[i].key == key)
            return keyed->table[i].slot;
        if (keyed->table[i].slot)
            continue;
        uint32_t slot = new_slot(keyed, key);
        if (slot) {
            keyed->table[i] = (struct entry){key, slot};
            keyed->table_used++;
        }
        return slot;
    }
}

static uint64_t number_key(const struct weir_batch *batch, int32_t column, uint32_t row)
{
    const struct weir_column *values = &batch->columns[column];
    switch (batch->schema->fields[column].type) {
    case WEIR_BOOL:
        return values->bools[row];
    case WEIR_F64: {
        double value = values->f64[row];
        uint64_t bits;
        if (value == 0)
            value = 0; /* -0 and 0 are one key */
        memcpy(&bits, &value, sizeof bits);
        return value == value ? bits : UINT64_MAX; /* and so are all NaN */
    }
    default:
        return (uint64_t)values->i64[row];
    }
}

/* From one time to a later one; any two, so it may be more than an int64_t holds. */
static uint64_t passed(int64_t earlier, int64_t later)
{
    return (uint64_t)later - (uint64_t)earlier;
}

/* A key that comes back after longer than idle_ns starts afresh, whether or not a sweep came by in between: so results
 * do not depend on when sweeps happen. */
static void note_seen(struct keyed *keyed, const struct weir_batch *batch, uint32_t row, uint32_t slot)
{
    int64_t time = batch->columns[batch->schema->time].i64[row], seen = keyed->seen[slot];
    if (seen != INT64_MIN && time > seen && passed(seen, time) > (uint64_t)keyed->options.idle_ns) {
        void *state = slot_state(keyed, slot);
        memset(state, 0, keyed->slot_size);
        if (keyed->options.init)
            keyed->options.init(keyed->self, state);
    }
    if (time > seen)
        keyed->seen[slot] = time;
}

/* The symbol of a row: text is interned on the way, SYMBOLS_FULL when there is no room for it. */
static uint32_t symbol_at(const struct keyed *keyed, const struct weir_column *column, bool text, uint32_t row)
{
    if (!text)
        return column->symbols[row];
    if (!column->texts[row].data)
        return WEIR_SYMBOL_NULL;
    return keyed->symbols ? symbols_intern(keyed->symbols, column->texts[row].data, column->texts[row].length)
                          : SYMBOLS_FULL;
}

/* The usual case, symbols whose keys are known: what the loop needs of `keyed` it reads once, though it writes
 * pointers. From row i on; returns the first whose key is new, or `count`. */
static inline __attribute__((always_inline)) uint32_t lookup_known(const struct keyed *keyed, const uint32_t *symbols,
                                                                   const uint32_t *selection, uint32_t i,
                                                                   uint32_t count, void **states)
{
    const uint32_t *dense = keyed->dense, size = keyed->dense_size;
    const uint32_t shift = keyed->per_chunk_shift, mask = keyed->per_chunk_mask;
    const size_t slot_size = keyed->slot_size;
    char *const *chunks = keyed->chunks;
    for (; i < count; i++) {
        uint32_t id = symbols[selection ? selection[i] : i], slot = id < size ? dense[id] : NO_SLOT;
        if (__builtin_expect(!slot, 0))
            return i;
        states[i] = chunks[(slot - 1) >> shift] + ((slot - 1) & mask) * slot_size;
    }
    return i;
}

static uint32_t lookup_ids(struct keyed *keyed, const struct weir_batch *batch, const uint32_t *symbols, void **states)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        i = batch->selection ? lookup_known(keyed, symbols, batch->selection, i, batch->count, states)
                             : lookup_known(keyed, symbols, NULL, i, batch->count, states);
        if (i == batch->count)
            break;
        uint32_t slot = find_symbol(keyed, symbols[weir_batch_row(batch, i)]);
        states[i] = slot ? slot_state(keyed, slot - 1) : NULL;
        missing += !slot;
    }
    return missing;
}

static uint32_t lookup_symbols(struct keyed *keyed, const struct weir_batch *batch, int32_t column, void **states)
{
    const struct weir_column *values = &batch->columns[column];
    bool text = batch->schema->fields[column].type == WEIR_TEXT;
    bool seen = keyed->options.idle_ns && batch->schema->time >= 0;
    uint32_t missing = 0;
    if (!text && !seen)
        return lookup_ids(keyed, batch, values->symbols, states);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t row = weir_batch_row(batch, i), id = symbol_at(keyed, values, text, row);
        uint32_t slot = id < keyed->dense_size ? keyed->dense[id] : NO_SLOT;
        if (!slot && id != SYMBOLS_FULL)
            slot = find_symbol(keyed, id);
        states[i] = slot ? slot_state(keyed, slot - 1) : NULL;
        missing += !slot;
        if (seen && slot)
            note_seen(keyed, batch, row, slot - 1);
    }
    return missing;
}

static uint32_t lookup_numbers(struct keyed *keyed, const struct weir_batch *batch, int32_t column, void **states)
{
    uint32_t missing = 0;
    bool seen = keyed->options.idle_ns && batch->schema->time >= 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t row = weir_batch_row(batch, i);
        uint32_t slot = find_number(keyed, number_key(batch, column, row));
        states[i] = slot ? slot_state(keyed, slot - 1) : NULL;
        missing += !slot;
        if (seen && slot)
            note_seen(keyed, batch, row, slot - 1);
    }
    return missing;
}

uint32_t keyed_lookup(struct keyed *keyed, const struct weir_batch *batch, int32_t column, void **states)
{
    if (column >= 0) {
        enum weir_type type = batch->schema->fields[column].type;
        keyed->by_symbol = type == WEIR_SYMBOL || type == WEIR_TEXT;
        return keyed->by_symbol ? lookup_symbols(keyed, batch, column, states)
                                : lookup_numbers(keyed, batch, column, states);
    }
    if (!keyed->single)
        keyed->single = new_slot(keyed, 0);
    if (keyed->single && keyed->options.idle_ns)
        keyed->seen[keyed->single - 1] = INT64_MAX;
    void *state = keyed->single ? slot_state(keyed, keyed->single - 1) : NULL;
    for (uint32_t i = 0; i < batch->count; i++)
        states[i] = state;
    return state ? 0 : batch->count;
}

/* Linear probing leaves no tombstones: what follows the hole moves back. */
static void table_remove(struct keyed *keyed, uint64_t key)
{
    uint32_t mask = keyed->table_size - 1, i = (uint32_t)hash_u64(key) & mask;
    while (keyed->table[i].slot && keyed->table[i].key != key)
        i = (i + 1) & mask;
    if (!keyed->table[i].slot)
        return;
    keyed->table[i].slot = NO_SLOT;
    keyed->table_used--;
    for (uint32_t j = (i + 1) & mask; keyed->table[j].slot; j = (j + 1) & mask) {
        struct entry moved = keyed->table[j];
        keyed->table[j].slot = NO_SLOT;
        table_put(keyed->table, keyed->table_size, moved.key, moved.slot);
    }
}

static bool forget(struct keyed *keyed, uint32_t slot)
{
    if (keyed->free_count == keyed->free_capacity) {
        uint32_t capacity = keyed->free_capacity ? keyed->free_capacity * 2 : 256;
        uint32_t *list = memory_resize(keyed->free_list, capacity * sizeof *list);
        if (!list)
            return false;
        keyed->free_list = list;
        keyed->free_capacity = capacity;
    }
    keyed->free_list[keyed->free_count++] = slot;
    /* By where it is, not by what keys are now: two sources may have symbols and numbers in the same column. */
    if (keyed->keys[slot] < keyed->dense_size && keyed->dense[keyed->keys[slot]] == slot + 1)
        keyed->dense[keyed->keys[slot]] = NO_SLOT;
    else
        table_remove(keyed, keyed->keys[slot]);
    keyed->seen[slot] = INT64_MAX; /* free: never idle */
    keyed->count--;
    return true;
}

void keyed_expire(struct keyed *keyed, int64_t now_ns)
{
    int64_t idle = keyed->options.idle_ns;
    if (!idle || now_ns == INT64_MAX || now_ns < keyed->next_sweep)
        return;
    keyed->next_sweep = now_ns > INT64_MAX - idle / 4 ? INT64_MAX : now_ns + idle / 4;
    for (uint32_t slot = 0; slot < keyed->slots; slot++) {
        int64_t seen = keyed->seen[slot];
        if (seen != INT64_MAX && seen != INT64_MIN && now_ns > seen && passed(seen, now_ns) > (uint64_t)idle &&
            !forget(keyed, slot))
            return;
    }
}

/* What the first keys need. Were it taken when they come, it would lie between the memory of batches, and keep that in
 * pieces: with hundreds of stages, that is several times what there is in use. If there is none, it is asked for again.
 */
static void prepare(struct keyed *keyed)
{
    (void)grow(keyed, &keyed->dense, &keyed->dense_size, DENSE_FIRST, sizeof *keyed->dense);
    (void)add_chunk(keyed);
}

struct keyed *keyed_new(const struct weir_key_options *options, void *self, struct memory_budget *budget,
                        uint64_t share, struct weir_symbols *symbols)
{
    uint64_t chunk = share / CHUNKS_OF_SHARE;
    struct keyed *keyed = memory_zeroed(1, sizeof *keyed);
    if (!keyed)
        return NULL;
    keyed->options = *options;
    keyed->self = self;
    keyed->budget = budget;
    keyed->symbols = symbols;
    keyed->slot_size = round_up(options->size ? options->size : 1);
    chunk = chunk < CHUNK_BYTES_LEAST ? CHUNK_BYTES_LEAST : chunk < CHUNK_BYTES ? chunk : CHUNK_BYTES;
    while ((keyed->slot_size << (keyed->per_chunk_shift + 1)) <= chunk)
        keyed->per_chunk_shift++;
    keyed->per_chunk_mask = (1U << keyed->per_chunk_shift) - 1;
    prepare(keyed);
    return keyed;
}
