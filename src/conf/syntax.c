/* SPDX-License-Identifier: MIT */
#include "conf/syntax.h"

#include <stdio.h>
#include <string.h>

/* The first row whose words are in libyaml's message wins. */
static const struct {
    const char *problem, *words, *hint;
} translations[] = {
    {"mapping values are not allowed", "a colon where no key can be",
     "put quotes around a value that has \": \" in it, and begin each key on its own line"},
    {"did not find expected key", "this line does not fit the ones above it",
     "keys of one block begin in the same column; a value that begins with a quote ends with it"},
    {"did not find expected '-' indicator", "this line does not fit the list above it",
     "entries of one list begin with \"- \" in the same column"},
    {"could not find expected ':'", "there is a key here without its colon", "write key: value"},
    {"did not find expected ',' or '}'", "a { that is not closed, or a comma is missing",
     "write {key: value, key: value}; in braces, put quotes around values with , { } [ ] or ${…}"},
    {"did not find expected ',' or ']'", "a [ that is not closed, or a comma is missing",
     "write [one, two]; in brackets, put quotes around values with , { } [ ] or ${…}"},
    {"found unexpected end of stream", "the quote that begins here is never closed", "add the closing quote"},
    {"found unexpected document indicator", "the quote that begins here is never closed", "add the closing quote"},
    {"did not find expected <document start>", "this line does not belong to what is above it",
     "begin all of sources, stages, sinks, goals, run and serve in the first column"},
    {"found unknown escape character", "an escape that YAML does not know",
     "use single quotes ('…') for text with backslashes"},
    {"did not find expected hexdecimal number", "an escape that YAML does not know",
     "use single quotes ('…') for text with backslashes"},
    {"found duplicate anchor", "this anchor (&…) was used before", "give it another name"},
    {"did not find expected node content", "a value is missing here",
     "put quotes around text that begins with % @ ` , ] or }"},
    {"block sequence entries are not allowed", "a list cannot begin here", "begin the first \"- \" on its own line"},
    {"while scanning an alias", "a value that begins with * needs quotes", NULL},
    {"did not find expected alphabetic or numeric character", "a value that begins with * or & needs quotes", NULL},
    {"undefined tag handle", "a value that begins with ! needs quotes", NULL},
    {"control characters are not allowed", "a control character", "is this a text file?"},
    {"UTF-8", "this is not valid UTF-8", "save the file as UTF-8"},
};

/* The character at the problem's place; 0 at the end. */
static char character_at(const struct tree_text *text, size_t line, size_t column)
{
    const char *at = text->data, *end = text->data + text->size;
    for (size_t i = 0; i < line && at; i++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    /* Columns are characters; what is looked for stands behind ASCII indentation, else it does not matter. */
    return at && (size_t)(end - at) > column ? at[column] : 0;
}

/* A mistake of the reader has an offset in bytes instead of a mark. */
static void place_offset(struct tree *place, const struct tree_text *text, size_t offset)
{
    place->line = place->column = 1;
    for (size_t i = 0; i < offset && i < text->size; i++) {
        if (text->data[i] == '\n') {
            place->line++;
            place->column = 1;
        } else {
            place->column += ((unsigned char)text->data[i] & 0xc0) != 0x80;
        }
    }
}

int syntax_fail(struct conf *conf, const struct tree_text *text, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "broken YAML", *words = NULL, *hint = NULL;
    struct tree place = {.text = text, .width = 1};
    if (parser->error == YAML_READER_ERROR) {
        place_offset(&place, text, parser->problem_offset);
    } else {
        place.line = (int)parser->problem_mark.line + 1;
        place.column = (int)parser->problem_mark.column + 1;
    }
    for (size_t i = 0; i < sizeof translations / sizeof *translations && !words; i++) {
        if (strstr(problem, translations[i].problem)) {
            words = translations[i].words;
            hint = translations[i].hint;
        }
    }
    bool open_quote = strstr(problem, "unexpected end of stream") || strstr(problem, "document indicator");
    if (open_quote && parser->context) {
        place.line = (int)parser->context_mark.line + 1;
        place.column = (int)parser->context_mark.column + 1;
    }
    if (strstr(problem, "cannot start any token")) {
        char found = character_at(text, parser->problem_mark.line, parser->problem_mark.column);
        words = found == '\t' ? "a tab in the indentation" : "a character that cannot begin a value";
        hint = found == '\t' ? "YAML wants blanks: two for each level" : "put quotes around the text";
    } else if (strstr(problem, "found a tab character")) {
        words = "a tab in the indentation";
        hint = "YAML wants blanks: two for each level";
    }
    return conf_fail(conf, &place, hint, "%s", words ? words : problem);
}
