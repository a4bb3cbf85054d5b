/* SPDX-License-Identifier: MIT */
/* What a heap to be sent is made of: see <weir/spead_send.h>. */
#ifndef NET_SPEAD_OUTGOING_H
#define NET_SPEAD_OUTGOING_H
#include <weir/spead_send.h>

#include "wire/spead_encode.h"

enum { SPEAD_OUTGOING_ITEMS_MAX = 1 << 20, SPEAD_GROUP_ITEMS_MAX = SPEAD_DESCRIPTORS_MAX };

/* Encoded descriptors belong to the heap. */
struct spead_blob {
    struct spead_blob *next;
    size_t size;
    uint8_t bytes[];
};
struct weir_spead_outgoing {
    struct spead_encode_heap wire; /* its items point to `items` */
    struct spead_encode_item *items;
    size_t capacity;
    uint64_t bytes;
    struct spead_blob *blobs;
};

/* The flavour as the wire knows it; -EINVAL: none that exists. */
int spead_flavour_of(struct weir_spead_flavour flavour, struct spead_flavour *ret);
/* The same description in the wire's words; points to what `description` points to. -EINVAL: too many dimensions or
 * fields. */
int spead_descriptor_of(const struct weir_spead_description *description, struct spead_descriptor *ret);

#endif
