/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "data/time_text.h"
#include "expr/bind.h"

const char *bind_type_words(int type)
{
    static const char *const words[] = {
        [WEIR_TIME] = "a time",    [WEIR_F64] = "a number",         [WEIR_I64] = "a whole number",
        [WEIR_BOOL] = "a bool",    [WEIR_SYMBOL] = "a string",      [WEIR_TEXT] = "a string",
        [WEIR_ARRAY] = "an array", [VALUE_DURATION] = "a duration", [VALUE_STRING] = "a string",
        [VALUE_NULL] = "null",
    };
    return words[type];
}

int bind_no_memory(struct binder *binder)
{
    return weir_fail(binder->error, -ENOMEM, "out of memory");
}

static bool is_number(int type)
{
    return type == WEIR_F64 || type == WEIR_I64 || type == VALUE_DURATION;
}

static bool is_string(int type)
{
    return type == WEIR_SYMBOL || type == WEIR_TEXT || type == VALUE_STRING;
}

int bind_common(int a, int b)
{
    if (a == WEIR_ARRAY || b == WEIR_ARRAY) {
        return -1;
    }
    if (a == VALUE_NULL || (a == b && a != VALUE_DURATION)) {
        return b;
    }
    if (b == VALUE_NULL) {
        return a;
    }
    if (is_number(a) && is_number(b)) {
        return WEIR_F64;
    }
    if (is_string(a) && is_string(b)) {
        return a == WEIR_TEXT || b == WEIR_TEXT ? WEIR_TEXT : WEIR_SYMBOL;
    }
    if ((a == WEIR_TIME && b == VALUE_STRING) || (a == VALUE_STRING && b == WEIR_TIME)) {
        return WEIR_TIME;
    }
    return -1;
}

static union value null_of(int type)
{
    union value value = {.text = {NULL, 0}};

    switch (type) {
    case WEIR_F64:
        value.f64 = NAN;
        break;
    case WEIR_I64:
    case WEIR_TIME:
        value.i64 = WEIR_I64_NULL;
        break;
    case WEIR_BOOL:
        value.boolean = WEIR_BOOL_NULL;
        break;
    default:
        break;
    }
    return value;
}

/* A time as a string: RFC 3339, the same with a blank, or a date alone (midnight UTC). */
static int time_of(struct binder *binder, struct span span, struct weir_text text, int64_t *ret)
{
    char whole[TIME_TEXT_MAX];

    if (text.length == 10) {
        memcpy(whole, text.data, 10);
        memcpy(whole + 10, "T00:00:00Z", 10);
        text = (struct weir_text){whole, 20};
    }
    if (time_parse(text.data, text.length, TIME_RFC3339, NULL, ret) == 0 ||
        time_parse(text.data, text.length, TIME_PLAIN, NULL, ret) == 0) {
        return 0;
    }
    return expr_mistake(binder->expr, binder->error, span,
                        "this is not a time; times are written '2024-11-21T03:20:00Z' or '2024-11-21'");
}

/* Strings live in the table of symbols, so that a column of them may outlive the expression. */
static int cast_string(struct binder *binder, struct span span, struct weir_text text, int type, union value *ret)
{
    uint32_t id = SYMBOLS_FULL;

    if (type == WEIR_TIME) {
        return time_of(binder, span, text, &ret->i64);
    }
    if (binder->symbols) {
        id = symbols_intern(binder->symbols, text.data, text.length);
        if (id == SYMBOLS_FULL) {
            return expr_mistake(binder->expr, binder->error, span,
                                "no room for another string in the table of symbols");
        }
        text = symbols_text(binder->symbols, id);
    }
    if (type == WEIR_SYMBOL) {
        ret->symbol = id;
    } else {
        ret->text = text;
    }
    return 0;
}

int bind_cast(struct binder *binder, struct span span, struct operand *operand, int type)
{
    struct program *program = binder->program;
    int r = 0;

    if (operand->type == type) {
        return 0;
    }
    if (operand->type == WEIR_I64) {
        r = program_emit(program, kernel_i64_to_f64, NULL, WEIR_F64, operand, 1, operand);
    } else if (operand->type == WEIR_SYMBOL) {
        r = program_emit(program, kernel_symbol_to_text, binder->symbols, WEIR_TEXT, operand, 1, operand);
    } else {
        union value from = program->constants[operand->index].value, into = null_of(type);
        if (operand->type == VALUE_DURATION) {
            into.f64 = (double)from.i64 / 1e9;
        } else if (operand->type == VALUE_STRING && (r = cast_string(binder, span, from.text, type, &into)) < 0) {
            return r;
        }
        r = program_constant(program, type, into, operand);
    }
    return r < 0 ? bind_no_memory(binder) : 0;
}

int bind_number(struct binder *binder, uint32_t node, const char *who)
{
    struct operand *operand = &binder->results[node];
    struct span span = binder->expr->nodes[node].span;

    if (operand->type == WEIR_F64 || operand->type == WEIR_I64) {
        return 0;
    }
    if (operand->type == VALUE_DURATION || operand->type == VALUE_NULL) {
        return bind_cast(binder, span, operand, WEIR_F64);
    }
    return expr_mistake(binder->expr, binder->error, span, "%s needs numbers; this is %s", who,
                        bind_type_words(operand->type));
}

int bind_bool(struct binder *binder, uint32_t node, const char *who)
{
    struct operand *operand = &binder->results[node];
    struct span span = binder->expr->nodes[node].span;

    if (operand->type == WEIR_BOOL) {
        return 0;
    }
    if (operand->type == VALUE_NULL) {
        return bind_cast(binder, span, operand, WEIR_BOOL);
    }
    return expr_mistake(binder->expr, binder->error, span, "%s needs a condition (true or false); this is %s", who,
                        bind_type_words(operand->type));
}

bool bind_is_null(const struct binder *binder, const struct operand *constant)
{
    uint8_t truth = 1;
    struct kernel_call call = {.out = &truth, .in = {&binder->program->constants[constant->index].value}, .count = 1};

    if (constant->type < WEIR_ARRAY) {
        kernel_is_null[constant->type](&call);
        return truth;
    }
    return constant->type == VALUE_NULL;
}
