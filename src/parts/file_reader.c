/* SPDX-License-Identifier: MIT */
#include "parts/file_reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "data/pool.h"

enum {
    SAMPLE_BYTES = 256 << 10, /* of each file, for its layout */
    BLOCK_LEAST = 16 << 10,
    BLOCK_SPARE = 256,     /* what the pool adds to a block, so that its slab stays a power of two */
    SAMPLE_LINES = 64,     /* of a stream, unless its fields are declared */
    SAMPLE_MOST = 8 << 20, /* when a file begins with a line that is too long */
    ROWS_COUNTED = 256,    /* blocks of fewer rows are cut by the line, larger ones by bytes */
};
#define PACE_LEAST (50 * CLOCK_MICROSECOND) /* shortest sleep worth its switch */
#define MEMORY_PATIENCE (10 * CLOCK_SECOND) /* how long to wait for blocks that are in flight to come back */

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

int file_reader_make_room(struct file_reader *reader)
{
    struct file_reading *self = reader->shared;
    size_t begun = reader->filled - reader->begin;
    if (reader->memory && !reader->lent && begun <= reader->begin) {
        memcpy(reader->memory->data, (char *)reader->memory->data + reader->begin, begun);
        reader->begin = 0;
        reader->filled = begun;
    }
    if (reader->memory && !reader->lent && reader->filled < file_reader_room(reader))
        return 0;
    size_t want = weir_emit_bytes(reader->shared->out);
    if (want < BLOCK_LEAST)
        want = BLOCK_LEAST;
    if (!reader->started && want < SAMPLE_BYTES)
        want = SAMPLE_BYTES;
    while (want < 2 * begun + 2 * BLOCK_SPARE)
        want *= 2;

    struct weir_memory *memory;
    int64_t until = weir_now(reader->shared->context) + MEMORY_PATIENCE;
    while (!(memory = pool_memory(self->env->pool, want - BLOCK_SPARE))) {
        if (weir_now(reader->shared->context) > until)
            return weir_fail(self->env->error, -ENOMEM,
                             "%s: no memory for a block of %zu bytes in 10 s; raise `memory`, or lower `line_max`",
                             reader->name, want);
        int error = weir_sleep(reader->shared->context, CLOCK_MILLISECOND);
        if (error < 0)
            return error;
    }
    if (begun > 0)
        memcpy(memory->data, (const char *)reader->memory->data + reader->begin, begun);
    weir_memory_release(reader->memory);
    reader->memory = memory;
    reader->begin = 0;
    reader->filled = begun;
    reader->lent = false;
    reader->read_at = 0;
    return 0;
}

void file_reader_filled(struct file_reader *reader, size_t size)
{
    if (reader->read_at == 0)
        reader->read_at = weir_now(reader->shared->context);
    reader->filled += size;
}

/* ---- Handing on ------------------------------------------------------------------------------------------------ */

typedef uint8_t sixteen __attribute__((vector_size(16)));

/* Newlines in data; 16 bytes a step, and each of the 16 sums is emptied before it can overflow. */
static uint64_t count_lines(const char *data, size_t size)
{
    uint64_t lines = 0;
    while (size >= 16) {
        size_t steps = size / 16 < 255 ? size / 16 : 255;
        sixteen sums = {0};
        for (size_t i = 0; i < steps; i++, data += 16, size -= 16) {
            sixteen bytes;
            memcpy(&bytes, data, sizeof(bytes));
            sums -= (sixteen)(bytes == '\n');
        }
        for (int i = 0; i < 16; i++)
            lines += sums[i];
    }
    for (; size > 0; data++, size--)
        lines += *data == '\n';
    return lines;
}

/* Memory for a block of the next `size` bytes: what they were read into or, when that is much larger, a copy. Else a
 * trickle of records would keep far more memory from being used again than anybody accounts for. */
static struct weir_memory *share_or_copy(struct file_reader *reader, size_t size, const char **data)
{
    *data = (const char *)reader->memory->data + reader->begin;
    if (size <= file_reader_room(reader) / 4) {
        struct weir_memory *copy = pool_memory(reader->shared->env->pool, size);
        if (copy) {
            memcpy(copy->data, *data, size);
            *data = copy->data;
            return copy;
        }
    }
    reader->lent = true;
    return weir_memory_reference(reader->memory);
}

/* Hands on a block of which only the bytes are said. */
static int hand_on(struct file_reader *reader, struct weir_block *block, struct codec_extent extent)
{
    struct file_reading *self = reader->shared;
    block->layout = codec_layout_reference(reader->layout);
    block->file = reader->name;
    block->line = reader->line;
    block->position = self->position;
    if (self->origin)
        file_origin_add(self->origin, (struct file_run){.position = self->position,
                                                        .line = reader->line,
                                                        .file = reader->name,
                                                        .step = codec_is_text(reader->format)});
    reader->line += extent.lines;
    self->position += extent.records;
    return weir_emit_block(self->context, self->out, block);
}

/* Hands on the next `size` bytes: whole records, or the first piece of a line that is too long. */
static int emit_piece(struct file_reader *reader, size_t size, int64_t produced)
{
    const char *data;
    struct weir_block block = {.memory = share_or_copy(reader, size, &data), .size = size, .produced = produced};
    block.data = data;
    reader->begin += size;
    return hand_on(reader, &block, codec_extent(reader->format, data, size));
}

int file_reader_hand_on_unread(struct file_reader *reader, struct weir_unread *unread, uint64_t offset, uint64_t size,
                               uint64_t records)
{
    struct weir_block block = {.unread = unread, .offset = offset, .size = size, .records = records};
    block.produced = weir_now(reader->shared->context);
    return hand_on(reader, &block, (struct codec_extent){.lines = size, .records = records});
}

/* Of `most` bytes of whole records: `size` of them, to the end of a record, or more where one record is longer. */
static size_t cut_near(const struct file_reader *reader, size_t size, size_t most)
{
    const char *data = (const char *)reader->memory->data + reader->begin;
    if (!codec_is_text(reader->format))
        return codec_cut_first(reader->format, reader->shared->options, data, most);
    for (; size < most; size *= 2) {
        size_t whole = codec_cut(reader->format, reader->shared->options, data, size);
        if (whole > 0)
            return whole;
    }
    return most;
}

/* Of `most` bytes of whole records: the next `lines` lines, or more where a record has several. */
static size_t cut_lines(const struct file_reader *reader, uint64_t lines, size_t most)
{
    const char *data = (const char *)reader->memory->data + reader->begin;
    size_t size = 0;
    for (; lines > 0 && size < most; lines--) {
        const char *newline = memchr(data + size, '\n', most - size);
        size = newline ? (size_t)(newline - data) + 1 : most;
    }
    return cut_near(reader, size, most);
}

static int64_t due_time(const struct file_reading *self)
{
    return self->due_from + (int64_t)((double)(self->position - self->due_position) * (1e9 / self->rate));
}

/* Hands on `size` bytes of whole records at the rate asked for, each block no earlier than its first record is due.
 * When we are late, a block spans a sixteenth of the lateness at most: it has but one time of production. */
static int emit_paced(struct file_reader *reader, size_t size)
{
    struct file_reading *self = reader->shared;
    if (!self->due_known || (reader->waits && due_time(self) < reader->read_at)) {
        self->due_from = self->due_known ? reader->read_at : weir_now(reader->shared->context);
        self->due_position = self->position;
        self->due_known = true;
    }
    size_t end = reader->begin + size;
    while (reader->begin < end) {
        int64_t now = weir_now(reader->shared->context), due = due_time(self);
        if (due > now) {
            int error = weir_sleep_until(reader->shared->context, due < now + PACE_LEAST ? now + PACE_LEAST : due);
            if (error < 0)
                return error;
            continue;
        }
        int64_t late = now - due, span = late / 16 > CLOCK_MILLISECOND ? late / 16 : CLOCK_MILLISECOND;
        uint64_t lines = 1 + (uint64_t)((double)(late < span ? late : span) * 1e-9 * self->rate);
        uint64_t before = self->position;
        int error = emit_piece(reader, cut_lines(reader, lines, end - reader->begin), due);
        if (error < 0)
            return error;
        weir_emit_late_by(reader->shared->out, late, self->position - before);
    }
    return 0;
}

/* Hands on `size` bytes of whole records, in blocks no larger than is asked for just now. */
static int emit_records(struct file_reader *reader, size_t size)
{
    if (reader->shared->rate > 0)
        return emit_paced(reader, size);
    int64_t produced = reader->read_at ? reader->read_at : weir_now(reader->shared->context);
    int error = 0;
    for (size_t piece; size > 0 && error == 0; size -= piece) {
        uint32_t rows = weir_emit_rows(reader->shared->out);
        piece = rows < ROWS_COUNTED ? cut_lines(reader, rows, size)
                                    : cut_near(reader, weir_emit_bytes(reader->shared->out), size);
        error = emit_piece(reader, piece, produced);
    }
    return error;
}

/* How much of what was read is whole records. */
static size_t whole_records(const struct file_reader *reader)
{
    struct file_reading *self = reader->shared;
    const char *data = (const char *)reader->memory->data + reader->begin;
    size_t pending = reader->filled - reader->begin;
    if ((reader->ended && !reader->cut_off) || pending == 0)
        return pending;
    size_t cut = codec_cut(reader->format, self->options, data, pending);
    if (cut == 0 && codec_is_text(reader->format) && pending > (size_t)self->options->line_max) {
        /* Either one line that is too long, or a quotation mark that was never closed: then the lines after it are
         * good, and the decoder, which gets them as a block, finds out. */
        const char *newline = memrchr(data, '\n', pending);
        cut = newline ? (size_t)(newline - data) + 1 : 0;
    }
    return cut;
}

/* Drops the rest of a line that was too long; true when its end was found. */
static bool skip_line(struct file_reader *reader)
{
    const char *data = reader->memory->data;
    const char *newline = memchr(data + reader->begin, '\n', reader->filled - reader->begin);
    reader->begin = newline ? (size_t)(newline - data) + 1 : reader->filled;
    reader->skipping = !newline;
    return newline;
}

int file_reader_hand_on(struct file_reader *reader)
{
    size_t line_max = (size_t)reader->shared->options->line_max;
    if (reader->skipping && !skip_line(reader) && !reader->ended)
        return 0;
    size_t size = whole_records(reader);
    int error = 0;
    if (size > 0) {
        error = emit_records(reader, size);
    } else if (codec_is_text(reader->format) && reader->filled - reader->begin > line_max) {
        error = emit_records(reader, line_max + 1);
        reader->skipping = true;
    }
    reader->read_at = 0; /* what is left becomes records with the next read */
    return error;
}

/* ---- Beginning ------------------------------------------------------------------------------------------------- */

/* Frames have lengths, and bytes that only look like ends of lines. */
static bool is_text(const struct file_reader *reader)
{
    enum codec_format format = (enum codec_format)reader->shared->options->format;
    if (reader->started)
        return codec_is_text(reader->format);
    if (format == CODEC_AUTO)
        format = codec_guess(reader->name, (const char *)reader->memory->data + reader->begin,
                             reader->filled - reader->begin);
    return codec_is_text(format);
}

bool file_reader_has_record(const struct file_reader *reader)
{
    const char *data = (const char *)reader->memory->data + reader->begin;
    size_t size = reader->filled - reader->begin;
    if (reader->skipping || size == 0)
        return false;
    if (!is_text(reader))
        return codec_cut(CODEC_FRAME, reader->shared->options, data, size) > 0;
    if (reader->started || data[0] == '{')
        return memchr(data, '\n', size);
    return count_lines(data, size) >= 2;
}

bool file_reader_has_sample(const struct file_reader *reader)
{
    return reader->shared->options->fields.count > 0 || !is_text(reader) ||
           count_lines(reader->memory->data, reader->filled) >= SAMPLE_LINES;
}

/* Has what was read no more in it than a line that is too long? Then there is nothing yet to make a layout of. */
static bool sample_useless(const struct file_reader *reader, size_t sample)
{
    size_t line_max = (size_t)reader->shared->options->line_max;
    if (reader->ended || reader->shared->options->fields.count > 0 || reader->filled > line_max + SAMPLE_MOST)
        return false;
    return sample == 0 || (sample > line_max && count_lines(reader->memory->data, sample) == 1);
}

int file_reader_start(struct file_reader *reader)
{
    struct file_reading *self = reader->shared;
    const char *data = reader->memory->data;
    if (reader->filled == 0)
        return -ENODATA;
    reader->format = (enum codec_format)self->options->format;
    if (reader->format == CODEC_AUTO)
        reader->format = codec_guess(reader->name, data, reader->filled);
    size_t sample = reader->ended ? reader->filled : codec_cut(reader->format, self->options, data, reader->filled);
    if (sample_useless(reader, sample))
        return -EAGAIN;
    if (sample == 0)
        sample = reader->filled;

    struct codec_layout *layout = NULL;
    size_t skip = 0;
    uint64_t lines = 0;
    int error = codec_layout_new(reader->format, self->options, self->env, data, sample, reader->ended, self->layout,
                                 &layout, &skip, &lines);
    if (error < 0) {
        struct weir_error *words = self->env->error;
        char text[sizeof words->text];
        snprintf(text, sizeof text, "%.300s: %.700s", reader->name, words->text); /* which file it is about */
        memcpy(words->text, text, sizeof text);
        return error;
    }
    codec_layout_release(self->layout);
    self->layout = layout;
    codec_layout_release(reader->layout);
    reader->layout = codec_layout_reference(layout);
    reader->begin = skip;
    reader->line += lines;
    reader->started = true;

    struct weir_schema *schema = codec_layout_schema(layout);
    if (schema == self->announced)
        return 0;
    weir_schema_release(self->announced);
    self->announced = weir_schema_reference(schema);
    return weir_emit_schema(reader->shared->context, reader->shared->out, schema);
}

/* ---- Ending ---------------------------------------------------------------------------------------------------- */

void file_reader_rest(struct file_reader *reader)
{
    if (reader->begin < reader->filled)
        return;
    weir_memory_release(reader->memory);
    reader->memory = NULL;
    reader->begin = reader->filled = 0;
    reader->lent = false;
}

void file_reader_reset(struct file_reader *reader)
{
    reader->begin = reader->filled;
    file_reader_rest(reader);
    codec_layout_release(reader->layout);
    *reader = (struct file_reader){.shared = reader->shared, .name = reader->name, .waits = reader->waits, .line = 1};
}

void file_reading_free(struct file_reading *reading)
{
    codec_layout_release(reading->layout);
    weir_schema_release(reading->announced);
    path_list_free(&reading->names);
    *reading = (struct file_reading){0};
}
