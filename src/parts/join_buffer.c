/* SPDX-License-Identifier: MIT */
#include "parts/join_buffer.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

enum { RING_FIRST = 4, HEAP_FIRST = 256 };

struct join_due {
    int64_t time;
    struct join_key *key;
};

/* ---- Arrays that count against the budget ----------------------------------------------------------------------- */

/* A larger copy of an array; the old one stays. NULL: no room. */
static void *larger(struct weir_env *env, const void *old, size_t count, size_t capacity, size_t size)
{
    if (!weir_state_take(env, capacity * size))
        return NULL;
    void *made = memory_allocate(capacity * size);
    if (!made) {
        weir_state_give(env, capacity * size);
        return NULL;
    }
    if (count)
        memcpy(made, old, count * size);
    return made;
}

static void drop(struct weir_env *env, void *array, size_t capacity, size_t size)
{
    if (array)
        weir_state_give(env, capacity * size);
    memory_free(array);
}

/* ---- Order ----------------------------------------------------------------------------------------------------- */

static bool before(const struct join_entry *a, const struct join_entry *b)
{
    if (a->time != b->time)
        return a->time < b->time;
    if (a->source != b->source)
        return a->source < b->source;
    return a->position < b->position;
}

static int64_t plus(int64_t a, int64_t b) /* b >= 0 */
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static bool passed(int64_t time, int64_t more, int64_t lateness, int64_t watermark)
{
    return watermark == INT64_MAX || plus(plus(time, more), lateness) < watermark;
}

static int64_t look_back(const struct join_buffer *buffer)
{
    return buffer->direction == JOIN_FORWARD ? 0 : buffer->tolerance;
}

static int64_t look_ahead(const struct join_buffer *buffer)
{
    return buffer->direction == JOIN_BACKWARD ? 0 : buffer->tolerance;
}

/* ---- Left records: a heap, the earliest on top ------------------------------------------------------------------ */

static int push_left(struct join_buffer *buffer, struct weir_env *env, const struct join_entry *entry)
{
    if (buffer->left_count == buffer->left_capacity) {
        size_t capacity = buffer->left_capacity ? 2 * buffer->left_capacity : HEAP_FIRST;
        struct join_entry *made = larger(env, buffer->lefts, buffer->left_count, capacity, sizeof *made);
        if (!made)
            return -ENOMEM;
        drop(env, buffer->lefts, buffer->left_capacity, sizeof *made);
        buffer->lefts = made;
        buffer->left_capacity = capacity;
    }
    size_t at = buffer->left_count++;
    for (size_t above; at > 0 && before(entry, &buffer->lefts[above = (at - 1) / 2]); at = above)
        buffer->lefts[at] = buffer->lefts[above];
    buffer->lefts[at] = *entry;
    entry->key->waiting++;
    return 0;
}

bool join_next(struct join_buffer *buffer, int64_t watermark, struct join_entry *ret)
{
    if (!buffer->left_count || !passed(buffer->lefts[0].time, look_ahead(buffer), buffer->lateness, watermark))
        return false;
    *ret = buffer->lefts[0];
    const struct join_entry last = buffer->lefts[--buffer->left_count];
    size_t at = 0, count = buffer->left_count;
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && before(&buffer->lefts[below + 1], &buffer->lefts[below]);
        if (!before(&buffer->lefts[below], &last))
            break;
        buffer->lefts[at] = buffer->lefts[below];
    }
    if (count)
        buffer->lefts[at] = last;
    ret->key->waiting--;
    return true;
}

/* ---- Right records: a ring for each key, and a heap that says when each is past ---------------------------------- */

static struct join_entry *right_at(const struct join_key *key, uint32_t i)
{
    return &key->rights[(key->begin + i) & (key->capacity - 1)];
}

static int grow_ring(struct join_buffer *buffer, struct weir_env *env, struct join_key *key)
{
    uint32_t capacity = key->capacity ? 2 * key->capacity : RING_FIRST;
    struct join_entry *made = larger(env, NULL, 0, capacity, sizeof *made);
    if (!made)
        return -ENOMEM;
    for (uint32_t i = 0; i < key->count; i++)
        made[i] = *right_at(key, i);
    drop(env, key->rights, key->capacity, sizeof *made);
    key->rights = made;
    key->begin = 0;
    key->capacity = capacity;
    if (!key->listed) {
        key->next = buffer->keys;
        buffer->keys = key;
        key->listed = true;
    }
    return 0;
}

static int push_due(struct join_buffer *buffer, struct weir_env *env, struct join_due due)
{
    if (buffer->due_count == buffer->due_capacity) {
        size_t capacity = buffer->due_capacity ? 2 * buffer->due_capacity : HEAP_FIRST;
        struct join_due *made = larger(env, buffer->dues, buffer->due_count, capacity, sizeof *made);
        if (!made)
            return -ENOMEM;
        drop(env, buffer->dues, buffer->due_capacity, sizeof *made);
        buffer->dues = made;
        buffer->due_capacity = capacity;
    }
    size_t at = buffer->due_count++;
    for (size_t above; at > 0 && buffer->dues[above = (at - 1) / 2].time > due.time; at = above)
        buffer->dues[at] = buffer->dues[above];
    buffer->dues[at] = due;
    return 0;
}

static struct join_due pop_due(struct join_buffer *buffer)
{
    struct join_due first = buffer->dues[0], last = buffer->dues[--buffer->due_count];
    size_t at = 0, count = buffer->due_count;
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && buffer->dues[below + 1].time < buffer->dues[below].time;
        if (buffer->dues[below].time >= last.time)
            break;
        buffer->dues[at] = buffer->dues[below];
    }
    if (count)
        buffer->dues[at] = last;
    return first;
}

static int push_right(struct join_buffer *buffer, struct weir_env *env, const struct join_entry *entry)
{
    struct join_key *key = entry->key;
    if (key->count == key->capacity && grow_ring(buffer, env, key) < 0)
        return -ENOMEM;
    if (push_due(buffer, env, (struct join_due){entry->time, key}) < 0)
        return -ENOMEM;
    uint32_t at = key->count++; /* most come in order, and stay at the end */
    for (; at > 0 && before(entry, right_at(key, at - 1)); at--)
        *right_at(key, at) = *right_at(key, at - 1);
    *right_at(key, at) = *entry;
    return 0;
}

void join_forget(struct join_buffer *buffer, struct weir_env *env, int64_t watermark)
{
    const int64_t more = plus(look_back(buffer), look_ahead(buffer));
    while (buffer->due_count && passed(buffer->dues[0].time, more, buffer->lateness, watermark)) {
        struct join_key *key = pop_due(buffer).key; /* the earliest of all is the first of its key */
        kept_rows_release(env, right_at(key, 0)->rows);
        key->begin = (key->begin + 1) & (key->capacity - 1);
        if (--key->count)
            continue;
        drop(env, key->rights, key->capacity, sizeof *key->rights);
        key->rights = NULL;
        key->begin = key->capacity = 0;
    }
}

/* How many right records of the key are at `time` or before (or only before). */
static uint32_t count_until(const struct join_key *key, int64_t time, bool only_before)
{
    uint32_t low = 0, high = key->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int64_t there = right_at(key, middle)->time;
        if (there < time || (there == time && !only_before))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t apart(int64_t earlier, int64_t later)
{
    return (uint64_t)later - (uint64_t)earlier;
}

/* Of equal times the one that stood last in its source. */
const struct join_entry *join_match(const struct join_buffer *buffer, const struct join_entry *left)
{
    const struct join_key *key = left->key;
    const uint64_t tolerance = (uint64_t)buffer->tolerance;
    const struct join_entry *back = NULL, *ahead = NULL;
    if (key->none)
        return NULL;
    uint32_t until = count_until(key, left->time, false);
    if (buffer->direction != JOIN_FORWARD && until > 0)
        back = right_at(key, until - 1);
    if (back && apart(back->time, left->time) > tolerance)
        back = NULL;
    if (buffer->direction == JOIN_FORWARD)
        until = count_until(key, left->time, true);
    if (buffer->direction != JOIN_BACKWARD && until < key->count) {
        int64_t time = right_at(key, until)->time;
        if (apart(left->time, time) <= tolerance)
            ahead = right_at(key, count_until(key, time, false) - 1);
    }
    if (!back || !ahead)
        return back ? back : ahead;
    return apart(back->time, left->time) <= apart(left->time, ahead->time) ? back : ahead;
}

/* ---- Both ------------------------------------------------------------------------------------------------------ */

uint32_t join_room(const struct join_buffer *buffer, const struct join_key *key, enum join_side side)
{
    uint32_t kept = side == JOIN_LEFT ? key->waiting : key->count;
    return kept < buffer->most ? buffer->most - kept : 0;
}

int join_add(struct join_buffer *buffer, struct weir_env *env, enum join_side side, const struct join_entry *entry)
{
    return side == JOIN_LEFT ? push_left(buffer, env, entry) : push_right(buffer, env, entry);
}

void join_buffer_free(struct join_buffer *buffer, struct weir_env *env)
{
    for (size_t i = 0; i < buffer->left_count; i++)
        kept_rows_release(env, buffer->lefts[i].rows);
    for (struct join_key *key = buffer->keys; key; key = key->next) {
        for (uint32_t i = 0; i < key->count; i++)
            kept_rows_release(env, right_at(key, i)->rows);
        drop(env, key->rights, key->capacity, sizeof *key->rights);
        key->rights = NULL;
        key->count = 0;
    }
    drop(env, buffer->lefts, buffer->left_capacity, sizeof *buffer->lefts);
    drop(env, buffer->dues, buffer->due_capacity, sizeof *buffer->dues);
    *buffer = (struct join_buffer){0};
}
