/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { NODES_IN_CHUNK = 256, NUMBER_MAX = 64 };

struct chunk {
    struct chunk *next;
    size_t used;
    struct json_node nodes[NODES_IN_CHUNK];
};
struct json_tree {
    struct chunk *chunks;
    char *text; /* a copy, in which strings lose their escapes and end with a NUL */
    size_t nodes;
    struct json_node *root;
};
struct parser {
    struct json_tree *tree;
    char *at, *end;
    int depth;
    struct weir_error *error;
};

static int parse_value(struct parser *parser, struct json_node **ret);

static int complain(struct parser *parser, const char *what)
{
    int line = 1;
    for (const char *c = parser->tree->text; c < parser->at; c++)
        line += *c == '\n';
    return weir_fail(parser->error, -EINVAL, "line %d: %s", line, what);
}

static struct json_node *new_node(struct json_tree *tree)
{
    if (!tree->chunks || tree->chunks->used == NODES_IN_CHUNK) {
        struct chunk *chunk = memory_zeroed(1, sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->next = tree->chunks;
        tree->chunks = chunk;
    }
    tree->nodes++;
    return &tree->chunks->nodes[tree->chunks->used++];
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end &&
           (*parser->at == ' ' || *parser->at == '\t' || *parser->at == '\n' || *parser->at == '\r'))
        parser->at++;
}

/* ---- Strings ---------------------------------------------------------------------------------------------------- */

static int hex4(const char *text, uint32_t *ret)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit > 15)
            return -EINVAL;
        value = value * 16 + digit;
    }
    *ret = value;
    return 0;
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

/* Behind "\u"; halves of pairs that stand alone become U+FFFD. */
static int parse_unicode(struct parser *parser, char **out)
{
    uint32_t code, low;
    if (parser->end - parser->at < 4 || hex4(parser->at, &code) < 0)
        return complain(parser, "\\u is followed by four hexadecimal digits");
    parser->at += 4;
    if (code >= 0xd800 && code < 0xdc00 && parser->end - parser->at >= 6 && parser->at[0] == '\\' &&
        parser->at[1] == 'u' && hex4(parser->at + 2, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        parser->at += 6;
    } else if (code >= 0xd800 && code < 0xe000) {
        code = 0xfffd;
    }
    *out = put_utf8(*out, code);
    return 0;
}

/* At the opening quote. What comes out is never longer than what stood there, so it is written in place; its NUL falls
 * on the closing quote at the latest. */
static int parse_string(struct parser *parser, const char **ret, size_t *ret_length)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char *begin = ++parser->at, *out = begin;
    while (parser->at < parser->end && *parser->at != '"') {
        unsigned char c = (unsigned char)*parser->at++;
        if (c < 0x20)
            return complain(parser, "a string holds a control character");
        if (c != '\\') {
            *out++ = (char)c;
            continue;
        }
        char letter = parser->at < parser->end ? *parser->at++ : '\0';
        const char *found = letter ? strchr(letters, letter) : NULL;
        int error = 0;
        if (letter == 'u')
            error = parse_unicode(parser, &out);
        else if (found)
            *out++ = meanings[found - letters];
        else
            error = complain(parser, "a string holds a backslash that means nothing");
        if (error)
            return error;
    }
    if (parser->at == parser->end)
        return complain(parser, "a string does not end");
    parser->at++;
    *out = '\0';
    *ret = begin;
    *ret_length = (size_t)(out - begin);
    return 0;
}

/* ---- Scalars ---------------------------------------------------------------------------------------------------- */

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

static int parse_number(struct parser *parser, struct json_node *node)
{
    char text[NUMBER_MAX + 1];
    size_t length = 0;
    while (parser->at + length < parser->end && length < NUMBER_MAX && parser->at[length] &&
           strchr("+-0123456789.eE", parser->at[length])) {
        text[length] = parser->at[length];
        length++;
    }
    text[length] = '\0';
    const char *at = text + (text[0] == '-');
    size_t whole = digits(at);
    bool good = whole > 0 && !(whole > 1 && at[0] == '0');
    at += whole;
    if (good && *at == '.') {
        good = digits(at + 1) > 0;
        at += 1 + digits(at + 1);
    }
    if (good && (*at == 'e' || *at == 'E')) {
        at += at[1] == '+' || at[1] == '-' ? 2 : 1;
        good = digits(at) > 0;
        at += digits(at);
    }
    if (!good || *at)
        return complain(parser, "this is no value");
    node->kind = JSON_NUMBER;
    node->number = strtod(text, NULL); /* the program never leaves the C locale */
    parser->at += length;
    return 0;
}

static bool take_word(struct parser *parser, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length) != 0)
        return false;
    parser->at += length;
    return true;
}

static int parse_scalar(struct parser *parser, struct json_node *node)
{
    if (take_word(parser, "null")) {
        node->kind = JSON_NULL;
    } else if (take_word(parser, "true")) {
        node->kind = JSON_BOOL;
        node->number = 1;
    } else if (take_word(parser, "false")) {
        node->kind = JSON_BOOL;
    } else {
        return parse_number(parser, node);
    }
    return 0;
}

/* ---- Arrays and objects ----------------------------------------------------------------------------------------- */

static int parse_name(struct parser *parser, const char **ret)
{
    size_t length;
    if (parser->at == parser->end || *parser->at != '"')
        return complain(parser, "the name of a member is missing");
    int error = parse_string(parser, ret, &length);
    if (error)
        return error;
    skip_blanks(parser);
    if (parser->at == parser->end || *parser->at != ':')
        return complain(parser, "a colon is missing behind the name of a member");
    parser->at++;
    return 0;
}

static int parse_children(struct parser *parser, struct json_node *node, char close)
{
    const struct json_node **link = &node->first;
    parser->at++;
    skip_blanks(parser);
    if (parser->at < parser->end && *parser->at == close) {
        parser->at++;
        return 0;
    }
    for (;;) {
        struct json_node *child = NULL;
        const char *name = NULL;
        skip_blanks(parser);
        int error = close == '}' ? parse_name(parser, &name) : 0;
        if (!error)
            error = parse_value(parser, &child);
        if (error)
            return error;
        child->name = name;
        *link = child;
        link = &child->next;
        skip_blanks(parser);
        char c = parser->at < parser->end ? *parser->at++ : '\0';
        if (c == close)
            return 0;
        if (c != ',')
            return complain(parser, close == '}' ? "an object does not go on and does not end"
                                                 : "an array does not go on and does not end");
    }
}

static int parse_value(struct parser *parser, struct json_node **ret)
{
    int error;
    if (parser->tree->nodes >= JSON_TREE_NODES_MAX || parser->depth >= JSON_TREE_DEPTH_MAX)
        return weir_fail(parser->error, -E2BIG, "it is too large, or nested too deep");
    struct json_node *node = new_node(parser->tree);
    if (!node)
        return weir_fail(parser->error, -ENOMEM, "out of memory");
    skip_blanks(parser);
    if (parser->at == parser->end)
        return complain(parser, "a value is missing");
    parser->depth++;
    if (*parser->at == '"') {
        node->kind = JSON_STRING;
        error = parse_string(parser, &node->text, &node->length);
    } else if (*parser->at == '[' || *parser->at == '{') {
        node->kind = *parser->at == '[' ? JSON_ARRAY : JSON_OBJECT;
        error = parse_children(parser, node, *parser->at == '[' ? ']' : '}');
    } else {
        error = parse_scalar(parser, node);
    }
    parser->depth--;
    *ret = node;
    return error;
}

int json_tree_parse(const char *text, size_t size, struct json_tree **ret, struct weir_error *error)
{
    if (size > JSON_TREE_SIZE_MAX)
        return weir_fail(error, -E2BIG, "it is over %d MiB", JSON_TREE_SIZE_MAX >> 20);
    struct json_tree *tree = memory_zeroed(1, sizeof *tree);
    if (tree)
        tree->text = memory_allocate(size + 1);
    if (!tree || !tree->text) {
        json_tree_free(tree);
        return weir_fail(error, -ENOMEM, "out of memory");
    }
    if (size > 0)
        memcpy(tree->text, text, size);
    tree->text[size] = '\0';
    struct parser parser = {.tree = tree, .at = tree->text, .end = tree->text + size, .error = error};
    int code = parse_value(&parser, &tree->root);
    skip_blanks(&parser);
    if (!code && parser.at != parser.end)
        code = complain(&parser, "something follows behind the end");
    if (code) {
        json_tree_free(tree);
        return code;
    }
    *ret = tree;
    return 0;
}

void json_tree_free(struct json_tree *tree)
{
    if (!tree)
        return;
    for (struct chunk *chunk = tree->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        memory_free(chunk);
    }
    memory_free(tree->text);
    memory_free(tree);
}

const struct json_node *json_tree_root(const struct json_tree *tree)
{
    return tree->root;
}

/* ---- Looking things up ------------------------------------------------------------------------------------------ */

const struct json_node *json_member(const struct json_node *node, const char *name)
{
    if (!node || node->kind != JSON_OBJECT)
        return NULL;
    for (const struct json_node *child = node->first; child; child = child->next) {
        if (strcmp(child->name, name) == 0)
            return child;
    }
    return NULL;
}

double json_member_number(const struct json_node *node, const char *name, double fallback)
{
    const struct json_node *member = json_member(node, name);
    return member && (member->kind == JSON_NUMBER || member->kind == JSON_BOOL) ? member->number : fallback;
}

uint64_t json_member_count(const struct json_node *node, const char *name)
{
    double value = json_member_number(node, name, 0);
    return value > 0 && value < 0x1p63 ? (uint64_t)value : 0;
}

const char *json_member_text(const struct json_node *node, const char *name, const char *fallback)
{
    const struct json_node *member = json_member(node, name);
    return member && member->kind == JSON_STRING ? member->text : fallback;
}
