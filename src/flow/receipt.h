/* SPDX-License-Identifier: MIT */
/*
 * Receipts: what became of each record. A receipt stands for one batch of a source; every batch downstream that has
 * records of it holds a reference. Each of its records ends as stored, refused, filtered or dropped, and when the last
 * reference goes, the account of the source is credited and the totals are added up:
 *
 *     read = stored + refused + filtered + dropped
 *
 * Where a pipeline branches, one record may end in several ways. Then a byte for each record collects them, and the
 * record counts once, as the first that is true of: stored, refused, dropped, filtered.
 */
#ifndef FLOW_RECEIPT_H
#define FLOW_RECEIPT_H

#include <pthread.h>
#include <stdatomic.h>
#include <weir/batch.h>

#include "base/waiter.h"
#include "data/batch_receipt.h"

enum outcome { OUTCOME_STORED, OUTCOME_REFUSED, OUTCOME_DROPPED, OUTCOME_FILTERED, OUTCOME_COUNT };

enum { ACCOUNT_WINDOW = 1024 }; /* most batches of one source that are in flight */

/* The books of one source. */
struct account {
    pthread_mutex_t lock; /* guards what follows up to `read` */
    struct {
        int64_t produced;
        bool done;
    } window[ACCOUNT_WINDOW]; /* by sequence modulo its size */
    uint64_t oldest, next;    /* sequence numbers: oldest not settled, next to be given */
    uint64_t bytes, bytes_limit, bytes_peak;
    bool waiting;               /* the source waits for credit */
    struct weir_waiter *waiter; /* the source's */
    bool branches;              /* a record can reach more than one end */

    _Atomic uint64_t read, outcomes[OUTCOME_COUNT], unaccounted;
};

struct receipt {
    struct weir_receipt head; /* first */
    struct account *account;
    uint64_t sequence, bytes;
    uint64_t records; /* set once, before the batch is published */
    uint64_t rows;    /* of marks */
    _Atomic uint64_t outcomes[OUTCOME_COUNT];
    _Atomic uint8_t *marks; /* where the pipeline branches: bits 1 << outcome for each row */
};

int account_init(struct account *account, uint64_t bytes_limit, bool branches, struct weir_waiter *waiter);
void account_destroy(struct account *account);

/* True when one more batch may be in flight; else notes that the source waits, and it is woken when there is credit. */
bool account_credit(struct account *account);
/* Produced time of the oldest unsettled record; 0 when everything is settled. */
int64_t account_oldest(struct account *account);

/* A receipt for the next batch, with one reference; NULL: out of memory. The source's thread. */
struct receipt *receipt_new(struct account *account, int64_t produced, uint64_t bytes);
void receipt_release(struct receipt *receipt);
static inline struct receipt *receipt_hold(struct receipt *receipt) /* NULL is allowed */
{
    if (receipt)
        (void)receipt_reference(&receipt->head);
    return receipt;
}

/* Says how many records the batch has, of which `rows` become rows of the batch (the rest are settled with
 * receipt_settle_unseen). Before publishing; once. -ENOMEM: the records count as read, but rows could not be told
 * apart: the caller settles them all, unseen. */
int receipt_set_records(struct receipt *receipt, uint64_t records, uint32_t rows);
void receipt_settle_unseen(struct receipt *receipt, uint64_t records, enum outcome outcome);

/* Settles rows of a batch: `count` physical rows, or its selection when rows is NULL. Any thread. */
void receipt_settle(const struct weir_batch *batch, const uint32_t *rows, uint32_t count, enum outcome outcome);
static inline void receipt_settle_all(const struct weir_batch *batch, enum outcome outcome)
{
    receipt_settle(batch, NULL, batch->count, outcome);
}

#endif
