/* SPDX-License-Identifier: MIT */
/*
 * Rows by where they go: of a batch, those for this lane and those for that one, each in their order.
 *
 * All write a few row numbers more than they keep, which is why `rows` has room for PARTITION_SLACK beyond.
 */
#ifndef DATA_KERNEL_PARTITION_H
#define DATA_KERNEL_PARTITION_H
#include <stdint.h>

enum { PARTITION_SLACK = 4 };

/* A lane from 32 well-mixed bits, without a division. */
static inline uint8_t partition_lane(uint32_t mixed, uint32_t lanes)
{
    return (uint8_t)((uint64_t)mixed * lanes >> 32);
}

/* Ids of symbols are dense: a multiplicative hash (Knuth) spreads them evenly. */
static inline uint32_t partition_mix(uint32_t symbol)
{
    return symbol * 2654435761U;
}

/* The lane of each symbol: of row i or, with a selection, of row selection[i]. */
void partition_symbols(const uint32_t *symbols, const uint32_t *selection, uint32_t count, uint32_t lanes,
                       uint8_t *lane_of);

/* The rows whose lane is `lane`; returns how many. lane_of[i] is that of row i or selection[i]. */
uint32_t partition_pick(const uint8_t *lane_of, uint8_t lane, const uint32_t *selection, uint32_t count,
                        uint32_t *rows);

/* Rows 0 … count − 1 to two lanes by their symbols, as the two above would. Returns how many go to the first. */
uint32_t partition_halves(const uint32_t *symbols, uint32_t count, uint32_t *first, uint32_t *second);

/* All rows by lane: those of lane k are rows[starts[k] … starts[k + 1]). `starts` has lanes + 1 places. */
void partition_rows(const uint8_t *lane_of, const uint32_t *selection, uint32_t count, uint32_t lanes, uint32_t *rows,
                    uint32_t *starts);
#endif
