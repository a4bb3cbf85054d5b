/* SPDX-License-Identifier: MIT */
/* Private to codec/: what a layout knows, and how columns are found and guessed. */
#ifndef CODEC_LAYOUT_H
#define CODEC_LAYOUT_H
#include "codec/codec.h"

/* A field of the file's lines, by its place (CSV). */
struct layout_field {
    char *name;
    int32_t column; /* of the schema, or -1: extra */
};

struct codec_layout {
    _Atomic uint32_t references;
    enum codec_format format;
    char delimiter;
    size_t line_max;
    enum time_format time_format;
    struct time_zone *zone; /* NULL: UTC */
    struct weir_schema *schema;
    struct layout_field *fields; /* CSV */
    uint32_t field_count;
};

/* What was seen of one field in the sample. */
struct guess {
    char *name;
    uint32_t numbers, integers, bools, times, strings; /* times are strings too; integers are numbers too */
    uint32_t epochs;                                   /* numbers that would be a time between 1990 and 2100 */
    bool large;                                        /* an integer that a double cannot hold */
    bool tag, stamp;                                   /* influx: a tag or the measurement; the timestamp */
};
struct guesses {
    struct guess *items;
    uint32_t count, capacity;
    uint32_t records;    /* that were read */
    const char *refused; /* why the first line that could not be read could not; NULL: none */
};
enum { GUESS_LINES = 1000 };

void guesses_free(struct guesses *guesses);
/* The guess for a name, added if new; NULL: -ENOMEM, or more than WEIR_FIELDS_MAX (then *ret is 0). `hint`: where to
 * look first. */
int guesses_find(struct guesses *guesses, const char *name, size_t length, uint32_t hint, struct guess **ret);
/* Looks at one value as text: a number, or the inside of a string. */
void guess_number(struct guess *guess, const char *text, size_t length);
void guess_string(struct guess *guess, const char *text, size_t length, const struct time_zone *zone);
enum weir_type guess_type(const struct guess *guess, bool is_key, bool is_csv);

/* ndjson_guess.c, csv_guess.c and influx_guess.c: read up to GUESS_LINES records of the sample. 0 or -ENOMEM. */
int ndjson_guess(const struct codec_layout *layout, const char *data, size_t size, struct guesses *guesses);
int influx_guess(const struct codec_layout *layout, const char *data, size_t size, struct guesses *guesses);
int csv_guess(const struct codec_layout *layout, const char *data, size_t size, struct guesses *guesses);

/* ---- CSV records (csv_scan.c) ------------------------------------------------------------------------------------ */

enum csv_record {
    CSV_GOOD,
    CSV_INCOMPLETE, /* the data ends first, outside of quotes; *ret_end is size */
    /* Refused; *ret_end is the end of the first physical line: */
    CSV_UNCLOSED,    /* no closing quote before the data ends or line_max */
    CSV_AFTER_QUOTE, /* text after a closing quote */
    CSV_LONG,        /* no end within line_max */
};
/* Where does the record that begins at data end (after its newline)? */
enum csv_record csv_record_end(const char *data, size_t size, char delimiter, size_t line_max, size_t *ret_end);

/* The next field of a good record; text is the inside of the quotes. Returns what follows the field, or NULL: it was
 * the last. `end` is the record's end without its newline. */
struct csv_field {
    const char *text;
    size_t length;
    bool quoted, doubled; /* doubled: has "" that stands for " */
};
const char *csv_field_next(const char *p, const char *end, char delimiter, struct csv_field *ret);
/* The record's end without \n or \r\n. */
const char *csv_trim_end(const char *begin, const char *end);
/* Copies without the doubling; returns the new length. */
size_t csv_undouble(const char *text, size_t length, char *out);

char codec_delimiter(const struct codec_read_options *options);
/* Is the first line of this sample a record of line protocol? */
bool influx_looks_like(const char *data, size_t size);

#endif
