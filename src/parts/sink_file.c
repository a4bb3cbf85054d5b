/* SPDX-License-Identifier: MIT */
/*
 * Records into a file. Each batch is written as a whole or not at all, packed or not, so the file never ends in half a
 * record; what is packed can be read up to there even if weir is killed.
 *
 * The file is emptied, or moved out of the way, only when the first columns are known or, without any, at the end: a
 * mistake elsewhere in the pipeline does not cost the output of the run before, and a file source, which looks at the
 * lock, does not lose its input.
 *
 * With rotation a batch may be divided between files, at the end of a record. Every step of the way to the next file
 * can fail and be tried again: `stage` says how far it came, `begun` how far the batch did.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "codec/codec.h"
#include "parts/file_input.h"
#include "parts/file_output.h"
#include "parts/file_rotation.h"
#include "parts/packer.h"
#include "parts/parts.h"

enum { PACK_PIECE = 256 << 10 /* bytes between looks at the size of a packed file */ };

static const char *const format_names[] = {"auto", "ndjson", "csv", "influx", "frame", NULL}; /* as enum codec_format */
static const char *const compress_names[] = {"auto", "none", "gzip", "zstd", NULL}; /* as enum packing: see sink_open */

enum { GZIP_LEVEL_MOST = 9 };
enum fsync_when { FSYNC_NEVER, FSYNC_CLOSE, FSYNC_COMMIT };
static const char *const fsync_names[] = {"never", "close", "commit", NULL};

enum stage {
    STAGE_NEW,      /* nothing was done to the file */
    STAGE_READY,    /* it was emptied, or its end looked at */
    STAGE_ENDED,    /* its last bytes are packed, and maybe written: it takes no more */
    STAGE_MOVED,    /* it has another name: the next one is to be opened */
    STAGE_FINISHED, /* it is whole and on the disk */
};

struct sink_file {
    const char *path;
    bool append, atomic;
    int fsync;    /* enum fsync_when */
    int compress; /* enum packing */
    int64_t level, rotate_size, rotate_every, keep;
    struct codec_write_options write;

    struct file_output output;
    enum stage stage;
    char *part;                 /* atomic: the name until it is closed */
    bool broken;                /* a write failed, for good if it was the last one: what there is, is not whole */
    struct weir_schema *schema; /* a reference */
    struct weir_buffer header;  /* what each file begins with */
    bool header_due;            /* the next bytes are to be the header */
    bool torn;                  /* … behind the end of a line */
    bool records;               /* the file has some */
    int64_t period;             /* rotate_every: when its first record came, in periods since 1970 */

    bool named; /* the name of the file at hand is on the disk, if that is asked for */

    struct packer *packer;
    struct weir_buffer packed; /* to be written, before anything else */
    size_t packed_from;        /* how many bytes of the batch they are made of */

    const struct weir_batch
        *begun; /* a batch of which the files have the first bytes: the engine comes again with it */
    size_t begun_bytes;
    off_t begun_at; /* where they begin in this file */
};

static bool rotates(const struct sink_file *self)
{
    return self->rotate_size > 0 || self->rotate_every > 0;
}

static const char *name_of(const struct sink_file *self)
{
    return self->part ? self->part : self->path;
}

/* ---- Opening --------------------------------------------------------------------------------------------------- */

static int check_options(const struct sink_file *self, struct weir_env *env)
{
    if (self->atomic && self->append)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`atomic` replaces the file at the end, `append` adds to it: leave out one of them");
    if (self->keep > 0 && !rotates(self))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`keep` is about files that were rotated: set `rotate_size` or `rotate_every` too");
    if (self->level > 0 && self->compress == PACKING_NONE)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`level` is about packed files: set `compress` too, or end `path` in .gz or .zst");
    if (self->level > GZIP_LEVEL_MOST && self->compress == PACKING_GZIP)
        return weir_fail_at(env->error, -EINVAL, env->mark, "`level` %lld is too high for gzip: at most %d",
                            (long long)self->level, (int)GZIP_LEVEL_MOST);
    if (!self->write.header && self->write.format != CODEC_CSV)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`header` is about csv: set `format: csv`, or leave it out");
    if (self->write.measurement && self->write.format != CODEC_INFLUX)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`measurement` is about influx lines: set `format: influx`, or leave it out");
    const char *package = packer_missing((enum packing)self->compress);
    if (package)
        return weir_fail_at(env->error, -ENOTSUP, env->mark,
                            "%s was left out of this build; install %s and build weir again, or set `compress: none`",
                            packing_name((enum packing)self->compress), package);
    return 0;
}

/* A new file's name, and the moves of rotation, need the folder. */
static int check_folder(const struct sink_file *self, struct weir_env *env)
{
    struct stat status;
    if (stat(self->path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: only a file can be %s; leave out `%s`", self->path,
                            self->atomic ? "replaced" : "rotated",
                            self->atomic            ? "atomic"
                            : self->rotate_size > 0 ? "rotate_size"
                                                    : "rotate_every");
    char *folder = file_rotation_folder(self->path);
    if (!folder)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", self->path);
    int error = 0;
    if (access(folder, W_OK | X_OK) < 0 && errno != ENOENT)
        error = weir_fail(env->error, -errno,
                          "%s: %s: no file in this folder can be renamed; see ls -ld, or choose "
                          "another `path`",
                          folder, strerror(errno));
    memory_free(folder);
    return error;
}

static int sink_open(void *state, struct weir_env *env)
{
    struct sink_file *self = state;
    self->output.path = self->path;
    if (self->compress == PACKING_UNKNOWN) /* auto */
        self->compress = (int)packer_of_name(self->path);
    if (self->write.format == CODEC_AUTO)
        self->write.format = codec_format_of_name(self->path);
    if (self->write.format == CODEC_AUTO)
        self->write.format = self->write.measurement ? CODEC_INFLUX : CODEC_NDJSON;
    int error = check_options(self, env);
    if (error == 0 && (self->atomic || rotates(self)))
        error = check_folder(self, env);
    if (error == 0 && self->compress != PACKING_NONE)
        error = packer_new((enum packing)self->compress, (int)self->level, &self->packer);
    if (error == 0 && self->atomic) {
        self->part = memory_format("%s.part", self->path);
        error = self->part ? 0 : -ENOMEM;
    }
    if (error < 0)
        return weir_fail(env->error, error, "%s: out of memory", self->path);
    return file_output_open(&self->output, env, name_of(self), false);
}

/* ---- The beginning of a file ----------------------------------------------------------------------------------- */

/* What is in the file that we append to, unpacked: its beginning, as far as the header goes, and its last byte. A
 * packed one is read to its end, as nothing may follow a torn one. */
static int look_at_end(struct sink_file *self, struct weir_env *env, struct weir_buffer *beginning, char *ret_last)
{
    int fd = self->output.fd - 1;
    struct file_input input = {.fd = fd};
    enum { STEP = 64 << 10 };
    char *data = memory_allocate(STEP);
    ssize_t got = data ? 1 : -ENOMEM;
    if (!self->packer) {
        char *room = buffer_reserve(beginning, self->header.size + 1);
        ssize_t size = room ? pread(fd, room, self->header.size, 0) : -1;
        beginning->size = size > 0 ? (size_t)size : 0;
        if (pread(fd, ret_last, 1, self->output.size - 1) != 1)
            *ret_last = '\n'; /* a file that cannot be read is believed to be in order */
        got = 0;
    } else if (lseek(fd, 0, SEEK_SET) < 0) {
        got = -errno;
    }
    while (got > 0 && (got = file_input_read(&input, data, STEP)) > 0) {
        size_t missing = self->header.size - beginning->size;
        buffer_append(beginning, data, (size_t)got < missing ? (size_t)got : missing);
        *ret_last = data[got - 1];
    }
    memory_free(data);
    file_input_free(&input);
    if (got == -EBADMSG || (got == 0 && self->packer && input.packing != (enum packing)self->compress))
        return weir_fail(env->error, -EEXIST,
                         "%s: it is no %s file that can be appended to (%s at byte %llu); move it away, or leave out "
                         "`append` to replace it",
                         self->path, packing_name((enum packing)self->compress), got ? input.mistake : "not packed so",
                         (unsigned long long)input.mistaken_at);
    return got < 0 ? file_output_explain(self->path, env, (int)got) : 0;
}

static int find_end(struct sink_file *self, struct weir_env *env)
{
    struct weir_buffer beginning = {0};
    char last = '\n';
    self->output.size = lseek(self->output.fd - 1, 0, SEEK_END);
    if (self->output.size < 0)
        return file_output_explain(self->path, env, -errno);
    if (self->output.size == 0)
        return 0;
    int error = look_at_end(self, env, &beginning, &last);
    if (error == 0 && (beginning.failed || beginning.size != self->header.size ||
                       (beginning.size && memcmp(beginning.data, self->header.data, beginning.size) != 0)))
        error = weir_fail_at(env->error, -EEXIST, env->mark,
                             "%s: its first line does not name the columns that are to be appended; choose another "
                             "`path`, or leave out `append` to replace it",
                             self->path);
    buffer_free(&beginning);
    if (error < 0)
        return error;
    if (last != '\n' && self->write.format != CODEC_FRAME) {
        weir_notice(env, "torn", "%s ended in the middle of a line; appending on a new one", self->path);
        self->torn = true;
    }
    struct stat status;
    self->header_due = false;
    self->records = true;
    if (self->rotate_every > 0 && fstat(self->output.fd - 1, &status) == 0)
        self->period = (int64_t)status.st_mtim.tv_sec * 1000000000 / self->rotate_every;
    return 0;
}

/* Rotation overwrites nothing: what an earlier run left gets a number. */
static int move_old(struct sink_file *self, struct weir_env *env)
{
    struct stat status;
    char *moved = NULL;
    if (stat(self->path, &status) < 0 || status.st_size == 0)
        return 0;
    int error = file_rotation_move(self->path, self->path, &moved);
    if (error < 0)
        return weir_fail(env->error, error, "%s, of an earlier run, cannot be renamed: %s; move it away", self->path,
                         strerror(-error));
    memory_free(moved);
    if (self->part)
        return 0;
    file_output_close(&self->output);
    self->stage = STAGE_MOVED;
    return 0;
}

static int open_next(struct sink_file *self, struct weir_env *env)
{
    file_output_close(&self->output);
    int error = file_output_open(&self->output, env, name_of(self), false);
    if (error == 0)
        error = file_output_cut(&self->output, env, 0);
    if (error < 0)
        return error;
    self->stage = STAGE_READY;
    self->header_due = self->header.size > 0;
    self->records = false;
    self->named = false;
    self->begun_at = 0;
    return 0;
}

/* Empties the file or, to append, finds its end; once. */
static int prepare(struct sink_file *self, struct weir_env *env)
{
    int error = 0;
    if (self->stage == STAGE_NEW && !self->output.regular) {
        self->stage = STAGE_READY;
    } else if (self->stage == STAGE_NEW && self->append) {
        error = find_end(self, env);
        if (error == 0)
            self->stage = STAGE_READY;
    } else if (self->stage == STAGE_NEW) {
        error = rotates(self) ? move_old(self, env) : 0;
        if (error == 0 && self->stage == STAGE_NEW) {
            error = file_output_cut(&self->output, env, 0);
            self->stage = error < 0 ? STAGE_NEW : STAGE_READY;
        }
    }
    if (error == 0 && self->stage == STAGE_MOVED)
        error = open_next(self, env);
    return error;
}

/* ---- Bytes ----------------------------------------------------------------------------------------------------- */

static int put_packed(struct sink_file *self, struct weir_env *env)
{
    int error = file_output_write(&self->output, env, self->packed.data, self->packed.size);
    if (error == 0)
        self->packed.size = 0;
    return error;
}

static int put(struct sink_file *self, struct weir_env *env, const char *data, size_t size)
{
    if (!self->packer)
        return file_output_write(&self->output, env, data, size);
    if (self->packed.size == 0) { /* else this is the second try */
        int error = packer_add(self->packer, data, size, &self->packed);
        if (error < 0)
            return weir_fail(env->error, error, "%s: packing failed: %s", self->path, strerror(-error));
    }
    return put_packed(self, env);
}

static int put_header(struct sink_file *self, struct weir_env *env)
{
    int error = 0;
    if (self->torn)
        error = put(self, env, "\n", 1);
    if (error == 0)
        self->torn = false;
    if (error == 0 && self->header_due)
        error = put(self, env, self->header.data, self->header.size);
    if (error == 0)
        self->header_due = false;
    return error;
}

/* A file that is new has its name on the disk too, once; one that is renamed later gets it then. */
static int sync_file(struct sink_file *self, struct weir_env *env, bool all)
{
    int error = file_output_sync(&self->output, env, all);
    if (error == 0 && !self->part && !self->named && self->output.regular) {
        file_output_sync_folder(self->path);
        self->named = true;
    }
    return error;
}

/* Packed files need an end. */
static int end_file(struct sink_file *self, struct weir_env *env)
{
    if (self->stage != STAGE_ENDED && self->packer) {
        int error = packer_end(self->packer, &self->packed);
        if (error < 0)
            return weir_fail(env->error, error, "%s: packing failed: %s", self->path, strerror(-error));
    }
    self->stage = STAGE_ENDED;
    return put_packed(self, env);
}

/* ---- Rotation -------------------------------------------------------------------------------------------------- */

static int rotate(struct sink_file *self, struct weir_env *env)
{
    char *moved = NULL;
    uint64_t removed = 0;
    int error = end_file(self, env);
    if (error == 0 && self->fsync != FSYNC_NEVER)
        error = sync_file(self, env, true);
    if (error < 0)
        return error;
    error = file_rotation_move(name_of(self), self->path, &moved);
    if (error < 0)
        return weir_fail(env->error, error, "%s is to be rotated, and cannot be renamed: %s; check its folder",
                         name_of(self), strerror(-error));
    if (self->fsync != FSYNC_NEVER)
        file_output_sync_folder(self->path);
    memory_free(moved);
    self->stage = STAGE_MOVED;
    weir_count(env, "files rotated", NULL, 1);
    error = self->keep > 0 ? file_rotation_trim(self->path, self->keep, &removed) : 0;
    if (error < 0)
        weir_notice(env, "not removed", "%s: rotated files beyond `keep` cannot be removed: %s", self->path,
                    strerror(-error));
    weir_count(env, "rotated files removed", NULL, removed);
    return 0;
}

static int64_t period_now(const struct sink_file *self, struct weir_env *env)
{
    return self->rotate_every > 0 ? weir_wall_time(env->context) / self->rotate_every : 0;
}

/* How much of the batch's next bytes goes into this file: whole records. 0: none any more. */
static size_t fitting(const struct sink_file *self, struct weir_env *env, const char *bytes, size_t size)
{
    const struct codec_read_options options = {.line_max = INT64_MAX};
    enum codec_format format = (enum codec_format)self->write.format;
    if (self->records && period_now(self, env) != self->period)
        return 0;
    if (self->rotate_size == 0)
        return size;
    int64_t room = self->rotate_size - self->output.size;
    if (!self->packer)
        room -= self->header_due ? (int64_t)self->header.size : 0;
    else
        room = room > 0 ? PACK_PIECE : 0;
    if (room >= (int64_t)size)
        return size;
    size_t whole = room > 0 ? codec_cut(format, &options, bytes, (size_t)room) : 0;
    if (whole > 0 || self->records)
        return whole;
    /* The first record of a file is written however long it is. */
    for (size_t look = room > 1024 ? (size_t)room : 1024; whole == 0 && look < size; look *= 2)
        whole = codec_cut(format, &options, bytes, look);
    return whole > 0 ? whole : size;
}

/* ---- The sink -------------------------------------------------------------------------------------------------- */

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
    self->header.size = 0;
    int error = codec_encode_header(&self->write, in, &self->header);
    if (error < 0)
        return weir_fail(env->error, error, "%s: no memory for its header", self->path);
    self->header_due = self->header.size > 0;
    error = prepare(self, env);
    if (error < 0) {
        self->header_due = false;
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

/* Some more of the batch, or a step on the way to the next file. */
static int write_some(struct sink_file *self, struct weir_env *env, const char *bytes, size_t size)
{
    if (self->stage == STAGE_ENDED)
        return rotate(self, env);
    int error = prepare(self, env);
    if (error == 0)
        error = put_header(self, env);
    if (error < 0)
        return error;
    const char *next = bytes + self->begun_bytes;
    size_t piece = self->packed_from ? self->packed_from : fitting(self, env, next, size - self->begun_bytes);
    if (piece == 0)
        return rotate(self, env);
    self->packed_from = self->packer ? piece : 0;
    error = put(self, env, next, piece);
    if (error < 0)
        return error;
    if (!self->records)
        self->period = period_now(self, env);
    self->records = true;
    self->packed_from = 0;
    self->begun_bytes += piece;
    return 0;
}

static int sink_write(void *state, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    struct sink_file *self = state;
    int error = 0;
    if (self->begun != in) {
        self->begun = in;
        self->begun_bytes = 0;
        self->begun_at = self->output.size;
    }
    if (size == 0)
        error = prepare(self, env);
    while (error == 0 && self->begun_bytes < size)
        error = write_some(self, env, bytes, size);
    self->broken = error < 0; /* tried again, it may come out well */
    if (error < 0)
        return error;
    self->begun = NULL;
    uint64_t skipped = codec_encode_skipped(&self->write, in, bytes, size);
    if (skipped > 0)
        weir_count(env, "no field to write", NULL, skipped);
    return 0;
}

/* For the run that stored no record: its output is an empty file (with a header), not that of the run before. */
static int sink_commit(void *state, struct weir_env *env)
{
    struct sink_file *self = state;
    int error = prepare(self, env);
    if (error == 0)
        error = put_header(self, env);
    return error == 0 && self->fsync == FSYNC_COMMIT ? sync_file(self, env, false) : error;
}

static int sink_finish(void *state, struct weir_env *env)
{
    struct sink_file *self = state;
    int error = end_file(self, env);
    if (error == 0 && self->fsync != FSYNC_NEVER)
        error = sync_file(self, env, true);
    if (error == 0)
        self->stage = STAGE_FINISHED;
    self->broken = error < 0;
    return error;
}

static int sink_publish(void *state, struct weir_env *env)
{
    struct sink_file *self = state;
    if (!self->part)
        return 0;
    if (rename(self->part, self->path) < 0)
        return weir_fail(env->error, -errno, "%s, which is whole, cannot be renamed to %s: %s", self->part, self->path,
                         strerror(errno));
    memory_free(self->part);
    self->part = NULL;
    if (self->fsync != FSYNC_NEVER)
        file_output_sync_folder(self->path);
    return 0;
}

/* The run failed or was stopped at once: whole batches stay, with a proper end where that is still possible. */
static void give_up(struct sink_file *self, struct weir_env *env)
{
    struct weir_error ignored = {0}, *error = env->error;
    env->error = &ignored;
    if (self->begun && self->begun_bytes > 0 && self->output.regular && self->stage == STAGE_READY)
        (void)file_output_cut(&self->output, env, self->begun_at);
    if (!self->broken && self->packed.size == 0 && (self->stage == STAGE_READY || self->stage == STAGE_ENDED))
        (void)end_file(self, env);
    if (self->fsync != FSYNC_NEVER)
        (void)sync_file(self, env, true);
    env->error = error;
    if (self->part && self->stage == STAGE_NEW)
        (void)unlink(self->part);
}

static void sink_close(void *state, struct weir_env *env)
{
    struct sink_file *self = state;
    if (file_output_is_open(&self->output) && self->stage != STAGE_FINISHED)
        give_up(self, env);
    if (self->part && self->stage != STAGE_NEW)
        weir_notice(env, "not finished",
                    "%s was not replaced, as the run did not end well: what there is of it is in "
                    "%s",
                    self->path, self->part);
    file_output_close(&self->output);
    memory_free(self->part);
    self->part = NULL;
    packer_free(self->packer);
    self->packer = NULL;
    weir_schema_release(self->schema);
    self->schema = NULL;
    buffer_free(&self->header);
    buffer_free(&self->packed);
}

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "path", .type = WEIR_OPTION_STRING, .offset = offsetof(struct sink_file, path),
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_MAIN, .help = "the file; it is replaced, unless `append` is true"},
    {.name = "format", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_file, write.format),
     .fallback = "auto", .choices = format_names,
     .help = "how records are written; auto goes by the name (.ndjson .csv .frame .lp .influx), else ndjson"},
    {.name = "compress", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_file, compress),
     .fallback = "auto", .choices = compress_names, .help = "how it is packed; auto goes by the name (.gz .zst)"},
    {.name = "level", .type = WEIR_OPTION_INTEGER, .offset = offsetof(struct sink_file, level), .least = 1,
     .most = 19, .help = "how hard it is packed, gzip: to 9; without it 6 for gzip, 3 for zstd"},
    {.name = "append", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct sink_file, append), .fallback = "false",
     .help = "keep what is in the file and write behind it"},
    {.name = "rotate_size", .type = WEIR_OPTION_SIZE, .offset = offsetof(struct sink_file, rotate_size),
     .least = 4096, .most = 0x1p50,
     .help = "begin another file before this one gets larger; the old one gets a number: readings.000001.csv"},
    {.name = "rotate_every", .type = WEIR_OPTION_DURATION, .offset = offsetof(struct sink_file, rotate_every),
     .least = 1e9, .most = 0x1p60,
     .help = "begin another file with the first record of each hour, or what is given, of the clock (UTC)"},
    {.name = "keep", .type = WEIR_OPTION_INTEGER, .offset = offsetof(struct sink_file, keep), .least = 1,
     .most = 1e9, .help = "how many rotated files are kept, the oldest are removed; without it all"},
    {.name = "atomic", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct sink_file, atomic), .fallback = "false",
     .help = "write to PATH.part, which gets its name only when the whole run has ended well"},
    {.name = "fsync", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_file, fsync), .fallback = "close",
     .choices = fsync_names, .help = "when to wait for the disk; close: of each file, commit: before records count as "
     "stored"},
    {.name = "time_format", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_file, write.time_format),
     .fallback = "auto", .choices = time_format_names, .help = "how times are written; auto is rfc3339"},
    {.name = "header", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct sink_file, write.header),
     .fallback = "true", .help = "csv: begin each file with a line that names the columns"},
    {.name = "measurement", .type = WEIR_OPTION_STRING, .offset = offsetof(struct sink_file, write.measurement),
     .help = "influx: the measurement of records that have no column of that name (default: weir)"},
    {.type = WEIR_OPTION_END},
};

const struct weir_sink sink_file = {
    .part = {
        .kind = WEIR_SINK,
        .name = "file",
        .summary = "records into a file: ndjson, csv, influx lines or frames; packed, rotated",
        .example = "sinks:\n"
                   "  archive: {type: file, path: readings.csv.gz, rotate_size: 64MiB, keep: 10}\n",
        .options = options,
        .size = sizeof(struct sink_file),
        .open = sink_open,
        .close = sink_close,
    },
    .bind = sink_bind,
    .encode = sink_encode,
    .write = sink_write,
    .commit = sink_commit,
    .finish = sink_finish,
    .publish = sink_publish,
    .commit_rows = 1, /* it costs nothing */
    .keep_order = true,
};
