/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "expr/syntax.h"

static const void *address(const struct program *program, const char *scratch, const struct weir_batch *batch,
                           uint32_t row, const struct operand *operand)
{
    switch (operand->kind) {
    case OPERAND_COLUMN:
        return (const char *)batch->columns[operand->index].data + row * program_width(operand->type);
    case OPERAND_REGISTER:
        return scratch + program->registers[operand->index].offset;
    case OPERAND_FILLED:
        return scratch + program->constants[operand->index].filled;
    default:
        return &program->constants[operand->index].value;
    }
}

#define SPREAD(type, out, value, count)                                                                                \
    for (uint32_t i = 0; i < (count); i++) {                                                                           \
        ((type *)(void *)(out))[i] = *(const type *)(const void *)(value);                                             \
    }

void program_spread(const struct program *program, char *scratch, uint32_t count)
{
    for (uint32_t k = 0; k < program->constant_count; k++) {
        const struct program_constant *constant = &program->constants[k];
        char *out = scratch + constant->filled;
        if (!constant->filled) {
            continue;
        }
        switch (program_width(constant->type)) {
        case sizeof(uint8_t):
            memset(out, constant->value.boolean, count);
            break;
        case sizeof(uint32_t):
            SPREAD(uint32_t, out, &constant->value.symbol, count);
            break;
        case sizeof(int64_t):
            SPREAD(int64_t, out, &constant->value.i64, count);
            break;
        default:
            SPREAD(struct weir_text, out, &constant->value.text, count);
        }
    }
}

const void *program_run(const struct program *program, char *scratch, const struct weir_batch *batch, uint32_t row,
                        uint32_t count, void *out)
{
    for (uint32_t i = 0; i < program->step_count; i++) {
        const struct step *step = &program->steps[i];
        struct kernel_call call = {.count = count, .scalar = step->scalar, .extra = step->extra};
        bool last = i + 1 == program->step_count && program->result.kind == OPERAND_REGISTER;

        for (unsigned k = 0; k < step->inputs; k++) {
            call.in[k] = address(program, scratch, batch, row, &step->in[k]);
        }
        call.out = last && out ? out : (void *)address(program, scratch, batch, row, &step->out);
        step->kernel(&call);
        if (last) {
            return call.out;
        }
    }
    return address(program, scratch, batch, row, &program->result);
}

/* The scratch memory is on the stack: a pipeline of a thousand expressions on each lane has it once for each lane. It
 * must not come to be a part of the callers' frames, which lie one in another where stages follow each other. */
#define SCRATCH_ON_STACK __attribute__((noinline))

static uint32_t rows_at(const struct program *program, const struct weir_batch *batch, uint32_t row)
{
    return batch->rows - row < program->chunk ? batch->rows - row : program->chunk;
}

SCRATCH_ON_STACK int expr_evaluate(struct expr *expr, const struct weir_batch *batch, void *out)
{
    _Alignas(64) char stack[PROGRAM_STACK];
    const struct program *program = &expr->program;
    char *scratch = program->scratch ? program->scratch : stack;
    size_t width = program_width(program->result.type);

    program_spread(program, scratch, rows_at(program, batch, 0));
    for (uint32_t row = 0; row < batch->rows; row += program->chunk) {
        uint32_t count = rows_at(program, batch, row);
        char *to = (char *)out + row * width;
        const void *result = program_run(program, scratch, batch, row, count, to);
        if (result != to) {
            memcpy(to, result, count * width);
        }
    }
    return 0;
}

SCRATCH_ON_STACK int64_t expr_filter(struct expr *expr, const struct weir_batch *batch, uint32_t *rows)
{
    _Alignas(64) char stack[PROGRAM_STACK];
    const struct program *program = &expr->program;
    char *scratch = program->scratch ? program->scratch : stack;
    const uint32_t *selection = batch->selection;
    uint32_t at = 0; /* in the selection */
    size_t kept = 0;

    program_spread(program, scratch, rows_at(program, batch, 0));
    for (uint32_t row = 0; row < batch->rows; row += program->chunk) {
        uint32_t count = rows_at(program, batch, row);
        if (!selection) {
            kept += kernel_compress(program_run(program, scratch, batch, row, count, NULL), row, count, rows + kept);
            continue;
        }
        uint32_t from = at;
        while (at < batch->count && selection[at] - row < count) {
            at++;
        }
        if (at > from) {
            const uint8_t *truth = program_run(program, scratch, batch, row, count, NULL);
            kept += kernel_compress_selection(truth, row, selection + from, at - from, rows + kept);
        }
    }
    return (int64_t)kept;
}
