/* SPDX-License-Identifier: MIT */
/*
 * A file is an inode, and its name is where it was seen last:
 *
 *        appears under a name           another file has the name, or none        silent, and read to its end
 *     ──────────────────────► LIVE ────────────────────────────────────► LEAVING ─────────────────────────────► closed
 *                              ▲  │ shorter than what we read, or other       │ appears again under a name
 *                              │  └─── bytes before it: from its start        │
 *                              └──────────────────────────────────────────────┘
 *
 * Each read asks for the last bytes that were read before once more: only if they are still there have the new ones
 * been appended. A file that was truncated and has grown since is found out that way too.
 *
 * That a name has another file is seen by looking, and only the newest can be seen. When files are rotated faster than
 * we look, the ones between are found by the moves that the system tells of.
 */
#include "parts/file_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "parts/packing.h"
#include "parts/file_watch.h"
#include "parts/path_list.h"

enum { TAIL_BYTES = 64, TRACES_MOST = 4096 };
#define LOOK_BLIND (250 * CLOCK_MILLISECOND) /* how often we look when the system tells nothing */
#define LOOK_TOLD CLOCK_SECOND               /* … and when it does */
#define SILENCE CLOCK_SECOND                 /* a file that is rotated away and silent for so long is done */

struct followed {
    struct file_reader reader;
    int fd; /* -1: it cannot be read */
    dev_t device;
    ino_t inode;
    int watch;
    bool seen;    /* in the look of now */
    bool leaving; /* no pattern leads to it any more */
    bool dirty;   /* there may be something to read */
    bool at_end;  /* everything that was there has been read, and handed on but for a line that is begun */
    bool jump;    /* to the end, before anything is handed on */
    bool failed;  /* its content is of no use, or was read as a whole */
    bool restarted;
    char tail[TAIL_BYTES]; /* what lies before offset */
    size_t tail_size;
    off_t offset;        /* of the next read */
    off_t size;          /* as seen last, when leaving */
    int64_t silent_from; /* when leaving */
    uint64_t left_round;
    int64_t record_at; /* when the first record that waits was there; 0: none waits */
};

struct trace { /* a file that had a name of ours when it was moved */
    char *name, *now;
    bool moved; /* since we looked for it under `now` */
};

struct follow {
    struct file_reading *reading;
    const struct weir_list *patterns;
    enum follow_begin begin;
    int (*read_whole)(struct file_reading *reading, const char *name, bool only);
    struct followed **files;
    size_t count;
    size_t leaving;
    struct path_list strange;
    struct trace *traces;
    size_t trace_count;
    struct file_watch watch;
    bool names_changed, first_look;
    uint64_t round;
    int64_t deadline;
};

static struct weir_env *env_of(struct follow *follow)
{
    return follow->reading->env;
}

static int64_t now_of(struct follow *follow)
{
    return weir_now(follow->reading->context);
}

static void wake_by(struct follow *follow, int64_t when)
{
    if (when < follow->deadline)
        follow->deadline = when;
}

/* A copy of a name that lives as long as the source; NULL: no memory. *ret_new: it had none before. */
static const char *keep_name(struct path_list *list, const char *name, bool *ret_new)
{
    *ret_new = false;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return list->names[i];
    *ret_new = true;
    return path_list_add_name(list, name) < 0 ? NULL : list->names[list->count - 1];
}

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static void keep_tail(struct followed *file, const char *data, size_t size)
{
    if (size >= TAIL_BYTES) {
        memcpy(file->tail, data + size - TAIL_BYTES, TAIL_BYTES);
        file->tail_size = TAIL_BYTES;
        return;
    }
    size_t keep = file->tail_size + size > TAIL_BYTES ? TAIL_BYTES - size : file->tail_size;
    memmove(file->tail, file->tail + file->tail_size - keep, keep);
    memcpy(file->tail + keep, data, size);
    file->tail_size = keep + size;
}

/* Reads what was appended, if there is room. Returns how many bytes came, or -ESTALE: not appended, but the file has
 * other content now. */
static ssize_t read_appended(struct followed *file)
{
    char tail[TAIL_BYTES];
    struct file_reader *reader = &file->reader;
    char *data = (char *)reader->memory->data + reader->filled;
    struct iovec parts[2] = {{tail, file->tail_size}, {data, file_reader_room(reader) - reader->filled}};
    ssize_t got = preadv(file->fd, parts, 2, file->offset - (off_t)file->tail_size);
    if (got < 0)
        return errno == EINTR ? 0 : -errno;
    if ((size_t)got < file->tail_size || memcmp(tail, file->tail, file->tail_size) != 0)
        return -ESTALE;
    size_t size = (size_t)got - file->tail_size;
    keep_tail(file, data, size);
    file->offset += (off_t)size;
    size_t blank = 0; /* a writer that goes on at its old offset leaves a hole before it */
    while (file->restarted && blank < size && data[blank] == '\0')
        blank++;
    if (blank > 0)
        memmove(data, data + blank, size - blank);
    if (blank < size)
        file->restarted = false;
    if (blank < size)
        file_reader_filled(reader, size - blank);
    return (ssize_t)size;
}

/* Leaves out what is there, once the columns are known. */
static int jump_to_end(struct followed *file)
{
    struct file_reader *reader = &file->reader;
    file->jump = false;
    if (!file_reader_has_record(reader)) /* at most one that is being written */
        return 0;
    int error = file_reader_start(reader);
    if (error < 0)
        return error == -EAGAIN ? 0 : error;
    struct stat status;
    if (fstat(file->fd, &status) < 0)
        return -errno;
    reader->begin = reader->filled;
    file_reader_rest(reader);
    off_t from = status.st_size > TAIL_BYTES ? status.st_size - TAIL_BYTES : 0;
    ssize_t got = pread(file->fd, file->tail, TAIL_BYTES, from);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    file->tail_size = (size_t)got;
    file->offset = from + got;
    reader->skipping = file->tail[got - 1] != '\n';
    return 0;
}

/* Hands on what is in memory. */
static int hand_on(struct followed *file)
{
    struct file_reader *reader = &file->reader;
    int error = 0;
    if (!reader->started)
        error = file_reader_start(reader);
    if (error == 0)
        error = file_reader_hand_on(reader);
    while (error == 0 && reader->ended && reader->begin < reader->filled)
        error = file_reader_hand_on(reader);
    file->record_at = 0;
    return error == -EAGAIN || error == -ENODATA ? 0 : error;
}

/* The line that was begun is a record now: no more comes. */
static int hand_on_last(struct followed *file)
{
    struct file_reader *reader = &file->reader;
    int error = 0;
    if (reader->filled > reader->begin) {
        reader->ended = true;
        error = hand_on(file);
    }
    file_reader_reset(reader);
    return error;
}

/* Should the records that were read be handed on, or may more come before? */
static bool wanted(struct follow *follow, struct followed *file)
{
    struct file_reader *reader = &file->reader;
    struct weir_emitter *out = follow->reading->out;
    if (!file->at_end)
        return true; /* the memory is full */
    if (!file_reader_has_record(reader)) {
        file->record_at = 0;
        return reader->skipping;
    }
    bool sampled = reader->started || follow->reading->layout || file_reader_has_sample(reader);
    if (file->leaving || (sampled && weir_emit_wanted(out)))
        return true;
    int64_t now = now_of(follow);
    if (file->record_at == 0)
        file->record_at = now;
    int64_t until = file->record_at + (sampled ? weir_emit_linger(out) : FILE_SAMPLE_PATIENCE);
    wake_by(follow, until);
    return now >= until;
}

/* Compressed files do not grow. */
static int read_if_packed(struct follow *follow, struct followed *file)
{
    struct file_reader *reader = &file->reader;
    enum packing packing = packing_of((char *)reader->memory->data + reader->begin, reader->filled - reader->begin);
    if (packing != PACKING_GZIP && packing != PACKING_ZSTD)
        return 0;
    bool skip = file->jump;
    file_reader_reset(reader);
    file->failed = true;
    return skip ? 0 : follow->read_whole(follow->reading, reader->name, false);
}

static int restart(struct follow *follow, struct followed *file)
{
    int error = hand_on_last(file);
    weir_count(env_of(follow), "truncated", file->reader.name, 1);
    file->offset = 0;
    file->tail_size = 0;
    file->restarted = true;
    file->jump = false;
    return error;
}

/* Reads one block's worth. */
static int read_block(struct follow *follow, struct followed *file)
{
    struct file_reader *reader = &file->reader;
    int error = file_reader_make_room(reader);
    bool fresh = file->offset == 0;
    file->at_end = false;
    while (error == 0 && !file->at_end && reader->filled < file_reader_room(reader)) {
        ssize_t got = read_appended(file);
        file->at_end = got == 0;
        if (got == -ESTALE) {
            error = restart(follow, file);
            if (error == 0)
                error = file_reader_make_room(reader);
            fresh = true;
        } else if (got < 0) {
            error = (int)got;
        }
    }
    if (error == 0 && fresh && reader->filled > 0)
        error = read_if_packed(follow, file);
    if (error == 0 && file->jump && !file->failed)
        error = jump_to_end(file);
    if (error < 0 || file->failed)
        return error;
    if (reader->filled > reader->begin && wanted(follow, file))
        error = hand_on(file);
    file->dirty = !file->at_end || file->record_at != 0;
    if (file->at_end)
        file_reader_rest(reader);
    return error;
}

/* What is wrong with a file does not end the run. */
static int pass_over(struct follow *follow, struct followed *file, int error)
{
    struct weir_error *words = env_of(follow)->error;
    if (error == 0 || error == -ECANCELED || error == -ENOMEM)
        return error;
    if (words && words->code == 0)
        path_explain(words, (struct weir_mark){0}, file->reader.name, error);
    weir_notice(env_of(follow), "file skipped", "%s; going on with the others",
                words ? words->text : file->reader.name);
    weir_count(env_of(follow), "file skipped", file->reader.name, 1);
    if (words)
        *words = (struct weir_error){0};
    file_reader_reset(&file->reader);
    file->failed = true;
    return 0;
}

/* ---- Which files ----------------------------------------------------------------------------------------------- */

static struct followed *find_file(struct follow *follow, const struct stat *status)
{
    for (size_t i = 0; i < follow->count; i++) {
        struct followed *file = follow->files[i];
        if (file->inode == status->st_ino && file->device == status->st_dev)
            return file;
    }
    return NULL;
}

static void tell_strange(struct follow *follow, const char *name, int code)
{
    struct weir_error words = {0};
    bool is_new;
    keep_name(&follow->strange, name, &is_new);
    if (!is_new)
        return;
    path_explain(&words, (struct weir_mark){0}, name, code);
    weir_notice(env_of(follow), "file skipped", "%s", words.text);
    weir_count(env_of(follow), "file skipped", name, 1);
}

/* Opens the file that has this name now, unless it is known; NULL: it cannot be read, or there is none any more. */
static struct followed *open_file(struct follow *follow, const char *name, const char *called)
{
    bool is_new;
    struct stat status;
    int error = path_check(name);
    int fd = error == 0 ? open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : -1;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        struct followed *known = find_file(follow, &status);
        const char *kept = keep_name(&follow->reading->names, called, &is_new);
        struct followed **files = memory_resize(follow->files, (follow->count + 1) * sizeof(*files));
        if (files)
            follow->files = files;
        struct followed *file = known || !kept || !files ? NULL : memory_zeroed(1, sizeof(*file));
        if (file) {
            *file = (struct followed){.fd = fd, .device = status.st_dev, .inode = status.st_ino, .dirty = true};
            file->reader = (struct file_reader){.shared = follow->reading, .name = kept, .waits = true, .line = 1};
            file->watch = file_watch_add(&follow->watch, name);
            file->jump = follow->first_look && follow->begin == FOLLOW_END;
            follow->files[follow->count++] = file;
            return file;
        }
        close(fd);
        return known;
    }
    if (error == 0)
        error = fd < 0 ? -errno : -EINVAL;
    if (fd >= 0)
        close(fd);
    if (error != -ENOENT && name == called)
        tell_strange(follow, name, error);
    return NULL;
}

static void leave(struct follow *follow, struct followed *file)
{
    file->leaving = true;
    file->dirty = true;
    file->at_end = false;
    file->left_round = follow->round;
    file->silent_from = now_of(follow);
    follow->leaving++;
}

static void come_back(struct follow *follow, struct followed *file)
{
    file->leaving = false;
    follow->leaving--;
}

static void see_name(struct follow *follow, const char *name)
{
    struct stat status;
    bool is_new;
    if (stat(name, &status) < 0)
        return;
    struct followed *file = find_file(follow, &status);
    if (!file)
        file = open_file(follow, name, name);
    if (!file || file->seen)
        return;
    file->seen = true;
    if (file->leaving)
        come_back(follow, file);
    if (strcmp(file->reader.name, name) != 0) {
        const char *kept = keep_name(&follow->reading->names, name, &is_new);
        if (kept)
            file->reader.name = kept;
    }
}

/* Looks which files the patterns lead to. */
static int look(struct follow *follow)
{
    struct path_list found = {0};
    int error = 0;
    for (size_t i = 0; error == 0 && i < follow->patterns->count; i++) {
        const char *pattern = follow->patterns->items[i].value.text;
        file_watch_folder_of(&follow->watch, pattern);
        error = path_list_add(&found, pattern);
    }
    for (size_t i = 0; i < follow->count; i++)
        follow->files[i]->seen = false;
    for (size_t i = 0; i < found.count; i++) {
        file_watch_folder_of(&follow->watch, found.names[i]);
        see_name(follow, found.names[i]);
    }
    path_list_free(&found);
    for (size_t i = 0; i < follow->count && error == 0; i++) {
        struct followed *file = follow->files[i];
        if (file->seen || file->leaving)
            continue;
        leave(follow, file);
        if (!follow->first_look)
            weir_count(env_of(follow), "rotated", file->reader.name, 1);
    }
    follow->names_changed = follow->first_look = false;
    return error;
}

/* ---- What the system tells ------------------------------------------------------------------------------------- */

static void told_changed(void *owner, int descriptor)
{
    struct follow *follow = owner;
    for (size_t i = 0; i < follow->count; i++)
        if (follow->files[i]->watch == descriptor)
            follow->files[i]->dirty = true;
}

static void told_names(void *owner)
{
    ((struct follow *)owner)->names_changed = true;
}

static void told_lost(void *owner)
{
    struct follow *follow = owner;
    follow->names_changed = true;
    for (size_t i = 0; i < follow->count; i++)
        follow->files[i]->dirty = true;
}

static bool is_ours(const struct follow *follow, const char *name)
{
    for (size_t i = 0; i < follow->patterns->count; i++) {
        const char *pattern = follow->patterns->items[i].value.text;
        if (strcmp(pattern, name) == 0 || fnmatch(pattern, name, FNM_PATHNAME | FNM_PERIOD) == 0)
            return true;
    }
    return false;
}

static void told_moved(void *owner, const char *from, const char *to)
{
    struct follow *follow = owner;
    for (size_t i = 0; i < follow->trace_count; i++) {
        struct trace *trace = &follow->traces[i];
        char *now = strcmp(trace->now, from) == 0 ? memory_string(to) : NULL;
        if (now) {
            memory_free(trace->now);
            trace->now = now;
            trace->moved = true;
            return;
        }
    }
    if (!is_ours(follow, from) || follow->trace_count == TRACES_MOST)
        return;
    struct trace *traces = memory_resize(follow->traces, (follow->trace_count + 1) * sizeof(*traces));
    if (!traces)
        return;
    follow->traces = traces;
    struct trace trace = {memory_string(from), memory_string(to), true};
    if (trace.name && trace.now) {
        traces[follow->trace_count++] = trace;
        return;
    }
    memory_free(trace.name);
    memory_free(trace.now);
}

static void follow_trace(struct follow *follow, struct trace *trace)
{
    size_t before = follow->count;
    trace->moved = false;
    open_file(follow, trace->now, trace->name);
    if (follow->count == before)
        return;
    leave(follow, follow->files[before]);
    weir_count(env_of(follow), "rotated", trace->name, 1);
}

/* Takes in what the system tells, and the files that had a name of ours but were moved away before we saw them. One may
 * be moved on while we open what it was called: then it is told now, and we try again. */
static void take_news(struct follow *follow)
{
    const struct file_watch_events events = {
        .owner = follow, .changed = told_changed, .names = told_names, .moved = told_moved, .lost = told_lost};
    file_watch_drain(&follow->watch, &events);
    while (follow->trace_count > 0) {
        for (size_t i = 0; i < follow->trace_count; i++)
            if (follow->traces[i].moved)
                follow_trace(follow, &follow->traces[i]);
        file_watch_drain(&follow->watch, &events);
        size_t kept = 0;
        for (size_t i = 0; i < follow->trace_count; i++) {
            if (follow->traces[i].moved) {
                follow->traces[kept++] = follow->traces[i];
                continue;
            }
            memory_free(follow->traces[i].name);
            memory_free(follow->traces[i].now);
        }
        follow->trace_count = kept;
    }
}

/* ---- Rounds ---------------------------------------------------------------------------------------------------- */

/* Files of one name are read one after the other, as they had it. */
static bool must_wait(const struct follow *follow, size_t index)
{
    const struct followed *file = follow->files[index];
    for (size_t i = 0; follow->leaving > 0 && i < index; i++) {
        const struct followed *before = follow->files[i];
        bool begun = before->reader.begin < before->reader.filled;
        if (before->leaving && !before->failed && before->reader.name == file->reader.name &&
            (!before->at_end || begun))
            return true;
    }
    return false;
}

static void close_file(struct follow *follow, size_t index)
{
    struct followed *file = follow->files[index];
    file_watch_remove(&follow->watch, file->watch);
    file_reader_reset(&file->reader);
    close(file->fd);
    follow->leaving -= file->leaving;
    memory_free(file);
    follow->count--;
    memmove(&follow->files[index], &follow->files[index + 1], (follow->count - index) * sizeof(*follow->files));
}

/* Has a file that was rotated away come to its end? */
static bool is_done(struct follow *follow, struct followed *file)
{
    struct stat status;
    int64_t now = now_of(follow);
    if (fstat(file->fd, &status) == 0 && status.st_size != file->size) {
        file->size = status.st_size;
        file->silent_from = now;
        file->dirty = true;
    }
    /* Moves that were told before it left are known from the next round on. */
    bool silent = now - file->silent_from >= SILENCE && follow->round > file->left_round;
    if (!silent)
        wake_by(follow, file->silent_from + SILENCE);
    return silent;
}

/* Reads of each file a block. Returns 1 when there is more to read at once, 0, or a negative errno. */
static int visit_all(struct follow *follow)
{
    int more = 0, error = 0;
    for (size_t i = 0; i < follow->count; i++) {
        struct followed *file = follow->files[i];
        bool done = file->leaving && is_done(follow, file);
        if (must_wait(follow, i))
            continue;
        if (file->dirty && !file->failed)
            error = pass_over(follow, file, read_block(follow, file));
        if (error < 0)
            return error;
        if (file->failed)
            file->dirty = false;
        if (file->dirty && !(file->at_end && file->record_at))
            more = 1;
        if (!done || file->dirty)
            continue;
        error = pass_over(follow, file, file->failed ? 0 : hand_on_last(file));
        close_file(follow, i--);
        more = 1;
        if (error < 0)
            return error;
    }
    return more;
}

static int wait_for_more(struct follow *follow)
{
    struct weir_context *context = follow->reading->context;
    int error = follow->watch.fd >= 0 ? weir_wait_fd(context, follow->watch.fd, POLLIN, follow->deadline)
                                      : weir_sleep_until(context, follow->deadline);
    return error == -ETIMEDOUT ? 0 : error;
}

static int follow_on(struct follow *follow)
{
    int64_t look_at = now_of(follow);
    for (;;) {
        follow->round++;
        take_news(follow);
        if (now_of(follow) >= look_at) {
            told_lost(follow);
            look_at = now_of(follow) + (follow->watch.fd >= 0 ? LOOK_TOLD : LOOK_BLIND);
        }
        int error = follow->names_changed ? look(follow) : 0;
        follow->deadline = look_at;
        if (error == 0)
            error = visit_all(follow);
        if (error == 0)
            error = wait_for_more(follow);
        if (error >= 0 && weir_stopping(follow->reading->context))
            error = -ECANCELED;
        if (error < 0)
            return error == -ECANCELED ? 0 : error;
    }
}

int file_follow(struct file_reading *reading, const struct weir_list *patterns, enum follow_begin begin,
                int (*read_whole)(struct file_reading *reading, const char *name, bool only))
{
    struct follow follow = {
        .reading = reading, .patterns = patterns, .begin = begin, .read_whole = read_whole, .first_look = true};
    file_watch_open(&follow.watch);
    if (follow.watch.fd < 0)
        weir_notice(reading->env, "no inotify", "the system cannot tell of changes (%s): looking every 250 ms",
                    strerror(errno));
    int error = follow_on(&follow);
    while (follow.count > 0)
        close_file(&follow, follow.count - 1);
    memory_free(follow.files);
    memory_free(follow.traces);
    path_list_free(&follow.strange);
    file_watch_close(&follow.watch);
    return error;
}
