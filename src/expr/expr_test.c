/* SPDX-License-Identifier: MIT */
/* Golden results and messages. Random expressions against a model are in expr_model_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/pool.h"
#include "expr/expr.h"
#include "expr/functions.h"

enum { ROWS = 8 };

struct fixture {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct weir_schema *schema;
    struct weir_batch *batch;
};

static const struct weir_field fields[] = {
    {.name = "time", .type = WEIR_TIME},
    {.name = "value", .type = WEIR_F64},
    {.name = "n", .type = WEIR_I64},
    {.name = "flag", .type = WEIR_BOOL},
    {.name = "site", .type = WEIR_SYMBOL},
    {.name = "note", .type = WEIR_TEXT},
    {.name = "odd name", .type = WEIR_F64},
    {.name = "grid", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F64, .elements = 2},
    {.name = "a.b", .type = WEIR_I64},
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static int setup(void **state)
{
    static const double values[ROWS] = {1, -2.5, NAN, INFINITY, -INFINITY, 0, 1e308, 5e-324};
    static const int64_t numbers[ROWS] = {1, -7, WEIR_I64_NULL, INT64_MAX, INT64_MIN + 1, 0, 3, 2};
    static const uint8_t flags[ROWS] = {1, 0, 255, 1, 0, 255, 1, 0};
    static const char *const sites[ROWS] = {"north", "south", NULL, "north", "", "ä", "south", "east"};
    static const char *const notes[ROWS] = {"north", "abc", NULL, "", "b", "a", "zz", NULL};
    struct fixture *f = calloc(1, sizeof(*f));

    f->pool = pool_new(NULL, 1 << 20);
    f->symbols = symbols_new(NULL, 0);
    f->schema = weir_schema_new(fields, FIELDS, 0, -1);
    f->batch = weir_batch_new(f->pool, f->schema, ROWS);
    assert_non_null(f->batch);
    for (uint32_t i = 0; i < ROWS; i++) {
        ((int64_t *)weir_batch_column_data(f->batch, 0))[i] = i == 2 ? WEIR_TIME_NULL
                                                                     : INT64_C(1732147200000000000) +
                                                                           i * INT64_C(1500000000);
        ((double *)weir_batch_column_data(f->batch, 1))[i] = values[i];
        ((int64_t *)weir_batch_column_data(f->batch, 2))[i] = numbers[i];
        ((uint8_t *)weir_batch_column_data(f->batch, 3))[i] = flags[i];
        ((uint32_t *)weir_batch_column_data(f->batch, 4))[i] = sites[i] ? symbols_intern(f->symbols, sites[i],
                                                                                         strlen(sites[i]))
                                                                        : WEIR_SYMBOL_NULL;
        ((struct weir_text *)weir_batch_column_data(f->batch, 5))[i] = (struct weir_text){
            notes[i], notes[i] ? (uint32_t)strlen(notes[i]) : 0};
        ((double *)weir_batch_column_data(f->batch, 6))[i] = i;
        ((int64_t *)weir_batch_column_data(f->batch, 8))[i] = 10 * i;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    weir_batch_release(f->batch);
    weir_schema_release(f->schema);
    symbols_free(f->symbols);
    pool_close(f->pool);
    free(f);
    return 0;
}

static size_t show(const struct fixture *f, enum weir_type type, const void *data, uint32_t i, char *out, size_t size)
{
    const int64_t *whole = data;
    const double *number = data;
    const uint8_t *bools = data;
    struct weir_text text;

    switch (type) {
    case WEIR_F64:
        return (size_t)(isnan(number[i]) ? snprintf(out, size, "null") : snprintf(out, size, "%.17g", number[i]));
    case WEIR_TIME:
    case WEIR_I64:
        return (size_t)(whole[i] == WEIR_I64_NULL ? snprintf(out, size, "null")
                                                  : snprintf(out, size, "%lld", (long long)whole[i]));
    case WEIR_BOOL:
        return (size_t)snprintf(out, size, "%s", bools[i] == 1 ? "true" : bools[i] == 0 ? "false" : "null");
    default:
        text = type == WEIR_SYMBOL ? symbols_text(f->symbols, ((const uint32_t *)data)[i])
                                   : ((const struct weir_text *)data)[i];
        return (size_t)(text.data ? snprintf(out, size, "'%.*s'", (int)text.length, text.data)
                                  : snprintf(out, size, "null"));
    }
}

/* "type: value value …" of the first `rows` rows, or the error. */
static void run(const struct fixture *f, const char *source, uint32_t rows, char *out, size_t size)
{
    struct weir_error error = {0};
    struct expr *expr = NULL;
    struct weir_text results[ROWS]; /* the widest type */
    size_t used;

    int r = expr_parse((struct weir_quoted){.text = source, .mark = {"f.yaml", 7, 12}}, &expr, &error);
    if (r == 0) {
        r = expr_bind(expr, f->schema, f->symbols, &error);
    }
    if (r < 0) {
        assert_int_equal(r, error.code);
        error_format(&error, out, size);
        expr_free(expr);
        return;
    }
    assert_int_equal(error.code, 0);
    assert_int_equal(expr_evaluate(expr, f->batch, results), 0);
    used = (size_t)snprintf(out, size, "%s:", weir_type_name(expr_type(expr)));
    for (uint32_t i = 0; i < rows; i++) {
        out[used++] = ' ';
        used += show(f, expr_type(expr), results, i, out + used, size - used);
    }
    expr_free(expr);
}

struct golden {
    const char *source, *result;
};

static int check(const struct fixture *f, const struct golden *golden, size_t count, uint32_t rows)
{
    int bad = 0;

    for (size_t i = 0; i < count; i++) {
        char out[4096];
        run(f, golden[i].source, rows, out, sizeof(out));
        if (strcmp(out, golden[i].result) != 0) {
            print_error("%s\n  gives    %s\n  expected %s\n", golden[i].source, out, golden[i].result);
            bad++;
        }
    }
    return bad;
}
#define CHECK(f, table, rows) assert_int_equal(check(f, table, sizeof(table) / sizeof(table[0]), rows), 0)

static void precedence(void **state)
{
    static const struct golden table[] = {
        {"2 + 3 * 4", "i64: 14"},
        {"(2 + 3) * 4", "i64: 20"},
        {"10 - 4 - 3", "i64: 3"},
        {"100 / 5 / 2", "f64: 10"},
        {"7 % 4 * 2", "i64: 6"},
        {"2 ^ 3 ^ 2", "f64: 512"},
        {"-2 ^ 2", "f64: -4"},
        {"(-2) ^ 2", "f64: 4"},
        {"2 ^ -1", "f64: 0.5"},
        {"2 ^ -2 ^ 2", "f64: 0.0625"},
        {"-3 * -4", "i64: 12"},
        {"--5", "i64: 5"},
        {"5 - -3", "i64: 8"},
        {"1 + 2 < 4", "bool: true"},
        {"1 < 2 and 3 > 2", "bool: true"},
        {"true or false and false", "bool: true"},
        {"(true or false) and false", "bool: false"},
        {"not false and false", "bool: false"},
        {"not (false and false)", "bool: true"},
        {"not 1 = 2", "bool: true"},
        {"not not true", "bool: true"},
        {"not 3 in (1, 2)", "bool: true"},
        {"3 not in (1, 2) and true", "bool: true"},
        {"1 + 1 in (2, 4)", "bool: true"},
        {"1 = 1 = (2 = 2)", "f.yaml:7:18: comparisons cannot be chained; write `a < b and b < c`\n"
                            "1 = 1 = (2 = 2)\n      ^\n"},
        {"1 is null or 2 is not null", "bool: true"},
        {"1 == 1.0", "bool: true"},
        {"1_000 + .5", "f64: 1000.5"},
        {"1e3", "f64: 1000"},
        {"1.", "f64: 1"},
        {"9223372036854775807", "i64: 9223372036854775807"},
        {"9223372036854775808", "f64: 9.2233720368547758e+18"},
    };
    CHECK(*state, table, 1);
}

static void nulls_and_extremes(void **state)
{
    /* value: 1 -2.5 null inf -inf 0 1e308 5e-324 · n: 1 -7 null MAX MIN+1 0 3 2 · flag: t f null t f null t f */
    static const struct golden table[] = {
        {"value + 1", "f64: 2 -1.5 null inf -inf 1 1e+308 1"},
        {"value - value", "f64: 0 0 null null null 0 0 0"},
        {"value * 10", "f64: 10 -25 null inf -inf 0 inf 4.9406564584124654e-323"},
        {"1 / value", "f64: 1 -0.40000000000000002 null 0 -0 inf 9.9999999999999991e-309 inf"},
        {"value % 2", "f64: 1 -0.5 null null null 0 0 4.9406564584124654e-324"},
        {"value ^ 0", "f64: 1 1 null 1 1 1 1 1"},
        {"1 ^ value", "f64: 1 1 null 1 1 1 1 1"},
        {"-value", "f64: -1 2.5 null -inf inf -0 -1e+308 -4.9406564584124654e-324"},
        {"n + 1", "i64: 2 -6 null null -9223372036854775806 1 4 3"},
        {"n - 2", "i64: -1 -9 null 9223372036854775805 null -2 1 0"},
        {"n * 2", "i64: 2 -14 null null null 0 6 4"},
        {"n * n", "i64: 1 49 null null null 0 9 4"},
        {"n % 3", "i64: 1 -1 null 1 -1 0 0 2"},
        {"n % 0", "i64: null null null null null null null null"},
        {"n % -1", "i64: 0 0 null 0 0 0 0 0"},
        {"n / 2", "f64: 0.5 -3.5 null 4.6116860184273879e+18 -4.6116860184273879e+18 0 1.5 1"},
        {"-n", "i64: -1 7 null -9223372036854775807 9223372036854775807 0 -3 -2"},
        {"value > 0", "bool: true false null true false false true true"},
        {"0 < value", "bool: true false null true false false true true"},
        {"value <= n", "bool: true false null false true true false true"},
        {"value != value", "bool: false false null false false false false false"},
        {"n = 3", "bool: false false null false false false true false"},
        {"n >= 1.5", "bool: false false null true false false true true"},
        {"flag and value > 0", "bool: true false null true false false true false"},
        {"flag or value > 0", "bool: true false null true false null true true"},
        {"not flag", "bool: false true null false true null false true"},
        {"flag and null", "bool: null false null null false null null false"},
        {"flag or null", "bool: true null null true null null true null"},
        {"flag = true", "bool: true false null true false null true false"},
        {"flag != (value > 0)", "bool: false false null false false null false true"},
        {"value is null", "bool: false false true false false false false false"},
        {"n is not null", "bool: true true false true true true true true"},
        {"flag is null", "bool: false false true false false true false false"},
        {"null is null", "bool: true true true true true true true true"},
        {"n in (1, 3, 3, 2)", "bool: true false null false false false true true"},
        {"n not in (1, 3)", "bool: false true null true true true false true"},
        {"n in (1.0, 2.5)", "bool: true false null false false false false false"},
        {"value in (1, -2.5, 7)", "bool: true true null false false false false false"},
        {"n in (9,8,7,6,5,4,3,2,1,10,11,12,13,14,15)", "bool: true false null false false false true true"},
        {"value in (9,8,7,6,5,4,3,2,1,10,11,12,13,0,15)", "bool: true false null false false true false false"},
    };
    CHECK(*state, table, ROWS);
}

static void strings(void **state)
{
    /* site: north south null north '' ä south east · note: north abc null '' b a zz null */
    static const struct golden table[] = {
        {"site = 'north'", "bool: true false null true false false false false"},
        {"site != \"north\"", "bool: false true null false true true true true"},
        {"'never seen' = site", "bool: false false null false false false false false"},
        {"site = note", "bool: true false null false false false false null"},
        {"site < 'o'", "bool: true false null true true false false true"},
        {"site >= note", "bool: true true null true false true false null"},
        {"note = 'abc'", "bool: false true null false false false false null"},
        {"note != ''", "bool: true true null false true true true null"},
        {"note < 'b'", "bool: false true null true false true false null"},
        {"'b' <= note", "bool: true false null false true false true null"},
        {"site in ('north', 'ä', 'x')", "bool: true false null true false true false false"},
        {"note in ('zz', 'abc', '')", "bool: false true null true false false true null"},
        {"note not in ('zz')", "bool: true true null true true true false null"},
        {"site is null", "bool: false false true false false false false false"},
        {"note is not null", "bool: true true false true true true true false"},
        {"coalesce(note, site, '?')", "text: 'north' 'abc' '?' '' 'b' 'a' 'zz' 'east'"},
        {"coalesce(site, 'none')", "symbol: 'north' 'south' 'none' 'north' '' 'ä' 'south' 'east'"},
        {"if(flag, 'yes', site)", "symbol: 'yes' 'south' null 'yes' '' 'ä' 'yes' 'east'"},
        {"if(flag, note, 'no')", "text: 'north' 'no' 'no' '' 'no' 'no' 'zz' 'no'"},
        {"if(flag, 'yes', null)", "symbol: 'yes' null null 'yes' null null 'yes' null"},
        {"'it''s \\'\\t' = \"it's '\t\"", "bool: true true true true true true true true"},
        {"'a' < 'b'", "bool: true true true true true true true true"},
        {"'a' in ('b', 'a')", "bool: true true true true true true true true"},
        {"'north'", "symbol: 'north' 'north' 'north' 'north' 'north' 'north' 'north' 'north'"},
    };
    CHECK(*state, table, ROWS);
}

static void functions(void **state)
{
    static const struct golden table[] = {
        {"if(flag, 1, 0)", "i64: 1 0 0 1 0 0 1 0"},
        {"if(flag, n, 0.5)", "f64: 1 0.5 0.5 9.2233720368547758e+18 0.5 0.5 3 0.5"},
        {"if(value > 0, value, null)", "f64: 1 null null inf null null 1e+308 4.9406564584124654e-324"},
        {"if(true, 'a', 'b')", "symbol: 'a' 'a' 'a' 'a' 'a' 'a' 'a' 'a'"},
        {"coalesce(value, -1)", "f64: 1 -2.5 -1 inf -inf 0 1e+308 4.9406564584124654e-324"},
        {"coalesce(null, n, 9)", "i64: 1 -7 9 9223372036854775807 -9223372036854775807 0 3 2"},
        {"coalesce(flag, false)", "bool: true false false true false false true false"},
        {"min(value, 1, 0.5)", "f64: 0.5 -2.5 null 0.5 -inf 0 0.5 4.9406564584124654e-324"},
        {"min(0, value)", "f64: 0 -2.5 null 0 -inf 0 0 0"},
        {"max(n, 2)", "i64: 2 2 null 9223372036854775807 2 2 3 2"},
        {"max(2, n, null)", "f64: null null null null null null null null"},
        {"min(n, 2)", "i64: 1 -7 null 2 -9223372036854775807 0 2 2"},
        {"max(value, 0)", "f64: 1 0 null inf 0 0 1e+308 4.9406564584124654e-324"},
        {"clamp(value, -1, 1)", "f64: 1 -1 null 1 -1 0 1 4.9406564584124654e-324"},
        {"clamp(n, -1, 2)", "i64: 1 -1 null 2 -1 0 2 2"},
        {"abs(value)", "f64: 1 2.5 null inf inf 0 1e+308 4.9406564584124654e-324"},
        {"abs(n)", "i64: 1 7 null 9223372036854775807 9223372036854775807 0 3 2"},
        {"sign(value)", "f64: 1 -1 null 1 -1 0 1 1"},
        {"sign(n)", "i64: 1 -1 null 1 -1 0 1 1"},
        {"sqrt(value)", "f64: 1 null null inf null 0 1e+154 2.2227587494850775e-162"},
        {"exp(value)", "f64: 2.7182818284590451 0.0820849986238988 null inf 0 1 inf 1"},
        {"log(value)", "f64: 0 null null inf null -inf 709.19620864216608 -744.44007192138122"},
        {"floor(value)", "f64: 1 -3 null inf -inf 0 1e+308 0"},
        {"ceil(value)", "f64: 1 -2 null inf -inf 0 1e+308 1"},
        {"round(value)", "f64: 1 -3 null inf -inf 0 1e+308 0"},
        {"floor(n)", "i64: 1 -7 null 9223372036854775807 -9223372036854775807 0 3 2"},
        {"round(`odd name` / 2)", "f64: 0 1 1 2 2 3 3 4"},
        {"round(-`odd name` / 2)", "f64: -0 -1 -1 -2 -2 -3 -3 -4"},
        {"round(0.49999999999999994)", "f64: 0 0 0 0 0 0 0 0"},
        {"round(4503599627370497.5) - 4503599627370496", "f64: 2 2 2 2 2 2 2 2"},
        {"floor(-0.0)", "f64: -0 -0 -0 -0 -0 -0 -0 -0"},
        {"pow(value, 2)", "f64: 1 6.25 null inf inf 0 inf 0"},
        {"normal_tail(value, 0, 1)", "f64: 0.15865525393145705 0.99379033467422384 null 0 1 0.5 0 0.5"},
        {"normal_tail(value, 0, 0)", "f64: null null null null null null null null"},
        {"normal_tail(1, 0, -n)", "f64: null 0.4432015031835318 null null 0.5 null null null"},
        {"a.b + `a.b`", "i64: 0 20 40 60 80 100 120 140"},
    };
    CHECK(*state, table, ROWS);
}

static void times(void **state)
{
    static const struct golden table[] = {
        {"time > '2024-11-21T00:00:02Z'", "bool: false false null true true true true true"},
        {"time >= '2024-11-21'", "bool: true true null true true true true true"},
        {"time = '2024-11-21 00:00:01.5'", "bool: false true null false false false false false"},
        {"time in ('2024-11-21', '2024-11-21T01:00:01.5+01:00')", "bool: true true null false false false false false"},
        {"time - '2024-11-21'", "f64: 0 1.5 null 4.5 6 7.5 9 10.5"},
        {"time - '2024-11-21' > 5s", "bool: false false null false true true true true"},
        {"(time + 1500ms) - time", "f64: 1.5 1.5 null 1.5 1.5 1.5 1.5 1.5"},
        {"1ns + time - '2024-11-21' > 1.5s", "bool: false true null true true true true true"},
        {"time - -1d > '2024-11-22'", "bool: false true null true true true true true"},
        {"max(time, '2024-11-21T00:00:09Z') - time", "f64: 9 7.5 null 4.5 3 1.5 0 0"},
        {"coalesce(time, '2024-11-21') - '2024-11-21'", "f64: 0 1.5 0 4.5 6 7.5 9 10.5"},
        {"1.5h", "f64: 5400 5400 5400 5400 5400 5400 5400 5400"},
        {"value * 1m", "f64: 60 -150 null inf -inf 0 inf 2.9643938750474793e-322"},
        {"time + 100000d", "time: null null null null null null null null"},
    };
    CHECK(*state, table, ROWS);
}

static void mistakes(void **state)
{
    static const struct golden table[] = {
        {"valu > 3", "f.yaml:7:12: no column \"valu\"; did you mean \"value\"?\nvalu > 3\n^~~~\n"},
        {"value > 3 and sit = 'a'", "f.yaml:7:26: no column \"sit\"; did you mean \"site\"?\n"
                                    "value > 3 and sit = 'a'\n              ^~~\n"},
        {"zzzzzz",
         "f.yaml:7:12: no column \"zzzzzz\"; there are time, value, n, flag, site, note, odd name, grid, a.b\n"
         "zzzzzz\n^~~~~~\n"},
        {"site = 'ä' and valu", "f.yaml:7:27: no column \"valu\"; did you mean \"value\"?\n"
                                "site = 'ä' and valu\n               ^~~~\n"},
        {"1 < value < 3", "f.yaml:7:22: comparisons cannot be chained; write `a < b and b < c`\n"
                          "1 < value < 3\n          ^\n"},
        {"flag && true", "f.yaml:7:17: there is no `&&`; write `and`\nflag && true\n     ^~\n"},
        {"flag || true", "f.yaml:7:17: there is no `||`; write `or`\nflag || true\n     ^~\n"},
        {"!flag", "f.yaml:7:12: there is no `!`; write `not`\n!flag\n^\n"},
        {"flag AND flag", "f.yaml:7:17: write `and` in small letters\nflag AND flag\n     ^~~\n"},
        {"(flag OR flag)", "f.yaml:7:18: write `or` in small letters\n(flag OR flag)\n      ^~\n"},
        {"value ** 2", "f.yaml:7:18: there is no `**`; write `^`\nvalue ** 2\n      ^~\n"},
        {"value + site", "f.yaml:7:20: `+` needs numbers; this is a string\nvalue + site\n        ^~~~\n"},
        {"value = site", "f.yaml:7:12: cannot compare a number with a string\nvalue = site\n^~~~~~~~~~~~\n"},
        {"time > 5", "f.yaml:7:12: cannot compare a time with a whole number; write times as '2024-11-21T03:20:00Z'\n"
                     "time > 5\n^~~~~~~~\n"},
        {"time > 'noon'", "f.yaml:7:19: this is not a time; times are written '2024-11-21T03:20:00Z' or '2024-11-21'\n"
                          "time > 'noon'\n       ^~~~~~\n"},
        {"time + 5",
         "f.yaml:7:12: times can be subtracted (which gives seconds) and moved by a duration such as 500ms; "
         "this is a time + a whole number\ntime + 5\n^~~~~~~~\n"},
        {"value and flag", "f.yaml:7:12: `and` needs a condition (true or false); this is a number\n"
                           "value and flag\n^~~~~\n"},
        {"flag < true", "f.yaml:7:12: a bool has no order for `<`\nflag < true\n^~~~~~~~~~~\n"},
        {"value = null", "f.yaml:7:12: a comparison with null is never true; write `is null` or `is not null`\n"
                         "value = null\n^~~~~~~~~~~~\n"},
        {"value in (1, null)", "f.yaml:7:25: nothing equals null; write `… or x is null` beside the list\n"
                               "value in (1, null)\n             ^~~~\n"},
        {"value in (1, n)", "f.yaml:7:25: `in` takes constants only; for columns write `x = a or x = b`\n"
                            "value in (1, n)\n             ^\n"},
        {"value in ()", "f.yaml:7:12: `in` needs at least one value in its list\nvalue in ()\n^~~~~~~~~~~\n"},
        {"value in ('a')", "f.yaml:7:22: cannot look for a number in a list with a string\n"
                           "value in ('a')\n          ^~~\n"},
        {"sqr(value)", "f.yaml:7:12: no function \"sqr\"; did you mean \"sqrt\"?\nsqr(value)\n^~~\n"},
        {"clamp(value, 1)", "f.yaml:7:12: clamp(x, low, high) cannot take 2 arguments\n"
                            "clamp(value, 1)\n^~~~~~~~~~~~~~~\n"},
        {"sqrt(site)", "f.yaml:7:17: sqrt needs numbers; this is a string\nsqrt(site)\n     ^~~~\n"},
        {"if(value, 1, 2)", "f.yaml:7:15: if needs a condition (true or false); this is a number\n"
                            "if(value, 1, 2)\n   ^~~~~\n"},
        {"if(flag, 1, 'a')", "f.yaml:7:24: if cannot mix a whole number with a string\n"
                             "if(flag, 1, 'a')\n            ^~~\n"},
        {"grid > 1", "f.yaml:7:12: \"grid\" has an array in each row; expressions cannot compute with arrays\n"
                     "grid > 1\n^~~~\n"},
    };
    CHECK(*state, table, 1);
}

static void mistakes_of_form(void **state)
{
    static const struct golden table[] = {
        {"", "f.yaml:7:12: the expression is empty\n\n^\n"},
        {"value >", "f.yaml:7:19: the expression ends where a value is missing\nvalue >\n       ^\n"},
        {"(value > 1", "f.yaml:7:12: this `(` is not closed\n(value > 1\n^\n"},
        {"value > 1)", "f.yaml:7:21: this `)` closes nothing\nvalue > 1)\n         ^\n"},
        {"site = 'north", "f.yaml:7:19: this ' is not closed by another '\nsite = 'north\n       ^\n"},
        {"site = 'a\\q'", "f.yaml:7:21: unknown escape in a string; there are \\n \\t \\r \\\\ \\' \\\"\n"
                          "site = 'a\\q'\n         ^~\n"},
        {"value value", "f.yaml:7:18: expected an operator here, such as `and`, `<` or `+`\n"
                        "value value\n      ^~~~~\n"},
        {"value > 12parsecs", "f.yaml:7:20: `12parsecs` is neither a number nor a duration; durations are written "
                              "500ms, 10s, 5m, 1.5h or 1d\nvalue > 12parsecs\n        ^~~~~~~~~\n"},
        {"1e999", "f.yaml:7:12: the number `1e999` is out of range\n1e999\n^~~~~\n"},
        {"value > $x", "f.yaml:7:20: `$` has no meaning here; columns are written by their name, odd ones in "
                       "backquotes\nvalue > $x\n        ^\n"},
        {"1 + not flag", "f.yaml:7:16: `not` binds less than what stands before it; put it in parentheses\n"
                         "1 + not flag\n    ^~~\n"},
        {"value is 3", "f.yaml:7:21: expected `null` or `not null` here\nvalue is 3\n         ^\n"},
        {"value > 1\n and sit = 'a'", "f.yaml:7:12: no column \"sit\"; did you mean \"site\"?\n"
                                      " and sit = 'a'\n     ^~~\n"},
    };
    CHECK(*state, table, 1);
}

static void limits(void **state)
{
    const struct fixture *f = *state;
    static char text[EXPR_LENGTH_MAX + 10], out[4096];
    struct {
        const char *begin, *repeat, *end;
        int times;
        const char *words; /* in the message; NULL: no mistake */
    } cases[] = {
        {"", "(", "", 60000, "nested too deeply"},
        {"", "-", "1", 60000, "nested too deeply"},
        {"", "not ", "flag", 10000, "nested too deeply"},
        {"2", "^2", "", 10000, "nested too deeply"},
        {"", "abs(", "", 10000, "nested too deeply"},
        {"1", "+n", "", 10000, "too large"},
        {"n in (1", ",1", ")", 10000, "too large"},
        {"1", "+n", "", 2000, NULL},
        {"flag", " or flag", "", 2000, NULL},
        {"n in (1", ",1", ")", 4000, NULL},
        {"", "1", "", 1000, "more than 400"},
        {"'", "a", "' = site", 60000, NULL},
        {"'", "a", "' = site", 66000, "too long"},
        {"", "a", " = 1", 5000, "no column"},
        {"", "f", "()", 5000, "no function"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t used = (size_t)snprintf(text, sizeof(text), "%s", cases[i].begin);
        for (int k = 0; k < cases[i].times && used < EXPR_LENGTH_MAX; k++) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s", cases[i].repeat);
        }
        snprintf(text + used, sizeof(text) - used, "%s", cases[i].end);
        run(f, text, 1, out, sizeof(out));
        if (cases[i].words ? !strstr(out, cases[i].words) : strstr(out, "f.yaml") != NULL) {
            fail_msg("case %zu: %s", i, out);
        }
    }
}

static void tail_is_precise(void **state)
{
    /* Q(x) to 17 digits. */
    static const struct {
        double x, q;
    } table[] = {
        {0, 0.5},
        {1, 0.15865525393145705},
        {2, 0.022750131948179207},
        {5, 2.8665157187919391e-7},
        {10, 7.6198530241605261e-24},
        {20, 2.7536241186062336e-89},
        {37, 5.7255712225245768e-300},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        for (int sign = 1; sign >= -1; sign -= 2) {
            double x = 100 + sign * 3 * table[i].x, mean = 100, stddev = 3, q;
            struct kernel_call call = {.out = &q, .in = {&x, &mean, &stddev}, .count = 1};
            kernel_normal_tail(&call);
            double expected = sign > 0 ? table[i].q : 1 - table[i].q;
            if (fabs(q - expected) > 1e-15 * expected) {
                fail_msg("Q(%g) = %.17g, expected %.17g", table[i].x * sign, q, expected);
            }
            /* and against long double */
            long double exact = 0.5L * erfcl((long double)sign * table[i].x * 0.707106781186547524400844362104849039L);
            assert_true(fabsl(q - exact) <= 1e-15L * exact);
        }
    }
}

static void filters(void **state)
{
    const struct fixture *f = *state;
    enum { MANY = 5000 };
    struct weir_field field = {.name = "x", .type = WEIR_F64};
    struct weir_schema *schema = weir_schema_new(&field, 1, -1, -1);
    uint32_t *selection = calloc(MANY, sizeof(*selection)), *rows = calloc(MANY, sizeof(*rows));
    struct weir_error error = {0};
    struct expr *expr;

    assert_int_equal(expr_parse((struct weir_quoted){.text = "x > -40 and x < 125"}, &expr, &error), 0);
    assert_int_equal(expr_bind(expr, schema, NULL, &error), 0);
    srand(7);
    for (uint32_t size = 0; size < MANY; size = size < 70 ? size + 1 : size * 2 + 1) {
        for (int how = 0; how < 4; how++) {
            struct weir_batch *batch = weir_batch_new(f->pool, schema, size);
            double *x = weir_batch_column_data(batch, 0);
            uint32_t count = 0, expected = 0;
            for (uint32_t i = 0; i < size; i++) {
                x[i] = rand() % 5 == 0 ? NAN : rand() % 300 - 100;
                if (how && rand() % (how == 3 ? 1500 : how) == 0) {
                    selection[count++] = i;
                }
            }
            if (how) {
                weir_batch_select(batch, selection, count);
            }
            int64_t kept = expr_filter(expr, batch, rows);
            for (uint32_t i = 0; i < batch->count; i++) {
                uint32_t row = weir_batch_row(batch, i);
                if (x[row] > -40 && x[row] < 125) {
                    assert_true(expected < kept && rows[expected] == row);
                    expected++;
                }
            }
            assert_int_equal(kept, expected);
            weir_batch_release(batch);
        }
    }
    expr_free(expr);
    free(selection);
    free(rows);
    weir_schema_release(schema);
}

/* Values that wait for others lie in scratch memory: of fewer rows at a time the more there are, until it is of its
 * own.
 */
static void deep(void **state)
{
    const struct fixture *f = *state;
    enum { MANY = 3000, DEPTH_MOST = 95 };
    static char text[DEPTH_MOST * 40];
    static double out[MANY];
    static uint32_t rows[MANY];
    struct weir_field field = {.name = "x", .type = WEIR_F64};
    struct weir_schema *schema = weir_schema_new(&field, 1, -1, -1);
    struct weir_batch *batch = weir_batch_new(f->pool, schema, MANY);
    double *x = weir_batch_column_data(batch, 0);

    for (uint32_t i = 0; i < MANY; i++) {
        x[i] = i * 0.25;
    }
    for (int depth = 1; depth <= DEPTH_MOST; depth = depth * 3 / 2 + 1) {
        struct weir_error error = {0};
        struct expr *expr, *condition;
        size_t length = 0;
        for (int d = 0; d < depth; d++) {
            length += (size_t)snprintf(text + length, sizeof(text) - length, "clamp(x, %d, 600) - (", d);
        }
        length += (size_t)snprintf(text + length, sizeof(text) - length, "x");
        for (int d = 0; d < depth; d++) {
            length += (size_t)snprintf(text + length, sizeof(text) - length, ")");
        }
        assert_int_equal(expr_parse((struct weir_quoted){.text = text}, &expr, &error), 0);
        assert_int_equal(expr_bind(expr, schema, NULL, &error), 0);
        assert_int_equal(expr_evaluate(expr, batch, out), 0);
        snprintf(text + length, sizeof(text) - length, " > 100");
        assert_int_equal(expr_parse((struct weir_quoted){.text = text}, &condition, &error), 0);
        assert_int_equal(expr_bind(condition, schema, NULL, &error), 0);
        int64_t kept = expr_filter(condition, batch, rows), seen = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            double expected = x[i];
            for (int d = depth - 1; d >= 0; d--) {
                expected = fmin(fmax(x[i], d), 600) - expected;
            }
            assert_true(out[i] == expected);
            if (expected > 100) {
                assert_true(seen < kept && rows[seen] == i);
                seen++;
            }
        }
        assert_int_equal(seen, kept);
        expr_free(expr);
        expr_free(condition);
    }
    weir_batch_release(batch);
    weir_schema_release(schema);
}

static void columns_and_rebinding(void **state)
{
    const struct fixture *f = *state;
    static const struct weir_field other[] = {{.name = "n", .type = WEIR_F64}, {.name = "value", .type = WEIR_I64}};
    struct weir_schema *schema = weir_schema_new(other, 2, -1, -1);
    struct weir_error error = {0};
    struct expr *expr;

    assert_int_equal(expr_parse((struct weir_quoted){.text = "value + n * value - `odd name`"}, &expr, &error), 0);
    assert_int_equal(expr_bind(expr, f->schema, f->symbols, &error), 0);
    assert_int_equal(expr_bind(expr, schema, f->symbols, &error), -EINVAL);
    assert_non_null(strstr(error.text, "odd name"));
    expr_free(expr);
    error = (struct weir_error){0};
    assert_int_equal(expr_parse((struct weir_quoted){.text = "if(true, 'a', 'b') < note"}, &expr, &error), 0);
    assert_int_equal(expr_bind(expr, f->schema, NULL, &error), 0); /* types alone */
    assert_int_equal(expr_type(expr), WEIR_BOOL);
    expr_free(expr);
    assert_int_equal(expr_parse((struct weir_quoted){.text = "n * 2"}, &expr, &error), 0);
    assert_int_equal(expr_bind(expr, f->schema, f->symbols, &error), 0);
    assert_int_equal(expr_type(expr), WEIR_I64);
    assert_int_equal(expr_bind(expr, schema, f->symbols, &error), 0);
    assert_int_equal(expr_type(expr), WEIR_F64);
    expr_free(expr);
    weir_schema_release(schema);
}

static void memory_runs_out(void **state)
{
    const struct fixture *f = *state;
    const char *source =
        "if(flag, clamp(value, n, 3), 2) in (1, 2, 3) and note != 'abc' or site in ('x', 'y', 'z') and "
        "coalesce(note, site) < 'b'";

    for (int nth = 1;; nth++) {
        struct weir_error error = {0};
        struct expr *expr = NULL;
        memory_fail_nth((uint64_t)nth, false);
        int r = expr_parse((struct weir_quoted){.text = source}, &expr, &error);
        if (r == 0) {
            r = expr_bind(expr, f->schema, f->symbols, &error);
        }
        memory_fail_nth(0, false);
        expr_free(expr);
        if (r == 0) {
            assert_true(nth > 10);
            break;
        }
        assert_true(nth < 1000);
        assert_int_equal(r, error.code);
    }
}

static void documentation_lists_all_functions(void **state)
{
    FILE *file = fopen("docs/expressions.md", "r");
    static char text[64 * 1024];

    (void)state;
    if (!file) {
        skip();
    }
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    for (size_t i = 0; i < expr_function_count; i++) {
        char row[512];
        snprintf(row, sizeof(row), "| `%s(%s)` | %s |", expr_functions[i].name, expr_functions[i].arguments,
                 expr_functions[i].help);
        if (!strstr(text, row)) {
            fail_msg("docs/expressions.md lacks the row: %s", row);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(nulls_and_extremes, setup, teardown),
        cmocka_unit_test_setup_teardown(strings, setup, teardown),
        cmocka_unit_test_setup_teardown(functions, setup, teardown),
        cmocka_unit_test_setup_teardown(times, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_of_form, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test(tail_is_precise),
        cmocka_unit_test_setup_teardown(filters, setup, teardown),
        cmocka_unit_test_setup_teardown(deep, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_and_rebinding, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_runs_out, setup, teardown),
        cmocka_unit_test(documentation_lists_all_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
