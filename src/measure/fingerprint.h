/* SPDX-License-Identifier: MIT */
/*
 * What a run gave to its sinks, small enough to keep: to tell whether a faster run still gives the same answer.
 *
 * For each sink: how many records, a hash of all their values that does not depend on their order (lanes finish as they
 * like), and for each column of floating-point numbers a sum in which every record has its own weight, made from its
 * other columns. Where only the last digits differ (another method for the same statistic), the hash differs and the
 * sums agree; where a value went to the wrong record, both differ.
 *
 * Threads: fingerprint_stored is a pipeline's options.stored; everything else belongs to the main thread.
 */
#ifndef MEASURE_FINGERPRINT_H
#define MEASURE_FINGERPRINT_H
#include <stdbool.h>
#include <stdint.h>
#include <weir/batch.h>

struct plan;
struct weir_symbols;
struct weir_buffer;
struct json_node;
struct fingerprints;

enum {
    FINGERPRINT_COLUMNS_MAX = 64, /* numbers compared by sums; the hash holds all columns */
    FINGERPRINT_LANES_MAX = 64,   /* lanes beyond share the place of the sink's own thread: an engine has no more */
};

struct fingerprint_column {
    char name[64];
    uint64_t nulls, infinite;
    double sum, size; /* of weight × value, of its absolute value */
};
struct fingerprint { /* of one sink */
    char sink[96];
    uint64_t records, hash;
    uint32_t column_count;
    struct fingerprint_column columns[FINGERPRINT_COLUMNS_MAX];
};

/* NULL: out of memory. */
struct fingerprints *fingerprints_new(const struct plan *plan, uint32_t lanes);
void fingerprints_free(struct fingerprints *prints); /* NULL is allowed */
void fingerprint_stored(void *observer, uint32_t sink, uint32_t lane, const struct weir_batch *batch,
                        struct weir_symbols *symbols);
/* Once the pipeline is done: the sum over the lanes for sink number `nth` of the plan. False: there is none. */
bool fingerprints_get(const struct fingerprints *prints, uint32_t nth, struct fingerprint *ret);

enum fingerprint_verdict { FINGERPRINT_SAME, FINGERPRINT_ROUNDING, FINGERPRINT_DIFFERENT };
/* `words`: what differs, or "". */
enum fingerprint_verdict fingerprint_compare(const struct fingerprint *before, const struct fingerprint *after,
                                             char *words, size_t size);

/* As JSON, and back: 0 or -EINVAL. */
void fingerprint_write(const struct fingerprint *print, struct weir_buffer *out);
int fingerprint_read(const struct json_node *node, struct fingerprint *ret);
#endif
