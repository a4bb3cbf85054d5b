/* SPDX-License-Identifier: MIT */
/*
 * Records on stdout. Lanes make the text; this thread only writes it. On a pipe or a terminal it asks before it writes,
 * and then writes no more than surely fits, so that a reader that stalls does not hold up the end of the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "codec/codec.h"
#include "parts/parts.h"

enum { COLUMNS_MOST = 10000 };

static const char *const format_names[] = {"auto",  "ndjson", "csv", "influx",
                                           "frame", "table",  NULL}; /* as enum codec_format */

struct sink_stdout {
    struct codec_write_options write;
    struct weir_schema *schema; /* of the header that was written or is pending; a reference */
    struct weir_buffer header;  /* to be written before the next batch */
    bool waits;                 /* a write may have to wait */
    /* A batch of which only a part could be written. The engine comes back with the same one. */
    const struct weir_batch *begun;
    size_t begun_bytes;
    int64_t limit;             /* records; 0: none */
    int64_t written;           /* with a limit */
    struct weir_buffer ending; /* what is still to be written of the batch that reaches the limit */
};

/* What COLUMNS says, if somebody has set it, else the terminal. 0: no terminal, so no end. */
static int columns_of_terminal(void)
{
    const char *text = getenv("COLUMNS");
    int64_t columns = 0;
    struct winsize size;
    if ((!text || units_integer(text, &columns) < 0 || columns <= 0) && isatty(STDOUT_FILENO) &&
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    return columns > 0 && columns < COLUMNS_MOST ? (int)columns : 0;
}

static int sink_open(void *state, struct weir_env *env)
{
    struct sink_stdout *self = state;
    struct stat status;
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || fstat(STDOUT_FILENO, &status) < 0)
        return weir_fail(env->error, -EBADF, "stdout is closed; send it to a file or a program, or use another sink");
    if (self->write.format == CODEC_AUTO)
        self->write.format = isatty(STDOUT_FILENO) ? CODEC_TABLE : CODEC_NDJSON;
    self->write.width = columns_of_terminal();
    self->waits = !S_ISREG(status.st_mode);
    return 0;
}

static void sink_close(void *state, struct weir_env *env)
{
    struct sink_stdout *self = state;
    (void)env;
    weir_schema_release(self->schema);
    self->schema = NULL;
    buffer_free(&self->header);
    buffer_free(&self->ending);
}

static int sink_bind(void *state, struct weir_env *env, struct weir_schema *in)
{
    struct sink_stdout *self = state;
    if (self->schema && weir_schema_equal(self->schema, in))
        return 0;
    if (self->schema && self->write.format == CODEC_CSV)
        return weir_fail_at(
            env->error, -EINVAL, env->mark,
            "csv has one set of columns, and here come others; use format: ndjson, or `select` the same "
            "columns before");
    return 0;
}

static int sink_encode(const void *state, struct weir_symbols *symbols, const struct weir_batch *in,
                       struct weir_buffer *out)
{
    const struct sink_stdout *self = state;
    return codec_encode(&self->write, symbols, in, out);
}

/* Writes all of data but its first *done bytes, and adds to *done what was written. */
static int write_bytes(struct sink_stdout *self, struct weir_env *env, const char *data, size_t size, size_t *done)
{
    while (*done < size) {
        size_t piece = size - *done;
        if (self->waits) {
            int error = weir_wait_fd(env->context, STDOUT_FILENO, POLLOUT, WEIR_NEVER);
            if (error < 0)
                return error;
            piece = piece < PIPE_BUF ? piece : PIPE_BUF;
        }
        ssize_t written = write(STDOUT_FILENO, data + *done, piece);
        if (written >= 0) {
            *done += (size_t)written;
            continue;
        }
        if (errno == EINTR || (errno == EAGAIN && self->waits))
            continue;
        int code = -errno;
        if (code == -EPIPE)
            return weir_fail(env->error, code, "stdout: nobody reads it any more");
        return weir_fail(env->error, code, "stdout: %s; make room, or send it elsewhere", strerror(-code));
    }
    return 0;
}

/* A header whenever the columns change: once for csv, which bind sees to. */
static int write_header(struct sink_stdout *self, struct weir_env *env, struct weir_schema *schema)
{
    if (!self->schema || !weir_schema_equal(self->schema, schema)) {
        self->header.size = 0;
        int error = codec_encode_header(&self->write, schema, &self->header);
        if (error < 0)
            return weir_fail(env->error, error, "stdout: no memory for the header");
        weir_schema_release(self->schema);
        self->schema = weir_schema_reference(schema);
    }
    size_t done = 0;
    int error = write_bytes(self, env, self->header.data, self->header.size, &done);
    if (done > 0 && done < self->header.size)
        memmove(self->header.data, self->header.data + done, self->header.size - done);
    self->header.size -= done;
    return error;
}

/* The first records of a batch, as many as the limit still lets through; then the run ends. */
static int write_ending(struct sink_stdout *self, struct weir_env *env, struct weir_batch *in)
{
    uint32_t count = (uint32_t)(self->limit - self->written), row = 0;
    if (self->begun != in) {
        struct weir_batch *first = weir_batch_derive(env->pool, in, in->schema);
        uint32_t *rows = first ? weir_batch_allocate(first, count * sizeof *rows) : NULL;
        for (; rows && row < count; row++)
            rows[row] = weir_batch_row(in, row);
        if (rows)
            weir_batch_select(first, rows, count);
        int error = rows ? codec_encode(&self->write, env->symbols, first, &self->ending) : -ENOMEM;
        weir_batch_release(first);
        if (error < 0)
            return weir_fail(env->error, error, "stdout: out of memory");
        self->begun = in;
        self->begun_bytes = 0;
    }
    int error = write_bytes(self, env, self->ending.data, self->ending.size, &self->begun_bytes);
    if (error < 0)
        return error;
    self->written = self->limit;
    weir_enough(env, count);
    return 0;
}

static int sink_write(void *state, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    struct sink_stdout *self = state;
    int error = write_header(self, env, in->schema);
    if (error < 0)
        return error;
    if (self->limit > 0 && in->count >= self->limit - self->written)
        return write_ending(self, env, in);
    size_t done = self->begun == in ? self->begun_bytes : 0;
    error = write_bytes(self, env, bytes, size, &done);
    self->begun = error < 0 ? in : NULL;
    self->begun_bytes = done;
    self->written += error < 0 ? 0 : in->count;
    uint64_t skipped = error < 0 ? 0 : codec_encode_skipped(&self->write, in, bytes, size);
    if (skipped > 0)
        weir_count(env, "no field to write", NULL, skipped);
    return error;
}

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "format", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_stdout, write.format),
     .fallback = "auto", .choices = format_names, .flags = WEIR_OPTION_MAIN,
     .help = "how records are written; auto is a table on a terminal, else ndjson"},
    {.name = "limit", .type = WEIR_OPTION_INTEGER, .offset = offsetof(struct sink_stdout, limit), .least = 1,
     .most = 0x1p62, .help = "end the run as soon as so many records were written"},
    {.name = "time_format", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_stdout, write.time_format),
     .fallback = "auto", .choices = time_format_names, .help = "how times are written; auto is rfc3339"},
    {.name = "header", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct sink_stdout, write.header),
     .fallback = "true", .help = "csv: begin with a line that names the columns"},
    {.name = "measurement", .type = WEIR_OPTION_STRING, .offset = offsetof(struct sink_stdout, write.measurement),
     .help = "influx: the measurement of records that have no column of that name (default: weir)"},
    {.type = WEIR_OPTION_END},
};

const struct weir_sink sink_stdout = {
    .part = {
        .kind = WEIR_SINK,
        .name = "stdout",
        .summary = "records on stdout: ndjson, csv, or a table to look at",
        .example = "sinks:\n"
                   "  screen: {type: stdout, format: csv}\n",
        .options = options,
        .size = sizeof(struct sink_stdout),
        .open = sink_open,
        .close = sink_close,
    },
    .bind = sink_bind,
    .encode = sink_encode,
    .write = sink_write,
    .keep_order = true,
};
