/* SPDX-License-Identifier: MIT */
#include "expr/syntax.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/units.h"

enum { NUMBER_LENGTH_MAX = 400 };

static const struct keyword {
    const char *text;
    enum token_kind kind;
} keywords[] = {
    {"and", TOKEN_AND}, {"or", TOKEN_OR},     {"not", TOKEN_NOT},   {"in", TOKEN_IN},
    {"is", TOKEN_IS},   {"null", TOKEN_NULL}, {"true", TOKEN_TRUE}, {"false", TOKEN_FALSE},
};

/* Longer ones first. With `remedy` the spelling is one of another language. */
static const struct operator
{
    const char *text;
    enum token_kind kind;
    const char *remedy;
}
operators[] = {
    {"&&", TOKEN_END, "and"},
    {"||", TOKEN_END, "or"},
    {"**", TOKEN_END, "^"},
    {"<>", TOKEN_END, "!="},
    {"=<", TOKEN_END, "<="},
    {"=>", TOKEN_END, ">="},
    {"=~", TOKEN_END, "= or in (…)"},
    {"==", TOKEN_EQUAL, NULL},
    {"!=", TOKEN_UNEQUAL, NULL},
    {"<=", TOKEN_LESS_EQUAL, NULL},
    {">=", TOKEN_GREATER_EQUAL, NULL},
    {"=", TOKEN_EQUAL, NULL},
    {"<", TOKEN_LESS, NULL},
    {">", TOKEN_GREATER, NULL},
    {"!", TOKEN_END, "not"},
    {"&", TOKEN_END, "and"},
    {"|", TOKEN_END, "or"},
    {"(", TOKEN_OPEN, NULL},
    {")", TOKEN_CLOSE, NULL},
    {",", TOKEN_COMMA, NULL},
    {"+", TOKEN_PLUS, NULL},
    {"-", TOKEN_MINUS, NULL},
    {"*", TOKEN_TIMES, NULL},
    {"/", TOKEN_DIVIDE, NULL},
    {"%", TOKEN_MODULO, NULL},
    {"^", TOKEN_POWER, NULL},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

/* Names may have dots: fields of nested records are called a.b. */
static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c) || c == '.';
}

static void keep_character(struct expr *expr, char c)
{
    expr->strings[expr->strings_used++] = c;
}

static struct weir_text keep_end(struct expr *expr, size_t start)
{
    struct weir_text text = {.data = expr->strings + start, .length = (uint32_t)(expr->strings_used - start)};
    keep_character(expr, '\0');
    return text;
}

static uint32_t skip_digits(const char *text, uint32_t n)
{
    while (is_digit(text[n]) || (text[n] == '_' && is_digit(text[n + 1]))) {
        n++;
    }
    return n;
}

/* A number, or a duration when letters follow at once. */
static int lex_number(struct lexer *lexer, struct token *ret)
{
    const struct expr *expr = lexer->expr;
    const char *text = expr->text + lexer->at;
    char copy[NUMBER_LENGTH_MAX + 1];
    bool whole = true;
    uint32_t n = skip_digits(text, 0);

    if (text[n] == '.') {
        whole = false;
        n = skip_digits(text, n + 1);
    }
    if (text[n] == 'e' || text[n] == 'E') {
        uint32_t sign = text[n + 1] == '+' || text[n + 1] == '-';
        if (is_digit(text[n + 1 + sign])) {
            whole = false;
            n = skip_digits(text, n + 1 + sign);
        }
    }
    bool unit = is_name(text[n]);
    while (is_name(text[n])) {
        n++;
    }
    ret->span.length = n;
    if (n > NUMBER_LENGTH_MAX) {
        return expr_mistake(expr, lexer->error, ret->span, "a number with more than %d characters", NUMBER_LENGTH_MAX);
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) { /* 1_000 is 1000 */
        copy[used] = text[i];
        used += text[i] != '_';
    }
    copy[used] = '\0';
    lexer->at += n;
    if (unit) {
        ret->kind = TOKEN_DURATION;
        if (units_duration(copy, &ret->i64) != 0) {
            return expr_mistake(
                expr, lexer->error, ret->span,
                "`%.40s` is neither a number nor a duration; durations are written 500ms, 10s, 5m, 1.5h or 1d", copy);
        }
        return 0;
    }
    /* A whole number beyond int64 is a float, as in 1e19; INT64_MIN cannot be written and is null. */
    ret->kind = whole ? TOKEN_I64 : TOKEN_F64;
    if (whole && units_integer(copy, &ret->i64) == 0) {
        return 0;
    }
    ret->kind = TOKEN_F64;
    if (units_number(copy, &ret->f64) != 0 || !isfinite(ret->f64)) {
        return expr_mistake(expr, lexer->error, ret->span, "the number `%.40s` is out of range", copy);
    }
    return 0;
}

static bool unescape(char c, char *ret)
{
    static const char from[] = "ntr\\'\"";
    static const char into[] = "\n\t\r\\'\"";
    const char *found = c ? strchr(from, c) : NULL;

    if (found) {
        *ret = into[found - from];
    }
    return found != NULL;
}

/* 'a', "a" or `a`; the quote is doubled to stand for itself; backslashes escape in strings, not in names. */
static int lex_quoted(struct lexer *lexer, struct token *ret)
{
    struct expr *expr = lexer->expr;
    char quote = expr->text[lexer->at];
    size_t start = expr->strings_used;
    uint32_t at = lexer->at + 1;

    for (;; at++) {
        char c = expr->text[at];
        if (at >= expr->length) {
            ret->span.length = 1;
            return expr_mistake(expr, lexer->error, ret->span, "this %c is not closed by another %c", quote, quote);
        }
        if (c == quote) {
            if (expr->text[at + 1] != quote) {
                break;
            }
            at++;
        } else if (c == '\\' && quote != '`') {
            at++;
            if (!unescape(expr->text[at], &c)) {
                struct span span = {at - 1, 2};
                return expr_mistake(expr, lexer->error, span,
                                    "unknown escape in a string; there are \\n \\t \\r \\\\ \\' \\\"");
            }
        }
        keep_character(expr, c);
    }
    ret->kind = quote == '`' ? TOKEN_QUOTED_NAME : TOKEN_STRING;
    ret->text = keep_end(expr, start);
    ret->span.length = at + 1 - lexer->at;
    lexer->at = at + 1;
    if (quote == '`' && (ret->text.length == 0 || strlen(ret->text.data) != ret->text.length)) {
        return expr_mistake(expr, lexer->error, ret->span, "no column can have this name");
    }
    return 0;
}

static int lex_name(struct lexer *lexer, struct token *ret)
{
    struct expr *expr = lexer->expr;
    size_t start = expr->strings_used;
    uint32_t at = lexer->at;

    while (is_name(expr->text[at])) {
        keep_character(expr, expr->text[at++]);
    }
    ret->kind = TOKEN_NAME;
    ret->text = keep_end(expr, start);
    ret->span.length = at - lexer->at;
    lexer->at = at;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
        if (strcmp(ret->text.data, keywords[i].text) == 0) {
            ret->kind = keywords[i].kind;
        }
    }
    return 0;
}

static int lex_operator(struct lexer *lexer, struct token *ret)
{
    const struct expr *expr = lexer->expr;
    const char *text = expr->text + lexer->at;

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        const struct operator* op = & operators[i];
        size_t length = strlen(op->text);
        if (strncmp(text, op->text, length) != 0) {
            continue;
        }
        ret->kind = op->kind;
        ret->span.length = (uint32_t)length;
        lexer->at += (uint32_t)length;
        if (op->remedy) {
            return expr_mistake(expr, lexer->error, ret->span, "there is no `%s`; write `%s`", op->text, op->remedy);
        }
        return 0;
    }
    ret->span.length = 1;
    unsigned char c = (unsigned char)*text;
    if (c == '$' || c == '{' || c == '}' || c == '[' || c == ']') {
        return expr_mistake(expr, lexer->error, ret->span,
                            "`%c` has no meaning here; columns are written by their name, odd ones in backquotes", c);
    }
    if (c < 0x20 || c == 0x7f) {
        return expr_mistake(expr, lexer->error, ret->span, "the character 0x%02x has no meaning here", c);
    }
    return expr_mistake(expr, lexer->error, ret->span, "`%c` has no meaning here", c);
}

int lexer_next(struct lexer *lexer, struct token *ret)
{
    const struct expr *expr = lexer->expr;

    while (lexer->at < expr->length && strchr(" \t\r\n", expr->text[lexer->at])) {
        lexer->at++;
    }
    ret->kind = TOKEN_END;
    ret->span = (struct span){lexer->at, 0};
    if (lexer->at >= expr->length) {
        return 0;
    }
    char c = expr->text[lexer->at];
    if (is_digit(c) || (c == '.' && is_digit(expr->text[lexer->at + 1]))) {
        return lex_number(lexer, ret);
    }
    if (c == '\'' || c == '"' || c == '`') {
        return lex_quoted(lexer, ret);
    }
    if (is_name_start(c)) {
        return lex_name(lexer, ret);
    }
    return lex_operator(lexer, ret);
}
