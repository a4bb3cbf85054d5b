/* SPDX-License-Identifier: MIT */
/*
 * Heaps to packets. Headers and item pointers are written into memory of the caller's; payload is referenced where it
 * stands, packet by packet, as vectors for sendmsg:
 *
 *   items        [id 5: 189 bytes] [id 0x1000: 8000 bytes] [id 0x1001: immediate]
 *   packet 0     arena ▶ header, cnt, len, offset 0, payload len, 3 pointers │ 189 bytes │ the first 1200 of id 0x1000
 *   packet 1     arena ▶ header, cnt, len, offset 1389 & ~7, payload len     │ the next bytes of id 0x1000
 *
 * Rules, those of the reference's sender: the packet size is rounded down to a multiple of 8; each packet begins with
 * HEAP_CNT, HEAP_LEN, PAYLOAD_OFFSET and PAYLOAD_LEN; then come as many item pointers as fit, then payload to the end
 * of the packet, which may split an item anywhere but at a multiple of 8 from the heap's beginning. Each packet has at
 * least one byte of payload, so that offsets are unique and a loss shows: a heap with less than that is padded with
 * zeros, and an addressed NULL pointer at their beginning ends the item before them.
 *
 * Nothing here allocates, looks at a clock or keeps a reference after the call that was given it.
 */
#ifndef WIRE_SPEAD_ENCODE_H
#define WIRE_SPEAD_ENCODE_H
#include <sys/uio.h>

#include "wire/spead.h"

enum spead_encode_kind {
    SPEAD_ENCODE_VALUE, /* immediate: `value` */
    SPEAD_ENCODE_SHORT, /* immediate if 1 … address bytes long, read from `data` when its packet is made; else BYTES */
    SPEAD_ENCODE_BYTES, /* addressed: `size` bytes at `data`. A receiver skips one of no bytes. */
    SPEAD_ENCODE_MADE,  /* addressed: `size` bytes that `make` writes behind the header of each packet, in order */
};
struct spead_encode_item {
    uint64_t id;
    enum spead_encode_kind kind;
    uint64_t value;
    const void *data;
    size_t size;
    void (*make)(void *argument, uint64_t offset, void *memory, size_t size);
    void *argument;
};
struct spead_encode_heap {
    struct spead_flavour flavour;
    bool repeat_pointers; /* every packet has all pointers */
    size_t count;
    const struct spead_encode_item *items;
};

enum {
    SPEAD_PREFIX_SIZE = SPEAD_HEADER_SIZE + SPEAD_STANDARD_POINTERS * SPEAD_POINTER_SIZE,
    SPEAD_ENCODE_PIECE = 64, /* pieces of payload shorter than this are copied behind the header */
    SPEAD_PACKET_MAX = 65528,
};

/* A heap on its way: all fields private. The heap and what it points to stay until the last packet was made. */
struct spead_encoder {
    const struct spead_encode_heap *heap;
    uint64_t cnt, payload_size, payload_offset;
    uint64_t address; /* of the next addressed item's pointer */
    size_t packet_size, pointers_most, next_pointer;
    size_t item, item_offset; /* where the next payload byte is */
    bool padded;
};

/* Gets ready. -EINVAL: the flavour is none, or an id or a value does not fit into it; -EMSGSIZE: the packet size is
 * below SPEAD_PACKET_MIN or above SPEAD_PACKET_MAX, the pointers to repeat do not fit into one packet, or the heap is
 * larger than addresses of this flavour reach. `cnt` is masked to the bits of an address. */
int spead_encode_begin(struct spead_encoder *encoder, const struct spead_encode_heap *heap, uint64_t cnt,
                       size_t packet_size);

static inline bool spead_encode_more(const struct spead_encoder *encoder)
{
    return encoder->payload_offset < encoder->payload_size;
}
/* Exact when no item is shorter than SPEAD_ENCODE_PIECE, else an upper bound. */
uint64_t spead_encode_packet_count(const struct spead_encoder *encoder);

struct spead_packet {
    uint32_t size;    /* of the datagram */
    uint32_t vectors; /* that make it up */
    uint32_t arena;   /* bytes of the arena that it uses */
};
/* Makes the next packet. `arena` has room for the packet size, `most` is at least 2: payload for which no vector is
 * left is copied behind what stands in the arena. False: there is none. */
bool spead_encode_packet(struct spead_encoder *encoder, uint8_t *arena, struct iovec *vectors, uint32_t most,
                         struct spead_packet *ret);

/* A descriptor as the packet that a DESCRIPTOR item holds. Writes at most `size` bytes; *ret_size: how many it has,
 * also when they are too many (-ENOSPC). -EINVAL: id 0 or too large, more than one variable dimension, a number that
 * does not fit into its field, a name with control characters. */
int spead_encode_descriptor(const struct spead_descriptor *descriptor, struct spead_flavour flavour, uint8_t *out,
                            size_t size, size_t *ret_size);

#endif
