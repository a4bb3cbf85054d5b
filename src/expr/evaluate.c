/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "expr/syntax.h"

static const void *address(const struct program *program, const struct weir_batch *batch, uint32_t row,
                           const struct operand *operand)
{
    switch (operand->kind) {
    case OPERAND_COLUMN:
        return (const char *)batch->columns[operand->index].data + row * program_width(operand->type);
    case OPERAND_REGISTER:
        return program->scratch + program->registers[operand->index].offset;
    case OPERAND_FILLED:
        return program->scratch + program->constants[operand->index].filled;
    default:
        return &program->constants[operand->index].value;
    }
}

const void *program_run(const struct program *program, const struct weir_batch *batch, uint32_t row, uint32_t count,
                        void *out)
{
    for (uint32_t i = 0; i < program->step_count; i++) {
        const struct step *step = &program->steps[i];
        struct kernel_call call = {.count = count, .scalar = step->scalar, .extra = step->extra};
        bool last = i + 1 == program->step_count && program->result.kind == OPERAND_REGISTER;

        for (unsigned k = 0; k < step->inputs; k++) {
            call.in[k] = address(program, batch, row, &step->in[k]);
        }
        call.out = last && out ? out : (void *)address(program, batch, row, &step->out);
        step->kernel(&call);
        if (last) {
            return call.out;
        }
    }
    return address(program, batch, row, &program->result);
}

int expr_evaluate(struct expr *expr, const struct weir_batch *batch, void *out)
{
    const struct program *program = &expr->program;
    size_t width = program_width(program->result.type);

    for (uint32_t row = 0; row < batch->rows; row += PROGRAM_CHUNK) {
        uint32_t count = batch->rows - row < PROGRAM_CHUNK ? batch->rows - row : PROGRAM_CHUNK;
        char *to = (char *)out + row * width;
        const void *result = program_run(program, batch, row, count, to);
        if (result != to) {
            memcpy(to, result, count * width);
        }
    }
    return 0;
}

int64_t expr_filter(struct expr *expr, const struct weir_batch *batch, uint32_t *rows)
{
    const struct program *program = &expr->program;
    const uint32_t *selection = batch->selection;
    uint32_t at = 0; /* in the selection */
    size_t kept = 0;

    for (uint32_t row = 0; row < batch->rows; row += PROGRAM_CHUNK) {
        uint32_t count = batch->rows - row < PROGRAM_CHUNK ? batch->rows - row : PROGRAM_CHUNK;
        if (!selection) {
            kept += kernel_compress(program_run(program, batch, row, count, NULL), row, count, rows + kept);
            continue;
        }
        uint32_t from = at;
        while (at < batch->count && selection[at] - row < count) {
            at++;
        }
        if (at > from) {
            const uint8_t *truth = program_run(program, batch, row, count, NULL);
            kept += kernel_compress_selection(truth, row, selection + from, at - from, rows + kept);
        }
    }
    return (int64_t)kept;
}
