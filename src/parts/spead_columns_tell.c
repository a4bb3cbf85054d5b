/* SPDX-License-Identifier: MIT */
/* What a stream's items are no columns for, or not as asked: said to the user, with what to do about it. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "parts/spead_columns_private.h"

enum { LABEL_MAX = 128 };

/* "samples" (0x3300), for people. */
static const char *label_of(const struct spead_descriptor *descriptor, char *into, size_t size)
{
    if (descriptor->name.length > 0)
        snprintf(into, size, "\"%.80s\" (0x%04llx)", descriptor->name.data, (unsigned long long)descriptor->id);
    else
        snprintf(into, size, "0x%04llx", (unsigned long long)descriptor->id);
    return into;
}

bool spead_columns_named(const char *wanted, const struct spead_descriptor *descriptor)
{
    char id[32];
    snprintf(id, sizeof id, "0x%04llx", (unsigned long long)descriptor->id);
    return wanted && *wanted &&
           ((strlen(wanted) == descriptor->name.length &&
             memcmp(wanted, descriptor->name.data, descriptor->name.length) == 0) ||
            strcmp(wanted, id) == 0);
}

const struct spead_descriptor *spead_columns_own(const struct spead_columns *columns, uint64_t id)
{
    for (uint32_t i = 0; i < columns->own_count; i++) {
        if (columns->own[i].id == id)
            return &columns->own[i];
    }
    return NULL;
}

/* ---- Options ---------------------------------------------------------------------------------------------------- */

/* What happens while there is no such item. */
static const char *what_now(const char *option)
{
    return strcmp(option, "time") == 0  ? "until it comes, the time of a record is when its heap came (ts)"
           : strcmp(option, "key") == 0 ? "until it comes, the key is the sender"
                                        : "until it comes, it makes no column";
}

/* `option` names an item that there is not: says which there are, which was meant perhaps, and what happens now. */
static void tell_missing(struct spead_columns *columns, const char *option, const char *wanted)
{
    enum { SHOWN = 12 };
    uint32_t count = 0, most = columns->own_count + columns->book.count;
    const char **names = memory_zeroed(most + 1, sizeof *names);
    struct weir_buffer list = {0};
    for (uint32_t i = 0; names && i < most; i++) {
        bool own = i < columns->own_count;
        const struct spead_descriptor *one = own ? &columns->own[i] : columns->book.entries[i - columns->own_count];
        if (one->name.length == 0 || (!own && spead_columns_own(columns, one->id)))
            continue;
        if (count < SHOWN)
            buffer_format(&list, "%s%s", count ? ", " : "", one->name.data);
        names[count++] = one->name.data;
    }
    if (count > SHOWN)
        buffer_format(&list, " and %u more", count - SHOWN);
    const char *nearest = names ? error_nearest(wanted, names, count) : NULL;
    weir_notice(columns->env, wanted, "`%s`: the stream has no item \"%.80s\"%s%s%s; it has: %.*s; %s", option, wanted,
                nearest ? ", did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "",
                list.failed ? 0 : (int)list.size, list.failed || !list.data ? "" : list.data, what_now(option));
    buffer_free(&list);
    memory_free(names);
}

/* The item is there, but it cannot be what the option wants: says so. */
static void look_at_kind(struct spead_columns *columns, const char *option, const struct spead_columns_item *item)
{
    char label[LABEL_MAX];
    static const char *const kinds[] = {
        [SPEAD_COLUMN_BOOL] = "true or false", [SPEAD_COLUMN_TEXT] = "text", [SPEAD_COLUMN_ARRAY] = "an array"};
    bool is_time = strcmp(option, "time") == 0;
    bool good = is_time ? item->is_time : strcmp(option, "key") != 0 || item->type.kind != SPEAD_COLUMN_ARRAY;
    if (!good)
        weir_notice(columns->env, option, "`%s`: item %s is %s, %s", option,
                    label_of(item->descriptor, label, sizeof label), kinds[item->type.kind],
                    is_time ? "and a time is a number: the time of a record is when its heap came (ts)"
                            : "and no key: the key is the sender");
}

/* Some descriptor has that name, though it makes no column perhaps. */
static bool is_described(const struct spead_columns *columns, const char *wanted)
{
    bool found = false;
    for (uint32_t i = 0; i < columns->own_count && !found; i++)
        found = spead_columns_named(wanted, &columns->own[i]);
    for (uint32_t i = 0; i < columns->book.count && !found; i++)
        found = spead_columns_named(wanted, columns->book.entries[i]);
    return found;
}

void spead_columns_miss(struct spead_columns *columns, const char *option, const char *wanted)
{
    if (!wanted || !*wanted)
        return;
    for (uint32_t i = 0; i < columns->count; i++) {
        if (spead_columns_named(wanted, columns->items[i].descriptor))
            look_at_kind(columns, option, &columns->items[i]);
    }
    if (!is_described(columns, wanted)) /* else it was said why it makes no column */
        tell_missing(columns, option, wanted);
}

/* ---- Items ------------------------------------------------------------------------------------------------------ */

void spead_columns_tell_undescribed(struct spead_columns *columns, const struct weir_spead_heap *heap,
                                    const struct weir_spead_value *value)
{
    columns->told_undescribed = true;
    weir_notice(columns->env, "no descriptor",
                "heap %llu has an item 0x%04llx that no descriptor came for, or none that can be read: until one comes "
                "it makes no column, unless "
                "`describe: {name: \"0x%04llx %s\"}`, or what it is, says so",
                (unsigned long long)heap->count, (unsigned long long)value->id, (unsigned long long)value->id,
                value->immediate ? "u48" : "i16[]");
}

void spead_columns_tell_no_column(struct spead_columns *columns, const struct spead_descriptor *descriptor)
{
    char label[LABEL_MAX];
    weir_notice(columns->env, "no column",
                "item %s is a record of several fields, or of a type that weir has no column for: it makes none; where "
                "its numbers are all alike, `describe: {name: \"0x%04llx i16le[]\"}` says how to read them",
                label_of(descriptor, label, sizeof label), (unsigned long long)descriptor->id);
}

void spead_columns_tell_refused(struct spead_columns *columns)
{
    columns->losses.refused += columns->book.refused - columns->refused;
    columns->refused = columns->book.refused;
    weir_notice(columns->env, "descriptor refused",
                "a descriptor cannot be read: %s; `describe: {name: \"ID TYPE\"}` says what the item is",
                columns->book.refused_words);
}

void spead_columns_tell_short(struct spead_columns *columns, const struct weir_spead_heap *heap,
                              const struct spead_columns_item *item, const struct weir_spead_value *value)
{
    char label[LABEL_MAX];
    int64_t shape[SPEAD_DIMENSIONS_MAX];
    uint64_t elements, bits = spead_element_bits(item->descriptor);
    bool fixed = spead_shape_fixed(item->descriptor);
    columns->losses.too_short++;
    label_of(item->descriptor, label, sizeof label);
    if (!spead_item_shape(item->descriptor, UINT64_MAX / 8, shape, &elements) || elements == 0)
        weir_notice(columns->env, "no elements",
                    "item %s has no elements, as its descriptor says: heaps with it make no record; `items` says which "
                    "items are wanted",
                    label);
    else
        weir_notice(columns->env, "short item",
                    "heap %llu: item %s is too short: %llu byte%s%s, where its descriptor says %llu%s; such heaps make "
                    "no record; does the sender describe what it sends? `describe` overrides it",
                    (unsigned long long)heap->count, label, (unsigned long long)value->length,
                    value->length == 1 ? "" : "s", value->immediate ? " (an immediate)" : "",
                    (unsigned long long)((fixed ? elements * bits : bits) + 7) / 8, fixed ? "" : " or more");
}

void spead_columns_miss_number(struct spead_columns *columns, const struct spead_columns_item *item)
{
    char label[LABEL_MAX];
    columns->losses.no_number++;
    weir_notice(columns->env, "no number",
                "item %s is over 2^63, more than a column of whole numbers holds, so null; as an array of one it would "
                "be kept: `describe: {name: \"0x%04llx u64%s[1]\"}`",
                label_of(item->descriptor, label, sizeof label), (unsigned long long)item->descriptor->id,
                item->type.scalar.little_endian ? "le" : "");
}

void spead_columns_cut_text(struct spead_columns *columns, const struct spead_columns_item *item, uint64_t length)
{
    char label[LABEL_MAX];
    columns->losses.texts_cut++;
    weir_notice(
        columns->env, "text cut",
        "item %s is a text of %llu bytes, of which the first %d are kept; `describe: {name: \"0x%04llx u8[]\"}` "
        "has all of them, as numbers",
        label_of(item->descriptor, label, sizeof label), (unsigned long long)length, SPEAD_TEXT_KEPT_MOST,
        (unsigned long long)item->descriptor->id);
}

void spead_columns_miss_time(struct spead_columns *columns, const struct spead_columns_item *item)
{
    char label[LABEL_MAX];
    columns->losses.no_time++;
    weir_notice(columns->env, "no time",
                "item %s is no time between the years 1677 and 2262, so null: do `time_scale` and `time_start` fit?",
                label_of(item->descriptor, label, sizeof label));
}
