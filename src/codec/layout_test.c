/* SPDX-License-Identifier: MIT */
#include "codec/test_codec.h"

static struct weir_error failure;

static struct codec_layout *layout_of(enum codec_format format, const struct codec_read_options *options,
                                      const char *data, struct codec_layout *previous, size_t *ret_skip,
                                      uint64_t *ret_lines)
{
    struct weir_env env = {.error = &failure};
    struct codec_layout *layout = NULL;
    memset(&failure, 0, sizeof failure);
    int error = codec_layout_new(format, options, &env, data, strlen(data), true, previous, &layout, ret_skip,
                                 ret_lines);
    assert_int_equal(error, failure.code);
    return error ? NULL : layout;
}

/* "name:type name:type* name:type+": * is the time, + the key. */
static void expect(enum codec_format format, const struct codec_read_options *options, const char *data,
                   const char *wanted)
{
    size_t skip;
    uint64_t lines;
    struct codec_layout *layout = layout_of(format, options, data, NULL, &skip, &lines);
    if (!layout) {
        print_message("%s\n", failure.text);
    }
    assert_non_null(layout);
    const struct weir_schema *schema = codec_layout_schema(layout);
    struct weir_buffer text = {0};
    for (uint32_t i = 0; i < schema->count; i++) {
        buffer_format(&text, "%s%s:%s%s%s", i ? " " : "", schema->fields[i].name,
                      weir_type_name(schema->fields[i].type), schema->time == (int32_t)i ? "*" : "",
                      schema->key == (int32_t)i ? "+" : "");
    }
    buffer_append(&text, "", 1);
    assert_string_equal(text.data, wanted);
    buffer_free(&text);
    codec_layout_release(layout);
}

static void test_guess_format(void **state)
{
    (void)state;
    assert_int_equal(codec_guess("a.csv", "{", 1), CODEC_CSV);
    assert_int_equal(codec_guess("a.NDJSON", "a,b", 3), CODEC_NDJSON);
    assert_int_equal(codec_guess("a.txt", "a,b", 3), CODEC_CSV);
    assert_int_equal(codec_guess("-", "\n {\"a\":1}", 9), CODEC_NDJSON);
    assert_int_equal(codec_guess(NULL, "\xef\xbb\xbf{}", 5), CODEC_NDJSON);
    assert_int_equal(codec_guess(NULL, "", 0), CODEC_NDJSON);
}

static void test_infer_ndjson(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    expect(CODEC_NDJSON, &options, "{\"ts\":1732147200.123,\"sensor\":\"s654\",\"value\":25.276,\"seq\":0}\n",
           "ts:time* sensor:text value:f64 seq:f64");
    options.key.text = "sensor";
    expect(CODEC_NDJSON, &options, "{\"ts\":1732147200.123,\"sensor\":\"s654\",\"value\":25.276,\"seq\":0}\n",
           "ts:time* sensor:symbol+ value:f64 seq:f64");
    expect(CODEC_NDJSON, &options,
           "bad\n{\"sensor\":7,\"a\":true,\"b\":null,\"c\":{}}\n{\"sensor\":8,\"d\":\"2024-11-21 10:00:00\"}\n",
           "sensor:i64+ a:bool b:f64 c:f64 d:time*");
    options.key.text = NULL;
    expect(CODEC_NDJSON, &options, "{\"big\":9007199254740993,\"ts\":5,\"x\":\"\\u0041\",\"\\u0062\":1}\n",
           "big:i64 ts:f64 x:text b:f64");
    options.time.text = "n";
    expect(CODEC_NDJSON, &options, "{\"n\":5,\"ts\":1732147200}\n", "n:time* ts:time");
}

static void test_infer_csv(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    expect(CODEC_CSV, &options, "timestamp,value\n2013-12-02 21:15:00,73.96\n", "timestamp:time* value:f64");
    expect(CODEC_CSV, &options,
           "\xef\xbb\xbf time ,\"a,b\",flag,mixed,none,id,id\r\n1732147200,1,true,1,,x,1\r\n1732147201,NA,,z,,y,2\r\n",
           "time:time* a,b:f64 flag:bool mixed:text none:f64 id:text id_2:f64");
    options.key.text = "id";
    expect(CODEC_CSV, &options, "id,v\n1,2\n", "id:i64+ v:f64");
    expect(CODEC_CSV, &options, "id,v\n1,2\nx,3\n", "id:symbol+ v:f64");
    expect(CODEC_CSV, &options, "id,,v\n", "id:f64+ c2:f64 v:f64");
    options.key.text = NULL;
    options.header = false;
    expect(CODEC_CSV, &options, "1,x\n2,y\n", "c1:f64 c2:text");
}

static void test_declared(void **state)
{
    (void)state;
    static const struct weir_pair fields[] = {TEST_FIELD("a", "f64"), TEST_FIELD("b", "symbol"),
                                              TEST_FIELD("c", "time")};
    struct codec_read_options options = test_options();
    options.fields = (struct weir_list){fields, 3};
    expect(CODEC_NDJSON, &options, "", "a:f64 b:symbol c:time*");
    options.key.text = "b";
    options.time.text = "a";
    options.header = false;
    expect(CODEC_CSV, &options, "1,2,3\n", "a:time* b:symbol+ c:time");
}

static void expect_error(enum codec_format format, const struct codec_read_options *options, const char *data,
                         const char *words)
{
    size_t skip;
    uint64_t lines;
    assert_null(layout_of(format, options, data, NULL, &skip, &lines));
    if (!strstr(failure.text, words)) {
        print_message("%s\n", failure.text);
    }
    assert_non_null(strstr(failure.text, words));
}

static void test_errors(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    expect_error(CODEC_NDJSON, &options, "", "fields");
    expect_error(CODEC_CSV, &options, "", "fields");
    expect_error(CODEC_NDJSON, &options, "no\njson\n", "no JSON objects");
    options.key.text = "sensr";
    expect_error(CODEC_NDJSON, &options, "{\"sensor\":1}\n", "did you mean 'sensor'?");
    options.key.text = NULL;
    options.time.text = "zzz";
    expect_error(CODEC_CSV, &options, "sensor\n1\n", "there is no field 'zzz'");
    options.time.text = NULL;
    options.time_zone = "Mars/Olympus";
    expect_error(CODEC_CSV, &options, "sensor\n1\n", "Mars/Olympus");
    options.time_zone = "UTC";
    static const struct weir_pair fields[] = {TEST_FIELD("a", "float")};
    options.fields = (struct weir_list){fields, 1};
    expect_error(CODEC_NDJSON, &options, "{}", "'float' is no type");
}

/* A second file with other fields in another order keeps the first one's columns. */
static void test_kept(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    size_t skip;
    uint64_t lines;
    struct codec_layout *first = layout_of(CODEC_CSV, &options, "a,b\n1,2\n", NULL, &skip, &lines);
    assert_int_equal(skip, 4);
    assert_int_equal(lines, 1);
    struct codec_layout *second = layout_of(CODEC_CSV, &options, "\n\nb,x,a\n1,2,3\n", first, &skip, &lines);
    assert_non_null(second);
    assert_int_equal(skip, 8);
    assert_int_equal(lines, 3);
    assert_ptr_equal(codec_layout_schema(first), codec_layout_schema(second));
    struct codec_layout *empty = layout_of(CODEC_CSV, &options, "", first, &skip, &lines);
    assert_non_null(empty);
    codec_layout_release(first);
    codec_layout_release(second);
    codec_layout_release(empty);
}

/* Out of memory at each allocation in turn: an error, no leak, and nothing half told. */
static void test_memory(void **state)
{
    (void)state;
    static const char ndjson[] = "{\"a\":1,\"b\":\"x\\ty\",\"c\":\"k\"}\nbad\n\n{\"a\":2,\"d\":3}\n";
    static const char csv[] = "a,b,c\n1,\"x\"\"y\",k\n\"bad\n\n2,,\n";
    struct codec_read_options options = test_options();
    options.key.text = "c";
    for (int format = CODEC_NDJSON; format <= CODEC_CSV; format++) {
        const char *data = format == CODEC_CSV ? csv : ndjson;
        for (uint64_t nth = 1;; nth++) {
            struct weir_error error = {0};
            struct weir_env env = {.error = &error};
            struct test_rig rig = {.pool = pool_new(NULL, 0), .symbols = symbols_new(NULL, 0)};
            struct outcome outcome = {0};
            struct decoder_events events = {.owner = &outcome};
            struct weir_memory *memory = pool_memory(rig.pool, strlen(data));
            struct weir_batch *batch = NULL;
            size_t skip = 0;
            uint64_t lines, records = 0;
            memcpy(memory->data, data, strlen(data));
            memory_fail_nth(nth, false);
            int code = codec_layout_new((enum codec_format)format, &options, &env, data, strlen(data), true, NULL,
                                        &rig.layout, &skip, &lines);
            if (code == 0) {
                rig.decoder = decoder_new(rig.pool, rig.symbols, &events);
                code = rig.decoder ? 0 : -1;
            }
            struct weir_block block = {.memory = memory,
                                       .data = (char *)memory->data + skip,
                                       .size = strlen(data) - skip,
                                       .layout = rig.layout,
                                       .file = "test"};
            if (code == 0) {
                code = decoder_decode(rig.decoder, &block, &batch, &records);
            }
            bool reached = memory_fail_nth(0, false) < nth;
            if (code == 0) {
                assert_int_equal(records, 3);
                assert_true(batch && batch->count >= (reached ? 2 : 1)); /* no room for a symbol: that row is refused */
            }
            weir_batch_release(batch);
            weir_memory_release(memory);
            decoder_free(rig.decoder);
            codec_layout_release(rig.layout);
            symbols_free(rig.symbols);
            pool_close(rig.pool);
            if (reached) {
                assert_int_equal(code, 0);
                break;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guess_format), cmocka_unit_test(test_infer_ndjson), cmocka_unit_test(test_infer_csv),
        cmocka_unit_test(test_declared),     cmocka_unit_test(test_errors),       cmocka_unit_test(test_kept),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
