/* SPDX-License-Identifier: MIT */
/* Tables written from random cells, and read back cell by cell. */
#include "parts/csv_table.h"

#include "base/hash.h"
#include "base/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

enum { SEEDS = 200, ROWS = 40, COLUMNS = 5, CELL = 12 };

struct model {
    char cells[ROWS][COLUMNS][CELL];
    uint32_t rows;
};

static void draw_cell(uint64_t *random, char *cell)
{
    static const char letters[] = "ab,\"\n\r 01.é";
    uint32_t length = (uint32_t)(hash_random(random) % (CELL - 1));
    for (uint32_t i = 0; i < length; i++)
        cell[i] = letters[hash_random(random) % (sizeof letters - 1)];
    cell[length] = 0;
}

/* In quotes when it must be, or by chance. */
static void write_cell(uint64_t *random, const char *cell, struct weir_buffer *out)
{
    bool quoted = strpbrk(cell, ",\"\n\r") || hash_random(random) % 4 == 0;
    buffer_append(out, "\"", quoted);
    for (; *cell; cell++)
        buffer_append(out, quoted && *cell == '"' ? "\"\"" : cell, quoted && *cell == '"' ? 2 : 1);
    buffer_append(out, "\"", quoted);
}

static void write_table(struct model *model, uint64_t *random, struct weir_buffer *out)
{
    const char *end = hash_random(random) % 2 ? "\r\n" : "\n";
    if (hash_random(random) % 2)
        buffer_string(out, "\xef\xbb\xbf");
    buffer_string(out, "c0,\"c1\",c2,c3,c4");
    buffer_string(out, end);
    model->rows = (uint32_t)(hash_random(random) % ROWS);
    for (uint32_t row = 0; row < model->rows; row++) {
        for (int c = 0; c < COLUMNS; c++) {
            draw_cell(random, model->cells[row][c]);
            if (c == 0) /* the line is not an empty one */
                snprintf(model->cells[row][0], CELL, "r%u", row);
            buffer_append(out, ",", c > 0);
            write_cell(random, model->cells[row][c], out);
        }
        if (row + 1 < model->rows || hash_random(random) % 2)
            buffer_string(out, end);
    }
}

static void check_cells(const struct csv_table *table, const struct model *model, uint64_t seed)
{
    for (uint32_t row = 0; row < model->rows; row++) {
        const char *key = model->cells[row][2];
        uint32_t last = row; /* of those with this key */
        for (uint32_t other = row; other < model->rows; other++)
            last = strcmp(model->cells[other][2], key) == 0 ? other : last;
        int64_t found = csv_table_row(table, key, strlen(key));
        if (found != last)
            fail_msg("seed %llu: \"%s\" is in row %lld, not %u", (unsigned long long)seed, key, (long long)found, last);
        for (uint32_t c = 0; c < COLUMNS; c++) {
            struct weir_buffer is = {0}, expected = {0};
            const char *cell = model->cells[last][c];
            csv_table_cell(table, found, c, &is);
            buffer_json_string(&expected, cell, strlen(cell));
            bool number = is.size && is.data[0] != '"';
            bool same = !*cell   ? is.size == 4 && memcmp(is.data, "null", 4) == 0
                        : number ? is.size == strlen(cell) && memcmp(is.data, cell, is.size) == 0
                                 : is.size == expected.size && memcmp(is.data, expected.data, is.size) == 0;
            if (!same)
                fail_msg("seed %llu: row %u, column %u is %.*s, not %.*s", (unsigned long long)seed, last, c,
                         (int)is.size, is.data, (int)expected.size, expected.data);
            buffer_free(&is);
            buffer_free(&expected);
        }
    }
}

static void test_reads_what_was_written(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static struct model model;
        uint64_t random = seed;
        struct weir_buffer text = {0};
        struct weir_error error = {0};
        struct csv_table *table;
        write_table(&model, &random, &text);
        assert_int_equal(csv_table_parse(text.data, text.size, "c2", &table, &error), 0);
        assert_int_equal(csv_table_columns(table), COLUMNS);
        assert_string_equal(csv_table_name(table, 1), "c1");
        check_cells(table, &model, seed);
        assert_int_equal(csv_table_row(table, "no such key", 11), -1);
        csv_table_free(table);
        buffer_free(&text);
    }
}

static void test_numbers_are_told_from_identifiers(void **state)
{
    (void)state;
    static const char text[] = "key,number,code,mixed,empty\na,1.5,007,1,\nb,-2e3,12,x,\nc,,0,2,\n";
    struct csv_table *table;
    assert_int_equal(csv_table_parse(text, sizeof text - 1, "key", &table, NULL), 0);
    assert_true(csv_table_numeric(table, 1));
    assert_false(csv_table_numeric(table, 2));
    assert_false(csv_table_numeric(table, 3));
    assert_false(csv_table_numeric(table, 4));
    csv_table_free(table);
}

static void test_mistakes(void **state)
{
    (void)state;
    struct weir_error error = {0};
    struct csv_table *table;
    assert_int_equal(csv_table_parse("a,b\n1,2\n", 8, "c", &table, &error), -EINVAL);
    assert_non_null(strstr(error.text, "no column \"c\""));
    assert_int_equal(csv_table_parse("", 0, "c", &table, NULL), -EINVAL);
    assert_int_equal(csv_table_load("/no/such/table.csv", "c", &table, NULL), -ENOENT);
}

static void test_survives_without_memory(void **state)
{
    (void)state;
    static const char text[] = "a,b\n1,2\n\"3\",4\n";
    int error = -ENOMEM;
    for (uint64_t nth = 1; error < 0; nth++) {
        struct csv_table *table;
        memory_fail_nth(nth, false);
        error = csv_table_parse(text, sizeof text - 1, "a", &table, NULL);
        memory_fail_nth(0, false);
        assert_true(error == 0 || error == -ENOMEM);
        assert_true(nth < 1000);
        if (error == 0)
            csv_table_free(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_was_written),
        cmocka_unit_test(test_numbers_are_told_from_identifiers),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
