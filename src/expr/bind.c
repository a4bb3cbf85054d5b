/* SPDX-License-Identifier: MIT */
/* The nodes of an expression, children first: checks the types of each and adds its steps to the program. */
#include "expr/bind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static const char *const operator_names[] = {
    [NODE_NEGATE] = "`-`",   [NODE_NOT] = "`not`",          [NODE_ADD] = "`+`",    [NODE_SUBTRACT] = "`-`",
    [NODE_MULTIPLY] = "`*`", [NODE_DIVIDE] = "`/`",         [NODE_MODULO] = "`%`", [NODE_POWER] = "`^`",
    [NODE_EQUAL] = "`=`",    [NODE_UNEQUAL] = "`!=`",       [NODE_LESS] = "`<`",   [NODE_LESS_EQUAL] = "`<=`",
    [NODE_GREATER] = "`>`",  [NODE_GREATER_EQUAL] = "`>=`", [NODE_AND] = "`and`",  [NODE_OR] = "`or`",
};

static int emit(struct binder *binder, kernel_function *kernel, int out_type, const struct operand *inputs,
                unsigned count, struct operand *ret)
{
    return program_emit(binder->program, kernel, NULL, out_type, inputs, count, ret) < 0 ? bind_no_memory(binder) : 0;
}

static int constant(struct binder *binder, int type, union value value, struct operand *ret)
{
    return program_constant(binder->program, type, value, ret) < 0 ? bind_no_memory(binder) : 0;
}

/* ---- Columns --------------------------------------------------------------------------------------------------- */

static int no_column(struct binder *binder, const struct node *node)
{
    const struct weir_schema *schema = binder->schema;
    const char *names[WEIR_FIELDS_MAX];
    char all[200];
    size_t used = 0;

    for (uint32_t i = 0; i < schema->count && i < WEIR_FIELDS_MAX; i++) {
        names[i] = schema->fields[i].name;
        if (used < sizeof(all)) {
            used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", names[i]);
        }
    }
    const char *nearest = error_nearest(node->text.data, names, schema->count);
    if (nearest) {
        return expr_mistake(binder->expr, binder->error, node->span, "no column \"%.80s\"; did you mean \"%s\"?",
                            node->text.data, nearest);
    }
    if (schema->count == 0) {
        return expr_mistake(binder->expr, binder->error, node->span, "no column \"%.80s\"; there are none at all",
                            node->text.data);
    }
    return expr_mistake(binder->expr, binder->error, node->span, "no column \"%.80s\"; there are %s%s", node->text.data,
                        all, used >= sizeof(all) ? "…" : "");
}

static int bind_column(struct binder *binder, const struct node *node, struct operand *ret)
{
    int32_t index = weir_schema_find(binder->schema, node->text.data);

    if (index < 0) {
        return no_column(binder, node);
    }
    enum weir_type type = binder->schema->fields[index].type;
    if (type == WEIR_ARRAY) {
        return expr_mistake(binder->expr, binder->error, node->span,
                            "\"%.80s\" has an array in each row; expressions cannot compute with arrays",
                            node->text.data);
    }
    *ret = (struct operand){.kind = OPERAND_COLUMN, .type = (uint8_t)type, .index = (uint32_t)index};
    return 0;
}

static int bind_leaf(struct binder *binder, const struct node *node, struct operand *ret)
{
    switch (node->kind) {
    case NODE_COLUMN:
        return bind_column(binder, node, ret);
    case NODE_BOOL:
        return constant(binder, WEIR_BOOL, (union value){.boolean = node->boolean}, ret);
    case NODE_I64:
        return constant(binder, WEIR_I64, (union value){.i64 = node->i64}, ret);
    case NODE_F64:
        return constant(binder, WEIR_F64, (union value){.f64 = node->f64}, ret);
    case NODE_DURATION:
        return constant(binder, VALUE_DURATION, (union value){.i64 = node->i64}, ret);
    case NODE_STRING:
        return constant(binder, VALUE_STRING, (union value){.text = node->text}, ret);
    default:
        return constant(binder, VALUE_NULL, (union value){.i64 = 0}, ret);
    }
}

/* ---- Operators with one operand -------------------------------------------------------------------------------- */

static int bind_unary(struct binder *binder, uint32_t index)
{
    const struct node *node = &binder->expr->nodes[index];
    struct operand *operand = &binder->results[node->first], *ret = &binder->results[index];
    int r;

    if (node->kind == NODE_NOT) {
        r = bind_bool(binder, node->first, operator_names[NODE_NOT]);
        return r < 0 ? r : emit(binder, kernel_not, WEIR_BOOL, operand, 1, ret);
    }
    if (node->kind == NODE_NEGATE) {
        if (operand->type == VALUE_DURATION) {
            int64_t ns = binder->program->constants[operand->index].value.i64;
            return constant(binder, VALUE_DURATION, (union value){.i64 = -ns}, ret);
        }
        r = bind_number(binder, node->first, operator_names[NODE_NEGATE]);
        kernel_function *kernel = operand->type == WEIR_I64 ? kernel_negate_i64 : kernel_negate_f64;
        return r < 0 ? r : emit(binder, kernel, operand->type, operand, 1, ret);
    }
    bool is_not = node->kind == NODE_IS_NOT_NULL;
    if (operand->type >= WEIR_TYPE_COUNT) {
        union value value = {.boolean = (operand->type == VALUE_NULL) != is_not};
        return constant(binder, WEIR_BOOL, value, ret);
    }
    kernel_function *kernel = is_not ? kernel_is_not_null[operand->type] : kernel_is_null[operand->type];
    return emit(binder, kernel, WEIR_BOOL, operand, 1, ret);
}

/* ---- Operators with two operands ------------------------------------------------------------------------------- */

/* time − time, time ± duration, duration + time. 1: these are not times. */
static int bind_time_arithmetic(struct binder *binder, const struct node *node, uint32_t left, uint32_t right,
                                struct operand *ret)
{
    struct operand inputs[2] = {binder->results[left], binder->results[right]};
    bool adds = node->kind == NODE_ADD, subtracts = node->kind == NODE_SUBTRACT;

    if (inputs[0].type != WEIR_TIME && inputs[1].type != WEIR_TIME) {
        return 1;
    }
    if (subtracts && bind_common(inputs[0].type, inputs[1].type) == WEIR_TIME && inputs[0].type != VALUE_NULL &&
        inputs[1].type != VALUE_NULL) {
        int r = bind_cast(binder, binder->expr->nodes[left].span, &inputs[0], WEIR_TIME);
        r = r < 0 ? r : bind_cast(binder, binder->expr->nodes[right].span, &inputs[1], WEIR_TIME);
        return r < 0 ? r : emit(binder, kernel_time_difference, WEIR_F64, inputs, 2, ret);
    }
    if ((adds || subtracts) && inputs[0].type == WEIR_TIME && inputs[1].type == VALUE_DURATION) {
        return emit(binder, kernel_arithmetic_i64[adds ? KERNEL_ADD : KERNEL_SUBTRACT], WEIR_TIME, inputs, 2, ret);
    }
    if (adds && inputs[0].type == VALUE_DURATION) {
        return emit(binder, kernel_arithmetic_i64[KERNEL_ADD], WEIR_TIME, inputs, 2, ret);
    }
    return expr_mistake(binder->expr, binder->error, node->span,
                        "times can be subtracted (which gives seconds) and moved by a duration such as 500ms; this is "
                        "%s %.*s %s",
                        bind_type_words(inputs[0].type), (int)strlen(operator_names[node->kind]) - 2,
                        operator_names[node->kind] + 1, bind_type_words(inputs[1].type));
}

static int bind_arithmetic(struct binder *binder, const struct node *node, uint32_t left, uint32_t right,
                           struct operand *ret)
{
    unsigned operation = node->kind - NODE_ADD;
    int r = bind_time_arithmetic(binder, node, left, right, ret);

    if (r <= 0 || (r = bind_number(binder, left, operator_names[node->kind])) < 0 ||
        (r = bind_number(binder, right, operator_names[node->kind])) < 0) {
        return r;
    }
    struct operand inputs[2] = {binder->results[left], binder->results[right]};
    if (inputs[0].type == WEIR_I64 && inputs[1].type == WEIR_I64 && kernel_arithmetic_i64[operation]) {
        return emit(binder, kernel_arithmetic_i64[operation], WEIR_I64, inputs, 2, ret);
    }
    if ((r = bind_cast(binder, node->span, &inputs[0], WEIR_F64)) < 0 ||
        (r = bind_cast(binder, node->span, &inputs[1], WEIR_F64)) < 0) {
        return r;
    }
    return emit(binder, kernel_arithmetic_f64[operation], WEIR_F64, inputs, 2, ret);
}

static int cannot_compare(struct binder *binder, const struct node *node, int left, int right)
{
    bool time = left == WEIR_TIME || right == WEIR_TIME;

    return expr_mistake(binder->expr, binder->error, node->span, "cannot compare %s with %s%s", bind_type_words(left),
                        bind_type_words(right), time ? "; write times as '2024-11-21T03:20:00Z'" : "");
}

static int bind_comparison(struct binder *binder, const struct node *node, uint32_t left, uint32_t right,
                           struct operand *ret)
{
    struct operand inputs[2] = {binder->results[left], binder->results[right]};
    unsigned comparison = node->kind - NODE_EQUAL;
    int r;

    for (unsigned i = 0; i < 2; i++) {
        if (inputs[i].type == VALUE_NULL) {
            return expr_mistake(binder->expr, binder->error, node->span,
                                "a comparison with null is never true; write `is null` or `is not null`");
        }
    }
    int type = bind_common(inputs[0].type, inputs[1].type);
    type = type == VALUE_STRING ? WEIR_SYMBOL : type;
    if (type < 0) {
        return cannot_compare(binder, node, inputs[0].type, inputs[1].type);
    }
    if (type == WEIR_SYMBOL && !kernel_compare[type][comparison]) { /* ids have no order, their strings have */
        type = WEIR_TEXT;
    }
    if (!kernel_compare[type][comparison]) {
        return expr_mistake(binder->expr, binder->error, node->span, "%s has no order for %s", bind_type_words(type),
                            operator_names[node->kind]);
    }
    for (unsigned i = 0; i < 2; i++) {
        if ((r = bind_cast(binder, binder->expr->nodes[i ? right : left].span, &inputs[i], type)) < 0) {
            return r;
        }
    }
    return emit(binder, kernel_compare[type][comparison], WEIR_BOOL, inputs, 2, ret);
}

static int bind_logic(struct binder *binder, const struct node *node, uint32_t left, uint32_t right,
                      struct operand *ret)
{
    int r;

    if ((r = bind_bool(binder, left, operator_names[node->kind])) < 0 ||
        (r = bind_bool(binder, right, operator_names[node->kind])) < 0) {
        return r;
    }
    struct operand inputs[2] = {binder->results[left], binder->results[right]};
    return emit(binder, node->kind == NODE_AND ? kernel_and : kernel_or, WEIR_BOOL, inputs, 2, ret);
}

/* ---- All together ---------------------------------------------------------------------------------------------- */

static int bind_node(struct binder *binder, uint32_t index)
{
    const struct node *node = &binder->expr->nodes[index];
    struct operand *ret = &binder->results[index];
    uint32_t left = node->first, right = left == NODE_NONE ? NODE_NONE : binder->expr->nodes[left].next;

    if (node->kind <= NODE_COLUMN) {
        return bind_leaf(binder, node, ret);
    }
    if (node->kind <= NODE_IS_NOT_NULL) {
        return bind_unary(binder, index);
    }
    if (node->kind <= NODE_POWER) {
        return bind_arithmetic(binder, node, left, right, ret);
    }
    if (node->kind <= NODE_GREATER_EQUAL) {
        return bind_comparison(binder, node, left, right, ret);
    }
    if (node->kind <= NODE_OR) {
        return bind_logic(binder, node, left, right, ret);
    }
    return node->kind == NODE_CALL ? bind_call(binder, index) : bind_in(binder, index);
}

/* Constants alone have no type of a column yet. */
static int result_type(int type)
{
    switch (type) {
    case VALUE_STRING:
        return WEIR_SYMBOL;
    case VALUE_DURATION:
    case VALUE_NULL:
        return WEIR_F64;
    default:
        return type;
    }
}

int expr_bind(struct expr *expr, const struct weir_schema *schema, struct weir_symbols *symbols,
              struct weir_error *error)
{
    struct binder binder = {
        .expr = expr, .program = &expr->program, .schema = schema, .symbols = symbols, .error = error};
    int r = 0;

    program_clear(&expr->program);
    binder.results = memory_zeroed(expr->count, sizeof(*binder.results));
    if (!binder.results) {
        return bind_no_memory(&binder);
    }
    for (uint32_t i = 0; i < expr->count && r == 0; i++) {
        r = bind_node(&binder, i);
    }
    if (r == 0) {
        struct operand *result = &binder.results[expr->root];
        r = bind_cast(&binder, expr->nodes[expr->root].span, result, result_type(result->type));
        if (r == 0 && program_finish(&expr->program, *result) < 0) {
            r = bind_no_memory(&binder);
        }
    }
    memory_free(binder.results);
    if (r < 0) {
        program_clear(&expr->program);
    }
    return r;
}
