/* SPDX-License-Identifier: MIT */
/*
 * Private to codec/: a line of InfluxDB line protocol, item by item.
 *
 *     weather,city=Ulm,room=2 temperature=21.5,count=7i,ok=true,note="a \"text\"" 1732147200000000000
 *     measurement  tags       fields                                              timestamp
 *
 * A backslash stands for itself unless a comma, a blank or (not in measurements) an equals sign follows; in a text in
 * quotes, unless a quote or a backslash does. A line has no line ends in it, also not in quotes. What begins with # is
 * a comment.
 */
#ifndef CODEC_INFLUX_H
#define CODEC_INFLUX_H
#include "codec/decoder.h"

enum influx_kind {
    INFLUX_MEASUREMENT,
    INFLUX_TAG,
    INFLUX_TEXT,
    INFLUX_NUMBER,
    INFLUX_INTEGER,
    INFLUX_BOOL,
    INFLUX_STAMP
};

struct influx_item {
    enum influx_kind kind;
    const char *name; /* tags and fields */
    size_t name_length;
    const char *text; /* without quotes, suffix, or a plus in front */
    size_t length;
    bool name_escaped, escaped; /* there may be backslashes to take out */
};

enum influx_state { INFLUX_AT_MEASUREMENT, INFLUX_AT_TAG, INFLUX_AT_FIELD, INFLUX_AT_STAMP, INFLUX_AT_END };

struct influx_walk {
    const char *p, *end;
    enum influx_state state;
};

/* The line without blanks and \r around it; false: blank or a comment, no record. */
bool influx_begin(struct influx_walk *walk, const char *line, size_t length);
/* The next item; false: the line is over, with or without (REFUSAL_NONE) a mistake. */
bool influx_next(struct influx_walk *walk, struct influx_item *item, enum refusal *ret);
bool influx_is_bool(const char *text, size_t length);
/* Takes out the backslashes; returns the new length. out has room for `length`. */
size_t influx_unescape(enum influx_kind kind, const char *text, size_t length, char *out);

#endif
