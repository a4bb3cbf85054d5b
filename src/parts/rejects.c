/* SPDX-License-Identifier: MIT */
#include "parts/rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/system.h"
#include "codec/codec.h"

int rejects_open(struct rejects *rejects, const struct rejects_options *options, struct weir_env *env)
{
    rejects->options = options;
    rejects->env = env;
    if (!options->path)
        return 0;
    int fd = SYSTEM_CALL(open(options->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666));
    if (fd < 0)
        return weir_fail(env->error, -errno, "%s: %s; choose another path for `rejects`", options->path,
                         strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        close(fd);
        return weir_fail(env->error, -EBUSY, "%s: somebody else is writing it; choose another path for `rejects`",
                         options->path);
    }
    rejects->fd = fd + 1;
    pthread_mutex_init(&rejects->lock, NULL);
    return 0;
}

int rejects_begin(struct rejects *rejects)
{
    if (rejects->fd > 0 && ftruncate(rejects->fd - 1, 0) < 0 && errno != EINVAL) /* EINVAL: a device */
        return weir_fail(rejects->env->error, -errno, "%s: %s; choose another path for `rejects`",
                         rejects->options->path, strerror(errno));
    return 0;
}

int rejects_continue(struct rejects *rejects)
{
    off_t end = rejects->fd > 0 ? lseek(rejects->fd - 1, 0, SEEK_END) : 0;
    rejects->size = end > 0 ? end : 0; /* a device has no end */
    return 0;
}

static void add_field(struct weir_buffer *buffer, const char *name, const char *text, size_t length)
{
    buffer_format(buffer, "%s\"%s\": ", buffer->size ? ", " : "{", name);
    buffer_json_string(buffer, text, length);
}

/* All of it or nothing. */
static int write_record(struct rejects *rejects, const char *data, size_t size)
{
    int fd = rejects->fd - 1;
    for (size_t done = 0; done < size;) {
        ssize_t written = SYSTEM_CALL(write(fd, data + done, size - done));
        if (written > 0) {
            done += (size_t)written;
            continue;
        }
        if (written < 0 && errno == EINTR)
            continue;
        int error = written < 0 ? -errno : -ENOSPC;
        if (ftruncate(fd, rejects->size) == 0)
            (void)lseek(fd, rejects->size, SEEK_SET);
        return error;
    }
    rejects->size += (int64_t)size;
    return 0;
}

/* `stage` and `detail` may be NULL. */
static void describe(struct weir_buffer *buffer, const struct weir_refusal *refusal, const char *stage)
{
    const char *file = refusal->file ? refusal->file : "input";
    const char *detail = refusal->detail ? refusal->detail : "";
    add_field(buffer, "file", file, strlen(file));
    buffer_format(buffer, ", \"line\": %llu", (unsigned long long)refusal->line);
    if (stage)
        add_field(buffer, "stage", stage, strlen(stage));
    add_field(buffer, "reason", refusal->reason, strlen(refusal->reason));
    add_field(buffer, "detail", detail, strlen(detail));
    add_field(buffer, "text", refusal->text, refusal->length);
    buffer_string(buffer, "}\n");
}

static void keep(struct rejects *rejects, const struct weir_refusal *refusal, const char *stage)
{
    struct weir_buffer buffer = {0};
    describe(&buffer, refusal, stage);
    pthread_mutex_lock(&rejects->lock);
    const char *why = NULL;
    if (buffer.failed)
        why = "there is no memory";
    else if (rejects->size + (int64_t)buffer.size > rejects->options->most)
        why = "it has reached `rejects_max`";
    int error = why ? 0 : write_record(rejects, buffer.data, buffer.size);
    if (error < 0)
        why = strerror(-error);
    pthread_mutex_unlock(&rejects->lock);
    buffer_free(&buffer);
    if (!why)
        return;
    weir_count(rejects->env, "rejects not kept", NULL, 1);
    weir_notice(rejects->env, "rejects not kept", "%s: a refused line was not kept, because %s; the run goes on",
                rejects->options->path, why);
}

void rejects_add(struct rejects *rejects, const struct weir_refusal *refusal)
{
    if (rejects->fd > 0)
        keep(rejects, refusal, NULL);
}

void rejects_add_rows(struct rejects *rejects, struct file_origin *origin, const struct weir_batch *batch,
                      const char *stage, const char *reason, const char *detail)
{
    static const struct codec_write_options ndjson = {.format = CODEC_NDJSON};
    struct weir_buffer lines = {0};
    if (rejects->fd <= 0)
        return;
    if (codec_encode(&ndjson, rejects->env->symbols, batch, &lines) < 0)
        lines.size = 0; /* then each is kept without its text */
    for (uint32_t i = 0, at = 0; i < batch->count; i++) {
        uint32_t row = weir_batch_row(batch, i);
        uint64_t position = batch->positions ? batch->positions[row] : batch->position + row;
        struct weir_refusal refusal = {.reason = reason, .detail = detail, .text = lines.data + at};
        refusal.file = file_origin_find(origin, position, &refusal.line);
        const char *end = at < lines.size ? memchr(lines.data + at, '\n', lines.size - at) : NULL;
        if (end) {
            refusal.length = (size_t)(end - lines.data) - at;
            at += (uint32_t)refusal.length + 1;
        }
        keep(rejects, &refusal, stage);
    }
    buffer_free(&lines);
}

void rejects_close(struct rejects *rejects)
{
    if (rejects->fd <= 0)
        return;
    close(rejects->fd - 1);
    rejects->fd = 0;
    pthread_mutex_destroy(&rejects->lock);
}
