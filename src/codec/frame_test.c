/* SPDX-License-Identifier: MIT */
#include "codec/test_codec.h"

#include <math.h>

#include "codec/crc32c.h"
#include "codec/frame.h"

static const struct weir_field fields[] = {
    {.name = "t", .type = WEIR_TIME},
    {.name = "s", .type = WEIR_SYMBOL},
    {.name = "v", .type = WEIR_F64},
    {.name = "i", .type = WEIR_I64},
    {.name = "b", .type = WEIR_BOOL},
    {.name = "x", .type = WEIR_TEXT},
    {.name = "w", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F64, .elements = 2},
};

struct rig {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct weir_schema *schema;
    struct weir_buffer text, frames; /* the records as NDJSON and as frames */
    struct random random;
};

static struct rig rig_new(void)
{
    return (struct rig){.pool = pool_new(NULL, 0),
                        .symbols = symbols_new(NULL, 0),
                        .schema = weir_schema_new(fields, 7, 0, 1),
                        .random = random_start()};
}

static void rig_free(struct rig *rig)
{
    buffer_free(&rig->text);
    buffer_free(&rig->frames);
    weir_schema_release(rig->schema);
    symbols_free(rig->symbols);
    pool_close(rig->pool);
}

static void fill(struct rig *rig, struct weir_batch *batch, uint32_t row)
{
    struct random *random = &rig->random;
    bool null[6];
    for (int i = 0; i < 6; i++) {
        null[i] = random_below(random, 5) == 0;
    }
    char name[32];
    int length = snprintf(name, sizeof name, "sensor %d", (int)random_below(random, 20));
    static const char *const words[] = {"", "a", "line\nbreak \"q\"", "\xc3\xa4\xe2\x82\xac"};
    const char *word = words[random_below(random, 4)];
    double *pair = (double *)weir_batch_column_data(batch, 6) + (size_t)row * 2;
    ((int64_t *)weir_batch_column_data(batch, 0))[row] = null[0] ? WEIR_TIME_NULL : (int64_t)random_next(random) / 2;
    ((uint32_t *)weir_batch_column_data(batch, 1))[row] = null[1] ? 0
                                                                  : symbols_intern(rig->symbols, name, (size_t)length);
    ((double *)weir_batch_column_data(batch, 2))[row] = null[2] ? NAN : (double)random_below(random, 1000) / 8;
    ((int64_t *)weir_batch_column_data(batch, 3))[row] = null[3] ? WEIR_I64_NULL : (int64_t)random_next(random) / 2;
    ((uint8_t *)weir_batch_column_data(batch, 4))[row] = null[4] ? WEIR_BOOL_NULL : row % 2;
    ((struct weir_text *)weir_batch_column_data(batch, 5))[row] = (struct weir_text){
        .data = null[5] ? NULL : word, .length = null[5] ? 0 : (uint32_t)strlen(word)};
    pair[0] = null[2] ? NAN : 0.5;
    pair[1] = row;
}

/* Adds a frame of random rows, selected or all, and what they are as NDJSON. */
static uint32_t add_batch(struct rig *rig, uint32_t rows, bool selected)
{
    struct weir_batch *batch = weir_batch_new(rig->pool, rig->schema, rows);
    uint32_t count = 0, *selection = weir_batch_allocate(batch, (rows ? rows : 1) * sizeof *selection);
    for (uint32_t row = 0; row < rows; row++) {
        fill(rig, batch, row);
        if (row == 0 || random_below(&rig->random, 3) > 0) {
            selection[count++] = row;
        }
    }
    if (selected) {
        weir_batch_select(batch, selection, count);
    }
    struct codec_write_options text = {.format = CODEC_NDJSON}, frame = {.format = CODEC_FRAME};
    size_t before = rig->frames.size;
    assert_int_equal(codec_encode(&text, rig->symbols, batch, &rig->text), 0);
    assert_int_equal(codec_encode(&frame, rig->symbols, batch, &rig->frames), 0);
    assert_int_equal((rig->frames.size - before) % FRAME_LINE, 0);
    assert_int_equal(rig->frames.data[rig->frames.size - 1], '\n');
    count = batch->count;
    weir_batch_release(batch);
    return count;
}

struct result {
    struct weir_buffer rows, refusals;
    uint64_t records, good, refused, extent;
    int error;
    char message[WEIR_ERROR_MAX];
};

static void result_refused(void *owner, const struct codec_refusal *refusal)
{
    struct result *result = owner;
    result->refused++;
    buffer_format(&result->refusals, "%llu %llu %s\n", (unsigned long long)refusal->line,
                  (unsigned long long)refusal->position, refusal->reason);
    assert_non_null(strstr(refusal->detail, "at byte "));
}

static void result_counted(void *owner, const char *what, const char *field, uint64_t number)
{
    struct result *result = owner;
    buffer_format(&result->refusals, "%s %s %llu\n", what, field, (unsigned long long)number);
}

/* step 0: one block; 1: a frame each, as the reader cuts them; else what is there of so many bytes more each time. */
static struct result read_frames(const char *data, size_t size, size_t step, const struct codec_read_options *options,
                                 uint64_t most)
{
    struct result result = {0};
    struct weir_error error = {0};
    struct weir_env env = {.error = &error};
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct decoder_events events = {&result, result_refused, result_counted};
    struct decoder *decoder = decoder_new(pool, symbols, &events);
    struct codec_layout *layout = NULL;
    size_t skip = 0;
    uint64_t lines = 0, position = 0;
    result.error = codec_layout_new(CODEC_FRAME, options, &env, data, size, true, NULL, &layout, &skip, &lines);
    snprintf(result.message, sizeof result.message, "%s", error.text);
    assert_int_equal(skip, 0);
    for (size_t at = 0, seen = 0; result.error == 0 && at < size;) {
        seen = step > 1 && size - seen > step ? seen + step : size;
        size_t cut = seen < size ? codec_cut(CODEC_FRAME, options, data + at, seen - at) : size - at;
        cut = step == 1 ? codec_cut_first(CODEC_FRAME, options, data + at, cut) : cut;
        if (cut == 0) {
            continue;
        }
        struct weir_memory *memory = pool_memory(pool, cut);
        memcpy(memory->data, data + at, cut);
        struct weir_block block = {.memory = memory,
                                   .data = memory->data,
                                   .size = cut,
                                   .layout = layout,
                                   .file = "test",
                                   .line = at + 1,
                                   .position = position,
                                   .records_most = most};
        struct codec_extent extent = codec_extent(CODEC_FRAME, block.data, cut);
        struct weir_batch *batch = NULL;
        uint64_t records = 0;
        assert_int_equal(codec_block_records(&block), most && most < extent.records ? most : extent.records);
        assert_int_equal(decoder_decode(decoder, &block, &batch, &records), 0);
        assert_true(most > 0 || records == extent.records);
        weir_memory_release(memory);
        position += extent.records;
        result.records += records;
        struct codec_write_options write = {.format = CODEC_NDJSON};
        if (batch) {
            result.good += batch->count;
            for (uint32_t row = 0; row < batch->rows; row++) {
                result.extent += weir_batch_position(batch, row);
            }
            assert_int_equal(codec_encode(&write, symbols, batch, &result.rows), 0);
        }
        weir_batch_release(batch);
        at += cut;
        seen = seen < at ? at : seen;
    }
    codec_layout_release(layout);
    decoder_free(decoder);
    symbols_free(symbols);
    pool_close(pool);
    buffer_append(&result.rows, "", 1);
    buffer_append(&result.refusals, "", 1);
    return result;
}

static void result_free(struct result *result)
{
    buffer_free(&result->rows);
    buffer_free(&result->refusals);
}

static void test_crc(void **state)
{
    (void)state;
    char bytes[300];
    struct random random = random_start();
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(crc32c_by_table(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)random_next(&random);
        assert_int_equal(crc32c(0, bytes, i), crc32c_by_table(0, bytes, i));
    }
    /* Long ones go in three streams, for as long as there is enough of them. */
    static char many[16 << 10];
    for (size_t i = 0; i < sizeof many; i++) {
        many[i] = (char)random_next(&random);
    }
    for (int round = 0; round < 300; round++) {
        size_t from = random_below(&random, 100), size = random_below(&random, sizeof many - from);
        uint32_t before = (uint32_t)random_next(&random);
        assert_int_equal(crc32c(before, many + from, size), crc32c_by_table(before, many + from, size));
    }
}

/* NDJSON → batch → frames → batch → NDJSON: nothing is lost, however the frames are cut into blocks. */
static void test_round_trip(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    for (int round = 0; round < 60; round++) {
        struct rig rig = rig_new();
        uint64_t rows = 0;
        for (uint64_t i = 1 + random_below(&rig.random, 4); i > 0; i--) {
            rows += add_batch(&rig, 1 + (uint32_t)random_below(&rig.random, 300), round % 2);
        }
        buffer_append(&rig.text, "", 1);
        for (size_t step = 0; step < 3; step++) {
            struct result result = read_frames(rig.frames.data, rig.frames.size, step < 2 ? step : 777, &options, 0);
            assert_string_equal(result.refusals.data, "");
            assert_string_equal(result.rows.data, rig.text.data);
            assert_int_equal(result.good, rows);
            assert_int_equal(result.extent, rows * (rows - 1) / 2);
            result_free(&result);
        }
        rig_free(&rig);
    }
}

static void test_large(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    struct rig rig = rig_new();
    uint32_t rows = add_batch(&rig, 150000, false); /* more than a frame holds */
    struct result result = read_frames(rig.frames.data, rig.frames.size, 1, &options, 0);
    buffer_append(&rig.text, "", 1);
    assert_int_equal(result.good, rows);
    assert_true(strcmp(result.rows.data, rig.text.data) == 0);
    result_free(&result);
    result = read_frames(rig.frames.data, rig.frames.size, 0, &options, 70000);
    assert_int_equal(result.good, 70000);
    assert_int_equal(result.records, 70000);
    assert_memory_equal(result.rows.data, rig.text.data, result.rows.size - 1);
    result_free(&result);
    rig_free(&rig);
}

/* Whatever one wrong byte breaks, the other frames are read, and what is wrong is said once with its place. */
static void test_corrupted(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    struct rig rig = rig_new();
    uint32_t first = add_batch(&rig, 40, false);
    size_t begin = rig.frames.size, before = rig.text.size;
    uint32_t middle = add_batch(&rig, 50, false);
    size_t end = rig.frames.size, after = rig.text.size;
    uint32_t last = add_batch(&rig, 60, false);
    struct weir_buffer wanted = {0};
    buffer_append(&wanted, rig.text.data, before);
    buffer_append(&wanted, rig.text.data + after, rig.text.size - after);
    buffer_append(&wanted, "", 1);
    struct frame_head head;
    memcpy(&head, rig.frames.data + begin, sizeof head);
    for (int round = 0; round < 400; round++) {
        size_t at = begin + random_below(&rig.random, round % 2 ? end - begin : head.header_size);
        char old = rig.frames.data[at];
        rig.frames.data[at] ^= (char)(1 << random_below(&rig.random, 8));
        bool body = at >= begin + head.header_size;
        struct result whole = read_frames(rig.frames.data, rig.frames.size, 0, &options, 0);
        struct result each = read_frames(rig.frames.data, rig.frames.size, 1, &options, 0);
        struct result cut = read_frames(rig.frames.data, rig.frames.size, 1000, &options, 0);
        char refusal[100];
        snprintf(refusal, sizeof refusal, "%zu %u %s\n", begin + 1, first, body ? "corrupted frame" : "not a frame");
        assert_string_equal(whole.refusals.data, refusal);
        assert_string_equal(each.refusals.data, refusal);
        assert_string_equal(cut.refusals.data, refusal);
        assert_string_equal(whole.rows.data, wanted.data);
        assert_string_equal(each.rows.data, wanted.data);
        assert_string_equal(cut.rows.data, wanted.data);
        assert_int_equal(whole.good, first + last);
        assert_int_equal(whole.records, first + last + (body ? middle : 1));
        assert_int_equal(whole.extent, each.extent);
        assert_int_equal(whole.extent, cut.extent);
        result_free(&whole);
        result_free(&each);
        result_free(&cut);
        rig.frames.data[at] = old;
    }
    buffer_free(&wanted);
    rig_free(&rig);
}

/* Bytes before, a frame that is cut off at the end, and frames that begin anywhere. */
static void test_torn(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    struct rig rig = rig_new();
    uint32_t rows = add_batch(&rig, 20, false);
    size_t size = rig.frames.size;
    buffer_append(&rig.frames, "lost", 4);
    rows += add_batch(&rig, 1, false) + 1;
    assert_non_null(buffer_reserve(&rig.frames, size)); /* so that appending it to itself does not move it */
    buffer_append(&rig.frames, rig.frames.data, size - 1);
    struct result result = read_frames(rig.frames.data, rig.frames.size, 0, &options, 0);
    char refusals[200];
    snprintf(refusals, sizeof refusals, "%zu 20 not a frame\n%zu 22 not a frame\n", size + 1,
             rig.frames.size - size + 2);
    assert_string_equal(result.refusals.data, refusals);
    assert_int_equal(result.good, rows - 1);
    result_free(&result);
    result = read_frames("no frame at all", 15, 0, &options, 0);
    assert_int_not_equal(result.error, 0);
    assert_non_null(strstr(result.message, "there is no frame"));
    result_free(&result);
    rig_free(&rig);
}

/* Columns go by name and type to those of the first frame, or to the declared ones. */
static void test_columns(void **state)
{
    (void)state;
    static const struct weir_pair wanted[] = {TEST_FIELD("i", "time"), TEST_FIELD("v", "text"),
                                              TEST_FIELD("s", "symbol"), TEST_FIELD("none", "f64")};
    struct codec_read_options options = test_options();
    options.fields = (struct weir_list){wanted, 4};
    struct rig rig = rig_new();
    add_batch(&rig, 10, false);
    struct result result = read_frames(rig.frames.data, rig.frames.size, 0, &options, 0);
    assert_int_equal(result.good, 10);
    assert_non_null(strstr(result.refusals.data, "extra field t 10\n"));
    assert_non_null(strstr(result.refusals.data, "type mismatch v 10\n"));
    assert_non_null(strstr(result.refusals.data, "missing field none 10\n"));
    assert_non_null(strstr(result.rows.data, ",\"none\":null}\n"));
    result_free(&result);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),       cmocka_unit_test(test_round_trip), cmocka_unit_test(test_large),
        cmocka_unit_test(test_corrupted), cmocka_unit_test(test_torn),       cmocka_unit_test(test_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
