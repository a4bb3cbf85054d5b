/* SPDX-License-Identifier: MIT */
/*
 * Bytes → SPEAD packets, items and descriptors. Pure: no socket, no clock, no allocation; nothing is copied, results
 * point into the caller's bytes. Any bytes are allowed. Thread-safe: no state.
 */
#ifndef WIRE_SPEAD_DECODE_H
#define WIRE_SPEAD_DECODE_H
#include <weir/spead.h>

#include "wire/spead.h"

/* Why bytes are no packet. */
enum spead_refusal {
    SPEAD_GOOD,
    SPEAD_TOO_SHORT,        /* fewer than 8 bytes */
    SPEAD_NO_SPEAD,         /* other magic or version */
    SPEAD_BAD_FLAVOUR,      /* widths that do not add up to 8 */
    SPEAD_POINTERS_OVERRUN, /* more item pointers than bytes */
    SPEAD_NO_COUNT,         /* no immediate heap count */
    SPEAD_NO_OFFSET,        /* no immediate payload offset */
    SPEAD_NO_LENGTH,        /* no immediate payload length */
    SPEAD_PAYLOAD_OVERRUN,  /* more payload than bytes */
    SPEAD_BEYOND_HEAP,      /* payload that reaches over the heap's length */
    SPEAD_TRAILING_BYTES,   /* bytes behind the payload (datagrams only) */
    SPEAD_REFUSALS
};
/* A few words for people, such as "payload longer than the packet". */
const char *spead_refusal_words(enum spead_refusal refusal);

#define SPEAD_LENGTH_UNKNOWN UINT64_MAX

struct spead_packet_view {
    struct spead_flavour flavour; /* bug_compat is 0 */
    uint32_t pointers;
    const uint8_t *pointer_bytes; /* 8 bytes each, big-endian */
    uint64_t heap_count;
    uint64_t heap_length; /* SPEAD_LENGTH_UNKNOWN: the packet does not say */
    uint64_t payload_offset, payload_length;
    const uint8_t *payload;
    size_t size;  /* of the whole packet */
    bool stops;   /* it has an immediate STREAM_CTRL that says stop */
    bool ordered; /* the first four pointers are count, length, offset, payload length in this order, and no other
                     pointer has one of these ids: what follows may be compared instead of read */
};

/* Reads the packet at the beginning of data. Of a pointer that comes twice the last one counts. With `datagram`, bytes
 * behind the payload are a refusal. *ret is set only when SPEAD_GOOD is returned. */
enum spead_refusal spead_packet_decode(const void *data, size_t size, bool datagram, struct spead_packet_view *ret);

/* In a stream (TCP), how many bytes to have before more can be said: the header's 8, then the pointers, then the whole
 * packet; when the answer is at most `size`, spead_packet_decode reads a packet of exactly that size. 0: no packet can
 * begin like this, *ret_refusal says why, and the stream cannot be followed any further. */
uint64_t spead_packet_needs(const void *data, size_t size, enum spead_refusal *ret_refusal);

static inline uint64_t spead_packet_pointer(const struct spead_packet_view *packet, uint32_t index)
{
    return spead_load64(packet->pointer_bytes + (size_t)index * SPEAD_POINTER_SIZE);
}
/* Count, lengths and offset: about the packet, not an item. */
static inline bool spead_id_is_standard(uint64_t id)
{
    return id >= SPEAD_HEAP_CNT && id <= SPEAD_PAYLOAD_LEN;
}

/* ---- Items ----------------------------------------------------------------------------------------------------- */

/* The items of a heap, in the order of its pointers. `pointers` are those of all its packets without the standard ones,
 * each once (numbers of the host); `order` is scratch for `count` numbers. An item ends where the next address begins,
 * of equal addresses the last pointer has the bytes; items of no bytes, NULLs and addresses beyond the payload are left
 * out. Returns how many items were written; there is room for `count`. Takes O(count log count). */
size_t spead_items_decode(struct spead_flavour flavour, const uint64_t *pointers, size_t count, const uint8_t *payload,
                          uint64_t payload_length, uint32_t *order, struct weir_spead_value *ret);

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

enum spead_descriptor_refusal {
    SPEAD_DESCRIPTOR_GOOD,
    SPEAD_DESCRIPTOR_NO_PACKET,  /* it is not a whole packet of the given flavour */
    SPEAD_DESCRIPTOR_NO_ID,      /* or one that cannot be */
    SPEAD_DESCRIPTOR_BAD_NAME,   /* longer than 255 bytes, or with bytes that are no printable ASCII */
    SPEAD_DESCRIPTOR_BAD_SHAPE,  /* not whole dimensions, too many, or two that vary */
    SPEAD_DESCRIPTOR_BAD_FORMAT, /* not whole fields, too many, an unknown code or a width that it cannot have */
    SPEAD_DESCRIPTOR_BAD_DTYPE,  /* not the header of an .npy file, or of a type that is not supported */
    SPEAD_DESCRIPTOR_TOO_MANY,   /* pointers in its packet: more than 64 */
    SPEAD_DESCRIPTOR_REFUSALS
};
const char *spead_descriptor_refusal_words(enum spead_descriptor_refusal refusal);

/* Reads the value of a DESCRIPTOR item. Texts in *ret point into data. Of one that is refused *ret has the id, the name
 * and the dtype, as far as they could be read, for words; 0 and empty texts if not. */
enum spead_descriptor_refusal spead_descriptor_decode(struct spead_flavour flavour, const void *data, size_t size,
                                                      struct spead_descriptor *ret);

/* The header of an .npy file, "{'descr': '<f4', 'fortran_order': False, 'shape': (16,)}": sets shape, dimensions,
 * fortran_order, element and dtype. A descr that is a list of fields makes an element of kind 0. */
bool spead_dtype_decode(struct spead_text text, struct spead_descriptor *ret);

/* Bits of one element: of all its fields together; 0 for a record described by NumPy. */
uint64_t spead_element_bits(const struct spead_descriptor *descriptor);

/* The shape that an item of `bytes` bytes has: the variable dimension is what fits in, and *ret_elements is the
 * product. An immediate item has as many bytes as an address, of which it uses the last. False: bytes are too few for
 * the shape, or the product is over 2^63. */
bool spead_item_shape(const struct spead_descriptor *descriptor, uint64_t bytes, int64_t *shape,
                      uint64_t *ret_elements);

#endif
