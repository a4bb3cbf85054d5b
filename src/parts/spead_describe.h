/* SPDX-License-Identifier: MIT */
/* Types of SPEAD items: as people write them in a configuration, and as columns of a batch. */
#ifndef PARTS_SPEAD_DESCRIBE_H
#define PARTS_SPEAD_DESCRIBE_H
#include <weir/part.h>

#include "wire/spead_scalar.h"

/* "0x1000 u48", "0x4300 i16[]", "0x4300 f32le[1024]", "0x4301 complex64[16,2]": id, kind and bits, byte order (big
 * unless le), shape ([] has as many as come). Kinds: u i f b c complex. Texts in *ret stay the caller's. -EINVAL with
 * words at the value's mark. */
int spead_describe_parse(const struct weir_pair *pair, struct spead_descriptor *ret, struct weir_error *error);

enum spead_column_kind {
    SPEAD_COLUMN_NONE, /* records of several fields, and what has no numbers */
    SPEAD_COLUMN_INTEGER,
    SPEAD_COLUMN_FLOAT,
    SPEAD_COLUMN_BOOL,
    SPEAD_COLUMN_TEXT,
    SPEAD_COLUMN_ARRAY,
};
struct spead_column_type {
    enum spead_column_kind kind;
    struct spead_scalar scalar;
    uint8_t element; /* ARRAY: enum weir_element */
    bool unpacked;   /* ARRAY: its numbers have to be brought into that form */
};
struct spead_column_type spead_column_type(const struct spead_descriptor *descriptor);
/* Numbers of a width that no type has become those of the next wider one, in the form of type.element. */
void spead_unpack(struct spead_column_type type, const uint8_t *from, size_t numbers, void *into);
#endif
