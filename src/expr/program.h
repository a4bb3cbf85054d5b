/* SPDX-License-Identifier: MIT */
/*
 * Private to expr/: the register program that a bound expression is. Each step runs one kernel over a chunk of rows, so
 * that what lies between two steps stays in the first-level cache, and nothing is decided per row.
 */
#ifndef EXPR_PROGRAM_H
#define EXPR_PROGRAM_H
#include <weir/batch.h>
#include "data/symbols.h"
#include "expr/kernels.h"

enum {
    PROGRAM_CHUNK = 1024, /* rows, at most; a power of two, as is the least */
    PROGRAM_CHUNK_LEAST = 64,
    PROGRAM_STACK = 32 * 1024, /* bytes of scratch memory that are taken from the stack */
    PROGRAM_INPUTS = 3,
};

/* Types of values while binding: those of columns, and three that only constants have. */
enum value_type {
    VALUE_DURATION = WEIR_TYPE_COUNT, /* i64 ns; becomes seconds unless it meets a time */
    VALUE_STRING,                     /* becomes a symbol, a text or a time, as what it meets */
    VALUE_NULL,                       /* becomes a null of what it meets */
};

union value {
    double f64;
    int64_t i64;
    uint8_t boolean;
    uint32_t symbol;
    struct weir_text text;
};

enum operand_kind { OPERAND_COLUMN, OPERAND_REGISTER, OPERAND_CONSTANT, OPERAND_FILLED };

struct operand {
    uint8_t kind;
    uint8_t type;   /* enum weir_type or enum value_type */
    uint32_t index; /* of the column, register, constant; FILLED: of the constant, spread over a chunk */
};

struct step {
    kernel_function *kernel;
    const void *extra; /* a list, or the table of symbols */
    struct operand out, in[PROGRAM_INPUTS];
    uint8_t inputs, scalar;
};

struct program_register {
    size_t offset; /* into scratch */
    uint8_t width;
    bool busy;
};

struct program_constant {
    union value value;
    size_t filled; /* offset of the spread-out copy in scratch; 0: none */
    uint8_t type;
    bool spread; /* some step wants such a copy */
};

struct program {
    struct step *steps;
    struct program_register *registers;
    struct program_constant *constants;
    struct kernel_list **lists;
    uint32_t step_count, step_capacity;
    uint32_t register_count, register_capacity;
    uint32_t constant_count, constant_capacity;
    uint32_t list_count, list_capacity;
    size_t scratch_size; /* of registers and spread-out constants */
    char *scratch;       /* where they are, when they are too large for the stack; else NULL */
    uint32_t chunk;      /* rows at a time, so that they fit the stack */
    struct operand result;
    bool bound;
};

void program_clear(struct program *program); /* frees everything; the program is empty afterwards */

/* All return 0 or -ENOMEM. */
int program_constant(struct program *program, int type, union value value, struct operand *ret);
int program_list(struct program *program, size_t count, size_t width, struct kernel_list **ret);
/* Adds a step, or its result if all inputs are constants. Registers of the inputs become free. Kernels with three
 * inputs take no scalars: constants among their inputs are spread out. */
int program_emit(struct program *program, kernel_function *kernel, const void *extra, int out_type,
                 const struct operand *inputs, unsigned count, struct operand *ret);
/* Lays out the scratch memory; `result` becomes program->result. */
int program_finish(struct program *program, struct operand result);

size_t program_width(int type); /* bytes of a value */
/* Spreads out constants for chunks of at most `count` rows: once for a scratch memory, of scratch_size bytes. */
void program_spread(const struct program *program, char *scratch, uint32_t count);
/* Runs all steps over rows [row, row + count), count <= program->chunk. The result is at the address returned: `out`,
 * or for a result that is a column or a constant wherever that is. */
const void *program_run(const struct program *program, char *scratch, const struct weir_batch *batch, uint32_t row,
                        uint32_t count, void *out);
#endif
