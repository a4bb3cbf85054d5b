/* SPDX-License-Identifier: MIT */
#include "codec/test_codec.h"

#include <math.h>

static struct outcome decode(const char *data, struct random *random)
{
    struct codec_read_options options = test_options();
    options.line_max = 200;
    return decode_text(CODEC_INFLUX, &options, data, strlen(data), random);
}

static void expect(const char *data, const char *rows, const char *refusals)
{
    struct outcome outcome = decode(data, NULL);
    assert_string_equal(outcome.message, "");
    assert_string_equal(outcome.rows.data, rows);
    assert_string_equal(outcome.refusals.data, refusals);
    outcome_free(&outcome);
}

static void test_values(void **state)
{
    (void)state;
    expect(
        "# a comment\n"
        "weather,city=Ulm,room=2 temperature=21.5,count=7i,ok=true,note=\"a \\\"text\\\" \\\\ \\n\" "
        "1732147200000000000\n"
        "\n"
        "weather,city=Bonn,room=1 temperature=-1e-3,count=12u,ok=F,note=\"x,y z=1\" 1732147201\r\n",
        "1 {\"measurement\":\"weather\",\"city\":\"Ulm\",\"room\":\"2\",\"temperature\":21.5,\"count\":7,\"ok\":true,"
        "\"note\":\"a \\\"text\\\" \\\\ \\\\n\",\"time\":\"2024-11-21T00:00:00Z\"}\n"
        "3 "
        "{\"measurement\":\"weather\",\"city\":\"Bonn\",\"room\":\"1\",\"temperature\":-0.001,\"count\":12,\"ok\":"
        "false,"
        "\"note\":\"x,y z=1\",\"time\":\"2024-11-21T00:00:01Z\"}\n",
        "");
    expect("my\\ m\\,x=\\,a\\ b,t\\=1=\\=\\ \\\\\\, v\\ 1=1,w=+2.,z=.5\n",
           "0 {\"measurement\":\"my m,x=,a b\",\"t=1\":\"= \\\\\\\\,\",\"v 1\":1,\"w\":2,\"z\":0.5}\n", "");
}

static void test_schema(void **state)
{
    (void)state;
    struct outcome outcome = decode("m,s=1 a=1,b=1i,c=t,d=\"x\",e=\"2024-11-21T00:00:00Z\" 5\n", NULL);
    static const enum weir_type types[] = {WEIR_SYMBOL, WEIR_SYMBOL, WEIR_F64,  WEIR_I64,
                                           WEIR_BOOL,   WEIR_TEXT,   WEIR_TIME, WEIR_TIME};
    assert_int_equal(outcome.schema->count, 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(outcome.schema->fields[i].type, types[i]);
    }
    outcome_free(&outcome);
    /* The schema of the first lines stays; what differs is counted. */
    struct weir_buffer text = {0};
    for (int i = 0; i < 1000; i++) {
        buffer_string(&text, "m,s=a v=1 1732147200\n");
    }
    buffer_string(&text, "other,t=a v=\"x\",n=1i\nm,s=a v=3,v=2i 1732147200\n");
    buffer_append(&text, "", 1);
    outcome = decode(text.data, NULL);
    assert_int_equal(outcome.good, 1002);
    assert_int_equal(outcome_count(&outcome, "extra field", "t"), 1);
    assert_int_equal(outcome_count(&outcome, "extra field", "n"), 1);
    assert_int_equal(outcome_count(&outcome, "missing field", "s"), 1);
    assert_int_equal(outcome_count(&outcome, "missing field", "time"), 1);
    assert_int_equal(outcome_count(&outcome, "type mismatch", "v"), 1);
    assert_int_equal(outcome_count(&outcome, "duplicate field", "v"), 1);
    outcome_free(&outcome);
    buffer_free(&text);
}

static void test_refusals(void **state)
{
    (void)state;
    expect("m v=1\n"
           "m\n"
           "m \n"
           ",t=1 v=1\n"
           "m,t v=1\n"
           "m,t= v=1\n"
           "m v\n"
           "m v=\n"
           "m v=1x\n"
           "m v=-1u\n"
           "m v=nan\n"
           "m v=1e\n"
           "m v=\"x\n"
           "m v=\"x\"y\n"
           "m v=1 1.5\n"
           "m v=1 1 2\n"
           "m v=1 -\n"
           "m v=1, 2\n"
           "m =1\n"
           "m v=\"\xff\"\n"
           "m v=2",
           "0 {\"measurement\":\"m\",\"v\":1}\n20 {\"measurement\":\"m\",\"v\":2}\n",
           "2 no field\n3 no field\n4 not line protocol\n5 not line protocol\n6 not line protocol\n"
           "7 not line protocol\n8 bad field value\n9 bad field value\n10 bad field value\n11 bad field value\n"
           "12 bad field value\n13 unclosed string\n14 bad field value\n15 bad timestamp\n16 bad timestamp\n"
           "17 bad timestamp\n18 not line protocol\n19 not line protocol\n20 invalid UTF-8\n");
    struct weir_buffer text = {0};
    buffer_string(&text, "m v=1\nm v=\"");
    for (int i = 0; i < 300; i++) {
        buffer_string(&text, "x");
    }
    buffer_append(&text, "\"\nm v=2\n", sizeof "\"\nm v=2\n");
    expect(text.data, "0 {\"measurement\":\"m\",\"v\":1}\n2 {\"measurement\":\"m\",\"v\":2}\n", "2 line too long\n");
    buffer_free(&text);
}

static void test_declared(void **state)
{
    (void)state;
    static const struct weir_pair fields[] = {
        TEST_FIELD("room", "i64"), TEST_FIELD("level", "f64"), TEST_FIELD("on", "bool"),  TEST_FIELD("v", "text"),
        TEST_FIELD("n", "symbol"), TEST_FIELD("at", "time"),   TEST_FIELD("time", "time")};
    struct codec_read_options options = test_options();
    options.fields = (struct weir_list){fields, 7};
    options.time_format = TIME_EPOCH_S;
    options.time = (struct weir_quoted){.text = "time"};
    const char *data = "m,room=7,level=0.5,on=true,x=1 v=1.5,n=3i,at=60 120\n"
                       "m,room=a,level=b,on=c v=\"t\",n=\"s\",at=\"x\" -1\n";
    struct outcome outcome = decode_text(CODEC_INFLUX, &options, data, strlen(data), NULL);
    assert_string_equal(outcome.message, "");
    assert_string_equal(
        outcome.rows.data,
        "0 {\"room\":7,\"level\":0.5,\"on\":true,\"v\":\"1.5\",\"n\":\"3\",\"at\":\"1970-01-01T00:01:00Z\","
        "\"time\":\"1970-01-01T00:02:00Z\"}\n"
        "1 {\"room\":null,\"level\":null,\"on\":null,\"v\":\"t\",\"n\":\"s\",\"at\":null,"
        "\"time\":\"1969-12-31T23:59:59Z\"}\n");
    assert_int_equal(outcome_count(&outcome, "extra field", "x"), 1);
    assert_int_equal(outcome_count(&outcome, "extra field", "measurement"), 0);
    assert_int_equal(outcome_count(&outcome, "type mismatch", "level"), 1);
    outcome_free(&outcome);
}

static void test_guess(void **state)
{
    (void)state;
    static const char line[] = "weather,city=Ulm temperature=21.5 1732147200\n", csv[] = "a b,c=d\n1,2\n";
    assert_int_equal(codec_guess("x.lp", "", 0), CODEC_INFLUX);
    assert_int_equal(codec_guess(NULL, line, strlen(line)), CODEC_INFLUX);
    assert_int_equal(codec_guess(NULL, csv, strlen(csv)), CODEC_CSV);
    assert_int_equal(codec_guess("x.csv", line, strlen(line)), CODEC_CSV);
}

/* The same rows, refusals and counts however the data is cut. */
static void test_cuts(void **state)
{
    (void)state;
    struct random random = random_start();
    static const char *const pieces[] = {"m,s=a v=1", "m,s=b v=2i",     " 1732147200", "\n",  "\n", ",x=\"y\"",
                                         "\\",        "m v=\"",         "\"",          "# c", " ",  "\r\n",
                                         "\xff",      "m,t\\ u=1 v=t 5"};
    for (int round = 0; round < 200; round++) {
        struct weir_buffer text = {0};
        buffer_string(&text, "m,s=a v=1 1732147200\n");
        for (uint64_t i = random_below(&random, 60); i > 0; i--) {
            buffer_string(&text, pieces[random_below(&random, sizeof pieces / sizeof *pieces)]);
        }
        buffer_append(&text, "", 1);
        struct outcome whole = decode(text.data, NULL), cut = decode(text.data, &random);
        assert_string_equal(whole.rows.data, cut.rows.data);
        assert_string_equal(whole.refusals.data, cut.refusals.data);
        assert_int_equal(whole.records, cut.records);
        outcome_free(&whole);
        outcome_free(&cut);
        buffer_free(&text);
    }
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static void test_written(void **state)
{
    (void)state;
    static const struct weir_field fields[] = {
        {.name = "t", .type = WEIR_TIME},      {.name = "measurement", .type = WEIR_SYMBOL},
        {.name = "s, =", .type = WEIR_SYMBOL}, {.name = "v", .type = WEIR_F64},
        {.name = "i", .type = WEIR_I64},       {.name = "b", .type = WEIR_BOOL},
        {.name = "x", .type = WEIR_TEXT},      {.name = "u", .type = WEIR_TIME},
    };
    struct weir_pool *pool = pool_new(NULL, 0);
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct weir_schema *schema = weir_schema_new(fields, 8, 0, -1);
    struct weir_batch *batch = weir_batch_new(pool, schema, 4);
    int64_t *times = weir_batch_column_data(batch, 0), *integers = weir_batch_column_data(batch, 4);
    uint32_t *names = weir_batch_column_data(batch, 1), *tags = weir_batch_column_data(batch, 2);
    double *values = weir_batch_column_data(batch, 3);
    uint8_t *bools = weir_batch_column_data(batch, 5);
    struct weir_text *texts = weir_batch_column_data(batch, 6);
    int64_t *others = weir_batch_column_data(batch, 7);
    for (int i = 0; i < 4; i++) {
        times[i] = others[i] = WEIR_TIME_NULL;
        names[i] = tags[i] = WEIR_SYMBOL_NULL;
        values[i] = NAN;
        integers[i] = WEIR_I64_NULL;
        bools[i] = WEIR_BOOL_NULL;
        texts[i] = (struct weir_text){0};
    }
    times[0] = -1;
    names[0] = symbols_intern(symbols, "a b", 3);
    tags[0] = symbols_intern(symbols, "x\\y, =z\\", 8);
    values[0] = 25.276;
    integers[0] = -3;
    bools[0] = 1;
    texts[0] = (struct weir_text){.data = "q\"\\\nr", .length = 5};
    others[0] = 0;
    times[1] = 5; /* no field: left out */
    tags[1] = tags[0];
    values[2] = INFINITY; /* the same */
    bools[3] = 0;
    struct codec_write_options write = {.format = CODEC_INFLUX, .measurement = "def ault"};
    struct weir_buffer out = {0};
    assert_int_equal(codec_encode(&write, symbols, batch, &out), 0);
    buffer_append(&out, "", 1);
    assert_string_equal(out.data, "a\\ b,s\\,\\ \\==x\\y\\,\\ \\=z v=25.276,i=-3i,b=true,x=\"q\\\"\\\\ r\","
                                  "u=\"1970-01-01T00:00:00Z\" -1\n"
                                  "def\\ ault b=false\n");
    assert_int_equal(codec_encode_skipped(&write, batch, out.data, out.size - 1), 2);
    /* It is read again as it was. */
    out.size--;
    struct codec_read_options options = test_options();
    options.time_format = TIME_EPOCH_NS;
    struct outcome outcome = decode_text(CODEC_INFLUX, &options, out.data, out.size, NULL);
    assert_int_equal(outcome.good, 2);
    assert_int_equal(outcome.records, 2);
    assert_non_null(strstr(outcome.rows.data, "\"s, =\":\"x\\\\y, =z\",\"v\":25.276,\"i\":-3,\"b\":true,"
                                              "\"x\":\"q\\\"\\\\ r\",\"u\":\"1970-01-01T00:00:00Z\","
                                              "\"time\":\"1969-12-31T23:59:59.999999999Z\""));
    outcome_free(&outcome);
    /* A unit that is coarser rounds down. */
    out.size = 0;
    write.time_format = TIME_EPOCH_S;
    assert_int_equal(codec_encode(&write, symbols, batch, &out), 0);
    buffer_append(&out, "", 1);
    assert_non_null(strstr(out.data, ",u=0 -1\n"));
    buffer_free(&out);
    weir_batch_release(batch);
    weir_schema_release(schema);
    symbols_free(symbols);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_schema), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_declared), cmocka_unit_test(test_guess),  cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
