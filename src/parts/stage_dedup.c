/* SPDX-License-Identifier: MIT */
/*
 * dedup: drops a record when one like it came before: of the same key and time, or the same in given columns. For each
 * key the last `remember` different records are kept as a hash of 128 bits (two different ones that agree in it are not
 * to be expected in the life of a machine), the oldest of them is forgotten for a new one.
 *
 *     state of one key:  | head | buckets: index + 1 of the newest entry, by hash | entries: a ring |
 */
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "parts/numeric.h"
#include "parts/parts.h"
#include "parts/sieve.h"

enum { REMEMBER_MOST = 65536, COLUMNS_MOST = 64 };
#define SPAN_MOST 3.2e17 /* ns: ten years */

struct entry {
    uint64_t hash[2];
    int64_t time;  /* when it was last let through */
    uint32_t next; /* of the same bucket: index + 1; 0: none */
};

struct dedup_key { /* state of a key */
    uint32_t next, count;
    uint32_t buckets[];
};

struct dedup {
    struct weir_list by; /* options */
    int64_t remember, window;

    struct weir_list first;         /* of by */
    struct sieve sieve;             /* by the first alone */
    uint32_t columns[COLUMNS_MOST]; /* that are compared */
    uint32_t column_count, bucket_count;
    size_t entries; /* offset in the state */
};

static const char *dedup_key_column(const void *self)
{
    return grouping_key(&((const struct dedup *)self)->by);
}

static int dedup_open(void *self, struct weir_env *env)
{
    struct dedup *dedup = self;
    if (dedup->by.count > COLUMNS_MOST)
        return weir_fail_at(env->error, -EINVAL, dedup->by.items[0].value.mark, "%s: by takes at most %d columns",
                            env->name, (int)COLUMNS_MOST);
    dedup->first = dedup->by;
    dedup->first.count = dedup->by.count ? 1 : 0;
    dedup->bucket_count = 2;
    while (dedup->bucket_count < dedup->remember)
        dedup->bucket_count *= 2;
    dedup->entries = sizeof(struct dedup_key) + dedup->bucket_count * sizeof(uint32_t);
    return 0;
}

static void dedup_close(void *self, struct weir_env *env)
{
    struct dedup *dedup = self;
    (void)env;
    sieve_free(&dedup->sieve);
}

static int dedup_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct dedup *dedup = self;
    if (in->time < 0 && (dedup->window || !dedup->by.count))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: these records have no event time to compare: give the source time: COLUMN, or say "
                            "here by: [COLUMN, ...], without window",
                            env->name);
    int error = grouping_bind(&dedup->sieve.grouping, env, &dedup->first, in);
    if (error)
        return error;
    dedup->column_count = 0;
    if (!dedup->by.count)
        dedup->columns[dedup->column_count++] = (uint32_t)in->time;
    for (size_t i = 1; i < dedup->by.count; i++) {
        struct weir_quoted name = dedup->by.items[i].value;
        int32_t index = weir_schema_find(in, name.text);
        if (index < 0)
            return numeric_unknown(env, in, name);
        dedup->columns[dedup->column_count++] = (uint32_t)index;
    }
    error = weir_key_state_define(
        env, &(struct weir_key_options){.size = dedup->entries + (size_t)dedup->remember * sizeof(struct entry)});
    if (!error)
        *out = weir_schema_reference(in);
    return error;
}

/* Texts by what they say, and so symbols by their number: equal ones are the same. */
static void hash_row(const struct dedup *dedup, const struct weir_batch *in, uint32_t row, uint64_t hash[2])
{
    hash[0] = 1;
    hash[1] = 2;
    for (uint32_t i = 0; i < dedup->column_count; i++) {
        const struct weir_field *field = &in->schema->fields[dedup->columns[i]];
        const size_t width = weir_field_width(field);
        const void *bytes = (const char *)in->columns[dedup->columns[i]].data + row * width;
        size_t size = width;
        double number;
        if (field->type == WEIR_TEXT) {
            const struct weir_text *text = bytes;
            size = text->data ? text->length : 0;
            hash[0] += text->data ? 1 : 0; /* an empty one is not null */
            bytes = text->data;
        } else if (field->type == WEIR_F64) {
            number = in->columns[dedup->columns[i]].f64[row];
            number = number == 0 ? 0 : isnan(number) ? NAN : number; /* one zero, one null */
            bytes = &number;
        }
        uint64_t value = hash_bytes(bytes, size), other = size > 8 ? hash_bytes(bytes, size - 1) : value;
        hash[0] = hash_u64(hash[0] ^ value);
        hash[1] = hash_u64(hash[1] + 0x9e3779b97f4a7c15ULL * (value ^ other << 1));
    }
}

static struct entry *entries_of(const struct dedup *dedup, struct dedup_key *key)
{
    return (struct entry *)(void *)((char *)key + dedup->entries);
}

static uint32_t *bucket_of(const struct dedup *dedup, struct dedup_key *key, const uint64_t hash[2])
{
    return &key->buckets[hash[0] & (dedup->bucket_count - 1)];
}

/* Takes the oldest entry out of its bucket. */
static void forget(const struct dedup *dedup, struct dedup_key *key, uint32_t index)
{
    struct entry *entries = entries_of(dedup, key);
    uint32_t *link = bucket_of(dedup, key, entries[index].hash);
    while (*link != index + 1)
        link = &entries[*link - 1].next;
    *link = entries[index].next;
}

/* True when there was none like it (within the window). */
static bool is_new(const struct dedup *dedup, struct dedup_key *key, const uint64_t hash[2], int64_t time)
{
    struct entry *entries = entries_of(dedup, key);
    uint32_t *bucket = bucket_of(dedup, key, hash);
    for (uint32_t at = *bucket; at; at = entries[at - 1].next) {
        struct entry *entry = &entries[at - 1];
        int64_t since;
        if (entry->hash[0] != hash[0] || entry->hash[1] != hash[1])
            continue;
        if (!dedup->window)
            return false;
        if (!__builtin_sub_overflow(time, entry->time, &since) && since < dedup->window && since > -dedup->window)
            return false;
        entry->time = time;
        return true;
    }
    uint32_t index = key->next;
    if (key->count == dedup->remember)
        forget(dedup, key, index);
    else
        key->count++;
    entries[index] = (struct entry){.hash = {hash[0], hash[1]}, .time = time, .next = *bucket};
    *bucket = index + 1;
    key->next = index + 1 == dedup->remember ? 0 : index + 1;
    return true;
}

static uint32_t dedup_pick(void *self, struct weir_env *env, const struct weir_batch *in,
                           const struct weir_batch *keyed)
{
    struct dedup *dedup = self;
    const int64_t *times = in->schema->time >= 0 ? in->columns[in->schema->time].i64 : NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < keyed->count; i++) {
        uint32_t row = weir_batch_row(keyed, i);
        uint64_t hash[2];
        hash_row(dedup, in, row, hash);
        if (is_new(dedup, dedup->sieve.states[i], hash, times ? times[row] : 0))
            dedup->sieve.rows[count++] = row;
    }
    weir_count(env, "duplicates", NULL, keyed->count - count);
    return count;
}

static int dedup_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    return sieve_process(&((struct dedup *)self)->sieve, env, in, out, dedup_pick, self);
}

static const struct weir_option dedup_options[] = {
    {.name = "by",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct dedup, by),
     .flags = WEIR_OPTION_MAIN,
     .help = "columns in which two records have to agree, the first of them chosen so that it has many values; without "
             "it the key of the source and the time"},
    {.name = "remember",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct dedup, remember),
     .fallback = "64",
     .least = 1,
     .most = REMEMBER_MOST,
     .help = "how many different records of a key (of a value of the first column) are remembered"},
    {.name = "window",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct dedup, window),
     .least = 0,
     .most = SPAN_MOST,
     .help = "a record like one that was let through longer ago than this, in event time, is let through again"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_dedup = {
    .part = {.kind = WEIR_STAGE,
             .name = "dedup",
             .summary = "drops records that came before: same key and time, or same in given columns",
             .example = "stages:\n"
                        "  - dedup: {by: [sensor, value], window: 10m}\n",
             .options = dedup_options,
             .size = sizeof(struct dedup),
             .open = dedup_open,
             .close = dedup_close},
    .key = dedup_key_column,
    .bind = dedup_bind,
    .process = dedup_process,
};
