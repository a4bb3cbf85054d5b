/* SPDX-License-Identifier: MIT */
#include "expr/expr.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "expr/syntax.h"

/* The line of the text around `offset`, terminated, in memory of its own (NULL: none left). */
static char *copy_line(const struct expr *expr, uint32_t offset, uint32_t *ret_start)
{
    uint32_t start = offset, end = offset;

    while (start > 0 && expr->text[start - 1] != '\n') {
        start--;
    }
    while (end < expr->length && expr->text[end] != '\n') {
        end++;
    }
    char *line = memory_allocate(end - start + 1);
    if (line) {
        memcpy(line, expr->text + start, end - start);
        line[end - start] = '\0';
    }
    *ret_start = start;
    return line;
}

int expr_mistake(const struct expr *expr, struct weir_error *error, struct span span, const char *format, ...)
{
    char words[WEIR_ERROR_MAX / 2], caret[WEIR_ERROR_MAX / 2 - 8];
    struct weir_mark mark = expr->mark;
    uint32_t start;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    char *line = copy_line(expr, span.offset, &start);
    caret[0] = '\0';
    if (line) {
        size_t at = span.offset - start, end = at + span.length;
        if (end > strlen(line)) {
            end = strlen(line);
        }
        int column = error_column(line, at);
        error_caret(line, column, error_column(line, end) - column, caret, sizeof(caret));
        /* Only of a single line is it known where it stands in the file. */
        if (!strchr(expr->text, '\n') && mark.column > 0) {
            mark.column += column - 1;
        }
        memory_free(line);
    }
    return weir_fail_at(error, -EINVAL, mark, "%s%s%s", words, line ? "\n" : "", caret);
}

int expr_parse(struct weir_quoted source, struct expr **ret, struct weir_error *error)
{
    size_t length = source.text ? strlen(source.text) : 0;

    if (length > EXPR_LENGTH_MAX) {
        return weir_fail_at(error, -EINVAL, source.mark, "the expression is too long: %zu bytes of at most %d", length,
                            EXPR_LENGTH_MAX);
    }
    struct expr *expr = memory_zeroed(1, sizeof(*expr));
    if (!expr) {
        return weir_fail(error, -ENOMEM, "out of memory");
    }
    expr->length = (uint32_t)length;
    expr->mark = source.mark;
    expr->text = memory_string(source.text ? source.text : "");
    expr->strings = memory_allocate(2 * length + 2);
    int r = expr->text && expr->strings ? parser_run(expr, error) : weir_fail(error, -ENOMEM, "out of memory");
    if (r < 0) {
        expr_free(expr);
        return r;
    }
    *ret = expr;
    return 0;
}

void expr_free(struct expr *expr)
{
    if (!expr) {
        return;
    }
    program_clear(&expr->program);
    memory_free(expr->nodes);
    memory_free(expr->strings);
    memory_free(expr->text);
    memory_free(expr);
}

enum weir_type expr_type(const struct expr *expr)
{
    return (enum weir_type)expr->program.result.type;
}
