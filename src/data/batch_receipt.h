/* SPDX-License-Identifier: MIT */
/*
 * What a batch must know of a receipt: how to count references. The whole receipt (what became of each record of one
 * source batch) is flow's, which embeds this head as its first member.
 */
#ifndef DATA_BATCH_RECEIPT_H
#define DATA_BATCH_RECEIPT_H
#include <stdatomic.h>
#include <weir/batch.h>

struct weir_receipt {
    _Atomic uint32_t references;
    void (*released)(struct weir_receipt *receipt); /* called once, from any thread, with the last reference */
};

static inline struct weir_receipt *receipt_reference(struct weir_receipt *receipt)
{
    atomic_fetch_add_explicit(&receipt->references, 1, memory_order_relaxed);
    return receipt;
}

static inline void receipt_unreference(struct weir_receipt *receipt)
{
    if (atomic_fetch_sub_explicit(&receipt->references, 1, memory_order_acq_rel) == 1) {
        receipt->released(receipt);
    }
}

/* Makes `receipt` the only receipt of an unpublished batch that has none, every row r being row r of it. Takes over the
 * caller's reference. Costs no memory: each batch has room for one. */
void batch_set_receipt(struct weir_batch *batch, struct weir_receipt *receipt);
#endif
