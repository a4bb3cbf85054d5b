/* SPDX-License-Identifier: MIT */
#include "codec/test_codec.h"

#include <math.h>

#include "base/display.h"
#include "codec/ndjson_simdjson.h"

struct written {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct weir_schema *schema;
    struct weir_batch *batch;
};

static struct written make(uint32_t rows)
{
    static const struct weir_field fields[] = {
        {.name = "t", .type = WEIR_TIME},
        {.name = "s", .type = WEIR_SYMBOL},
        {.name = "v", .type = WEIR_F64},
        {.name = "i", .type = WEIR_I64},
        {.name = "b", .type = WEIR_BOOL},
        {.name = "x \"y\", z", .type = WEIR_TEXT},
        {.name = "w", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F64, .elements = 2},
    };
    struct written written = {.pool = pool_new(NULL, 0), .symbols = symbols_new(NULL, 0)};
    written.schema = weir_schema_new(fields, 7, 0, 1);
    written.batch = weir_batch_new(written.pool, written.schema, rows);
    return written;
}

static void unmake(struct written *written)
{
    weir_batch_release(written->batch);
    weir_schema_release(written->schema);
    symbols_free(written->symbols);
    pool_close(written->pool);
}

static void set_row(struct written *written, uint32_t row, int64_t time, const char *symbol, double value,
                    int64_t integer, uint8_t boolean, const char *text)
{
    struct weir_batch *batch = written->batch;
    uint32_t id = symbol ? symbols_intern(written->symbols, symbol, strlen(symbol)) : WEIR_SYMBOL_NULL;
    ((int64_t *)weir_batch_column_data(batch, 0))[row] = time;
    ((uint32_t *)weir_batch_column_data(batch, 1))[row] = id;
    ((double *)weir_batch_column_data(batch, 2))[row] = value;
    ((int64_t *)weir_batch_column_data(batch, 3))[row] = integer;
    ((uint8_t *)weir_batch_column_data(batch, 4))[row] = boolean;
    ((struct weir_text *)weir_batch_column_data(batch, 5))[row] = (struct weir_text){
        .data = text, .length = text ? (uint32_t)strlen(text) : 0};
    ((double *)weir_batch_column_data(batch, 6))[row * 2] = value;
    ((double *)weir_batch_column_data(batch, 6))[row * 2 + 1] = 0.5;
}

static struct written example(void)
{
    struct written written = make(4);
    set_row(&written, 0, 1732147200123000000, "s1", 25.276, -3, 1, "plain");
    set_row(&written, 1, WEIR_TIME_NULL, NULL, NAN, WEIR_I64_NULL, WEIR_BOOL_NULL, NULL);
    set_row(&written, 2, 0, "never shown", 1, 1, 0, "");
    set_row(&written, 3, 0, "a,b", -INFINITY, INT64_MAX, 0, "two\n\"lines\"");
    static const uint32_t selection[] = {0, 1, 3};
    weir_batch_select(written.batch, selection, 3);
    return written;
}

static void expect(const struct codec_write_options *options, const char *text)
{
    struct written written = example();
    struct weir_buffer out = {0};
    assert_int_equal(codec_encode_header(options, written.schema, &out), 0);
    assert_int_equal(codec_encode(options, written.symbols, written.batch, &out), 0);
    buffer_append(&out, "", 1);
    assert_string_equal(out.data, text);
    buffer_free(&out);
    unmake(&written);
}

static void test_ndjson(void **state)
{
    (void)state;
    struct codec_write_options options = {.format = CODEC_NDJSON};
    expect(&options,
           "{\"t\":\"2024-11-21T00:00:00.123Z\",\"s\":\"s1\",\"v\":25.276,\"i\":-3,\"b\":true,\"x \\\"y\\\", "
           "z\":\"plain\","
           "\"w\":[25.276,0.5]}\n"
           "{\"t\":null,\"s\":null,\"v\":null,\"i\":null,\"b\":null,\"x \\\"y\\\", z\":null,\"w\":[null,0.5]}\n"
           "{\"t\":\"1970-01-01T00:00:00Z\",\"s\":\"a,b\",\"v\":\"-inf\",\"i\":9223372036854775807,\"b\":false,"
           "\"x \\\"y\\\", z\":\"two\\n\\\"lines\\\"\",\"w\":[\"-inf\",0.5]}\n");
}

static void test_csv(void **state)
{
    (void)state;
    struct codec_write_options options = {.format = CODEC_CSV, .header = true, .time_format = TIME_EPOCH_MS};
    expect(&options, "t,s,v,i,b,\"x \"\"y\"\", z\",w\n"
                     "1732147200123,s1,25.276,-3,true,plain,25.276 0.5\n"
                     ",,,,,,nan 0.5\n"
                     "0,\"a,b\",-inf,9223372036854775807,false,\"two\n\"\"lines\"\"\",-inf 0.5\n");
}

static void test_table(void **state)
{
    (void)state;
    struct codec_write_options options = {.format = CODEC_TABLE};
    expect(&options,
           "t                         s                        v             i  b      x \"y\", z      w\n"
           "2024-11-21T00:00:00.123Z  s1                  25.276            -3  true   plain         [2 values]\n"
           "-                         -                        -             -  -      -             [2 values]\n"
           "1970-01-01T00:00:00Z      a,b                   -inf  9223372036854775807  false  two \"lines\"   [2 "
           "values]\n");
}

static void check_widths(const struct weir_buffer *out, size_t width)
{
    for (size_t at = 0; at < out->size;) {
        const char *end = memchr(out->data + at, '\n', out->size - at);
        assert_non_null(end);
        size_t length = (size_t)(end - (out->data + at));
        if (display_columns(out->data + at, length) > width)
            fail_msg("%zu columns: more than %zu: %.*s", display_columns(out->data + at, length), width, (int)length,
                     out->data + at);
        at += length + 1;
    }
}

static void test_table_that_fits(void **state)
{
    (void)state;
    struct written written = example();
    set_row(&written, 0, 1732147200123456789, "Temperaturfühler Süd", 1.23456e-300, INT64_MIN + 1, 1,
            "温度計が壊れている");
    for (int width = 1; width < 200; width++) {
        struct codec_write_options options = {.format = CODEC_TABLE, .width = width};
        struct weir_buffer out = {0};
        assert_int_equal(codec_encode_header(&options, written.schema, &out), 0);
        assert_int_equal(codec_encode(&options, written.symbols, written.batch, &out), 0);
        check_widths(&out, (size_t)width < 4 ? 4 : (size_t)width); /* the first column and the mark */
        buffer_free(&out);
    }
    unmake(&written);
    expect(&(struct codec_write_options){.format = CODEC_TABLE, .width = 72},
           "t                      s                v          i  b      x \"y\", z  …\n"
           "2024-11-21T00:00:00.…  s1          25.276         -3  true   plain     …\n"
           "-                      -                -          -  -      -         …\n"
           "1970-01-01T00:00:00Z   a,b           -inf  ~9.22e+18  false  two \"li…  …\n");
}

static void check_shown(double value)
{
    char text[33] = {0};
    size_t length = codec_show_f64(value, text);
    assert_true(length < 32);
    text[length] = '\0';
    double back = strtod(text, NULL), parsed = 0;
    assert_memory_equal(&back, &value, sizeof value);
    assert_int_equal(number_from_text(text, length, &parsed), 0);
    assert_memory_equal(&parsed, &value, sizeof value);
}

/* Not longer than the shortest by another way: %.17g with as few digits as will do. */
static void check_shortest(double value)
{
    char text[33], other[40];
    size_t length = codec_show_f64(value, text), digits = 0, fewest = 17;
    for (size_t i = 0; i < length && (text[i] | 32) != 'e'; i++) {
        digits += text[i] >= '0' && text[i] <= '9' && (digits > 0 || text[i] != '0');
    }
    for (int precision = 17; precision > 0; precision--) {
        snprintf(other, sizeof other, "%.*e", precision - 1, value);
        if (strtod(other, NULL) == value) {
            fewest = (size_t)precision;
        }
    }
    bool is_integer = value == floor(value) && fabs(value) < 1e15;
    assert_true(digits <= fewest || is_integer);
}

static void test_numbers(void **state)
{
    (void)state;
    struct random random = random_start();
    static const double values[] = {0.0,   -0.0,   1,      -1,     0.1,     25.276, 1e15,   1e14,  123456789012345.6,
                                    1e22,  1e23,   5e-324, 1e-5,   9.99e-6, 0.3,    2.5e-5, 1e300, 999999999999999.0,
                                    1.5e9, 0.0001, 1e-6,   1.1e-5, 100,     1e5};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        check_shown(values[i]);
        check_shown(-values[i]);
    }
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = random_next(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) {
            check_shown(value);
        }
        double decimal = (double)(int64_t)random_below(&random, 1000000000) /
                         pow(10, (double)random_below(&random, 12)) * (random_below(&random, 2) ? 1 : -1);
        check_shown(decimal);
        if (i % 50 == 0) {
            check_shortest(decimal);
        }
    }
    char text[32];
    assert_memory_equal(text, "100000", codec_show_f64(1e5, text));
    assert_memory_equal(text, "0.0001", codec_show_f64(1e-4, text));
}

/* Of any length, with something to escape at any place or nowhere: as the text is written by itself. */
static void test_texts(void **state)
{
    (void)state;
    static const char *const specials[] = {"",     "\"",   "\\", "\n", "\x7f", "\x1f", "\xc3\xa4",
                                           "\xff", "\x80", " ",  "!",  "[",    "~"};
    struct codec_write_options options = {.format = CODEC_NDJSON};
    for (size_t length = 0; length < 60; length++) {
        for (size_t i = 0; i <= length * 13; i++) {
            char text[70] = {0};
            size_t at = i / 13;
            memset(text, 'a', length);
            if (length > 0)
                memcpy(text + (at < length ? at : 0), specials[i % 13], strlen(specials[i % 13]));
            struct written written = make(1);
            struct weir_buffer out = {0}, expected = {0};
            set_row(&written, 0, 0, text, 1, 2, 1, text);
            assert_int_equal(codec_encode(&options, written.symbols, written.batch, &out), 0);
            buffer_string(&expected, "{\"t\":\"1970-01-01T00:00:00Z\",\"s\":");
            buffer_json_string(&expected, text, strlen(text));
            buffer_string(&expected, ",\"v\":1,\"i\":2,\"b\":true,\"x \\\"y\\\", z\":");
            buffer_json_string(&expected, text, strlen(text));
            buffer_string(&expected, ",\"w\":[1,0.5]}\n");
            assert_int_equal(out.size, expected.size);
            assert_memory_equal(out.data, expected.data, out.size);
            buffer_free(&out);
            buffer_free(&expected);
            unmake(&written);
        }
    }
}

/* Written and read again, any float has its bits, in either format. */
static void test_round_trip(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int format = CODEC_NDJSON; format <= CODEC_CSV; format++) {
        enum { ROWS = 20000 };
        struct written written = make(ROWS);
        for (uint32_t row = 0; row < ROWS; row++) {
            uint64_t bits = random_next(&random);
            double value;
            memcpy(&value, &bits, sizeof value);
            value = isnan(value) ? INFINITY : value;
            set_row(&written, row, (int64_t)random_next(&random) / 4, "k", value, (int64_t)(random_next(&random) | 1),
                    1, "x");
        }
        struct codec_write_options write = {.format = format, .header = true, .time_format = TIME_EPOCH_NS};
        struct weir_buffer out = {0}, again = {0};
        assert_int_equal(codec_encode_header(&write, written.schema, &out), 0);
        assert_int_equal(codec_encode(&write, written.symbols, written.batch, &out), 0);
        static const struct weir_pair fields[] = {TEST_FIELD("t", "time"), TEST_FIELD("s", "symbol"),
                                                  TEST_FIELD("v", "f64"), TEST_FIELD("i", "i64")};
        struct codec_read_options options = test_options();
        options.fields = (struct weir_list){fields, 4};
        options.time_format = TIME_EPOCH_NS;
        struct outcome outcome = decode_text((enum codec_format)format, &options, out.data, out.size, &random);
        assert_int_equal(outcome.good, ROWS);
        for (uint32_t row = 0; row < ROWS; row++) {
            char text[TIME_TEXT_MAX];
            double value = written.batch->columns[2].f64[row];
            buffer_format(&again, "%u {\"t\":\"", row + (format == CODEC_CSV));
            size_t length = time_show_rfc3339(written.batch->columns[0].i64[row], text);
            buffer_format(&again, "%.*s\",\"s\":\"k\",\"v\":", (int)length, text);
            length = codec_show_f64(value, text);
            buffer_format(&again, isinf(value) ? "\"%.*s\"" : "%.*s", (int)length, text);
            buffer_format(&again, ",\"i\":%lld}\n", (long long)written.batch->columns[3].i64[row]);
        }
        buffer_append(&again, "", 1);
        assert_string_equal(outcome.rows.data, again.data);
        outcome_free(&outcome);
        buffer_free(&out);
        buffer_free(&again);
        unmake(&written);
    }
}

/* Arrays of narrow, foreign-ordered and complex elements, at odd addresses. */
static void test_arrays(void **state)
{
    (void)state;
    static const struct weir_field fields[] = {
        {.name = "a", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_I16 | WEIR_ELEMENT_BIG_ENDIAN, .elements = 3},
        {.name = "b", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_I8 | WEIR_ELEMENT_COMPLEX, .elements = 2},
        {.name = "c", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F32, .elements = 4},
        {.name = "d", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_U64, .elements = 1},
    };
    static const unsigned char samples[] = {0, 0xff, 0xfe, 0x01, 0x00, 0x80, 0x00}; /* from the second byte on */
    static const int8_t pairs[] = {1, -2, -128, 127};
    static const float floats[] = {0.1f, -12.0f, 3.14159274f, NAN};
    static const uint64_t large[] = {UINT64_MAX};
    struct weir_pool *pool = pool_new(NULL, 0);
    struct weir_schema *schema = weir_schema_new(fields, 4, -1, -1);
    struct weir_batch *batch = weir_batch_new_empty(pool, schema, 1);
    struct weir_buffer out = {0};
    batch->columns[0].data = samples + 1;
    batch->columns[1].data = pairs;
    batch->columns[2].data = floats;
    batch->columns[3].data = large;
    struct codec_write_options options = {.format = CODEC_NDJSON};
    assert_int_equal(codec_encode(&options, NULL, batch, &out), 0);
    buffer_append(&out, "", 1);
    assert_string_equal(out.data, "{\"a\":[-2,256,-32768],\"b\":[[1,-2],[-128,127]],\"c\":[0.1,-12,3.1415927,null],"
                                  "\"d\":[18446744073709551615]}\n");
    out.size = 0;
    options.format = CODEC_CSV;
    assert_int_equal(codec_encode(&options, NULL, batch, &out), 0);
    buffer_append(&out, "", 1);
    assert_string_equal(out.data, "-2 256 -32768,1-2j -128+127j,0.1 -12 3.1415927 nan,18446744073709551615\n");
    buffer_free(&out);
    weir_batch_release(batch);
    weir_schema_release(schema);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ndjson),          cmocka_unit_test(test_csv),        cmocka_unit_test(test_table),
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_round_trip), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_table_that_fits), cmocka_unit_test(test_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
