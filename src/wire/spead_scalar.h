/* SPDX-License-Identifier: MIT */
/* The numbers in an item: arrays of one kind of scalar, in any byte order and of any width. Pure, thread-safe. */
#ifndef WIRE_SPEAD_SCALAR_H
#define WIRE_SPEAD_SCALAR_H
#include "wire/spead.h"

struct spead_scalar {
    char kind;           /* u unsigned, i signed, f float, b boolean, c character */
    uint16_t bits;       /* 1 … 64 */
    bool little_endian;  /* whole bytes only; other widths are packed from the highest bit on */
    uint32_t in_element; /* scalars of one element: 2 for complex numbers, the fields of a format that are all alike */
};
/* False: elements are records of different fields, or of a kind that has no numbers. */
bool spead_scalar_of(const struct spead_descriptor *descriptor, struct spead_scalar *ret);

/* Scalars [first, first + count) of the bytes at data, which has them all. Integers over 2^53 are rounded. */
void spead_scalars_f64(struct spead_scalar scalar, const void *data, uint64_t first, uint64_t count, double *out);
/* The same as integers: floats are cut, unsigned numbers over 2^63 become negative. */
void spead_scalars_i64(struct spead_scalar scalar, const void *data, uint64_t first, uint64_t count, int64_t *out);
/* An immediate value as one scalar: its lowest bits, whose bytes lie there in the scalar's own order. */
int64_t spead_scalar_immediate(struct spead_scalar scalar, uint64_t value);

#endif
