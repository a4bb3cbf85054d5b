/* SPDX-License-Identifier: MIT */
/* Where are the frames, and are they whole? */
#include "codec/frame.h"

#include <string.h>

#include "codec/crc32c.h"

uint32_t frame_header_crc(const char *frame, size_t header_size)
{
    const size_t field = offsetof(struct frame_head, header_crc);
    uint32_t crc = crc32c(0, frame, field);
    return crc32c(crc, frame + field + 4, header_size - field - 4);
}

const char *frame_column_next(const char *frame, size_t *at, struct frame_column *ret)
{
    memcpy(ret, frame + *at, sizeof *ret);
    const char *name = frame + *at + sizeof *ret;
    *at += sizeof *ret + ((size_t)ret->name_length + 7) / 8 * 8;
    return name;
}

size_t frame_width(const struct frame_column *column)
{
    switch (column->type) {
    case WEIR_BOOL:
        return 1;
    case WEIR_SYMBOL:
        return 4;
    case WEIR_ARRAY:
        return column->elements * weir_element_size(column->element);
    default:
        return 8;
    }
}

/* Does the column lie inside the frame, and has it room for its rows? */
static bool column_good(const struct frame_head *head, const struct frame_column *column, const char *name)
{
    if (column->type >= WEIR_TYPE_COUNT || column->name_length == 0 || column->name_length > WEIR_NAME_MAX ||
        memchr(name, 0, column->name_length)) {
        return false;
    }
    if (column->type == WEIR_ARRAY &&
        (column->elements == 0 || weir_element_size(column->element) == 0 || frame_width(column) > FRAME_SIZE_MAX)) {
        return false;
    }
    if (column->offset % FRAME_LINE != 0 || column->offset < head->header_size || column->offset > head->size ||
        column->size > head->size - column->offset) {
        return false;
    }
    uint64_t least = (uint64_t)frame_width(column) * head->rows;
    if (column->type == WEIR_SYMBOL) {
        least += ((uint64_t)column->strings + 1) * 4;
    }
    return column->size >= least;
}

static bool name_taken(const char *frame, size_t upto, const char *name, size_t length)
{
    struct frame_column other;
    for (size_t at = FRAME_LINE; at < upto;) {
        const char *taken = frame_column_next(frame, &at, &other);
        if (other.name_length == length && memcmp(taken, name, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool columns_good(const char *frame, const struct frame_head *head)
{
    struct frame_column column;
    size_t at = FRAME_LINE;
    for (uint32_t i = 0; i < head->columns; i++) {
        size_t begin = at;
        if (head->header_size - at < FRAME_COLUMN) {
            return false;
        }
        const char *name = frame_column_next(frame, &at, &column);
        if (at > head->header_size || !column_good(head, &column, name) ||
            name_taken(frame, begin, name, column.name_length)) {
            return false;
        }
        if ((int32_t)i == head->time && column.type != WEIR_TIME) {
            return false;
        }
    }
    return true;
}

/* The frame's first line is there. */
static bool head_plausible(const struct frame_head *head)
{
    return memcmp(head->magic, FRAME_MAGIC, sizeof head->magic) == 0 && head->version == FRAME_VERSION &&
           head->columns > 0 && head->columns <= WEIR_FIELDS_MAX && head->header_size >= FRAME_LINE + FRAME_COLUMN &&
           head->header_size <= FRAME_HEADER_MAX && head->header_size % FRAME_LINE == 0 &&
           head->size % FRAME_LINE == 0 && head->size > head->header_size && head->size <= FRAME_SIZE_MAX &&
           head->rows > 0 && head->rows < UINT32_MAX && head->time >= -1 && head->time < head->columns &&
           head->key >= -1 && head->key < head->columns;
}

/* Is there a frame at the beginning of data? Its magic is. */
static enum frame_found look(const char *data, size_t size, struct frame_head *ret)
{
    if (size < sizeof *ret) {
        return FRAME_PARTIAL;
    }
    memcpy(ret, data, sizeof *ret);
    if (!head_plausible(ret)) {
        return FRAME_BAD;
    }
    if (size < ret->header_size) {
        return FRAME_PARTIAL;
    }
    if (frame_header_crc(data, ret->header_size) != ret->header_crc || !columns_good(data, ret)) {
        return FRAME_BAD;
    }
    return size < ret->size ? FRAME_PARTIAL : FRAME_GOOD;
}

/* The next place that may be the beginning of a frame: the magic, or as much of it as the data has left. */
static const char *find_magic(const char *p, const char *end)
{
    while (p < end && (p = memchr(p, FRAME_MAGIC[0], (size_t)(end - p)))) {
        size_t length = (size_t)(end - p) < 8 ? (size_t)(end - p) : 8;
        if (memcmp(p, FRAME_MAGIC, length) == 0) {
            return p;
        }
        p++;
    }
    return end;
}

enum frame_found frame_find(const char *data, size_t size, bool whole, struct frame_head *ret, size_t *ret_size)
{
    const char *end = data + size, *p = find_magic(data, end);
    for (; p < end; p = find_magic(p + 1, end)) {
        enum frame_found found = look(p, (size_t)(end - p), ret);
        if (found == FRAME_BAD || (found == FRAME_PARTIAL && whole)) {
            continue;
        }
        if (p > data) {
            break; /* first what is before it */
        }
        *ret_size = found == FRAME_GOOD ? (size_t)ret->size : size;
        return found;
    }
    *ret_size = (size_t)(p - data);
    return p == end && !whole ? FRAME_PARTIAL : FRAME_BAD;
}

bool frame_describes(const char *data, size_t size, struct frame_head *ret)
{
    enum frame_found found = look(data, size, ret);
    return found == FRAME_GOOD || (found == FRAME_PARTIAL && size >= sizeof *ret && size >= ret->header_size);
}

bool frame_body_good(const char *frame, const struct frame_head *head)
{
    return crc32c(0, frame + head->header_size, (size_t)head->size - head->header_size) == head->body_crc;
}

/* Bytes that are no frame are cut where one begins, so that they are refused once, unless there are too many. */
size_t frame_cut(const struct codec_read_options *options, const char *data, size_t size)
{
    size_t line_max = options->line_max > 0 ? (size_t)options->line_max : 1 << 20, done = 0;
    while (done < size) {
        struct frame_head head;
        size_t length;
        enum frame_found found = frame_find(data + done, size - done, false, &head, &length);
        if (found == FRAME_PARTIAL) {
            /* A long stretch without the beginning of a frame, or a frame of which more has to come? */
            bool begun = memcmp(data + done, FRAME_MAGIC, length < 8 ? length : 8) == 0;
            return begun || length <= line_max ? done : size - 7;
        }
        /* They end where a frame surely begins, not where one may: how much is refused does not depend on the cuts. */
        size_t rest = size - done - length, next;
        if (found == FRAME_BAD && rest > 0 && length <= line_max &&
            frame_find(data + done + length, rest, false, &head, &next) == FRAME_PARTIAL) {
            return done;
        }
        done += length;
    }
    return done;
}
