/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "codec/codec.h"
#include "codec/frame.h"
#include "codec/layout.h"
#include "codec/separators.h"

const char *const codec_format_names[] = {"auto", "ndjson", "csv", "influx", "frame", NULL};

static bool ends_with(const char *file, size_t length, const char *end)
{
    size_t tail = strlen(end);
    return length > tail && strncasecmp(file + length - tail, end, tail) == 0;
}

enum codec_format codec_format_of_name(const char *file)
{
    static const struct {
        const char *end;
        enum codec_format format;
    } ends[] = {
        {".csv", CODEC_CSV},     {".tsv", CODEC_CSV},     {".ndjson", CODEC_NDJSON}, {".jsonl", CODEC_NDJSON},
        {".json", CODEC_NDJSON}, {".frame", CODEC_FRAME}, {".lp", CODEC_INFLUX},     {".influx", CODEC_INFLUX},
    };
    static const char *const packed[] = {".gz", ".zst", ".zstd"};
    size_t length = strlen(file);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        if (ends_with(file, length, packed[i])) {
            length -= strlen(packed[i]);
            break;
        }
    }
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ends_with(file, length, ends[i].end)) {
            return ends[i].format;
        }
    }
    return CODEC_AUTO;
}

static bool has_mark(const char *data, size_t size)
{
    return size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0;
}

enum codec_format codec_guess(const char *file, const char *data, size_t size)
{
    if (size >= 8 && memcmp(data, FRAME_MAGIC, 8) == 0) {
        return CODEC_FRAME;
    }
    enum codec_format named = file ? codec_format_of_name(file) : CODEC_AUTO;
    if (named != CODEC_AUTO) {
        return named;
    }
    size_t i = has_mark(data, size) ? 3 : 0;
    while (i < size && strchr(" \t\r\n", data[i]) && data[i] != '\0') {
        i++;
    }
    if (i == size || data[i] == '{' || data[i] == '[') {
        return CODEC_NDJSON;
    }
    return influx_looks_like(data + i, size - i) ? CODEC_INFLUX : CODEC_CSV;
}

char codec_delimiter(const struct codec_read_options *options)
{
    const char *text = options->delimiter;
    if (!text || *text == '\0') {
        return ',';
    }
    return strcmp(text, "\\t") == 0 ? '\t' : *text;
}

static size_t cut_lines(const char *data, size_t size)
{
    const char *last = size ? memrchr(data, '\n', size) : NULL;
    return last ? (size_t)(last - data) + 1 : 0;
}

bool codec_is_text(enum codec_format format)
{
    return format != CODEC_FRAME;
}

size_t codec_cut_first(enum codec_format format, const struct codec_read_options *options, const char *data,
                       size_t size)
{
    struct frame_head head;
    size_t length = size;
    (void)options;
    if (format == CODEC_FRAME && size > 0) {
        frame_find(data, size, true, &head, &length);
    }
    return length;
}

static struct codec_extent extent_of_frames(const char *data, size_t size)
{
    struct codec_extent extent = {.lines = size};
    struct frame_head head;
    size_t length;
    for (size_t at = 0; at < size; at += length) {
        enum frame_found found = frame_find(data + at, size - at, true, &head, &length);
        extent.records += found == FRAME_GOOD ? head.rows : 1;
    }
    return extent;
}

struct codec_extent codec_extent(enum codec_format format, const char *data, size_t size)
{
    if (format == CODEC_FRAME) {
        return extent_of_frames(data, size);
    }
    uint64_t lines = separators_count(data, size, '\n') + (size > 0 && data[size - 1] != '\n');
    return (struct codec_extent){.lines = lines, .records = lines};
}

bool codec_describes(enum codec_format format, const char *data, size_t size, uint64_t *ret_size, uint64_t *ret_records)
{
    struct frame_head head;
    if (format != CODEC_FRAME || !frame_describes(data, size, &head)) {
        return false;
    }
    *ret_size = head.size;
    *ret_records = head.rows;
    return true;
}

uint64_t codec_block_records(const struct weir_block *block)
{
    uint64_t records = block->unread ? block->records
                                     : codec_extent(block->layout->format, block->data, block->size).records;
    return block->records_most && block->records_most < records ? block->records_most : records;
}

void codec_block_release(const struct weir_block *block)
{
    weir_memory_release(block->memory);
    codec_layout_release(block->layout);
    if (block->unread) {
        block->unread->release(block->unread);
    }
}

void codec_block_trim(struct weir_block *block, uint64_t records)
{
    if (block->layout->format == CODEC_FRAME && records > 0) {
        block->records_most = records;
        return;
    }
    const char *end = block->data;
    for (uint64_t i = 0; i < records; i++) {
        const char *newline = memchr(end, '\n', block->size - (size_t)(end - block->data));
        end = newline ? newline + 1 : block->data + block->size;
    }
    block->size = (size_t)(end - block->data);
}

bool codec_block_split(struct weir_block *block, uint64_t records, struct weir_block *rest)
{
    enum codec_format format = block->layout->format;
    if (!codec_is_text(format) || codec_block_records(block) <= records ||
        (format == CODEC_CSV && memchr(block->data, '"', block->size))) {
        return false;
    }
    *rest = *block;
    codec_block_trim(block, records);
    rest->memory = weir_memory_reference(block->memory);
    rest->layout = codec_layout_reference(block->layout);
    rest->data += block->size;
    rest->size -= block->size;
    rest->line += records;
    rest->position += records;
    return true;
}

size_t codec_cut(enum codec_format format, const struct codec_read_options *options, const char *data, size_t size)
{
    if (format == CODEC_FRAME) {
        return frame_cut(options, data, size);
    }
    if (format != CODEC_CSV || size == 0 || !memchr(data, '"', size)) {
        return cut_lines(data, size);
    }
    char delimiter = codec_delimiter(options);
    size_t line_max = options->line_max > 0 ? (size_t)options->line_max : 1 << 20;
    size_t done = 0;
    while (done < size) {
        size_t end;
        enum csv_record record = csv_record_end(data + done, size - done, delimiter, line_max, &end);
        bool more = record == CSV_INCOMPLETE || (record == CSV_UNCLOSED && size - done <= line_max);
        if (more || data[done + end - 1] != '\n') {
            break; /* what is still to be read decides */
        }
        done += end;
    }
    return done;
}
