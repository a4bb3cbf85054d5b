/* SPDX-License-Identifier: MIT */
/*
 * Records into a file. Each batch is written as a whole or not at all: when the disk is full in the middle of one, the
 * file is cut back to the end of the batch before, so it never ends in half a record.
 *
 * The file is locked while it is written, so that two sinks do not mix their records, and it is emptied only when the
 * first columns are known or, without any, at the end: a mistake elsewhere in the pipeline does not cost the output of
 * the run before, and a file source, which looks at the lock, does not lose its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "codec/codec.h"
#include "parts/parts.h"

static const char *const format_names[] = {"auto", "ndjson", "csv", "influx", "frame", NULL}; /* as enum codec_format */

enum fsync_when { FSYNC_NEVER, FSYNC_CLOSE, FSYNC_COMMIT };
static const char *const fsync_names[] = {"never", "close", "commit", NULL};

struct sink_file {
    const char *path;
    bool append, atomic;
    int fsync; /* enum fsync_when */
    struct codec_write_options write;

    int fd;      /* + 1, so that 0 is none */
    char *part;  /* atomic: the name until it is closed */
    bool broken; /* a write failed for good: the file does not get its name */
    bool regular;
    bool ready;                 /* it was emptied, or its end looked at */
    off_t size;                 /* of the file: whole batches */
    struct weir_schema *schema; /* a reference */
    struct weir_buffer header;  /* to be written before the next batch */
};

static int file(const struct sink_file *self)
{
    return self->fd - 1;
}

static int explain(const struct sink_file *self, struct weir_env *env, int code)
{
    const char *words;
    switch (-code) {
    case ENOENT:
        words = "there is no such folder; create it, or check `path`";
        break;
    case EISDIR:
        words = "this is a directory; give the name of a file in it";
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        words = "no permission to write it; see ls -l, or choose another `path`";
        break;
    case EBUSY:
        words = "another file sink, of this or another weir, is writing it; choose another `path`";
        break;
    case ENOSPC:
        words = "the disk is full; make room, or choose a `path` on another disk";
        break;
    case EDQUOT:
        words = "the quota is used up; make room, or choose a `path` elsewhere";
        break;
    case EFBIG:
        words = "the file must not get larger here; see ulimit -f";
        break;
    case EPIPE:
        words = "nobody reads it any more";
        break;
    default:
        return weir_fail(env->error, code, "%s: %s; check the file and its disk", self->path, strerror(-code));
    }
    return weir_fail(env->error, code, "%s: %s", self->path, words);
}

/* Under which name to write. */
static int choose_name(struct sink_file *self, struct weir_env *env)
{
    struct stat status;
    if (!self->atomic)
        return 0;
    if (self->append)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`atomic` replaces the file at the end, `append` adds to it: leave out one of them");
    if (stat(self->path, &status) == 0 && !S_ISREG(status.st_mode))
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: only a file can be replaced; leave out `atomic`",
                            self->path);
    self->part = memory_format("%s.part", self->path);
    return self->part ? 0 : weir_fail(env->error, -ENOMEM, "%s: out of memory", self->path);
}

static int sink_open(void *state, struct weir_env *env)
{
    struct sink_file *self = state;
    struct stat status;
    size_t length = strlen(self->path);
    if (self->write.format == CODEC_AUTO)
        self->write.format = length > 4 && strcasecmp(self->path + length - 4, ".csv") == 0 ? CODEC_CSV : CODEC_NDJSON;

    int error = choose_name(self, env);
    if (error < 0)
        return error;
    const char *name = self->part ? self->part : self->path;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0 && errno == EACCES) /* devices and files that can be written but not read */
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return explain(self, env, -errno);
    self->fd = fd + 1;
    if (fstat(fd, &status) < 0)
        return explain(self, env, -errno);
    self->regular = S_ISREG(status.st_mode);
    if (self->regular && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return explain(self, env, -EBUSY);
    return 0;
}

/* Gives a file that is whole its name, on the disk too. */
static void finish_part(struct sink_file *self, struct weir_env *env)
{
    if (!self->ready || self->broken) {
        if (!self->ready)
            (void)unlink(self->part);
        else
            weir_notice(env, "not finished", "%s was not finished: what there is of it is in %s", self->path,
                        self->part);
        return;
    }
    if (rename(self->part, self->path) < 0) {
        weir_notice(env, "not renamed", "%s cannot be renamed to %s: %s", self->part, self->path, strerror(errno));
        return;
    }
    if (self->fsync == FSYNC_NEVER)
        return;
    const char *slash = strrchr(self->path, '/');
    char *folder = memory_format("%.*s", slash ? (int)(slash + 1 - self->path) : 1, slash ? self->path : ".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    memory_free(folder);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static void sink_close(void *state, struct weir_env *env)
{
    struct sink_file *self = state;
    if (self->fd > 0) {
        bool safe = self->fsync == FSYNC_NEVER || !self->regular || !self->ready || fsync(file(self)) == 0;
        if (!safe) {
            self->broken = true;
            weir_notice(env, "not safe", "%s: %s: what was written last may be lost; check the disk", self->path,
                        strerror(errno));
        }
        if (self->part)
            finish_part(self, env);
        close(file(self));
        self->fd = 0;
    }
    memory_free(self->part);
    self->part = NULL;
    weir_schema_release(self->schema);
    self->schema = NULL;
    buffer_free(&self->header);
}

/* Does the file that we append to begin with our header? */
static int check_header(struct sink_file *self, struct weir_env *env)
{
    size_t size = self->header.size;
    char *found = memory_allocate(size ? size : 1);
    if (!found)
        return weir_fail(env->error, -ENOMEM, "%s: no memory for its header", self->path);
    ssize_t got = pread(file(self), found, size, 0);
    bool same = got >= 0 && (size_t)got == size && memcmp(found, self->header.data, size) == 0;
    memory_free(found);
    if (!same)
        return weir_fail_at(env->error, -EEXIST, env->mark,
                            "%s: its first line does not name the columns that are to be appended; choose another "
                            "`path`, or leave out `append` to replace it",
                            self->path);
    self->header.size = 0;
    return 0;
}

static int find_end(struct sink_file *self, struct weir_env *env)
{
    char last = '\n';
    self->size = lseek(file(self), 0, SEEK_END);
    if (self->size < 0)
        return explain(self, env, -errno);
    if (self->size == 0)
        return 0;
    if (self->header.size > 0) {
        int error = check_header(self, env);
        if (error < 0)
            return error;
    }
    if (pread(file(self), &last, 1, self->size - 1) == 1 && last != '\n') {
        weir_notice(env, "torn", "%s ended in the middle of a line; appending on a new one", self->path);
        buffer_append(&self->header, "\n", 1);
    }
    return 0;
}

/* Empties the file or, to append, finds its end; once. */
static int prepare(struct sink_file *self, struct weir_env *env)
{
    if (!self->regular || self->ready)
        return 0;
    int error;
    if (self->append)
        error = find_end(self, env);
    else
        error = ftruncate(file(self), 0) < 0 ? explain(self, env, -errno) : 0;
    self->ready = error == 0;
    return error;
}

static int sink_bind(void *state, struct weir_env *env, struct weir_schema *in)
{
    struct sink_file *self = state;
    if (self->schema) {
        if (self->write.format != CODEC_CSV || weir_schema_equal(self->schema, in))
            return 0;
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: csv has one set of columns, and here come others; use format: ndjson, or `select` the "
                            "same columns before",
                            self->path);
    }
    int error = codec_encode_header(&self->write, in, &self->header);
    if (error < 0)
        return weir_fail(env->error, error, "%s: no memory for its header", self->path);
    error = prepare(self, env);
    if (error < 0) {
        self->header.size = 0;
        return error;
    }
    self->schema = weir_schema_reference(in);
    return 0;
}

static int sink_encode(const void *state, struct weir_symbols *symbols, const struct weir_batch *in,
                       struct weir_buffer *out)
{
    const struct sink_file *self = state;
    return codec_encode(&self->write, symbols, in, out);
}

/* All of data or, where the file can be cut back, nothing of it. */
static int write_bytes(struct sink_file *self, struct weir_env *env, const char *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t written = self->regular ? pwrite(file(self), data + done, size - done, self->size + (off_t)done)
                                        : write(file(self), data + done, size - done);
        if (written > 0) {
            done += (size_t)written;
            continue;
        }
        int code = written == 0 ? -ENOSPC : -errno;
        if (code == -EINTR)
            continue;
        if (done > 0 && self->regular && ftruncate(file(self), self->size) < 0)
            return weir_fail(env->error, -EIO, "%s: %s, and it cannot be cut back (%s): it ends in half a record",
                             self->path, strerror(-code), strerror(errno));
        if (done > 0 && !self->regular) /* a pipe or device: not to be tried again, what is written is written */
            return weir_fail(env->error, -EIO, "%s: %s in the middle of a record; check what reads it", self->path,
                             strerror(-code));
        return explain(self, env, code);
    }
    if (self->regular)
        self->size += (off_t)size;
    return 0;
}

static int sink_write(void *state, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    struct sink_file *self = state;
    (void)in;
    int error = prepare(self, env);
    if (error == 0)
        error = write_bytes(self, env, self->header.data, self->header.size);
    if (error < 0)
        return error;
    self->header.size = 0;
    error = write_bytes(self, env, bytes, size);
    self->broken = error < 0; /* tried again, it may come out well */
    return error;
}

/* For the run that stored no record: its output is an empty file (with a header), not that of the run before. */
static int sink_commit(void *state, struct weir_env *env, uint64_t epoch)
{
    struct sink_file *self = state;
    (void)epoch;
    int error = prepare(self, env);
    if (error == 0 && self->header.size > 0)
        error = write_bytes(self, env, self->header.data, self->header.size);
    if (error < 0)
        return error;
    self->header.size = 0;
    if (self->fsync == FSYNC_COMMIT && self->regular && fdatasync(file(self)) < 0)
        return explain(self, env, -errno);
    return 0;
}

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "path", .type = WEIR_OPTION_STRING, .offset = offsetof(struct sink_file, path),
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_MAIN, .help = "the file; it is replaced, unless `append` is true"},
    {.name = "format", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_file, write.format),
     .fallback = "auto", .choices = format_names,
     .help = "how records are written; auto is csv for *.csv, else ndjson"},
    {.name = "append", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct sink_file, append), .fallback = "false",
     .help = "keep what is in the file and write behind it"},
    {.name = "atomic", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct sink_file, atomic), .fallback = "false",
     .help = "write to PATH.part, which gets its name only at the end, when it is whole"},
    {.name = "fsync", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_file, fsync), .fallback = "close",
     .choices = fsync_names, .help = "when to wait for the disk; commit: before records count as stored"},
    {.name = "time_format", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_file, write.time_format),
     .fallback = "auto", .choices = time_format_names, .help = "how times are written; auto is rfc3339"},
    {.name = "header", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct sink_file, write.header),
     .fallback = "true", .help = "csv: begin with a line that names the columns"},
    {.type = WEIR_OPTION_END},
};

const struct weir_sink sink_file = {
    .part = {
        .kind = WEIR_SINK,
        .name = "file",
        .summary = "records into a file: ndjson or csv",
        .example = "sinks:\n"
                   "  archive: {type: file, path: readings.csv}\n",
        .options = options,
        .size = sizeof(struct sink_file),
        .open = sink_open,
        .close = sink_close,
    },
    .bind = sink_bind,
    .encode = sink_encode,
    .write = sink_write,
    .commit = sink_commit,
    .commit_rows = 1, /* it costs nothing */
    .keep_order = true,
};
