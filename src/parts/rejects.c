/* SPDX-License-Identifier: MIT */
#include "parts/rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buffer.h"

int rejects_open(struct rejects *rejects, const struct rejects_options *options, struct weir_env *env)
{
    rejects->options = options;
    rejects->env = env;
    if (!options->path)
        return 0;
    int fd = open(options->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
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
        ssize_t written = write(fd, data + done, size - done);
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

void rejects_add(struct rejects *rejects, const struct weir_refusal *refusal)
{
    if (rejects->fd <= 0)
        return;
    const char *file = refusal->file ? refusal->file : "input";
    struct weir_buffer buffer = {0};
    add_field(&buffer, "file", file, strlen(file));
    buffer_format(&buffer, ", \"line\": %llu", (unsigned long long)refusal->line);
    add_field(&buffer, "reason", refusal->reason, strlen(refusal->reason));
    add_field(&buffer, "detail", refusal->detail, strlen(refusal->detail));
    add_field(&buffer, "text", refusal->text, refusal->length);
    buffer_string(&buffer, "}\n");

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

void rejects_close(struct rejects *rejects)
{
    if (rejects->fd <= 0)
        return;
    close(rejects->fd - 1);
    rejects->fd = 0;
    pthread_mutex_destroy(&rejects->lock);
}
