/* SPDX-License-Identifier: MIT */
#include "measure/fingerprint.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/symbols.h"
#include "flow/plan.h"

#define TOLERANCE 1e-10 /* of the sum of absolute values: far above rounding, far below one wrong value in 10^9 */

struct place {                  /* of one thread that stores for one sink */
    uint64_t *hashes, *weights; /* of the rows of a batch */
    uint32_t capacity;
    struct fingerprint print;
};
struct fingerprints {
    const struct plan *plan;
    uint32_t lanes;
    struct place *places; /* [node * (lanes + 1) + lane], the last for the sink's own thread */
};

struct fingerprints *fingerprints_new(const struct plan *plan, uint32_t lanes)
{
    struct fingerprints *prints = memory_zeroed(1, sizeof *prints);
    if (!prints)
        return NULL;
    prints->plan = plan;
    prints->lanes = lanes;
    prints->places = memory_zeroed((size_t)plan->count * (lanes + 1), sizeof *prints->places);
    if (!prints->places) {
        memory_free(prints);
        return NULL;
    }
    return prints;
}

void fingerprints_free(struct fingerprints *prints)
{
    if (!prints)
        return;
    for (size_t i = 0; i < (size_t)prints->plan->count * (prints->lanes + 1); i++) {
        memory_free(prints->places[i].hashes);
        memory_free(prints->places[i].weights);
    }
    memory_free(prints->places);
    memory_free(prints);
}

/* ---- A batch ---------------------------------------------------------------------------------------------------- */

static uint64_t bits_of(double value)
{
    uint64_t bits;
    if (value != value)
        return 0x7ff8000000000000; /* all NaN are null */
    if (value == 0)
        value = 0; /* -0 is 0 */
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The value of one row as 64 bits. Symbols by their text: their numbers depend on who met them first. */
static uint64_t word_of(const struct weir_batch *batch, uint32_t column, uint32_t row,
                        const struct weir_symbols *symbols)
{
    const struct weir_column *data = &batch->columns[column];
    const struct weir_field *field = &batch->schema->fields[column];
    struct weir_text text;
    switch (field->type) {
    case WEIR_F64:
        return bits_of(data->f64[row]);
    case WEIR_I64:
    case WEIR_TIME:
        return (uint64_t)data->i64[row];
    case WEIR_BOOL:
        return data->bools[row];
    case WEIR_SYMBOL:
        text = symbols_text(symbols, data->symbols[row]);
        return text.data ? hash_bytes(text.data, text.length) : 1;
    case WEIR_TEXT:
        text = data->texts[row];
        return text.data ? hash_bytes(text.data, text.length) : 1;
    case WEIR_ARRAY:
        return hash_bytes((const char *)data->data + (size_t)row * weir_field_width(field), weir_field_width(field));
    case WEIR_TYPE_COUNT:
        break;
    }
    return 0;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
    return hash ^ hash >> 29;
}

static bool reserve(struct place *place, uint32_t count)
{
    if (count <= place->capacity)
        return true;
    memory_free(place->hashes);
    memory_free(place->weights);
    place->hashes = memory_allocate(count * sizeof *place->hashes);
    place->weights = memory_allocate(count * sizeof *place->weights);
    place->capacity = place->hashes && place->weights ? count : 0;
    return place->capacity > 0;
}

static struct fingerprint_column *find_column(struct fingerprint *print, const char *name)
{
    for (uint32_t i = 0; i < print->column_count; i++) {
        if (strncmp(print->columns[i].name, name, sizeof print->columns[i].name - 1) == 0)
            return &print->columns[i];
    }
    if (print->column_count == FINGERPRINT_COLUMNS_MAX)
        return NULL;
    struct fingerprint_column *column = &print->columns[print->column_count++];
    *column = (struct fingerprint_column){0};
    snprintf(column->name, sizeof column->name, "%s", name);
    return column;
}

static void add_column(struct place *place, const struct weir_batch *batch, uint32_t index)
{
    struct fingerprint_column *column = find_column(&place->print, batch->schema->fields[index].name);
    const double *values = batch->columns[index].f64;
    double sum = 0, size = 0;
    for (uint32_t i = 0; column && i < batch->count; i++) {
        double value = values[weir_batch_row(batch, i)];
        if (isfinite(value)) {
            /* Between 1/2 and 1: no record can hide behind a small weight. */
            double weighted = value * (0.5 + (double)(place->weights[i] >> 12) * 0x1p-53);
            sum += weighted;
            size += fabs(weighted);
        } else if (value != value) {
            column->nulls++;
        } else {
            column->infinite++;
        }
    }
    if (column) {
        column->sum += sum;
        column->size += size;
    }
}

void fingerprint_stored(void *observer, uint32_t sink, uint32_t lane, const struct weir_batch *batch,
                        struct weir_symbols *symbols)
{
    struct fingerprints *prints = observer;
    uint32_t thread = lane < prints->lanes ? lane : prints->lanes;
    struct place *place = &prints->places[(size_t)sink * (prints->lanes + 1) + thread];
    const struct weir_schema *schema = batch->schema;
    place->print.records += batch->count;
    if (!reserve(place, batch->count)) {
        place->print.hash++; /* no memory: then the runs count as different, which is the safe side */
        return;
    }
    memset(place->hashes, 0, batch->count * sizeof *place->hashes);
    memset(place->weights, 0, batch->count * sizeof *place->weights);
    for (uint32_t column = 0; column < schema->count; column++) {
        uint64_t name = hash_bytes(schema->fields[column].name, strlen(schema->fields[column].name));
        bool number = schema->fields[column].type == WEIR_F64;
        for (uint32_t i = 0; i < batch->count; i++) {
            uint64_t word = word_of(batch, column, weir_batch_row(batch, i), symbols);
            place->hashes[i] = mix(place->hashes[i], word + name);
            if (!number)
                place->weights[i] = mix(place->weights[i], word);
        }
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        place->print.hash += hash_u64(place->hashes[i]);
        place->weights[i] = hash_u64(place->weights[i]);
    }
    for (uint32_t column = 0; column < schema->count; column++) {
        if (schema->fields[column].type == WEIR_F64)
            add_column(place, batch, column);
    }
}

static void merge(struct fingerprint *into, const struct fingerprint *from)
{
    into->records += from->records;
    into->hash += from->hash;
    for (uint32_t i = 0; i < from->column_count; i++) {
        struct fingerprint_column *column = find_column(into, from->columns[i].name);
        if (!column)
            continue;
        column->nulls += from->columns[i].nulls;
        column->infinite += from->columns[i].infinite;
        column->sum += from->columns[i].sum;
        column->size += from->columns[i].size;
    }
}

bool fingerprints_get(const struct fingerprints *prints, uint32_t nth, struct fingerprint *ret)
{
    for (uint32_t i = 0; i < prints->plan->count; i++) {
        const struct plan_node *node = &prints->plan->nodes[i];
        if (node->part->kind != WEIR_SINK || nth-- > 0)
            continue;
        *ret = (struct fingerprint){0};
        snprintf(ret->sink, sizeof ret->sink, "%s", node->name);
        for (uint32_t lane = 0; lane <= prints->lanes; lane++)
            merge(ret, &prints->places[(size_t)i * (prints->lanes + 1) + lane].print);
        return true;
    }
    return false;
}

/* ---- Comparing -------------------------------------------------------------------------------------------------- */

static const struct fingerprint_column *column_of(const struct fingerprint *print, const char *name)
{
    for (uint32_t i = 0; i < print->column_count; i++) {
        if (strcmp(print->columns[i].name, name) == 0)
            return &print->columns[i];
    }
    return NULL;
}

enum fingerprint_verdict fingerprint_compare(const struct fingerprint *before, const struct fingerprint *after,
                                             char *words, size_t size)
{
    words[0] = '\0';
    if (before->records == after->records && before->hash == after->hash)
        return FINGERPRINT_SAME;
    if (before->records != after->records) {
        snprintf(words, size, "%" PRIu64 " records, were %" PRIu64, after->records, before->records);
        return FINGERPRINT_DIFFERENT;
    }
    bool compared = false;
    for (uint32_t i = 0; i < after->column_count; i++) {
        const struct fingerprint_column *now = &after->columns[i], *then = column_of(before, now->name);
        if (!then) {
            snprintf(words, size, "column %s is new", now->name);
            return FINGERPRINT_DIFFERENT;
        }
        double scale = now->size > then->size ? now->size : then->size;
        if (now->nulls != then->nulls || now->infinite != then->infinite ||
            !(fabs(now->sum - then->sum) <= TOLERANCE * scale) ||
            !(fabs(now->size - then->size) <= TOLERANCE * scale)) {
            snprintf(words, size, "the values of %s are others", now->name);
            return FINGERPRINT_DIFFERENT;
        }
        compared = true;
    }
    if (!compared || before->column_count != after->column_count) {
        snprintf(words, size, "the values are others");
        return FINGERPRINT_DIFFERENT;
    }
    return FINGERPRINT_ROUNDING;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

void fingerprint_write(const struct fingerprint *print, struct weir_buffer *out)
{
    buffer_string(out, "{\"sink\": ");
    buffer_json_string(out, print->sink, strlen(print->sink));
    buffer_format(out, ", \"records\": %" PRIu64 ", \"hash\": \"%016" PRIx64 "\", \"columns\": [", print->records,
                  print->hash);
    for (uint32_t i = 0; i < print->column_count; i++) {
        const struct fingerprint_column *column = &print->columns[i];
        buffer_string(out, i ? ", {\"name\": " : "{\"name\": ");
        buffer_json_string(out, column->name, strlen(column->name));
        buffer_format(out,
                      ", \"nulls\": %" PRIu64 ", \"infinite\": %" PRIu64 ", \"weighted_sum\": %.17g, "
                      "\"weighted_size\": %.17g}",
                      column->nulls, column->infinite, isfinite(column->sum) ? column->sum : 0,
                      isfinite(column->size) ? column->size : 0);
    }
    buffer_string(out, "]}");
}

int fingerprint_read(const struct json_node *node, struct fingerprint *ret)
{
    const struct json_node *columns = json_member(node, "columns");
    const char *sink = json_member_text(node, "sink", NULL), *hash = json_member_text(node, "hash", NULL);
    double records = json_member_number(node, "records", -1);
    char *end;
    if (!sink || !hash || !(records >= 0) || !columns || columns->kind != JSON_ARRAY)
        return -EINVAL;
    *ret = (struct fingerprint){.records = json_member_count(node, "records"), .hash = strtoull(hash, &end, 16)};
    if (*end)
        return -EINVAL;
    snprintf(ret->sink, sizeof ret->sink, "%s", sink);
    for (const struct json_node *at = columns->first; at && ret->column_count < FINGERPRINT_COLUMNS_MAX;
         at = at->next) {
        struct fingerprint_column *column = &ret->columns[ret->column_count++];
        snprintf(column->name, sizeof column->name, "%s", json_member_text(at, "name", ""));
        column->nulls = json_member_count(at, "nulls");
        column->infinite = json_member_count(at, "infinite");
        column->sum = json_member_number(at, "weighted_sum", 0);
        column->size = json_member_number(at, "weighted_size", 0);
    }
    return 0;
}
