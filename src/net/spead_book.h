/* SPDX-License-Identifier: MIT */
/* The descriptors of a stream: what is known of each item id, with texts of its own. One thread. */
#ifndef NET_SPEAD_BOOK_H
#define NET_SPEAD_BOOK_H
#include <weir/spead.h>

#include "wire/spead_decode.h"

struct spead_book {
    struct spead_descriptor **entries; /* by id, ascending; their texts end with NUL */
    uint32_t count, capacity;
    uint32_t changes;        /* how often an entry came or changed */
    uint64_t refused;        /* descriptors that could not be read, or were too many */
    char refused_words[256]; /* of the last of them: which item, and why; printable */
};
/* Takes in the descriptors of a heap; identical ones change nothing, one with another's name replaces it.
 * `bug_compat` as in spead_flavour. 0 or -ENOMEM. */
int spead_book_read(struct spead_book *book, const struct weir_spead_heap *heap, uint8_t bug_compat);
/* NULL: no descriptor of this id came. */
const struct spead_descriptor *spead_book_find(const struct spead_book *book, uint64_t id);
void spead_book_clear(struct spead_book *book);

#endif
