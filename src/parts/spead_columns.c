/* SPDX-License-Identifier: MIT */
#include "parts/spead_columns_private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/units.h"
#include "data/symbols.h"
#include "data/time_text.h"

enum {
    SENDERS_MOST = 1 << 16, /* whose last values are kept */
    ITEM_NAME_MAX = WEIR_NAME_MAX,
};
#define SECOND_NS 1e9L

/* ---- Which items are columns ------------------------------------------------------------------------------------ */

static bool is_wanted(const struct spead_columns *columns, const struct spead_descriptor *descriptor)
{
    const struct spead_columns_options *options = columns->options;
    bool wanted = options->items.count == 0 || spead_columns_named(options->time, descriptor) ||
                  spead_columns_named(options->key, descriptor);
    for (size_t i = 0; i < options->items.count && !wanted; i++)
        wanted = spead_columns_named(options->items.items[i].value.text, descriptor);
    return wanted;
}

static void consider(struct spead_columns *columns, const struct spead_descriptor *descriptor)
{
    struct spead_columns_item item = {.descriptor = descriptor, .type = spead_column_type(descriptor)};
    if (!is_wanted(columns, descriptor))
        return;
    if (item.type.kind == SPEAD_COLUMN_NONE) {
        spead_columns_tell_no_column(columns, descriptor);
        return;
    }
    bool number = item.type.kind == SPEAD_COLUMN_INTEGER || item.type.kind == SPEAD_COLUMN_FLOAT;
    item.is_time = spead_columns_named(columns->options->time, descriptor) && number;
    columns->arrays += item.type.kind == SPEAD_COLUMN_ARRAY;
    columns->items[columns->count++] = item;
}

static void forget_kept(struct spead_columns *columns)
{
    for (uint32_t i = 0; i < columns->sender_count; i++) {
        struct spead_columns_kept *kept = columns->senders[i].kept;
        for (uint32_t k = 0; kept && k < columns->count; k++)
            memory_free(kept[k].text);
        memory_free(kept);
        columns->senders[i].kept = NULL;
    }
}

/* The items anew, after descriptors came or changed. */
static int choose_items(struct spead_columns *columns)
{
    uint32_t most = columns->own_count + columns->book.count;
    struct spead_columns_item *items = memory_zeroed(most + 1, sizeof *items);
    const struct weir_spead_value **found = memory_zeroed(most + 1, sizeof *found);
    uint32_t *elements = memory_zeroed(most + 1, sizeof *elements);
    if (!items || !found || !elements) {
        memory_free(items);
        memory_free(found);
        memory_free(elements);
        return -ENOMEM;
    }
    forget_kept(columns);
    memory_free(columns->items);
    memory_free(columns->found);
    memory_free(columns->elements);
    columns->items = items;
    columns->found = found;
    columns->elements = elements;
    columns->count = columns->arrays = 0;
    for (uint32_t i = 0; i < columns->own_count; i++)
        consider(columns, &columns->own[i]);
    for (uint32_t i = 0; i < columns->book.count; i++) {
        if (!spead_columns_own(columns, columns->book.entries[i]->id))
            consider(columns, columns->book.entries[i]);
    }
    for (size_t i = 0; columns->book.count > 0 && i < columns->options->items.count; i++)
        spead_columns_miss(columns, "items", columns->options->items.items[i].value.text);
    if (columns->book.count > 0) {
        spead_columns_miss(columns, "time", columns->options->time);
        spead_columns_miss(columns, "key", columns->options->key);
    }
    columns->changes = columns->book.changes;
    columns->stale = true;
    return 0;
}

/* ---- Schema ----------------------------------------------------------------------------------------------------- */

static const struct weir_field *find_field(const struct weir_field *fields, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

/* A column that weir adds: not where an item has that name. */
static int32_t add_own(struct weir_field *fields, uint32_t *count, const char *name, enum weir_type type)
{
    if (find_field(fields, *count, name))
        return -1;
    fields[*count] = (struct weir_field){.name = name, .type = type};
    return (int32_t)(*count)++;
}

static enum weir_type type_of(const struct spead_columns_item *item)
{
    static const enum weir_type types[] = {
        [SPEAD_COLUMN_INTEGER] = WEIR_I64, [SPEAD_COLUMN_FLOAT] = WEIR_F64,   [SPEAD_COLUMN_BOOL] = WEIR_BOOL,
        [SPEAD_COLUMN_TEXT] = WEIR_TEXT,   [SPEAD_COLUMN_ARRAY] = WEIR_ARRAY,
    };
    return item->is_time ? WEIR_TIME : types[item->type.kind];
}

int spead_columns_build_schema(struct spead_columns *columns)
{
    uint32_t count = 0;
    int32_t time = -1, key = -1;
    struct weir_field *fields = memory_zeroed(columns->count + 4, sizeof *fields);
    char(*names)[24] = memory_zeroed(columns->count + 1, sizeof *names);
    for (uint32_t i = 0; fields && names && i < columns->count; i++) {
        struct spead_columns_item *item = &columns->items[i];
        const char *name = item->descriptor->name.data;
        if (item->descriptor->name.length == 0 || find_field(fields, count, name)) { /* described by the user, too */
            snprintf(names[i], sizeof names[i], "item_0x%04llx", (unsigned long long)item->descriptor->id);
            name = names[i];
        }
        item->column = count;
        item->elements = columns->elements[i];
        if (item->is_time)
            time = (int32_t)count;
        if (spead_columns_named(columns->options->key, item->descriptor) && item->type.kind != SPEAD_COLUMN_ARRAY)
            key = (int32_t)count;
        fields[count++] = (struct weir_field){
            .name = name, .type = type_of(item), .element = item->type.element, .elements = item->elements};
    }
    if (fields && names) {
        columns->own_time = time >= 0 ? -1 : add_own(fields, &count, "ts", WEIR_TIME);
        columns->own_sender = add_own(fields, &count, "sender", WEIR_SYMBOL);
        columns->own_heap = add_own(fields, &count, "heap", WEIR_I64);
        columns->own_complete = columns->options->incomplete ? add_own(fields, &count, "complete", WEIR_BOOL) : -1;
        struct weir_schema *schema = weir_schema_new(fields, count, time >= 0 ? time : columns->own_time,
                                                     key >= 0 ? key : columns->own_sender);
        if (schema) {
            weir_schema_release(columns->schema);
            columns->schema = schema;
            columns->stale = false;
        }
    }
    memory_free(fields);
    memory_free(names);
    return columns->stale ? -ENOMEM : 0;
}

/* ---- A heap's items --------------------------------------------------------------------------------------------- */

static bool fits(const struct spead_columns_item *item, const struct weir_spead_value *value, uint32_t *ret_elements)
{
    int64_t shape[SPEAD_DIMENSIONS_MAX];
    uint64_t elements;
    if (!spead_item_shape(item->descriptor, value->length, shape, &elements) || elements == 0)
        return false;
    uint32_t each = item->type.scalar.in_element > 2 ? item->type.scalar.in_element : 1;
    if (item->type.kind == SPEAD_COLUMN_ARRAY && elements > UINT32_MAX / each)
        return false;
    *ret_elements = item->type.kind == SPEAD_COLUMN_ARRAY ? (uint32_t)elements * each : 0;
    return true;
}

/* Finds each item's value; the last one of an id counts. Items mostly come in the order of their ids. */
static uint32_t find_items(struct spead_columns *columns, const struct weir_spead_heap *heap)
{
    uint32_t known = 0, hint = 0;
    memset(columns->found, 0, columns->count * sizeof *columns->found);
    for (uint32_t v = 0; v < heap->value_count; v++) {
        const struct weir_spead_value *value = &heap->values[v];
        uint32_t i = 0;
        if (value->id <= SPEAD_STREAM_CTRL)
            continue;
        while (i < columns->count && columns->items[(hint + i) % columns->count].descriptor->id != value->id)
            i++;
        if (i == columns->count) {
            bool undescribed = !spead_columns_own(columns, value->id) && !spead_book_find(&columns->book, value->id);
            columns->losses.undescribed += undescribed;
            if (undescribed && !columns->told_undescribed)
                spead_columns_tell_undescribed(columns, heap, value);
            continue;
        }
        hint = (hint + i) % columns->count;
        known += columns->found[hint] == NULL;
        columns->found[hint] = value;
        hint = (hint + 1) % columns->count;
    }
    return known;
}

/* Is this heap a record? Also says how long its arrays are. */
static bool makes_record(struct spead_columns *columns, const struct weir_spead_heap *heap)
{
    uint32_t known = find_items(columns, heap), arrays = 0;
    for (uint32_t i = 0; i < columns->count; i++) {
        const struct weir_spead_value *value = columns->found[i];
        if (value && !fits(&columns->items[i], value, &columns->elements[i])) {
            spead_columns_tell_short(columns, heap, &columns->items[i], value);
            return false;
        }
        arrays += value && columns->items[i].type.kind == SPEAD_COLUMN_ARRAY;
    }
    if (known == 0) {
        columns->losses.no_data++;
        return false;
    }
    return true;
}

/* The number of an item that is one, immediate or addressed. */
static double float_of(const struct spead_columns_item *item, const struct weir_spead_value *value)
{
    uint8_t bytes[8];
    double number;
    unsigned size = item->type.scalar.bits / 8u;
    spead_store64(bytes, value->value);
    if (value->immediate && size > value->length)
        return NAN;
    spead_scalars_f64(item->type.scalar, value->immediate ? bytes + 8 - size : value->data, 0, 1, &number);
    return number;
}

static int64_t integer_of(const struct spead_columns_item *item, const struct weir_spead_value *value)
{
    int64_t number;
    if (value->immediate)
        return spead_scalar_immediate(item->type.scalar, value->value);
    spead_scalars_i64(item->type.scalar, value->data, 0, 1, &number);
    return number;
}

/* An unsigned number that integer_of cannot tell from a negative one. */
static bool is_over(const struct spead_columns_item *item, int64_t number)
{
    return number < 0 && item->type.scalar.kind == 'u' && item->type.scalar.bits == 64;
}

static int64_t time_of(const struct spead_columns *columns, const struct spead_columns_item *item,
                       const struct weir_spead_value *value)
{
    bool is_float = item->type.kind == SPEAD_COLUMN_FLOAT;
    int64_t number = is_float ? 0 : integer_of(item, value), exact;
    if (!is_float && columns->unit_ns > 0 && !is_over(item, number) &&
        !__builtin_mul_overflow(number, columns->unit_ns, &exact) &&
        !__builtin_add_overflow(exact, columns->start_ns, &exact))
        return exact; /* floating point would be a nanosecond off now and then */
    long double units = is_float                ? (long double)float_of(item, value)
                        : is_over(item, number) ? (long double)(uint64_t)number
                                                : (long double)number;
    long double ns = units * SECOND_NS / columns->units_per_second + (long double)columns->start_ns;
    return ns > -0x1p63L && ns < 0x1p63L ? (int64_t)floorl(ns) : WEIR_TIME_NULL;
}

/* ---- Values that stay until the next one comes ------------------------------------------------------------------- */

static int keep_text(struct spead_columns *columns, const struct spead_columns_item *item,
                     const struct weir_spead_value *value, struct spead_columns_kept *kept)
{
    uint8_t immediate[8];
    spead_store64(immediate, value->value);
    const uint8_t *data = value->immediate ? immediate + 8 - value->length : value->data;
    uint32_t length = value->length < SPEAD_TEXT_KEPT_MOST ? (uint32_t)value->length : SPEAD_TEXT_KEPT_MOST;
    if (value->length > SPEAD_TEXT_KEPT_MOST)
        spead_columns_cut_text(columns, item, value->length);
    while (length > 0 && data[length - 1] == '\0')
        length--;
    while (value->immediate && length > 0 && *data == '\0') {
        data++;
        length--;
    }
    if (kept->known && kept->length == length && memcmp(kept->text, data, length) == 0)
        return 0;
    char *text = memory_allocate(length + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, data, length);
    memory_free(kept->text);
    kept->text = text;
    kept->length = length;
    kept->known = true;
    return 0;
}

static int keep(struct spead_columns *columns, const struct spead_columns_item *item,
                const struct weir_spead_value *value, struct spead_columns_kept *kept)
{
    switch (type_of(item)) {
    case WEIR_TIME:
        kept->integer = time_of(columns, item, value);
        if (kept->integer == WEIR_TIME_NULL)
            spead_columns_miss_time(columns, item);
        break;
    case WEIR_F64:
        kept->number = float_of(item, value);
        break;
    case WEIR_TEXT:
        return keep_text(columns, item, value, kept);
    case WEIR_BOOL:
        kept->integer = integer_of(item, value) != 0;
        break;
    default:
        kept->integer = integer_of(item, value);
        if (is_over(item, kept->integer)) {
            kept->integer = WEIR_I64_NULL;
            spead_columns_miss_number(columns, item);
        }
        break;
    }
    kept->known = true;
    return 0;
}

struct spead_columns_sender *spead_columns_sender_of(struct spead_columns *columns, uint32_t source)
{
    if (source >= SENDERS_MOST)
        source = SENDERS_MOST - 1;
    if (source >= columns->sender_count) {
        uint32_t count = source + 1 + source / 2;
        struct spead_columns_sender *senders = memory_resize(columns->senders, count * sizeof *senders);
        if (!senders)
            return NULL;
        memset(senders + columns->sender_count, 0, (count - columns->sender_count) * sizeof *senders);
        columns->senders = senders;
        columns->sender_count = count;
    }
    struct spead_columns_sender *sender = &columns->senders[source];
    if (!sender->kept)
        sender->kept = memory_zeroed(columns->count + 1, sizeof *sender->kept);
    return sender->kept ? sender : NULL;
}

static int keep_all(struct spead_columns *columns, struct spead_columns_sender *sender)
{
    int error = 0;
    for (uint32_t i = 0; i < columns->count && error == 0; i++) {
        if (columns->found[i] && columns->items[i].type.kind != SPEAD_COLUMN_ARRAY)
            error = keep(columns, &columns->items[i], columns->found[i], &sender->kept[i]);
    }
    return error;
}

/* ---- The batch --------------------------------------------------------------------------------------------------- */

static bool put_array(const struct spead_columns_item *item, const struct weir_spead_value *value,
                      struct weir_batch *batch)
{
    size_t numbers = (size_t)item->elements * (item->type.scalar.in_element == 2 ? 2 : 1);
    size_t bytes = (numbers * item->type.scalar.bits + 7) / 8;
    const uint8_t *data = value->data;
    if (value->immediate) { /* the last of the bytes that an address has */
        uint8_t *copy = weir_batch_allocate(batch, sizeof(uint64_t));
        if (!copy)
            return false;
        spead_store64(copy, value->value);
        data = copy + 8 - (bytes < 8 ? bytes : 8);
    }
    if (!item->type.unpacked) {
        batch->columns[item->column].data = data;
        return true;
    }
    void *into = weir_batch_add_column(batch, item->column);
    if (into)
        spead_unpack(item->type, data, numbers, into);
    return into != NULL;
}

void spead_columns_put_kept(const struct spead_columns_item *item, const struct spead_columns_kept *kept, void *into)
{
    static const double null = NAN;
    enum weir_type type = type_of(item);
    int64_t integer = kept->known ? kept->integer : WEIR_I64_NULL;
    uint8_t boolean = kept->known ? (uint8_t)kept->integer : WEIR_BOOL_NULL;
    if (type == WEIR_F64)
        memcpy(into, kept->known ? &kept->number : &null, sizeof null);
    else if (type == WEIR_BOOL)
        memcpy(into, &boolean, sizeof boolean);
    else
        memcpy(into, &integer, sizeof integer);
}

bool spead_columns_put_text(const struct spead_columns_kept *kept, struct weir_batch *batch, struct weir_text *into)
{
    *into = (struct weir_text){0};
    if (!kept->known)
        return true;
    char *text = weir_batch_allocate(batch, kept->length + 1);
    if (!text)
        return false;
    memcpy(text, kept->text, kept->length);
    *into = (struct weir_text){.data = text, .length = kept->length};
    return true;
}

/* One row: each number takes a line of its own in one piece of memory. */
static bool fill_row(struct spead_columns *columns, const struct spead_columns_sender *sender, struct weir_batch *batch)
{
    enum { STEP = sizeof(struct weir_text) };
    char *room = weir_batch_allocate(batch, (size_t)batch->schema->count * STEP);
    bool good = room != NULL;
    for (uint32_t c = 0; good && c < batch->schema->count; c++)
        batch->columns[c].data = room + (size_t)c * STEP;
    for (uint32_t i = 0; good && i < columns->count; i++) {
        const struct spead_columns_item *item = &columns->items[i];
        void *into = room + (size_t)item->column * STEP;
        if (item->type.kind == SPEAD_COLUMN_ARRAY)
            good = put_array(item, columns->found[i], batch);
        else if (item->type.kind == SPEAD_COLUMN_TEXT)
            good = spead_columns_put_text(&sender->kept[i], batch, into);
        else
            spead_columns_put_kept(item, &sender->kept[i], into);
    }
    return good;
}

static void put_own(struct weir_batch *batch, int32_t column, const void *value, size_t size)
{
    if (column >= 0)
        memcpy(weir_batch_column_data(batch, (uint32_t)column), value, size);
}

static uint32_t symbol_of(const struct spead_columns *columns, const char *name)
{
    uint32_t symbol = symbols_intern(columns->env->symbols, name ? name : "", name ? strlen(name) : 0);
    return symbol == SYMBOLS_FULL ? WEIR_SYMBOL_NULL : symbol;
}

bool spead_columns_knows(const struct spead_columns *columns, uint32_t source)
{
    return source < columns->sender_count && columns->senders[source].symbol != WEIR_SYMBOL_NULL;
}

int spead_columns_name(struct spead_columns *columns, uint32_t source, const char *name)
{
    struct spead_columns_sender *sender = spead_columns_sender_of(columns, source);
    if (sender)
        sender->symbol = symbol_of(columns, name);
    return sender ? 0 : -ENOMEM;
}

static int make_batch(struct spead_columns *columns, const struct spead_columns_sender *sender,
                      struct weir_spead_heap *heap, const struct spead_arrival *arrival, struct weir_batch **ret)
{
    struct weir_batch *batch = weir_batch_new_empty(columns->env->pool, columns->schema, 1);
    if (!batch || !fill_row(columns, sender, batch)) {
        weir_batch_release(batch);
        return -ENOMEM;
    }
    int64_t count = (int64_t)heap->count;
    uint8_t complete = heap->complete;
    put_own(batch, columns->own_time, &arrival->wall_ns, sizeof arrival->wall_ns);
    put_own(batch, columns->own_sender, &sender->symbol, sizeof sender->symbol);
    put_own(batch, columns->own_heap, &count, sizeof count);
    put_own(batch, columns->own_complete, &complete, sizeof complete);
    batch->produced = arrival->produced_ns;
    if (columns->arrays > 0)
        weir_batch_own_memory(batch, &heap->memory);
    else
        weir_memory_release(&heap->memory);
    *ret = batch;
    return 1;
}

static bool lacks_array(struct spead_columns *columns)
{
    for (uint32_t i = 0; i < columns->count; i++) {
        if (!columns->found[i] && columns->items[i].type.kind == SPEAD_COLUMN_ARRAY)
            return true;
    }
    return false;
}

static bool has_array(const struct spead_columns *columns)
{
    for (uint32_t i = 0; i < columns->count; i++) {
        if (columns->found[i] && columns->items[i].type.kind == SPEAD_COLUMN_ARRAY)
            return true;
    }
    return false;
}

/* Values are kept from heaps that make no record, too. */
int spead_columns_look_at(struct spead_columns *columns, const struct weir_spead_heap *heap,
                          struct spead_columns_sender *sender)
{
    if (!makes_record(columns, heap))
        return 0;
    int error = keep_all(columns, sender);
    if (error < 0)
        return error;
    if (lacks_array(columns)) {
        if (has_array(columns)) {
            columns->losses.lacks_array++;
            weir_notice(columns->env, "lacks an array",
                        "heap %llu has some of the arrays, not all: no record is made of such heaps; `items` says "
                        "which are wanted",
                        (unsigned long long)heap->count);
        } else {
            columns->losses.no_data++;
        }
        return 0;
    }
    for (uint32_t i = 0; i < columns->count && !columns->stale; i++)
        columns->stale = columns->items[i].elements != columns->elements[i];
    return 1;
}

int spead_columns_batch(struct spead_columns *columns, struct weir_spead_heap *heap,
                        const struct spead_arrival *arrival, struct weir_batch **ret)
{
    struct spead_columns_sender *sender = spead_columns_sender_of(columns, heap->source);
    if (!sender)
        return -ENOMEM;
    if (sender->symbol == WEIR_SYMBOL_NULL)
        spead_columns_name(columns, heap->source, arrival->sender);
    int good = spead_columns_look_at(columns, heap, sender);
    if (good > 0 && columns->stale)
        good = spead_columns_build_schema(columns) < 0 ? -ENOMEM : 1;
    return good > 0 ? make_batch(columns, sender, heap, arrival, ret) : good;
}

int spead_columns_read(struct spead_columns *columns, const struct weir_spead_heap *heap)
{
    int error = spead_book_read(&columns->book, heap, columns->options->pyspead ? SPEAD_BUG_PYSPEAD_0_5_2 : 0);
    if (columns->refused != columns->book.refused)
        spead_columns_tell_refused(columns);
    if (error == 0 && (columns->changes != columns->book.changes || !columns->items))
        error = choose_items(columns);
    if (error == 0 && columns->count > WEIR_FIELDS_MAX - 4)
        return weir_fail(columns->env->error, -E2BIG,
                         "%u items are described, a record has at most %d columns; choose some with `items`",
                         columns->count, WEIR_FIELDS_MAX - 4);
    return error;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static int read_time(struct spead_columns *columns)
{
    const struct spead_columns_options *options = columns->options;
    const char *scale = options->time_scale && *options->time_scale ? options->time_scale : "1s";
    int64_t unit_ns;
    double rate;
    if (units_duration(scale, &unit_ns) == 0 && unit_ns > 0) {
        columns->unit_ns = unit_ns;
        columns->units_per_second = SECOND_NS / (long double)unit_ns;
    } else if (units_rate(scale, &rate) == 0 && rate > 0) {
        columns->units_per_second = (long double)rate;
    } else {
        return weir_fail(columns->env->error, -EINVAL,
                         "`time_scale` \"%.40s\" is neither a duration (1us) nor a rate (1712000000/s)", scale);
    }
    const char *start = options->time_start;
    if (start && *start && time_parse(start, strlen(start), TIME_AUTO, NULL, &columns->start_ns) < 0)
        return weir_fail(columns->env->error, -EINVAL,
                         "`time_start` \"%.60s\" is not a time; write it as 2024-11-21T03:20:00Z", start);
    return 0;
}

static int read_descriptions(struct spead_columns *columns)
{
    const struct weir_list *list = &columns->options->describe;
    columns->own = memory_zeroed(list->count + 1, sizeof *columns->own);
    if (!columns->own)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++) {
        const struct weir_pair *pair = &list->items[i];
        if (!*pair->name.text || strlen(pair->name.text) > ITEM_NAME_MAX)
            return weir_fail_at(columns->env->error, -EINVAL, pair->name.mark, "an item's name has 1 to %d bytes",
                                ITEM_NAME_MAX);
        int error = spead_describe_parse(pair, &columns->own[i], columns->env->error);
        if (error < 0)
            return error;
        if (spead_columns_own(columns, columns->own[i].id))
            return weir_fail_at(columns->env->error, -EINVAL, pair->value.mark, "item 0x%04llx is described twice",
                                (unsigned long long)columns->own[i].id);
        columns->own_count++;
    }
    return 0;
}

int spead_columns_new(const struct spead_columns_options *options, struct weir_env *env, struct spead_columns **ret)
{
    struct spead_columns *columns = memory_zeroed(1, sizeof *columns);
    if (!columns)
        return weir_fail(env->error, -ENOMEM, "out of memory");
    columns->options = options;
    columns->env = env;
    int error = read_time(columns);
    if (error == 0)
        error = read_descriptions(columns);
    if (error < 0) {
        spead_columns_free(columns);
        return error;
    }
    *ret = columns;
    return 0;
}

void spead_columns_free(struct spead_columns *columns)
{
    if (!columns)
        return;
    forget_kept(columns);
    memory_free(columns->senders);
    memory_free(columns->items);
    memory_free(columns->found);
    memory_free(columns->elements);
    memory_free(columns->own);
    spead_book_clear(&columns->book);
    weir_schema_release(columns->schema);
    memory_free(columns);
}

const struct spead_columns_losses *spead_columns_losses(const struct spead_columns *columns)
{
    return &columns->losses;
}
