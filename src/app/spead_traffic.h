/* SPDX-License-Identifier: MIT */
/*
 * Heaps of test data, as the reference's spead2_send makes them, so that either program's --verify can check what the
 * other one sends: items 0x1000, 0x1001, … called "Test item 0", …, each a vector of big-endian u32. To be verified,
 * these are successive numbers of one generator (x ← 48271 x mod 2³¹ − 1, from 1), through all items of all heaps by
 * their counts, from 1: whoever gets a heap knows from its count alone which numbers it has.
 */
#ifndef APP_SPEAD_TRAFFIC_H
#define APP_SPEAD_TRAFFIC_H
#include <weir/spead_send.h>

struct spead_traffic_options {
    struct weir_spead_flavour flavour;
    uint64_t heap_size; /* rounded down to whole elements of all items */
    uint64_t items;
    uint32_t states; /* heaps that can be in flight */
    bool verify;
};
struct spead_traffic_state {
    struct weir_spead_completion completion;
    struct weir_spead_outgoing *first, *plain; /* with and without descriptors; the same memory */
    uint32_t *elements;
};
struct spead_traffic {
    uint64_t elements, items, heap_bytes; /* elements of each item */
    bool verify;
    uint32_t count;
    struct spead_traffic_state *states;
    struct weir_spead_outgoing *stop;
    void *memory;
};
enum { SPEAD_TRAFFIC_ITEMS_MAX = 100000 };

/* -ENOMEM, -EINVAL. The traffic is to be freed in every case. */
int spead_traffic_make(struct spead_traffic *traffic, const struct spead_traffic_options *options);
void spead_traffic_free(struct spead_traffic *traffic);
/* Gets the state's data ready for the heap of this count. */
void spead_traffic_fill(const struct spead_traffic *traffic, struct spead_traffic_state *state, uint64_t count);

/* The number before the first one of the heap of this count, when each heap has so many; and the one after a number. */
uint64_t spead_traffic_number_before(uint64_t count, uint64_t numbers);
uint64_t spead_traffic_next_number(uint64_t number);
#endif
