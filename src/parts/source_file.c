/* SPDX-License-Identifier: MIT */
/*
 * Reads files, or a stream such as stdin, and hands on blocks that end where a record ends; lanes decode them.
 *
 *     memory  |#### handed on ####|···· whole records ····|·· begun ··|        free        |
 *             0                   begin                   cut         filled               room
 *
 * A block that was handed on belongs to the lanes too, so what is left behind `cut` is copied to the start of the next.
 * Only regular files are read without asking first; on anything else we wait until there is something to read, and hand
 * on what is complete as soon as a lane wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "codec/codec.h"
#include "data/pool.h"
#include "parts/parts.h"
#include "parts/path_list.h"

enum {
    SAMPLE_BYTES = 256 << 10, /* of each file, for its layout */
    BLOCK_LEAST = 16 << 10,
    BLOCK_SPARE = 256,     /* what the pool adds to a block, so that its slab stays a power of two */
    SAMPLE_LINES = 64,     /* of a stream, unless its fields are declared */
    SAMPLE_MOST = 8 << 20, /* when a file begins with a line that is too long */
    ROWS_COUNTED = 256,    /* blocks of fewer rows are cut by the line, larger ones by bytes */
};
#define SAMPLE_PATIENCE (250 * CLOCK_MILLISECOND) /* how long a stream's first records wait for more of the sample */
#define PACE_LEAST (50 * CLOCK_MICROSECOND)       /* shortest sleep worth its switch */
#define MEMORY_PATIENCE (10 * CLOCK_SECOND)       /* how long to wait for blocks that are in flight to come back */

struct source_file {
    struct weir_list path;
    struct codec_read_options read;
    double rate;
    int64_t repeat;

    struct weir_env *env;
    struct path_list files;
    struct codec_layout *layout;   /* of the newest file */
    struct weir_schema *announced; /* the schema that was emitted last; a reference */
    uint64_t position;             /* of the next record in the source */
    int64_t due_from;              /* with a rate: the record at due_position is due at this time */
    uint64_t due_position;
    bool due_known;
};

/* One file being read. */
struct reader {
    struct source_file *source;
    struct weir_context *context;
    struct weir_emitter *out;
    const char *name; /* for messages and the decoder */
    int fd;
    bool owned;    /* fd is ours to close */
    bool stream;   /* a read may have to wait */
    bool ended;    /* there is nothing more to read */
    bool started;  /* the layout is known */
    bool skipping; /* in the rest of a line that is too long */
    bool shared;   /* part of the memory was handed on: it must not be written any more */
    enum codec_format format;
    struct weir_memory *memory;
    size_t begin, filled;
    uint64_t line;   /* number of the line at begin, from 1 */
    int64_t read_at; /* when the first bytes behind the carried-over ones were read; 0: not yet */
};

/* ---- Opening --------------------------------------------------------------------------------------------------- */

static int check_repeat(struct source_file *self, struct weir_mark mark)
{
    for (size_t i = 0; self->repeat != 1 && i < self->files.count; i++) {
        struct stat status;
        bool once = path_is_stdin(self->files.names[i]) ||
                    (stat(self->files.names[i], &status) == 0 && !S_ISREG(status.st_mode));
        if (once)
            return weir_fail_at(self->env->error, -EINVAL, mark,
                                "`repeat` needs files that can be read again, and %s cannot; leave out `repeat`",
                                path_is_stdin(self->files.names[i]) ? "stdin" : self->files.names[i]);
    }
    return 0;
}

static int source_open(void *state, struct weir_env *env)
{
    struct source_file *self = state;
    self->env = env;
    struct weir_mark mark = self->path.count ? self->path.items[0].value.mark : env->mark;
    for (size_t i = 0; i < self->path.count; i++) {
        size_t before = self->files.count;
        int error = path_list_add(&self->files, self->path.items[i].value.text);
        if (error < 0)
            return weir_fail(env->error, error, "no memory for the list of files; read fewer files");
        if (self->files.count == before)
            weir_notice(env, "no match", "no file matches %s", self->path.items[i].value.text);
    }
    if (self->files.count == 0)
        return weir_fail_at(env->error, -ENOENT, mark,
                            "no file matches %s%s; check `path` (it is taken from the directory weir is run in)",
                            self->path.count ? self->path.items[0].value.text : "an empty `path`",
                            self->path.count > 1 ? " or the other patterns" : "");
    int first = 0;
    size_t good = 0, bad = 0;
    for (size_t i = 0; i < self->files.count; i++) {
        int error = path_check(self->files.names[i]);
        if (error == -EBUSY) /* never read on while somebody, perhaps we, destroys the input */
            return path_explain(env->error, mark, self->files.names[i], error);
        if (error < 0 && first == 0) {
            first = error;
            bad = i;
        }
        good += error == 0;
    }
    if (good == 0)
        return path_explain(env->error, mark, self->files.names[bad], first);
    return check_repeat(self, mark);
}

static void source_close(void *state, struct weir_env *env)
{
    struct source_file *self = state;
    (void)env;
    path_list_free(&self->files);
    codec_layout_release(self->layout);
    self->layout = NULL;
    weir_schema_release(self->announced);
    self->announced = NULL;
}

/* ---- Memory and bytes ------------------------------------------------------------------------------------------ */

static size_t room(const struct reader *reader)
{
    return reader->memory ? reader->memory->size : 0;
}

/* Memory that can be written, with space behind `filled`: a new block when the old one was handed on, a larger one when
 * a single record fills it. What was begun is carried over to its start. */
static int make_room(struct reader *reader)
{
    struct source_file *self = reader->source;
    size_t begun = reader->filled - reader->begin;
    if (reader->memory && !reader->shared && begun <= reader->begin) {
        memcpy(reader->memory->data, (char *)reader->memory->data + reader->begin, begun);
        reader->begin = 0;
        reader->filled = begun;
    }
    if (reader->memory && !reader->shared && reader->filled < room(reader))
        return 0;
    size_t want = weir_emit_bytes(reader->out);
    if (want < BLOCK_LEAST)
        want = BLOCK_LEAST;
    if (!reader->started && want < SAMPLE_BYTES)
        want = SAMPLE_BYTES;
    while (want < 2 * begun + 2 * BLOCK_SPARE)
        want *= 2;

    struct weir_memory *memory;
    int64_t until = weir_now(reader->context) + MEMORY_PATIENCE;
    while (!(memory = pool_memory(self->env->pool, want - BLOCK_SPARE))) {
        if (weir_now(reader->context) > until)
            return weir_fail(self->env->error, -ENOMEM,
                             "%s: no memory for a block of %zu bytes in 10 s; raise `memory`, or lower `line_max`",
                             reader->name, want);
        int error = weir_sleep(reader->context, CLOCK_MILLISECOND);
        if (error < 0)
            return error;
    }
    if (begun > 0)
        memcpy(memory->data, (const char *)reader->memory->data + reader->begin, begun);
    weir_memory_release(reader->memory);
    reader->memory = memory;
    reader->begin = 0;
    reader->filled = begun;
    reader->shared = false;
    reader->read_at = 0;
    return 0;
}

/* One read. Returns how many bytes came, 0 with `ended` set at the end, or a negative errno. */
static ssize_t read_once(struct reader *reader)
{
    char *data = reader->memory->data;
    ssize_t got = read(reader->fd, data + reader->filled, room(reader) - reader->filled);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    if (reader->read_at == 0)
        reader->read_at = weir_now(reader->context);
    if (got == 0)
        reader->ended = true;
    reader->filled += (size_t)got;
    return got;
}

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

/* ---- Handing on ------------------------------------------------------------------------------------------------ */

/* Memory for a block of the next `size` bytes: what they were read into or, when that is much larger, a copy. Else a
 * trickle of records would keep far more memory from being used again than anybody accounts for. */
static struct weir_memory *share_or_copy(struct reader *reader, size_t size, const char **data)
{
    *data = (const char *)reader->memory->data + reader->begin;
    if (size <= room(reader) / 4) {
        struct weir_memory *copy = pool_memory(reader->source->env->pool, size);
        if (copy) {
            memcpy(copy->data, *data, size);
            *data = copy->data;
            return copy;
        }
    }
    reader->shared = true;
    return weir_memory_reference(reader->memory);
}

/* Hands on the next `size` bytes: whole records, or the first piece of a line that is too long. */
static int emit_piece(struct reader *reader, size_t size, int64_t produced)
{
    struct source_file *self = reader->source;
    const char *data;
    struct weir_block block = {
        .memory = share_or_copy(reader, size, &data),
        .size = size,
        .layout = codec_layout_reference(self->layout),
        .file = reader->name,
        .line = reader->line,
        .position = self->position,
        .produced = produced,
    };
    block.data = data;
    uint64_t lines = count_lines(data, size) + (data[size - 1] != '\n');
    reader->line += lines;
    reader->begin += size;
    self->position += lines;
    return weir_emit_block(reader->context, reader->out, &block);
}

/* Of `most` bytes of whole records: `size` of them, to the end of a record, or more where one record is longer. */
static size_t cut_near(const struct reader *reader, size_t size, size_t most)
{
    const char *data = (const char *)reader->memory->data + reader->begin;
    for (; size < most; size *= 2) {
        size_t whole = codec_cut(reader->format, &reader->source->read, data, size);
        if (whole > 0)
            return whole;
    }
    return most;
}

/* Of `most` bytes of whole records: the next `lines` lines, or more where a record has several. */
static size_t cut_lines(const struct reader *reader, uint64_t lines, size_t most)
{
    const char *data = (const char *)reader->memory->data + reader->begin;
    size_t size = 0;
    for (; lines > 0 && size < most; lines--) {
        const char *newline = memchr(data + size, '\n', most - size);
        size = newline ? (size_t)(newline - data) + 1 : most;
    }
    return cut_near(reader, size, most);
}

static int64_t due_time(const struct source_file *self)
{
    return self->due_from + (int64_t)((double)(self->position - self->due_position) * (1e9 / self->rate));
}

/* Hands on `size` bytes of whole records at the rate asked for, each block no earlier than its first record is due.
 * When we are late, a block spans a sixteenth of the lateness at most: it has but one time of production. */
static int emit_paced(struct reader *reader, size_t size)
{
    struct source_file *self = reader->source;
    if (!self->due_known || (reader->stream && due_time(self) < reader->read_at)) {
        self->due_from = self->due_known ? reader->read_at : weir_now(reader->context);
        self->due_position = self->position;
        self->due_known = true;
    }
    size_t end = reader->begin + size;
    while (reader->begin < end) {
        int64_t now = weir_now(reader->context), due = due_time(self);
        if (due > now) {
            int error = weir_sleep_until(reader->context, due < now + PACE_LEAST ? now + PACE_LEAST : due);
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
        weir_emit_late_by(reader->out, late, self->position - before);
    }
    return 0;
}

/* Hands on `size` bytes of whole records, in blocks no larger than is asked for just now. */
static int emit_records(struct reader *reader, size_t size)
{
    if (reader->source->rate > 0)
        return emit_paced(reader, size);
    int64_t produced = reader->read_at ? reader->read_at : weir_now(reader->context);
    int error = 0;
    for (size_t piece; size > 0 && error == 0; size -= piece) {
        uint32_t rows = weir_emit_rows(reader->out);
        piece = rows < ROWS_COUNTED ? cut_lines(reader, rows, size)
                                    : cut_near(reader, weir_emit_bytes(reader->out), size);
        error = emit_piece(reader, piece, produced);
    }
    return error;
}

/* How much of what was read is whole records. */
static size_t whole_records(const struct reader *reader)
{
    struct source_file *self = reader->source;
    const char *data = (const char *)reader->memory->data + reader->begin;
    size_t pending = reader->filled - reader->begin;
    if (reader->ended || pending == 0)
        return pending;
    size_t cut = codec_cut(reader->format, &self->read, data, pending);
    if (cut == 0 && pending > (size_t)self->read.line_max) {
        /* Either one line that is too long, or a quotation mark that was never closed: then the lines after it are
         * good, and the decoder, which gets them as a block, finds out. */
        const char *newline = memrchr(data, '\n', pending);
        cut = newline ? (size_t)(newline - data) + 1 : 0;
    }
    return cut;
}

/* Drops the rest of a line that was too long; true when its end was found. */
static bool skip_line(struct reader *reader)
{
    const char *data = reader->memory->data;
    const char *newline = memchr(data + reader->begin, '\n', reader->filled - reader->begin);
    reader->begin = newline ? (size_t)(newline - data) + 1 : reader->filled;
    reader->skipping = !newline;
    return newline;
}

/* ---- One file -------------------------------------------------------------------------------------------------- */

/* Is there a record to hand on? At a stream's beginning: something to make a layout of, so more than a header line. */
static bool record_there(const struct reader *reader)
{
    const char *data = (const char *)reader->memory->data + reader->begin;
    size_t size = reader->filled - reader->begin;
    if (reader->skipping || size == 0)
        return false;
    if (reader->started || data[0] == '{')
        return memchr(data, '\n', size);
    return count_lines(data, size) >= 2;
}

/* Is there enough of a stream to guess types from, or nothing to guess? */
static bool sample_complete(const struct reader *reader)
{
    return reader->source->read.fields.count > 0 || count_lines(reader->memory->data, reader->filled) >= SAMPLE_LINES;
}

/* Waits for a stream until there are whole records and a lane wants them, the block is full, or they waited enough. */
static int fill_from_stream(struct reader *reader)
{
    int64_t first_at = 0; /* when the first record was there */
    while (!reader->ended && reader->filled < room(reader)) {
        if (first_at == 0 && record_there(reader))
            first_at = weir_now(reader->context);
        bool ready = first_at != 0;
        if (ready && (reader->started ? weir_emit_wanted(reader->out) : sample_complete(reader)))
            return 0;
        int64_t patience = reader->started ? weir_emit_linger(reader->out) : SAMPLE_PATIENCE;
        int error = weir_wait_fd(reader->context, reader->fd, POLLIN, ready ? first_at + patience : WEIR_NEVER);
        if (error == -ETIMEDOUT)
            return 0;
        if (error == -ECANCELED && ready) /* what was read before the stop is still handed on */
            return 0;
        if (error < 0)
            return error;
        ssize_t got = read_once(reader);
        if (got < 0)
            return (int)got;
        if (reader->skipping)
            return 0;
    }
    return 0;
}

static int fill_from_file(struct reader *reader)
{
    while (!reader->ended && reader->filled < room(reader)) {
        ssize_t got = read_once(reader);
        if (got < 0)
            return (int)got;
    }
    return 0;
}

/* Has what was read no more in it than a line that is too long? Then there is nothing yet to make a layout of. */
static bool sample_useless(const struct reader *reader, size_t sample)
{
    size_t line_max = (size_t)reader->source->read.line_max;
    if (reader->ended || reader->source->read.fields.count > 0 || reader->filled > line_max + SAMPLE_MOST)
        return false;
    return sample == 0 || (sample > line_max && count_lines(reader->memory->data, sample) == 1);
}

/* Finds out the columns from the first block. -ENODATA: the file is empty; -EAGAIN: more of it is needed. */
static int start_file(struct reader *reader)
{
    struct source_file *self = reader->source;
    const char *data = reader->memory->data;
    if (reader->filled == 0)
        return -ENODATA;
    reader->format = (enum codec_format)self->read.format;
    if (reader->format == CODEC_AUTO)
        reader->format = codec_guess(reader->name, data, reader->filled);
    size_t sample = reader->ended ? reader->filled : codec_cut(reader->format, &self->read, data, reader->filled);
    if (sample_useless(reader, sample))
        return -EAGAIN;
    if (sample == 0)
        sample = reader->filled;

    struct codec_layout *layout = NULL;
    size_t skip = 0;
    uint64_t lines = 0;
    int error = codec_layout_new(reader->format, &self->read, self->env, data, sample, reader->ended, self->layout,
                                 &layout, &skip, &lines);
    if (error < 0)
        return error;
    codec_layout_release(self->layout);
    self->layout = layout;
    reader->begin = skip;
    reader->line += lines;
    reader->started = true;

    struct weir_schema *schema = codec_layout_schema(layout);
    if (schema == self->announced)
        return 0;
    weir_schema_release(self->announced);
    self->announced = weir_schema_reference(schema);
    return weir_emit_schema(reader->context, reader->out, schema);
}

static int read_records(struct reader *reader)
{
    struct source_file *self = reader->source;
    size_t line_max = (size_t)self->read.line_max;
    for (;;) {
        int error = make_room(reader);
        if (error == 0)
            error = reader->stream ? fill_from_stream(reader) : fill_from_file(reader);
        if (error == 0 && !reader->started)
            error = start_file(reader);
        if (error == -EAGAIN)
            continue;
        if (error < 0)
            return error;
        if (reader->skipping && !skip_line(reader) && !reader->ended)
            continue;

        size_t size = whole_records(reader);
        if (size > 0) {
            error = emit_records(reader, size);
        } else if (reader->filled - reader->begin > line_max) {
            error = emit_records(reader, line_max + 1);
            reader->skipping = true;
        }
        reader->read_at = 0; /* what is left becomes records with the next read */
        if (error == 0 && weir_stopping(reader->context))
            error = -ECANCELED;
        if (error < 0)
            return error;
        if (reader->ended && reader->begin == reader->filled)
            return 0;
    }
}

static int open_reader(struct reader *reader)
{
    struct stat status;
    if (!path_is_stdin(reader->name)) {
        reader->fd = open(reader->name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (reader->fd < 0)
            return -errno;
        reader->owned = true;
    } else {
        reader->name = "stdin";
    }
    if (fstat(reader->fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    reader->stream = !S_ISREG(status.st_mode);
    if (!reader->stream)
        (void)posix_fadvise(reader->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

/* Reads one file. What is wrong with one of several files is told, counted and passed over; with the only one it ends
 * the run. */
static int read_file(struct source_file *self, const char *name, struct weir_context *context, struct weir_emitter *out)
{
    struct reader reader = {
        .source = self, .context = context, .out = out, .name = name, .fd = STDIN_FILENO, .line = 1};
    struct weir_error *words = self->env->error;
    int error = open_reader(&reader);
    if (error == 0) {
        weir_emit_unhurried(out, !reader.stream && self->rate == 0);
        error = read_records(&reader);
    }
    weir_memory_release(reader.memory);
    if (reader.owned)
        close(reader.fd);

    if (error == -ENODATA) {
        weir_notice(self->env, "empty file", "%s is empty: no records", reader.name);
        weir_count(self->env, "empty file", reader.name, 1);
        return 0;
    }
    if (error == 0 || error == -ECANCELED)
        return error;
    if (words && words->code == 0)
        path_explain(words, (struct weir_mark){0}, reader.name, error);
    if (self->files.count == 1 || error == -ENOMEM)
        return error;
    weir_notice(self->env, "file skipped", "%s; going on with the next file", words ? words->text : reader.name);
    weir_count(self->env, "file skipped", reader.name, 1);
    if (words)
        *words = (struct weir_error){0};
    return 0;
}

static int source_run(void *state, struct weir_context *context, struct weir_emitter *out)
{
    struct source_file *self = state;
    if (self->rate > 0)
        weir_emit_offered(out, self->rate);
    for (int64_t pass = 0; self->repeat == 0 || pass < self->repeat; pass++) {
        uint64_t before = self->position;
        for (size_t i = 0; i < self->files.count; i++) {
            int error = read_file(self, self->files.names[i], context, out);
            if (error < 0)
                return error == -ECANCELED ? 0 : error;
        }
        if (self->position == before) /* nothing to repeat */
            return 0;
    }
    return 0;
}

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "path", .type = WEIR_OPTION_STRINGS, .offset = offsetof(struct source_file, path),
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_MAIN,
     .help = "a file, a pattern such as data/*.csv (sorted by name), a list of them, or - for stdin"},
    CODEC_READ_OPTIONS(struct source_file, read),
    {.name = "rate", .type = WEIR_OPTION_RATE, .offset = offsetof(struct source_file, rate), .fallback = "unlimited",
     .help = "replay at this many records per second; unlimited reads as fast as records are taken"},
    {.name = "repeat", .type = WEIR_OPTION_INTEGER, .offset = offsetof(struct source_file, repeat), .fallback = "1",
     .least = 0, .most = 1e12, .help = "read everything this many times; 0 repeats for ever"},
    {.type = WEIR_OPTION_END},
};

const struct weir_source source_file = {
    .part = {
        .kind = WEIR_SOURCE,
        .name = "file",
        .summary = "records from files (NDJSON, CSV) or stdin",
        .example = "sources:\n"
                   "  readings: {type: file, path: \"data/*.csv\", time: timestamp, key: sensor}\n"
                   "sinks:\n"
                   "  screen: {type: stdout}\n",
        .options = options,
        .size = sizeof(struct source_file),
        .open = source_open,
        .close = source_close,
    },
    .run = source_run,
};
