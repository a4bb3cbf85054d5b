/* SPDX-License-Identifier: MIT */
/* Private to spead_columns*.c. */
#ifndef PARTS_SPEAD_COLUMNS_PRIVATE_H
#define PARTS_SPEAD_COLUMNS_PRIVATE_H
#include "net/spead_book.h"
#include "parts/spead_columns.h"
#include "parts/spead_describe.h"

enum { SPEAD_TEXT_KEPT_MOST = 65536 }; /* bytes of a text that is kept */

/* An item that is a column. */
struct spead_columns_item {
    const struct spead_descriptor *descriptor;
    struct spead_column_type type;
    bool is_time;
    uint32_t column;
    uint32_t elements; /* arrays: as the schema has it */
};

/* The last value of an item, from one sender. */
struct spead_columns_kept {
    bool known;
    union {
        uint64_t bits;
        double number;
        int64_t integer;
    };
    char *text; /* its own */
    uint32_t length;
};

struct spead_columns_sender {
    uint32_t symbol; /* 0: not known yet */
    struct spead_columns_kept *kept;
};

struct spead_columns {
    const struct spead_columns_options *options;
    struct weir_env *env;
    struct spead_book book;
    struct spead_descriptor *own; /* from `describe` */
    uint32_t own_count;
    uint32_t changes; /* of the book, as the items know it */
    uint64_t refused; /* likewise, as was said */
    bool stale;
    struct spead_columns_item *items;
    uint32_t count, arrays;
    const struct weir_spead_value **found; /* of the heap at hand, for each item */
    uint32_t *elements;                    /* likewise */
    struct weir_schema *schema;
    int32_t own_time, own_sender, own_heap, own_complete; /* columns; -1: none */
    struct spead_columns_sender *senders;
    uint32_t sender_count;
    int64_t unit_ns; /* of time; 0: no duration, units_per_second alone says it */
    long double units_per_second;
    int64_t start_ns;
    struct spead_columns_losses losses;
    bool told_undescribed;
};

/* Is the heap a record? 1, or 0 (counted); -ENOMEM. Keeps the values of its numbers for its sender; the heap's items
 * are in `found` then, and the lengths of its arrays in `elements`. */
int spead_columns_look_at(struct spead_columns *columns, const struct weir_spead_heap *heap,
                          struct spead_columns_sender *sender);
struct spead_columns_sender *spead_columns_sender_of(struct spead_columns *columns, uint32_t source);
int spead_columns_build_schema(struct spead_columns *columns);
/* The value that is kept, at `into`, which has the size of the item's column. */
void spead_columns_put_kept(const struct spead_columns_item *item, const struct spead_columns_kept *kept, void *into);
bool spead_columns_put_text(const struct spead_columns_kept *kept, struct weir_batch *batch, struct weir_text *into);

/* ---- What is said to the user (spead_columns_tell.c) ------------------------------------------------------------- */

/* Does an option's text name the item: its name, or its id as 0x1000? */
bool spead_columns_named(const char *wanted, const struct spead_descriptor *descriptor);
/* From `describe`; NULL: not there. */
const struct spead_descriptor *spead_columns_own(const struct spead_columns *columns, uint64_t id);
/* Says what is wrong with the item that an option names, once there are descriptors: it is missing, or of no use so. */
void spead_columns_miss(struct spead_columns *columns, const char *option, const char *wanted);
void spead_columns_tell_no_column(struct spead_columns *columns, const struct spead_descriptor *descriptor);
void spead_columns_tell_undescribed(struct spead_columns *columns, const struct weir_spead_heap *heap,
                                    const struct weir_spead_value *value);
/* These count it, too. */
void spead_columns_tell_refused(struct spead_columns *columns);
void spead_columns_tell_short(struct spead_columns *columns, const struct weir_spead_heap *heap,
                              const struct spead_columns_item *item, const struct weir_spead_value *value);
void spead_columns_miss_time(struct spead_columns *columns, const struct spead_columns_item *item);
void spead_columns_miss_number(struct spead_columns *columns, const struct spead_columns_item *item);
void spead_columns_cut_text(struct spead_columns *columns, const struct spead_columns_item *item, uint64_t length);
#endif
