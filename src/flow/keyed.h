/* SPDX-License-Identifier: MIT */
/*
 * Keyed state: for each key that an instance of a stage has seen, a slot of bytes that belongs to the part and is kept,
 * counted and forgotten by the engine.
 *
 *     key ──► index (symbols: an array by id; numbers: a hash table) ──► slot number ──► chunk[slot / n] + slot % n
 *
 * Slots never move, so a pointer is good until the key is forgotten. All memory counts against the state budget.
 * One thread.
 */
#ifndef FLOW_KEYED_H
#define FLOW_KEYED_H

#include <weir/part.h>

#include "base/memory.h"
#include "data/symbols.h"

struct keyed;

/* `self` is given to options->init; `symbols` interns keys that are text (NULL: there are none). `share`: how much of
 * the budget there is for each that takes from it; memory comes in small pieces where that is little. NULL: out of
 * memory or budget. */
struct keyed *keyed_new(const struct weir_key_options *options, void *self, struct memory_budget *budget,
                        uint64_t share, struct weir_symbols *symbols);
void keyed_free(struct keyed *keyed); /* NULL is allowed */
size_t keyed_slot_size(const struct keyed *keyed);
uint64_t keyed_count(const struct keyed *keyed);

/* For each selected row of the batch the state of its key in column `column` (-1: all rows share one state), or NULL
 * where the key is new and there is no room for it. Returns how many are NULL. The column is symbol, text, i64, time,
 * bool or f64. */
uint32_t keyed_lookup(struct keyed *keyed, const struct weir_batch *batch, int32_t column, void **states);

/* Event time has come to `now_ns`: forgets keys that were idle for longer than options.idle_ns. */
void keyed_expire(struct keyed *keyed, int64_t now_ns);

#endif
