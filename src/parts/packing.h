/* SPDX-License-Identifier: MIT */
/* What reading and writing packed files have in common (file_input.h, packer.h): gzip and zstd, each of any number of
 * members in a row. */
#ifndef PARTS_PACKING_H
#define PARTS_PACKING_H
#include <stdbool.h>
#include <stddef.h>
#ifdef WEIR_HAVE_GZIP
#include <zlib.h>
#endif

enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };
enum {
    PACKING_MAGIC = 4,        /* bytes that tell */
    PACKING_MEMBER_HEAD = 10, /* bytes that tell where a member begins in the midst of others; none is smaller */
};

/* What the first bytes of a file say; UNKNOWN: `size` are too few to tell. */
enum packing packing_of(const void *data, size_t size);
const char *packing_name(enum packing packing);

/* Could a member begin with these bytes, PACKING_MEMBER_HEAD of them? As strict as a header allows. */
bool packing_begins_member(enum packing packing, const unsigned char *head);

#ifdef WEIR_HAVE_GZIP
/* Makes zlib take its memory where everybody does; before its own initialisation. */
void packing_use_memory(z_stream *stream);
#endif

#endif
