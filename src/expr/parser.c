/* SPDX-License-Identifier: MIT */
/* A Pratt parser: one loop that climbs precedences, and one function for what can begin an operand. */
#include "expr/syntax.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "expr/functions.h"

enum precedence { LOWEST, OR, AND, NOT, COMPARE, SUM, PRODUCT, NEGATE, POWER };

struct parser {
    struct lexer lexer;
    struct expr *expr;
    struct weir_error *error;
    struct token token; /* the one that comes next */
    unsigned depth;
};

static const struct infix {
    enum token_kind token;
    enum node_kind node;
    enum precedence precedence;
} infixes[] = {
    {TOKEN_OR, NODE_OR, OR},
    {TOKEN_AND, NODE_AND, AND},
    {TOKEN_EQUAL, NODE_EQUAL, COMPARE},
    {TOKEN_UNEQUAL, NODE_UNEQUAL, COMPARE},
    {TOKEN_LESS, NODE_LESS, COMPARE},
    {TOKEN_LESS_EQUAL, NODE_LESS_EQUAL, COMPARE},
    {TOKEN_GREATER, NODE_GREATER, COMPARE},
    {TOKEN_GREATER_EQUAL, NODE_GREATER_EQUAL, COMPARE},
    {TOKEN_IN, NODE_IN, COMPARE},
    {TOKEN_NOT, NODE_NOT_IN, COMPARE}, /* between operands it can only begin `not in` */
    {TOKEN_IS, NODE_IS_NULL, COMPARE},
    {TOKEN_PLUS, NODE_ADD, SUM},
    {TOKEN_MINUS, NODE_SUBTRACT, SUM},
    {TOKEN_TIMES, NODE_MULTIPLY, PRODUCT},
    {TOKEN_DIVIDE, NODE_DIVIDE, PRODUCT},
    {TOKEN_MODULO, NODE_MODULO, PRODUCT},
    {TOKEN_POWER, NODE_POWER, POWER},
};

static int parse_expression(struct parser *parser, enum precedence least, uint32_t *ret);

static int advance(struct parser *parser)
{
    return lexer_next(&parser->lexer, &parser->token);
}

static const struct infix *infix_of(enum token_kind token)
{
    for (size_t i = 0; i < sizeof(infixes) / sizeof(infixes[0]); i++) {
        if (infixes[i].token == token) {
            return &infixes[i];
        }
    }
    return NULL;
}

/* The words `AND`, `Is`, … where an operator or a value was expected; NULL if it is none of them. */
static const char *keyword_in_capitals(const struct token *token)
{
    static const char *const words[] = {"and", "or", "not", "in", "is", "null", "true", "false"};

    for (size_t i = 0; token->kind == TOKEN_NAME && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(token->text.data, words[i]) == 0) {
            return words[i];
        }
    }
    return NULL;
}

static int new_node(struct parser *parser, enum node_kind kind, struct span span, uint32_t *ret)
{
    struct expr *expr = parser->expr;

    if (expr->count >= EXPR_NODES_MAX) {
        return expr_mistake(expr, parser->error, span,
                            "the expression is too large: more than %d operations and values", EXPR_NODES_MAX);
    }
    if (expr->count == expr->capacity) {
        uint32_t capacity = expr->capacity ? expr->capacity * 2 : 4;
        struct node *nodes = memory_resize(expr->nodes, capacity * sizeof(*nodes));
        if (!nodes) {
            return weir_fail(parser->error, -ENOMEM, "out of memory");
        }
        expr->nodes = nodes;
        expr->capacity = capacity;
    }
    expr->nodes[expr->count] = (struct node){.kind = kind, .span = span, .first = NODE_NONE, .next = NODE_NONE};
    *ret = expr->count++;
    return 0;
}

/* From the beginning of one span to the end of another. */
static struct span join(struct span from, struct span to)
{
    return (struct span){from.offset, to.offset + to.length - from.offset};
}

static int expect(struct parser *parser, enum token_kind kind, const char *words)
{
    if (parser->token.kind != kind) {
        if (parser->token.kind == TOKEN_END) {
            return expr_mistake(parser->expr, parser->error, parser->token.span,
                                "the expression ends where %s is missing", words);
        }
        const char *word = keyword_in_capitals(&parser->token);
        return word ? expr_mistake(parser->expr, parser->error, parser->token.span, "write `%s` in small letters", word)
                    : expr_mistake(parser->expr, parser->error, parser->token.span, "expected %s here", words);
    }
    return advance(parser);
}

/* Parses "a, b, …)" after the "("; the elements are linked from *first. */
static int parse_list(struct parser *parser, uint32_t *first, struct span *end)
{
    uint32_t last = NODE_NONE;

    *first = NODE_NONE;
    while (parser->token.kind != TOKEN_CLOSE) {
        uint32_t item;
        int r = parse_expression(parser, LOWEST, &item);
        if (r < 0) {
            return r;
        }
        if (last == NODE_NONE) {
            *first = item;
        } else {
            parser->expr->nodes[last].next = item;
        }
        last = item;
        if (parser->token.kind != TOKEN_COMMA) {
            break;
        }
        if ((r = advance(parser)) < 0) {
            return r;
        }
        if (parser->token.kind == TOKEN_CLOSE) {
            return expr_mistake(parser->expr, parser->error, parser->token.span, "expected a value after the comma");
        }
    }
    *end = parser->token.span;
    return expect(parser, TOKEN_CLOSE, "`)` or `,`");
}

static int parse_call(struct parser *parser, const struct token *name, uint32_t *ret)
{
    struct expr *expr = parser->expr;
    const struct expr_function *function = expr_function_find(name->text.data);
    uint32_t first, count = 0;
    struct span end;

    if (!function) {
        const char *word = keyword_in_capitals(name);
        const char *nearest = word ? word : expr_function_nearest(name->text.data);
        return expr_mistake(expr, parser->error, name->span,
                            nearest ? "no function \"%.60s\"; did you mean \"%s\"?"
                                    : "no function \"%.60s\"; weir explain expressions lists those there are",
                            name->text.data, nearest);
    }
    int r = advance(parser);
    if (r < 0 || (r = parse_list(parser, &first, &end)) < 0) {
        return r;
    }
    for (uint32_t i = first; i != NODE_NONE; i = expr->nodes[i].next) {
        count++;
    }
    if (count < function->least || count > function->most) {
        return expr_mistake(expr, parser->error, join(name->span, end), "%s(%s) cannot take %u argument%s",
                            function->name, function->arguments, count, count == 1 ? "" : "s");
    }
    if ((r = new_node(parser, NODE_CALL, join(name->span, end), ret)) < 0) {
        return r;
    }
    expr->nodes[*ret].first = first;
    expr->nodes[*ret].call = function;
    return 0;
}

static int parse_leaf(struct parser *parser, enum node_kind kind, const struct token *token, uint32_t *ret)
{
    int r = new_node(parser, kind, token->span, ret);

    if (r < 0) {
        return r;
    }
    struct node *node = &parser->expr->nodes[*ret];
    switch (token->kind) {
    case TOKEN_I64:
    case TOKEN_DURATION:
        node->i64 = token->i64;
        break;
    case TOKEN_F64:
        node->f64 = token->f64;
        break;
    case TOKEN_STRING:
    case TOKEN_NAME:
    case TOKEN_QUOTED_NAME:
        node->text = token->text;
        break;
    default:
        node->boolean = token->kind == TOKEN_TRUE;
        break;
    }
    return 0;
}

static int parse_unary(struct parser *parser, enum node_kind kind, enum precedence operand, struct span span,
                       uint32_t *ret)
{
    uint32_t child;
    int r = parse_expression(parser, operand, &child);

    if (r < 0 || (r = new_node(parser, kind, join(span, parser->expr->nodes[child].span), ret)) < 0) {
        return r;
    }
    parser->expr->nodes[*ret].first = child;
    return 0;
}

static int parse_group(struct parser *parser, const struct token *open, uint32_t *ret)
{
    int r = parse_expression(parser, LOWEST, ret);

    if (r < 0) {
        return r;
    }
    if (parser->token.kind == TOKEN_COMMA) {
        return expr_mistake(parser->expr, parser->error, parser->token.span,
                            "a list can only stand after `in` or the name of a function");
    }
    if (parser->token.kind == TOKEN_END) {
        return expr_mistake(parser->expr, parser->error, open->span, "this `(` is not closed");
    }
    struct span close = parser->token.span;
    if ((r = expect(parser, TOKEN_CLOSE, "`)` or an operator")) < 0) {
        return r;
    }
    parser->expr->nodes[*ret].span = join(open->span, close);
    return 0;
}

static int no_operand(struct parser *parser, const struct token *token)
{
    if (token->kind == TOKEN_END) {
        return expr_mistake(parser->expr, parser->error, token->span,
                            token->span.offset ? "the expression ends where a value is missing"
                                               : "the expression is empty");
    }
    if (token->kind == TOKEN_NOT) {
        return expr_mistake(parser->expr, parser->error, token->span,
                            "`not` binds less than what stands before it; put "
                            "it in parentheses");
    }
    return expr_mistake(parser->expr, parser->error, token->span,
                        "expected a value here: a number, a 'string', a column, a function or `(`");
}

static int parse_operand(struct parser *parser, enum precedence least, uint32_t *ret)
{
    struct token token = parser->token;
    int r;

    if (token.kind == TOKEN_END || (token.kind == TOKEN_NOT && least > NOT)) {
        return no_operand(parser, &token);
    }
    if ((r = advance(parser)) < 0) {
        return r;
    }
    switch (token.kind) {
    case TOKEN_I64:
        return parse_leaf(parser, NODE_I64, &token, ret);
    case TOKEN_F64:
        return parse_leaf(parser, NODE_F64, &token, ret);
    case TOKEN_DURATION:
        return parse_leaf(parser, NODE_DURATION, &token, ret);
    case TOKEN_STRING:
        return parse_leaf(parser, NODE_STRING, &token, ret);
    case TOKEN_TRUE:
    case TOKEN_FALSE:
        return parse_leaf(parser, NODE_BOOL, &token, ret);
    case TOKEN_NULL:
        return parse_leaf(parser, NODE_NULL, &token, ret);
    case TOKEN_NAME:
        return parser->token.kind == TOKEN_OPEN ? parse_call(parser, &token, ret)
                                                : parse_leaf(parser, NODE_COLUMN, &token, ret);
    case TOKEN_QUOTED_NAME:
        return parse_leaf(parser, NODE_COLUMN, &token, ret);
    case TOKEN_MINUS:
        return parse_unary(parser, NODE_NEGATE, NEGATE, token.span, ret);
    case TOKEN_NOT:
        return parse_unary(parser, NODE_NOT, NOT, token.span, ret);
    case TOKEN_OPEN:
        return parse_group(parser, &token, ret);
    default:
        return no_operand(parser, &token);
    }
}

/* What stands after `in`, `not in`, `is`, `is not`; the operator itself was read. */
static int parse_special(struct parser *parser, enum node_kind kind, uint32_t left, uint32_t *ret)
{
    struct expr *expr = parser->expr;
    struct span end = parser->token.span;
    uint32_t first = NODE_NONE;
    int r;

    if (kind == NODE_IS_NULL) {
        if (parser->token.kind == TOKEN_NOT) {
            kind = NODE_IS_NOT_NULL;
            if ((r = advance(parser)) < 0) {
                return r;
            }
        }
        end = parser->token.span;
        r = expect(parser, TOKEN_NULL, "`null` or `not null`");
    } else {
        if (kind == NODE_NOT_IN && (r = expect(parser, TOKEN_IN, "`in` after `not`")) < 0) {
            return r;
        }
        if ((r = expect(parser, TOKEN_OPEN, "`(` and a list of values")) < 0) {
            return r;
        }
        r = parse_list(parser, &first, &end);
    }
    if (r < 0 || (r = new_node(parser, kind, join(expr->nodes[left].span, end), ret)) < 0) {
        return r;
    }
    expr->nodes[left].next = first;
    expr->nodes[*ret].first = left;
    return 0;
}

static int parse_infix(struct parser *parser, const struct infix *infix, uint32_t left, uint32_t *ret)
{
    struct expr *expr = parser->expr;
    uint32_t right;
    int r = advance(parser);

    if (r < 0) {
        return r;
    }
    if (infix->node == NODE_IN || infix->node == NODE_NOT_IN || infix->node == NODE_IS_NULL) {
        return parse_special(parser, infix->node, left, ret);
    }
    /* Powers group to the right, and take a minus: 2^-3^2 is 2^(-(3^2)). */
    enum precedence least = infix->precedence == POWER ? POWER : infix->precedence + 1;
    if ((r = parse_expression(parser, least, &right)) < 0) {
        return r;
    }
    r = new_node(parser, infix->node, join(expr->nodes[left].span, expr->nodes[right].span), ret);
    if (r < 0) {
        return r;
    }
    expr->nodes[left].next = right;
    expr->nodes[*ret].first = left;
    return 0;
}

/* An operand followed by operators that bind at least as strongly as `least`. */
static int parse_expression(struct parser *parser, enum precedence least, uint32_t *ret)
{
    bool compared = false;

    if (parser->depth >= EXPR_DEPTH_MAX) {
        return expr_mistake(parser->expr, parser->error, parser->token.span,
                            "the expression is nested too deeply: more than %d levels", EXPR_DEPTH_MAX);
    }
    parser->depth++;
    int r = parse_operand(parser, least, ret);
    while (r == 0) {
        const struct infix *infix = infix_of(parser->token.kind);
        if (!infix || infix->precedence < least) {
            break;
        }
        if (infix->precedence == COMPARE && compared) {
            return expr_mistake(parser->expr, parser->error, parser->token.span,
                                "comparisons cannot be chained; write `a < b and b < c`");
        }
        compared = infix->precedence == COMPARE;
        r = parse_infix(parser, infix, *ret, ret);
    }
    parser->depth--;
    return r;
}

int parser_run(struct expr *expr, struct weir_error *error)
{
    struct parser parser = {.lexer = {.expr = expr, .error = error}, .expr = expr, .error = error};
    int r = advance(&parser);

    if (r < 0 || (r = parse_expression(&parser, LOWEST, &expr->root)) < 0) {
        return r;
    }
    if (parser.token.kind == TOKEN_END) {
        return 0;
    }
    const char *word = keyword_in_capitals(&parser.token);
    if (word) {
        return expr_mistake(expr, error, parser.token.span, "write `%s` in small letters", word);
    }
    if (parser.token.kind == TOKEN_CLOSE) {
        return expr_mistake(expr, error, parser.token.span, "this `)` closes nothing");
    }
    return expr_mistake(expr, error, parser.token.span, "expected an operator here, such as `and`, `<` or `+`");
}
