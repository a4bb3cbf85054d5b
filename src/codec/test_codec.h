/* SPDX-License-Identifier: MIT */
/*
 * What the tests in this folder share: decode some bytes, as one block or cut at random places, and get back all that
 * came of it as text:
 *
 *     rows       "<position> <the row as NDJSON>\n" …
 *     refusals   "<file's line> <reason>\n" …
 *     counts     "<what> <field> <number>\n" …, summed up over blocks
 */
#ifndef CODEC_TEST_CODEC_H
#define CODEC_TEST_CODEC_H
#include "base/buffer.h"
#include "codec/codec.h"
#include "data/test_data.h"

enum { TEST_COUNTS = 64 };

struct outcome {
    struct weir_buffer rows, refusals;
    struct {
        char what[32], field[64];
        uint64_t number;
    } counts[TEST_COUNTS];
    size_t count_count;
    uint64_t records, good;
    int error;
    char message[WEIR_ERROR_MAX];
    struct weir_schema *schema;
};

static void outcome_refused(void *owner, const struct codec_refusal *refusal)
{
    struct outcome *outcome = owner;
    buffer_format(&outcome->refusals, "%llu %s\n", (unsigned long long)refusal->line, refusal->reason);
    assert_true(strlen(refusal->detail) > 0);
    assert_string_equal(refusal->file, "test");
    assert_int_equal(refusal->position, refusal->line - 1);
}

static void outcome_counted(void *owner, const char *what, const char *field, uint64_t number)
{
    struct outcome *outcome = owner;
    size_t i = 0;
    while (i < outcome->count_count &&
           (strcmp(outcome->counts[i].what, what) != 0 || strcmp(outcome->counts[i].field, field) != 0)) {
        i++;
    }
    assert_true(i < TEST_COUNTS);
    if (i == outcome->count_count) {
        snprintf(outcome->counts[i].what, sizeof outcome->counts[i].what, "%s", what);
        snprintf(outcome->counts[i].field, sizeof outcome->counts[i].field, "%s", field);
        outcome->count_count++;
    }
    outcome->counts[i].number += number;
}

static inline uint64_t outcome_count(const struct outcome *outcome, const char *what, const char *field)
{
    for (size_t i = 0; i < outcome->count_count; i++) {
        if (strcmp(outcome->counts[i].what, what) == 0 && strcmp(outcome->counts[i].field, field) == 0) {
            return outcome->counts[i].number;
        }
    }
    return 0;
}

static inline void outcome_free(struct outcome *outcome)
{
    buffer_free(&outcome->rows);
    buffer_free(&outcome->refusals);
    weir_schema_release(outcome->schema);
}

static inline struct codec_read_options test_options(void)
{
    return (struct codec_read_options){.delimiter = ",", .header = true, .time_zone = "UTC", .line_max = 1 << 20};
}

static void outcome_add(struct outcome *outcome, const struct weir_symbols *symbols, struct weir_batch *batch)
{
    struct codec_write_options write = {.format = CODEC_NDJSON};
    for (uint32_t row = 0; batch && row < batch->rows; row++) {
        struct weir_batch one = *batch;
        one.selection = &row;
        one.count = 1;
        buffer_format(&outcome->rows, "%llu ", (unsigned long long)weir_batch_position(batch, row));
        assert_int_equal(codec_encode(&write, symbols, &one, &outcome->rows), 0);
    }
    outcome->good += batch ? batch->count : 0;
}

struct test_rig {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct decoder *decoder;
    struct codec_layout *layout;
};

/* One block, copied to memory of its exact size and 64 bytes, so that a sanitizer sees what is read behind it. */
static void outcome_block(struct outcome *outcome, struct test_rig *rig, const char *data, size_t size, uint64_t line)
{
    struct weir_memory *memory = pool_memory(rig->pool, size);
    assert_non_null(memory);
    memcpy(memory->data, data, size);
    struct weir_block block = {.memory = memory,
                               .data = memory->data,
                               .size = size,
                               .layout = rig->layout,
                               .file = "test",
                               .line = line,
                               .position = line - 1,
                               .produced = 7};
    struct weir_batch *batch = NULL;
    uint64_t records = 0;
    outcome->error = decoder_decode(rig->decoder, &block, &batch, &records);
    weir_memory_release(memory);
    if (outcome->error == 0) {
        outcome->records += records;
        outcome_add(outcome, rig->symbols, batch);
        weir_batch_release(batch);
    }
}

/* random NULL: one block; else cut where codec_cut allows it. */
static inline struct outcome decode_text(enum codec_format format, const struct codec_read_options *options,
                                         const char *data, size_t size, struct random *random)
{
    struct outcome outcome = {0};
    struct weir_error error = {0};
    struct weir_env env = {.name = "test", .error = &error};
    struct decoder_events events = {&outcome, outcome_refused, outcome_counted};
    struct test_rig rig = {.pool = pool_new(NULL, 1 << 20), .symbols = symbols_new(NULL, 0)};
    size_t at = 0;
    uint64_t line = 1;
    outcome.error = codec_layout_new(format, options, &env, data, size, true, NULL, &rig.layout, &at, &line);
    line = outcome.error ? 1 : line + 1;
    snprintf(outcome.message, sizeof outcome.message, "%s", error.text);
    if (outcome.error == 0) {
        rig.decoder = decoder_new(rig.pool, rig.symbols, &events);
        outcome.schema = weir_schema_reference(codec_layout_schema(rig.layout));
    }
    for (size_t seen = at; outcome.error == 0 && at < size;) {
        seen += random && size > seen ? 1 + random_below(random, size - seen < 300 ? size - seen : 300) : size - seen;
        size_t cut = seen < size ? codec_cut(format, options, data + at, seen - at) : size - at;
        if (cut == 0) {
            continue;
        }
        outcome_block(&outcome, &rig, data + at, cut, line);
        for (size_t i = at; i < at + cut; i++) {
            line += data[i] == '\n';
        }
        at += cut;
    }
    codec_layout_release(rig.layout);
    decoder_free(rig.decoder);
    symbols_free(rig.symbols);
    pool_close(rig.pool);
    buffer_append(&outcome.rows, "", 1);
    buffer_append(&outcome.refusals, "", 1);
    return outcome;
}

/* The declared fields of a test: "name: type" pairs. */
#define TEST_FIELDS(...)                                                                                               \
    {                                                                                                                  \
        .items = (const struct weir_pair[]){__VA_ARGS__},                                                              \
        .count = sizeof((const struct weir_pair[]){__VA_ARGS__}) / sizeof(struct weir_pair)                            \
    }
#define TEST_FIELD(field_name, field_type)                                                                             \
    {                                                                                                                  \
        .name = {.text = field_name}, .value = {.text = field_type }                                                   \
    }

#endif
