/* SPDX-License-Identifier: MIT */
/*
 * Nulls that are put on a straight line from the value before to the value behind: the records wait until that one
 * comes, and whatever comes of their key meanwhile waits behind them.
 *
 *     came:     10    null   (none)   null    16
 *     waits:          ├──────────────────┤     │ resolves all of them: 12, 13, 14 or so, by their times
 *
 * A record stops waiting for a field when its value has come, when more than `limit` of the key in a row have none (all
 * that wait then stay null), or when event time has gone on by more than `within` since the record. At the end of the
 * stream all go out as they are.
 *
 * Everything is decided by the records of the key in their order and by event time, not by where batches begin. One
 * thread. States of keys must stay good until line_free.
 */
#ifndef PARTS_FILL_LINE_H
#define PARTS_FILL_LINE_H
#include "parts/kept_rows.h"

enum { LINE_FIELDS_MOST = 64 };

struct line_entry {         /* a record that waits, or goes out */
    struct kept_rows *rows; /* a reference; NULL: one that was put in */
    uint32_t row;
    int64_t time, produced;
    uint64_t position;
    uint64_t pending;  /* a bit for each field whose null waits */
    uint64_t values[]; /* of the fields, then of the key */
};

struct line_last { /* of a field */
    uint64_t bits;
    int64_t time;
    uint32_t waiting; /* entries that have it pending */
    uint32_t run;     /* records without it since there was a value */
    bool known;       /* there is a value to begin a line with */
};

struct line_key { /* state of a key; begins as zeroes */
    char *ring;
    uint32_t begin, count, capacity; /* a power of two */
    bool listed, marked;             /* is among line->keys; in the heap */
    int64_t time;                    /* of its newest record */
    bool begun;
    struct line_key *next;
    struct line_last lasts[];
};

struct line_mark; /* an entry of the heap */

struct line {
    uint32_t fields, key_values;
    enum weir_type types[LINE_FIELDS_MOST];
    int64_t limit, within; /* ns; 0: without end */
    size_t entry_size;
    struct line_key *keys;
    struct line_mark *marks;
    size_t mark_count, mark_capacity;
    char *released; /* entries on their way out, in the order of each key */
    size_t released_count, released_capacity;
    uint64_t given_up; /* values; the owner takes it off */
};

static inline size_t line_key_size(uint32_t fields)
{
    return sizeof(struct line_key) + fields * sizeof(struct line_last);
}

void line_init(struct line *line, uint32_t fields, uint32_t key_values);

/* The next record of a key. `values`: of the fields, then of the key, `nulls`: a bit for each field that is null.
 * Resolves what waited for its values. Returns 1 when it waits itself or goes out behind those that do (the entry, with
 * its reference, is taken over), 0 when it may pass as it is, or -ENOMEM, when it may too. */
int line_take(struct line *line, struct weir_env *env, struct line_key *key, const struct line_entry *record,
              const uint64_t *values, uint64_t nulls);
/* A record that goes out at once, before what line_take lets go next. */
int line_put(struct line *line, const struct line_entry *record, const uint64_t *values);

/* Event time has come to `watermark` (INT64_MAX: the end): for one key, and for all. 0 or -ENOMEM. */
int line_expire_key(struct line *line, struct line_key *key, int64_t watermark);
int line_expire(struct line *line, int64_t watermark);

struct line_entry *line_released(const struct line *line, size_t i);
void line_forget_released(struct line *line, struct weir_env *env); /* they have gone out */

void line_free(struct line *line, struct weir_env *env); /* of a zeroed one too */
#endif
