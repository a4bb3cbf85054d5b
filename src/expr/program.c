/* SPDX-License-Identifier: MIT */
#include "expr/program.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

enum {
    SCRATCH_ALIGN = 64,
    /* Between two registers, so that row i of one is not 4096 bytes away from row i of another: loads would wait for
     * stores that look like theirs. */
    SCRATCH_GAP = 192,
};

/* Makes room for one more element of *array. */
static bool grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    void **at = array;

    if (count < *capacity) {
        return true;
    }
    uint32_t more = *capacity ? *capacity * 2 : 2;
    void *memory = memory_resize(*at, more * size);
    if (memory) {
        *at = memory;
        *capacity = more;
    }
    return memory != NULL;
}

size_t program_width(int type)
{
    struct weir_field field = {.type = (enum weir_type)type};

    return type < WEIR_ARRAY ? weir_field_width(&field) : 0;
}

void program_clear(struct program *program)
{
    for (uint32_t i = 0; i < program->list_count; i++) {
        memory_free(program->lists[i]->data);
        memory_free(program->lists[i]);
    }
    memory_free(program->steps);
    memory_free(program->registers);
    memory_free(program->constants);
    memory_free(program->lists);
    memory_free(program->scratch);
    memset(program, 0, sizeof(*program));
}

int program_constant(struct program *program, int type, union value value, struct operand *ret)
{
    if (!grow(&program->constants, program->constant_count, &program->constant_capacity, sizeof(*program->constants))) {
        return -ENOMEM;
    }
    program->constants[program->constant_count] = (struct program_constant){.value = value, .type = (uint8_t)type};
    *ret = (struct operand){.kind = OPERAND_CONSTANT, .type = (uint8_t)type, .index = program->constant_count++};
    return 0;
}

int program_list(struct program *program, size_t count, size_t width, struct kernel_list **ret)
{
    if (!grow(&program->lists, program->list_count, &program->list_capacity, sizeof(*program->lists))) {
        return -ENOMEM;
    }
    struct kernel_list *list = memory_zeroed(1, sizeof(*list));
    if (!list) {
        return -ENOMEM;
    }
    list->data = memory_zeroed(count ? count : 1, width);
    if (!list->data) {
        memory_free(list);
        return -ENOMEM;
    }
    program->lists[program->list_count++] = list;
    *ret = list;
    return 0;
}

static int take_register(struct program *program, int type, struct operand *ret)
{
    size_t width = program_width(type);
    uint32_t i = 0;

    while (i < program->register_count && (program->registers[i].busy || program->registers[i].width != width)) {
        i++;
    }
    if (i == program->register_count) {
        if (!grow(&program->registers, i, &program->register_capacity, sizeof(*program->registers))) {
            return -ENOMEM;
        }
        program->registers[program->register_count++] = (struct program_register){.width = (uint8_t)width};
    }
    program->registers[i].busy = true;
    *ret = (struct operand){.kind = OPERAND_REGISTER, .type = (uint8_t)type, .index = i};
    return 0;
}

/* A step all of whose inputs are constants is its result: run it over the one row that they are. */
static int fold(struct program *program, const struct step *step, int out_type, struct operand *ret)
{
    union value value = {.i64 = 0};
    struct kernel_call call = {.out = &value, .count = 1, .extra = step->extra};

    for (unsigned i = 0; i < step->inputs; i++) {
        call.in[i] = &program->constants[step->in[i].index].value;
    }
    step->kernel(&call);
    return program_constant(program, out_type, value, ret);
}

int program_emit(struct program *program, kernel_function *kernel, const void *extra, int out_type,
                 const struct operand *inputs, unsigned count, struct operand *ret)
{
    struct step step = {.kernel = kernel, .extra = extra, .inputs = (uint8_t)count};
    unsigned constants = 0;

    for (unsigned i = 0; i < count; i++) {
        step.in[i] = inputs[i];
        if (inputs[i].kind == OPERAND_CONSTANT) {
            constants++;
            step.scalar |= (uint8_t)(1u << i);
        }
    }
    if (constants == count) {
        return fold(program, &step, out_type, ret);
    }
    if (count == PROGRAM_INPUTS) {
        for (unsigned i = 0; i < count; i++) {
            if (step.in[i].kind == OPERAND_CONSTANT) {
                step.in[i].kind = OPERAND_FILLED;
                program->constants[step.in[i].index].spread = true;
            }
        }
        step.scalar = 0;
    }
    if (!grow(&program->steps, program->step_count, &program->step_capacity, sizeof(*program->steps)) ||
        take_register(program, out_type, &step.out) < 0) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        if (step.in[i].kind == OPERAND_REGISTER) {
            program->registers[step.in[i].index].busy = false;
        }
    }
    program->steps[program->step_count++] = step;
    *ret = step.out;
    return 0;
}

static size_t lay(size_t *at, size_t width, uint32_t chunk)
{
    size_t offset = *at;

    *at += (width * chunk + SCRATCH_GAP + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    return offset;
}

/* Returns how much memory it takes. */
static size_t lay_out(struct program *program, uint32_t chunk)
{
    size_t at = SCRATCH_ALIGN; /* offset 0 means none */

    for (uint32_t i = 0; i < program->register_count; i++) {
        program->registers[i].offset = lay(&at, program->registers[i].width, chunk);
    }
    for (uint32_t i = 0; i < program->constant_count; i++) {
        if (program->constants[i].spread) {
            program->constants[i].filled = lay(&at, program_width(program->constants[i].type), chunk);
        }
    }
    return at;
}

int program_finish(struct program *program, struct operand result)
{
    if (result.kind == OPERAND_CONSTANT) {
        result.kind = OPERAND_FILLED;
        program->constants[result.index].spread = true;
    }
    program->result = result;
    program->chunk = PROGRAM_CHUNK;
    program->scratch_size = lay_out(program, program->chunk);
    while (program->scratch_size > PROGRAM_STACK && program->chunk > PROGRAM_CHUNK_LEAST) {
        program->chunk /= 2;
        program->scratch_size = lay_out(program, program->chunk);
    }
    if (program->scratch_size > PROGRAM_STACK) {
        program->scratch = memory_aligned(SCRATCH_ALIGN, program->scratch_size);
        if (!program->scratch) {
            return -ENOMEM;
        }
    }
    program->bound = true;
    return 0;
}
