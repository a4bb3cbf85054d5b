/* SPDX-License-Identifier: MIT */
/* Functions and `in`: what takes more than two operands. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr/bind.h"
#include "expr/functions.h"

/* ---- in (…) ---------------------------------------------------------------------------------------------------- */

static int order_f64(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int order_i64(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int order_symbol(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int order_text(const void *a, const void *b)
{
    const struct weir_text *x = a, *y = b;
    return kernel_text_order(*x, *y);
}

static int list_type(struct binder *binder, uint32_t node)
{
    const struct expr *expr = binder->expr;
    uint32_t first = expr->nodes[node].first;
    int type = binder->results[first].type;

    if (expr->nodes[first].next == NODE_NONE) {
        return expr_mistake(expr, binder->error, expr->nodes[node].span, "`in` needs at least one value in its list");
    }
    for (uint32_t i = expr->nodes[first].next; i != NODE_NONE; i = expr->nodes[i].next) {
        const struct operand *item = &binder->results[i];
        if (item->kind != OPERAND_CONSTANT) {
            return expr_mistake(expr, binder->error, expr->nodes[i].span,
                                "`in` takes constants only; for columns write `x = a or x = b`");
        }
        if (bind_is_null(binder, item)) {
            return expr_mistake(expr, binder->error, expr->nodes[i].span,
                                "nothing equals null; write `… or x is null` beside the list");
        }
        int common = bind_common(type, item->type);
        if (common < 0 || common == WEIR_BOOL) {
            return expr_mistake(expr, binder->error, expr->nodes[i].span, "cannot look for %s in a list with %s",
                                bind_type_words(binder->results[first].type), bind_type_words(item->type));
        }
        type = common;
    }
    return type == VALUE_STRING ? WEIR_SYMBOL : type == VALUE_DURATION ? WEIR_F64 : type;
}

int bind_in(struct binder *binder, uint32_t node)
{
    static int (*const orders[])(const void *, const void *) = {[WEIR_F64] = order_f64,
                                                                [WEIR_I64] = order_i64,
                                                                [WEIR_TIME] = order_i64,
                                                                [WEIR_SYMBOL] = order_symbol,
                                                                [WEIR_TEXT] = order_text};
    const struct node *nodes = binder->expr->nodes;
    uint32_t first = nodes[node].first;
    struct kernel_list *list;
    size_t count = 0, kept = 0;

    int type = list_type(binder, node);
    if (type < 0) {
        return type;
    }
    for (uint32_t i = nodes[first].next; i != NODE_NONE; i = nodes[i].next) {
        count++;
    }
    size_t width = program_width(type);
    if (program_list(binder->program, count, width, &list) < 0) {
        return bind_no_memory(binder);
    }
    for (uint32_t i = first; i != NODE_NONE; i = nodes[i].next) {
        int r = bind_cast(binder, nodes[i].span, &binder->results[i], type);
        if (r < 0) {
            return r;
        }
        if (i != first) {
            memcpy((char *)list->data + width * list->count++,
                   &binder->program->constants[binder->results[i].index].value, width);
        }
    }
    qsort(list->data, count, width, orders[type]);
    for (size_t i = 1; i < count; i++) { /* no repetitions */
        char *at = (char *)list->data + i * width, *last = (char *)list->data + kept * width;
        if (orders[type](last, at) != 0) {
            memmove(last + width, at, width);
            kept++;
        }
    }
    list->count = kept + 1;
    int r = program_emit(binder->program, kernel_in[type], list, WEIR_BOOL, &binder->results[first], 1,
                         &binder->results[node]);
    if (r == 0 && nodes[node].kind == NODE_NOT_IN) {
        r = program_emit(binder->program, kernel_not, NULL, WEIR_BOOL, &binder->results[node], 1,
                         &binder->results[node]);
    }
    return r < 0 ? bind_no_memory(binder) : 0;
}

/* ---- Functions ------------------------------------------------------------------------------------------------- */

struct arguments {
    uint32_t nodes[FUNCTION_ARGUMENTS_MAX];
    unsigned count;
};

/* Brings arguments from the `from`th on to one type, or says which does not go with those before it. */
static int unify(struct binder *binder, const struct arguments *arguments, unsigned from, const char *who, int *ret)
{
    const struct node *nodes = binder->expr->nodes;
    int type = VALUE_NULL;

    for (unsigned i = from; i < arguments->count; i++) {
        int next = binder->results[arguments->nodes[i]].type;
        int common = bind_common(type, next);
        if (common < 0) {
            return expr_mistake(binder->expr, binder->error, nodes[arguments->nodes[i]].span,
                                next == WEIR_ARRAY ? "%s cannot take %s" : "%s cannot mix %s with %s", who,
                                bind_type_words(next == WEIR_ARRAY ? next : type), bind_type_words(next));
        }
        type = common;
    }
    if (type == VALUE_NULL || type == VALUE_DURATION) {
        type = WEIR_F64;
    } else if (type == VALUE_STRING) {
        type = WEIR_SYMBOL;
    }
    for (unsigned i = from; i < arguments->count; i++) {
        uint32_t node = arguments->nodes[i];
        int r = bind_cast(binder, nodes[node].span, &binder->results[node], type);
        if (r < 0) {
            return r;
        }
    }
    *ret = type;
    return 0;
}

/* f(f(f(a, b), c), d) */
static int emit_chain(struct binder *binder, const struct arguments *arguments, kernel_function *kernel, int type,
                      struct operand *ret)
{
    struct operand inputs[2] = {binder->results[arguments->nodes[0]]};

    for (unsigned i = 1; i < arguments->count; i++) {
        inputs[1] = binder->results[arguments->nodes[i]];
        if (program_emit(binder->program, kernel, NULL, type, inputs, 2, &inputs[0]) < 0) {
            return -ENOMEM;
        }
    }
    *ret = inputs[0];
    return 0;
}

static int emit_clamp(struct binder *binder, const struct arguments *arguments, int type, struct operand *ret)
{
    bool whole = type != WEIR_F64;
    struct operand inputs[2] = {binder->results[arguments->nodes[0]], binder->results[arguments->nodes[1]]};
    int r = program_emit(binder->program, whole ? kernel_max_i64 : kernel_max_f64, NULL, type, inputs, 2, &inputs[0]);

    inputs[1] = binder->results[arguments->nodes[2]];
    return r < 0 ? r
                 : program_emit(binder->program, whole ? kernel_min_i64 : kernel_min_f64, NULL, type, inputs, 2, ret);
}

static int emit_plain(struct binder *binder, const struct expr_function *function, const struct arguments *arguments,
                      int type, struct operand *ret)
{
    struct operand inputs[PROGRAM_INPUTS];

    for (unsigned i = 0; i < arguments->count; i++) {
        inputs[i] = binder->results[arguments->nodes[i]];
    }
    if (type == WEIR_I64 && !function->i64) { /* floor(3) is 3 */
        *ret = inputs[0];
        return 0;
    }
    kernel_function *kernel = type == WEIR_I64 ? function->i64 : function->f64;
    return program_emit(binder->program, kernel ? kernel : kernel_arithmetic_f64[KERNEL_POWER], NULL, type, inputs,
                        arguments->count, ret);
}

static int call_numbers(struct binder *binder, const struct expr_function *function, const struct arguments *arguments,
                        struct operand *ret)
{
    int type = WEIR_F64, r;

    for (unsigned i = 0; i < arguments->count; i++) {
        bool time = function->rule == FUNCTION_ORDERED && binder->results[arguments->nodes[0]].type == WEIR_TIME;
        if (!time && (r = bind_number(binder, arguments->nodes[i], function->name)) < 0) {
            return r;
        }
    }
    if (function->rule == FUNCTION_FLOAT) {
        for (unsigned i = 0; i < arguments->count; i++) {
            uint32_t node = arguments->nodes[i];
            if ((r = bind_cast(binder, binder->expr->nodes[node].span, &binder->results[node], WEIR_F64)) < 0) {
                return r;
            }
        }
    } else if ((r = unify(binder, arguments, 0, function->name, &type)) < 0) {
        return r;
    }
    if (function->rule != FUNCTION_ORDERED) {
        r = emit_plain(binder, function, arguments, type, ret);
    } else if (!function->f64) {
        r = emit_clamp(binder, arguments, type, ret);
    } else {
        r = emit_chain(binder, arguments, type == WEIR_F64 ? function->f64 : function->i64, type, ret);
    }
    return r < 0 ? bind_no_memory(binder) : 0;
}

int bind_call(struct binder *binder, uint32_t node)
{
    const struct node *nodes = binder->expr->nodes;
    const struct expr_function *function = nodes[node].call;
    struct operand *ret = &binder->results[node], inputs[3];
    struct arguments arguments = {.count = 0};
    int type, r;

    for (uint32_t i = nodes[node].first; i != NODE_NONE; i = nodes[i].next) {
        arguments.nodes[arguments.count++] = i;
    }
    switch (function->rule) {
    case FUNCTION_SAME:
        if ((r = unify(binder, &arguments, 0, function->name, &type)) < 0) {
            return r;
        }
        r = emit_chain(binder, &arguments, kernel_coalesce[type], type, ret);
        return r < 0 ? bind_no_memory(binder) : 0;
    case FUNCTION_IF:
        if ((r = bind_bool(binder, arguments.nodes[0], function->name)) < 0 ||
            (r = unify(binder, &arguments, 1, function->name, &type)) < 0) {
            return r;
        }
        for (unsigned i = 0; i < 3; i++) {
            inputs[i] = binder->results[arguments.nodes[i]];
        }
        r = program_emit(binder->program, kernel_if[type], NULL, type, inputs, 3, ret);
        return r < 0 ? bind_no_memory(binder) : 0;
    default:
        return call_numbers(binder, function, &arguments, ret);
    }
}
