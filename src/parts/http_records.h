/* SPDX-License-Identifier: MIT */
/*
 * What sensors answer, as lines of NDJSON: one JSON value, a list of them, CSV with a header, a number alone, or
 * Prometheus' text format. Lines are decoded on lanes like those of a file.
 */
#ifndef PARTS_HTTP_RECORDS_H
#define PARTS_HTTP_RECORDS_H
#include <weir/part.h>

#include "base/buffer.h"

enum http_format { RECORDS_AUTO, RECORDS_JSON, RECORDS_CSV, RECORDS_NUMBER, RECORDS_PROMETHEUS };
extern const char *const http_format_names[];

enum { HTTP_RECORDS_MOST = 1000000 }; /* in one answer */

struct http_records {
    enum http_format format;
    const char *records;     /* JSON: pointer to the list of records, or to the record; NULL: the whole */
    struct weir_list values; /* JSON: name: pointer within a record; empty: its members as they are */
    const char *key;         /* column of the sensor's name, added where a record has none; NULL: not added */
    const char *time;        /* column of the time, likewise, with the time of the answer */
    int time_format;         /* enum time_format: how the answer writes times */
};

/* Appends the records of an answer. `content_type` may be NULL. Returns 0 with their number, or -EBADMSG with words for
 * people in `error` (nothing was appended), or -ENOMEM. */
int http_records_append(const struct http_records *records, const char *content_type, const char *body, size_t size,
                        const char *sensor, int64_t wall_ns, struct weir_buffer *out, uint64_t *ret_count,
                        struct weir_error *error);
#endif
