/* SPDX-License-Identifier: MIT */
/*
 * Received heaps → batches, a record for each heap. What the stream's descriptors say of its items becomes the schema:
 *
 *   number                  column of i64, f64 or bool; where a heap leaves it out, its sender's last value
 *   characters              column of text
 *   array of numbers        column of arrays, which points into the heap: nothing is copied, the batch owns the heap.
 *                           Numbers that a machine has no type for (10 bits, half floats) are unpacked into wider ones
 *   records                 no column
 *
 * One thread: the source's.
 */
#ifndef PARTS_SPEAD_COLUMNS_H
#define PARTS_SPEAD_COLUMNS_H
#include <weir/part.h>
#include <weir/spead.h>

struct spead_columns_options {
    struct weir_list items;    /* names or ids of the items that become columns; none: all */
    struct weir_list describe; /* name: "0x1000 i16[]", for items that no descriptor comes for */
    const char *time;          /* the item that is event time; NULL or "": when the heap came */
    const char *time_scale;    /* what one unit of it is: "1us", or how many are in a second: "1712e6/s" */
    const char *time_start;    /* the time that 0 stands for */
    const char *key;           /* the item that is the key; NULL or "": the sender */
    bool pyspead, incomplete;  /* incomplete: such heaps come too, a column says so */
};

/* Heaps that made no record, by reason; and what else was lost. */
struct spead_columns_losses {
    _Atomic uint64_t no_data;     /* no item that is a column: descriptors alone, say; no loss */
    _Atomic uint64_t lacks_array; /* one of the arrays was not in it */
    _Atomic uint64_t too_short;   /* an item had fewer bytes than its descriptor says */
    _Atomic uint64_t missing;     /* places of chunks without a heap */
    _Atomic uint64_t no_time;     /* heaps whose time is none between the years 1677 and 2262: it is null */
    _Atomic uint64_t no_number;   /* numbers of 64 bits over 2^63: null */
    _Atomic uint64_t texts_cut;   /* longer than is kept */
    _Atomic uint64_t refused;     /* descriptors that could not be read */
    _Atomic uint64_t undescribed; /* items that no descriptor came for; the heap may still have made one */
};

struct spead_columns;
int spead_columns_new(const struct spead_columns_options *options, struct weir_env *env, struct spead_columns **ret);
void spead_columns_free(struct spead_columns *columns); /* NULL is allowed */
const struct spead_columns_losses *spead_columns_losses(const struct spead_columns *columns);

/* Takes in the heap's descriptors. -ENOMEM, or -E2BIG with words: more items than a record can have columns. */
int spead_columns_read(struct spead_columns *columns, const struct weir_spead_heap *heap);
/* What the next batch needs to know of where the heap is from. */
struct spead_arrival {
    const char *sender;  /* its name; only looked at when its number is new */
    int64_t wall_ns;     /* wall clock */
    int64_t produced_ns; /* weir_now's */
};
/* The name of the sender is known already? */
bool spead_columns_knows(const struct spead_columns *columns, uint32_t source);
/* Makes the batch, whose arrays point into the heap, and takes over the reference to it. 1: done; 0: it makes no record
 * (counted), the heap is still the caller's. -ENOMEM: nothing happened, try again once there is memory. */
int spead_columns_batch(struct spead_columns *columns, struct weir_spead_heap *heap,
                        const struct spead_arrival *arrival, struct weir_batch **ret);
/* Says a sender's name. -ENOMEM. */
int spead_columns_name(struct spead_columns *columns, uint32_t source, const char *name);
/* The same for a chunk whose senders are all known: a batch with a row for each place, of which those with a heap are
 * selected. Where a heap is nothing but one array, the column is the block itself; else it is a copy. wall_offset: what
 * to add to heaps' times for the wall clock's; produced_ns: of all rows, or INT64_MIN: when each heap had come. */
int spead_columns_chunk(struct spead_columns *columns, struct weir_spead_heap *chunk, int64_t wall_offset,
                        int64_t produced_ns, struct weir_batch **ret);
#endif
