/* SPDX-License-Identifier: MIT */
#include "parts/fill_line.h"

#include <errno.h>

#include "base/memory.h"
#include "parts/values.h"

enum { RING_FIRST = 4, FIRST = 64 };

struct line_mark {
    int64_t time; /* of a record that waits */
    struct line_key *key;
};

void line_init(struct line *line, uint32_t fields, uint32_t key_values)
{
    line->fields = fields;
    line->key_values = key_values;
    line->entry_size = sizeof(struct line_entry) + (fields + key_values) * sizeof(uint64_t);
}

static struct line_entry *entry_at(const struct line *line, const struct line_key *key, uint32_t i)
{
    return (struct line_entry *)(void *)(key->ring + ((key->begin + i) & (key->capacity - 1)) * line->entry_size);
}

struct line_entry *line_released(const struct line *line, size_t i)
{
    return (struct line_entry *)(void *)(line->released + i * line->entry_size);
}

/* ---- On the way out -------------------------------------------------------------------------------------------- */

static int reserve_released(struct line *line, size_t more)
{
    if (line->released_count + more <= line->released_capacity)
        return 0;
    size_t capacity = line->released_capacity ? 2 * line->released_capacity : FIRST;
    capacity = capacity < line->released_count + more ? line->released_count + more : capacity;
    char *released = memory_resize(line->released, capacity * line->entry_size);
    if (!released)
        return -ENOMEM;
    line->released = released;
    line->released_capacity = capacity;
    return 0;
}

int line_put(struct line *line, const struct line_entry *record, const uint64_t *values)
{
    if (reserve_released(line, 1) < 0)
        return -ENOMEM;
    struct line_entry *entry = line_released(line, line->released_count++);
    *entry = *record;
    memcpy(entry->values, values, line->entry_size - sizeof *entry);
    return 0;
}

/* Those at the head of a key that wait for nothing any more. */
static int release(struct line *line, struct line_key *key)
{
    uint32_t ready = 0;
    while (ready < key->count && !entry_at(line, key, ready)->pending)
        ready++;
    if (reserve_released(line, ready) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < ready; i++)
        memcpy(line_released(line, line->released_count++), entry_at(line, key, i), line->entry_size);
    key->begin = key->capacity ? (key->begin + ready) & (key->capacity - 1) : 0;
    key->count -= ready;
    return 0;
}

void line_forget_released(struct line *line, struct weir_env *env)
{
    for (size_t i = 0; i < line->released_count; i++)
        kept_rows_release(env, line_released(line, i)->rows);
    line->released_count = 0;
}

/* ---- Values ---------------------------------------------------------------------------------------------------- */

/* On the line from (a->time, a) to (b_time, b); integers to the nearest. */
static uint64_t on_line(enum weir_type type, const struct line_last *a, int64_t b_time, uint64_t b, int64_t time)
{
    double part = b_time > a->time ? (double)(time - a->time) / (double)(b_time - a->time) : 0, from, to, value;
    uint64_t bits;
    if (type == WEIR_I64) {
        int64_t whole = llround((1 - part) * (double)(int64_t)a->bits + part * (double)(int64_t)b);
        memcpy(&bits, &whole, sizeof bits);
        return bits;
    }
    memcpy(&from, &a->bits, sizeof from);
    memcpy(&to, &b, sizeof to);
    value = (1 - part) * from + part * to;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static bool beyond(const struct line *line, int64_t time, int64_t now)
{
    return line->within && now > time && (uint64_t)now - (uint64_t)time > (uint64_t)line->within;
}

/* A value has come: those that waited for it are put on the line to it. */
static void resolve(struct line *line, struct line_key *key, uint32_t field, int64_t time, uint64_t bits)
{
    struct line_last *last = &key->lasts[field];
    for (uint32_t i = key->count; i-- > 0 && last->waiting;) {
        struct line_entry *entry = entry_at(line, key, i);
        if (!(entry->pending >> field & 1))
            continue;
        entry->pending &= ~(UINT64_C(1) << field);
        last->waiting--;
        if (beyond(line, entry->time, time))
            line->given_up++;
        else
            entry->values[field] = on_line(line->types[field], last, time, bits, entry->time);
    }
    *last = (struct line_last){.bits = bits, .time = time, .known = true};
}

/* Too many wait for a field: none gets a value, nor those that come before the next value. */
static void give_up(struct line *line, struct line_key *key, uint32_t field)
{
    for (uint32_t i = 0; i < key->count; i++)
        entry_at(line, key, i)->pending &= ~(UINT64_C(1) << field);
    line->given_up += key->lasts[field].waiting;
    key->lasts[field].waiting = 0;
    key->lasts[field].known = false;
}

/* ---- Waiting --------------------------------------------------------------------------------------------------- */

static int grow_ring(struct line *line, struct weir_env *env, struct line_key *key)
{
    uint32_t capacity = key->capacity ? 2 * key->capacity : RING_FIRST;
    if (!weir_state_take(env, capacity * line->entry_size))
        return -ENOMEM;
    char *ring = memory_allocate(capacity * line->entry_size);
    if (!ring) {
        weir_state_give(env, capacity * line->entry_size);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < key->count; i++)
        memcpy(ring + i * line->entry_size, entry_at(line, key, i), line->entry_size);
    if (key->ring)
        weir_state_give(env, key->capacity * line->entry_size);
    memory_free(key->ring);
    key->ring = ring;
    key->begin = 0;
    key->capacity = capacity;
    if (!key->listed) {
        key->next = line->keys;
        line->keys = key;
        key->listed = true;
    }
    return 0;
}

/* Notes when to look at a key again; once for all that wait there. */
static int mark(struct line *line, struct line_key *key, int64_t time)
{
    if (!line->within || key->marked)
        return 0;
    if (line->mark_count == line->mark_capacity) {
        size_t capacity = line->mark_capacity ? 2 * line->mark_capacity : FIRST;
        struct line_mark *marks = memory_resize(line->marks, capacity * sizeof *marks);
        if (!marks)
            return -ENOMEM;
        line->marks = marks;
        line->mark_capacity = capacity;
    }
    size_t at = line->mark_count++;
    for (size_t above; at > 0 && line->marks[above = (at - 1) / 2].time > time; at = above)
        line->marks[at] = line->marks[above];
    line->marks[at] = (struct line_mark){time, key};
    key->marked = true;
    return 0;
}

static struct line_key *pop_mark(struct line *line)
{
    struct line_key *first = line->marks[0].key;
    const struct line_mark last = line->marks[--line->mark_count];
    size_t at = 0, count = line->mark_count;
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && line->marks[below + 1].time < line->marks[below].time;
        if (line->marks[below].time >= last.time)
            break;
        line->marks[at] = line->marks[below];
    }
    if (count)
        line->marks[at] = last;
    first->marked = false;
    return first;
}

static int push(struct line *line, struct weir_env *env, struct line_key *key, const struct line_entry *record,
                const uint64_t *values, uint64_t pending)
{
    if (key->count == key->capacity && grow_ring(line, env, key) < 0)
        return -ENOMEM;
    if (mark(line, key, record->time) < 0)
        return -ENOMEM;
    struct line_entry *entry = entry_at(line, key, key->count++);
    *entry = *record;
    entry->pending = pending;
    memcpy(entry->values, values, line->entry_size - sizeof *entry);
    for (uint32_t f = 0; f < line->fields; f++)
        if (pending >> f & 1) {
            key->lasts[f].waiting++;
            if (++key->lasts[f].run > line->limit)
                give_up(line, key, f);
        }
    return 0;
}

int line_take(struct line *line, struct weir_env *env, struct line_key *key, const struct line_entry *record,
              const uint64_t *values, uint64_t nulls)
{
    uint64_t pending = 0;
    for (uint32_t f = 0; f < line->fields; f++) {
        if (!(nulls >> f & 1))
            resolve(line, key, f, record->time, values[f]);
        else if (key->lasts[f].known)
            pending |= UINT64_C(1) << f;
    }
    int error = release(line, key);
    if (error < 0 || (!key->count && !pending))
        return error;
    error = push(line, env, key, record, values, pending);
    if (error < 0)
        return error;
    (void)release(line, key); /* at most this one and those it gave up: else with the next */
    return 1;
}

/* ---- Event time ------------------------------------------------------------------------------------------------- */

int line_expire_key(struct line *line, struct line_key *key, int64_t watermark)
{
    for (uint32_t i = 0; i < key->count; i++) {
        struct line_entry *entry = entry_at(line, key, i);
        if (watermark != INT64_MAX && !beyond(line, entry->time, watermark))
            break; /* nor are those behind it */
        for (uint32_t f = 0; f < line->fields; f++)
            key->lasts[f].waiting -= entry->pending >> f & 1;
        line->given_up += (uint64_t)__builtin_popcountll(entry->pending);
        entry->pending = 0;
    }
    return release(line, key);
}

int line_expire(struct line *line, int64_t watermark)
{
    int error = 0;
    if (watermark == INT64_MAX) {
        for (struct line_key *key = line->keys; key && !error; key = key->next)
            error = line_expire_key(line, key, watermark);
        return error;
    }
    while (line->mark_count && beyond(line, line->marks[0].time, watermark) && !error) {
        struct line_key *key = pop_mark(line);
        error = line_expire_key(line, key, watermark);
        if (!error && key->count)
            error = mark(line, key, entry_at(line, key, 0)->time);
    }
    return error;
}

void line_free(struct line *line, struct weir_env *env)
{
    line_forget_released(line, env);
    for (struct line_key *key = line->keys; key; key = key->next) {
        for (uint32_t i = 0; i < key->count; i++)
            kept_rows_release(env, entry_at(line, key, i)->rows);
        weir_state_give(env, key->capacity * line->entry_size);
        memory_free(key->ring);
    }
    memory_free(line->marks);
    memory_free(line->released);
    *line = (struct line){0};
}
