/* SPDX-License-Identifier: MIT */
/* Of expr_model_test.c: random trees, and how they are written. */
#ifndef EXPR_EXPR_TREE_TEST_H
#define EXPR_EXPR_TREE_TEST_H
#include <math.h>
#include <string.h>

#include "base/buffer.h"
#include "data/time_text.h"
#include "expr/expr.h"

enum { ROWS = 1100, DEPTH = 5, NODES = 512 };

/* ---- Trees ----------------------------------------------------------------------------------------------------- */

enum kind { NUMBER, WHOLE, TRUTH, STRING, MOMENT };
enum op {
    CONSTANT,
    COLUMN,
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    MODULO,
    POWER,
    NEGATE,
    EQUAL,
    UNEQUAL,
    LESS,
    LESS_EQUAL,
    GREATER,
    GREATER_EQUAL,
    AND,
    OR,
    NOT,
    IS_NULL,
    IS_NOT_NULL,
    IN,
    NOT_IN,
    IF,
    COALESCE,
    MIN,
    MAX,
    CLAMP,
    ABS,
    SIGN,
    SQRT,
    EXP,
    LOG,
    FLOOR,
    CEIL,
    ROUND,
    LATER,
    EARLIER,
    SINCE
};
static const char *const op_text[] = {
    [ADD] = " + ",           [SUBTRACT] = "-",       [MULTIPLY] = " * ", [DIVIDE] = "/",    [MODULO] = " % ",
    [POWER] = "^",           [EQUAL] = "=",          [UNEQUAL] = " != ", [LESS] = "<",      [LESS_EQUAL] = " <= ",
    [GREATER] = ">",         [GREATER_EQUAL] = ">=", [AND] = " and ",    [OR] = " or ",     [IF] = "if",
    [COALESCE] = "coalesce", [MIN] = "min",          [MAX] = "max",      [CLAMP] = "clamp", [ABS] = "abs",
    [SIGN] = "sign",         [SQRT] = "sqrt",        [EXP] = "exp",      [LOG] = "log",     [FLOOR] = "floor",
    [CEIL] = "ceil",         [ROUND] = "round",      [LATER] = " + ",    [EARLIER] = " - ", [SINCE] = " - ",
};

struct value {
    bool null;
    double number;
    int64_t whole;
    bool truth;
    const char *string;
};

struct tree {
    enum op op;
    enum kind kind;
    const struct tree *kids[3];
    unsigned count;
    struct value constant; /* LATER, EARLIER: the duration */
    struct value list[20];
    unsigned list_count, column;
};

static const struct weir_field fields[] = {
    {.name = "f", .type = WEIR_F64},    {.name = "`g", .type = WEIR_F64}, {.name = "i", .type = WEIR_I64},
    {.name = "j", .type = WEIR_I64},    {.name = "b", .type = WEIR_BOOL}, {.name = "c", .type = WEIR_BOOL},
    {.name = "s", .type = WEIR_SYMBOL}, {.name = "t", .type = WEIR_TEXT}, {.name = "at", .type = WEIR_TIME},
    {.name = "to", .type = WEIR_TIME},
};
static const enum kind column_kind[] = {NUMBER, NUMBER, WHOLE, WHOLE, TRUTH, TRUTH, STRING, STRING, MOMENT, MOMENT};
enum { COLUMNS = sizeof(fields) / sizeof(fields[0]) };
static const char *const column_text[] = {"f", "```g`", "i", "j", "b", "`c`", "s", "t", "at", "to"};
static const char *const words[] = {"", "a", "b", "ab", "north", "south", "ä", "it's", "\"\\\n", "zzzzzzzzzzzzzz"};

struct world {
    uint64_t random;
    struct tree nodes[NODES];
    unsigned used;
    struct value rows[ROWS][COLUMNS];
};

static uint64_t any(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13; /* xorshift */
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (world->random >> 11) % below;
}

static struct value any_value(struct world *world, enum kind kind, bool constant)
{
    static const double numbers[] = {0,    1,     -1,     0.5,    -2.5,     3,         7,   1e9,
                                     1e-3, 1e300, -1e300, 5e-324, INFINITY, -INFINITY, -0.0};
    static const int64_t wholes[] = {0, 1, -1, 2, 3, -7, 10, 1000000007, INT64_MAX, -INT64_MAX, INT64_C(1) << 62};
    struct value value = {.null = !constant && any(world, 8) == 0};

    switch (kind) {
    case NUMBER:
        value.number = numbers[any(world, constant ? 12 : 15)];
        break;
    case WHOLE:
        value.whole = wholes[any(world, 11)];
        break;
    case TRUTH:
        value.truth = any(world, 2);
        break;
    case STRING:
        value.string = words[any(world, sizeof(words) / sizeof(words[0]))];
        break;
    default:
        value.whole = INT64_C(1732147200000000000) + (int64_t)any(world, 5) * INT64_C(86400000000000);
        break;
    }
    return value;
}

static struct tree *grow(struct world *world, enum op op, enum kind kind, const struct tree *a, const struct tree *b,
                         const struct tree *c)
{
    struct tree *tree = &world->nodes[world->used++];

    *tree = (struct tree){.op = op, .kind = kind, .kids = {a, b, c}, .count = c ? 3 : b ? 2 : a ? 1 : 0};
    return tree;
}

static const struct tree *plant(struct world *world, enum kind kind, int depth);

static const struct tree *leaf(struct world *world, enum kind kind)
{
    struct tree *tree = grow(world, any(world, 3) ? COLUMN : CONSTANT, kind, NULL, NULL, NULL);

    if (kind == MOMENT) {
        tree->op = COLUMN; /* a constant alone would be a string */
    }
    tree->constant = any_value(world, kind, true);
    do {
        tree->column = (unsigned)any(world, COLUMNS);
    } while (column_kind[tree->column] != kind);
    return tree;
}

static enum kind any_number(struct world *world)
{
    return any(world, 2) ? NUMBER : WHOLE;
}

static const struct tree *plant_number(struct world *world, enum kind kind, int depth)
{
    static const enum op both[] = {ADD, SUBTRACT, MULTIPLY, MODULO, MIN, MAX};
    static const enum op one[] = {SQRT, EXP, LOG, FLOOR, CEIL, ROUND, ABS, SIGN, NEGATE};
    static const enum op one_whole[] = {ABS, SIGN, NEGATE, FLOOR, ROUND};
    const struct tree *a;

    switch (any(world, 4)) {
    case 0:
        if (kind == NUMBER && any(world, 2)) {
            if (any(world, 4) == 0) {
                return grow(world, SINCE, kind, plant(world, MOMENT, depth), plant(world, MOMENT, depth), NULL);
            }
            a = plant(world, any_number(world), depth);
            return grow(world, any(world, 2) ? DIVIDE : POWER, kind, a, plant(world, any_number(world), depth), NULL);
        }
        /* fallthrough */
    case 1:
        a = plant(world, kind, depth); /* one f64 is enough for the result to be one */
        return grow(world, both[any(world, 6)], kind, a,
                    plant(world, kind == NUMBER ? any_number(world) : WHOLE, depth), NULL);
    case 2:
        return kind == NUMBER ? grow(world, one[any(world, 9)], kind, plant(world, kind, depth), NULL, NULL)
                              : grow(world, one_whole[any(world, 5)], kind, plant(world, kind, depth), NULL, NULL);
    default:
        a = plant(world, kind, depth);
        return grow(world, CLAMP, kind, a, plant(world, kind, depth), plant(world, kind, depth));
    }
}

static const struct tree *plant_truth(struct world *world, int depth)
{
    enum kind kind = (enum kind)any(world, 5);

    switch (any(world, 6)) {
    case 0:
        return grow(world, NOT, TRUTH, plant(world, TRUTH, depth), NULL, NULL);
    case 1:
    case 2: {
        const struct tree *a = plant(world, TRUTH, depth);
        return grow(world, any(world, 2) ? AND : OR, TRUTH, a, plant(world, TRUTH, depth), NULL);
    }
    case 3:
        return grow(world, any(world, 2) ? IS_NULL : IS_NOT_NULL, TRUTH, plant(world, kind, depth), NULL, NULL);
    case 4: {
        kind = kind == TRUTH ? NUMBER : kind;
        struct tree *in = grow(world, any(world, 2) ? IN : NOT_IN, TRUTH, plant(world, kind, depth), NULL, NULL);
        in->list_count = 1 + (unsigned)any(world, any(world, 2) ? 4 : 20);
        for (unsigned i = 0; i < in->list_count; i++) {
            in->list[i] = any_value(world, kind, true);
        }
        return in;
    }
    default: {
        const struct tree *a = plant(world, kind, depth);
        if (kind == NUMBER || kind == WHOLE) {
            kind = any_number(world);
        }
        return grow(world, (enum op)(EQUAL + any(world, kind == TRUTH ? 2 : 6)), TRUTH, a, plant(world, kind, depth),
                    NULL);
    }
    }
}

static const struct tree *plant(struct world *world, enum kind kind, int depth)
{
    const struct tree *a;

    if (depth-- == 0 || any(world, 6) == 0 || world->used + 64 > NODES) {
        return leaf(world, kind);
    }
    if (any(world, 5) == 0) {
        a = plant(world, kind, depth);
        if (any(world, 2)) {
            return grow(world, COALESCE, kind, a, plant(world, kind, depth), NULL);
        }
        return grow(world, IF, kind, plant(world, TRUTH, depth), a, plant(world, kind, depth));
    }
    switch (kind) {
    case NUMBER:
    case WHOLE:
        return plant_number(world, kind, depth);
    case TRUTH:
        return plant_truth(world, depth);
    case MOMENT: {
        struct tree *moved = grow(world, any(world, 2) ? LATER : EARLIER, kind, plant(world, kind, depth), NULL, NULL);
        moved->constant.whole = (int64_t)any(world, 1000) * 1000000;
        return moved;
    }
    default:
        return leaf(world, kind);
    }
}

/* ---- As text --------------------------------------------------------------------------------------------------- */

static int precedence(const struct tree *tree)
{
    switch (tree->op) {
    case OR:
        return 1;
    case AND:
        return 2;
    case NOT:
        return 3;
    case EQUAL:
    case UNEQUAL:
    case LESS:
    case LESS_EQUAL:
    case GREATER:
    case GREATER_EQUAL:
    case IS_NULL:
    case IS_NOT_NULL:
    case IN:
    case NOT_IN:
        return 4;
    case ADD:
    case SUBTRACT:
    case LATER:
    case EARLIER:
    case SINCE:
        return 5;
    case MULTIPLY:
    case DIVIDE:
    case MODULO:
        return 6;
    case NEGATE:
        return 7;
    case POWER:
        return 8;
    case CONSTANT:
        return (tree->kind == NUMBER && signbit(tree->constant.number)) ||
                       (tree->kind == WHOLE && tree->constant.whole < 0)
                   ? 7
                   : 9;
    default:
        return 9;
    }
}

static void write_constant(struct weir_buffer *out, enum kind kind, const struct value *value)
{
    char text[TIME_TEXT_MAX];

    switch (kind) {
    case NUMBER:
        buffer_format(out, "%.17g%s", value->number,
                      fmod(value->number, 1) == 0 && fabs(value->number) < 1e16 ? ".0" : "");
        break;
    case WHOLE:
        buffer_format(out, "%lld", (long long)value->whole);
        break;
    case TRUTH:
        buffer_string(out, value->truth ? "true" : "false");
        break;
    case MOMENT:
        buffer_format(out, "'%.*s'", (int)time_show_rfc3339(value->whole, text), text);
        break;
    default:
        buffer_string(out, "'");
        for (const char *at = value->string; *at; at++) {
            buffer_append(out,
                          *at == '\n'   ? "\\n"
                          : *at == '\\' ? "\\\\"
                          : *at == '\'' ? "''"
                                        : at,
                          strchr("\n\\'", *at) ? 2 : 1);
        }
        buffer_string(out, "'");
        break;
    }
}

static void write_tree(struct weir_buffer *out, const struct tree *tree);

static void write_kid(struct weir_buffer *out, const struct tree *kid, int least)
{
    bool group = precedence(kid) < least;

    buffer_string(out, group ? "(" : "");
    write_tree(out, kid);
    buffer_string(out, group ? ")" : "");
}

static void write_tree(struct weir_buffer *out, const struct tree *tree)
{
    int own = precedence(tree);

    switch (tree->op) {
    case CONSTANT:
        write_constant(out, tree->kind, &tree->constant);
        break;
    case COLUMN:
        buffer_string(out, column_text[tree->column]);
        break;
    case NEGATE:
    case NOT:
        buffer_string(out, tree->op == NOT ? "not " : "-");
        write_kid(out, tree->kids[0], own);
        break;
    case IS_NULL:
    case IS_NOT_NULL:
        write_kid(out, tree->kids[0], own + 1);
        buffer_string(out, tree->op == IS_NULL ? " is null" : " is not null");
        break;
    case IN:
    case NOT_IN:
        write_kid(out, tree->kids[0], own + 1);
        for (unsigned i = 0; i < tree->list_count; i++) {
            buffer_string(out, i ? ", " : tree->op == IN ? " in (" : " not in (");
            write_constant(out, tree->kids[0]->kind, &tree->list[i]);
        }
        buffer_string(out, ")");
        break;
    case LATER:
    case EARLIER:
        write_kid(out, tree->kids[0], own);
        buffer_format(out, "%s%lldms", op_text[tree->op], (long long)tree->constant.whole / 1000000);
        break;
    default:
        if (own < 9) {
            write_kid(out, tree->kids[0], own == 4 || own == 8 ? own + 1 : own);
            buffer_string(out, op_text[tree->op]);
            write_kid(out, tree->kids[1], own == 8 ? 7 : own + 1);
            break;
        }
        for (unsigned i = 0; i < tree->count; i++) {
            buffer_format(out, "%s", i ? ", " : op_text[tree->op]);
            buffer_string(out, i ? "" : "(");
            write_tree(out, tree->kids[i]);
        }
        buffer_string(out, ")");
        break;
    }
}

#endif
