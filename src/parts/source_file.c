/* SPDX-License-Identifier: MIT */
/*
 * Reads files, or a stream such as stdin, one after the other; or follows files that grow (file_follow.c).
 *
 * Only regular files are read without asking first; on anything else we wait until there is something to read, and hand
 * on what is complete as soon as a lane wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/system.h"
#include "codec/codec.h"
#include "parts/file_follow.h"
#include "parts/file_frames.h"
#include "parts/file_input.h"
#include "parts/file_reader.h"
#include "parts/parts.h"
#include "parts/path_list.h"
#include "parts/rejects.h"

static const char *const begin_names[] = {"start", "end", NULL}; /* as enum follow_begin */

struct source_file {
    struct weir_list path;
    struct codec_read_options read;
    double rate;
    int64_t repeat;
    bool follow;
    int begin; /* enum follow_begin */
    struct rejects_options rejected;

    struct weir_env *env;
    struct path_list files;
    struct file_reading reading;
    struct rejects rejects;
    struct file_origin origin;
};

/* One file, or stream, being read to its end. */
struct whole {
    struct file_reader reader;
    struct file_input input;
    struct file_frames frames;
    bool damaged; /* and nothing was read behind it yet */
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

/* Files to follow may come later; of those that are there each must be one that can be followed. */
static int check_follow(struct source_file *self, struct weir_mark mark)
{
    if (self->repeat != 1)
        return weir_fail_at(self->env->error, -EINVAL, mark, "`follow` never comes to an end: leave out `repeat`");
    for (size_t i = 0; i < self->files.count; i++) {
        const char *name = self->files.names[i];
        struct stat status;
        if (path_is_stdin(name) || (stat(name, &status) == 0 && !S_ISREG(status.st_mode)))
            return weir_fail_at(self->env->error, -EINVAL, mark,
                                "%s cannot be followed: it is no file that grows; leave out `follow`%s",
                                path_is_stdin(name) ? "stdin" : name,
                                path_is_stdin(name) ? ", streams are read as they come anyway" : "");
        int error = path_check(name);
        if (error == -EBUSY)
            return path_explain(self->env->error, mark, name, error);
    }
    return 0;
}

static int open_files(struct source_file *self, struct weir_env *env)
{
    struct weir_mark mark = self->path.count ? self->path.items[0].value.mark : env->mark;
    for (size_t i = 0; i < self->path.count; i++) {
        size_t before = self->files.count;
        int error = path_list_add(&self->files, self->path.items[i].value.text);
        if (error < 0)
            return weir_fail(env->error, error, "no memory for the list of files; read fewer files");
        if (self->files.count == before)
            weir_notice(env, "no match", "no file matches %s%s", self->path.items[i].value.text,
                        self->follow ? " yet" : "");
    }
    if (self->follow)
        return check_follow(self, mark);
    if (self->begin == FOLLOW_END)
        return weir_fail_at(env->error, -EINVAL, mark,
                            "`begin: end` is about files that are followed: set `follow: true` too, or leave it out");
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

static int source_open(void *state, struct weir_env *env)
{
    struct source_file *self = state;
    self->env = env;
    file_origin_init(&self->origin);
    self->reading.origin = self->rejected.path ? &self->origin : NULL;
    int error = rejects_open(&self->rejects, &self->rejected, env);
    if (error == 0)
        error = open_files(self, env);
    return error < 0 ? error : rejects_begin(&self->rejects);
}

static void source_refused(void *state, const struct weir_refusal *refusal)
{
    struct source_file *self = state;
    rejects_add(&self->rejects, refusal);
}

static void source_rows_refused(void *state, const struct weir_batch *batch, const char *stage, const char *reason,
                                const char *detail)
{
    struct source_file *self = state;
    rejects_add_rows(&self->rejects, &self->origin, batch, stage, reason, detail);
}

static void source_close(void *state, struct weir_env *env)
{
    struct source_file *self = state;
    (void)env;
    path_list_free(&self->files);
    file_reading_free(&self->reading);
    rejects_close(&self->rejects);
    file_origin_destroy(&self->origin);
}

/* ---- One file -------------------------------------------------------------------------------------------------- */

/* What a damaged piece gave before the damage showed is kept, but only a checksum at its end could have said that it is
 * good. */
static void tell_damage(struct whole *whole)
{
    const struct file_input *input = &whole->input;
    struct weir_env *env = whole->reader.shared->env;
    char doubt[80] = "";
    if (!input->between)
        snprintf(doubt, sizeof doubt, ", but those since byte %llu may be wrong", (unsigned long long)input->member_at);
    whole->damaged = true;
    weir_notice(env, "corrupted file",
                "%s: damaged at byte %llu: %s (%s); the records before it are kept%s; what follows is lost, up to the "
                "next packed piece if there is one",
                whole->reader.name, (unsigned long long)input->mistaken_at, input->mistake,
                packing_name(input->packing), doubt);
    weir_count(env, "corrupted file", whole->reader.name, 1);
}

static void tell_going_on(struct whole *whole)
{
    struct weir_env *env = whole->reader.shared->env;
    whole->damaged = false;
    weir_notice(env, "read on behind damage", "%s: reading goes on at byte %llu, where the next packed piece begins",
                whole->reader.name, (unsigned long long)whole->input.member_at);
    weir_count(env, "read on behind damage", whole->reader.name, 1);
}

/* Damage is where a part of the file ends: what is left of a record is dropped, and what comes may begin in one. */
static bool read_on(struct whole *whole)
{
    struct file_reader *reader = &whole->reader;
    if (!reader->cut_off)
        return false;
    reader->begin = reader->filled;
    reader->skipping = whole->input.torn_members && codec_is_text(reader->format);
    reader->ended = reader->cut_off = false;
    return true;
}

/* One read into the reader's memory. 0, also when nothing came yet, or a negative errno. */
static int read_once(struct whole *whole)
{
    struct file_reader *reader = &whole->reader;
    struct weir_env *env = reader->shared->env;
    char *data = reader->memory->data;
    ssize_t got = file_input_read(&whole->input, data + reader->filled, file_reader_room(reader) - reader->filled);
    if (got > 0)
        file_reader_filled(reader, (size_t)got);
    if (got == 0)
        reader->ended = true;
    if (got == -ENOTSUP && whole->input.mistake)
        return weir_fail(env->error, -ENOTSUP, "%s is compressed with %s", reader->name, whole->input.mistake);
    if (got == -EBADMSG) {
        reader->ended = reader->cut_off = true;
        tell_damage(whole);
        return 0;
    }
    if (got > 0 && whole->damaged)
        tell_going_on(whole);
    return got < 0 && got != -EAGAIN ? (int)got : 0;
}

/* Waits for a stream until there are whole records and a lane wants them, the block is full, or they waited enough. */
static int fill_from_stream(struct whole *whole)
{
    struct file_reader *reader = &whole->reader;
    struct file_reading *reading = reader->shared;
    int64_t first_at = 0; /* when the first record was there */
    while (!reader->ended && reader->filled < file_reader_room(reader)) {
        if (first_at == 0 && file_reader_has_record(reader))
            first_at = weir_now(reading->context);
        bool ready = first_at != 0;
        if (ready && (reader->started ? weir_emit_wanted(reading->out) : file_reader_has_sample(reader)))
            return 0;
        int64_t patience = reader->started ? weir_emit_linger(reading->out) : FILE_SAMPLE_PATIENCE;
        int error = 0;
        if (!whole->input.unread)
            error = weir_wait_fd(reading->context, whole->input.fd, POLLIN, ready ? first_at + patience : WEIR_NEVER);
        if (error == -ETIMEDOUT)
            return 0;
        if (error == -ECANCELED && ready) /* what was read before the stop is still handed on */
            return 0;
        if (error == 0)
            error = read_once(whole);
        if (error < 0 || reader->skipping)
            return error;
    }
    return 0;
}

static int fill_from_file(struct whole *whole)
{
    int error = 0;
    while (error == 0 && !whole->reader.ended && whole->reader.filled < file_reader_room(&whole->reader))
        error = read_once(whole);
    return error;
}

/* Frames that lanes can read themselves. What of a frame was read already is read again. Not of stdin: where that began
 * in its file is not known. */
static int pass_frames(struct whole *whole)
{
    struct file_reader *reader = &whole->reader;
    struct file_input *input = &whole->input;
    uint64_t from = input->offset - (reader->filled - reader->begin), to;
    if (!reader->started || reader->waits || input->fd == STDIN_FILENO || reader->ended || reader->shared->rate > 0 ||
        input->unpacker || codec_is_text(reader->format))
        return 0;
    int error = file_frames_hand_on(&whole->frames, reader, input->fd, from, &to);
    if (error < 0 || to == from)
        return error;
    if (lseek(input->fd, (off_t)to, SEEK_SET) < 0)
        return -errno;
    input->offset = to;
    reader->begin = reader->filled;
    file_reader_rest(reader);
    return 0;
}

static int read_records(struct whole *whole)
{
    struct file_reader *reader = &whole->reader;
    for (;;) {
        int error = pass_frames(whole);
        if (error == 0)
            error = file_reader_make_room(reader);
        if (error == 0)
            error = reader->waits ? fill_from_stream(whole) : fill_from_file(whole);
        if (error == 0 && !reader->started)
            error = file_reader_start(reader);
        if (error == -EAGAIN || (error == -ENODATA && read_on(whole)))
            continue;
        if (error == 0)
            error = file_reader_hand_on(reader);
        if (error == 0 && weir_stopping(reader->shared->context))
            error = -ECANCELED;
        if (error < 0)
            return error;
        if (reader->ended && !read_on(whole) && reader->begin == reader->filled)
            return 0;
    }
}

static int open_input(struct whole *whole)
{
    struct stat status;
    if (path_is_stdin(whole->reader.name)) {
        whole->input.fd = STDIN_FILENO;
        whole->reader.name = "stdin";
    } else {
        whole->input.fd = SYSTEM_CALL(open(whole->reader.name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
        if (whole->input.fd < 0)
            return -errno;
    }
    if (fstat(whole->input.fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    whole->reader.waits = whole->input.stream = !S_ISREG(status.st_mode);
    if (!whole->reader.waits)
        (void)posix_fadvise(whole->input.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

/* Reads one file. What is wrong with one of several files is told, counted and passed over; with the only one it ends
 * the run. */
static int read_file(struct file_reading *reading, const char *name, bool only)
{
    struct whole whole = {.reader = {.shared = reading, .name = name, .line = 1}};
    struct weir_error *words = reading->env->error;
    int error = open_input(&whole);
    if (error == 0) {
        weir_emit_unhurried(reading->out, !whole.reader.waits && reading->rate == 0);
        error = read_records(&whole);
    }
    name = whole.reader.name;
    file_reader_reset(&whole.reader);
    file_input_free(&whole.input);
    file_frames_free(&whole.frames);
    if (whole.input.fd > STDIN_FILENO)
        close(whole.input.fd);

    if (error == -ENODATA && whole.damaged)
        return 0;
    if (error == -ENODATA) {
        weir_notice(reading->env, "empty file", "%s is empty: no records", name);
        weir_count(reading->env, "empty file", name, 1);
        return 0;
    }
    if (error == 0 || error == -ECANCELED)
        return error;
    if (words && words->code == 0)
        path_explain(words, (struct weir_mark){0}, name, error);
    if (only || error == -ENOMEM)
        return error;
    weir_notice(reading->env, "file skipped", "%s; going on with the next file", words ? words->text : name);
    weir_count(reading->env, "file skipped", name, 1);
    if (words)
        *words = (struct weir_error){0};
    return 0;
}

static enum weir_extent source_extent(const void *state, const char **ret_remedy)
{
    const struct source_file *self = state;
    struct stat status;
    *ret_remedy = "give files that can be read again";
    for (size_t i = 0; i < self->path.count; i++) {
        const char *path = self->path.items[i].value.text;
        if (path_is_stdin(path) || (stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)))
            return WEIR_ONCE;
    }
    *ret_remedy = self->follow ? "leave out `follow`" : "give it a `repeat`";
    return self->follow || self->repeat == 0 ? WEIR_ENDLESS : WEIR_FINITE;
}

static int source_run(void *state, struct weir_context *context, struct weir_emitter *out)
{
    struct source_file *self = state;
    self->reading.env = self->env;
    self->reading.context = context;
    self->reading.out = out;
    self->reading.options = &self->read;
    self->reading.rate = self->rate;
    if (self->rate > 0)
        weir_emit_offered(out, self->rate);
    if (self->follow)
        return file_follow(&self->reading, &self->path, (enum follow_begin)self->begin, read_file);
    for (int64_t pass = 0; self->repeat == 0 || pass < self->repeat; pass++) {
        uint64_t before = self->reading.position;
        for (size_t i = 0; i < self->files.count; i++) {
            int error = read_file(&self->reading, self->files.names[i], self->files.count == 1);
            if (error < 0)
                return error == -ECANCELED ? 0 : error;
        }
        if (self->reading.position == before) /* nothing to repeat */
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
    {.name = "follow", .type = WEIR_OPTION_BOOL, .offset = offsetof(struct source_file, follow), .fallback = "false",
     .help = "wait for more at the end, and for files that appear, are rotated or truncated"},
    {.name = "begin", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct source_file, begin), .fallback = "start",
     .choices = begin_names,
     .help = "with follow: read the files that are there from their start, or only what comes from now on (end)"},
    REJECTS_OPTIONS(struct source_file, rejected),
    {.type = WEIR_OPTION_END},
};

const struct weir_source source_file = {
    .part = {
        .kind = WEIR_SOURCE,
        .name = "file",
        .summary = "records from files (NDJSON, CSV; gzip, zstd) or stdin",
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
    .extent = source_extent,
    .refused = source_refused,
    .rows_refused = source_rows_refused,
};
