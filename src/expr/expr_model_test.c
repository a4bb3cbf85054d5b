/* SPDX-License-Identifier: MIT */
/*
 * Random expressions, written as text with as few parentheses as precedence allows, against a model that walks the
 * tree for each row. WEIR_TEST_SEED repeats a run, WEIR_TEST_ROUNDS makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "data/pool.h"
#include "expr/expr_tree_test.h"

/* ---- The model ------------------------------------------------------------------------------------------------- */

static double as_number(const struct tree *tree, const struct value *value)
{
    return value->null ? (double)NAN : tree->kind == WHOLE ? (double)value->whole : value->number;
}

static struct value of_number(double number)
{
    return (struct value){.null = isnan(number), .number = number};
}

static struct value of_whole(__int128 whole)
{
    bool fits = whole > INT64_MIN && whole <= INT64_MAX;
    return (struct value){.null = !fits, .whole = fits ? (int64_t)whole : 0};
}

/* Negative, zero, positive. */
static int order(const struct tree *a, const struct value *x, const struct tree *b, const struct value *y)
{
    if (a->kind == STRING) {
        return strcmp(x->string, y->string);
    }
    if (a->kind == TRUTH) {
        return x->truth - y->truth;
    }
    if (a->kind == NUMBER || b->kind == NUMBER) {
        double l = as_number(a, x), r = as_number(b, y);
        return (l > r) - (l < r);
    }
    return (x->whole > y->whole) - (x->whole < y->whole);
}

static struct value arithmetic(const struct tree *tree, const struct value *v)
{
    double x = as_number(tree->kids[0], &v[0]), y = tree->count > 1 ? as_number(tree->kids[1], &v[1]) : 0;

    if (tree->kind == WHOLE) {
        __int128 a = v[0].whole, b = v[1].whole;
        switch (tree->op) {
        case ADD:
            return of_whole(a + b);
        case SUBTRACT:
            return of_whole(a - b);
        case MULTIPLY:
            return of_whole(a * b);
        case MODULO:
            return b == 0 ? (struct value){.null = true} : of_whole(a % b);
        case NEGATE:
            return of_whole(-a);
        case ABS:
            return of_whole(a < 0 ? -a : a);
        case SIGN:
            return of_whole((a > 0) - (a < 0));
        default:
            return v[0]; /* floor, round */
        }
    }
    switch (tree->op) {
    case ADD:
        return of_number(x + y);
    case SUBTRACT:
        return of_number(x - y);
    case MULTIPLY:
        return of_number(x * y);
    case DIVIDE:
        return of_number(x / y);
    case MODULO:
        return of_number(fmod(x, y));
    case POWER:
        return of_number(pow(x, y));
    case NEGATE:
        return of_number(-x);
    case ABS:
        return of_number(fabs(x));
    case SIGN:
        return of_number(x > 0 ? 1 : x < 0 ? -1 : 0);
    case SQRT:
        return of_number(sqrt(x));
    case EXP:
        return of_number(exp(x));
    case LOG:
        return of_number(log(x));
    case FLOOR:
        return of_number(floor(x));
    case CEIL:
        return of_number(ceil(x));
    default:
        return of_number(round(x));
    }
}

static struct value limited(const struct tree *tree, const struct value *v)
{
    struct value result = v[0];

    for (unsigned i = 1; i < tree->count; i++) {
        bool want_less = tree->op == MIN || i == 2;
        struct value other = v[i];
        if (tree->kind == NUMBER) {
            other.number = as_number(tree->kids[i], &other);
        }
        bool less = tree->kind == NUMBER ? result.number < other.number : result.whole < other.whole;
        bool more = tree->kind == NUMBER ? result.number > other.number : result.whole > other.whole;
        if (!(want_less ? less : more)) { /* of two zeros the second, whatever its sign */
            result = other;
        }
    }
    return result;
}

static struct value model(const struct tree *tree, const struct value *row);

static struct value logic(const struct tree *tree, const struct value *row)
{
    struct value a = model(tree->kids[0], row), b = model(tree->kids[1], row);
    bool decides = tree->op == OR; /* true decides `or`, false decides `and` */

    if ((!a.null && a.truth == decides) || (!b.null && b.truth == decides)) {
        return (struct value){.truth = decides};
    }
    return (struct value){.null = a.null || b.null, .truth = !decides};
}

static struct value member(const struct tree *tree, const struct value *x)
{
    bool found = false;

    for (unsigned i = 0; i < tree->list_count; i++) {
        found |= order(tree->kids[0], x, tree->kids[0], &tree->list[i]) == 0;
    }
    return (struct value){.truth = found == (tree->op == IN)};
}

static struct value model(const struct tree *tree, const struct value *row)
{
    struct value v[3] = {{.null = false}};

    switch (tree->op) {
    case CONSTANT:
        return tree->constant;
    case COLUMN:
        return row[tree->column];
    case AND:
    case OR:
        return logic(tree, row);
    case IF:
        v[0] = model(tree->kids[0], row);
        return model(tree->kids[!v[0].null && v[0].truth ? 1 : 2], row);
    case COALESCE:
        v[0] = model(tree->kids[0], row);
        return v[0].null ? model(tree->kids[1], row) : v[0];
    case IS_NULL:
        return (struct value){.truth = model(tree->kids[0], row).null};
    case IS_NOT_NULL:
        return (struct value){.truth = !model(tree->kids[0], row).null};
    default:
        break;
    }
    for (unsigned i = 0; i < tree->count; i++) {
        v[i] = model(tree->kids[i], row);
        if (v[i].null) {
            return (struct value){.null = true};
        }
    }
    int compared = tree->op >= EQUAL && tree->op <= GREATER_EQUAL ? order(tree->kids[0], &v[0], tree->kids[1], &v[1])
                                                                  : 0;
    switch (tree->op) {
    case NOT:
        return (struct value){.truth = !v[0].truth};
    case IN:
    case NOT_IN:
        return member(tree, &v[0]);
    case EQUAL:
        return (struct value){.truth = compared == 0};
    case UNEQUAL:
        return (struct value){.truth = compared != 0};
    case LESS:
        return (struct value){.truth = compared < 0};
    case LESS_EQUAL:
        return (struct value){.truth = compared <= 0};
    case GREATER:
        return (struct value){.truth = compared > 0};
    case GREATER_EQUAL:
        return (struct value){.truth = compared >= 0};
    case LATER:
        return of_whole((__int128)v[0].whole + tree->constant.whole);
    case EARLIER:
        return of_whole((__int128)v[0].whole - tree->constant.whole);
    case SINCE:
        return of_number((double)(v[0].whole - v[1].whole) / 1e9);
    case MIN:
    case MAX:
    case CLAMP:
        return limited(tree, v);
    default:
        return arithmetic(tree, v);
    }
}

/* ---- Both ------------------------------------------------------------------------------------------------------ */

static void store(struct weir_batch *batch, struct weir_symbols *symbols, uint32_t row, uint32_t column,
                  const struct value *value)
{
    void *data = weir_batch_column_data(batch, column);
    size_t length = value->string ? strlen(value->string) : 0;

    switch (fields[column].type) {
    case WEIR_F64:
        ((double *)data)[row] = value->null ? (double)NAN : value->number;
        break;
    case WEIR_I64:
    case WEIR_TIME:
        ((int64_t *)data)[row] = value->null ? WEIR_I64_NULL : value->whole;
        break;
    case WEIR_BOOL:
        ((uint8_t *)data)[row] = value->null ? WEIR_BOOL_NULL : value->truth;
        break;
    case WEIR_SYMBOL:
        ((uint32_t *)data)[row] = value->null ? WEIR_SYMBOL_NULL : symbols_intern(symbols, value->string, length);
        break;
    default:
        ((struct weir_text *)data)[row] = value->null ? (struct weir_text){NULL, 0}
                                                      : (struct weir_text){value->string, (uint32_t)length};
        break;
    }
}

static bool same(enum weir_type type, const void *data, uint32_t row, const struct weir_symbols *symbols,
                 const struct value *expected)
{
    struct weir_text text;

    switch (type) {
    case WEIR_F64: {
        double number = ((const double *)data)[row];
        return isnan(number) ? expected->null : !expected->null && number == expected->number;
    }
    case WEIR_I64:
    case WEIR_TIME: {
        int64_t whole = ((const int64_t *)data)[row];
        return whole == WEIR_I64_NULL ? expected->null : !expected->null && whole == expected->whole;
    }
    case WEIR_BOOL: {
        uint8_t truth = ((const uint8_t *)data)[row];
        return truth == WEIR_BOOL_NULL ? expected->null : !expected->null && truth == expected->truth;
    }
    default:
        text = type == WEIR_SYMBOL ? symbols_text(symbols, ((const uint32_t *)data)[row])
                                   : ((const struct weir_text *)data)[row];
        return !text.data ? expected->null
                          : !expected->null && text.length == strlen(expected->string) &&
                                memcmp(text.data, expected->string, text.length) == 0;
    }
}

static void check_filter(struct world *world, struct expr *expr, struct weir_batch *batch, const struct tree *tree,
                         const char *source)
{
    static uint32_t selection[ROWS], rows[ROWS];
    uint32_t every = 1 + (uint32_t)any(world, 30), count = 0, kept = 0;

    for (uint32_t i = 0; i < ROWS; i += 1 + (uint32_t)any(world, every)) {
        selection[count++] = i;
    }
    weir_batch_select(batch, selection, count);
    int64_t got = expr_filter(expr, batch, rows);
    for (uint32_t i = 0; i < count; i++) {
        struct value value = model(tree, world->rows[selection[i]]);
        if (!value.null && value.truth) {
            if (kept >= got || rows[kept] != selection[i]) {
                fail_msg("%s: filter misses row %u", source, selection[i]);
            }
            kept++;
        }
    }
    assert_int_equal(kept, got);
    weir_batch_select(batch, NULL, ROWS);
}

static void check_one(struct world *world, struct weir_batch *batch, struct weir_symbols *symbols)
{
    static struct weir_text results[ROWS]; /* the widest type */
    struct weir_buffer source = {0};
    struct weir_error error = {0};
    struct expr *expr = NULL;

    world->used = 0;
    const struct tree *tree = plant(world, (enum kind)any(world, 5), 1 + (int)any(world, DEPTH));
    write_tree(&source, tree);
    buffer_append(&source, "", 1);
    if (expr_parse((struct weir_quoted){.text = source.data}, &expr, &error) < 0 ||
        expr_bind(expr, batch->schema, symbols, &error) < 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(expr_evaluate(expr, batch, results), 0);
    for (uint32_t row = 0; row < ROWS; row++) {
        struct value expected = model(tree, world->rows[row]);
        if (!same(expr_type(expr), results, row, symbols, &expected)) {
            fail_msg("row %u: %s", row, source.data);
        }
    }
    if (tree->kind == TRUTH) {
        check_filter(world, expr, batch, tree, source.data);
    }
    expr_free(expr);
    buffer_free(&source);
}

static void random_expressions(void **state)
{
    const char *given = getenv("WEIR_TEST_SEED"), *longer = getenv("WEIR_TEST_ROUNDS");
    int64_t seed = time(NULL), rounds = 2000;
    struct world *world = calloc(1, sizeof(*world));
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct weir_schema *schema = weir_schema_new(fields, COLUMNS, -1, -1);
    struct weir_batch *batch = weir_batch_new(pool, schema, ROWS);

    (void)state;
    assert_int_equal(given ? units_integer(given, &seed) : 0, 0);
    assert_int_equal(longer ? units_integer(longer, &rounds) : 0, 0);
    print_message("seed %lld\n", (long long)seed);
    world->random = (uint64_t)seed * 2654435761u + 88172645463325252u;
    for (uint32_t row = 0; row < ROWS; row++) {
        for (uint32_t column = 0; column < COLUMNS; column++) {
            world->rows[row][column] = any_value(world, column_kind[column], false);
            store(batch, symbols, row, column, &world->rows[row][column]);
        }
    }
    for (int64_t i = 0; i < rounds; i++) {
        check_one(world, batch, symbols);
    }
    weir_batch_release(batch);
    weir_schema_release(schema);
    symbols_free(symbols);
    pool_close(pool);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_expressions)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
