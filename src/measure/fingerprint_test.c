/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/pool.h"
#include "data/symbols.h"
#include "flow/plan.h"
#include "measure/fingerprint.h"

enum { ROWS = 1000 };

static const struct weir_part sink_part = {.kind = WEIR_SINK, .name = "null"};
static char sink_name[] = "out";
static struct plan_node nodes[] = {{.name = sink_name, .part = &sink_part}};
static const struct plan plan = {.nodes = nodes, .count = 1};

struct record {
    int64_t time;
    char sensor[8];
    double value;
};

static void make_records(struct record *records)
{
    uint64_t random = 42;
    for (int i = 0; i < ROWS; i++) {
        random += 0x9e3779b97f4a7c15ULL;
        records[i].time = i * INT64_C(1000000000);
        snprintf(records[i].sensor, sizeof records[i].sensor, "s%d", (int)(hash_u64(random) % 20));
        records[i].value = i % 100 == 99 ? NAN : 20 + (double)(hash_u64(random) >> 40) * 1e-6;
    }
}

/* Gives the records [0, count) in batches of `size`, in the order `stride`, on two lanes. */
static struct fingerprint take(const struct record *records, uint32_t count, uint32_t size, uint32_t stride)
{
    static const struct weir_field fields[] = {{"ts", WEIR_TIME}, {"sensor", WEIR_SYMBOL}, {"value", WEIR_F64}};
    struct fingerprints *prints = fingerprints_new(&plan, 2);
    struct weir_pool *pool = pool_new(NULL, 0);
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct weir_schema *schema = weir_schema_new(fields, 3, 0, 1);
    struct fingerprint print;
    assert_true(prints && pool && symbols && schema);
    for (uint32_t at = 0, number = 0; at < count; at += size, number++) {
        uint32_t rows = count - at < size ? count - at : size;
        struct weir_batch *batch = weir_batch_new(pool, schema, rows);
        for (uint32_t i = 0; i < rows; i++) {
            const struct record *record = &records[(uint64_t)(at + i) * stride % count];
            ((int64_t *)weir_batch_column_data(batch, 0))[i] = record->time;
            ((uint32_t *)weir_batch_column_data(batch, 1))[i] = symbols_intern(symbols, record->sensor,
                                                                               strlen(record->sensor));
            ((double *)weir_batch_column_data(batch, 2))[i] = record->value;
        }
        fingerprint_stored(prints, 0, number % 3 == 2 ? UINT32_MAX : number % 3, batch, symbols);
        weir_batch_release(batch);
    }
    assert_true(fingerprints_get(prints, 0, &print));
    assert_false(fingerprints_get(prints, 1, &print));
    weir_schema_release(schema);
    symbols_free(symbols);
    pool_close(pool);
    fingerprints_free(prints);
    return print;
}

static enum fingerprint_verdict compare(const struct fingerprint *before, const struct fingerprint *after)
{
    char words[256];
    enum fingerprint_verdict verdict = fingerprint_compare(before, after, words, sizeof words);
    assert_int_equal(verdict == FINGERPRINT_DIFFERENT, words[0] != '\0');
    return verdict;
}

/* Other batches, lanes and orders, and with them other numbers of symbols. */
static void test_order_is_nothing(void **state)
{
    struct record records[ROWS];
    (void)state;
    make_records(records);
    struct fingerprint one = take(records, ROWS, 1000, 1), other = take(records, ROWS, 7, 333);
    assert_int_equal(one.records, ROWS);
    assert_int_equal(one.columns[0].nulls, 10);
    assert_int_equal(compare(&one, &other), FINGERPRINT_SAME);
}

static void test_one_wrong_value_is_seen(void **state)
{
    struct record records[ROWS];
    (void)state;
    make_records(records);
    struct fingerprint right = take(records, ROWS, 100, 1);
    records[500].value *= 1 + 1e-5;
    struct fingerprint wrong = take(records, ROWS, 100, 1);
    assert_int_equal(compare(&right, &wrong), FINGERPRINT_DIFFERENT);
    make_records(records);
    double value = records[10].value;
    records[10].value = records[11].value;
    records[11].value = value;
    wrong = take(records, ROWS, 100, 1);
    assert_int_equal(compare(&right, &wrong), FINGERPRINT_DIFFERENT);
    make_records(records);
    records[10].sensor[0] = 'x';
    wrong = take(records, ROWS, 100, 1);
    assert_int_equal(compare(&right, &wrong), FINGERPRINT_DIFFERENT);
    make_records(records);
    records[99].value = 0; /* was null */
    wrong = take(records, ROWS, 100, 1);
    assert_int_equal(compare(&right, &wrong), FINGERPRINT_DIFFERENT);
    make_records(records);
    wrong = take(records, ROWS - 1, 100, 1);
    assert_int_equal(compare(&right, &wrong), FINGERPRINT_DIFFERENT);
}

static void test_rounding_is_told_apart(void **state)
{
    struct record records[ROWS];
    (void)state;
    make_records(records);
    struct fingerprint one = take(records, ROWS, 100, 1);
    for (int i = 0; i < ROWS; i++)
        records[i].value = nextafter(records[i].value, i % 2 ? INFINITY : -INFINITY);
    struct fingerprint other = take(records, ROWS, 100, 1);
    assert_int_equal(compare(&one, &other), FINGERPRINT_ROUNDING);
}

static void test_written_and_read(void **state)
{
    struct record records[ROWS];
    struct weir_buffer text = {0};
    struct json_tree *tree = NULL;
    struct fingerprint read;
    (void)state;
    make_records(records);
    struct fingerprint one = take(records, ROWS, 100, 1);
    fingerprint_write(&one, &text);
    assert_int_equal(json_tree_parse(text.data, text.size, &tree, NULL), 0);
    assert_int_equal(fingerprint_read(json_tree_root(tree), &read), 0);
    assert_int_equal(compare(&one, &read), FINGERPRINT_SAME);
    read.hash++;
    assert_int_equal(compare(&one, &read), FINGERPRINT_ROUNDING); /* the sums came back exactly */
    json_tree_free(tree);
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_nothing),
        cmocka_unit_test(test_one_wrong_value_is_seen),
        cmocka_unit_test(test_rounding_is_told_apart),
        cmocka_unit_test(test_written_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
