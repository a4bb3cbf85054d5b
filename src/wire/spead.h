/* SPDX-License-Identifier: MIT */
/*
 * The words of SPEAD-64-XX, shared by the two directions: numbers, flavours, item pointers, descriptors. Everything is
 * big-endian. A packet (flavour 64-48; in 64-XX an address has XX bits and an id 63 - XX):
 *
 *   byte  0     1     2     3     4   5   6   7    8 …                        8 + 8 N …
 *       | 'S' | 0x04 | 2 | 6 | reserved | N       | N item pointers, 8 bytes | payload
 *                      │   └ bytes of an address     ┌──┬────────────┬───────────────┐
 *                      └ bytes of mode and id        │m │ id, 15 bit │ value, 48 bit │
 *                                                    └──┴────────────┴───────────────┘
 *
 * Mode 1: the value stands there, right-justified. Mode 0: it is the offset in the heap's payload where the value
 * begins; it ends where the next addressed item begins, or at the end of the heap.
 *
 * Source: SPEAD specification SSA4700-0000-001 rev 1 (2012); where it leaves a choice, what spead2 4.4.1 does.
 */
#ifndef WIRE_SPEAD_H
#define WIRE_SPEAD_H
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum spead_id {
    SPEAD_NULL = 0x00,           /* padding; an addressed one ends the addressed item before it */
    SPEAD_HEAP_CNT = 0x01,       /* immediate */
    SPEAD_HEAP_LEN = 0x02,       /* immediate */
    SPEAD_PAYLOAD_OFFSET = 0x03, /* immediate */
    SPEAD_PAYLOAD_LEN = 0x04,    /* immediate */
    SPEAD_DESCRIPTOR = 0x05,     /* addressed: a whole packet; may repeat */
    SPEAD_STREAM_CTRL = 0x06,    /* immediate: enum spead_control */
    /* In the packet of a descriptor: */
    SPEAD_DESCRIPTOR_NAME = 0x10,
    SPEAD_DESCRIPTOR_DESCRIPTION = 0x11,
    SPEAD_DESCRIPTOR_SHAPE = 0x12,
    SPEAD_DESCRIPTOR_FORMAT = 0x13,
    SPEAD_DESCRIPTOR_ID = 0x14, /* immediate */
    SPEAD_DESCRIPTOR_DTYPE = 0x15,
    SPEAD_USER_LEAST = 0x400,  /* what the specification leaves to users begins here */
    SPEAD_USER_FIRST = 0x1000, /* the first one that is given to an item without an id of its own */
};

/* Values of SPEAD_STREAM_CTRL; others are ignored. */
enum spead_control {
    SPEAD_CONTROL_START = 0,
    SPEAD_CONTROL_DESCRIPTOR_REISSUE = 1,
    SPEAD_CONTROL_STOP = 2,
    SPEAD_CONTROL_DESCRIPTOR_UPDATE = 3,
};

/* What PySPEAD up to 0.5.2 does differently. */
enum spead_bug_compat {
    SPEAD_BUG_DESCRIPTOR_WIDTHS = 1, /* a FORMAT field has 4 bytes and a SHAPE field 8, whatever the flavour */
    SPEAD_BUG_SHAPE_BIT_1 = 2,       /* the flag of a variable dimension is 2, not 1 */
    SPEAD_BUG_SWAP_ENDIAN = 4,       /* NumPy arrays come in the opposite byte order */
    SPEAD_BUG_PYSPEAD_0_5_2 = 7,
};

enum {
    SPEAD_MAGIC = 0x53,
    SPEAD_VERSION = 0x04,
    SPEAD_HEADER_SIZE = 8,
    SPEAD_POINTER_SIZE = 8,
    SPEAD_POINTERS_MAX = 0xffff,     /* in one packet */
    SPEAD_STANDARD_POINTERS = 4,     /* cnt, len, payload offset, payload len */
    SPEAD_PACKET_MIN = 56,           /* a sender's smallest packet size: a header, five pointers, 8 bytes */
    SPEAD_ADDRESS_BITS_DEFAULT = 40, /* as the reference's default */
    SPEAD_DIMENSIONS_MAX = 32,       /* of a descriptor's shape */
    SPEAD_FORMAT_FIELDS_MAX = 64,    /* of a descriptor's format */
    SPEAD_DTYPE_MAX = 4096,          /* characters of a descriptor's dtype */
    SPEAD_DESCRIPTORS_MAX = 4096,    /* that one stream may have: ids in use at a time */
};

struct spead_flavour {
    uint8_t address_bits; /* 8, 16, … 56: the XX of 64-XX */
    uint8_t bug_compat;   /* enum spead_bug_compat, or-ed; never on the wire */
};

static inline bool spead_flavour_valid(struct spead_flavour flavour)
{
    return flavour.address_bits >= 8 && flavour.address_bits <= 56 && flavour.address_bits % 8 == 0;
}
static inline uint64_t spead_address_mask(struct spead_flavour flavour)
{
    return (UINT64_C(1) << flavour.address_bits) - 1;
}
static inline uint64_t spead_id_most(struct spead_flavour flavour)
{
    return (UINT64_C(1) << (63 - flavour.address_bits)) - 1;
}

/* ---- Bytes ----------------------------------------------------------------------------------------------------- */

static inline uint64_t spead_load64(const void *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return be64toh(word);
}
static inline void spead_store64(void *bytes, uint64_t word)
{
    word = htobe64(word);
    memcpy(bytes, &word, sizeof word);
}
/* `count` bytes, at most 8, as one number. */
static inline uint64_t spead_load_bytes(const uint8_t *bytes, unsigned count)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < count; i++)
        word = word << 8 | bytes[i];
    return word;
}
static inline void spead_store_bytes(uint8_t *bytes, unsigned count, uint64_t word)
{
    for (unsigned i = count; i-- > 0; word >>= 8)
        bytes[i] = (uint8_t)word;
}

/* The first eight bytes of a packet. */
static inline uint64_t spead_header(struct spead_flavour flavour, uint16_t pointers)
{
    unsigned address_bytes = flavour.address_bits / 8;
    return (uint64_t)SPEAD_MAGIC << 56 | (uint64_t)SPEAD_VERSION << 48 | (uint64_t)(8 - address_bytes) << 40 |
           (uint64_t)address_bytes << 32 | pointers;
}

/* ---- Item pointers, as numbers of the host ---------------------------------------------------------------------- */

static inline bool spead_pointer_immediate(uint64_t pointer)
{
    return pointer >> 63;
}
static inline uint64_t spead_pointer_id(uint64_t pointer, struct spead_flavour flavour)
{
    return (pointer & INT64_MAX) >> flavour.address_bits;
}
static inline uint64_t spead_pointer_value(uint64_t pointer, struct spead_flavour flavour)
{
    return pointer & spead_address_mask(flavour);
}
static inline uint64_t spead_pointer(struct spead_flavour flavour, bool immediate, uint64_t id, uint64_t value)
{
    return (uint64_t)immediate << 63 | id << flavour.address_bits | (value & spead_address_mask(flavour));
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

/* Bytes that belong to somebody else; not terminated. */
struct spead_text {
    const char *data;
    size_t length;
};
static inline struct spead_text spead_text(const char *terminated)
{
    return (struct spead_text){terminated, strlen(terminated)};
}

/* One field of FORMAT: u unsigned, i signed, f float, c character, b boolean; '0' (a reference) is not supported. */
struct spead_format_field {
    char code;
    uint16_t bits;
};

#define SPEAD_VARIABLE INT64_C(-1)

/* What one element is, whichever way it was described. */
struct spead_element {
    char kind;     /* u i f c b as above, z: complex (two floats of half the bits); 0: a record of several fields */
    uint16_t bits; /* of one element; 0 for a record */
    bool little_endian; /* matters from 16 bits on */
    bool pair; /* a complex number of two such ones, of half the bits each: a record of fields called re and im */
};

/*
 * Describes an item. With `numpy` the dtype says all, as the header of an .npy file does: shape, fortran_order and
 * element are read from it, format is empty. Otherwise shape and format stand for themselves, big-endian, C order.
 */
struct spead_descriptor {
    uint64_t id;
    struct spead_text name, description;
    bool numpy;
    struct spead_text dtype; /* "{'descr': '<f4', 'fortran_order': False, 'shape': (16,)}"; empty: not NumPy */
    bool fortran_order;
    struct spead_element element; /* set by decoding; encoding does not read it */
    uint32_t dimensions, fields;
    int64_t shape[SPEAD_DIMENSIONS_MAX]; /* SPEAD_VARIABLE: known only from the item's length; one at most */
    struct spead_format_field format[SPEAD_FORMAT_FIELDS_MAX];
};

/* True when no dimension is variable. */
static inline bool spead_shape_fixed(const struct spead_descriptor *descriptor)
{
    for (uint32_t i = 0; i < descriptor->dimensions; i++) {
        if (descriptor->shape[i] == SPEAD_VARIABLE)
            return false;
    }
    return true;
}

#endif
